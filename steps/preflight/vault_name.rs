//! Check that the vault's name is valid and free, or that the vault is owned.

use super::{PreflightCheckId, finding::Finding};
use crate::{
    key_vault::{KeyVault, retained_until},
    names,
    settings::Settings,
};
use landfall_cloud::{
    ApiError,
    arm::{NameTaken, SubscriptionClient},
};
use landfall_engine::Context;
use serde_json::Value;

/// The state of a vault name.
pub(super) enum NameState {
    /// The name is free or owned.
    Available,
    /// An owned vault of that name is soft-deleted, and will be recovered.
    Recoverable,
    /// The name violates the rules.
    Invalid(String),
    /// Another owner has the name; contains the deleted vault if it is recoverable in this subscription.
    Taken(Option<Value>),
}

/// Reads the state of the vault's name. Only a taken name needs more than one request.
pub(super) async fn query(
    cx: &Context,
    azure: &SubscriptionClient,
    s: &Settings,
    vault: &KeyVault,
) -> Result<NameState, ApiError> {
    let name = names::vault(s, azure.id());
    match azure.vault_name_taken(&name).await? {
        None => return Ok(NameState::Available),
        Some(NameTaken::Invalid(why)) => return Ok(NameState::Invalid(why)),
        Some(NameTaken::InUse(_)) => {}
    }
    let (existing, deleted) =
        tokio::join!(azure.vault(&s.resource_group, &name), azure.deleted_vault(&s.location, &name));
    if existing?.is_some() {
        return Ok(NameState::Available);
    }
    let deleted = deleted?;
    Ok(match deleted.as_ref().is_some_and(|deleted| vault.was_owned(cx, deleted)) {
        true => NameState::Recoverable,
        false => NameState::Taken(deleted),
    })
}

/// Evaluates the state of the name.
pub(super) fn evaluate(s: &Settings, name: &str, name_state: &NameState) -> Option<Finding> {
    let action = format!("create key vault {name}");
    match name_state {
        NameState::Available | NameState::Recoverable => None,
        NameState::Invalid(why) => Some(
            Finding::input(PreflightCheckId::VaultName, action)
                .code("VaultNameNotValid")
                .cause(why.clone())
                .fix("set key_vault.name to 3–24 letters, digits and single hyphens, a letter first"),
        ),
        NameState::Taken(deleted) => {
            let (cause, or) = match deleted {
                None => (
                    format!(
                        "the name {name} is taken by another vault; vault names are unique in all of Azure"
                    ),
                    String::new(),
                ),
                Some(deleted) => (
                    format!("a vault {name}, not owned by landfall, is deleted and recoverable"),
                    match retained_until(deleted) {
                        Some(until) => format!("; purge protection retains the deleted vault until {until}"),
                        None => format!(
                            "; or, if its contents are not needed: az keyvault purge --name {name} --location {}",
                            s.location
                        ),
                    },
                ),
            };
            let suggested = names::another_vault(name);
            Some(
                Finding::refused(PreflightCheckId::VaultName, action)
                    .code("VaultAlreadyExists")
                    .cause(cause)
                    .fix(format!(
                        "set key_vault.name (KEYVAULT_NAME) to another name, such as {suggested}{or}"
                    )),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_taken_name_always_gets_the_same_suggestion() {
        let s = crate::settings::tests::settings();
        let one = evaluate(&s, "kv-demo-4711", &NameState::Taken(None)).unwrap();
        assert_eq!(one, evaluate(&s, "kv-demo-4711", &NameState::Taken(None)).unwrap());
        assert!(one.fix.contains(&names::another_vault("kv-demo-4711")), "{}", one.fix);
        let deleted = evaluate(&s, "kv-demo-4711", &NameState::Taken(Some(json!({})))).unwrap();
        assert!(deleted.fix.contains("az keyvault purge --name kv-demo-4711 --location eastus"));
        let protected = json!({ "properties": {
            "purgeProtectionEnabled": true, "scheduledPurgeDate": "2027-02-27T09:00:00Z",
        } });
        let protected = evaluate(&s, "kv-demo-4711", &NameState::Taken(Some(protected))).unwrap();
        assert!(!protected.fix.contains("az keyvault purge"), "{}", protected.fix);
        assert!(protected.fix.contains("until 2027-02-27"), "{}", protected.fix);
        assert_eq!(evaluate(&s, "kv-demo-4711", &NameState::Recoverable), None);
    }
}
