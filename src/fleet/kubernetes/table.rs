//! The table `[kubernetes]` of a fleet file: where and how the environments run as pods.

use crate::{exit::Exit, failure::Failure, fleet::amount::duration};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The default of `namespace` and `service_account`.
const NAME: &str = "landfall";
/// The default of `retries`.
const RETRIES: u32 = 3;
/// The maximum of `retries`: the pauses between attempts grow to six minutes.
const RETRIES_MAX: u32 = 10;
/// The default of `keep`.
const KEEP: &str = "7d";

/// The pods that run the environments with `fleet render` and --on kubernetes.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(inline)]
pub struct KubernetesTable {
    /// The context of the kubeconfig for --on kubernetes; by default its current one.
    pub context: Option<String>,
    /// The namespace of the Jobs: lower-case letters, digits and hyphens.
    #[schemars(extend("default" = NAME, "pattern" = "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"))]
    pub namespace: Option<String>,
    /// The container image of landfall, by digest or by tag: registry.example.com/landfall@sha256:….
    #[schemars(extend("pattern" = "^[^\\s]{1,500}$"))]
    pub image: Option<String>,
    /// The Secret of the namespace with the credential of a private registry.
    pub image_pull_secret: Option<String>,
    /// The service account of the pods: lower-case letters, digits and hyphens.
    #[schemars(extend("default" = NAME, "pattern" = "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"))]
    pub service_account: Option<String>,
    /// The client id of the managed identity or application that the pods sign in as, a UUID.
    #[schemars(extend("pattern" = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"))]
    pub client_id: Option<String>,
    /// The attempts for one environment after its first one. A wrong setting and a refusal of the cloud are not repeated.
    #[schemars(extend("default" = RETRIES, "minimum" = 0, "maximum" = RETRIES_MAX))]
    pub retries: Option<u32>,
    /// The time for which a Job that has ended is kept, "2h", at most "7d".
    #[schemars(extend("default" = KEEP))]
    pub keep: Option<String>,
    /// The resources of a pod.
    pub resources: ResourcesTable,
    /// Variables of the pods whose values are in Secrets of the namespace: SSL_PFX_PASSWORD = { secret = "pfx", key =
    /// "password" }.
    pub secret_variables: BTreeMap<String, SecretKey>,
    /// Secrets of the namespace as folders of the pods, by path: "/secrets/pfx" = "pfx".
    pub secret_folders: BTreeMap<String, String>,
}

/// The resources of a pod, as Kubernetes writes quantities.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(inline)]
pub struct ResourcesTable {
    /// The requested processor time, a quantity: 50m.
    #[schemars(extend("default" = "50m", "pattern" = "^[0-9]+(\\.[0-9]+)?m?$"))]
    pub cpu: Option<String>,
    /// The requested memory, a quantity: 64Mi.
    #[schemars(extend("default" = "64Mi", "pattern" = "^[0-9]+(\\.[0-9]+)?([KMG]i?)?$"))]
    pub memory: Option<String>,
    /// The memory limit, a quantity: 256Mi.
    #[schemars(extend("default" = "256Mi", "pattern" = "^[0-9]+(\\.[0-9]+)?([KMG]i?)?$"))]
    pub memory_limit: Option<String>,
}

/// A value in a Secret.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(inline)]
pub struct SecretKey {
    /// The Secret's name.
    pub secret: String,
    /// The key in it.
    pub key: String,
}

/// The validated table.
#[derive(Clone, Debug)]
pub struct KubernetesConfig {
    /// The namespace.
    pub namespace: String,
    /// The image.
    pub image: String,
    /// The Secret with the registry's credential.
    pub image_pull_secret: Option<String>,
    /// The service account.
    pub service_account: String,
    /// The client id of the identity.
    pub client_id: String,
    /// The attempts after the first one.
    pub retries: u32,
    /// The time for which an ended Job is kept, in seconds.
    pub keep_s: u64,
    /// The requested processor time.
    pub cpu: String,
    /// The requested memory.
    pub memory: String,
    /// The memory limit.
    pub memory_limit: String,
    /// Variables with their Secrets.
    pub secret_variables: BTreeMap<String, SecretKey>,
    /// Folders with their Secrets.
    pub secret_folders: BTreeMap<String, String>,
}

impl KubernetesConfig {
    /// Validates the table, which must name what has no default.
    ///
    /// # Errors
    /// Exit code 2, with every mistake.
    pub fn of(table: &KubernetesTable) -> Result<Self, Failure> {
        let mut mistakes = Vec::new();
        let mut needed = |value: &Option<String>, key: &str| {
            if value.is_none() {
                mistakes.push(format!("kubernetes.{key} is not set"));
            }
            value.clone().unwrap_or_default()
        };
        let (image, client_id) = (needed(&table.image, "image"), needed(&table.client_id, "client_id"));
        let keep = table.keep.as_deref().unwrap_or(KEEP);
        let keep = duration(keep).ok_or_else(|| {
            mistakes.push(format!("kubernetes.keep is \"{keep}\", which is no duration of up to a week"))
        });
        for (name, SecretKey { secret, key }) in &table.secret_variables {
            if secret.is_empty() || key.is_empty() {
                mistakes.push(format!("kubernetes.secret_variables.{name} needs a secret and a key"));
            }
        }
        for path in table.secret_folders.keys().filter(|path| !path.starts_with('/')) {
            mistakes.push(format!("kubernetes.secret_folders: \"{path}\" is not an absolute path"));
        }
        if !mistakes.is_empty() {
            let failure = Failure::new(Exit::Input, "run the fleet on Kubernetes");
            let failure = mistakes.iter().fold(failure, |failure, mistake| failure.cause(mistake));
            return Err(
                failure.hint("complete the table [kubernetes] of the fleet file; docs/fleet.md shows one")
            );
        }
        let or = |value: &Option<String>, default: &str| value.clone().unwrap_or_else(|| default.to_owned());
        let resources = &table.resources;
        Ok(Self {
            namespace: or(&table.namespace, NAME),
            image,
            image_pull_secret: table.image_pull_secret.clone(),
            service_account: or(&table.service_account, NAME),
            client_id,
            retries: table.retries.unwrap_or(RETRIES),
            keep_s: keep.unwrap_or_default().as_secs(),
            cpu: or(&resources.cpu, "50m"),
            memory: or(&resources.memory, "64Mi"),
            memory_limit: or(&resources.memory_limit, "256Mi"),
            secret_variables: table.secret_variables.clone(),
            secret_folders: table.secret_folders.clone(),
        })
    }
}
