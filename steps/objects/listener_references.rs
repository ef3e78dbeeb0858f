//! The certificate references of listeners whose certificate the operator of application routing provides: its own
//! field, which landfall never fights over.
//!
//! With the options of landfall, the references that landfall set before stay in its apply until the operator replaces
//! them: an apply that omits a field removes it. With options that another party set, landfall sets no references.
//! <https://kubernetes.io/docs/reference/using-api/server-side-apply/#transferring-ownership>

use super::FIELD_MANAGER;
use crate::operator::listeners::{self, CERTIFICATE};
use landfall_cloud::kubernetes::{DynamicObject, ManagedFieldsEntry, manifest::Manifest};
use serde_json::Value;
use std::borrow::Cow;

/// Returns the manifest of a Gateway to compare with the existing one and to send; that of another kind is unchanged.
pub(super) fn desired<'m>(manifest: Cow<'m, Manifest>, live: &DynamicObject) -> Cow<'m, Manifest> {
    let is_gateway = manifest.object.types.as_ref().is_some_and(|types| types.kind == "Gateway");
    let affected = |listener: &Value| {
        let name = listener["name"].as_str().unwrap_or_default();
        let is = listeners::live(live, name)?;
        (listeners::has_option(listener) || listeners::has_option(is)).then(|| (name.to_owned(), is.clone()))
    };
    let desired = manifest.object.data["spec"]["listeners"].as_array();
    let affected: Vec<(String, Value)> =
        desired.into_iter().flatten().filter(|_| is_gateway).filter_map(affected).collect();
    if affected.is_empty() {
        return manifest;
    }
    let mut manifest = manifest.into_owned();
    let all = manifest.object.data["spec"]["listeners"].as_array_mut().into_iter().flatten();
    for listener in all {
        let Some((name, is)) = affected.iter().find(|(name, _)| listener["name"] == **name) else { continue };
        let Some(tls) = listener["tls"].as_object_mut() else { continue };
        let references = &is["tls"]["certificateRefs"];
        let has_own_options = tls.get("options").is_some_and(|options| options.get(CERTIFICATE).is_some());
        if has_own_options && !tls.contains_key("certificateRefs") {
            if references.is_array() && owns(live, name, "f:certificateRefs") {
                tls.insert("certificateRefs".to_owned(), references.clone());
            }
        } else if listeners::has_option(is) && !owns(live, name, &format!("f:options/f:{CERTIFICATE}")) {
            tls.remove("certificateRefs");
        }
    }
    Cow::Owned(manifest)
}

/// Returns whether landfall applied a field of a listener's `tls`.
fn owns(live: &DynamicObject, listener: &str, field: &str) -> bool {
    let key = format!("k:{{\"name\":\"{listener}\"}}");
    // The key of an option contains a slash.
    let path: Vec<&str> = field.splitn(2, "/f:").collect();
    let owned = |entry: &ManagedFieldsEntry| {
        let fields = entry.fields_v1.as_ref();
        let field = fields.and_then(|fields| fields.0["f:spec"]["f:listeners"][&key]["f:tls"].get(path[0]));
        field.is_some_and(|field| path.get(1).is_none_or(|option| field.get(format!("f:{option}")).is_some()))
    };
    let mut entries = live.metadata.managed_fields.iter().flatten();
    entries.any(|entry| {
        entry.manager.as_deref() == Some(FIELD_MANAGER)
            && entry.operation.as_deref() == Some("Apply")
            && owned(entry)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_cloud::kubernetes::manifest;
    use serde_json::json;

    const OPTIONS: &str = "options: {kubernetes.azure.com/tls-cert-keyvault-uri: u}";
    const REFERENCES: &str = "certificateRefs: [{name: gateway-tls-secret}]";

    fn wanted(tls: &str) -> Manifest {
        let text = format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: web}}\n\
             spec: {{listeners: [{{name: https, port: 443, protocol: HTTPS, tls: {{{tls}}}}}]}}\n"
        );
        manifest::parse("g.yaml", &text).unwrap().remove(0)
    }

    fn live(owned: Value, has_options: bool) -> DynamicObject {
        let mut tls = json!({ "certificateRefs": [{ "name": "live" }] });
        if has_options {
            tls["options"] = json!({ CERTIFICATE: "u" });
        }
        let fields = json!({ "f:spec": { "f:listeners": { "k:{\"name\":\"https\"}": { "f:tls": owned } } } });
        let entry = json!({ "manager": "landfall", "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": fields });
        serde_json::from_value(json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
            "metadata": { "name": "web", "managedFields": [entry] },
            "spec": { "listeners": [{ "name": "https", "tls": tls }] },
        }))
        .unwrap()
    }

    fn references(manifest: &Manifest, live: &DynamicObject) -> Value {
        let desired = desired(Cow::Borrowed(manifest), live);
        desired.object.data["spec"]["listeners"][0]["tls"]["certificateRefs"].clone()
    }

    #[test]
    fn our_references_stay_until_the_operator_owns_the_field() {
        let wanted = wanted(OPTIONS);
        let ours = live(json!({ "f:certificateRefs": {} }), false);
        assert_eq!(references(&wanted, &ours), json!([{ "name": "live" }]));
        assert_eq!(references(&wanted, &live(json!({}), true)), Value::Null, "the operator owns it");
    }

    #[test]
    fn options_of_another_party_are_used_as_found() {
        let wanted = wanted(REFERENCES);
        let ours = live(json!({ "f:options": { format!("f:{CERTIFICATE}"): {} } }), true);
        assert_eq!(references(&wanted, &ours), json!([{ "name": "gateway-tls-secret" }]), "we switch back");
        assert_eq!(references(&wanted, &live(json!({}), true)), Value::Null);
        let without = live(json!({}), false);
        assert_eq!(references(&wanted, &without), json!([{ "name": "gateway-tls-secret" }]));
    }
}
