//! Computed cells of workloads, autoscalers and disruption budgets.

use serde_json::{Value, json};

use super::cell::{each, joined, labels, text};

/// Returns a cell of a Deployment, ReplicaSet or DaemonSet.
pub(super) fn cell(what: &str, object: &Value) -> Value {
    let containers = |field: &str| {
        joined(
            each(object, "/spec/template/spec/containers").map(|container| text(container, field).to_owned()),
        )
    };
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    match what {
        "containers" => containers("/name"),
        "images" => containers("/image"),
        "node-selector" => labels(&object["spec"]["template"]["spec"]["nodeSelector"]),
        "controller" => {
            let owner = &object["metadata"]["ownerReferences"][0];
            joined([match text(owner, "/kind") {
                "" => String::new(),
                kind => format!("{}.apps/{}", kind.to_lowercase(), text(owner, "/name")),
            }])
        }
        "updated" => json!(number("/status/updatedReplicas")),
        "available" => json!(number("/status/availableReplicas")),
        "ready" => json!(format!("{}/{}", number("/status/readyReplicas"), number("/spec/replicas"))),
        _ => selector(&object["spec"]["selector"]),
    }
}

/// Returns a LabelSelector in query format.
pub(super) fn selector(selector: &Value) -> Value {
    let Value::String(mut all) = labels(&selector["matchLabels"]) else { return Value::Null };
    for expression in each(selector, "/matchExpressions") {
        let key = text(expression, "/key");
        let values: Vec<&str> = each(expression, "/values").filter_map(Value::as_str).collect();
        let part = match text(expression, "/operator") {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        };
        all = if all == super::cell::NONE { part } else { format!("{all},{part}") };
    }
    json!(all)
}

/// Returns a cell of an autoscaler.
pub(super) fn autoscaler(what: &str, object: &Value) -> Value {
    let target = &object["spec"]["scaleTargetRef"];
    match what {
        "reference" => json!(format!("{}/{}", text(target, "/kind"), text(target, "/name"))),
        "least" => {
            let least = object["spec"]["minReplicas"].as_i64();
            json!(least.map_or_else(|| "<unset>".to_owned(), |least| least.to_string()))
        }
        _ => targets(object),
    }
}

/// Returns the current and target value of each metric, at most two metrics.
fn targets(object: &Value) -> Value {
    let all: Vec<String> = each(object, "/spec/metrics")
        .enumerate()
        .map(|(index, metric)| {
            let now = &object["status"]["currentMetrics"][index];
            metric_target(metric, now)
        })
        .collect();
    match all.as_slice() {
        [] => json!(super::cell::NONE),
        [first, second, _, ..] => json!(format!("{first}, {second} + {} more...", all.len() - 2)),
        few => json!(few.join(", ")),
    }
}

fn metric_target(metric: &Value, now: &Value) -> String {
    let resource = match text(metric, "/type") {
        "ContainerResource" => "containerResource",
        "Resource" => "resource",
        other => return format!("<unknown>/{other}"),
    };
    let (wanted, is) = (&metric[resource]["target"], &now[resource]["current"]);
    let name = text(&metric[resource], "/name");
    if let Some(percent) = wanted["averageUtilization"].as_i64() {
        let is = is["averageUtilization"].as_i64();
        let is = is.map_or_else(|| "<unknown>".to_owned(), |is| format!("{is}%"));
        return format!("{name}: {is}/{percent}%");
    }
    let is = match text(is, "/averageValue") {
        "" => "<unknown>",
        is => is,
    };
    format!("{name}: {is}/{}", text(wanted, "/averageValue"))
}

/// Returns a bound of a disruption budget; `N/A` if it is not set.
pub(super) fn budget(what: &str, object: &Value) -> Value {
    match &object["spec"][what] {
        Value::String(percent) => json!(percent),
        Value::Number(number) => json!(number.to_string()),
        _ => json!("N/A"),
    }
}
