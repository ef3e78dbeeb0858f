//! Checks of nodes, sizes and versions.

use crate::settings::config_error::{ConfigError, Sourced};

/// The maximum number of nodes per pool.
const NODES_MAX: u32 = 1000;

/// Checks that the node counts are in order: 1 ≤ nodes_min ≤ nodes ≤ nodes_max ≤ 1000.
pub fn nodes(nodes: &Sourced<u32>, nodes_min: &Sourced<u32>, nodes_max: &Sourced<u32>) -> Vec<ConfigError> {
    let mut config_errors = Vec::new();
    for count in [nodes, nodes_min, nodes_max] {
        if !(1..=NODES_MAX).contains(&count.value) {
            let message = format!("{} = {} is not between 1 and {NODES_MAX}", count.key, count.value);
            config_errors.push(count.wrong(message).hint("a system node pool needs at least one node"));
        }
    }
    if !config_errors.is_empty() {
        return config_errors;
    }
    if nodes_min.value > nodes_max.value {
        return vec![above(nodes_min, nodes_max)];
    }
    if nodes.value > nodes_max.value {
        config_errors.push(above(nodes, nodes_max));
    }
    if nodes.value < nodes_min.value {
        config_errors.push(above(nodes_min, nodes));
    }
    config_errors
}

fn above(more: &Sourced<u32>, less: &Sourced<u32>) -> ConfigError {
    let message = format!("{} is above {}", more.described(), less.described());
    let (blamed, fix) = match more.is_set_by_user() {
        true => (more, format!("set {} to at least {}, or use less here", less.key, more.value)),
        false => (less, format!("set {} to at most {}, or use more here", more.key, less.value)),
    };
    blamed.wrong(message).hint(fix)
}

/// Checks a Kubernetes version's syntax, `1.35` or `1.35.2`; preflight checks that the region offers it.
pub fn version(given: &Sourced<String>) -> Result<String, ConfigError> {
    let version = given.value.trim();
    let plain = version.strip_prefix('v').unwrap_or(version);
    let parts: Vec<&str> = plain.split('.').collect();
    let numbers = parts.iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    match numbers && (2..=3).contains(&parts.len()) && plain == version {
        true => Ok(version.to_owned()),
        false if numbers && (2..=3).contains(&parts.len()) => {
            Err(given.wrong(format!("\"{version}\" starts with v")).hint(format!("write it as {plain}")))
        }
        false => Err(given
            .wrong(format!("\"{version}\" is not a Kubernetes version"))
            .hint("write it as 1.35 or 1.35.2, or omit it for the newest")),
    }
}

/// Checks the syntax of a VM size.
pub fn node_size(given: &Sourced<String>) -> Result<String, ConfigError> {
    let size = given.value.trim();
    let plain = size.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-".contains(letter));
    match plain && size.len() > "Standard_".len() && size.starts_with("Standard_") {
        true => Ok(size.to_owned()),
        false => Err(given
            .wrong(format!("\"{size}\" is not a virtual machine size"))
            .hint("write it as in Standard_D4s_v5")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::config_error::Place;

    fn count(key: &'static str, value: u32, chosen: bool) -> Sourced<u32> {
        Sourced { value, key, place: if chosen { Place::Flag("x") } else { Place::Default } }
    }

    fn tried(start: u32, least: u32, most: (u32, bool)) -> String {
        let config_errors = nodes(
            &count("cluster.nodes", start, true),
            &count("cluster.nodes_min", least, true),
            &count("cluster.nodes_max", most.0, most.1),
        );
        let messages = config_errors
            .into_iter()
            .map(|config_error| format!("{} ({})", config_error.message, config_error.hint));
        messages.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn node_counts_are_in_order() {
        assert_eq!(tried(2, 1, (3, true)), "");
        let messages = [
            tried(5, 1, (3, false)),
            tried(2, 3, (4, true)),
            tried(2, 5, (3, true)),
            tried(0, 1, (2000, true)),
        ];
        insta::assert_snapshot!(messages.join("\n"), @"
        cluster.nodes = 5 is above cluster.nodes_max = 3 (the default) (set cluster.nodes_max to at least 5, or use less here)
        cluster.nodes_min = 3 is above cluster.nodes = 2 (set cluster.nodes to at least 3, or use less here)
        cluster.nodes_min = 5 is above cluster.nodes_max = 3 (set cluster.nodes_max to at least 5, or use less here)
        cluster.nodes = 0 is not between 1 and 1000 (a system node pool needs at least one node); cluster.nodes_max = 2000 is not between 1 and 1000 (a system node pool needs at least one node)
        ");
    }

    #[test]
    fn versions_and_sizes_have_a_form() {
        let given =
            |value: &str| Sourced { value: value.to_owned(), key: "cluster.version", place: Place::Default };
        for right in ["1.35", "1.35.2"] {
            assert_eq!(version(&given(right)).as_deref(), Ok(right));
        }
        for wrong in ["v1.35", "1", "1.35.", "latest", "1.35.2.1"] {
            assert!(version(&given(wrong)).is_err(), "{wrong}");
        }
        assert!(node_size(&given("Standard_D4s_v5")).is_ok());
        assert!(node_size(&given("D4s_v5")).is_err());
    }
}
