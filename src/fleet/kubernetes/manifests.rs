//! The objects of a run on Kubernetes. None of them contains a secret.

use super::{
    pod_settings::PublicFiles,
    table::{KubernetesConfig, SecretKey},
    wave_list::WaveList,
};
use crate::{exit::Exit, failure::Failure};
use serde_json::{Map, Value, json};

/// The label with the fleet.
pub const FLEET: &str = "landfall.dev/fleet";
/// The label with the run.
pub const RUN: &str = "landfall.dev/run";
/// The label with the number of the wave, from 1.
pub const WAVE: &str = "landfall.dev/wave";
/// The label with the command.
pub const COMMAND: &str = "landfall.dev/command";
/// The annotation with the wave's name.
const WAVE_NAME: &str = "landfall.dev/wave-name";
/// The name of the container, of its list and of their folder.
const CONTAINER: &str = "landfall";
/// The name of the list in its ConfigMap.
pub const LIST: &str = "wave.json";
const LIST_FOLDER: &str = "/fleet";
/// The only folder that a pod can write to.
const SCRATCH: &str = "/work";
/// The maximum size of a ConfigMap's data in bytes: 1 MiB, of which names and labels need little.
const CONFIG_MAP_MAX: usize = 1024 * 1024 - 16 * 1024;
/// The maximum length of a Job's name: the names of its pods are host names, with the index after them.
const JOB_NAME_MAX: usize = 52;
/// The time that a pod has after SIGTERM: its requests end, and its lease is released.
const GRACE_S: u32 = 120;

/// A wave to run.
pub struct WaveJob<'a> {
    /// The list.
    pub list: &'a WaveList,
    /// The files beside it.
    pub files: &'a PublicFiles,
    /// The number of the wave, from 1.
    pub number: usize,
    /// The command: up or down.
    pub command: &'a str,
    /// The environments that run at once.
    pub parallel: usize,
    /// The failures that the wave may have.
    pub max_failures: usize,
    /// True if the Job waits until a person starts it.
    pub suspended: bool,
    /// The trace that the run is part of (W3C Trace Context).
    pub trace_parent: Option<&'a str>,
}

