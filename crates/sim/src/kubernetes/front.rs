//! The front door of a cluster's API: who asks, for what, and who answers.

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

/// The name of whoever sends no token.
pub const ANONYMOUS: &str = "system:anonymous";

/// What the API server answers: a reply, which a watch or a log may follow.
#[derive(Debug)]
pub struct Answer {
    /// The reply; without a body when something follows.
    pub reply: Reply,
    /// The events to come.
    pub watch: Option<Watch>,
    /// The lines to come.
    pub log: Option<Log>,
}

impl Answer {
    pub(super) fn plain(reply: Reply) -> Self {
        Self { reply, watch: None, log: None }
    }

    /// Returns the reply, what follows it made to read the store that `find` finds in the world; it ends when the
    /// store is gone.
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

/// What follows a reply.
enum Following {
    Watch(Watch),
    Log(Log),
}

/// What follows a reply out of a store that lives in the world.
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
            // A log goes on when the cluster changes, and at no time of its own.
            Following::Log(_) => Moment(i64::MAX),
        }
    }
}

/// Answers a request whose path is the one below the cluster's prefix. `user` is who the token belongs to, or
/// [`ANONYMOUS`] when none was sent; a token that is nobody's is answered with
/// [`unauthorized`](super::status::unauthorized) instead.
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

/// Everyone who has a token of this cluster may do everything, whoever has none may only ask how it is.
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

/// Returns the refusal of someone who may not do this.
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
    // Definitions are installed by the cluster's operator; clients may look at them.
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
