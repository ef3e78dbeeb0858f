//! Checks of the SecretProviderClass: its vault, its object and its version.

use super::{Finding, RotationContext, SelfRecovery};
use crate::secret_provider_class::synced_secrets;
use landfall_cloud::kubernetes::DynamicObject;
use serde::Deserialize;
use serde_json::Value;

/// The structure of `parameters.objects`: a YAML string, whose items are YAML strings too.
#[derive(Deserialize)]
struct ObjectList {
    #[serde(default)]
    array: Vec<String>,
}

/// One object, with the fields that the checks need.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ObjectSpec {
    object_name: String,
    object_alias: String,
    object_type: String,
    object_version: String,
}

impl ObjectSpec {
    /// Returns the name by which `secretObjects` reference it.
    fn file(&self) -> &str {
        if self.object_alias.is_empty() { &self.object_name } else { &self.object_alias }
    }
}

/// Returns the name of the class that syncs the Secret, if it selects the newest version of our certificate.
pub(super) fn class_of_secret<'a>(
    classes: &'a [DynamicObject],
    context: &RotationContext<'_>,
) -> Result<&'a str, Finding> {
    let syncs = |class: &&DynamicObject| synced_secrets(class).any(|secret| secret == context.secret);
    let Some(class) = classes.iter().find(syncs) else {
        let finding = Finding::new(
            "CLASS_MISSING",
            format!("no SecretProviderClass in {} creates Secret {}", context.namespace, context.secret),
            "run landfall up: it recreates the class",
        );
        return Err(finding.evidence(format!("existing SecretProviderClasses: {}", classes.len())));
    };
    let name = class.metadata.name.as_deref().unwrap_or_default();
    let evaluated = evaluate(name, &class.data["spec"]["parameters"], context);
    match evaluated.or_else(|| check_object_types(name, &class.data["spec"], context)) {
        Some(finding) => Err(finding),
        None => Ok(name),
    }
}

fn edit_hint(class: &str, what: &str, context: &RotationContext<'_>) -> String {
    format!(
        "run landfall up: it restores the class; in your own manifest, {what} (kubectl -n {} edit \
         secretproviderclass {class})",
        context.namespace
    )
}

/// Checks the source of both halves of the Secret. Only an object of type `secret` contains the private key,
/// `secret` and `cert` contain the certificate, and `key` contains neither.
/// <https://azure.github.io/secrets-store-csi-driver-provider-azure/docs/getting-started/usage/>
fn check_object_types(class: &str, spec: &Value, context: &RotationContext<'_>) -> Option<Finding> {
    let objects = objects(spec["parameters"]["objects"].as_str().unwrap_or_default());
    let secret_objects = spec["secretObjects"].as_array().into_iter().flatten();
    let secret_objects =
        secret_objects.filter(|secret_objects| secret_objects["secretName"].as_str() == Some(context.secret));
    for half in secret_objects.filter_map(|secret_objects| secret_objects["data"].as_array()).flatten() {
        let (file, key) =
            (half["objectName"].as_str().unwrap_or_default(), half["key"].as_str().unwrap_or_default());
        let Some(object) = objects.iter().find(|object| object.file() == file.trim()) else { continue };
        let fit: &[&str] = if key == "tls.key" { &["secret"] } else { &["secret", "cert"] };
        if !fit.contains(&object.object_type.as_str()) {
            let (is, fit) = (&object.object_type, fit.join(" or "));
            let finding = Finding::new(
                "CLASS_OBJECT_TYPE",
                format!("SecretProviderClass {class} takes {key} from an object of the wrong type"),
                edit_hint(class, &format!("set objectType to {fit}"), context),
            );
            let description =
                format!("{key} comes from {file}, whose objectType is {is:?}, but must be {fit}");
            return Some(finding.evidence(description).self_recovery(SelfRecovery::Never));
        }
    }
    None
}

