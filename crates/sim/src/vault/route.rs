//! Routing of the data plane: from method and path to object and access.
//!
//! A trailing slash is ignored: clients that request the newest version send `certificates/{name}/`.

use http::Method;

use super::access::DataOperation;
use super::error::VaultError;
use super::{VaultCall, certificate_store, create, deleted, import, merge, plain_secret};
use crate::arm::unavailable;
use crate::request::{Reply, Request};
use crate::state::CloudState;

/// A parsed request.
pub(super) struct Target {
    /// The collection of the required right: `certificates`, `secrets` or `keys`.
    pub(super) collection: &'static str,
    /// The requested access.
    pub(super) operation: DataOperation,
    action: RouteAction,
    name: Option<String>,
    version: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum RouteAction {
    List,
    Versions,
    Get,
    Policy,
    UpdatePolicy,
    Create,
    Pending,
    ForgetPending,
    Merge,
    Import,
    Update,
    Delete,
    ListDeleted,
    GetDeleted,
    Recover,
    Purge,
    SetSecret,
    UpdateSecret,
    DeleteSecret,
    ListDeletedSecrets,
    GetDeletedSecret,
    RecoverSecret,
    PurgeSecret,
}

impl Target {
    /// Parses method and path.
    ///
    /// # Errors
    /// 400 for an invalid name, 404 for an unknown path and 405 for an unsupported method.
    pub(super) fn of(request: &Request) -> Result<Target, VaultError> {
        let segments = request.segments();
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        let (collection, is_deleted) = match path.first().map(|first| first.to_ascii_lowercase()).as_deref() {
            Some("certificates") => ("certificates", false),
            Some("deletedcertificates") => ("certificates", true),
            Some("secrets") => ("secrets", false),
            Some("deletedsecrets") => ("secrets", true),
            Some("keys") => ("keys", false),
            Some(other) => {
                let message = unavailable(&format!("The collection {other} of a vault"));
                return Err(VaultError::new(404, "NotFound", message));
            }
            None => return Err(VaultError::new(404, "NotFound", "The requested resource does not exist.")),
        };
        if let ("certificates", Some(part @ ("issuers" | "contacts" | "restore"))) =
            (collection, path.get(1).map(|part| part.to_ascii_lowercase()).as_deref())
        {
            let message = unavailable(&format!("The path certificates/{part} of a vault"));
            return Err(VaultError::new(404, "NotFound", message));
        }
        let (operation, action, version) = match is_deleted {
            true if collection == "secrets" => in_deleted_secrets(&request.method, &path[1..])?,
            true => in_deleted(&request.method, &path[1..])?,
            false => in_live(&request.method, &path[1..], collection)?,
        };
        let name = path.get(1).map(|name| checked_name(collection, name)).transpose()?;
        Ok(Target { collection, operation, action, name, version })
    }

