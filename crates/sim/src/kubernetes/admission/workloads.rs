//! Validation of pods, workloads, autoscalers and disruption budgets.

use serde_json::{Value, json};

use super::identity::{is_label, label_rule};
use super::{each, unchanged};
use crate::kubernetes::schema::quantity::amount;
use crate::kubernetes::selector;
use crate::kubernetes::status::FieldError;
use crate::kubernetes::write::Draft;

/// Returns the validation errors of a Pod, or of a workload with a pod template.
pub fn field_errors(draft: &Draft, object: &Value) -> Vec<FieldError> {
    if draft.definition.kind == "Pod" {
        let mut errors = pod_errors(&object["spec"], "spec");
        errors.extend(pod_changes(draft, object));
        return errors;
    }
    let kind = draft.definition.singular();
    let mut errors = Vec::new();
    let wanted = &object["spec"]["selector"];
    let is_empty = |field: &str| wanted[field].as_object().is_none_or(serde_json::Map::is_empty);
    if is_empty("matchLabels") && wanted["matchExpressions"].as_array().is_none_or(Vec::is_empty) {
        let why = format!("empty selector is invalid for {kind}");
        errors.push(FieldError::invalid("spec.selector", wanted, &why));
    } else if object["spec"]["template"].is_object() {
        let labels = &object["spec"]["template"]["metadata"]["labels"];
        if !selector::object_selector_matches(wanted, labels) {
            let why = "`selector` does not match template `labels`";
            errors.push(FieldError::invalid("spec.template.metadata.labels", labels, why));
        }
    }
    if draft.definition.kind == "StatefulSet" {
        errors.extend(stateful_set_changes(draft, object));
    } else {
        errors.extend(unchanged(draft, object, "/spec/selector", "spec.selector", "field is immutable"));
    }
    if object["spec"]["strategy"]["type"] == "Recreate"
        && object["spec"]["strategy"]["rollingUpdate"].is_object()
    {
        let why = "may not be specified when strategy `type` is 'Recreate'";
        errors.push(FieldError::forbidden("spec.strategy.rollingUpdate", why));
    }
    if let Some(template) = object.pointer("/spec/template/spec") {
        errors.extend(template_errors(object, template));
        let policy = &template["restartPolicy"];
        if policy != "Always" {
            let field = "spec.template.spec.restartPolicy";
            errors.push(FieldError::unsupported(field, policy, &[json!("Always")]));
        }
    } else if draft.definition.kind != "ReplicaSet" {
        errors.push(FieldError::required("spec.template.spec.containers", ""));
    }
    errors
}

/// Returns the validation errors of a pod template. The claims of a StatefulSet are volumes of its pods.
fn template_errors(object: &Value, template: &Value) -> Vec<FieldError> {
    let claims: Vec<Value> = each(&object["spec"], "/volumeClaimTemplates")
        .map(|(_, claim)| {
            let name = &claim["metadata"]["name"];
            json!({"name": name, "persistentVolumeClaim": {"claimName": name}})
        })
        .collect();
    if claims.is_empty() {
        return pod_errors(template, "spec.template.spec");
    }
    let mut template = template.clone();
    let mut volumes = template["volumes"].as_array().cloned().unwrap_or_default();
    volumes.retain(|volume| !claims.iter().any(|claim| claim["name"] == volume["name"]));
    volumes.extend(claims);
    template["volumes"] = Value::Array(volumes);
    pod_errors(&template, "spec.template.spec")
}

/// Returns an error if an update changes another field of a StatefulSet than these.
fn stateful_set_changes(draft: &Draft, object: &Value) -> Option<FieldError> {
    const MUTABLE: [&str; 7] = [
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    ];
    let live = draft.live.as_ref()?;
    let fixed = |object: &Value| {
        let mut spec = object["spec"].clone();
        if let Some(spec) = spec.as_object_mut() {
            spec.retain(|field, _| !MUTABLE.contains(&field.as_str()));
        }
        spec
    };
    (fixed(live) != fixed(object)).then(|| {
        let why = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
                   'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
                   'minReadySeconds' are forbidden";
        FieldError::forbidden("spec", why)
    })
}

