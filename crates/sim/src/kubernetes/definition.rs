//! What the API server knows of a kind: its names, its scope, its schema and the columns of its table.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::schema;

/// A kind that can be served.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// The API group; empty for the core group.
    pub group: String,
    /// The one served version.
    pub version: String,
    /// The kind, `HTTPRoute`.
    pub kind: String,
    /// The resource, `httproutes`.
    pub plural: String,
    /// Short names for people, `hr`.
    pub short: Vec<String>,
    /// The category names it is also listed under, `all`.
    pub categories: Vec<String>,
    /// Whether objects live in a namespace.
    pub namespaced: bool,
    /// The structural OpenAPI v3 schema of the whole object.
    pub schema: Value,
    /// Whether status is a subresource of its own.
    pub has_status: bool,
    /// Whether `metadata.generation` is kept.
    pub has_generation: bool,
    /// The JSON path of the replica count for kinds that scale, `.spec.replicas`.
    pub scale: Option<String>,
    /// Whether a CustomResourceDefinition brought it; such kinds are validated and patched by other rules.
    pub custom: bool,
    /// The columns of its table, after the name; a kind that has a column `Name` among them begins without.
    pub columns: Vec<Column>,
    /// Whether objects of the kind are questions: they are answered, and never kept.
    #[serde(default)]
    pub is_question: bool,
}

/// One column of a kind's table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// The heading.
    pub name: String,
    /// `string`, `integer`, `boolean` or `date`.
    pub format: String,
    /// The path of the value, `.status.phase`, with one filter form: `.status.conditions[?type=Ready].status`; or `=`
    /// and the name of a cell that is told in words.
    pub path: String,
    /// Above 0: only in wide output.
    pub priority: i32,
}

impl Column {
    /// Makes a column of that heading, format and path, shown always.
    pub fn new(name: &str, format: &str, path: &str) -> Self {
        Self { name: name.into(), format: format.into(), path: path.into(), priority: 0 }
    }

    /// Returns the same column, shown only in wide output.
    #[must_use]
    pub fn wide(mut self) -> Self {
        self.priority = 1;
        self
    }
}

impl Definition {
    /// Makes a namespaced built-in kind without status; the schema gets the metadata every object has.
    pub fn new(group: &str, version: &str, kind: &str, plural: &str, schema: Value) -> Self {
        Self {
            group: group.into(),
            version: version.into(),
            kind: kind.into(),
            plural: plural.into(),
            short: Vec::new(),
            categories: Vec::new(),
            namespaced: true,
            schema: schema::with_metadata(schema),
            has_status: false,
            has_generation: false,
            scale: None,
            custom: false,
            columns: Vec::new(),
            is_question: false,
        }
    }

    /// Returns the same kind, not in any namespace.
    #[must_use]
    pub fn cluster_wide(mut self) -> Self {
        self.namespaced = false;
        self
    }

    /// Returns the same kind as one whose objects are answered and never kept.
    #[must_use]
    pub fn question(mut self) -> Self {
        self.is_question = true;
        self.namespaced = false;
        self
    }

    /// Returns the same kind with a status subresource.
    #[must_use]
    pub fn status(mut self) -> Self {
        self.has_status = true;
        self
    }

    /// Returns the same kind, keeping a generation.
    #[must_use]
    pub fn generation(mut self) -> Self {
        self.has_generation = true;
        self
    }

    /// Returns the same kind as a custom resource, which always keeps a generation.
    #[must_use]
    pub fn custom(mut self) -> Self {
        self.custom = true;
        self.has_generation = true;
        self
    }

