//! The listeners whose certificate the operator provides: their options, and the objects that it makes for them.
//!
//! The operator writes `certificateRefs` itself, so landfall never sets it beside the options.
//! <https://learn.microsoft.com/azure/aks/app-routing-gateway-api-dns-tls>

use crate::tls_secret;
use landfall_cloud::kubernetes::{
    DynamicObject,
    manifest::{self, Manifest},
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The option with the URI of the certificate, without a version: the version would end its rotation.
pub(crate) const CERTIFICATE: &str = "kubernetes.azure.com/tls-cert-keyvault-uri";
/// The option with the service account that reads it.
pub(crate) const ACCOUNT_OPTION: &str = "kubernetes.azure.com/tls-cert-service-account";
/// The service account of the listeners, one in each namespace with such a gateway.
pub(crate) const ACCOUNT: &str = "gateway-certificate";
const ACCOUNT_TEMPLATE: &str = include_str!("../templates/operator/service-account.yaml");
/// The maximum length of a name of the operator's objects.
const NAME_MAX: usize = 253;

/// A listener whose certificate the operator provides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OperatorListener {
    pub(crate) namespace: String,
    pub(crate) gateway: String,
    pub(crate) name: String,
}

impl OperatorListener {
    /// Returns the name of the class, the Deployment and the Secret that the operator makes for it.
    pub(crate) fn secret(&self) -> String {
        let mut name = format!("kv-gw-cert-{}-{}", self.gateway, self.name);
        name.truncate(NAME_MAX);
        name
    }

    /// Returns the reference to the Secret, as the operator writes it.
    pub(crate) fn reference(&self) -> Value {
        json!([{ "group": "", "kind": "Secret", "name": self.secret(), "namespace": self.namespace }])
    }
}

/// Lists the listeners with landfall's own Secret, in the order of the manifests.
pub(crate) fn of(gateways: &[Manifest]) -> Vec<OperatorListener> {
    let mut all = Vec::new();
    for gateway in gateways.iter().filter(|manifest| is_gateway(manifest)) {
        let listeners = gateway.object.data["spec"]["listeners"].as_array().into_iter().flatten();
        for listener in listeners.filter(|listener| names_own_secret(listener)) {
            all.push(OperatorListener {
                namespace: space(gateway),
                gateway: gateway.object.metadata.name.clone().unwrap_or_default(),
                name: listener["name"].as_str().unwrap_or_default().to_owned(),
            });
        }
    }
    all
}

/// Returns the manifests with the options in place of landfall's own Secret.
pub(crate) fn with_options(gateways: &[Manifest], uri: &str) -> Vec<Manifest> {
    edited(gateways, |listener, _| {
        let Some(tls) = listener["tls"].as_object_mut() else { return };
        tls.remove("certificateRefs");
        tls.insert("options".to_owned(), json!({ CERTIFICATE: uri, ACCOUNT_OPTION: ACCOUNT }));
    })
}

/// Returns the manifests with the operator's references in place of landfall's own Secret: what the cluster will
/// contain.
pub(crate) fn with_references(gateways: &[Manifest]) -> Vec<Manifest> {
    edited(gateways, |listener, own| listener["tls"]["certificateRefs"] = own.reference())
}

fn edited(gateways: &[Manifest], edit: impl Fn(&mut Value, &OperatorListener)) -> Vec<Manifest> {
    let mut all = gateways.to_vec();
    for gateway in all.iter_mut().filter(|manifest| is_gateway(manifest)) {
        let own = of(std::slice::from_ref(gateway));
        let listeners = gateway.object.data["spec"]["listeners"].as_array_mut().into_iter().flatten();
        for listener in listeners {
            if let Some(own) = own.iter().find(|own| listener["name"] == *own.name) {
                edit(listener, own);
            }
        }
    }
    all
}

/// Returns the service accounts of the listeners, with the client id of their identity.
pub(crate) fn accounts(listeners: &[OperatorListener], client_id: &str) -> Vec<Manifest> {
    let spaces: BTreeSet<&str> = listeners.iter().map(|listener| listener.namespace.as_str()).collect();
    spaces.into_iter().flat_map(|space| account(ACCOUNT, space, client_id)).collect()
}

/// Returns a service account that signs in as the identity of that client id.
pub(crate) fn account(name: &str, namespace: &str, client_id: &str) -> Vec<Manifest> {
    let mut all = manifest::parse("operator/service-account.yaml", ACCOUNT_TEMPLATE)
        .expect("our own templates are well-formed");
    for one in &mut all {
        one.object.metadata.name = Some(name.to_owned());
        one.object.metadata.namespace = Some(namespace.to_owned());
    }
    manifest::fill(&mut all, "__IDENTITY_CLIENT_ID__", client_id);
    all
}

