//! Name rules of the Azure services.
//!
//! Lengths and characters are those of "Naming rules and restrictions for Azure resources":
//! <https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules>.

use crate::settings::config_error::{ConfigError, Sourced};
use landfall_steps::names::OWNER;
use std::collections::BTreeMap;

/// The rule of a name.
struct Rule {
    what: &'static str,
    length: std::ops::RangeInclusive<usize>,
    allowed: fn(char) -> bool,
    characters: &'static str,
    first: fn(char) -> bool,
    last: fn(char) -> bool,
    ends: &'static str,
}

fn alphanumeric(letter: char) -> bool {
    letter.is_ascii_alphanumeric()
}

const RESOURCE_GROUP: Rule = Rule {
    what: "a resource group's name",
    length: 1..=90,
    allowed: |letter| letter.is_alphanumeric() || "_-.()".contains(letter),
    characters: "letters, digits and _-.()",
    first: |_| true,
    last: |letter| letter != '.',
    ends: "must not end with a dot",
};
const NODE_RESOURCE_GROUP: Rule =
    Rule { what: "a node resource group's name", length: 1..=80, ..RESOURCE_GROUP };
const NETWORK: Rule = Rule {
    what: "a network's name",
    length: 2..=64,
    allowed: |letter| alphanumeric(letter) || "_-.".contains(letter),
    characters: "letters, digits and _-.",
    first: alphanumeric,
    last: |letter| alphanumeric(letter) || letter == '_',
    ends: "must start with a letter or digit and end with one or with _",
};
const SUBNET: Rule = Rule { what: "a subnet's name", length: 1..=80, ..NETWORK };
const VAULT: Rule = Rule {
    what: "a vault's name",
    length: 3..=24,
    allowed: |letter| alphanumeric(letter) || letter == '-',
    characters: "letters, digits and hyphens",
    first: |letter| letter.is_ascii_alphabetic(),
    last: alphanumeric,
    ends: "must start with a letter and end with a letter or digit",
};
const IDENTITY: Rule = Rule {
    what: "a managed identity's name",
    length: 3..=128,
    allowed: |letter| alphanumeric(letter) || "_-".contains(letter),
    characters: "letters, digits, _ and -",
    first: alphanumeric,
    last: |_| true,
    ends: "must start with a letter or digit",
};
const CERTIFICATE: Rule = Rule {
    what: "a certificate's name",
    length: 1..=127,
    allowed: |letter| alphanumeric(letter) || letter == '-',
    characters: "letters, digits and hyphens",
    first: |_| true,
    last: |_| true,
    ends: "",
};
const CLUSTER: Rule = Rule {
    what: "a cluster's name",
    length: 1..=63,
    allowed: |letter| alphanumeric(letter) || "_-".contains(letter),
    characters: "letters, digits, _ and -",
    first: alphanumeric,
    last: alphanumeric,
    ends: "must start and end with a letter or digit",
};
const ENVIRONMENT: Rule = Rule {
    what: "an environment's name",
    length: 1..=63,
    allowed: |letter| alphanumeric(letter) || "_-.".contains(letter),
    characters: "letters, digits and _-.",
    first: alphanumeric,
    last: alphanumeric,
    ends: "must start and end with a letter or digit",
};

fn follow(given: &Sourced<String>, rule: &Rule) -> Result<String, ConfigError> {
    let name = given.value.as_str();
    let wrong = |why: String, hint: String| {
        Err(given.wrong(format!("\"{name}\" is not {}: {why}", rule.what)).hint(hint))
    };
    let length = name.chars().count();
    if !rule.length.contains(&length) {
        let hint = format!("it must have {} to {}", rule.length.start(), rule.length.end());
        return wrong(
            format!("it has {length} {}", if length == 1 { "character" } else { "characters" }),
            hint,
        );
    }
    if let Some(letter) = name.chars().find(|letter| !(rule.allowed)(*letter)) {
        return wrong(format!("it contains {letter:?}"), format!("it may contain {}", rule.characters));
    }
    let right =
        name.chars().next().is_some_and(rule.first) && name.chars().next_back().is_some_and(rule.last);
    match right {
        true => Ok(name.to_owned()),
        false => wrong("its first or last character is not allowed".to_owned(), format!("it {}", rule.ends)),
    }
}

/// Checks a resource group's name.
pub fn resource_group(given: &Sourced<String>) -> Result<String, ConfigError> {
    follow(given, &RESOURCE_GROUP)
}

/// Checks the node resource group's name, which must not be the resource group's.
pub fn node_resource_group(given: &Sourced<String>, group: &str) -> Result<String, ConfigError> {
    if given.value.eq_ignore_ascii_case(group) {
        return Err(given
            .wrong(format!("\"{group}\" is the resource group itself"))
            .hint("AKS creates a separate group for the nodes; set another name, or omit it"));
    }
    follow(given, &NODE_RESOURCE_GROUP).map_err(|config_error| match given.is_set_by_user() {
        true => config_error,
        false => {
            let hint = "it is derived from resource_group; set a shorter node_resource_group".to_owned();
            ConfigError { hint, ..config_error }
        }
    })
}

