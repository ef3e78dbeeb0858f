//! The supported protobuf messages as a table: field numbers, JSON names, and types.
//!
//! The facts are those of the `generated.proto` of `k8s.io/api` and `k8s.io/apimachinery`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The type of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldType {
    /// `s`: a string.
    Text,
    /// `b`: a boolean.
    Bool,
    /// `i`: an integer.
    Number,
    /// `y`: bytes, base64 in JSON.
    Bytes,
    /// `t`: a time.
    Time,
    /// `q`: a quantity such as `250m`.
    Quantity,
    /// `x`: an int-or-string.
    NumberOrText,
    /// `@Name`: a message.
    Message(&'static str),
    /// `%` and a type: a map with string keys.
    Map(Box<FieldType>),
}

/// One field of a message.
#[derive(Debug)]
pub struct Field {
    /// The name in JSON.
    pub name: &'static str,
    /// The type.
    pub form: FieldType,
    /// `*`: a repeated field.
    pub repeated: bool,
    /// `?`: an empty value is kept, because it differs from a missing one.
    pub kept: bool,
}

/// A message type.
#[derive(Debug)]
pub struct MessageType {
    /// The name.
    pub name: &'static str,
    fields: BTreeMap<u64, Field>,
}

impl MessageType {
    /// Returns the field with that number.
    pub fn field(&self, number: u64) -> Option<&Field> {
        self.fields.get(&number)
    }
}

/// The kinds that an envelope can contain.
const KINDS: &[&str] = &[
    "ClusterRole",
    "ClusterRoleBinding",
    "ConfigMap",
    "Deployment",
    "HorizontalPodAutoscaler",
    "Namespace",
    "PodDisruptionBudget",
    "Role",
    "RoleBinding",
    "Secret",
    "SelfSubjectAccessReview",
    "SelfSubjectReview",
    "SelfSubjectRulesReview",
    "Service",
    "ServiceAccount",
];

const MESSAGES: &str = "
ObjectMeta 1:name:s 2:generateName:s 3:namespace:s 4:selfLink:s 5:uid:s 6:resourceVersion:s 7:generation:i 8:creationTimestamp:t 9:deletionTimestamp:t 10:deletionGracePeriodSeconds:i? 11:labels:%s 12:annotations:%s 13:ownerReferences:*@OwnerReference 14:finalizers:*s
OwnerReference 1:kind:s 3:name:s 4:uid:s 5:apiVersion:s 6:controller:b? 7:blockOwnerDeletion:b?
LabelSelector 1:matchLabels:%s 2:matchExpressions:*@LabelSelectorRequirement
LabelSelectorRequirement 1:key:s 2:operator:s 3:values:*s
ObjectReference 1:kind:s 2:namespace:s 3:name:s 4:uid:s 5:apiVersion:s 6:resourceVersion:s 7:fieldPath:s
LocalObjectReference 1:name:s

Namespace 1:metadata:@ObjectMeta 2:spec:@NamespaceSpec 3:status:@NamespaceStatus
NamespaceSpec 1:finalizers:*s
NamespaceStatus 1:phase:s
ConfigMap 1:metadata:@ObjectMeta 2:data:%s 3:binaryData:%y 4:immutable:b?
Secret 1:metadata:@ObjectMeta 2:data:%y 3:type:s 4:stringData:%s 5:immutable:b?
ServiceAccount 1:metadata:@ObjectMeta 2:secrets:*@ObjectReference 3:imagePullSecrets:*@LocalObjectReference 4:automountServiceAccountToken:b?

Service 1:metadata:@ObjectMeta 2:spec:@ServiceSpec 3:status:@ServiceStatus
ServiceSpec 1:ports:*@ServicePort 2:selector:%s 3:clusterIP:s 4:type:s 5:externalIPs:*s 7:sessionAffinity:s 8:loadBalancerIP:s 9:loadBalancerSourceRanges:*s 10:externalName:s 11:externalTrafficPolicy:s 12:healthCheckNodePort:i 13:publishNotReadyAddresses:b 17:ipFamilyPolicy:s? 18:clusterIPs:*s 19:ipFamilies:*s 20:allocateLoadBalancerNodePorts:b? 21:loadBalancerClass:s? 22:internalTrafficPolicy:s? 23:trafficDistribution:s?
ServicePort 1:name:s 2:protocol:s 3:port:i 4:targetPort:x 5:nodePort:i 6:appProtocol:s?
ServiceStatus 1:loadBalancer:@LoadBalancerStatus
LoadBalancerStatus

