//! The schemas of pods and of pod templates.

use serde_json::{Value, json};

use super::affinity::affinity;
use super::build::{
    Constrain, anything, boolean, conditions, int_or_string, integer, keyed, label_selector, list, map,
    object, port, quantity, set, string, time,
};
use super::metadata;

/// The highest id of a user or group.
const ID_MAX: i64 = 2_147_483_647;

/// The schema of a Pod.
pub fn pod() -> Value {
    object(&[("spec", pod_spec()), ("status", pod_status())]).required(&["spec"])
}

/// The schema of the pod template in Deployments and other workloads.
pub fn template() -> Value {
    object(&[("metadata", metadata()), ("spec", pod_spec())])
}

fn pod_spec() -> Value {
    let toleration = object(&[
        ("key", string()),
        ("operator", string().one_of(&["Exists", "Equal"])),
        ("value", string()),
        ("effect", string().one_of(&["NoSchedule", "PreferNoSchedule", "NoExecute"])),
        ("tolerationSeconds", integer()),
    ]);
    let alias = object(&[("ip", string()), ("hostnames", list(string()))]).required(&["ip"]);
    object(&[
        ("containers", keyed(container(), &["name"]).with("minItems", json!(1))),
        ("initContainers", keyed(container(), &["name"])),
        ("ephemeralContainers", keyed(container(), &["name"])),
        ("volumes", keyed(volume(), &["name"])),
        ("restartPolicy", string().one_of(&["Always", "Never", "OnFailure"]).default(json!("Always"))),
        ("terminationGracePeriodSeconds", integer().default(json!(30))),
        ("activeDeadlineSeconds", integer().least(1)),
        (
            "dnsPolicy",
            string()
                .one_of(&["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"])
                .default(json!("ClusterFirst")),
        ),
        ("dnsConfig", anything()),
        ("nodeSelector", map(string()).atomic_map()),
        ("serviceAccountName", string()),
        ("serviceAccount", string()),
        ("automountServiceAccountToken", boolean()),
        ("nodeName", string()),
        ("hostNetwork", boolean()),
        ("hostPID", boolean()),
        ("hostIPC", boolean()),
        ("hostUsers", boolean()),
        ("shareProcessNamespace", boolean()),
        ("securityContext", pod_security().default(json!({}))),
        ("imagePullSecrets", keyed(object(&[("name", string())]).atomic_map(), &["name"])),
        ("hostname", string()),
        ("subdomain", string()),
        ("setHostnameAsFQDN", boolean()),
        ("affinity", affinity()),
        ("schedulerName", string().default(json!("default-scheduler"))),
        ("schedulingGates", keyed(object(&[("name", string())]), &["name"])),
        ("tolerations", list(toleration)),
        ("hostAliases", keyed(alias, &["ip"])),
        ("priorityClassName", string()),
        ("priority", integer()),
        ("preemptionPolicy", string().one_of(&["Never", "PreemptLowerPriority"])),
        ("readinessGates", list(object(&[("conditionType", string())]).required(&["conditionType"]))),
        ("runtimeClassName", string()),
        ("enableServiceLinks", boolean()),
        ("overhead", map(quantity())),
        ("topologySpreadConstraints", keyed(spread(), &["topologyKey", "whenUnsatisfiable"])),
        ("os", object(&[("name", string())]).required(&["name"])),
        ("resources", resources()),
    ])
    .required(&["containers"])
}

fn spread() -> Value {
    object(&[
        ("maxSkew", integer().least(1)),
        ("minDomains", integer().least(1)),
        ("topologyKey", string()),
        ("whenUnsatisfiable", string().one_of(&["DoNotSchedule", "ScheduleAnyway"])),
        ("labelSelector", label_selector()),
        ("matchLabelKeys", list(string())),
        ("nodeAffinityPolicy", string()),
        ("nodeTaintsPolicy", string()),
    ])
    .required(&["maxSkew", "topologyKey", "whenUnsatisfiable"])
}

