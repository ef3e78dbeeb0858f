//! Check that the vault's name is valid and free, or that the vault is owned.

use super::{Concern, finding::Finding};
use crate::{key_vault::KeyVault, names, settings::Settings};
use landfall_cloud::{
    ApiError,
    arm::{Azure, NameTaken},
};
use landfall_engine::Context;
use serde_json::Value;

/// The state of a vault name.
pub(super) enum Standing {
    /// The name is free or owned.
    Ours,
    /// An owned vault of that name is soft-deleted, and will be recovered.
    Recoverable,
    /// The name violates the rules.
    Invalid(String),
    /// Another owner has the name; contains the deleted vault if it is recoverable in this subscription.
    Taken(Option<Value>),
}

/// Reads the state of the vault's name. Only a taken name needs more than one request.
pub(super) async fn ask(
    cx: &Context,
    azure: &Azure,
    s: &Settings,
    vault: &KeyVault,
) -> Result<Standing, ApiError> {
    let name = names::vault(s, azure.id());
    match azure.vault_name_taken(&name).await? {
        None => return Ok(Standing::Ours),
        Some(NameTaken::Invalid(why)) => return Ok(Standing::Invalid(why)),
        Some(NameTaken::InUse(_)) => {}
    }
    let (there, deleted) =
        tokio::join!(azure.vault(&s.resource_group, &name), azure.deleted_vault(&s.location, &name));
    if there?.is_some() {
        return Ok(Standing::Ours);
    }
    let deleted = deleted?;
    Ok(match deleted.as_ref().is_some_and(|deleted| vault.was_ours(cx, deleted)) {
        true => Standing::Recoverable,
        false => Standing::Taken(deleted),
    })
}

/// Evaluates the state of the name.
pub(super) fn judge(s: &Settings, name: &str, standing: &Standing) -> Option<Finding> {
    let doing = format!("create key vault {name}");
    match standing {
        Standing::Ours | Standing::Recoverable => None,
        Standing::Invalid(why) => Some(
            Finding::input(Concern::VaultName, doing)
                .code("VaultNameNotValid")
                .cause(why.clone())
                .mend("set key_vault.name to 3–24 letters, digits and single hyphens, a letter first"),
        ),
        Standing::Taken(deleted) => {
            let (cause, or) = match deleted {
                None => (
                    format!(
                        "the name {name} is taken by another vault; vault names are unique in all of Azure"
                    ),
                    String::new(),
                ),
                Some(_) => (
                    format!("a vault {name}, not owned by landfall, is deleted and recoverable"),
                    format!(
                        "; or, if its contents are not needed: az keyvault purge --name {name} --location {}",
                        s.location
                    ),
                ),
            };
            let suggested = names::another_vault(name);
            Some(
                Finding::refused(Concern::VaultName, doing).code("VaultAlreadyExists").cause(cause).mend(
                    format!("set key_vault.name (KEYVAULT_NAME) to another name, such as {suggested}{or}"),
                ),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_name_that_is_taken_is_answered_with_another_that_is_always_the_same() {
        let s = crate::settings::tests::settings();
        let one = judge(&s, "kv-demo-4711", &Standing::Taken(None)).unwrap();
        assert_eq!(one, judge(&s, "kv-demo-4711", &Standing::Taken(None)).unwrap());
        assert!(one.mend.contains(&names::another_vault("kv-demo-4711")), "{}", one.mend);
        let deleted = judge(&s, "kv-demo-4711", &Standing::Taken(Some(json!({})))).unwrap();
        assert!(deleted.mend.contains("az keyvault purge --name kv-demo-4711 --location eastus"));
        assert_eq!(judge(&s, "kv-demo-4711", &Standing::Recoverable), None);
    }
}
