//! Derived names: the same input always gives the same name, so that a later run finds the same resource.

use crate::{manifests::ServiceAccount, settings::Settings};
use uuid::Uuid;

/// The key of the ownership mark: a tag, or an entry of a record's metadata.
pub const OWNER: &str = "landfall";

/// The tag of an imported certificate that contains the digest of its chain.
pub(crate) const CHAIN: &str = "landfall-chain";

/// Returns the ownership mark. Two users may choose the same environment name in one subscription or zone.
pub(crate) fn mark(settings: &Settings, subscription: &str) -> String {
    format!("{subscription}/{}/{}", settings.resource_group, settings.environment)
}

/// Returns the vault's name: the chosen one, or one derived from subscription and group. Vault names are
/// globally unique: 3–24 characters, letters, digits and single hyphens.
#[must_use]
pub fn vault(settings: &Settings, subscription: &str) -> String {
    if let Some(chosen) = &settings.key_vault {
        return chosen.clone();
    }
    let seed = format!("{subscription}|{}", settings.resource_group).to_ascii_lowercase();
    with_digits(&stem(&settings.resource_group), &seed)
}

/// Returns the name of the identity that reads the vault: the chosen one, or one derived from the cluster's.
#[must_use]
pub fn identity(settings: &Settings) -> String {
    settings.identity_name.clone().unwrap_or_else(|| format!("id-{}", settings.cluster.name))
}

/// The beginning of the names of federated credentials.
pub(crate) const CREDENTIAL: &str = "landfall-";

/// Returns the name of the federated credential of a service account: at most 120 letters, digits, hyphens and
/// underscores. A name that does not fit ends in a digest of the service account.
#[must_use]
pub(crate) fn credential(account: &ServiceAccount) -> String {
    let plain = format!("{CREDENTIAL}{}-{}", account.namespace, account.name);
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
    // A hyphen separates the two, and may be part of both.
    if plain.len() <= 120 && plain.chars().all(allowed) && !account.namespace.contains('-') {
        return plain;
    }
    let digest = Uuid::new_v5(&Uuid::NAMESPACE_URL, account.subject().as_bytes()).simple().to_string();
    let kept: String = plain.chars().map(|c| if allowed(c) { c } else { '-' }).take(80).collect();
    format!("{kept}-{digest}")
}

/// Returns another name for an environment whose vault name is taken, always the same one.
#[must_use]
pub fn another_vault(taken: &str) -> String {
    let stem = taken.trim_start_matches("kv-").trim_end_matches(|c: char| c.is_ascii_hexdigit());
    with_digits(&clean(stem, STEM_MAX), &format!("another|{taken}"))
}

const STEM_MAX: usize = 14;

fn stem(group: &str) -> String {
    let group = group.to_ascii_lowercase();
    let plain = group.strip_prefix("rg-").unwrap_or(&group);
    clean(plain, STEM_MAX)
}

/// Converts a text to letters, digits and single hyphens, without a hyphen at either end.
fn clean(text: &str, at_most: usize) -> String {
    let mut name = String::new();
    for c in text.chars() {
        let c = if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        if c != '-' || !(name.is_empty() || name.ends_with('-')) {
            name.push(c);
        }
    }
    name.chars().take(at_most).collect::<String>().trim_matches('-').to_owned()
}

fn with_digits(stem: &str, seed: &str) -> String {
    let digits = Uuid::new_v5(&Uuid::NAMESPACE_URL, seed.as_bytes()).simple().to_string();
    let stem = if stem.is_empty() { "landfall" } else { stem };
    format!("kv-{stem}-{}", &digits[..6])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_a_vault_name(name: &str) -> bool {
        (3..=24).contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_alphabetic())
            && !name.ends_with('-')
            && !name.contains("--")
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    }

    #[test]
    fn a_derived_vault_name_is_valid_for_any_group_name() {
        for group in ["rg-aks-istio-gateway-demo", "x", "(Ünï).__--code", "rg-", &"long".repeat(20)] {
            let name = with_digits(&stem(group), group);
            assert!(is_a_vault_name(&name), "{group} gave {name}");
            let other = another_vault(&name);
            assert!(is_a_vault_name(&other) && other != name, "{name} gave {other}");
        }
    }
}
