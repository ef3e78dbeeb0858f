//! Requests to accounts: the checks, and the dispatch to the handlers.

use super::error::BlobError;
use super::route::{self, BlobRequest, Verb};
use super::{AUDIENCE, BlobCall, append, lease_api, list, new_etag, properties, store};
use crate::arm::{roles::Right, storage};
use crate::clock::SimTime;
use crate::entra::{self, Caller, TokenError};
use crate::request::{Delivery, Reply, Request};
use crate::state::{CloudState, uuid_from};

/// The first version that accepts tokens of the directory.
const VERSION_MIN: &str = "2017-11-09";
/// The newest known version.
const VERSION_MAX: &str = "2026-06-06";
/// The prefix of the data actions.
const BLOBS: &str = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs";
const CONTAINERS: &str = "Microsoft.Storage/storageAccounts/blobServices/containers";

impl BlobError {
    /// Creates the 401 with the challenge that names tenant and resource.
    pub(crate) fn unauthorized(state: &CloudState, why: TokenError) -> Self {
        let authority = format!("{}/{}/oauth2/authorize", state.origin("login"), state.directory.tenant);
        let challenge = format!("Bearer authorization_uri={authority} resource_id={}", AUDIENCE);
        let (code, message) = match why {
            TokenError::Missing => (
                "NoAuthenticationInformation",
                "Server failed to authenticate the request. Please refer to the information in the www-authenticate \
                 header.",
            ),
            _ => (
                "InvalidAuthenticationInfo",
                "Server failed to authenticate the request. Please refer to the information in the www-authenticate \
                 header.",
            ),
        };
        Self { challenge: Some(challenge), ..Self::new(401, code, message) }
    }
}

/// Answers a request to the host `{account}.blob.landfall.localhost`.
///
/// On Azure, the name of an unknown or unfinished account does not resolve; here the connection is closed.
pub fn serve(state: &mut CloudState, account: &str, request: &Request, now: SimTime) -> Reply {
    let account = account.to_ascii_lowercase();
    let Some(resource) = storage::reachable(state, &account, now).map(|one| one.id.clone()) else {
        return Reply { delivery: Delivery::Cut, ..Reply::empty(503) };
    };
    let call = BlobCall { account: &account, request, now };
    let reply = answer(state, &call, &resource).unwrap_or_else(|error| error.reply());
    with_common_headers(state, request, now, reply)
}

/// Adds the headers of every response.
pub(crate) fn with_common_headers(
    state: &CloudState,
    request: &Request,
    now: SimTime,
    reply: Reply,
) -> Reply {
    let id = uuid_from(state.seed, "blob-request", request.number);
    let reply = reply
        .with_header("server", "Windows-Azure-Blob/1.0 Microsoft-HTTPAPI/2.0")
        .with_header("x-ms-request-id", &id)
        .with_header("x-ms-version", request.header("x-ms-version").unwrap_or(VERSION_MAX))
        .with_header("date", &now.http_date());
    match request.header("x-ms-client-request-id") {
        Some(echoed) => reply.with_header("x-ms-client-request-id", echoed),
        None => reply,
    }
}

fn answer(state: &mut CloudState, call: &BlobCall<'_>, resource: &str) -> Result<Reply, BlobError> {
    let own = format!("https://{}.blob.{}", call.account, crate::state::DOMAIN);
    let caller = match entra::bearer(state, call.request, AUDIENCE, call.now) {
        Err(TokenError::WrongAudience) => entra::bearer(state, call.request, &own, call.now),
        caller => caller,
    };
    let caller = caller.map_err(|refused| BlobError::unauthorized(state, refused))?;
    version(call.request)?;
    let parsed = route::parse(call.request)?;
    authorize(state, call, &caller, resource, &parsed)?;
    let container = parsed.container();
    let exists = state.storage.container(call.account, container).is_some();
    if !exists && !matches!(parsed.verb, Verb::CreateContainer) {
        return Err(BlobError::container_not_found());
    }
    match parsed.verb {
        Verb::CreateContainer if exists => {
            Err(BlobError::new(409, "ContainerAlreadyExists", "The specified container already exists."))
        }
        Verb::CreateContainer => create_container(state, call, container),
        Verb::ContainerProperties => Ok(container_properties(state, call, container)),
        Verb::List => list::list(state, call, container),
        Verb::Create => append::create(state, call, &parsed),
        Verb::Append => append::append(state, call, &parsed),
        Verb::Seal => append::seal(state, call, &parsed),
        Verb::Lease => lease_api::serve(state, call, &parsed),
        Verb::Properties | Verb::Read => properties::read(state, call, &parsed),
        Verb::SetMetadata => properties::set_metadata(state, call, &parsed),
        Verb::Delete => properties::delete(state, call, &parsed),
    }
}

fn version(request: &Request) -> Result<(), BlobError> {
    match request.header("x-ms-version") {
        Some(version) if (VERSION_MIN..=VERSION_MAX).contains(&version) => Ok(()),
        Some(_) => Err(BlobError::invalid_header("x-ms-version")),
        None => Err(BlobError::new(
            400,
            "MissingRequiredHeader",
            "An HTTP header that's mandatory for this request is not specified.",
        )),
    }
}

/// Checks the caller's right at the container or the blob.
fn authorize(
    state: &CloudState,
    call: &BlobCall<'_>,
    caller: &Caller,
    resource: &str,
    parsed: &BlobRequest,
) -> Result<(), BlobError> {
    let container = format!("{resource}/blobServices/default/containers/{}", parsed.container());
    let blob = format!("{container}/blobs/{}", parsed.blob());
    let data = |verb: &str| format!("{BLOBS}/{verb}");
    let allowed =
        |action: &str, scope: &str| state.allows(&caller.object_id, Right::Data(action), scope, call.now);
    let granted = match parsed.verb {
        Verb::CreateContainer => state.allows(
            &caller.object_id,
            Right::Action(&format!("{CONTAINERS}/write")),
            &container,
            call.now,
        ),
        Verb::ContainerProperties => state.allows(
            &caller.object_id,
            Right::Action(&format!("{CONTAINERS}/read")),
            &container,
            call.now,
        ),
        Verb::List => allowed(&data("read"), &container),
        Verb::Properties | Verb::Read => allowed(&data("read"), &blob),
        Verb::Append => allowed(&data("write"), &blob) || allowed(&data("add/action"), &blob),
        Verb::Delete => allowed(&data("delete"), &blob),
        Verb::Create | Verb::Seal | Verb::Lease | Verb::SetMetadata => allowed(&data("write"), &blob),
    };
    if granted { Ok(()) } else { Err(BlobError::permission()) }
}

fn create_container(
    state: &mut CloudState,
    call: &BlobCall<'_>,
    container: &str,
) -> Result<Reply, BlobError> {
    if !store::is_container_name(container) {
        return Err(BlobError::new(
            400,
            "InvalidResourceName",
            "The specified resource name contains invalid characters.",
        ));
    }
    let etag = new_etag(state);
    state.storage.create_container(call.account, container, etag, call.now);
    Ok(Reply::empty(201))
}

fn container_properties(state: &CloudState, call: &BlobCall<'_>, container: &str) -> Reply {
    let reply = Reply::empty(200)
        .with_header("x-ms-lease-status", "unlocked")
        .with_header("x-ms-lease-state", "available");
    match state.storage.container(call.account, container) {
        Some(found) => reply
            .with_header("etag", &format!("\"{}\"", found.etag))
            .with_header("last-modified", &found.modified.http_date()),
        None => reply,
    }
}
