//! Permissions of the signed-in principal at a scope.

use super::SubscriptionClient;
use crate::error::{ApiError, ApiErrorKind};
use serde_json::Value;

/// The api-version of permissions.
pub const API: &str = "2022-04-01";

/// The permissions of the caller at a scope, from all applicable roles.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Permissions(Vec<Permission>);

/// The actions that one role includes and excludes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Permission {
    actions: Vec<String>,
    not_actions: Vec<String>,
}

impl Permissions {
    fn from_bodies(bodies: &[Value]) -> Self {
        let texts = |value: &Value| {
            let all = value.as_array().into_iter().flatten();
            all.filter_map(|text| text.as_str().map(str::to_owned)).collect()
        };
        let one = |body: &Value| Permission {
            actions: texts(&body["actions"]),
            not_actions: texts(&body["notActions"]),
        };
        Self(bodies.iter().map(one).collect())
    }

    /// Returns whether an action such as `Microsoft.KeyVault/vaults/write` is allowed. Another role may
    /// include an action that one role excludes.
    #[must_use]
    pub fn allow(&self, action: &str) -> bool {
        let any = |patterns: &[String]| patterns.iter().any(|pattern| matches_pattern(pattern, action));
        self.0.iter().any(|role| any(&role.actions) && !any(&role.not_actions))
    }
}

/// Returns whether an action matches a pattern in which `*` matches any text, without case.
/// <https://learn.microsoft.com/azure/role-based-access-control/role-definitions>
fn matches_pattern(pattern: &str, action: &str) -> bool {
    let (pattern, action) = (pattern.to_ascii_lowercase(), action.to_ascii_lowercase());
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == action };
    let Some(mut left) = action.strip_prefix(first) else { return false };
    let Some((middle, last)) = rest.rsplit_once('*') else { return left.ends_with(rest) };
    for part in middle.split('*') {
        let Some(at) = left.find(part) else { return false };
        left = &left[at + part.len()..];
    }
    left.ends_with(last)
}

impl SubscriptionClient {
    /// Lists the caller's permissions in a group; `None` if the group does not exist.
    /// <https://learn.microsoft.com/rest/api/authorization/permissions/list-for-resource-group>
    ///
    /// # Errors
    /// 403 if the caller has no role there.
    pub async fn permissions_in(&self, group: &str) -> Result<Option<Permissions>, ApiError> {
        match self.permissions_at(&format!("/resourceGroups/{group}")).await {
            Err(error) if error.kind == ApiErrorKind::NotFound => Ok(None),
            listed => listed.map(Some),
        }
    }

    /// Lists the caller's permissions in the whole subscription.
    ///
    /// # Errors
    /// 403 if the caller has no role at the subscription.
    pub async fn permissions(&self) -> Result<Permissions, ApiError> {
        self.permissions_at("").await
    }

    /// Lists the caller's permissions at a resource, with those that it inherits.
    /// <https://learn.microsoft.com/rest/api/authorization/permissions/list-for-resource>
    ///
    /// # Errors
    /// 403 if the caller has no role there.
    pub async fn permissions_at_resource(&self, id: &str) -> Result<Permissions, ApiError> {
        self.listed_permissions(&format!("{id}/providers/Microsoft.Authorization/permissions")).await
    }

    async fn permissions_at(&self, below: &str) -> Result<Permissions, ApiError> {
        let path = self.path(&format!("{below}/providers/Microsoft.Authorization/permissions"));
        self.listed_permissions(&path).await
    }

    async fn listed_permissions(&self, path: &str) -> Result<Permissions, ApiError> {
        Ok(Permissions::from_bodies(&self.arm().list(path, API, &[]).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_star_matches_any_text() {
        let write = "Microsoft.Authorization/roleAssignments/write";
        for (pattern, wanted) in [
            ("*", true),
            ("Microsoft.Authorization/*/Write", true),
            ("*/read", false),
            ("microsoft.authorization/roleassignments/WRITE", true),
            ("Microsoft.*/role*/write", true),
            ("Microsoft.*/vault*/write", false),
            ("Microsoft.Authorization/*", true),
            ("Microsoft.Authorization/roleAssignments", false),
        ] {
            assert_eq!(matches_pattern(pattern, write), wanted, "{pattern}");
        }
    }

    #[test]
    fn a_not_action_of_one_role_does_not_affect_another_role() {
        let contributor = json!({ "actions": ["*"], "notActions": ["Microsoft.Authorization/*/Write"] });
        let administrator = json!({ "actions": ["Microsoft.Authorization/*"] });
        let write = "Microsoft.Authorization/roleAssignments/write";
        let alone = Permissions::from_bodies(std::slice::from_ref(&contributor));
        assert!(alone.allow("Microsoft.KeyVault/vaults/write") && !alone.allow(write));
        assert!(Permissions::from_bodies(&[contributor, administrator]).allow(write));
    }
}
