//! Table responses: the columns of a kind, and a row for each object.
//!
//! The cells of a custom kind are values at paths, as in its definition. Built-in kinds also have computed
//! cells, whose paths begin with `=` and name a function in [`columns`]. Contract:
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables>; the columns
//! of a built-in kind are those of `kubectl get`.

mod batch;
mod cell;
mod network;
mod pod;
mod storage;
mod workload;

use serde_json::{Value, json};

use super::conversion;
use super::definition::{Column, Definition};
use super::response_format::metadata_of;
use crate::clock::SimTime;

/// Returns a Table of meta.k8s.io/v1; `about` is the list's own metadata.
pub(super) fn table<'o>(
    definition: &Definition,
    about: Value,
    objects: impl Iterator<Item = &'o Value>,
    now: SimTime,
) -> Value {
    let name = Column::new("Name", "string", ".metadata.name");
    // Some kinds place the name column themselves.
    let has_name = definition.columns.iter().any(|column| column.name == "Name");
    let columns: Vec<&Column> = (!has_name).then_some(&name).into_iter().chain(&definition.columns).collect();
    let headings = columns.iter().map(|column| {
        // Dates are shown as ages, which are strings.
        let kind = if column.format == "date" && !definition.custom { "string" } else { column.format.as_str() };
        let format = if column.name == "Name" { "name" } else { "" };
        json!({"name": column.name, "type": kind, "format": format, "description": "", "priority": column.priority})
    });
    let rows = objects.map(|object| {
        let shown = conversion::converted(definition, object);
        // The computed cells of a built-in kind are those of its storage version.
        let object = if definition.custom { &*shown } else { object };
        let cells: Vec<Value> = columns.iter().map(|column| cell(definition, column, object, now)).collect();
        json!({"cells": cells, "object": metadata_of(&shown)})
    });
    let rows: Vec<Value> = rows.collect();
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": about,
        "columnDefinitions": headings.collect::<Vec<_>>(), "rows": rows,
    })
}

fn cell(definition: &Definition, column: &Column, object: &Value, now: SimTime) -> Value {
    if let Some(what) = column.path.strip_prefix('=') {
        return cell::cell(what, object, now);
    }
    match (at(object, &column.path), column.format.as_str()) {
        (Some(Value::String(time)), "date") => json!(age(time, now)),
        // A missing value of a custom kind is a null cell, which kubectl shows as blank.
        (None | Some(Value::Null), _) if definition.custom => Value::Null,
        (None | Some(Value::Null), "date") => json!("<unknown>"),
        (None | Some(Value::Null), "integer") => json!(0),
        (None | Some(Value::Null), _) => json!(""),
        (Some(value @ (Value::Array(_) | Value::Object(_))), _) => json!(value.to_string()),
        (Some(value), _) => value.clone(),
    }
}

/// Returns the first value at a column's path.
fn at<'v>(object: &'v Value, path: &str) -> Option<&'v Value> {
    let mut value = object;
    let mut depth = 0;
    // A dot in brackets belongs to a filter.
    let parts = path.split(|c| {
        depth += match c {
            '[' => 1,
            ']' => -1,
            _ => 0,
        };
        c == '.' && depth == 0
    });
    for part in parts.filter(|part| !part.is_empty()) {
        let (field, index) =
            part.split_once('[').map_or((part, None), |(field, rest)| (field, rest.strip_suffix(']')));
        value = value.get(field)?;
        value = match index {
            None => value,
            Some("*") => value.as_array()?.first()?,
            Some(index) => match index.strip_prefix("?(@.").and_then(|filter| filter.strip_suffix(')')) {
                Some(filter) => {
                    let (key, wanted) = filter.split_once("==")?;
                    let wanted = wanted.trim().trim_matches(['"', '\'']);
                    value.as_array()?.iter().find(|item| item[key.trim()] == *wanted)?
                }
                None => value.get(index.parse::<usize>().ok()?)?,
            },
        };
    }
    Some(value)
}