    /// Returns the name of the object, if the request has one.
    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Handles the request.
    pub(super) fn serve(&self, state: &mut CloudState, call: &VaultCall<'_>) -> Result<Reply, VaultError> {
        let name = self.name().unwrap_or_default();
        let version = self.version.as_deref();
        match self.action {
            RouteAction::List => certificate_store::list(state, call, self.collection),
            RouteAction::Versions => certificate_store::versions(state, call, self.collection, name),
            RouteAction::Get if self.collection == "secrets" => {
                match plain_secret::get(state, call, name, version) {
                    Some(reply) => reply,
                    None => certificate_store::get(state, call, self.collection, name, version),
                }
            }
            RouteAction::Get => certificate_store::get(state, call, self.collection, name, version),
            RouteAction::Policy => certificate_store::policy(state, call, name),
            RouteAction::UpdatePolicy => certificate_store::update_policy(state, call, name),
            RouteAction::Create => create::create(state, call, name),
            RouteAction::Pending => create::get(state, call, name),
            RouteAction::ForgetPending => create::forget(state, call, name),
            RouteAction::Merge => merge::merge(state, call, name),
            RouteAction::Import => import::import(state, call, name),
            RouteAction::Update => certificate_store::update(state, call, name, version),
            RouteAction::Delete => deleted::delete(state, call, name),
            RouteAction::ListDeleted => deleted::list(state, call),
            RouteAction::GetDeleted => deleted::get(state, call, name),
            RouteAction::Recover => deleted::recover(state, call, name),
            RouteAction::Purge => deleted::purge(state, call, name),
            RouteAction::SetSecret => plain_secret::set(state, call, name),
            RouteAction::UpdateSecret => plain_secret::update(state, call, name),
            RouteAction::DeleteSecret => plain_secret::delete(state, call, name),
            RouteAction::ListDeletedSecrets => plain_secret::list_deleted(state, call),
            RouteAction::GetDeletedSecret => plain_secret::get_deleted(state, call, name),
            RouteAction::PurgeSecret => plain_secret::purge(state, call, name),
            RouteAction::RecoverSecret => plain_secret::recover(state, call, name),
        }
    }
}

type ParsedRoute = (DataOperation, RouteAction, Option<String>);

fn in_live(method: &Method, rest: &[&str], collection: &str) -> Result<ParsedRoute, VaultError> {
    let certificates = collection == "certificates";
    let lower: Vec<String> = rest.iter().skip(1).map(|part| part.to_ascii_lowercase()).collect();
    let tail: Vec<&str> = lower.iter().map(String::as_str).collect();
    match (method, rest.len(), tail.as_slice()) {
        (&Method::GET, 0, _) => Ok((DataOperation::List, RouteAction::List, None)),
        (&Method::GET, 1, _) => Ok((DataOperation::Get, RouteAction::Get, None)),
        (&Method::GET, 2, ["versions"]) => Ok((DataOperation::List, RouteAction::Versions, None)),
        (&Method::GET, 2, ["policy"]) if certificates => Ok((DataOperation::Get, RouteAction::Policy, None)),
        (&Method::GET, 2, ["pending"]) if certificates => {
            Ok((DataOperation::Get, RouteAction::Pending, None))
        }
        (&Method::DELETE, 2, ["pending"]) if certificates => {
            Ok((DataOperation::Delete, RouteAction::ForgetPending, None))
        }
        (&Method::POST, 3, ["pending", "merge"]) if certificates => {
            Ok((DataOperation::Create, RouteAction::Merge, None))
        }
        (&Method::GET, 2, [version]) => {
            Ok((DataOperation::Get, RouteAction::Get, Some((*version).to_owned())))
        }
        (&Method::POST, 2, ["create"]) if certificates => {
            Ok((DataOperation::Create, RouteAction::Create, None))
        }
        (&Method::POST, 2, ["import"]) if certificates => {
            Ok((DataOperation::Import, RouteAction::Import, None))
        }
        (&Method::PATCH, 1, _) if certificates => Ok((DataOperation::Update, RouteAction::Update, None)),
        (&Method::PATCH, 2, ["policy"]) if certificates => {
            Ok((DataOperation::Update, RouteAction::UpdatePolicy, None))
        }
        (&Method::PATCH, 2, [version]) if certificates => {
            Ok((DataOperation::Update, RouteAction::Update, Some((*version).to_owned())))
        }
        (&Method::DELETE, 1, _) if certificates => Ok((DataOperation::Delete, RouteAction::Delete, None)),
        (&Method::PUT, 1, _) if collection == "secrets" => {
            Ok((DataOperation::Set, RouteAction::SetSecret, None))
        }
        (&Method::PATCH, 1 | 2, _) if collection == "secrets" => {
            Ok((DataOperation::Update, RouteAction::UpdateSecret, None))
        }
        (&Method::DELETE, 1, _) if collection == "secrets" => {
            Ok((DataOperation::Delete, RouteAction::DeleteSecret, None))
        }
        _ => Err(not_allowed(method, collection)),
    }
}

fn in_deleted_secrets(method: &Method, rest: &[&str]) -> Result<ParsedRoute, VaultError> {
    match (method, rest) {
        (&Method::GET, []) => Ok((DataOperation::List, RouteAction::ListDeletedSecrets, None)),
        (&Method::GET, [_]) => Ok((DataOperation::Get, RouteAction::GetDeletedSecret, None)),
        (&Method::POST, [_, action]) if action.eq_ignore_ascii_case("recover") => {
            Ok((DataOperation::Recover, RouteAction::RecoverSecret, None))
        }
        (&Method::DELETE, [_]) => Ok((DataOperation::Purge, RouteAction::PurgeSecret, None)),
        _ => Err(not_allowed(method, "deletedsecrets")),
    }
}

fn in_deleted(method: &Method, rest: &[&str]) -> Result<ParsedRoute, VaultError> {
    match (method, rest) {
        (&Method::GET, []) => Ok((DataOperation::List, RouteAction::ListDeleted, None)),
        (&Method::GET, [_]) => Ok((DataOperation::Get, RouteAction::GetDeleted, None)),
        (&Method::POST, [_, action]) if action.eq_ignore_ascii_case("recover") => {
            Ok((DataOperation::Recover, RouteAction::Recover, None))
        }
        (&Method::DELETE, [_]) => Ok((DataOperation::Purge, RouteAction::Purge, None)),
        _ => Err(not_allowed(method, "deletedcertificates")),
    }
}

fn not_allowed(method: &Method, collection: &str) -> VaultError {
    VaultError::new(405, "BadParameter", unavailable(&format!("This {method} of {collection} in a vault")))
}

/// Checks a name: `^[0-9a-zA-Z-]+$`, at most 127 characters.
fn checked_name(collection: &str, name: &str) -> Result<String, VaultError> {
    let alphabet = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if (1..=127).contains(&name.len()) && name.chars().all(alphabet) {
        return Ok(name.to_owned());
    }
    let kind = collection.trim_end_matches('s');
    let message = format!(
        "The request URI contains an invalid name: {name} (a {kind}'s name has 1 to 127 letters, digits and hyphens)"
    );
    Err(VaultError::parameter(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(method: Method, path: &str) -> Result<(RouteAction, Option<String>), u16> {
        let request = Request::new(method, "kv.vault.landfall.localhost", path);
        Target::of(&request).map(|target| (target.action, target.version)).map_err(|error| error.status)
    }

    #[test]
    fn a_trailing_slash_means_the_newest_version() {
        assert_eq!(target(Method::GET, "/certificates/c/"), Ok((RouteAction::Get, None)));
        assert_eq!(target(Method::GET, "/certificates/c"), Ok((RouteAction::Get, None)));
        assert_eq!(target(Method::GET, "/secrets/c/0123"), Ok((RouteAction::Get, Some("0123".into()))));
    }

    #[test]
    fn paths_map_to_actions() {
        assert_eq!(target(Method::GET, "/certificates/c/versions"), Ok((RouteAction::Versions, None)));
        assert_eq!(target(Method::POST, "/certificates/c/import"), Ok((RouteAction::Import, None)));
        assert_eq!(target(Method::POST, "/deletedcertificates/c/recover"), Ok((RouteAction::Recover, None)));
        assert_eq!(target(Method::DELETE, "/deletedcertificates/c"), Ok((RouteAction::Purge, None)));
    }

    #[test]
    fn what_the_data_plane_does_not_have_is_refused() {
        assert_eq!(target(Method::POST, "/secrets/c/import"), Err(405));
        assert_eq!(target(Method::GET, "/storage"), Err(404));
        assert_eq!(target(Method::GET, "/certificates/c_d"), Err(400));
        assert_eq!(target(Method::GET, &format!("/certificates/{}", "a".repeat(128))), Err(400));
    }
}