/// Returns the classes that the operator makes, as far as a diagnosis compares them.
pub(crate) fn classes(listeners: &[OperatorListener], certificate: &str) -> Vec<Manifest> {
    let class = |listener: &OperatorListener| {
        let text = json!({
            "apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClass",
            "metadata": { "name": listener.secret(), "namespace": listener.namespace },
            "spec": {
                "provider": "azure",
                "parameters": { "objects": format!("array: [{{objectName: {certificate}, objectType: secret}}]") },
                "secretObjects": [{ "secretName": listener.secret(), "type": "kubernetes.io/tls" }],
            },
        });
        manifest::parse("the operator's class", &text.to_string()).expect("JSON is YAML")
    };
    listeners.iter().flat_map(class).collect()
}

/// Returns the certificate's URI for the option: without a port and a version.
pub(crate) fn certificate_uri(vault_uri: &str, certificate: &str) -> String {
    let rest = vault_uri.trim_start_matches("https://");
    let host = rest.split(['/', ':']).next().unwrap_or_default();
    format!("https://{host}/certificates/{certificate}")
}

/// Returns whether a live listener has the operator's option.
pub(crate) fn has_option(listener: &Value) -> bool {
    listener["tls"]["options"][CERTIFICATE].as_str().is_some_and(|uri| !uri.is_empty())
}

/// Returns a live listener of a Gateway.
pub(crate) fn live<'a>(gateway: &'a DynamicObject, name: &str) -> Option<&'a Value> {
    gateway.data["spec"]["listeners"].as_array()?.iter().find(|listener| listener["name"] == name)
}

fn names_own_secret(listener: &Value) -> bool {
    let references = listener["tls"]["certificateRefs"].as_array();
    references.into_iter().flatten().any(|reference| {
        let is_secret = reference["kind"].as_str().is_none_or(|kind| kind == "Secret");
        is_secret && reference["name"] == tls_secret::SECRET
    })
}

fn is_gateway(manifest: &Manifest) -> bool {
    manifest.object.types.as_ref().is_some_and(|types| types.kind == "Gateway")
}

fn space(manifest: &Manifest) -> String {
    manifest.object.metadata.namespace.clone().unwrap_or_else(|| "default".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATEWAY: &str = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
        metadata: {name: web, namespace: shop}\nspec:\n  listeners:\n    - {name: http, port: 80, protocol: HTTP}\n    \
        - {name: https, port: 443, protocol: HTTPS, tls: {mode: Terminate, certificateRefs: [{name: gateway-tls-secret}]}}\n    \
        - {name: own, port: 8443, protocol: HTTPS, tls: {mode: Terminate, certificateRefs: [{name: another}]}}\n";

    fn gateways() -> Vec<Manifest> {
        manifest::parse("g.yaml", GATEWAY).unwrap()
    }

    #[test]
    fn only_listeners_with_our_secret_get_the_options() {
        let all = gateways();
        let own = of(&all);
        assert_eq!(own.iter().map(OperatorListener::secret).collect::<Vec<_>>(), ["kv-gw-cert-web-https"]);
        let edited = with_options(&all, "https://kv.vault.azure.net/certificates/c");
        let tls = |index: usize| edited[0].object.data["spec"]["listeners"][index]["tls"].clone();
        assert_eq!(tls(0), Value::Null);
        assert_eq!(tls(1)["options"][ACCOUNT_OPTION], ACCOUNT);
        assert!(tls(1).get("certificateRefs").is_none());
        assert_eq!(tls(2)["certificateRefs"][0]["name"], "another");
        let expected = with_references(&all);
        assert_eq!(
            expected[0].object.data["spec"]["listeners"][1]["tls"]["certificateRefs"],
            json!([{ "group": "", "kind": "Secret", "name": "kv-gw-cert-web-https", "namespace": "shop" }])
        );
        let accounts = accounts(&own, "client");
        assert_eq!((accounts.len(), accounts[0].object.metadata.namespace.as_deref()), (1, Some("shop")));
    }

    #[test]
    fn the_uri_of_a_certificate_has_neither_port_nor_version() {
        let uri = certificate_uri("https://kv.vault.landfall.localhost:20000/", "c");
        assert_eq!(uri, "https://kv.vault.landfall.localhost/certificates/c");
    }
}