/// Returns the age of a time in its two largest units.
fn age(time: &str, now: SimTime) -> String {
    let Ok(then) = time.parse::<jiff::Timestamp>() else { return "<invalid>".to_owned() };
    let seconds = now.since(SimTime(then.as_millisecond())).as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let with = |main: u64, unit: char, rest: u64, small: char| {
        if rest == 0 { format!("{main}{unit}") } else { format!("{main}{unit}{rest}{small}") }
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => with(minutes, 'm', seconds % 60, 's'),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => with(hours, 'h', minutes % 60, 'm'),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => with(days, 'd', hours % 24, 'h'),
        _ => format!("{days}d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::definition::built_in;
    use crate::kubernetes::embedded;

    const NOW: SimTime = SimTime(1_795_421_700_000);

    /// Returns the cells of one object by their headings.
    fn row(resource: &str, object: &Value) -> Vec<(String, String)> {
        let kind = built_in().get(resource).cloned().or_else(|| embedded::named(resource));
        let kind = kind.expect("the kind is served");
        let table = table(&kind, json!({}), std::iter::once(object), NOW);
        let headings = table["columnDefinitions"].as_array().expect("there are headings").iter();
        let cells = table["rows"][0]["cells"].as_array().expect("there are cells").iter();
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        headings.zip(cells).map(|(heading, cell)| (text(&heading["name"]), text(cell))).collect()
    }

    fn cells(resource: &str, object: &Value) -> String {
        row(resource, object).into_iter().map(|(_, cell)| cell).collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn ages_use_the_relevant_units() {
        let ago = |seconds: i64| age(&NOW.plus_ms(-seconds * 1_000).rfc3339(), NOW);
        assert_eq!([ago(5), ago(119), ago(185), ago(3_600)], ["5s", "119s", "3m5s", "60m"]);
        assert_eq!([ago(10_860), ago(100_000), ago(200_000), ago(900_000)], ["3h1m", "27h", "2d7h", "10d"]);
    }

    #[test]
    fn a_pod_shows_why_it_waits() {
        let waiting =
            json!({"name": "a", "ready": false, "state": {"waiting": {"reason": "InvalidImageName"}}});
        let mut pod = json!({
            "metadata": {"name": "web-x"},
            "spec": {"nodeName": "n", "containers": [{"name": "a"}]},
            "status": {"phase": "Pending", "containerStatuses": [waiting]},
        });
        let tail = "| 0 | <unknown> | <none> | n | <none> | <none>";
        assert_eq!(cells("pods", &pod), format!("web-x | 0/1 | InvalidImageName {tail}"));
        pod["metadata"]["deletionTimestamp"] = json!("2026-11-23T00:00:00Z");
        assert_eq!(row("pods", &pod)[2], ("Status".to_owned(), "Terminating".to_owned()));
    }

    #[test]
    fn a_service_shows_its_addresses_and_ports() {
        let service = json!({
            "metadata": {"name": "web"},
            "spec": {"type": "LoadBalancer", "clusterIP": "10.0.0.7", "selector": {"b": "2", "a": "1"},
                "ports": [{"port": 80, "nodePort": 30001, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]},
        });
        assert_eq!(
            cells("services", &service),
            "web | LoadBalancer | 10.0.0.7 | <pending> | 80:30001/TCP,53/UDP | <unknown> | a=1,b=2"
        );
    }

    #[test]
    fn a_deployment_shows_its_containers_and_an_autoscaler_its_target() {
        let deployment = json!({
            "metadata": {"name": "web"},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": {"spec": {
                "containers": [{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}]}}},
            "status": {"readyReplicas": 1},
        });
        assert_eq!(
            cells("deployments.apps", &deployment),
            "web | 1/2 | 0 | 0 | <unknown> | a,b | a:1,b:1 | app=web"
        );
        let autoscaler = json!({
            "metadata": {"name": "web"},
            "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "maxReplicas": 5, "metrics": [
                {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 80}}}]},
        });
        let shown = row("horizontalpodautoscalers.autoscaling", &autoscaler);
        let shown: Vec<&str> = shown.iter().skip(1).take(4).map(|(_, cell)| cell.as_str()).collect();
        assert_eq!(shown, ["Deployment/web", "cpu: <unknown>/80%", "<unset>", "5"]);
    }

    #[test]
    fn jobs_volumes_and_ingresses_show_what_kubectl_shows() {
        let job = json!({
            "metadata": {"name": "once"},
            "spec": {"completions": 1, "selector": {"matchLabels": {"a": "1"}}, "template": {"spec": {
                "containers": [{"name": "c", "image": "i"}]}}},
            "status": {"succeeded": 1, "startTime": NOW.plus_ms(-90_000).rfc3339(),
                "completionTime": NOW.plus_ms(-80_000).rfc3339(),
                "conditions": [{"type": "Complete", "status": "True"}]},
        });
        assert_eq!(cells("jobs.batch", &job), "once | Complete | 1/1 | 10s | <unknown> | c | i | a=1");
        let claim = json!({
            "metadata": {"name": "data"},
            "spec": {"volumeName": "pvc-1", "storageClassName": "default", "volumeMode": "Filesystem"},
            "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]},
        });
        assert_eq!(
            cells("persistentvolumeclaims", &claim),
            "data | Bound | pvc-1 | 1Gi | RWO | default | <unset> | <unknown> | Filesystem"
        );
        let ingress =
            json!({"metadata": {"name": "web"}, "spec": {"rules": [{"host": "a.test"}], "tls": [{}]}});
        assert_eq!(
            cells("ingresses.networking.k8s.io", &ingress),
            "web | <none> | a.test |  | 80, 443 | <unknown>"
        );
    }

    #[test]
    fn an_event_shows_its_object_and_a_custom_kind_omits_missing_columns() {
        let event = json!({
            "metadata": {"name": "e"}, "type": "Normal", "reason": "Pulled", "message": "there\n", "count": 3,
            "involvedObject": {"kind": "Pod", "name": "web-x"}, "lastTimestamp": NOW.plus_ms(-5_000).rfc3339(),
            "source": {"component": "kubelet"},
        });
        assert_eq!(
            cells("events", &event),
            "5s | Normal | Pulled | pod/web-x |  | kubelet | there | <unknown> | 3 | e"
        );
        let gateway = json!({"metadata": {"name": "gw"}, "spec": {"gatewayClassName": "c"}});
        assert_eq!(cells("gateways.gateway.networking.k8s.io", &gateway), "gw | c | null | null | null");
    }
}