Deployment 1:metadata:@ObjectMeta 2:spec:@DeploymentSpec 3:status:@DeploymentStatus
DeploymentSpec 1:replicas:i? 2:selector:@LabelSelector? 3:template:@PodTemplateSpec 4:strategy:@DeploymentStrategy 5:minReadySeconds:i 6:revisionHistoryLimit:i? 7:paused:b 9:progressDeadlineSeconds:i?
DeploymentStrategy 1:type:s 2:rollingUpdate:@RollingUpdateDeployment?
RollingUpdateDeployment 1:maxUnavailable:x? 2:maxSurge:x?
DeploymentStatus 1:observedGeneration:i 2:replicas:i 3:updatedReplicas:i 4:availableReplicas:i 5:unavailableReplicas:i 7:readyReplicas:i
PodTemplateSpec 1:metadata:@ObjectMeta 2:spec:@PodSpec
PodSpec 2:containers:*@Container 3:restartPolicy:s 4:terminationGracePeriodSeconds:i? 5:activeDeadlineSeconds:i? 6:dnsPolicy:s 7:nodeSelector:%s 8:serviceAccountName:s 9:serviceAccount:s 10:nodeName:s 11:hostNetwork:b 12:hostPID:b 13:hostIPC:b 15:imagePullSecrets:*@LocalObjectReference 16:hostname:s 17:subdomain:s 19:schedulerName:s 20:initContainers:*@Container 21:automountServiceAccountToken:b? 24:priorityClassName:s
Container 1:name:s 2:image:s 3:command:*s 4:args:*s 5:workingDir:s 6:ports:*@ContainerPort 7:env:*@EnvVar 8:resources:@ResourceRequirements 9:volumeMounts:*@VolumeMount 13:terminationMessagePath:s 14:imagePullPolicy:s 16:stdin:b 17:stdinOnce:b 18:tty:b 20:terminationMessagePolicy:s
ContainerPort 1:name:s 2:hostPort:i 3:containerPort:i 4:protocol:s 5:hostIP:s
EnvVar 1:name:s 2:value:s
VolumeMount 1:name:s 2:readOnly:b 3:mountPath:s 4:subPath:s
ResourceRequirements 1:limits:%q 2:requests:%q

PodDisruptionBudget 1:metadata:@ObjectMeta 2:spec:@PodDisruptionBudgetSpec 3:status:@PodDisruptionBudgetStatus
PodDisruptionBudgetSpec 1:minAvailable:x? 2:selector:@LabelSelector? 3:maxUnavailable:x? 4:unhealthyPodEvictionPolicy:s?
PodDisruptionBudgetStatus 1:observedGeneration:i 3:disruptionsAllowed:i 4:currentHealthy:i 5:desiredHealthy:i 6:expectedPods:i
HorizontalPodAutoscaler 1:metadata:@ObjectMeta 2:spec:@HorizontalPodAutoscalerSpec 3:status:@HorizontalPodAutoscalerStatus
HorizontalPodAutoscalerSpec 1:scaleTargetRef:@CrossVersionObjectReference 2:minReplicas:i? 3:maxReplicas:i 4:metrics:*@MetricSpec
HorizontalPodAutoscalerStatus 1:observedGeneration:i? 3:currentReplicas:i 4:desiredReplicas:i
CrossVersionObjectReference 1:kind:s 2:name:s 3:apiVersion:s
MetricSpec 1:type:s 4:resource:@ResourceMetricSource?
ResourceMetricSource 1:name:s 2:target:@MetricTarget
MetricTarget 1:type:s 2:value:q? 3:averageValue:q? 4:averageUtilization:i?

Role 1:metadata:@ObjectMeta 2:rules:*@PolicyRule
ClusterRole 1:metadata:@ObjectMeta 2:rules:*@PolicyRule 3:aggregationRule:@AggregationRule?
AggregationRule 1:clusterRoleSelectors:*@LabelSelector
PolicyRule 1:verbs:*s 2:apiGroups:*s 3:resources:*s 4:resourceNames:*s 5:nonResourceURLs:*s
RoleBinding 1:metadata:@ObjectMeta 2:subjects:*@Subject 3:roleRef:@RoleRef
ClusterRoleBinding 1:metadata:@ObjectMeta 2:subjects:*@Subject 3:roleRef:@RoleRef
Subject 1:kind:s 2:apiGroup:s 3:name:s 4:namespace:s
RoleRef 1:apiGroup:s 2:kind:s 3:name:s

