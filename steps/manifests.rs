//! The objects to apply: the built-in set or the user's folder, with the domain filled in.

use crate::{
    cluster_ready::AddOnIdentity,
    objects::DesiredObjects,
    settings::{ObjectName, Settings},
};
use include_dir::{Dir, include_dir};
use landfall_cloud::kubernetes::manifest::{self, Manifest};
use serde_json::{Value, json};
use std::sync::LazyLock;

static BUILT_IN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../templates/manifests");
const CLASS: &str = include_str!("../templates/tls/secret-provider-class.yaml");
const CLASS_FOR_CHAINS: &str = include_str!("../templates/tls/secret-provider-class-chain.yaml");
const SYNC: &str = include_str!("../templates/tls/sync.yaml");

/// The placeholder of the domain in a manifest.
pub const DOMAIN: &str = "__DOMAIN_NAME__";
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
        let mut sorted = Self { replace: s.replace_objects.clone(), ..Self::default() };
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
        let tls = [("tls/secret-provider-class.yaml", CLASS), ("tls/sync.yaml", SYNC)];
        let tls: Vec<Manifest> = tls.iter().flat_map(|(path, text)| own_template(path, text)).collect();
        DesiredObjects::of(self.apps.iter().chain(&self.gateways).chain(&self.tls).chain(&tls), &self.replace)
    }

    /// Returns the TLS part with its placeholders, to compare the fields without any.
    pub(crate) fn tls_templates(&self) -> Vec<Manifest> {
        let mut all = own_template("tls/sync.yaml", SYNC);
        all.retain(|one| !self.tls.iter().any(|own| same_object(own, one)));
        all.extend(self.tls.iter().filter(|own| kind(own) != "SecretProviderClass").cloned());
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

    /// Returns the SecretProviderClass and the sync workload.
    pub(crate) fn tls(&self, names: &TlsNames<'_>) -> Vec<Manifest> {
        let class = if names.with_chain { CLASS_FOR_CHAINS } else { CLASS };
        let mut all = own_template("tls/secret-provider-class.yaml", class);
        all.extend(own_template("tls/sync.yaml", SYNC));
        all.retain(|one| !self.tls.iter().any(|own| same_object(own, one)));
        // The add-on's identity is unknown before the cluster exists, so no file can contain it.
        all.extend(self.tls.clone());
        for (placeholder, value) in [
            ("__IDENTITY_CLIENT_ID__", names.identity.client_id.as_str()),
            ("__KEY_VAULT_NAME__", names.vault),
            ("__TENANT_ID__", names.tenant),
            ("__CERTIFICATE_NAME__", names.certificate),
        ] {
            manifest::fill(&mut all, placeholder, value);
        }
        all
    }
}

/// The values that the TLS part needs.
pub(crate) struct TlsNames<'a> {
    pub(crate) identity: &'a AddOnIdentity,
    pub(crate) vault: &'a str,
    pub(crate) tenant: &'a str,
    pub(crate) certificate: &'a str,
    pub(crate) with_chain: bool,
}

/// Returns a folder, or the built-in set, for a domain.
pub(crate) fn filled(domain: &str, folder: Option<&[Manifest]>) -> Vec<Manifest> {
    let mut all = folder.map_or_else(built_in, <[Manifest]>::to_vec);
    manifest::fill(&mut all, DOMAIN, domain);
    all
}

/// Returns the built-in set, which is parsed once: commands wire the steps more than once.
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
    let data = &manifest.object.data;
    let volumes = data.pointer("/spec/template/spec/volumes").or_else(|| data.pointer("/spec/volumes"));
    let csi = |volume: &Value| volume["csi"]["driver"] == json!("secrets-store.csi.k8s.io");
    volumes.and_then(Value::as_array).is_some_and(|volumes| volumes.iter().any(csi))
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
    let namespace =
        |m: &Manifest| m.object.metadata.namespace.clone().unwrap_or_else(|| "default".to_owned());
    kind(one) == kind(other)
        && one.object.metadata.name == other.object.metadata.name
        && namespace(one) == namespace(other)
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
