//! The entry point of a cluster's API: authorization and dispatch of requests.

use bytes::Bytes;
use http::Method;

use super::form::Form;
use super::path::{self, Place, Subresource, Target};
use super::query::ListOptions;
use super::status::{JSON, Refusal};
use super::store::Store;
use super::verbs::log::{self, Log};
use super::verbs::{Call, change, delete, read, scale};
use super::watch::Watch;
use super::{aggregation, discovery, openapi, question};
use crate::clock::Moment;
use crate::request::{Reply, Request, Streaming};
use crate::world::World;

/// The user name of a request without a token.
pub const ANONYMOUS: &str = "system:anonymous";

/// A response of the API server: a reply, optionally followed by a watch or a log.
#[derive(Debug)]
pub struct Answer {
    /// The reply; without a body if a stream follows.
    pub reply: Reply,
    /// The following watch.
    pub watch: Option<Watch>,
    /// The following log.
    pub log: Option<Log>,
}

impl Answer {
    pub(super) fn plain(reply: Reply) -> Self {
        Self { reply, watch: None, log: None }
    }

    /// Converts the answer to a reply. A stream reads the store that `find` returns, and ends when the store
    /// no longer exists.
    pub fn into_reply<F>(self, find: F) -> Reply
    where
        F: Fn(&World) -> Option<&Store> + Send + 'static,
    {
        let (media_type, following) = match (self.watch, self.log) {
            (Some(watch), _) => (JSON, Following::Watch(watch)),
            (None, Some(log)) => (log::TEXT, Following::Log(log)),
            (None, None) => return self.reply,
        };
        Reply::stream(media_type, Box::new(InWorld { following, find }))
    }
}

/// A stream after a reply.
enum Following {
    Watch(Watch),
    Log(Log),
}

/// A stream from a store in the simulated cloud.
struct InWorld<F> {
    following: Following,
    find: F,
}

impl<F> Streaming for InWorld<F>
where
    F: Fn(&World) -> Option<&Store> + Send,
{
    fn poll(&mut self, world: &World, now: Moment) -> (Vec<Bytes>, bool) {
        let Some(store) = (self.find)(world) else { return (Vec::new(), true) };
        match &mut self.following {
            Following::Watch(watch) => watch.poll(store, now),
            Following::Log(log) => log.poll(store),
        }
    }

    fn deadline(&self) -> Moment {
        match &self.following {
            Following::Watch(watch) => watch.deadline(),
            // A log continues when the cluster changes; it has no timer.
            Following::Log(_) => Moment(i64::MAX),
        }
    }
}

/// Answers a request whose path is relative to the cluster's prefix. `user` is the user of the token, or
/// [`ANONYMOUS`] without a token. For an unknown token call [`unauthorized`](super::status::unauthorized)
/// instead.
pub fn serve(store: &mut Store, request: &Request, user: &str, now: Moment) -> Answer {
    store.settle(now);
    let target = path::parse(store, &request.segments());
    if let Some(refusal) = refused(&target, request, user) {
        return Answer::plain(refusal.reply());
    }
    if let Target::Objects(place) = target {
        return match objects(store, request, place, user, now) {
            Ok(answer) => answer,
            Err(refusal) => Answer::plain(refusal.reply()),
        };
    }
    if target == Target::Unavailable {
        return Answer::plain(aggregation::unavailable());
    }
    let is_somewhere = !matches!(target, Target::Unknown | Target::UnknownResource);
    if is_somewhere && !matches!(request.method, Method::GET | Method::HEAD) {
        return Answer::plain(Refusal::method_not_allowed().reply());
    }
    Answer::plain(match target {
        Target::CoreVersions => discovery::groups(store, request, true),
        Target::Groups => discovery::groups(store, request, false),
        Target::Group(group) => discovery::group(store, &group),
        Target::GroupVersion(group, version) => discovery::resources(store, &group, &version),
        Target::Version => discovery::version(store),
        Target::Health => Reply::text(200, "ok"),
        Target::OpenApi(None) => openapi::index(store),
        Target::OpenApi(Some(place)) => openapi::document(store, &place),
        Target::Unavailable => aggregation::unavailable(),
        Target::UnknownResource => Refusal::no_such_resource().reply(),
        Target::Unknown | Target::Objects(_) => Reply::text(404, "404 page not found\n"),
    })
}

/// Refuses anonymous requests except health checks and version; a user with a token of this cluster has all
/// rights.
fn refused(target: &Target, request: &Request, user: &str) -> Option<Refusal> {
    if user != ANONYMOUS || matches!(target, Target::Version | Target::Health) {
        return None;
    }
    if let Target::Objects(place) = target {
        return Some(may_not(place, request, user));
    }
    let verb = request.method.as_str().to_lowercase();
    let path = &request.path;
    let mut refusal =
        Refusal::new(403, "Forbidden", format!("forbidden: User {user:?} cannot {verb} path {path:?}"));
    refusal.details = Box::new(serde_json::json!({}));
    Some(refusal)
}

/// Returns the 403 of a user without the right.
fn may_not(place: &Place, request: &Request, user: &str) -> Refusal {
    let watching = request.query("watch").is_some_and(|value| value == "true" || value == "1");
    let verb = place.verb(&request.method, watching);
    let definition = &place.definition;
    let part = match place.subresource {
        Subresource::Main => "",
        Subresource::Status => "/status",
        Subresource::Scale => "/scale",
        Subresource::Log => "/log",
    };
    let scope = match &place.namespace {
        Some(namespace) => format!("in the namespace {namespace:?}"),
        None => "at the cluster scope".to_owned(),
    };
    let why = format!(
        "User {user:?} cannot {verb} resource \"{}{part}\" in API group {:?} {scope}",
        definition.plural, definition.group
    );
    Refusal::forbidden(definition, place.name(), &why)
}

fn objects(
    store: &mut Store,
    request: &Request,
    place: Place,
    user: &str,
    now: Moment,
) -> Result<Answer, Refusal> {
    if place.subresource == Subresource::Log {
        return log::serve(store, request, &place, now);
    }
    let form = Form::of(request)?;
    let call = Call { request, place, form, now };
    if call.place.definition.is_question {
        return question::answer(&call, user).map(Answer::plain);
    }
    if call.place.subresource == Subresource::Scale {
        return scale::serve(store, &call).map(Answer::plain);
    }
    let one = call.place.name.is_some();
    let reads = matches!(request.method, Method::GET | Method::HEAD);
    // Clients can only read CustomResourceDefinitions; the cluster's operator installs them.
    if !reads && call.place.definition.kind == "CustomResourceDefinition" {
        return Err(Refusal::method_not_allowed());
    }
    let reply = match request.method {
        Method::GET | Method::HEAD => {
            let options = ListOptions::read(request)?;
            if options.watch {
                let watch = read::watch(store, &call, &options)?;
                let reply = Reply::bytes(200, JSON, Bytes::new());
                return Ok(Answer { reply, watch: Some(watch), log: None });
            }
            if one { read::get(store, &call)? } else { read::list(store, &call, &options)? }
        }
        Method::POST => change::create(store, &call)?,
        Method::PUT => change::update(store, &call)?,
        Method::PATCH => change::patch(store, &call)?,
        Method::DELETE if one => delete::delete(store, &call)?,
        Method::DELETE => delete::delete_collection(store, &call, &ListOptions::read(request)?)?,
        _ => return Err(Refusal::method_not_allowed()),
    };
    Ok(Answer::plain(reply))
}
