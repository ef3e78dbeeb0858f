//! The objects to apply: the built-in set or the user's folder, with the domain filled in.

use crate::{
    objects::DesiredObjects,
    operator::{external_dns, listeners},
    settings::{ObjectName, Settings},
};
use include_dir::{Dir, include_dir};
use landfall_cloud::kubernetes::{
    DynamicObject,
    manifest::{self, Manifest},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

static BUILT_IN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates/manifests");
const CLASS: &str = include_str!("templates/tls/secret-provider-class.yaml");
const CLASS_FOR_CHAINS: &str = include_str!("templates/tls/secret-provider-class-chain.yaml");
const CLASS_OF_WORKLOAD: &str = include_str!("templates/tls/secret-provider-class-workload.yaml");
const ACCOUNT: &str = include_str!("templates/tls/service-account.yaml");
const SYNC: &str = include_str!("templates/tls/sync.yaml");

/// The placeholder of the domain in a manifest.
pub const DOMAIN: &str = "__DOMAIN_NAME__";
/// The placeholder of the client id of the identity that reads the vault.
const IDENTITY: &str = "__IDENTITY_CLIENT_ID__";
/// The client id in a plan, before the identity exists.
pub(crate) const UNKNOWN_ID: &str = "known after the managed identity is created";
/// The service account of the built-in sync workload, if it has an identity of its own.
const SYNC_ACCOUNT: &str = "tls-secret-sync";
/// The annotation of the sync workload's pods with the identity. A pod keeps what it has mounted, so only a new pod
/// proves that a new identity can read the vault.
const IDENTITY_ANNOTATION: &str = "landfall/identity";
/// The API group of the gateways step.
const GATEWAY_GROUP: &str = "gateway.networking.k8s.io/";
/// The route whose weights come from the settings.
const CANARY_ROUTE: &str = "echo-canary";

/// Every object of an environment, by the step that applies it.
#[derive(Clone, Default)]
pub(crate) struct Manifests {
    pub(crate) apps: Vec<Manifest>,
    pub(crate) gateways: Vec<Manifest>,
    /// The TLS part of the user's folder; it replaces built-in objects of the same kind and name.
    tls: Vec<Manifest>,
    replace: Vec<ObjectName>,
    /// True if the sync workload reads the vault with an identity of its own.
    workload: bool,
}

/// A service account in the cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ServiceAccount {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl ServiceAccount {
    /// Returns the subject of its tokens.
    pub(crate) fn subject(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.name)
    }
}

impl std::fmt::Display for ServiceAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl Manifests {
    /// Sorts the configured set by step.
    pub(crate) fn new(s: &Settings) -> Self {
        let mut all = match &s.manifests {
            Some(own) => own.as_ref().clone(),
            None => built_in(),
        };
        if s.manifests.is_none() {
            set_canary(&mut all, s.canary.stable, s.canary.canary);
        }
        manifest::fill(&mut all, DOMAIN, &s.domain);
        let workload = s.uses_workload_identity();
        let mut sorted = Self { replace: s.replace_objects.clone(), workload, ..Self::default() };
        for manifest in all {
            if api_version(&manifest).starts_with(GATEWAY_GROUP) {
                sorted.gateways.push(manifest);
            } else if is_tls(&manifest) {
                sorted.tls.push(manifest);
            } else {
                sorted.apps.push(manifest);
            }
        }
        sorted
    }

    /// Returns the names of the objects of all steps.
    pub(crate) fn wanted(&self) -> DesiredObjects {
        let tls = self.built_in_tls(false);
        DesiredObjects::of(self.apps.iter().chain(&self.gateways).chain(&self.tls).chain(&tls), &self.replace)
    }

    /// Returns the TLS part with its placeholders, to compare the fields without any.
    pub(crate) fn tls_templates(&self) -> Vec<Manifest> {
        let mut all = self.tls_set(false);
        all.retain(|one| kind(one) != "SecretProviderClass");
        all
    }

    /// Returns the classes of the user's folder.
    pub(crate) fn own_classes(&self) -> impl Iterator<Item = &DynamicObject> {
        self.tls.iter().filter(|own| kind(own) == "SecretProviderClass").map(|own| &own.object)
    }

