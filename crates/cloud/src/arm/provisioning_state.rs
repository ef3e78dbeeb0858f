//! `properties.provisioningState`, parsed as ARM specifies.

use serde_json::Value;

/// The provisioning state of a resource.
///
/// Exactly three values are final, and every other one means in progress:
/// <https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations#provisioningstate-values>.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Usable. A resource without a state counts as this.
    Succeeded,
    /// The last operation failed; the resource may still work.
    Failed,
    /// The last operation was cancelled.
    Canceled,
    /// The deletion is in progress.
    Deleting,
    /// Any other state: `Creating`, `Updating`, `RegisteringDns`, or an unknown one.
    Running(String),
}

impl State {
    /// Parses the state of a resource body.
    #[must_use]
    pub fn of(resource: &Value) -> Self {
        match resource["properties"]["provisioningState"].as_str() {
            None => Self::Succeeded,
            Some(word) => Self::parse(word),
        }
    }

    fn parse(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "succeeded" => Self::Succeeded,
            "failed" => Self::Failed,
            "canceled" | "cancelled" => Self::Canceled,
            "deleting" => Self::Deleting,
            _ => Self::Running(word.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_unknown_provisioning_state_is_running() {
        let of = |word: &str| State::of(&json!({"properties": {"provisioningState": word}}));
        assert_eq!(of("succeeded"), State::Succeeded);
        assert_eq!(of("Cancelled"), State::Canceled);
        assert_eq!(of("ReconcilingAddons"), State::Running("ReconcilingAddons".into()));
        assert_eq!(State::of(&json!({"properties": {}})), State::Succeeded);
    }
}
