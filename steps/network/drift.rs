//! Drift of an existing virtual network from the settings: its range, and its subnet's.

use crate::{
    network::body::{addition, is_contained, prefix_of, ranges, subnet_of, subnets, users},
    settings::Network,
};
use ipnet::Ipv4Net;
use landfall_engine::{Change, Kind, Leftover, StepError};
use serde_json::{Value, json};

/// Returns the error for a setting that the network cannot follow, with the remedy.
fn refusal(desired: &Network, setting: &str, why: String) -> StepError {
    StepError::new(Kind::Input, format!("update virtual network {}", desired.name))
        .cause(why)
        .hint(format!(
            "set {setting} back, or delete the environment and create it again (landfall down, landfall up)"
        ))
        .leftover(Leftover::Nothing)
}

/// Lists the drift of an owned network, without its tags.
///
/// # Errors
/// Returns an error if a range is in use, or has no room for its content.
pub(crate) fn differences(body: &Value, desired: &Network) -> Result<Vec<Change>, StepError> {
    let mut changes = Vec::new();
    let (is, wanted) = (ranges(body), desired.address_space.to_string());
    let target_ranges = target_ranges(&is, &desired.address_space);
    if target_ranges != is {
        changes.push(Change {
            field: "addressSpace.addressPrefixes".to_owned(),
            is: json!(is),
            wanted: json!(target_ranges),
        });
    }
    let owned = subnet_of(body, &desired.subnet);
    for other in subnets(body) {
        let (name, prefix) =
            (other["name"].as_str().unwrap_or_default(), prefix_of(other).unwrap_or_default());
        if !name.eq_ignore_ascii_case(&desired.subnet) && !is_contained(prefix, &target_ranges) {
            let why = format!("subnet {name} is {prefix}, which is outside {wanted}");
            return Err(refusal(desired, "network.address_space", why));
        }
        if !name.eq_ignore_ascii_case(&desired.subnet) && overlaps(prefix, &desired.subnet_prefix) {
            let why = format!("subnet {name} is {prefix}, and {} overlaps it", desired.subnet_prefix);
            return Err(refusal(desired, "network.subnet_prefix", why));
        }
    }
    let wanted = desired.subnet_prefix.to_string();
    if !is_contained(&wanted, &target_ranges) {
        let why = format!(
            "virtual network {} is {}, which has no room for {wanted}",
            desired.name,
            target_ranges.join(", ")
        );
        return Err(refusal(desired, "network.subnet_prefix", why));
    }
    match owned.map(|subnet| (subnet, prefix_of(subnet).unwrap_or_default())) {
        None => changes.push(addition(&desired.subnet, &wanted)),
        Some((_, prefix)) if prefix == wanted => {}
        Some((subnet, prefix)) => {
            let users = users(subnet);
            if !users.is_empty() {
                let why = format!(
                    "subnet {} is {prefix} and in use by {}; its range cannot become {wanted}",
                    desired.subnet,
                    summarize(&users)
                );
                return Err(refusal(desired, "network.subnet_prefix", why));
            }
            changes.push(Change {
                field: format!("subnets.{}.addressPrefix", desired.subnet),
                is: json!(prefix),
                wanted: json!(wanted),
            });
        }
    }
    Ok(changes)
}

/// Returns the body with the drift corrected; unknown fields are preserved.
pub(crate) fn correct_drift(mut body: Value, desired: &Network) -> Value {
    body["properties"]["addressSpace"]["addressPrefixes"] =
        json!(target_ranges(&ranges(&body), &desired.address_space));
    let listed = body["properties"]["subnets"].as_array_mut().into_iter().flatten();
    for subnet in
        listed.filter(|one| one["name"].as_str().is_some_and(|n| n.eq_ignore_ascii_case(&desired.subnet)))
    {
        let wanted = json!(desired.subnet_prefix.to_string());
        match subnet["properties"]["addressPrefixes"].as_array_mut() {
            Some(prefixes) => *prefixes = vec![wanted],
            None => subnet["properties"]["addressPrefix"] = wanted,
        }
    }
    body
}

/// Returns the new ranges. If one contains the desired range, nothing changes; else the desired range
/// replaces all that overlap it.
fn target_ranges(is: &[String], wanted: &Ipv4Net) -> Vec<String> {
    let text = wanted.to_string();
    if is_contained(&text, is) {
        return is.to_vec();
    }
    let mut ranges: Vec<String> = is.iter().filter(|range| !overlaps(range, wanted)).cloned().collect();
    ranges.push(text);
    ranges
}

fn overlaps(range: &str, other: &Ipv4Net) -> bool {
    let range: Option<Ipv4Net> = range.parse().ok();
    range.is_some_and(|range| range.contains(other) || other.contains(&range))
}

fn summarize(users: &[String]) -> String {
    match users {
        [one] => one.clone(),
        [one, rest @ ..] => format!("{one} and {} more", rest.len()),
        [] => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn desired(space: &str, prefix: &str) -> Network {
        Network {
            name: "vnet".into(),
            subnet: "snet-aks".into(),
            address_space: space.parse().unwrap(),
            subnet_prefix: prefix.parse().unwrap(),
        }
    }

    fn body(users: &[&str]) -> Value {
        let held: Vec<Value> = users.iter().map(|id| json!({ "id": id })).collect();
        json!({ "properties": {
            "addressSpace": { "addressPrefixes": ["10.0.0.0/16", "192.168.0.0/24"] },
            "subnets": [{ "name": "snet-aks", "properties": {
                "addressPrefix": "10.0.0.0/22", "ipConfigurations": held, "x": 1 } }],
        } })
    }

    #[test]
    fn a_wider_range_replaces_the_narrower_one_and_keeps_the_others() {
        let desired = desired("10.0.0.0/15", "10.0.0.0/22");
        let changes = differences(&body(&["a/b"]), &desired).unwrap();
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].wanted, json!(["192.168.0.0/24", "10.0.0.0/15"]));
        let corrected = correct_drift(body(&[]), &desired);
        assert!(differences(&corrected, &desired).unwrap().is_empty());
        assert_eq!(corrected["properties"]["subnets"][0]["properties"]["x"], 1);
    }

    #[test]
    fn the_range_of_a_subnet_changes_only_while_it_is_unused() {
        let desired = desired("10.0.0.0/16", "10.0.8.0/22");
        let refusal = differences(&body(&["s/nics/nic-1", "s/nics/nic-2"]), &desired).unwrap_err();
        assert!(refusal.causes[0].contains("in use by nics/nic-1 and 1 more"), "{refusal:?}");
        assert!(refusal.hint.unwrap().starts_with("set network.subnet_prefix back"));
        assert_eq!(differences(&body(&[]), &desired).unwrap()[0].field, "subnets.snet-aks.addressPrefix");
    }

    #[test]
    fn a_range_that_another_subnet_needs_is_not_removed() {
        let mut body = body(&[]);
        body["properties"]["subnets"]
            .as_array_mut()
            .unwrap()
            .push(json!({ "name": "theirs", "properties": { "addressPrefix": "10.0.200.0/24" } }));
        let refusal = differences(&body, &desired("10.0.0.0/17", "10.0.0.0/22"));
        assert!(refusal.is_ok(), "what has room stays as it is");
        let refusal = differences(&body, &desired("10.0.0.0/16", "10.0.200.0/22")).unwrap_err();
        assert!(refusal.causes[0].contains("subnet theirs is 10.0.200.0/24"), "{refusal:?}");
    }
}
