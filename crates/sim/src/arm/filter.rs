//! `$filter` and `$top` for lists of resources and groups (Resources REST API, "Resources - List").

use serde_json::{Value, json};

use crate::arm::error::ArmError;
use crate::arm::{Call, id};
use crate::request::{Reply, Request};
use crate::state::CloudState;

/// A filter in disjunctive form: any of the inner lists, of which all terms must match.
#[derive(Debug)]
pub(super) struct Filter(Vec<Vec<Term>>);

/// One comparison; field names are lower case, texts compare case-insensitively.
#[derive(Debug)]
struct Term {
    field: String,
    how: How,
    value: String,
}

#[derive(Debug, PartialEq, Eq)]
enum How {
    Equal,
    Unequal,
    Contains,
    StartsWith,
}

/// The fields by which resources can be filtered.
pub(super) const OF_RESOURCES: &[&str] =
    &["name", "resourcetype", "location", "resourcegroup", "tagname", "tagvalue"];
/// The fields by which groups can be filtered.
pub(super) const OF_GROUPS: &[&str] = &["tagname", "tagvalue"];

impl Filter {
    /// Parses a filter over these fields; an empty one matches everything.
    ///
    /// # Errors
    /// 400 `InvalidFilterInQueryString`.
    pub(super) fn read(text: &str, fields: &[&str]) -> Result<Self, ArmError> {
        let invalid = || {
            let why = format!("Invalid $filter '{text}' specified in the query string.");
            ArmError::gateway(400, "InvalidFilterInQueryString", why)
        };
        if text.trim().is_empty() {
            return Ok(Self(vec![Vec::new()]));
        }
        let all = |text: &str| text.split(" and ").map(Term::read).collect::<Option<Vec<_>>>();
        let any = text.split(" or ").map(all).collect::<Option<Vec<_>>>().ok_or_else(invalid)?;
        let is_known = any.iter().flatten().all(|term| fields.contains(&term.field.as_str()));
        if is_known { Ok(Self(any)) } else { Err(invalid()) }
    }

    /// Returns whether the filter matches the body of a resource or group.
    pub(super) fn matches(&self, body: &Value) -> bool {
        self.0.iter().any(|terms| {
            let tag = terms.iter().find(|term| term.field == "tagname" && term.how == How::Equal);
            terms.iter().all(|term| term.matches(body, tag.map(|tag| tag.value.as_str())))
        })
    }
}

impl Term {
    fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let two = |inside: &str| {
            let (one, other) = inside.strip_suffix(')')?.split_once(',')?;
            Some((one.trim().to_owned(), other.trim().to_owned()))
        };
        let (field, how, value) = if let Some(inside) = text.strip_prefix("substringof(") {
            let (value, field) = two(inside)?;
            (field, How::Contains, value)
        } else if let Some(inside) = text.strip_prefix("startswith(") {
            let (field, value) = two(inside)?;
            (field, How::StartsWith, value)
        } else if let Some((field, value)) = text.split_once(" eq ") {
            (field.trim().to_owned(), How::Equal, value.trim().to_owned())
        } else {
            let (field, value) = text.split_once(" ne ")?;
            (field.trim().to_owned(), How::Unequal, value.trim().to_owned())
        };
        let value = value.strip_prefix('\'')?.strip_suffix('\'')?.replace("''", "'").to_lowercase();
        Some(Self { field: field.to_ascii_lowercase(), how, value })
    }

    /// Returns whether the comparison matches. `tag` is the tag name to which the value belongs, if the
    /// filter has both.
    fn matches(&self, body: &Value, tag: Option<&str>) -> bool {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let own: Vec<String> = match self.field.as_str() {
            "resourcetype" => vec![text(&body["type"])],
            "resourcegroup" => {
                vec![id::part(&text(&body["id"]), "resourceGroups").unwrap_or_default().to_owned()]
            }
            "tagname" => body["tags"].as_object().into_iter().flat_map(|tags| tags.keys().cloned()).collect(),
            "tagvalue" => body["tags"]
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(name, _)| tag.is_none_or(|tag| name.eq_ignore_ascii_case(tag)))
                .map(|(_, value)| text(value))
                .collect(),
            field => vec![text(&body[field])],
        };
        let is = |own: &String| {
            let own = own.to_lowercase();
            match self.how {
                How::Equal | How::Unequal => own == self.value,
                How::Contains => own.contains(&self.value),
                How::StartsWith => own.starts_with(&self.value),
            }
        };
        own.iter().any(is) != (self.how == How::Unequal)
    }
}

/// The scope of a list of locks, policy assignments and the like: they apply from above and from below.
pub(super) struct ListScope {
    scope: String,
    /// True with `$filter=atScope()`: those below do not match.
    excludes_below: bool,
}