fn pod_security() -> Value {
    let sysctl = object(&[("name", string()), ("value", string())]).required(&["name", "value"]);
    object(&[
        ("fsGroup", integer().range(0, ID_MAX)),
        ("fsGroupChangePolicy", string()),
        ("runAsUser", integer().range(0, ID_MAX)),
        ("runAsGroup", integer().range(0, ID_MAX)),
        ("runAsNonRoot", boolean()),
        ("supplementalGroups", list(integer())),
        ("supplementalGroupsPolicy", string()),
        ("sysctls", list(sysctl)),
        ("seccompProfile", profile()),
        ("appArmorProfile", profile()),
        ("seLinuxOptions", map(string())),
        ("windowsOptions", anything()),
    ])
}

fn profile() -> Value {
    object(&[
        ("type", string().one_of(&["Localhost", "RuntimeDefault", "Unconfined"])),
        ("localhostProfile", string()),
    ])
    .required(&["type"])
}

fn container() -> Value {
    let container_port = object(&[
        ("name", string()),
        ("containerPort", integer()),
        ("hostPort", integer().range(0, 65_535)),
        ("hostIP", string()),
        ("protocol", string().one_of(&["SCTP", "TCP", "UDP"]).default(json!("TCP"))),
    ]);
    let mount = object(&[
        ("name", string()),
        ("mountPath", string()),
        ("subPath", string()),
        ("subPathExpr", string()),
        ("readOnly", boolean()),
        ("recursiveReadOnly", string()),
        ("mountPropagation", string()),
    ])
    .required(&["name", "mountPath"]);
    let device = object(&[("name", string()), ("devicePath", string())]).required(&["name", "devicePath"]);
    let resize = object(&[("resourceName", string()), ("restartPolicy", string())]);
    object(&[
        ("name", string()),
        ("image", string()),
        ("imagePullPolicy", string().one_of(&["Always", "IfNotPresent", "Never"])),
        ("command", list(string())),
        ("args", list(string())),
        ("workingDir", string()),
        ("ports", keyed(container_port, &["containerPort", "protocol"])),
        ("env", keyed(variable(), &["name"])),
        ("envFrom", list(variables_from())),
        ("resources", resources().default(json!({}))),
        ("resizePolicy", list(resize)),
        ("restartPolicy", string()),
        ("volumeMounts", keyed(mount, &["mountPath"])),
        ("volumeDevices", keyed(device, &["devicePath"])),
        ("livenessProbe", probe()),
        ("readinessProbe", probe()),
        ("startupProbe", probe()),
        ("lifecycle", object(&[("postStart", handler()), ("preStop", handler()), ("stopSignal", string())])),
        ("terminationMessagePath", string().default(json!("/dev/termination-log"))),
        (
            "terminationMessagePolicy",
            string().one_of(&["FallbackToLogsOnError", "File"]).default(json!("File")),
        ),
        ("securityContext", container_security()),
        ("stdin", boolean()),
        ("stdinOnce", boolean()),
        ("tty", boolean()),
        ("targetContainerName", string()),
    ])
}

fn resources() -> Value {
    object(&[
        ("limits", map(quantity())),
        ("requests", map(quantity())),
        (
            "claims",
            keyed(object(&[("name", string()), ("request", string())]).required(&["name"]), &["name"]),
        ),
    ])
}

fn variable() -> Value {
    let key_of = || {
        object(&[("name", string()), ("key", string()), ("optional", boolean())])
            .required(&["key"])
            .atomic_map()
    };
    let field = object(&[("apiVersion", string().default(json!("v1"))), ("fieldPath", string())])
        .required(&["fieldPath"]);
    let resource = object(&[("containerName", string()), ("resource", string()), ("divisor", quantity())])
        .required(&["resource"]);
    let source = object(&[
        ("fieldRef", field.atomic_map()),
        ("resourceFieldRef", resource.atomic_map()),
        ("configMapKeyRef", key_of()),
        ("secretKeyRef", key_of()),
    ]);
    object(&[("name", string()), ("value", string()), ("valueFrom", source)])
}

fn variables_from() -> Value {
    let source = || object(&[("name", string()), ("optional", boolean())]);
    object(&[("prefix", string()), ("configMapRef", source()), ("secretRef", source())])
}

