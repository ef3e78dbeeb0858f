//! Validation of node pools.

use std::collections::BTreeSet;

use serde_json::Value;

use super::error::{bad, parameter};
use super::sizes;
use crate::arm::error::ArmError;

/// Validates every pool of a body.
///
/// # Errors
/// The first validation error.
pub(crate) fn check(properties: &Value) -> Result<(), ArmError> {
    let pools = properties["agentPoolProfiles"].as_array().map(Vec::as_slice).unwrap_or_default();
    if pools.is_empty() {
        let message = "At least one agent pool profile must be given.";
        return Err(bad("AgentPoolProfilesMissing", message).with_target("agentPoolProfiles"));
    }
    let mut names = BTreeSet::new();
    for pool in pools {
        check_one(pool)?;
        if !names.insert(pool["name"].as_str().unwrap_or_default()) {
            return Err(parameter("agentPoolProfile.name", "two agent pools have the same name."));
        }
    }
    if pools.iter().any(|pool| pool["mode"].as_str().is_some_and(|mode| mode.eq_ignore_ascii_case("System")))
    {
        return Ok(());
    }
    let message = "There has to be at least one system agent pool. Please see https://aka.ms/aks/system-node-pool for more details.";
    Err(bad("NoSystemAgentPool", message).with_target("agentPoolProfiles"))
}

fn check_one(pool: &Value) -> Result<(), ArmError> {
    let windows = pool["osType"] == "Windows";
    name(pool["name"].as_str().unwrap_or_default(), if windows { 6 } else { 12 })?;
    one_of(pool, "osType", &["Linux", "Windows"])?;
    one_of(pool, "mode", &["System", "User", "Gateway"])?;
    one_of(pool, "type", &["VirtualMachineScaleSets", "AvailabilitySet", "VirtualMachines"])?;
    one_of(pool, "scaleSetPriority", &["Regular", "Spot"])?;
    one_of(pool, "osDiskType", &["Managed", "Ephemeral"])?;
    size(pool["vmSize"].as_str().unwrap_or_default())?;
    if let Some(pods) = whole(pool, "maxPods")?.filter(|pods| !(10..=250).contains(pods)) {
        return Err(parameter(
            "agentPoolProfile.maxPods",
            format!("{pods} is outside of the range from 10 to 250."),
        ));
    }
    nodes(pool)
}

fn name(name: &str, longest: usize) -> Result<(), ArmError> {
    let good = (1..=longest).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.starts_with(|c: char| c.is_ascii_lowercase());
    if good {
        return Ok(());
    }
    let why = format!(
        "agent pool name '{name}' must start with a lower-case letter and have 1 to {longest} lower-case letters and digits."
    );
    Err(parameter("agentPoolProfile.name", why))
}

fn one_of(pool: &Value, key: &str, known: &[&str]) -> Result<(), ArmError> {
    match &pool[key] {
        Value::Null => Ok(()),
        Value::String(text) if known.iter().any(|known| known.eq_ignore_ascii_case(text)) => Ok(()),
        other => Err(parameter(
            &format!("agentPoolProfile.{key}"),
            format!("{other} is not one of {}.", known.join(", ")),
        )),
    }
}

/// Reads an optional whole number.
fn whole(pool: &Value, key: &str) -> Result<Option<u64>, ArmError> {
    match &pool[key] {
        Value::Null => Ok(None),
        value => value.as_u64().map(Some).ok_or_else(|| {
            parameter(&format!("agentPoolProfile.{key}"), format!("{value} is not a whole number from 0 on."))
        }),
    }
}

fn size(name: &str) -> Result<(), ArmError> {
    if name.is_empty() || sizes::find(name).is_some() {
        return Ok(());
    }
    let all: Vec<_> = sizes::ALL.iter().map(|size| size.name.to_ascii_lowercase()).collect();
    let message = format!(
        "The VM size of {name} is not allowed in your subscription in this location. The available VM sizes are '{}'. \
         For more details, please visit https://aka.ms/aks/quotas-skus-regions",
        all.join(",")
    );
    Err(bad("VMSizeNotSupported", message).with_target("agentPoolProfile.vmSize"))
}