SelfSubjectAccessReview 1:metadata:@ObjectMeta 2:spec:@SelfSubjectAccessReviewSpec 3:status:@SubjectAccessReviewStatus
SelfSubjectAccessReviewSpec 1:resourceAttributes:@ResourceAttributes? 2:nonResourceAttributes:@NonResourceAttributes?
ResourceAttributes 1:namespace:s 2:verb:s 3:group:s 4:version:s 5:resource:s 6:subresource:s 7:name:s
NonResourceAttributes 1:path:s 2:verb:s
SubjectAccessReviewStatus 1:allowed:b 2:reason:s 3:evaluationError:s 4:denied:b
SelfSubjectRulesReview 1:metadata:@ObjectMeta 2:spec:@SelfSubjectRulesReviewSpec 3:status:@SubjectRulesReviewStatus
SelfSubjectRulesReviewSpec 1:namespace:s
SubjectRulesReviewStatus 3:incomplete:b 4:evaluationError:s
SelfSubjectReview 1:metadata:@ObjectMeta 2:status:@SelfSubjectReviewStatus
SelfSubjectReviewStatus 1:userInfo:@UserInfo
UserInfo 1:username:s 2:uid:s 3:groups:*s
";

static TABLE: LazyLock<BTreeMap<&'static str, MessageType>> = LazyLock::new(|| {
    let lines = MESSAGES.lines().filter(|line| !line.is_empty());
    lines.map(read_line).map(|shape| (shape.name, shape)).collect()
});

/// Returns the message type of a kind that an envelope can contain.
pub fn of_kind(kind: &str) -> Option<&'static MessageType> {
    KINDS.contains(&kind).then(|| shape(kind)).flatten()
}

/// Returns the message type with that name.
pub fn shape(name: &str) -> Option<&'static MessageType> {
    TABLE.get(name)
}

fn read_line(line: &'static str) -> MessageType {
    let (name, fields) = line.split_once(' ').unwrap_or((line, ""));
    MessageType { name, fields: fields.split_whitespace().map(read_field).collect() }
}

fn read_field(text: &'static str) -> (u64, Field) {
    let mut parts = text.split(':');
    let mut next = || parts.next().expect("a field has a number, a name and a form");
    let (number, name, form) = (next(), next(), next());
    let (form, repeated) = form.strip_prefix('*').map_or((form, false), |form| (form, true));
    let (form, kept) = form.strip_suffix('?').map_or((form, false), |form| (form, true));
    let number = number.parse().expect("fields are numbered");
    (number, Field { name, form: read_form(form), repeated, kept })
}

fn read_form(text: &'static str) -> FieldType {
    match text {
        "s" => FieldType::Text,
        "b" => FieldType::Bool,
        "i" => FieldType::Number,
        "y" => FieldType::Bytes,
        "t" => FieldType::Time,
        "q" => FieldType::Quantity,
        "x" => FieldType::NumberOrText,
        other => match (other.strip_prefix('@'), other.strip_prefix('%')) {
            (Some(message), _) => FieldType::Message(message),
            (_, Some(values)) => FieldType::Map(Box::new(read_form(values))),
            _ => panic!("the table has no form {other}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::definition::built_in;
    use crate::kubernetes::schema::traverse::{field, items};
    use serde_json::Value;

    #[test]
    fn the_table_names_only_messages_it_contains() {
        for shape in TABLE.values() {
            for field in shape.fields.values() {
                if let FieldType::Message(name) = field.form {
                    assert!(TABLE.contains_key(name), "{}.{} is a {name}", shape.name, field.name);
                }
            }
        }
        assert!(KINDS.iter().all(|kind| of_kind(kind).is_some()));
        assert!(of_kind("PodSpec").is_none());
    }

    /// Compares a message type with the schema of the kind.
    fn agrees(shape: &MessageType, schema: &Value, path: &str) {
        for field_of in shape.fields.values() {
            let at = format!("{path}.{}", field_of.name);
            let schema = field(schema, field_of.name).unwrap_or_else(|| panic!("the schema has no {at}"));
            let schema = if field_of.repeated { items(schema) } else { schema };
            if let FieldType::Message(name) = field_of.form {
                agrees(&TABLE[name], schema, &at);
            }
        }
    }

    #[test]
    fn every_field_of_the_table_is_one_of_its_kind() {
        for kind in KINDS {
            let definition = built_in().values().find(|definition| definition.kind == *kind);
            agrees(&TABLE[kind], &definition.expect("the kind is served").schema, kind);
        }
    }
}