/// Checks the network's name.
pub fn network(given: &Sourced<String>) -> Result<String, ConfigError> {
    follow(given, &NETWORK)
}

/// Checks the subnet's name.
pub fn subnet(given: &Sourced<String>) -> Result<String, ConfigError> {
    follow(given, &SUBNET)
}

/// Checks the vault's name.
pub fn vault(given: &Sourced<String>) -> Result<String, ConfigError> {
    let name = follow(given, &VAULT)?;
    match name.contains("--") {
        true => Err(given
            .wrong(format!("\"{name}\" is not a vault's name: it contains two hyphens in a row"))
            .hint("it is part of a host name; single hyphens are allowed")),
        false => Ok(name),
    }
}

/// Checks the certificate's name.
pub fn certificate(given: &Sourced<String>) -> Result<String, ConfigError> {
    follow(given, &CERTIFICATE)
}

/// Checks the name of the managed identity.
pub fn identity(given: &Sourced<String>) -> Result<String, ConfigError> {
    follow(given, &IDENTITY)
}

/// Checks the cluster's name.
pub fn cluster(given: &Sourced<String>) -> Result<String, ConfigError> {
    follow(given, &CLUSTER)
}

/// Checks the environment's name, which names a folder.
pub fn environment(given: &Sourced<String>) -> Result<String, ConfigError> {
    follow(given, &ENVIRONMENT)
}

/// Checks a region's name: the programmatic one, not the display name.
pub fn location(given: &Sourced<String>) -> Result<String, ConfigError> {
    let plain: String = given.value.to_lowercase().split_whitespace().collect();
    if plain.is_empty() || !plain.chars().all(alphanumeric) {
        return Err(given
            .wrong(format!("\"{}\" is not a region", given.value))
            .hint("use its programmatic name, such as eastus or westeurope"));
    }
    match plain == given.value {
        true => Ok(plain),
        false => Err(given
            .wrong(format!("\"{}\" is not a region's programmatic name", given.value))
            .hint(format!("write it as {plain}"))),
    }
}

/// Checks a subscription's id.
pub fn subscription(given: &Sourced<String>) -> Result<String, ConfigError> {
    match uuid::Uuid::try_parse(given.value.trim()) {
        Ok(id) => Ok(id.to_string()),
        Err(_) => Err(given
            .wrong(format!("\"{}\" is not a subscription id", given.value))
            .hint("use the id (8-4-4-4-12 hex digits), not the name: `az account show --query id`")),
    }
}

/// Checks a tenant: an id or one of its domains.
pub fn tenant(given: &Sourced<String>) -> Result<String, ConfigError> {
    let tenant = given.value.trim();
    let domain =
        tenant.contains('.') && tenant.chars().all(|letter| alphanumeric(letter) || ".-".contains(letter));
    match domain || uuid::Uuid::try_parse(tenant).is_ok() {
        true => Ok(tenant.to_owned()),
        false => Err(given
            .wrong(format!("\"{tenant}\" is not a tenant"))
            .hint("use its id or one of its domains, such as contoso.onmicrosoft.com")),
    }
}