impl ListScope {
    /// Reads the scope of a call.
    ///
    /// # Errors
    /// 404 if the scope does not exist.
    pub(super) fn of(state: &CloudState, call: &Call<'_>) -> Result<Self, ArmError> {
        let scope = format!("/{}", call.param("scope"));
        super::scope::scope_exists(state, &scope)?;
        let filter = call.request.query("$filter");
        let excludes_below = filter.is_some_and(|filter| filter.eq_ignore_ascii_case("atScope()"));
        Ok(Self { scope, excludes_below })
    }

    /// Returns whether something at that scope is listed.
    pub(super) fn lists(&self, scope: &str) -> bool {
        id::within(&self.scope, scope) || (!self.excludes_below && id::within(scope, &self.scope))
    }
}

/// Returns the list that matches the call's `$filter`, paged if the call has a `$top`.
///
/// # Errors
/// 400 for an invalid filter or page size.
pub(super) fn reply(
    state: &CloudState,
    call: &Call<'_>,
    all: Vec<Value>,
    fields: &[&str],
) -> Result<Reply, ArmError> {
    let filter = Filter::read(call.request.query("$filter").unwrap_or_default(), fields)?;
    let found: Vec<Value> = all.into_iter().filter(|body| filter.matches(body)).collect();
    let number = |name: &str| -> Result<Option<usize>, ArmError> {
        call.request.query(name).map(str::parse).transpose().map_err(|_| {
            let why = format!("The value of the query parameter {name} is invalid.");
            ArmError::gateway(400, "InvalidQueryParameter", why)
        })
    };
    let from = number("$skiptoken")?.unwrap_or(0).min(found.len());
    let until = number("$top")?.map_or(found.len(), |top| found.len().min(from + top.max(1)));
    let mut body = json!({ "value": found[from..until] });
    if until < found.len() {
        let mut query: Vec<(String, String)> =
            call.request.query.iter().filter(|(name, _)| name != "$skiptoken").cloned().collect();
        query.push(("$skiptoken".to_owned(), until.to_string()));
        let next = Request { query, ..call.request.clone() };
        body["nextLink"] = json!(format!("{}{}", state.arm_origin(), next.target()));
    }
    Ok(Reply::json(200, &body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_cloud::{TestCloud, code};

    fn matches(filter: &str, body: &Value) -> Option<bool> {
        Some(Filter::read(filter, OF_RESOURCES).ok()?.matches(body))
    }

    #[test]
    fn resources_are_found_by_type_name_place_and_tag() {
        let body = json!({
            "id": "/subscriptions/s/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/kv",
            "name": "kv", "type": "Microsoft.KeyVault/vaults", "location": "eastus", "tags": { "env": "demo", "x": "y" },
        });
        for (filter, wanted) in [
            ("", Some(true)),
            ("resourceType eq 'microsoft.keyvault/vaults' and name eq 'KV'", Some(true)),
            ("resourceType ne 'Microsoft.KeyVault/vaults'", Some(false)),
            ("resourceGroup eq 'other'", Some(false)),
            ("name eq 'other' or location eq 'eastus'", Some(true)),
            ("substringof('k', name)", Some(true)),
            ("startswith(name, 'v')", Some(false)),
            ("tagName eq 'env' and tagValue eq 'demo'", Some(true)),
            ("tagName eq 'env' and tagValue eq 'y'", Some(false)),
            ("tagName eq 'none'", Some(false)),
            ("colour eq 'red'", None),
            ("name", None),
        ] {
            assert_eq!(matches(filter, &body), wanted, "{filter}");
        }
    }

    #[test]
    fn a_list_of_groups_is_paged_and_refuses_unsupported_filters() {
        let mut cloud = TestCloud::new();
        for name in ["a", "b"] {
            cloud.state.add_group(name, "eastus", &json!({ "team": "one" }), None, cloud.now);
        }
        let list = cloud.path("/resourcegroups?api-version=2024-11-01");
        let tagged = cloud.get(&format!("{list}&$filter=tagName eq 'team' and tagValue eq 'one'")).value();
        assert_eq!(tagged["value"].as_array().map(Vec::len), Some(2));
        let first = cloud.get(&format!("{list}&$top=2")).value();
        let next = first["nextLink"].as_str().unwrap().split_once(":20000").unwrap().1.to_owned();
        let rest = cloud.get(&next).value();
        assert_eq!(rest["value"][0]["name"], "rg");
        assert!(rest.get("nextLink").is_none());
        assert_eq!(code(&cloud.get(&format!("{list}&$filter=name eq 'a'"))), "InvalidFilterInQueryString");
    }
}
