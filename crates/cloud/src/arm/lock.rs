//! Management locks: protection of resources against deletion, or against every write.

use super::SubscriptionClient;
use crate::error::{ApiError, ApiErrorKind};
use serde_json::Value;

/// The newest stable api-version of locks.
pub const API: &str = "2020-05-01";

/// The part of a lock's id between its scope and its name.
const BELOW: &str = "/providers/microsoft.authorization/locks/";

/// A lock. It applies to its scope and everything below. It also blocks the deletion of everything above,
/// because that includes the locked scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// Its resource id, which `az lock delete --ids` accepts.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The id of the locked resource.
    pub scope: String,
    /// `CanNotDelete`, or `ReadOnly`, which forbids writes too.
    pub level: String,
    /// The notes that its author set.
    pub notes: Option<String>,
}

impl Lock {
    fn from_body(body: &Value) -> Option<Self> {
        let id = body["id"].as_str()?;
        let at = id.to_ascii_lowercase().rfind(BELOW)?;
        let text = |key: &str| body["properties"][key].as_str().filter(|text| !text.is_empty());
        Some(Self {
            id: id.to_owned(),
            name: body["name"].as_str()?.to_owned(),
            scope: id[..at].to_owned(),
            level: text("level").unwrap_or_default().to_owned(),
            notes: text("notes").map(str::to_owned),
        })
    }

    /// Returns whether it applies to the resource with this id.
    #[must_use]
    pub fn covers(&self, id: &str) -> bool {
        within(id, &self.scope)
    }

    /// Returns whether it blocks the deletion of the resource with this id, with everything below it.
    #[must_use]
    pub fn blocks_deletion(&self, id: &str) -> bool {
        within(id, &self.scope) || within(&self.scope, id)
    }

    /// Returns whether it blocks writes to the resource with this id.
    #[must_use]
    pub fn blocks_writes(&self, id: &str) -> bool {
        self.level.eq_ignore_ascii_case("ReadOnly") && within(id, &self.scope)
    }
}

/// Returns whether `id` is `scope` or is below it. Ids compare without case.
fn within(id: &str, scope: &str) -> bool {
    let plain = |id: &str| id.trim_matches('/').to_ascii_lowercase();
    let (id, scope) = (plain(id), plain(scope));
    id.strip_prefix(&scope).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl SubscriptionClient {
    /// Lists every lock of the subscription. If the caller may not read all, lists those of one group, with
    /// those above and below it.
    /// <https://learn.microsoft.com/rest/api/resources/management-locks/list-at-subscription-level>
    ///
    /// # Errors
    /// Returns the error of the request.
    pub async fn locks(&self, group: &str) -> Result<Vec<Lock>, ApiError> {
        let list = async |scope: String| {
            self.arm().list(&format!("{scope}/providers/Microsoft.Authorization/locks"), API, &[]).await
        };
        let listed = match list(self.path("")).await {
            Err(error) if error.kind == ApiErrorKind::Forbidden => {
                match list(self.path(&format!("/resourceGroups/{group}"))).await {
                    Err(error) if error.kind == ApiErrorKind::NotFound => Vec::new(),
                    listed => listed?,
                }
            }
            listed => listed?,
        };
        Ok(listed.iter().filter_map(Lock::from_body).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lock(scope: &str, level: &str) -> Lock {
        let id = format!("{scope}/providers/Microsoft.Authorization/locks/keep");
        let body = json!({ "id": id, "name": "keep", "properties": { "level": level, "notes": "" } });
        Lock::from_body(&body).unwrap()
    }

    #[test]
    fn a_lock_blocks_its_children_and_its_parents() {
        let group = "/subscriptions/s/resourceGroups/rg";
        let network = format!("{group}/providers/Microsoft.Network/virtualNetworks/vn");
        let on_network = lock(&network, "CanNotDelete");
        assert_eq!((on_network.scope.as_str(), on_network.notes.as_deref()), (network.as_str(), None));
        assert!(on_network.blocks_deletion(&network.to_uppercase()) && on_network.blocks_deletion(group));
        assert!(!on_network.blocks_deletion(&format!("{network}2")) && !on_network.blocks_writes(&network));
        assert!(lock("/subscriptions/s", "ReadOnly").blocks_writes(&network));
        assert!(!lock(&network, "ReadOnly").blocks_writes(group), "the group itself may be written");
    }
}
