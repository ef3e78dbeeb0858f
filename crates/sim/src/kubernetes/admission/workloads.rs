//! Validation of pods, workloads, autoscalers and disruption budgets.

use serde_json::{Value, json};

use super::{each, names, pods, unchanged};
use crate::kubernetes::selector;
use crate::kubernetes::status::FieldError;
use crate::kubernetes::write::Draft;

/// Returns the validation errors of a Pod, or of a workload with a pod template.
pub fn field_errors(draft: &Draft, object: &Value) -> Vec<FieldError> {
    if draft.definition.kind == "Pod" {
        let mut errors = pods::errors(&object["spec"], "spec");
        errors.extend(pod_changes(draft, object));
        return errors;
    }
    let kind = draft.definition.singular();
    let mut errors = Vec::new();
    let wanted = &object["spec"]["selector"];
    let is_empty = |field: &str| wanted[field].as_object().is_none_or(serde_json::Map::is_empty);
    let is_everything =
        is_empty("matchLabels") && wanted["matchExpressions"].as_array().is_none_or(Vec::is_empty);
    if wanted.is_null() {
        errors.push(FieldError::required("spec.selector", ""));
    } else if is_everything {
        let why = format!("empty selector is invalid for {kind}");
        errors.push(FieldError::invalid("spec.selector", wanted, &why));
    }
    // A missing selector matches nothing, an empty one everything.
    let labels = &object["spec"]["template"]["metadata"]["labels"];
    let has_match = !is_everything && selector::object_selector_matches(wanted, labels);
    if wanted.is_null() || !(is_everything || has_match) {
        let why = "`selector` does not match template `labels`";
        errors.push(FieldError::invalid("spec.template.metadata.labels", labels, why));
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
    if let (Some(deadline), least) =
        (object["spec"]["progressDeadlineSeconds"].as_i64(), object["spec"]["minReadySeconds"].as_i64())
        && deadline <= least.unwrap_or(0)
    {
        let field = "spec.progressDeadlineSeconds";
        let why = "must be greater than minReadySeconds";
        errors.push(FieldError::invalid(field, &json!(deadline), why));
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
        return pods::errors(template, "spec.template.spec");
    }
    let mut template = template.clone();
    let mut volumes = template["volumes"].as_array().cloned().unwrap_or_default();
    volumes.retain(|volume| !claims.iter().any(|claim| claim["name"] == volume["name"]));
    volumes.extend(claims);
    template["volumes"] = Value::Array(volumes);
    pods::errors(&template, "spec.template.spec")
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

/// Returns the warnings about a workload.
pub fn warnings(draft: &Draft, object: &Value) -> Vec<String> {
    const NAMES_PODS: [&str; 4] = ["CronJob", "Deployment", "Job", "ReplicaSet"];
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let why = names::dns_label(name);
    let mut warnings = Vec::new();
    if draft.live.is_none() && NAMES_PODS.contains(&draft.definition.kind.as_str()) && !why.is_empty() {
        warnings.push(format!(
            "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a \
             DNS label is recommended: [{}]",
            why.join(" ")
        ));
    }
    let template = object.pointer("/spec/template/spec");
    warnings.extend(template.into_iter().flat_map(|spec| pods::warnings(spec, "spec.template.spec")));
    warnings
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
