//! The cluster whose Jobs run the environments: a context of the user's kubeconfig, which is only read.

use super::{
    manifests::{self, COMMAND, FLEET},
    table::KubernetesConfig,
};
use crate::{
    cli_context::CliContext, exit::Exit, failure::Failure, settings::sources::Environment, telemetry,
};
use landfall_cloud::{
    ApiError, ApiErrorKind, RequestCounter,
    kubernetes::{Cluster, Connection, DynamicObject, Force, Kind, ProxyRules, user_context},
};
use serde_json::{Value, json};
use std::{fmt, path::PathBuf};

/// The last lines of a log that are read for its error.
const LOG_LINES: u32 = 20;

/// Where the environments of a fleet run, outside of this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Platform {
    /// In pods of the cluster of that context; `None` for the one of the settings.
    Kubernetes(Option<String>),
}

impl Platform {
    /// Parses the value of --on.
    ///
    /// # Errors
    /// Fails if it is neither kubernetes nor kubernetes=CONTEXT.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            None if text == "kubernetes" => Ok(Self::Kubernetes(None)),
            Some(("kubernetes", context)) if !context.is_empty() => {
                Ok(Self::Kubernetes(Some(context.to_owned())))
            }
            _ => Err("give kubernetes, or kubernetes=CONTEXT".to_owned()),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kubernetes(None) => f.write_str("kubernetes"),
            Self::Kubernetes(Some(context)) => write!(f, "kubernetes={context}"),
        }
    }
}

/// The connected cluster.
pub struct ManagementCluster {
    /// The client.
    pub cluster: Cluster,
    /// The namespace.
    pub namespace: String,
    files: Vec<PathBuf>,
    context: Option<String>,
    request_counter: RequestCounter,
}

impl ManagementCluster {
    /// Connects to a context of the user's kubeconfig. Sends no request yet.
    ///
    /// # Errors
    /// Exit code 3 if the kubeconfig has no usable context.
    pub async fn connect(
        cli_context: &CliContext,
        config: &KubernetesConfig,
        context: Option<&str>,
    ) -> Result<Self, Failure> {
        let files = kubeconfig_files(&cli_context.environment);
        let request_counter = telemetry::request_counter();
        let cluster = open(&files, context, &request_counter).await?;
        let (namespace, context) = (config.namespace.clone(), context.map(str::to_owned));
        Ok(Self { cluster, namespace, files, context, request_counter })
    }

    /// Connects again, with a new credential: a token of a sign-in program lives for about an hour.
    ///
    /// # Errors
    /// Those of [`ManagementCluster::connect`].
    pub async fn reconnect(&self) -> Result<Self, Failure> {
        let cluster = open(&self.files, self.context.as_deref(), &self.request_counter).await?;
        Ok(Self {
            cluster,
            namespace: self.namespace.clone(),
            files: self.files.clone(),
            context: self.context.clone(),
            request_counter: self.request_counter.clone(),
        })
    }

    /// Creates the namespace if it is missing, and applies the service account. A person who may not read namespaces uses
    /// an existing one.
    ///
    /// # Errors
    /// Any refusal of the cluster.
    pub async fn set_up(&self, config: &KubernetesConfig) -> Result<(), Failure> {
        match self.cluster.get(&Kind::NAMESPACE, None, &self.namespace).await {
            Ok(None) => drop(self.apply(&Kind::NAMESPACE, &manifests::namespace(config)).await?),
            Err(error) if error.kind != ApiErrorKind::Forbidden => {
                return Err(failed("read the namespace of the Jobs", &error));
            }
            _ => {}
        }
        self.apply(&Kind::SERVICE_ACCOUNT, &manifests::service_account(config)).await.map(drop)
    }

    /// Applies an object; returns the server's version of it.
    ///
    /// # Errors
    /// Any refusal of the cluster.
    pub async fn apply(&self, kind: &Kind, object: &Value) -> Result<DynamicObject, Failure> {
        let doing = || {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            format!("apply {} {name} in namespace {}", kind.kind, self.namespace)
        };
        let typed: DynamicObject = serde_json::from_value(object.clone())
            .map_err(|error| Failure::new(Exit::Failed, doing()).caused_by(&error))?;
        self.cluster.apply(kind, &typed, Force::No).await.map_err(|error| failed(&doing(), &error))
    }

    /// Creates a Job and its ConfigMap, which ends with the Job.
    ///
    /// # Errors
    /// Any refusal of the cluster.
    pub async fn create_job(&self, config_map: &Value, job: &Value) -> Result<(), Failure> {
        self.apply(&Kind::CONFIG_MAP, config_map).await?;
        let created = self.apply(&Kind::JOB, job).await?;
        let name = created.metadata.name.clone().unwrap_or_default();
        let owner = json!({ "metadata": { "ownerReferences": [{
            "apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": created.metadata.uid,
        }] } });
        let owned = self.cluster.merge_patch(&Kind::CONFIG_MAP, Some(&self.namespace), &name, &owner).await;
        owned.map(drop).map_err(|error| failed(&format!("let ConfigMap {name} end with its Job"), &error))
    }