fn evaluate(class: &str, parameters: &Value, context: &RotationContext<'_>) -> Option<Finding> {
    let remedy = |what: &str| edit_hint(class, what, context);
    let (vault, certificate) = (&context.vault.name, &context.certificate.name);
    let vault_name = parameters["keyvaultName"].as_str().unwrap_or_default();
    if !vault_name.eq_ignore_ascii_case(vault) {
        let finding = Finding::new(
            "CLASS_OTHER_VAULT",
            format!("SecretProviderClass {class} reads another vault than {vault}"),
            remedy(&format!("set keyvaultName to {vault}")),
        );
        return Some(
            finding
                .evidence(format!("parameters.keyvaultName is {vault_name:?}"))
                .self_recovery(SelfRecovery::Never),
        );
    }
    let tenant =
        ["tenantId", "tenantID"].iter().find_map(|key| parameters[*key].as_str()).unwrap_or_default();
    if !tenant.eq_ignore_ascii_case(&context.vault.tenant) {
        let wanted = &context.vault.tenant;
        let finding = Finding::new(
            "CLASS_OTHER_TENANT",
            format!("SecretProviderClass {class} signs in to another tenant than that of {vault}"),
            remedy(&format!("set tenantId to {wanted}")),
        );
        let description = format!("parameters.tenantId is {tenant:?}, but the vault trusts {wanted}");
        return Some(finding.evidence(description).self_recovery(SelfRecovery::Never));
    }
    let text = parameters["objects"].as_str().unwrap_or_default();
    let objects = objects(text);
    if objects.is_empty() && text.contains("objectName") {
        let finding = Finding::new(
            "CLASS_OBJECTS_MALFORMED",
            format!("the driver cannot read the objects of SecretProviderClass {class}"),
            remedy("write every item of objects as a separate string, `- |`"),
        );
        let description = "parameters.objects has items that are not YAML strings";
        return Some(finding.evidence(description).self_recovery(SelfRecovery::Never));
    }
    let matching: Vec<&ObjectSpec> =
        objects.iter().filter(|object| object.object_name.eq_ignore_ascii_case(certificate)).collect();
    if matching.is_empty() {
        let names: Vec<&str> = objects.iter().map(|object| object.object_name.as_str()).collect();
        let finding = Finding::new(
            "CLASS_OTHER_OBJECT",
            format!("SecretProviderClass {class} does not request {certificate}"),
            remedy(&format!("set objectName to {certificate}")),
        );
        return Some(
            finding
                .evidence(format!("parameters.objects names {names:?}"))
                .self_recovery(SelfRecovery::Never),
        );
    }
    let is_pinned = |object: &&&ObjectSpec| {
        let version = object.object_version.as_str();
        !matches!(version, "" | "latest") && version != context.certificate.version
    };
    let pinned = matching.iter().find(is_pinned)?;
    let finding = Finding::new(
        "CLASS_PINS_VERSION",
        format!("SecretProviderClass {class} requests one version of {certificate}, which is never rotated"),
        remedy("remove objectVersion"),
    );
    let (is, newest) = (&pinned.object_version, &context.certificate.version);
    Some(
        finding
            .evidence(format!("objectVersion is {is}, but the vault's newest is {newest}"))
            .self_recovery(SelfRecovery::Never),
    )
}

/// Parses the objects; unparsable input yields none, as in the driver.
fn objects(text: &str) -> Vec<ObjectSpec> {
    let listed: ObjectList = serde_saphyr::from_str(text).unwrap_or(ObjectList { array: Vec::new() });
    listed.array.iter().filter_map(|item| serde_saphyr::from_str(item).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_yaml_strings_in_a_yaml_string() {
        let text = "array:\n  - |\n    objectName: tls\n    objectType: secret\n    objectVersion: \"0123\"\n  - |\n    objectName: other\n";
        let read = objects(text);
        assert_eq!(
            read[0],
            ObjectSpec {
                object_name: "tls".into(),
                object_type: "secret".into(),
                object_version: "0123".into(),
                ..ObjectSpec::default()
            }
        );
        assert_eq!(read[1], ObjectSpec { object_name: "other".into(), ..ObjectSpec::default() });
        assert!(objects("array:\n  - objectName: tls\n").is_empty(), "the driver takes no mappings either");
        assert!(objects("").is_empty());
    }
}
