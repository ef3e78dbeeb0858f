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
    /// The name in JSON; [`INLINE`] for a message whose fields are those of its parent.
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

/// The name of a message whose fields JSON writes into its parent.
pub const INLINE: &str = "~";

/// The kinds that an envelope can contain.
const KINDS: &[&str] = &[
    "ClusterRole",
    "ClusterRoleBinding",
    "ConfigMap",
    "CronJob",
    "DeleteOptions",
    "Deployment",
    "HorizontalPodAutoscaler",
    "Ingress",
    "Job",
    "Namespace",
    "PodDisruptionBudget",
    "PriorityClass",
    "ResourceQuota",
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
PodSpec 1:volumes:*@Volume 2:containers:*@Container 3:restartPolicy:s 4:terminationGracePeriodSeconds:i? 5:activeDeadlineSeconds:i? 6:dnsPolicy:s 7:nodeSelector:%s 8:serviceAccountName:s 9:serviceAccount:s 10:nodeName:s 11:hostNetwork:b 12:hostPID:b 13:hostIPC:b 14:securityContext:@PodSecurityContext? 15:imagePullSecrets:*@LocalObjectReference 16:hostname:s 17:subdomain:s 19:schedulerName:s 20:initContainers:*@Container 21:automountServiceAccountToken:b? 22:tolerations:*@Toleration 24:priorityClassName:s 25:priority:i? 29:runtimeClassName:s? 30:enableServiceLinks:b? 31:preemptionPolicy:s?
PodSecurityContext 2:runAsUser:i? 3:runAsNonRoot:b? 4:supplementalGroups:*i 5:fsGroup:i? 6:runAsGroup:i? 9:fsGroupChangePolicy:s? 10:seccompProfile:@SeccompProfile?
SeccompProfile 1:type:s 2:localhostProfile:s?
Toleration 1:key:s 2:operator:s 3:value:s 4:effect:s 5:tolerationSeconds:i?
Container 1:name:s 2:image:s 3:command:*s 4:args:*s 5:workingDir:s 6:ports:*@ContainerPort 7:env:*@EnvVar 8:resources:@ResourceRequirements 9:volumeMounts:*@VolumeMount 10:livenessProbe:@Probe? 11:readinessProbe:@Probe? 13:terminationMessagePath:s 14:imagePullPolicy:s 15:securityContext:@SecurityContext? 16:stdin:b 17:stdinOnce:b 18:tty:b 19:envFrom:*@EnvFromSource 20:terminationMessagePolicy:s 22:startupProbe:@Probe? 24:restartPolicy:s?
ContainerPort 1:name:s 2:hostPort:i 3:containerPort:i 4:protocol:s 5:hostIP:s
SecurityContext 1:capabilities:@Capabilities? 2:privileged:b? 4:runAsUser:i? 5:runAsNonRoot:b? 6:readOnlyRootFilesystem:b? 7:allowPrivilegeEscalation:b? 8:runAsGroup:i? 11:seccompProfile:@SeccompProfile?
Capabilities 1:add:*s 2:drop:*s
EnvVar 1:name:s 2:value:s 3:valueFrom:@EnvVarSource?
EnvVarSource 1:fieldRef:@ObjectFieldSelector? 2:resourceFieldRef:@ResourceFieldSelector? 3:configMapKeyRef:@KeySelector? 4:secretKeyRef:@KeySelector?
ObjectFieldSelector 1:apiVersion:s 2:fieldPath:s
ResourceFieldSelector 1:containerName:s 2:resource:s 3:divisor:q
KeySelector 1:~:@LocalObjectReference 2:key:s 3:optional:b?
EnvFromSource 1:prefix:s 2:configMapRef:@EnvSource? 3:secretRef:@EnvSource?
EnvSource 1:~:@LocalObjectReference 2:optional:b?
VolumeMount 1:name:s 2:readOnly:b 3:mountPath:s 4:subPath:s 5:mountPropagation:s? 6:subPathExpr:s
Probe 1:~:@ProbeHandler 2:initialDelaySeconds:i 3:timeoutSeconds:i 4:periodSeconds:i 5:successThreshold:i 6:failureThreshold:i 7:terminationGracePeriodSeconds:i?
ProbeHandler 1:exec:@ExecAction? 2:httpGet:@HTTPGetAction? 3:tcpSocket:@TCPSocketAction?
ExecAction 1:command:*s
HTTPGetAction 1:path:s 2:port:x 3:host:s 4:scheme:s 5:httpHeaders:*@HTTPHeader
HTTPHeader 1:name:s 2:value:s
TCPSocketAction 1:port:x 2:host:s
Volume 1:name:s 2:~:@VolumeSource
VolumeSource 1:hostPath:@HostPathVolumeSource? 2:emptyDir:@EmptyDirVolumeSource? 6:secret:@SecretVolumeSource? 10:persistentVolumeClaim:@ClaimVolumeSource? 19:configMap:@ConfigMapVolumeSource? 28:csi:@CSIVolumeSource?
HostPathVolumeSource 1:path:s 2:type:s?
EmptyDirVolumeSource 1:medium:s 2:sizeLimit:q?
SecretVolumeSource 1:secretName:s 2:items:*@KeyToPath 3:defaultMode:i? 4:optional:b?
ConfigMapVolumeSource 1:~:@LocalObjectReference 2:items:*@KeyToPath 3:defaultMode:i? 4:optional:b?
KeyToPath 1:key:s 2:path:s 3:mode:i?
ClaimVolumeSource 1:claimName:s 2:readOnly:b
CSIVolumeSource 1:driver:s 2:readOnly:b? 3:fsType:s? 4:volumeAttributes:%s 5:nodePublishSecretRef:@LocalObjectReference?
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

Job 1:metadata:@ObjectMeta 2:spec:@JobSpec 3:status:@JobStatus
JobSpec 1:parallelism:i? 2:completions:i? 3:activeDeadlineSeconds:i? 4:selector:@LabelSelector? 5:manualSelector:b? 6:template:@PodTemplateSpec 7:backoffLimit:i? 8:ttlSecondsAfterFinished:i? 9:completionMode:s? 10:suspend:b? 12:backoffLimitPerIndex:i? 13:maxFailedIndexes:i? 14:podReplacementPolicy:s? 15:managedBy:s?
JobStatus 2:startTime:t 3:completionTime:t 4:active:i 5:succeeded:i 6:failed:i 7:completedIndexes:s 9:ready:i? 10:failedIndexes:s? 11:terminating:i?
CronJob 1:metadata:@ObjectMeta 2:spec:@CronJobSpec 3:status:@CronJobStatus
CronJobSpec 1:schedule:s 2:startingDeadlineSeconds:i? 3:concurrencyPolicy:s 4:suspend:b? 5:jobTemplate:@JobTemplateSpec 6:successfulJobsHistoryLimit:i? 7:failedJobsHistoryLimit:i? 8:timeZone:s?
CronJobStatus 4:lastScheduleTime:t 5:lastSuccessfulTime:t
JobTemplateSpec 1:metadata:@ObjectMeta 2:spec:@JobSpec
ResourceQuota 1:metadata:@ObjectMeta 2:spec:@ResourceQuotaSpec 3:status:@ResourceQuotaStatus
ResourceQuotaSpec 1:hard:%q 2:scopes:*s
ResourceQuotaStatus 1:hard:%q 2:used:%q
PriorityClass 1:metadata:@ObjectMeta 2:value:i 3:globalDefault:b 4:description:s 5:preemptionPolicy:s?
Ingress 1:metadata:@ObjectMeta 2:spec:@IngressSpec 3:status:@IngressStatus
IngressSpec 1:defaultBackend:@IngressBackend? 2:tls:*@IngressTLS 3:rules:*@IngressRule 4:ingressClassName:s?
IngressBackend 3:resource:@TypedLocalObjectReference? 4:service:@IngressServiceBackend?
TypedLocalObjectReference 1:apiGroup:s? 2:kind:s 3:name:s
IngressServiceBackend 1:name:s 2:port:@ServiceBackendPort
ServiceBackendPort 1:name:s 2:number:i
IngressTLS 1:hosts:*s 2:secretName:s
IngressRule 1:host:s 2:~:@IngressRuleValue
IngressRuleValue 1:http:@HTTPIngressRuleValue?
HTTPIngressRuleValue 1:paths:*@HTTPIngressPath
HTTPIngressPath 1:path:s 2:backend:@IngressBackend 3:pathType:s?
IngressStatus 1:loadBalancer:@LoadBalancerStatus
DeleteOptions 1:gracePeriodSeconds:i? 2:preconditions:@Preconditions? 3:orphanDependents:b? 4:propagationPolicy:s? 5:dryRun:*s
Preconditions 1:uid:s? 2:resourceVersion:s?

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
            if let (INLINE, FieldType::Message(name)) = (field_of.name, &field_of.form) {
                agrees(&TABLE[name], schema, path);
                continue;
            }
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
        // Options are no objects.
        for kind in KINDS.iter().filter(|kind| **kind != "DeleteOptions") {
            let definition = built_in().values().find(|definition| definition.kind == *kind);
            agrees(&TABLE[kind], &definition.expect("the kind is served").schema, kind);
        }
    }
}