    /// Lists the Jobs of a fleet.
    ///
    /// # Errors
    /// Any refusal of the cluster.
    pub async fn jobs(&self, fleet: &str, command: &str) -> Result<Vec<DynamicObject>, Failure> {
        let labels = format!("{FLEET}={fleet},{COMMAND}={command}");
        let listed = self.cluster.list(&Kind::JOB, Some(&self.namespace), Some(&labels)).await;
        match listed {
            Err(error) if error.kind == ApiErrorKind::NotFound => Ok(Vec::new()),
            listed => listed.map_err(|error| failed("list the Jobs of the fleet", &error)),
        }
    }

    /// Reads a key of a ConfigMap; `None` if there is none.
    ///
    /// # Errors
    /// Any refusal of the cluster.
    pub async fn config_map_key(&self, name: &str, key: &str) -> Result<Option<String>, Failure> {
        let read = self.cluster.get(&Kind::CONFIG_MAP, Some(&self.namespace), name).await;
        let read = read.map_err(|error| failed(&format!("read ConfigMap {name}"), &error))?;
        Ok(read.and_then(|object| object.data["data"][key].as_str().map(str::to_owned)))
    }

    /// Suspends a Job, which ends its pods regularly, or lets it continue.
    ///
    /// # Errors
    /// Any refusal of the cluster.
    pub async fn suspend(&self, job: &str, suspend: bool) -> Result<(), Failure> {
        let fields = json!({ "spec": { "suspend": suspend } });
        let patched = self.cluster.merge_patch(&Kind::JOB, Some(&self.namespace), job, &fields).await;
        patched.map(drop).map_err(|error| failed(&format!("suspend or continue Job {job}"), &error))
    }

    /// Deletes a Job that has no pods.
    ///
    /// # Errors
    /// Any refusal of the cluster.
    pub async fn delete_job(&self, job: &str) -> Result<(), Failure> {
        let deleted = self.cluster.delete(&Kind::JOB, Some(&self.namespace), job, None).await;
        deleted.map(drop).map_err(|error| failed(&format!("delete Job {job}"), &error))
    }

    /// Returns the last pod of an index, and the end of its log.
    ///
    /// # Errors
    /// Any refusal of the cluster.
    pub async fn last_pod(
        &self,
        job: &str,
        index: usize,
    ) -> Result<Option<(DynamicObject, Option<String>)>, Failure> {
        let labels =
            format!("batch.kubernetes.io/job-name={job},batch.kubernetes.io/job-completion-index={index}");
        let listed = self.cluster.list(&Kind::POD, Some(&self.namespace), Some(&labels)).await;
        let listed = listed.map_err(|error| failed(&format!("list the pods of Job {job}"), &error))?;
        let Some(pod) = listed.into_iter().max_by_key(|pod| pod.metadata.creation_timestamp.clone()) else {
            return Ok(None);
        };
        let name = pod.metadata.name.clone().unwrap_or_default();
        let log = self.cluster.log(&self.namespace, &name, LOG_LINES).await;
        let log = log.map_err(|error| failed(&format!("read the log of pod {name}"), &error))?;
        Ok(Some((pod, log)))
    }

    /// Returns why pods of a Job do not start, if one says so.
    ///
    /// # Errors
    /// Any refusal of the cluster.
    pub async fn not_starting(&self, job: &str) -> Result<Option<String>, Failure> {
        let labels = format!("batch.kubernetes.io/job-name={job}");
        let listed = self.cluster.list(&Kind::POD, Some(&self.namespace), Some(&labels)).await;
        let listed = listed.map_err(|error| failed(&format!("list the pods of Job {job}"), &error))?;
        Ok(listed.iter().find_map(|pod| {
            let why = super::pod::waiting_reason(&pod.data["status"])?;
            Some(format!("pod {} does not start: {why}", pod.metadata.name.as_deref().unwrap_or_default()))
        }))
    }
}

/// Creates a failure from a refusal of the management cluster.
pub fn failed(doing: &str, error: &ApiError) -> Failure {
    Failure::of_api(doing, error)
}

async fn open(
    files: &[PathBuf],
    context: Option<&str>,
    request_counter: &RequestCounter,
) -> Result<Cluster, Failure> {
    let doing = "connect to the management cluster";
    let kubeconfig = user_context(files, context).map_err(|error| failed(doing, &error))?;
    let connection = Connection { proxies: ProxyRules::from_environment(), ..Connection::default() };
    let connected = Cluster::connect_over(&kubeconfig, connection, request_counter, 1.0).await;
    connected.map_err(|error| failed(doing, &error))
}

/// Returns the kubeconfig files of the user: those of KUBECONFIG, else the one in the home.
fn kubeconfig_files(environment: &Environment) -> Vec<PathBuf> {
    let listed = environment.get("KUBECONFIG").map(std::env::split_paths).into_iter().flatten();
    let listed: Vec<PathBuf> = listed.filter(|path| !path.as_os_str().is_empty()).collect();
    match listed.is_empty() {
        false => listed,
        true => {
            let home = environment.get("HOME").unwrap_or_default();
            vec![PathBuf::from(home).join(".kube").join("config")]
        }
    }
}
