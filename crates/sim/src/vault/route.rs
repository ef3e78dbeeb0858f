//! Routing of the data plane: from method and path to object and access.
//!
//! A trailing slash is ignored: clients that request the newest version send `certificates/{name}/`.

use http::Method;

use super::access::Wish;
use super::refusal::Refusal;
use super::{Asked, create, deleted, import, shelf};
use crate::request::{Reply, Request};
use crate::world::World;

/// A parsed request.
pub(super) struct Target {
    /// The collection of the required right: `certificates`, `secrets` or `keys`.
    pub(super) collection: &'static str,
    /// The requested access.
    pub(super) wish: Wish,
    act: Act,
    name: Option<String>,
    version: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Act {
    List,
    Versions,
    Get,
    Policy,
    Create,
    Pending,
    ForgetPending,
    Import,
    Update,
    Delete,
    ListDeleted,
    GetDeleted,
    Recover,
    Purge,
}

impl Target {
    /// Parses method and path.
    ///
    /// # Errors
    /// 400 for an invalid name, 404 for an unknown path and 405 for an unsupported method.
    pub(super) fn of(request: &Request) -> Result<Target, Refusal> {
        let segments = request.segments();
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        let (collection, gone) = match path.first().map(|first| first.to_ascii_lowercase()).as_deref() {
            Some("certificates") => ("certificates", false),
            Some("deletedcertificates") => ("certificates", true),
            Some("secrets") => ("secrets", false),
            Some("keys") => ("keys", false),
            _ => return Err(Refusal::new(404, "NotFound", "The requested resource does not exist.")),
        };
        let (wish, act, version) = match gone {
            true => in_deleted(&request.method, &path[1..])?,
            false => in_live(&request.method, &path[1..], collection == "certificates")?,
        };
        let name = path.get(1).map(|name| good_name(collection, name)).transpose()?;
        Ok(Target { collection, wish, act, name, version })
    }