    /// Returns the same kind with these short names.
    #[must_use]
    pub fn short(mut self, names: &[&str]) -> Self {
        self.short = names.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// Returns the same kind in these categories.
    #[must_use]
    pub fn categories(mut self, names: &[&str]) -> Self {
        self.categories = names.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// Returns the same kind with these table columns.
    #[must_use]
    pub fn columns(mut self, columns: Vec<Column>) -> Self {
        self.columns = columns;
        self
    }

    /// Returns the same kind, scaled through `.spec.replicas`.
    #[must_use]
    pub fn scaled(mut self) -> Self {
        self.scale = Some(".spec.replicas".into());
        self
    }

    /// Returns the name stores know it by: `pods`, `deployments.apps`.
    pub fn resource(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// Returns `apps/v1`, or `v1` in the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Returns the singular resource name.
    pub fn singular(&self) -> String {
        self.kind.to_lowercase()
    }

    /// Returns `Gateway.gateway.networking.k8s.io`, as validation errors name the kind.
    pub fn qualified_kind(&self) -> String {
        if self.group.is_empty() { self.kind.clone() } else { format!("{}.{}", self.kind, self.group) }
    }

    /// Returns the CustomResourceDefinition object that a listing shows for this kind, established since `at`.
    pub fn custom_resource_definition(&self, at: &str) -> Value {
        let names = json!({
            "plural": self.plural, "singular": self.singular(), "kind": self.kind,
            "listKind": format!("{}List", self.kind), "shortNames": self.short, "categories": self.categories,
        });
        let condition = |kind: &str, reason: &str, message: &str| json!({"type": kind, "status": "True", "lastTransitionTime": at, "reason": reason, "message": message});
        let mut schema = self.schema.clone();
        schema["properties"]["metadata"] = json!({"type": "object"});
        let mut version = json!({
            "name": self.version, "served": true, "storage": true, "schema": {"openAPIV3Schema": schema},
        });
        if self.has_status {
            version["subresources"] = json!({"status": {}});
        }
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": self.resource()},
            "spec": {
                "group": self.group,
                "names": names,
                "scope": if self.namespaced { "Namespaced" } else { "Cluster" },
                "versions": [version],
                "conversion": {"strategy": "None"},
            },
            "status": {
                "conditions": [
                    condition("NamesAccepted", "NoConflicts", "no conflicts found"),
                    condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
                ],
                "acceptedNames": names,
                "storedVersions": [self.version],
            },
        })
    }
}

/// Returns the kinds every cluster serves, by resource.
pub fn built_in() -> &'static BTreeMap<String, Arc<Definition>> {
    static KINDS: LazyLock<BTreeMap<String, Arc<Definition>>> =
        LazyLock::new(|| by_resource(schema::builtin()));
    &KINDS
}

/// Returns the custom kinds this program carries schemas of, by resource; a store names these in its file
/// instead of writing their schemas out.
pub fn carried() -> &'static BTreeMap<String, Arc<Definition>> {
    static KINDS: LazyLock<BTreeMap<String, Arc<Definition>>> = LazyLock::new(|| {
        by_resource(schema::gateway_api().into_iter().chain(schema::secrets_store()).collect())
    });
    &KINDS
}

fn by_resource(kinds: Vec<Definition>) -> BTreeMap<String, Arc<Definition>> {
    kinds.into_iter().map(|kind| (kind.resource(), Arc::new(kind))).collect()
}

/// How a store's installed kinds are written to disk: carried ones by name, others whole.
pub(super) mod installed {
    use super::{Arc, BTreeMap, Definition, Deserialize, Serialize, carried};
    use serde::{Deserializer, Serializer};

    #[derive(Serialize, Deserialize)]
    enum Stored {
        Carried(String),
        Whole(Box<Definition>),
    }

    pub fn serialize<S: Serializer>(
        kinds: &BTreeMap<String, Arc<Definition>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let stored = kinds.iter().map(|(name, kind)| match carried().get(name) {
            Some(known) if known == kind => Stored::Carried(name.clone()),
            _ => Stored::Whole(Box::new(Definition::clone(kind))),
        });
        serializer.collect_seq(stored)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, Arc<Definition>>, D::Error> {
        let stored = Vec::<Stored>::deserialize(deserializer)?;
        let kinds = stored.into_iter().filter_map(|kind| match kind {
            // A name that this build no longer carries is a kind nobody can read any more.
            Stored::Carried(name) => carried().get(&name).map(|kind| (name, Arc::clone(kind))),
            Stored::Whole(kind) => Some((kind.resource(), Arc::new(*kind))),
        });
        Ok(kinds.collect())
    }
}
