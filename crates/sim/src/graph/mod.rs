//! A small Microsoft Graph, v1.0: read-only access to the directory, for clients that assign roles by name.
//!
//! Contract: the Graph reference for `users`, `servicePrincipals`, `directoryObjects/getByIds` and the query
//! parameters `$filter`, `$select` and `$top`. This directory has no groups, so every membership list is
//! empty.

mod error;
mod filter;
mod object;

use http::Method;
use serde_json::{Value, json};

use crate::clock::SimTime;
use crate::entra::{self, Caller, Principal, PrincipalKind};
use crate::request::{Reply, Request};
use crate::state::CloudState;
use error::GraphError;
use filter::Filter;
use object::{body, typed};

/// The default and maximum page size.
const PAGE: (usize, usize) = (100, 999);
/// The maximum number of ids for `getByIds`.
const IDS_MAX: usize = 1000;

/// Answers a request to Graph.
pub fn serve(state: &CloudState, request: &Request, now: SimTime) -> Reply {
    let answered = entra::bearer(state, request, &state.graph_audience(), now)
        .map_err(GraphError::unauthenticated)
        .and_then(|caller| GraphCall { state, request, now }.answer(&caller));
    let reply = answered.unwrap_or_else(|error| error.into_reply(state, request, now));
    reply.with_header("odata-version", "4.0").with_header("cache-control", "no-cache")
}

/// A request of an authenticated caller.
struct GraphCall<'a> {
    state: &'a CloudState,
    request: &'a Request,
    now: SimTime,
}

impl<'a> GraphCall<'a> {
    fn answer(&self, caller: &Caller) -> Result<Reply, GraphError> {
        let segments = self.request.segments();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let ["v1.0" | "beta", path @ ..] = segments.as_slice() else {
            return Err(GraphError::bad("Invalid version."));
        };
        match (&self.request.method, path) {
            (&Method::GET, ["me"]) => self.me(caller),
            (&Method::GET, ["users"]) => self.list("users", Some(PrincipalKind::User)),
            (&Method::GET, ["servicePrincipals"]) => {
                self.list("servicePrincipals", Some(PrincipalKind::ServicePrincipal))
            }
            (&Method::GET, ["groups"]) => Ok(Reply::json(200, &self.page("groups", &[], None))),
            (&Method::GET, ["users", id]) => self.one("users", id, |one| one.kind == PrincipalKind::User),
            (&Method::GET, ["servicePrincipals", id]) => {
                self.one("servicePrincipals", id, |one| one.kind == PrincipalKind::ServicePrincipal)
            }
            (&Method::GET, ["directoryObjects", id]) => self.one("directoryObjects", id, |_| true),
            (&Method::POST, ["directoryObjects", "getByIds"]) => self.by_ids(),
            (
                &Method::POST,
                [
                    "users" | "servicePrincipals" | "directoryObjects",
                    id,
                    "getMemberGroups" | "getMemberObjects",
                ],
            ) => {
                self.find(id).ok_or_else(|| GraphError::not_found(id))?;
                Ok(Reply::json(
                    200,
                    &json!({ "@odata.context": self.context("Collection(Edm.String)"), "value": [] }),
                ))
            }
            (
                method,
                ["users" | "servicePrincipals" | "directoryObjects" | "groups" | "applications", ..],
            ) if method != Method::GET => Err(GraphError::denied()),
            (_, path) => {
                tracing::warn!(method = %self.request.method, path = self.request.path, "Graph knows no such path");
                Err(GraphError::segment(path.first().copied().unwrap_or_default()))
            }
        }
    }

    fn me(&self, caller: &Caller) -> Result<Reply, GraphError> {
        if !caller.is_user {
            return Err(GraphError::bad("/me request is only valid with delegated authentication flow."));
        }
        self.one("users", &caller.object_id, |_| true)
    }