    /// Returns the service accounts of the workloads that mount a class with landfall's identity.
    pub(crate) fn sync_accounts(&self) -> Vec<ServiceAccount> {
        let all = self.tls_set(false);
        let uses_identity = |class: &&Manifest| {
            let client_id = class.object.data["spec"]["parameters"]["clientID"].as_str();
            kind(class) == "SecretProviderClass" && client_id.is_some_and(|id| id.contains(IDENTITY))
        };
        let classes: Vec<(String, &str)> = all
            .iter()
            .filter(uses_identity)
            .map(|class| (space(class), class.object.metadata.name.as_deref().unwrap_or_default()))
            .collect();
        let account = |workload: &Manifest| {
            let (spec, namespace) = (pod_spec(workload)?, space(workload));
            let volumes = spec["volumes"].as_array().map(Vec::as_slice).unwrap_or_default();
            let class = |volume: &Value| {
                volume["csi"]["volumeAttributes"]["secretProviderClass"].as_str().map(str::to_owned)
            };
            let mounts = volumes
                .iter()
                .filter_map(class)
                .any(|class| classes.iter().any(|(place, name)| *place == namespace && *name == class));
            let name = spec["serviceAccountName"].as_str().unwrap_or("default").to_owned();
            mounts.then_some(ServiceAccount { namespace, name })
        };
        let accounts: BTreeSet<ServiceAccount> = all.iter().filter_map(account).collect();
        accounts.into_iter().collect()
    }

    /// Returns the built-in TLS part.
    fn built_in_tls(&self, with_chain: bool) -> Vec<Manifest> {
        let templates = &*TLS_TEMPLATES;
        let mut all = match (self.workload, with_chain) {
            (true, _) => templates.class_of_workload.clone(),
            (false, true) => templates.class_for_chains.clone(),
            (false, false) => templates.class.clone(),
        };
        let mut sync = templates.sync.clone();
        if self.workload {
            all.extend(templates.account.iter().cloned());
            for workload in &mut sync {
                let template = &mut workload.object.data["spec"]["template"];
                template["metadata"]["annotations"] = json!({ IDENTITY_ANNOTATION: IDENTITY });
                template["spec"]["serviceAccountName"] = json!(SYNC_ACCOUNT);
            }
        }
        all.extend(sync);
        all
    }

    /// Returns the TLS part with its placeholders: the built-in one, and the user's objects, which replace built-in
    /// ones of the same kind and name.
    fn tls_set(&self, with_chain: bool) -> Vec<Manifest> {
        let mut all = self.built_in_tls(with_chain);
        all.retain(|one| !self.tls.iter().any(|own| same_object(own, one)));
        all.extend(self.tls.clone());
        all
    }

    /// Returns the objects to replace that are in no manifest.
    pub(crate) fn unknown_replacements(&self) -> Vec<&ObjectName> {
        let tls = self.tls_templates();
        let names = self.apps.iter().chain(&self.gateways).chain(&tls).map(name_of);
        let known: Vec<ObjectName> = names.collect();
        self.replace.iter().filter(|name| !known.contains(name)).collect()
    }

    /// Returns the note that objects were exported from a cluster, and what is not applied of them.
    pub(crate) fn exported_note(&self) -> Option<String> {
        let all = self.apps.iter().chain(&self.gateways).chain(&self.tls);
        let exported: Vec<&Manifest> = all.filter(|manifest| !manifest.stripped.is_empty()).collect();
        let first = exported.first()?;
        let others = match exported.len() {
            1 => String::new(),
            count => format!(" (and {} more objects)", count - 1),
        };
        let fields = first.stripped.join(", ");
        Some(format!(
            "{} in {} was exported from a cluster{others}: only the server sets {fields}, so this is not applied",
            name_of(first),
            first.file
        ))
    }

    /// Returns the service accounts that the managed identity trusts.
    pub(crate) fn trusted_accounts(&self, s: &Settings) -> Vec<ServiceAccount> {
        let mut accounts: BTreeSet<ServiceAccount> = BTreeSet::new();
        if s.has_operator_tls() {
            accounts.extend(self.listener_accounts());
        } else if self.workload {
            accounts.extend(self.sync_accounts());
        }
        if s.has_operator_records() {
            let name = || external_dns::ACCOUNT.to_owned();
            let spaces = self.gateway_spaces().into_iter();
            accounts.extend(spaces.map(|namespace| ServiceAccount { namespace, name: name() }));
        }
        accounts.into_iter().collect()
    }

    /// Returns the service accounts of the listeners whose certificate the operator provides.
    fn listener_accounts(&self) -> Vec<ServiceAccount> {
        let accounts = listeners::of(&self.gateways).into_iter().map(|listener| ServiceAccount {
            namespace: listener.namespace,
            name: listeners::ACCOUNT.to_owned(),
        });
        accounts.collect()
    }

