//! The entry point of a cluster's API: authorization and dispatch of requests.

use std::any::Any;

use bytes::Bytes;
use http::Method;

use super::authorization::{Action, User};
use super::path::{self, RequestTarget, ResourcePath, Subresource};
use super::query::ListOptions;
use super::response_format::ResponseFormat;
use super::status::{JSON, StatusError};
use super::store::Store;
use super::verbs::log::{self, Log};
use super::verbs::{ApiCall, change, delete, read, scale};
use super::watch::Watch;
use super::{
    access_review, aggregation, custom_kinds, discovery, openapi, openapi_v2, service_accounts, yaml,
};
use crate::clock::SimTime;
use crate::request::{Reply, Request, Streaming};

/// The user name of a request without a token.
pub const ANONYMOUS: &str = "system:anonymous";

/// A response of the API server: a reply, optionally followed by a watch or a log.
#[derive(Debug)]
pub struct ApiResponse {
    /// The reply; without a body if a stream follows.
    pub reply: Reply,
    /// The following watch.
    pub watch: Option<Watch>,
    /// The following log.
    pub log: Option<Log>,
}

impl ApiResponse {
    pub(super) fn plain(reply: Reply) -> Self {
        Self { reply, watch: None, log: None }
    }

    /// Converts the answer to a reply. A stream reads the store that `find` returns, and ends when the store
    /// no longer exists.
    pub fn into_reply<F>(self, find: F) -> Reply
    where
        F: Fn(&dyn Any) -> Option<&Store> + Send + 'static,
    {
        let (media_type, source) = match (self.watch, self.log) {
            (Some(watch), _) => (JSON, StreamSource::Watch(watch)),
            (None, Some(log)) => (log::TEXT, StreamSource::Log(log)),
            (None, None) => return self.reply,
        };
        Reply::stream(media_type, Box::new(ClusterStream { source, find }))
    }
}

/// A stream after a reply.
enum StreamSource {
    Watch(Watch),
    Log(Log),
}

/// A stream from a store in the simulated cloud.
struct ClusterStream<F> {
    source: StreamSource,
    find: F,
}

impl<F> Streaming for ClusterStream<F>
where
    F: Fn(&dyn Any) -> Option<&Store> + Send,
{
    fn poll(&mut self, state: &dyn Any, now: SimTime) -> (Vec<Bytes>, bool) {
        let Some(store) = (self.find)(state) else { return (Vec::new(), true) };
        match &mut self.source {
            StreamSource::Watch(watch) => watch.poll(store, now),
            StreamSource::Log(log) => log.poll(store),
        }
    }

    fn deadline(&self) -> SimTime {
        match &self.source {
            StreamSource::Watch(watch) => watch.deadline(),
            // A log continues when the cluster changes; it has no timer.
            StreamSource::Log(_) => SimTime(i64::MAX),
        }
    }
}

/// Like [`serve_as`], for a local account of the cluster, or for [`ANONYMOUS`].
pub fn serve(store: &mut Store, request: &Request, user: &str, now: SimTime) -> ApiResponse {
    serve_as(store, request, &User::local(user), now)
}

/// Answers a request of a user; its path is relative to the cluster's prefix. For an unknown token call
/// [`unauthorized`](super::status::unauthorized) instead.
pub fn serve_as(store: &mut Store, request: &Request, user: &User, now: SimTime) -> ApiResponse {
    store.advance_to(now);
    let target = path::parse(store, &request.segments());
    if let Some(status_error) = authorize(store, &target, request, user) {
        return ApiResponse::plain(status_error.reply());
    }
    if let RequestTarget::Objects(resource_path) = target {
        return match objects(store, request, resource_path, user, now) {
            Ok(reply) if reply.watch.is_some() || reply.log.is_some() => reply,
            Ok(answer) => ApiResponse::plain(yaml::preferred(request, answer.reply)),
            Err(status_error) => ApiResponse::plain(status_error.reply()),
        };
    }
    if target == RequestTarget::Unavailable {
        return ApiResponse::plain(aggregation::unavailable());
    }
    let is_known = !matches!(target, RequestTarget::Unknown | RequestTarget::UnknownResource);
    if is_known && !matches!(request.method, Method::GET | Method::HEAD) {
        return ApiResponse::plain(StatusError::method_not_allowed().reply());
    }
    ApiResponse::plain(match target {
        RequestTarget::CoreVersions => discovery::groups(store, request, true),
        RequestTarget::Groups => discovery::groups(store, request, false),
        RequestTarget::Group(group) => discovery::group(store, &group),
        RequestTarget::GroupVersion(group, version) => discovery::resources(store, &group, &version),
        RequestTarget::Version => discovery::version(store),
        RequestTarget::Health => Reply::text(200, "ok"),
        RequestTarget::OpenApiV2 => openapi_v2::document(store, request),
        RequestTarget::OpenApi(None) => openapi::index(store),
        RequestTarget::OpenApi(Some(resource_path)) => openapi::document(store, &resource_path),
        RequestTarget::Unavailable => aggregation::unavailable(),
        RequestTarget::UnknownResource => StatusError::no_such_resource().reply(),
        RequestTarget::Unknown | RequestTarget::Objects(_) => Reply::text(404, "404 page not found\n"),
    })
}

