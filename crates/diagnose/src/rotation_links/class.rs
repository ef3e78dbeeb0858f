//! Checks of the SecretProviderClass: its vault, its object and its version.

use super::{Finding, Links, Outlook};
use crate::secret_model::synced_secrets;
use landfall_cloud::kubernetes::DynamicObject;
use serde::Deserialize;
use serde_json::Value;

/// The structure of `parameters.objects`: a YAML string, whose items are YAML strings too.
#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    array: Vec<String>,
}

/// One object, with the fields that the checks need.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Wanted {
    object_name: String,
    object_alias: String,
    object_type: String,
    object_version: String,
}

impl Wanted {
    /// Returns the name by which `secretObjects` reference it.
    fn file(&self) -> &str {
        if self.object_alias.is_empty() { &self.object_name } else { &self.object_alias }
    }
}

/// Returns the name of the class that syncs the Secret, if it selects the newest version of our certificate.
pub(super) fn of_secret<'a>(classes: &'a [DynamicObject], links: &Links<'_>) -> Result<&'a str, Finding> {
    let makes = |class: &&DynamicObject| synced_secrets(class).any(|secret| secret == links.secret);
    let Some(class) = classes.iter().find(makes) else {
        let stuck = Finding::new(
            "CLASS_MISSING",
            format!("no SecretProviderClass in {} creates Secret {}", links.namespace, links.secret),
            "run landfall up: it recreates the class",
        );
        return Err(stuck.evidence(format!("existing SecretProviderClasses: {}", classes.len())));
    };
    let name = class.metadata.name.as_deref().unwrap_or_default();
    let judged = judge(name, &class.data["spec"]["parameters"], links);
    match judged.or_else(|| halves(name, &class.data["spec"], links)) {
        Some(stuck) => Err(stuck),
        None => Ok(name),
    }
}

fn edit(class: &str, what: &str, links: &Links<'_>) -> String {
    format!(
        "run landfall up: it restores the class; in your own manifest, {what} (kubectl -n {} edit \
         secretproviderclass {class})",
        links.namespace
    )
}

/// Checks the source of both halves of the Secret. Only an object of type `secret` contains the private key,
/// `secret` and `cert` contain the certificate, and `key` contains neither.
/// <https://azure.github.io/secrets-store-csi-driver-provider-azure/docs/getting-started/usage/>
fn halves(class: &str, spec: &Value, links: &Links<'_>) -> Option<Finding> {
    let objects = objects(spec["parameters"]["objects"].as_str().unwrap_or_default());
    let made = spec["secretObjects"].as_array().into_iter().flatten();
    let made = made.filter(|made| made["secretName"].as_str() == Some(links.secret));
    for half in made.filter_map(|made| made["data"].as_array()).flatten() {
        let (file, key) =
            (half["objectName"].as_str().unwrap_or_default(), half["key"].as_str().unwrap_or_default());
        let Some(object) = objects.iter().find(|object| object.file() == file.trim()) else { continue };
        let fit: &[&str] = if key == "tls.key" { &["secret"] } else { &["secret", "cert"] };
        if !fit.contains(&object.object_type.as_str()) {
            let (is, fit) = (&object.object_type, fit.join(" or "));
            let stuck = Finding::new(
                "CLASS_OBJECT_TYPE",
                format!("SecretProviderClass {class} takes {key} from an object of the wrong type"),
                edit(class, &format!("set objectType to {fit}"), links),
            );
            let told = format!("{key} comes from {file}, whose objectType is {is:?}, but must be {fit}");
            return Some(stuck.evidence(told).outlook(Outlook::Never));
        }
    }
    None
}