    /// Returns the namespaces of the gateways.
    pub(crate) fn gateway_spaces(&self) -> Vec<String> {
        let spaces: BTreeSet<String> =
            self.gateways.iter().filter(|one| kind(one) == "Gateway").map(space).collect();
        spaces.into_iter().collect()
    }

    /// Returns the namespace and the name of the first route of each host.
    pub(crate) fn routes(&self) -> BTreeMap<String, (String, String)> {
        let mut routes = BTreeMap::new();
        for route in self.gateways.iter().filter(|one| kind(one) == "HTTPRoute") {
            let name = route.object.metadata.name.clone().unwrap_or_default();
            let hosts = route.object.data["spec"]["hostnames"].as_array().into_iter().flatten();
            for host in hosts.filter_map(Value::as_str) {
                routes.entry(host.to_owned()).or_insert_with(|| (space(route), name.clone()));
            }
        }
        routes
    }

    /// Returns the SecretProviderClass and the sync workload.
    pub(crate) fn tls(&self, names: &TlsNames<'_>) -> Vec<Manifest> {
        let mut all = self.tls_set(names.with_chain);
        names.fill(&mut all);
        all
    }
}

/// The values that the TLS part needs.
pub(crate) struct TlsNames<'a> {
    /// The client id of the identity that reads the vault.
    pub(crate) client_id: &'a str,
    pub(crate) vault: &'a str,
    pub(crate) tenant: &'a str,
    pub(crate) certificate: &'a str,
    pub(crate) with_chain: bool,
}

impl TlsNames<'_> {
    /// Fills in the values. The identity is unknown before it exists, so no file can contain it.
    pub(crate) fn fill(&self, all: &mut [Manifest]) {
        for (placeholder, value) in [
            (IDENTITY, self.client_id),
            ("__KEY_VAULT_NAME__", self.vault),
            ("__TENANT_ID__", self.tenant),
            ("__CERTIFICATE_NAME__", self.certificate),
        ] {
            manifest::fill(all, placeholder, value);
        }
    }
}

/// Returns a folder, or the built-in set, for a domain.
pub(crate) fn filled(domain: &str, folder: Option<&[Manifest]>) -> Vec<Manifest> {
    let mut all = folder.map_or_else(built_in, <[Manifest]>::to_vec);
    manifest::fill(&mut all, DOMAIN, domain);
    all
}

/// Returns the built-in set, which is parsed once: commands wire the steps more than once.
/// The parsed templates of the TLS part, with their placeholders.
struct TlsTemplates {
    class: Vec<Manifest>,
    class_for_chains: Vec<Manifest>,
    class_of_workload: Vec<Manifest>,
    account: Vec<Manifest>,
    sync: Vec<Manifest>,
}

static TLS_TEMPLATES: LazyLock<TlsTemplates> = LazyLock::new(|| {
    let class = |text| own_template("tls/secret-provider-class.yaml", text);
    TlsTemplates {
        class: class(CLASS),
        class_for_chains: class(CLASS_FOR_CHAINS),
        class_of_workload: class(CLASS_OF_WORKLOAD),
        account: own_template("tls/service-account.yaml", ACCOUNT),
        sync: own_template("tls/sync.yaml", SYNC),
    }
});

fn built_in() -> Vec<Manifest> {
    static PARSED: LazyLock<Vec<Manifest>> = LazyLock::new(parse_built_in);
    PARSED.clone()
}

fn parse_built_in() -> Vec<Manifest> {
    let mut files: Vec<_> = BUILT_IN.files().collect();
    files.sort_by_key(|file| file.path());
    let texts = files.into_iter().filter_map(|file| Some((file.path().to_str()?, file.contents_utf8()?)));
    texts.flat_map(|(path, text)| own_template(path, text)).collect()
}

fn own_template(path: &str, text: &str) -> Vec<Manifest> {
    manifest::parse(path, text).expect("our own templates are well-formed")
}

/// Sets the weight of each version, by the order of the backends: the first is stable, the second the canary.
fn set_canary(manifests: &mut [Manifest], stable: u8, canary: u8) {
    let route = manifests.iter_mut().find(|m| m.object.metadata.name.as_deref() == Some(CANARY_ROUTE));
    let rules = route.and_then(|route| route.object.data.pointer_mut("/spec/rules/0/backendRefs"));
    if let Some(Value::Array(backends)) = rules {
        for (backend, weight) in backends.iter_mut().zip([stable, canary]) {
            backend["weight"] = json!(weight);
        }
    }
}

