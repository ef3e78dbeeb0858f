//! The SecretProviderClass: which vault, which object, which version.

use super::{Finding, Links, Outlook};
use landfall_cloud::kubernetes::DynamicObject;
use serde::Deserialize;
use serde_json::Value;

/// The shape of `parameters.objects`: a text that holds YAML, whose items are texts of YAML again.
#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    array: Vec<String>,
}

/// One object, as far as it matters here.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Wanted {
    object_name: String,
    object_version: String,
}

/// Returns the name of the class that makes the Secret, when it asks for the newest version of our certificate.
pub(super) fn of_secret<'a>(classes: &'a [DynamicObject], links: &Links<'_>) -> Result<&'a str, Finding> {
    let makes = |class: &&DynamicObject| {
        let made = class.data["spec"]["secretObjects"].as_array();
        made.into_iter().flatten().any(|made| made["secretName"].as_str() == Some(links.secret))
    };
    let Some(class) = classes.iter().find(makes) else {
        let stuck = Finding::new(
            "NoClass",
            format!("no SecretProviderClass in {} makes Secret {}", links.namespace, links.secret),
            "run landfall up: it applies the class anew",
        );
        return Err(stuck.evidence(format!("SecretProviderClasses there: {}", classes.len())));
    };
    let name = class.metadata.name.as_deref().unwrap_or_default();
    match judge(name, &class.data["spec"]["parameters"], links) {
        Some(stuck) => Err(stuck),
        None => Ok(name),
    }
}

fn judge(class: &str, parameters: &Value, links: &Links<'_>) -> Option<Finding> {
    let edit = format!("kubectl -n {} edit secretproviderclass {class}", links.namespace);
    let mend = |what: &str| {
        format!(
            "run landfall up, which applies the class as it was; in a manifest of your own, {what} ({edit})"
        )
    };
    let (vault, certificate) = (&links.vault.name, &links.certificate.name);
    let asked = parameters["keyvaultName"].as_str().unwrap_or_default();
    if !asked.eq_ignore_ascii_case(vault) {
        let stuck = Finding::new(
            "OtherVault",
            format!("SecretProviderClass {class} reads another vault than {vault}"),
            mend(&format!("set keyvaultName to {vault}")),
        );
        return Some(stuck.evidence(format!("parameters.keyvaultName is {asked:?}")).outlook(Outlook::Never));
    }
    let objects = objects(parameters["objects"].as_str().unwrap_or_default());
    let ours: Vec<&Wanted> =
        objects.iter().filter(|object| object.object_name.eq_ignore_ascii_case(certificate)).collect();
    if ours.is_empty() {
        let names: Vec<&str> = objects.iter().map(|object| object.object_name.as_str()).collect();
        let stuck = Finding::new(
            "OtherObject",
            format!("SecretProviderClass {class} does not ask for {certificate}"),
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
        "PinnedVersion",
        format!(
            "SecretProviderClass {class} asks for one version of {certificate}, and that is never rotated"
        ),
        mend("take objectVersion out"),
    );
    let (is, newest) = (&pinned.object_version, &links.certificate.version);
    Some(
        stuck
            .evidence(format!("objectVersion is {is}, the vault's newest is {newest}"))
            .outlook(Outlook::Never),
    )
}

/// Reads the objects; what cannot be read names none, as for the driver.
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
        assert_eq!(read[0], Wanted { object_name: "tls".into(), object_version: "0123".into() });
        assert_eq!(read[1], Wanted { object_name: "other".into(), object_version: String::new() });
        assert!(objects("array:\n  - objectName: tls\n").is_empty(), "the driver takes no mappings either");
        assert!(objects("").is_empty());
    }
}