fn handler() -> Value {
    let header = object(&[("name", string()), ("value", string())]).required(&["name", "value"]);
    let get = object(&[
        ("path", string().default(json!("/"))),
        ("port", int_or_string()),
        ("host", string()),
        ("scheme", string().one_of(&["HTTP", "HTTPS"]).default(json!("HTTP"))),
        ("httpHeaders", list(header)),
    ]);
    object(&[
        ("exec", object(&[("command", list(string()))])),
        ("httpGet", get.required(&["port"])),
        ("tcpSocket", object(&[("port", int_or_string()), ("host", string())]).required(&["port"])),
        ("sleep", object(&[("seconds", integer())])),
    ])
}

fn probe() -> Value {
    handler().and(&[
        ("grpc", object(&[("port", port()), ("service", string().default(json!("")))]).required(&["port"])),
        ("initialDelaySeconds", integer().least(0)),
        ("timeoutSeconds", integer().least(1).default(json!(1))),
        ("periodSeconds", integer().least(1).default(json!(10))),
        ("successThreshold", integer().least(1).default(json!(1))),
        ("failureThreshold", integer().least(1).default(json!(3))),
        ("terminationGracePeriodSeconds", integer().least(1)),
    ])
}

fn container_security() -> Value {
    object(&[
        ("allowPrivilegeEscalation", boolean()),
        ("capabilities", object(&[("add", list(string())), ("drop", list(string()))])),
        ("privileged", boolean()),
        ("procMount", string()),
        ("readOnlyRootFilesystem", boolean()),
        ("runAsUser", integer().range(0, ID_MAX)),
        ("runAsGroup", integer().range(0, ID_MAX)),
        ("runAsNonRoot", boolean()),
        ("seccompProfile", profile()),
        ("appArmorProfile", profile()),
        ("seLinuxOptions", map(string())),
        ("windowsOptions", anything()),
    ])
}

fn volume() -> Value {
    let item =
        object(&[("key", string()), ("path", string()), ("mode", integer())]).required(&["key", "path"]);
    let mode = || integer().range(0, 511).default(json!(420));
    let named =
        |field: &str| object(&[(field, string()), ("items", list(item.clone())), ("optional", boolean())]);
    let csi = object(&[
        ("driver", string()),
        ("readOnly", boolean()),
        ("fsType", string()),
        ("volumeAttributes", map(string())),
        ("nodePublishSecretRef", object(&[("name", string())]).atomic_map()),
    ]);
    let token = object(&[
        ("audience", string()),
        ("expirationSeconds", integer().default(json!(3_600))),
        ("path", string()),
    ]);
    let source = object(&[
        ("configMap", named("name")),
        ("secret", named("name")),
        ("downwardAPI", anything()),
        ("serviceAccountToken", token.required(&["path"])),
        ("clusterTrustBundle", anything()),
    ]);
    let claim = object(&[("claimName", string()), ("readOnly", boolean())]).required(&["claimName"]);
    object(&[
        ("name", string()),
        ("emptyDir", object(&[("medium", string()), ("sizeLimit", quantity())])),
        ("configMap", named("name").and(&[("defaultMode", mode())])),
        ("secret", named("secretName").and(&[("defaultMode", mode())])),
        ("projected", object(&[("sources", list(source)), ("defaultMode", mode())])),
        ("downwardAPI", anything()),
        (
            "hostPath",
            object(&[("path", string()), ("type", string().default(json!("")))]).required(&["path"]),
        ),
        ("persistentVolumeClaim", claim),
        ("csi", csi.required(&["driver"])),
        ("nfs", anything()),
        ("azureDisk", anything()),
        ("azureFile", anything()),
        ("ephemeral", anything()),
        ("image", anything()),
    ])
    .required(&["name"])
}

fn pod_status() -> Value {
    let address = object(&[("ip", string())]).required(&["ip"]);
    let state = || {
        list(
            object(&[("name", string())])
                .required(&["name"])
                .with("x-kubernetes-preserve-unknown-fields", json!(true)),
        )
    };
    object(&[
        ("phase", string()),
        ("conditions", conditions()),
        ("message", string()),
        ("reason", string()),
        ("hostIP", string()),
        ("hostIPs", list(address.clone())),
        ("podIP", string()),
        ("podIPs", keyed(address, &["ip"])),
        ("startTime", time()),
        ("initContainerStatuses", state()),
        ("containerStatuses", state()),
        ("ephemeralContainerStatuses", state()),
        ("qosClass", string()),
        ("nominatedNodeName", string()),
        ("observedGeneration", integer()),
        ("resize", set(string())),
    ])
}
