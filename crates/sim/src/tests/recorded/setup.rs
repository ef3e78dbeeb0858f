//! The things that exist before a recording begins.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::names::REGION;
use super::row::Row;
use crate::clock::SimTime;
use crate::test_cloud::TestCloud;

/// Returns the tags of the groups that a recording reads, by lower-case name.
pub(super) fn group_tags(rows: &[Row]) -> BTreeMap<String, Value> {
    let groups = rows.iter().filter(|row| row.answer["type"] == "Microsoft.Resources/resourceGroups");
    groups
        .filter_map(|row| Some((row.answer["name"].as_str()?.to_lowercase(), row.answer["tags"].clone())))
        .collect()
}

/// Returns the preview features that a recording registers, as `Namespace/Name`.
pub(super) fn features_of(rows: &[Row]) -> Vec<String> {
    let paths = rows.iter().map(|row| row.url().path().to_owned());
    let named = paths.filter_map(|path| {
        let (_, rest) = path.split_once("/Microsoft.Features/providers/")?;
        let (namespace, rest) = rest.split_once("/features/")?;
        Some(format!("{namespace}/{}", rest.split('/').next()?))
    });
    named.collect()
}

/// Returns a certificate of our own in the form that a policy asks for, in the place of a shortened one.
pub(super) fn certificate(policy: &Value, now: SimTime) -> String {
    let mut policy = if policy.is_object() { policy.clone() } else { json!({}) };
    if !policy["x509_props"].is_object() {
        policy["x509_props"] = json!({ "subject": "CN=recorded" });
    }
    crate::vault::serve::certificate_of(&policy, now)
}

/// Returns the minor versions of Kubernetes with their newest patch, from the default one down.
pub(super) fn offered_versions(cloud: &mut TestCloud) -> Vec<(String, String)> {
    let at = cloud.path(&format!(
        "/providers/Microsoft.ContainerService/locations/{REGION}/kubernetesVersions?api-version=2026-06-01"
    ));
    let listed = cloud.get(&at).value();
    let mut versions = Vec::new();
    for one in listed["values"].as_array().into_iter().flatten().rev() {
        if versions.is_empty() && one["isDefault"] != true {
            continue;
        }
        let newest = one["patchVersions"].as_object().and_then(|patches| patches.keys().next_back());
        let newest = newest.expect("every version has a patch");
        versions.push((one["version"].as_str().unwrap_or_default().to_owned(), newest.clone()));
    }
    versions
}