/// Checks tags: at most 50, names up to 512 characters without `<>%&\?/` and distinct regardless of case, values up to
/// 256. <https://learn.microsoft.com/azure/azure-resource-manager/management/tag-resources>
pub fn tags(given: &Sourced<BTreeMap<String, String>>) -> Result<BTreeMap<String, String>, Vec<ConfigError>> {
    const TAGS_MAX: usize = 50;
    const NAME_MAX: usize = 512;
    const VALUE_MAX: usize = 256;
    let mut config_errors = Vec::new();
    if given.value.len() > TAGS_MAX {
        config_errors.push(
            given
                .wrong(format!("{} tags are set, but Azure allows {TAGS_MAX}", given.value.len()))
                .hint("remove some"),
        );
    }
    let mut spellings: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for name in given.value.keys() {
        spellings.entry(name.to_lowercase()).or_default().push(name);
    }
    for same in spellings.values().filter(|same| same.len() > 1) {
        config_errors.push(
            given
                .wrong(format!("{} are one tag: Azure ignores the case of a tag's name", same.join(" and ")))
                .hint("keep one spelling"),
        );
    }
    let owner = |name: &&String| name.eq_ignore_ascii_case(OWNER) && *name != OWNER;
    if let Some(name) = given.value.keys().find(owner) {
        let wrong =
            given.wrong(format!("{name} is the tag \"{OWNER}\", in which landfall marks its resources"));
        config_errors.push(wrong.hint("choose another name"));
    }
    for (name, value) in &given.value {
        if name.is_empty()
            || name.chars().count() > NAME_MAX
            || name.contains(['<', '>', '%', '&', '\\', '?', '/'])
        {
            let hint = format!("a tag's name has 1 to {NAME_MAX} characters and none of <>%&\\?/");
            config_errors.push(given.wrong(format!("\"{name}\" is not a tag's name")).hint(hint));
        }
        if value.chars().count() > VALUE_MAX {
            config_errors.push(
                given
                    .wrong(format!("the value of tag {name} has more than {VALUE_MAX} characters"))
                    .hint("shorten it"),
            );
        }
    }
    if config_errors.is_empty() { Ok(given.value.clone()) } else { Err(config_errors) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::config_error::Place;

    type Check = fn(&Sourced<String>) -> Result<String, ConfigError>;

    fn verdict(check: Check, value: &str) -> String {
        let given = Sourced { value: value.to_owned(), key: "x", place: Place::Flag("x") };
        match check(&given) {
            Ok(value) => format!("ok {value}"),
            Err(config_error) => format!("{} ({})", config_error.message, config_error.hint),
        }
    }

    #[test]
    fn names_follow_the_services_rules() {
        let long = "x".repeat(91);
        let table: Vec<String> = [
            (resource_group as Check, "rg-(a).b"),
            (resource_group, "rg."),
            (resource_group, "rg/a"),
            (resource_group, &long),
            (network, "v"),
            (network, "vnet_"),
            (network, "-vnet"),
            (subnet, "snet-"),
            (vault, "kv"),
            (vault, "kv-demo-0123456789abcdefg"),
            (vault, "1kv"),
            (vault, "kv_demo"),
            (vault, "kv--demo"),
            (vault, "kv-demo-"),
            (certificate, "gateway.tls"),
            (cluster, "aks_1"),
            (cluster, "aks-"),
            (environment, "../default"),
            (environment, "default"),
            (location, "East US"),
            (location, "west-europe"),
            (subscription, "Contoso Dev"),
            (subscription, "00000000-0000-0000-0000-00000000000A"),
            (tenant, "contoso"),
            (tenant, "contoso.onmicrosoft.com"),
        ]
        .map(|(check, value)| verdict(check, value))
        .into();
        insta::assert_snapshot!(table.join("\n").replace(&long, "x…"), @r#"
        ok rg-(a).b
        "rg." is not a resource group's name: its first or last character is not allowed (it must not end with a dot)
        "rg/a" is not a resource group's name: it contains '/' (it may contain letters, digits and _-.())
        "x…" is not a resource group's name: it has 91 characters (it must have 1 to 90)
        "v" is not a network's name: it has 1 character (it must have 2 to 64)
        ok vnet_
        "-vnet" is not a network's name: its first or last character is not allowed (it must start with a letter or digit and end with one or with _)
        "snet-" is not a subnet's name: its first or last character is not allowed (it must start with a letter or digit and end with one or with _)
        "kv" is not a vault's name: it has 2 characters (it must have 3 to 24)
        "kv-demo-0123456789abcdefg" is not a vault's name: it has 25 characters (it must have 3 to 24)
        "1kv" is not a vault's name: its first or last character is not allowed (it must start with a letter and end with a letter or digit)
        "kv_demo" is not a vault's name: it contains '_' (it may contain letters, digits and hyphens)
        "kv--demo" is not a vault's name: it contains two hyphens in a row (it is part of a host name; single hyphens are allowed)
        "kv-demo-" is not a vault's name: its first or last character is not allowed (it must start with a letter and end with a letter or digit)
        "gateway.tls" is not a certificate's name: it contains '.' (it may contain letters, digits and hyphens)
        ok aks_1
        "aks-" is not a cluster's name: its first or last character is not allowed (it must start and end with a letter or digit)
        "../default" is not an environment's name: it contains '/' (it may contain letters, digits and _-.)
        ok default
        "East US" is not a region's programmatic name (write it as eastus)
        "west-europe" is not a region (use its programmatic name, such as eastus or westeurope)
        "Contoso Dev" is not a subscription id (use the id (8-4-4-4-12 hex digits), not the name: `az account show --query id`)
        ok 00000000-0000-0000-0000-00000000000a
        "contoso" is not a tenant (use its id or one of its domains, such as contoso.onmicrosoft.com)
        ok contoso.onmicrosoft.com
        "#);
    }

    #[test]
    fn the_node_group_is_not_the_group_itself() {
        let given = Sourced { value: "RG".to_owned(), key: "node_resource_group", place: Place::Flag("x") };
        assert!(node_resource_group(&given, "rg").is_err());
        assert!(node_resource_group(&given, "rg2").is_ok());
    }
}