/// Refuses what the user may not do. Everybody may read the health and the version; every authenticated user
/// may also discover the kinds and review its own rights.
fn authorize(store: &Store, target: &RequestTarget, request: &Request, user: &User) -> Option<StatusError> {
    if user.is_master() || matches!(target, RequestTarget::Version | RequestTarget::Health) {
        return None;
    }
    if let RequestTarget::Objects(resource_path) = target {
        let is_own_review = resource_path.definition.is_review && !user.is_anonymous();
        return (!is_own_review).then(|| forbidden(store, resource_path, request, user)).flatten();
    }
    if !user.is_anonymous() {
        return None;
    }
    let verb = request.method.as_str().to_lowercase();
    let (path, user) = (&request.path, &user.name);
    let mut status_error =
        StatusError::new(403, "Forbidden", format!("forbidden: User {user:?} cannot {verb} path {path:?}"));
    status_error.details = Box::new(serde_json::json!({}));
    Some(status_error)
}

/// Returns the 403 of a user without the right; `None` if the user has it.
fn forbidden(
    store: &Store,
    resource_path: &ResourcePath,
    request: &Request,
    user: &User,
) -> Option<StatusError> {
    let watching = request.query("watch").is_some_and(|value| value == "true" || value == "1");
    let verb = resource_path.verb(&request.method, watching);
    let definition = &resource_path.definition;
    let resource = match resource_path.subresource.name() {
        "" => definition.plural.clone(),
        part => format!("{}/{part}", definition.plural),
    };
    let namespace = resource_path.namespace.as_deref();
    if user.may(store, Action { verb, group: &definition.group, resource: &resource, namespace }) {
        return None;
    }
    let scope = match namespace {
        Some(namespace) => format!("in the namespace {namespace:?}"),
        None => "at the cluster scope".to_owned(),
    };
    let name = &user.name;
    let mut why = format!(
        "User {name:?} cannot {verb} resource {resource:?} in API group {:?} {scope}",
        definition.group
    );
    if user.azure.is_some() {
        why +=
            ": User does not have access to the resource in Azure. Update role assignment to allow access.";
    }
    Some(StatusError::forbidden(definition, resource_path.name(), &why))
}

/// Returns the error of a subresource that needs a running program: 404 without the object, otherwise 405, the
/// status of an action that the server does not support.
fn unavailable(store: &Store, resource_path: &ResourcePath, part: &str) -> StatusError {
    let definition = &resource_path.definition;
    if store.get(&definition.resource(), resource_path.namespace(), resource_path.name()).is_none() {
        return StatusError::not_found(definition, resource_path.name());
    }
    let message = format!(
        "{}/{part} is not available in the simulated cluster; see docs/kubectl.md",
        definition.plural
    );
    StatusError { message, ..StatusError::method_not_allowed() }
}

fn objects(
    store: &mut Store,
    request: &Request,
    resource_path: ResourcePath,
    user: &User,
    now: SimTime,
) -> Result<ApiResponse, StatusError> {
    if resource_path.subresource == Subresource::Log {
        return log::serve(store, request, &resource_path, now);
    }
    if let Subresource::Unavailable(name) = resource_path.subresource {
        return Err(unavailable(store, &resource_path, name));
    }
    let form = ResponseFormat::of(request)?;
    let call = ApiCall { request, resource_path, form, now };
    if call.resource_path.definition.is_review {
        return access_review::reply(store, &call, user).map(ApiResponse::plain);
    }
    if call.resource_path.subresource == Subresource::Token {
        return service_accounts::serve(store, &call).map(ApiResponse::plain);
    }
    if call.resource_path.subresource == Subresource::Scale {
        return scale::serve(store, &call).map(ApiResponse::plain);
    }
    let one = call.resource_path.name.is_some();
    let reads = matches!(request.method, Method::GET | Method::HEAD);
    let defines = !reads && call.resource_path.definition.resource() == custom_kinds::DEFINITIONS;
    let defined = if defines { Some(custom_kinds::written_name(store, &call)?) } else { None };
    let reply = match request.method {
        Method::GET | Method::HEAD => {
            let options = ListOptions::read(request)?;
            if options.watch {
                let watch = read::watch(store, &call, &options)?;
                let reply = Reply::bytes(200, JSON, Bytes::new());
                return Ok(ApiResponse { reply, watch: Some(watch), log: None });
            }
            if one { read::get(store, &call)? } else { read::list(store, &call, &options)? }
        }
        Method::POST => change::create(store, &call)?,
        Method::PUT => change::update(store, &call)?,
        Method::PATCH => change::patch(store, &call)?,
        Method::DELETE if one => delete::delete(store, &call)?,
        Method::DELETE => delete::delete_collection(store, &call, &ListOptions::read(request)?)?,
        _ => return Err(StatusError::method_not_allowed()),
    };
    if let Some(name) = defined {
        custom_kinds::follow_write(store, &name, now);
    }
    Ok(ApiResponse::plain(reply))
}
