//! The kinds with an embedded document, which AKS installs. A stored cluster contains only their names.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::definition::Definition;
use super::schema::documents::{NEWEST, RELEASES, app_routing, gateway_api, secrets_store};

type Kinds = BTreeMap<String, Arc<Definition>>;

/// Returns a kind by its name: the resource, for an older release of the Gateway API followed by `@` and the release.
pub fn named(name: &str) -> Option<Arc<Definition>> {
    static KINDS: [OnceLock<Kinds>; RELEASES.len()] = [const { OnceLock::new() }; RELEASES.len()];
    let (resource, release) = name.split_once('@').unwrap_or((name, NEWEST));
    let index = RELEASES.iter().position(|known| *known == release)?;
    KINDS[index].get_or_init(|| of_release(release)).get(resource).cloned()
}

/// Returns the name of a kind in a release.
pub fn name_in(resource: &str, release: &str) -> String {
    if release == NEWEST || release.is_empty() {
        resource.to_owned()
    } else {
        format!("{resource}@{release}")
    }
}

fn of_release(release: &str) -> Kinds {
    let documents = gateway_api(release).iter().chain(secrets_store()).chain(app_routing());
    let kinds = documents.filter_map(|document| {
        let mut kind = Definition::of_custom_resource_definition(document)?;
        kind.embedded = name_in(&kind.resource(), release);
        Some((kind.resource(), Arc::new(kind)))
    });
    kinds.collect()
}

/// Serialization of a store's installed kinds: embedded ones by name, others whole.
pub mod installed {
    use super::{Arc, Definition, Deserialize, Deserializer, Kinds, Serialize, Serializer, named};

    #[derive(Serialize, Deserialize)]
    enum Stored {
        #[serde(rename = "Carried")]
        Embedded(String),
        Whole(Box<Definition>),
    }

    pub fn serialize<S: Serializer>(kinds: &Kinds, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(kinds.values().map(|kind| match kind.embedded.as_str() {
            "" => Stored::Whole(Box::new(Definition::clone(kind))),
            name => Stored::Embedded(name.to_owned()),
        }))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Kinds, D::Error> {
        let stored = Vec::<Stored>::deserialize(deserializer)?;
        let kinds = stored.into_iter().filter_map(|kind| match kind {
            // A kind that this build no longer embeds is dropped.
            Stored::Embedded(name) => named(&name),
            Stored::Whole(kind) => Some(Arc::new(*kind)),
        });
        Ok(kinds.map(|kind| (kind.resource(), kind)).collect())
    }
}