/// Returns the validation errors of a pod's spec at a path.
pub(super) fn pod_errors(spec: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, volume) in each(spec, "/volumes") {
        let name = volume["name"].as_str().unwrap_or_default();
        if !is_label(name) {
            let field = format!("{path}.volumes[{index}].name");
            errors.push(FieldError::invalid(&field, &volume["name"], &label_rule()));
        }
        if volume.as_object().is_some_and(|map| map.len() > 2) {
            let field = format!("{path}.volumes[{index}]");
            errors.push(FieldError::forbidden(&field, "may not specify more than 1 volume type"));
        }
    }
    for list in ["initContainers", "containers"] {
        for (index, container) in each(spec, &format!("/{list}")) {
            errors.extend(container_errors(spec, container, &format!("{path}.{list}[{index}]")));
        }
    }
    errors
}

fn container_errors(spec: &Value, container: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let name = &container["name"];
    if !is_label(name.as_str().unwrap_or_default()) {
        errors.push(FieldError::invalid(&format!("{path}.name"), name, &label_rule()));
    }
    if container["image"].as_str().is_none_or(|image| image.trim().is_empty()) {
        errors.push(FieldError::required(&format!("{path}.image"), ""));
    }
    for (index, mount) in each(container, "/volumeMounts") {
        if !each(spec, "/volumes").any(|(_, volume)| volume["name"] == mount["name"]) {
            let field = format!("{path}.volumeMounts[{index}].name");
            errors.push(FieldError::missing(&field, &mount["name"]));
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probed) = container.get(probe) else { continue };
        let handlers = ["exec", "httpGet", "tcpSocket", "grpc"];
        match handlers.iter().filter(|handler| probed.get(**handler).is_some()).count() {
            0 => {
                let why = "must specify a handler type";
                errors.push(FieldError::required(&format!("{path}.{probe}"), why));
            }
            1 => {}
            _ => {
                let why = "may not specify more than 1 handler type";
                errors.push(FieldError::forbidden(&format!("{path}.{probe}"), why));
            }
        }
    }
    errors.extend(resource_errors(&container["resources"], path));
    errors
}

fn resource_errors(resources: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (name, request) in resources["requests"].as_object().into_iter().flatten() {
        let limit = &resources["limits"][name.as_str()];
        if let (Some(given), Some(most)) = (amount(request), amount(limit))
            && given > most
        {
            let shown = limit.as_str().map_or_else(|| limit.to_string(), str::to_owned);
            let why = format!("must be less than or equal to {name} limit of {shown}");
            let field = format!("{path}.resources.requests");
            errors.push(FieldError::invalid(&field, request, &why));
        }
    }
    errors
}

/// Returns an error if an update changes an immutable field of a pod; almost all fields are immutable.
fn pod_changes(draft: &Draft, object: &Value) -> Option<FieldError> {
    let live = draft.live.as_ref()?;
    let frozen = |object: &Value| {
        let mut spec = object["spec"].clone();
        for field in ["tolerations", "activeDeadlineSeconds", "terminationGracePeriodSeconds", "nodeName"] {
            spec.as_object_mut().map(|map| map.shift_remove(field));
        }
        for list in ["containers", "initContainers"] {
            for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                container.as_object_mut().map(|map| map.shift_remove("image"));
            }
        }
        spec
    };
    (frozen(live) != frozen(object)).then(|| {
        FieldError::forbidden(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`,\
             `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to \
             existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was \
             previously negative)",
        )
    })
}

/// Returns the validation errors of an autoscaler or a disruption budget.
pub fn policy_errors(object: &Value) -> Vec<FieldError> {
    let spec = &object["spec"];
    let mut errors = Vec::new();
    if let (Some(least), Some(most)) = (spec["minReplicas"].as_i64(), spec["maxReplicas"].as_i64())
        && most < least
    {
        let why = "must be greater than or equal to `minReplicas`";
        errors.push(FieldError::invalid("spec.maxReplicas", &spec["maxReplicas"], why));
    }
    if spec.get("minAvailable").is_some() && spec.get("maxUnavailable").is_some() {
        let why = "minAvailable and maxUnavailable cannot be both set";
        errors.push(FieldError::invalid("spec", spec, why));
    }
    errors
}