fn api_version(manifest: &Manifest) -> &str {
    manifest.object.types.as_ref().map_or("", |types| types.api_version.as_str())
}

fn kind(manifest: &Manifest) -> &str {
    manifest.object.types.as_ref().map_or("", |types| types.kind.as_str())
}

/// Returns whether a manifest is a class, or a workload that mounts one: it cannot become ready before the
/// vault is readable.
fn is_tls(manifest: &Manifest) -> bool {
    if kind(manifest) == "SecretProviderClass" {
        return true;
    }
    let volumes = pod_spec(manifest).and_then(|spec| spec["volumes"].as_array());
    let csi = |volume: &Value| volume["csi"]["driver"] == json!("secrets-store.csi.k8s.io");
    volumes.is_some_and(|volumes| volumes.iter().any(csi))
}

/// Returns the specification of the pods of a workload, or of a pod itself.
fn pod_spec(manifest: &Manifest) -> Option<&Value> {
    let data = &manifest.object.data;
    data.pointer("/spec/template/spec").or_else(|| data.get("spec"))
}

/// Returns the namespace of a manifest.
fn space(manifest: &Manifest) -> String {
    manifest.object.metadata.namespace.clone().unwrap_or_else(|| "default".to_owned())
}

/// Returns the name of an object in the command-line syntax.
pub(crate) fn name_of(manifest: &Manifest) -> ObjectName {
    let metadata = &manifest.object.metadata;
    ObjectName::new(
        kind(manifest),
        metadata.namespace.as_deref(),
        metadata.name.as_deref().unwrap_or_default(),
    )
}

fn same_object(one: &Manifest, other: &Manifest) -> bool {
    kind(one) == kind(other)
        && one.object.metadata.name == other.object.metadata.name
        && space(one) == space(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_set_has_two_gateways_and_every_route() {
        let all = built_in();
        let of = |wanted: &str| all.iter().filter(|m| kind(m) == wanted).count();
        assert_eq!((of("Gateway"), of("HTTPRoute"), of("Deployment"), of("Service")), (2, 6, 3, 3));
    }

    #[test]
    fn the_service_accounts_are_those_of_the_workloads_that_mount_a_class_with_the_identity() {
        let own = |text: &str| Manifests {
            tls: manifest::parse("own.yaml", text).unwrap(),
            workload: true,
            ..Manifests::default()
        };
        let accounts = |manifests: Manifests| {
            manifests.sync_accounts().iter().map(ServiceAccount::subject).collect::<Vec<_>>()
        };
        let built_in = "system:serviceaccount:default:tls-secret-sync";
        assert_eq!(accounts(own("")), [built_in]);
        let class = "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata: {name: c, namespace: shop}\nspec: {parameters: {clientID: CLIENT}}\n---\n";
        let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop}\nspec: {volumes: [{name: v, csi: {driver: secrets-store.csi.k8s.io, volumeAttributes: {secretProviderClass: c}}}]}\n";
        let with = |client: &str| own(&format!("{}{pod}", class.replace("CLIENT", client)));
        assert_eq!(accounts(with("another")), [built_in]);
        assert_eq!(accounts(with(IDENTITY)), [built_in, "system:serviceaccount:shop:default"]);
    }

    #[test]
    fn exported_objects_are_noted_with_their_server_set_fields() {
        let parse = |text: &str| Manifests {
            apps: manifest::parse("own.yaml", text).unwrap(),
            ..Manifests::default()
        };
        let plain = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
        assert_eq!(parse(plain).exported_note(), None);
        let exported = plain.replace("name: a", "name: a, uid: b, creationTimestamp: c");
        let note = parse(&exported).exported_note().unwrap();
        for part in
            ["in own.yaml was exported", "metadata.uid, metadata.creationTimestamp, so this is not applied"]
        {
            assert!(note.contains(part), "{note}");
        }
    }

    #[test]
    fn the_weights_of_the_canary_are_those_of_the_settings() {
        let mut all = built_in();
        set_canary(&mut all, 70, 30);
        let route = all.iter().find(|m| m.object.metadata.name.as_deref() == Some(CANARY_ROUTE)).unwrap();
        let weights = |i: usize| route.object.data["spec"]["rules"][0]["backendRefs"][i]["weight"].clone();
        assert_eq!((weights(0), weights(1)), (json!(70), json!(30)));
    }
}