fn judge(class: &str, parameters: &Value, links: &Links<'_>) -> Option<Finding> {
    let mend = |what: &str| edit(class, what, links);
    let (vault, certificate) = (&links.vault.name, &links.certificate.name);
    let asked = parameters["keyvaultName"].as_str().unwrap_or_default();
    if !asked.eq_ignore_ascii_case(vault) {
        let stuck = Finding::new(
            "CLASS_OTHER_VAULT",
            format!("SecretProviderClass {class} reads another vault than {vault}"),
            mend(&format!("set keyvaultName to {vault}")),
        );
        return Some(stuck.evidence(format!("parameters.keyvaultName is {asked:?}")).outlook(Outlook::Never));
    }
    let tenant =
        ["tenantId", "tenantID"].iter().find_map(|key| parameters[*key].as_str()).unwrap_or_default();
    if !tenant.eq_ignore_ascii_case(&links.vault.tenant) {
        let wanted = &links.vault.tenant;
        let stuck = Finding::new(
            "CLASS_OTHER_TENANT",
            format!("SecretProviderClass {class} signs in to another tenant than that of {vault}"),
            mend(&format!("set tenantId to {wanted}")),
        );
        let told = format!("parameters.tenantId is {tenant:?}, but the vault trusts {wanted}");
        return Some(stuck.evidence(told).outlook(Outlook::Never));
    }
    let text = parameters["objects"].as_str().unwrap_or_default();
    let objects = objects(text);
    if objects.is_empty() && text.contains("objectName") {
        let stuck = Finding::new(
            "CLASS_OBJECTS_MALFORMED",
            format!("the driver cannot read the objects of SecretProviderClass {class}"),
            mend("write every item of objects as a separate string, `- |`"),
        );
        let told = "parameters.objects has items that are not YAML strings";
        return Some(stuck.evidence(told).outlook(Outlook::Never));
    }
    let ours: Vec<&Wanted> =
        objects.iter().filter(|object| object.object_name.eq_ignore_ascii_case(certificate)).collect();
    if ours.is_empty() {
        let names: Vec<&str> = objects.iter().map(|object| object.object_name.as_str()).collect();
        let stuck = Finding::new(
            "CLASS_OTHER_OBJECT",
            format!("SecretProviderClass {class} does not request {certificate}"),
            mend(&format!("set objectName to {certificate}")),
        );
        return Some(stuck.evidence(format!("parameters.objects names {names:?}")).outlook(Outlook::Never));
    }
    let is_pinned = |object: &&&Wanted| {
        let version = object.object_version.as_str();
        !matches!(version, "" | "latest") && version != links.certificate.version
    };
    let pinned = ours.iter().find(is_pinned)?;
    let stuck = Finding::new(
        "CLASS_PINS_VERSION",
        format!("SecretProviderClass {class} requests one version of {certificate}, which is never rotated"),
        mend("remove objectVersion"),
    );
    let (is, newest) = (&pinned.object_version, &links.certificate.version);
    Some(
        stuck
            .evidence(format!("objectVersion is {is}, but the vault's newest is {newest}"))
            .outlook(Outlook::Never),
    )
}

/// Parses the objects; unparsable input yields none, as in the driver.
fn objects(text: &str) -> Vec<Wanted> {
    let listed: Listed = serde_saphyr::from_str(text).unwrap_or(Listed { array: Vec::new() });
    listed.array.iter().filter_map(|item| serde_saphyr::from_str(item).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_items_are_texts_of_yaml_in_a_text_of_yaml() {
        let text = "array:\n  - |\n    objectName: tls\n    objectType: secret\n    objectVersion: \"0123\"\n  - |\n    objectName: other\n";
        let read = objects(text);
        assert_eq!(
            read[0],
            Wanted {
                object_name: "tls".into(),
                object_type: "secret".into(),
                object_version: "0123".into(),
                ..Wanted::default()
            }
        );
        assert_eq!(read[1], Wanted { object_name: "other".into(), ..Wanted::default() });
        assert!(objects("array:\n  - objectName: tls\n").is_empty(), "the driver takes no mappings either");
        assert!(objects("").is_empty());
    }
}