    /// Returns the name of the object, if the request has one.
    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Handles the request.
    pub(super) fn serve(&self, world: &mut World, asked: &Asked<'_>) -> Result<Reply, Refusal> {
        let name = self.name().unwrap_or_default();
        let version = self.version.as_deref();
        match self.act {
            Act::List => shelf::list(world, asked, self.collection),
            Act::Versions => shelf::versions(world, asked, self.collection, name),
            Act::Get => shelf::get(world, asked, self.collection, name, version),
            Act::Policy => shelf::policy(world, asked, name),
            Act::Create => create::create(world, asked, name),
            Act::Pending => create::get(world, asked, name),
            Act::ForgetPending => create::forget(world, asked, name),
            Act::Import => import::import(world, asked, name),
            Act::Update => shelf::update(world, asked, name, version),
            Act::Delete => deleted::delete(world, asked, name),
            Act::ListDeleted => deleted::list(world, asked),
            Act::GetDeleted => deleted::get(world, asked, name),
            Act::Recover => deleted::recover(world, asked, name),
            Act::Purge => deleted::purge(world, asked, name),
        }
    }
}

type Understood = (Wish, Act, Option<String>);

fn in_live(method: &Method, rest: &[&str], certificates: bool) -> Result<Understood, Refusal> {
    let lower: Vec<String> = rest.iter().skip(1).map(|part| part.to_ascii_lowercase()).collect();
    let tail: Vec<&str> = lower.iter().map(String::as_str).collect();
    match (method, rest.len(), tail.as_slice()) {
        (&Method::GET, 0, _) => Ok((Wish::List, Act::List, None)),
        (&Method::GET, 1, _) => Ok((Wish::Get, Act::Get, None)),
        (&Method::GET, 2, ["versions"]) => Ok((Wish::List, Act::Versions, None)),
        (&Method::GET, 2, ["policy"]) if certificates => Ok((Wish::Get, Act::Policy, None)),
        (&Method::GET, 2, ["pending"]) if certificates => Ok((Wish::Get, Act::Pending, None)),
        (&Method::DELETE, 2, ["pending"]) if certificates => Ok((Wish::Delete, Act::ForgetPending, None)),
        (&Method::GET, 2, [version]) => Ok((Wish::Get, Act::Get, Some((*version).to_owned()))),
        (&Method::POST, 2, ["create"]) if certificates => Ok((Wish::Create, Act::Create, None)),
        (&Method::POST, 2, ["import"]) if certificates => Ok((Wish::Import, Act::Import, None)),
        (&Method::PATCH, 1, _) if certificates => Ok((Wish::Update, Act::Update, None)),
        (&Method::PATCH, 2, [version]) if certificates => {
            Ok((Wish::Update, Act::Update, Some((*version).to_owned())))
        }
        (&Method::DELETE, 1, _) if certificates => Ok((Wish::Delete, Act::Delete, None)),
        _ => Err(not_allowed(method)),
    }
}

fn in_deleted(method: &Method, rest: &[&str]) -> Result<Understood, Refusal> {
    match (method, rest) {
        (&Method::GET, []) => Ok((Wish::List, Act::ListDeleted, None)),
        (&Method::GET, [_]) => Ok((Wish::Get, Act::GetDeleted, None)),
        (&Method::POST, [_, act]) if act.eq_ignore_ascii_case("recover") => {
            Ok((Wish::Recover, Act::Recover, None))
        }
        (&Method::DELETE, [_]) => Ok((Wish::Purge, Act::Purge, None)),
        _ => Err(not_allowed(method)),
    }
}

fn not_allowed(method: &Method) -> Refusal {
    Refusal::new(405, "BadParameter", format!("Method {method} does not allow operation"))
}

/// Checks a name: `^[0-9a-zA-Z-]+$`, at most 127 characters.
fn good_name(collection: &str, name: &str) -> Result<String, Refusal> {
    let alphabet = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if (1..=127).contains(&name.len()) && name.chars().all(alphabet) {
        return Ok(name.to_owned());
    }
    let kind = collection.trim_end_matches('s');
    let message = format!(
        "The request URI contains an invalid name: {name} (a {kind}'s name has 1 to 127 letters, digits and hyphens)"
    );
    Err(Refusal::parameter(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(method: Method, path: &str) -> Result<(Act, Option<String>), u16> {
        let request = Request::new(method, "kv.vault.landfall.localhost", path);
        Target::of(&request).map(|target| (target.act, target.version)).map_err(|refusal| refusal.status)
    }

    #[test]
    fn a_trailing_slash_means_the_newest_version() {
        assert_eq!(target(Method::GET, "/certificates/c/"), Ok((Act::Get, None)));
        assert_eq!(target(Method::GET, "/certificates/c"), Ok((Act::Get, None)));
        assert_eq!(target(Method::GET, "/secrets/c/0123"), Ok((Act::Get, Some("0123".into()))));
    }

    #[test]
    fn paths_lead_to_acts() {
        assert_eq!(target(Method::GET, "/certificates/c/versions"), Ok((Act::Versions, None)));
        assert_eq!(target(Method::POST, "/certificates/c/import"), Ok((Act::Import, None)));
        assert_eq!(target(Method::POST, "/deletedcertificates/c/recover"), Ok((Act::Recover, None)));
        assert_eq!(target(Method::DELETE, "/deletedcertificates/c"), Ok((Act::Purge, None)));
    }

    #[test]
    fn what_the_data_plane_does_not_have_is_refused() {
        assert_eq!(target(Method::POST, "/secrets/c/import"), Err(405));
        assert_eq!(target(Method::GET, "/storage"), Err(404));
        assert_eq!(target(Method::GET, "/certificates/c_d"), Err(400));
        assert_eq!(target(Method::GET, &format!("/certificates/{}", "a".repeat(128))), Err(400));
    }
}
