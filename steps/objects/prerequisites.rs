//! Prerequisites of a set: the definitions of its custom resources, and the namespaces of another step.

use super::kind_name;
use crate::error_context::ErrorContext;
use landfall_cloud::kubernetes::{
    Cluster, Kind,
    manifest::Manifest,
    readiness::{self, Readiness},
};
use landfall_engine::{Context, Kind as ErrorKind, Poll, StepError, Wait};
use serde_json::Value;
use std::{collections::BTreeSet, time::Duration};

/// The kind of a definition of a custom resource.
pub(super) const DEFINITION: &str = "CustomResourceDefinition";

/// Returns whether a definition in the set defines the kind of an object in it.
pub(super) fn is_defined_by(set: &[Manifest], manifest: &Manifest) -> bool {
    let Some(types) = &manifest.object.types else { return false };
    let definitions = set.iter().filter(|one| kind_name(one) == DEFINITION);
    definitions
        .flat_map(served)
        .any(|(api_version, kind)| api_version == types.api_version && kind == types.kind)
}

/// Returns the served kinds of a definition: `example.com/v1`, `Widget`.
fn served(definition: &Manifest) -> Vec<(String, String)> {
    let spec = &definition.object.data["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (group, kind) = (text(&spec["group"]), text(&spec["names"]["kind"]));
    let versions = spec["versions"].as_array().into_iter().flatten();
    let served = versions.filter(|version| version["served"] == true);
    served.map(|version| (format!("{group}/{}", text(&version["name"])), kind.clone())).collect()
}

/// Waits until the definitions are established and the cluster serves their kinds.
pub(super) async fn await_definitions(
    cx: &Context,
    api: &Cluster,
    definitions: &[&Manifest],
) -> Result<(), StepError> {
    let wait =
        Wait::new("the custom resources to be served", Duration::from_secs(5), Duration::from_secs(180));
    for definition in definitions {
        let name = definition.object.metadata.name.as_deref().unwrap_or_default();
        let what = format!("read {DEFINITION} {name}");
        cx.wait_until(wait, async || {
            let kind = api.kind_of(&definition.object).await.context(&what)?;
            let live = match kind {
                Some(kind) => api.get(&kind, None, name).await.context(&what)?,
                None => None,
            };
            let Some(live) = live else { return Ok(Poll::not_yet(format!("{name} does not exist yet"))) };
            match readiness::definition(&live) {
                Readiness::Ready(()) => {}
                Readiness::Waiting(why) => return Ok(Poll::not_yet(format!("{name}: {why}"))),
                Readiness::Broken(why) => {
                    let failed = StepError::new(ErrorKind::Failed, format!("establish {DEFINITION} {name}"));
                    return Err(failed
                        .cause(why)
                        .hint("rename its kind or its plural, or delete the other definition"));
                }
            }
            for (api_version, kind) in served(definition) {
                if api.find_kind(&api_version, &kind).await.context(&what)?.is_none() {
                    return Ok(Poll::not_yet(format!("{kind} in {api_version} is not served yet")));
                }
            }
            Ok(Poll::Ready(()))
        })
        .await?;
    }
    Ok(())
}

/// Waits until the namespaces exist that a set uses and a concurrent step creates.
pub(crate) async fn await_namespaces(
    cx: &Context,
    api: &Cluster,
    set: &[Manifest],
    of_another_step: &[Manifest],
) -> Result<(), StepError> {
    let used: BTreeSet<&str> =
        set.iter().filter_map(|manifest| manifest.object.metadata.namespace.as_deref()).collect();
    let created = of_another_step.iter().filter(|manifest| kind_name(manifest) == "Namespace");
    let names = created.filter_map(|manifest| manifest.object.metadata.name.as_deref());
    let wait = Wait::new("the namespaces to exist", Duration::from_secs(5), Duration::from_secs(300));
    for name in names.filter(|name| used.contains(name)) {
        let what = format!("read Namespace {name}");
        cx.wait_until(wait, async || {
            let live = api.get(&Kind::NAMESPACE, None, name).await.context(&what)?;
            Ok(match live {
                Some(_) => Poll::Ready(()),
                None => Poll::not_yet(format!("namespace {name} does not exist yet")),
            })
        })
        .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_cloud::kubernetes::manifest::parse;

    #[test]
    fn a_kind_is_defined_by_a_served_version_in_the_same_set() {
        let set = parse(
            "own.yaml",
            "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: a}\n---\n\
             apiVersion: example.com/v2\nkind: Widget\nmetadata: {name: b}\n---\n\
             apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: widgets.example.com}\n\
             spec:\n  group: example.com\n  names: {kind: Widget, plural: widgets}\n  scope: Namespaced\n  \
             versions: [{name: v1, served: true}, {name: v2, served: false}]\n",
        )
        .unwrap();
        assert!(is_defined_by(&set, &set[0]));
        assert!(!is_defined_by(&set, &set[1]) && !is_defined_by(&set[..2], &set[0]));
    }
}