/// Validates the node counts, with and without the autoscaler.
fn nodes(pool: &Value) -> Result<(), ArmError> {
    let system = pool["mode"].as_str().is_some_and(|mode| mode.eq_ignore_ascii_case("System"));
    let least = u64::from(system);
    let count = whole(pool, "count")?;
    let (low, high) = (whole(pool, "minCount")?, whole(pool, "maxCount")?);
    if pool["enableAutoScaling"] != true {
        if low.or(high).is_some() {
            let why = "minCount and maxCount can only be given when enableAutoScaling is true.";
            return Err(parameter("agentPoolProfile.enableAutoScaling", why));
        }
        return match count.unwrap_or(1) {
            count if (least..=1000).contains(&count) => Ok(()),
            count => Err(parameter(
                "agentPoolProfile.count",
                format!("{count} is outside of the range from {least} to 1000."),
            )),
        };
    }
    let (Some(low), Some(high)) = (low, high) else {
        let why = "minCount and maxCount must be given when enableAutoScaling is true.";
        return Err(parameter("agentPoolProfile.minCount", why));
    };
    if low < least || low > high || high > 1000 {
        let why = format!(
            "minCount {low} must be at least {least} and not above maxCount {high}, which must not be above 1000."
        );
        return Err(parameter("agentPoolProfile.minCount", why));
    }
    match count {
        Some(count) if !(low..=high).contains(&count) => {
            let why = format!("count {count} must be inside of minCount {low} and maxCount {high}.");
            Err(parameter("agentPoolProfile.count", why))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Returns the target of a pool's validation error, or its code if it has no target; empty if the pool is
    /// valid.
    fn target(pool: &Value) -> String {
        let Err(error) = check(&json!({"agentPoolProfiles": [pool]})) else { return String::new() };
        let body = error.object();
        body["target"].as_str().or(body["code"].as_str()).unwrap_or_default().to_owned()
    }

    #[test]
    fn each_property_has_its_bounds() {
        let good = json!({"name": "nodepool1", "mode": "System", "vmSize": "standard_d4s_V5", "count": 2});
        assert_eq!(target(&good), "");
        for (key, value, at) in [
            ("name", json!("NodePool"), "agentPoolProfile.name"),
            ("name", json!("nodepool12345"), "agentPoolProfile.name"),
            ("vmSize", json!("Standard_X"), "agentPoolProfile.vmSize"),
            ("count", json!(0), "agentPoolProfile.count"),
            ("count", json!("2"), "agentPoolProfile.count"),
            ("maxPods", json!(9), "agentPoolProfile.maxPods"),
            ("mode", json!("User"), "agentPoolProfiles"),
            ("minCount", json!(1), "agentPoolProfile.enableAutoScaling"),
            ("osType", json!("BSD"), "agentPoolProfile.osType"),
        ] {
            let mut pool = good.clone();
            pool[key] = value.clone();
            assert_eq!(target(&pool), at, "{key} = {value}");
        }
    }

    #[test]
    fn the_autoscaler_needs_both_bounds_and_a_count_between_them() {
        let scaled = |low: Value, high: Value, count: u64| {
            target(&json!({
                "name": "np", "mode": "System", "enableAutoScaling": true, "minCount": low, "maxCount": high, "count": count,
            }))
        };
        assert_eq!(scaled(json!(1), json!(3), 2), "");
        assert_eq!(scaled(json!(1), json!(3), 4), "agentPoolProfile.count");
        assert_eq!(scaled(json!(4), json!(3), 4), "agentPoolProfile.minCount");
        assert_eq!(scaled(json!(0), json!(3), 2), "agentPoolProfile.minCount");
        assert_eq!(scaled(Value::Null, json!(3), 2), "agentPoolProfile.minCount");
    }
}