    /// Returns the principals that the directory shows by now.
    fn visible(&self) -> impl Iterator<Item = &'a Principal> {
        let now = self.now;
        self.state.directory.principals.iter().filter(move |one| one.visible_from <= now)
    }

    /// Finds a principal by object id or sign-in name.
    fn find(&self, id: &str) -> Option<&'a Principal> {
        self.visible().find(|one| {
            one.object_id.eq_ignore_ascii_case(id)
                || one.sign_in_name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(id))
        })
    }

    fn one(&self, set: &str, id: &str, fits: impl Fn(&Principal) -> bool) -> Result<Reply, GraphError> {
        let found = self.find(id).filter(|one| fits(one)).ok_or_else(|| GraphError::not_found(id))?;
        let mut value = body(found, &self.state.directory.tenant);
        if set == "directoryObjects" {
            value = typed(found, value);
        }
        let mut value = self.selected(value);
        value["@odata.context"] = json!(self.context(&format!("{set}/$entity")));
        Ok(Reply::json(200, &value))
    }

    fn list(&self, set: &str, kind: Option<PrincipalKind>) -> Result<Reply, GraphError> {
        let filter = Filter::read(self.request.query("$filter").unwrap_or_default())?;
        let mut found = Vec::new();
        for one in self.visible().filter(|one| kind.is_none_or(|kind| one.kind == kind)) {
            let value = body(one, &self.state.directory.tenant);
            if filter.matches(&value)? {
                found.push(self.selected(value));
            }
        }
        let number = |name: &str| self.request.query(name).map(str::parse::<usize>).transpose();
        let invalid = |_| GraphError::bad("Invalid page size or token specified.");
        let size = number("$top").map_err(invalid)?.unwrap_or(PAGE.0);
        if !(1..=PAGE.1).contains(&size) {
            let why =
                format!("Invalid page size specified: '{size}'. Must be between 1 and {} inclusive.", PAGE.1);
            return Err(GraphError::unsupported(why));
        }
        let from = number("$skiptoken").map_err(invalid)?.unwrap_or(0).min(found.len());
        let until = found.len().min(from + size);
        let next = (until < found.len()).then(|| self.next(until));
        Ok(Reply::json(200, &self.page(set, &found[from..until], next)))
    }

    fn by_ids(&self) -> Result<Reply, GraphError> {
        let body_of = |name: &str| -> Result<Option<Vec<String>>, GraphError> {
            let body: Value =
                self.request.json().map_err(|_| GraphError::bad("Unable to read JSON request payload."))?;
            let Some(list) = body.get(name).filter(|list| !list.is_null()) else { return Ok(None) };
            serde_json::from_value(list.clone())
                .map(Some)
                .map_err(|_| GraphError::bad("Invalid value for a collection."))
        };
        let ids = body_of("ids")?
            .ok_or_else(|| GraphError::bad("The request must contain the parameter 'ids'."))?;
        if ids.len() > IDS_MAX {
            return Err(GraphError::bad(format!("The number of ids is limited to {IDS_MAX}.")));
        }
        let kinds = body_of("types")?;
        let fits = |one: &Principal| {
            kinds.as_ref().is_none_or(|kinds| {
                kinds
                    .iter()
                    .any(|kind| kind == "directoryObject" || kind.eq_ignore_ascii_case(one.kind.as_str()))
            })
        };
        let found: Vec<Value> = self
            .visible()
            .filter(|one| ids.iter().any(|id| id.eq_ignore_ascii_case(&one.object_id)) && fits(one))
            .map(|one| typed(one, body(one, &self.state.directory.tenant)))
            .collect();
        Ok(Reply::json(200, &self.page("directoryObjects", &found, None)))
    }

    fn context(&self, of: &str) -> String {
        format!("{}/v1.0/$metadata#{of}", self.state.origin("graph"))
    }

    fn page(&self, set: &str, found: &[Value], next: Option<String>) -> Value {
        let mut page = json!({ "@odata.context": self.context(set), "value": found });
        if let Some(next) = next {
            page["@odata.nextLink"] = json!(next);
        }
        page
    }

    fn next(&self, from: usize) -> String {
        let mut query: Vec<(String, String)> =
            self.request.query.iter().filter(|(name, _)| name != "$skiptoken").cloned().collect();
        query.push(("$skiptoken".to_owned(), from.to_string()));
        let next = Request { query, ..self.request.clone() };
        format!("{}{}", self.state.origin("graph"), next.target())
    }

    /// Keeps only the properties in `$select`.
    fn selected(&self, mut value: Value) -> Value {
        if let (Some(select), Some(fields)) = (self.request.query("$select"), value.as_object_mut()) {
            let wanted: Vec<&str> = select.split(',').map(str::trim).collect();
            fields.retain(|name, _| wanted.contains(&name.as_str()));
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_cloud::{TestCloud, code};

    fn send_as(
        cloud: &mut TestCloud,
        object_id: &str,
        method: Method,
        target: &str,
        body: Option<&Value>,
    ) -> Reply {
        let audience = cloud.state.graph_audience();
        let token = entra::token_for(&cloud.state, object_id, &audience, cloud.now);
        let request = Request::new(method, "graph.landfall.localhost", target)
            .with_header("authorization", &format!("Bearer {token}"));
        cloud.send(&body.map_or(request.clone(), |body| request.with_json(body)))
    }

    fn get(cloud: &mut TestCloud, target: &str) -> Reply {
        let user = cloud.state.directory.user().object_id.clone();
        send_as(cloud, &user, Method::GET, target, None)
    }

    #[test]
    fn an_application_is_found_by_its_id_and_a_person_by_name() {
        let mut cloud = TestCloud::new();
        let owner = cloud.state.directory.owner().clone();
        let filter = format!("servicePrincipalNames/any(c:c eq '{}')", owner.client_id);
        let found = get(&mut cloud, &format!("/v1.0/servicePrincipals?$filter={filter}")).value();
        assert_eq!(found["value"][0]["id"], owner.object_id);
        let people =
            get(&mut cloud, "/v1.0/users?$filter=userPrincipalName%20eq%20'DEMO@landfall.localhost'").value();
        assert_eq!(people["value"][0]["id"], cloud.state.directory.user().object_id);
        let unknown_id = get(&mut cloud, "/v1.0/servicePrincipals?$filter=displayName eq 'nobody'").value();
        assert_eq!(unknown_id["value"], json!([]));
        let unknown = get(&mut cloud, "/v1.0/users?$filter=shoeSize eq '44'");
        assert_eq!((unknown.status.as_u16(), code(&unknown).as_str()), (400, "Request_UnsupportedQuery"));
    }

    #[test]
    fn me_is_for_people() {
        let mut cloud = TestCloud::new();
        assert_eq!(get(&mut cloud, "/v1.0/me").value()["userPrincipalName"], "demo@landfall.localhost");
        let owner = cloud.state.directory.owner().object_id.clone();
        let refused = send_as(&mut cloud, &owner, Method::GET, "/v1.0/me", None);
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (400, "BadRequest"));
    }

    #[test]
    fn ids_are_resolved_by_kind_and_unknown_ones_are_omitted() {
        let mut cloud = TestCloud::new();
        let (owner, user) =
            (cloud.state.directory.owner().object_id.clone(), cloud.state.directory.user().object_id.clone());
        let ids = json!({ "ids": [user, owner, "0f3a8c80-27f3-4b59-8b67-0f5b2a0f0a55"], "types": ["user"] });
        let found =
            send_as(&mut cloud, &owner, Method::POST, "/v1.0/directoryObjects/getByIds", Some(&ids)).value();
        assert_eq!(found["value"].as_array().map(Vec::len), Some(1));
        assert_eq!(found["value"][0]["@odata.type"], "#microsoft.graph.user");
    }

    #[test]
    fn an_identity_is_not_seen_before_the_directory_has_it() {
        let mut cloud = TestCloud::new();
        let fresh = "0f3a8c80-27f3-4b59-8b67-0f5b2a0f0a55";
        let visible = cloud.now.plus_ms(30_000);
        cloud.state.directory.add_managed_identity(fresh.to_owned(), "c".to_owned(), "m", "/x", visible);
        let target = format!("/v1.0/servicePrincipals/{fresh}");
        assert_eq!(code(&get(&mut cloud, &target)), "Request_ResourceNotFound");
        cloud.advance(30.0);
        assert_eq!(get(&mut cloud, &target).value()["servicePrincipalType"], "ManagedIdentity");
    }

    #[test]
    fn a_token_for_another_service_and_a_write_are_refused() {
        let mut cloud = TestCloud::new();
        let owner = cloud.state.directory.owner().object_id.clone();
        let arm = entra::token_for(&cloud.state, &owner, &cloud.state.arm_audience(), cloud.now);
        let request = Request::new(Method::GET, "graph.landfall.localhost", "/v1.0/users")
            .with_header("authorization", &format!("Bearer {arm}"));
        let refused = cloud.send(&request);
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (401, "InvalidAuthenticationToken"));
        let refused = send_as(&mut cloud, &owner, Method::POST, "/v1.0/users", Some(&json!({})));
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (403, "Authorization_RequestDenied"));
    }

    #[test]
    fn a_long_list_is_paged() {
        let mut cloud = TestCloud::new();
        for id in 0..3 {
            let object = format!("0f3a8c80-27f3-4b59-8b67-0f5b2a0f0a5{id}");
            cloud.state.directory.add_managed_identity(object, format!("c{id}"), "m", "/x", SimTime(0));
        }
        let first = get(&mut cloud, "/v1.0/servicePrincipals?$top=3&$select=id").value();
        assert_eq!(first["value"].as_array().map(Vec::len), Some(3));
        let next = first["@odata.nextLink"].as_str().unwrap().split_once(":20000").unwrap().1.to_owned();
        let rest = get(&mut cloud, &next).value();
        assert_eq!(rest["value"].as_array().map(Vec::len), Some(1));
        assert!(rest.get("@odata.nextLink").is_none());
    }
}