impl WaveJob<'_> {
    /// Returns the name of the Job and of its ConfigMap.
    pub fn name(&self) -> String {
        let fleet: String = self.list.fleet.to_lowercase().replace(['_', '.'], "-");
        let end = format!("-{}-w{}", self.list.run, self.number);
        let fleet = fleet.get(..JOB_NAME_MAX - end.len()).unwrap_or(&fleet).trim_matches('-');
        format!("{fleet}{end}")
    }

    fn labels(&self) -> Value {
        json!({
            "app.kubernetes.io/name": "landfall", "app.kubernetes.io/managed-by": "landfall",
            FLEET: self.list.fleet, RUN: self.list.run, WAVE: self.number.to_string(), COMMAND: self.command,
        })
    }

    /// Returns the ConfigMap with the list.
    ///
    /// # Errors
    /// Exit code 2 if it would be too large.
    pub fn config_map(&self, config: &KubernetesConfig) -> Result<Value, Failure> {
        let mut data: Map<String, Value> =
            self.files.iter().map(|(name, text)| (name.clone(), text.as_str().into())).collect();
        data.insert(LIST.to_owned(), self.list.text().into());
        let size: usize =
            data.iter().map(|(name, text)| name.len() + text.as_str().map_or(0, str::len)).sum();
        if size > CONFIG_MAP_MAX {
            let environments = self.list.environments.len();
            return Err(Failure::new(Exit::Input, format!("write the list of wave {}", self.list.wave))
                .cause(format!("its {environments} environments need {size} bytes, and a ConfigMap holds {CONFIG_MAP_MAX}"))
                .hint("split the wave: { ring = \"…\", size = 200 }; put what the environments share into [defaults]"));
        }
        Ok(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": self.name(), "namespace": config.namespace, "labels": self.labels() },
            "immutable": true,
            "data": data,
        }))
    }

    /// Returns the Job.
    pub fn job(&self, config: &KubernetesConfig) -> Value {
        let mut pod_labels = self.labels();
        pod_labels["azure.workload.identity/use"] = "true".into();
        let number = self.list.environments.len();
        let mut pod = json!({
            "restartPolicy": "Never",
            "serviceAccountName": config.service_account,
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": GRACE_S,
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532,
                "seccompProfile": { "type": "RuntimeDefault" },
            },
            "containers": [self.container(config)],
            "volumes": volumes(config, &self.name()),
        });
        if let Some(secret) = &config.image_pull_secret {
            pod["imagePullSecrets"] = json!([{ "name": secret }]);
        }
        json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {
                "name": self.name(), "namespace": config.namespace, "labels": self.labels(),
                "annotations": { WAVE_NAME: self.list.wave },
            },
            "spec": {
                "completionMode": "Indexed",
                "completions": number,
                "parallelism": self.parallel.clamp(1, number.max(1)),
                "suspend": self.suspended,
                "backoffLimitPerIndex": config.retries,
                "maxFailedIndexes": self.max_failures.min(number),
                "podReplacementPolicy": "Failed",
                "ttlSecondsAfterFinished": config.keep_s,
                "podFailurePolicy": { "rules": [
                    // An eviction, a drain or a lost node is no failure of the environment.
                    { "action": "Ignore", "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }] },
                    // A pod that was asked to end, as when the Job is suspended.
                    { "action": "Ignore", "onExitCodes": { "containerName": CONTAINER, "operator": "In", "values": [130] } },
                    // A wrong setting, and a refusal of the cloud: another attempt ends like the first one.
                    { "action": "FailIndex", "onExitCodes": { "containerName": CONTAINER, "operator": "In", "values": [2, 3] } },
                    { "action": "Count", "onExitCodes": { "containerName": CONTAINER, "operator": "NotIn", "values": [0, 2, 3, 130] } },
                ] },
                "template": { "metadata": { "labels": pod_labels }, "spec": pod },
            },
        })
    }

    fn container(&self, config: &KubernetesConfig) -> Value {
        let mut variables = vec![
            json!({ "name": "HOME", "value": SCRATCH }),
            json!({ "name": "TMPDIR", "value": SCRATCH }),
            json!({ "name": "LANDFALL_AUTH", "value": "workload-identity" }),
        ];
        if let Some(trace) = self.trace_parent {
            variables.push(json!({ "name": "TRACEPARENT", "value": trace }));
        }
        variables.extend(config.secret_variables.iter().map(|(name, SecretKey { secret, key })| {
            json!({ "name": name, "valueFrom": { "secretKeyRef": { "name": secret, "key": key } } })
        }));
        let mut mounts = vec![
            json!({ "name": "fleet", "mountPath": LIST_FOLDER, "readOnly": true }),
            json!({ "name": "scratch", "mountPath": SCRATCH }),
        ];
        mounts.extend(config.secret_folders.keys().enumerate().map(
            |(at, path)| json!({ "name": format!("secret-{}", at + 1), "mountPath": path, "readOnly": true }),
        ));
        json!({
            "name": CONTAINER,
            "image": config.image,
            "args": [
                "fleet", "one", "--list", format!("{LIST_FOLDER}/{LIST}"), "--state-dir", format!("{SCRATCH}/state"),
                "--in-container",
            ],
            "env": variables,
            "workingDir": SCRATCH,
            "resources": {
                "requests": { "cpu": config.cpu, "memory": config.memory },
                "limits": { "memory": config.memory_limit },
            },
            "securityContext": {
                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                "capabilities": { "drop": ["ALL"] },
            },
            "volumeMounts": mounts,
        })
    }
}

fn volumes(config: &KubernetesConfig, config_map: &str) -> Value {
    let mut volumes = vec![
        json!({ "name": "fleet", "configMap": { "name": config_map } }),
        json!({ "name": "scratch", "emptyDir": {} }),
    ];
    volumes.extend(config.secret_folders.values().enumerate().map(
        |(at, secret)| json!({ "name": format!("secret-{}", at + 1), "secret": { "secretName": secret } }),
    ));
    volumes.into()
}

/// Returns the namespace.
pub fn namespace(config: &KubernetesConfig) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {
            "name": config.namespace,
            "labels": { "pod-security.kubernetes.io/enforce": "restricted" },
        },
    })
}

/// Returns the service account of the pods, which has no rights in Kubernetes.
pub fn service_account(config: &KubernetesConfig) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {
            "name": config.service_account, "namespace": config.namespace,
            "annotations": { "azure.workload.identity/client-id": config.client_id },
        },
        "automountServiceAccountToken": false,
    })
}

/// Returns the role of the person or the CI job that applies the objects and follows the Jobs.
pub fn role(config: &KubernetesConfig) -> Value {
    let rule = |group: &str, resource: &str, verbs: &[&str]| json!({ "apiGroups": [group], "resources": [resource], "verbs": verbs });
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": { "name": "landfall-fleet", "namespace": config.namespace },
        "rules": [
            rule("batch", "jobs", &["get", "list", "watch", "create", "patch", "delete"]),
            rule("", "configmaps", &["get", "create", "patch", "delete"]),
            rule("", "serviceaccounts", &["get", "create", "patch"]),
            rule("", "pods", &["get", "list"]),
            rule("", "pods/log", &["get"]),
        ],
    })
}
