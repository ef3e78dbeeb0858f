//! The definition of a kind: its names, scope, schema and table columns.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, OnceLock};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::schema;

/// A kind that can be served.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// The API group; empty for the core group.
    pub group: String,
    /// The version of this definition. That of a [`Store`](super::Store) is the one in which objects are stored.
    pub version: String,
    /// The kind, `HTTPRoute`.
    pub kind: String,
    /// The resource, `httproutes`.
    pub plural: String,
    /// The short names, `hr`.
    pub short: Vec<String>,
    /// The categories, `all`.
    pub categories: Vec<String>,
    /// True if the objects are in namespaces.
    pub namespaced: bool,
    /// The structural OpenAPI v3 schema of the whole object.
    pub schema: Value,
    /// True if the status is a subresource.
    pub has_status: bool,
    /// True if the server maintains `metadata.generation`.
    pub has_generation: bool,
    /// The JSON path of the replica count for kinds that scale, `.spec.replicas`.
    pub scale: Option<String>,
    /// True for a custom resource; such kinds have other validation and patch rules.
    pub custom: bool,
    /// The table columns after the name. If one of them is called `Name`, there is no implicit name column.
    pub columns: Vec<Column>,
    /// True for review kinds: the server answers their objects and never stores them.
    #[serde(default)]
    #[serde(rename = "is_question")]
    pub is_review: bool,
    /// The further versions in which the same objects are served.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub further_versions: Vec<FurtherVersion>,
    /// The version in which objects are stored; empty if it is the version of this definition.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub storage_version: String,
    /// The name of its embedded document; empty for other kinds.
    #[serde(skip)]
    pub(super) embedded: String,
    #[serde(skip)]
    views: Views,
}

/// A version in which a kind is served besides its storage version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FurtherVersion {
    /// The version, `v1beta1`.
    pub version: String,
    /// The schema; `None` for that of the storage version.
    pub schema: Option<Value>,
    /// The table columns; `None` for those of the storage version.
    pub columns: Option<Vec<Column>>,
}

/// The definitions of the further versions, created on first use. Neither copied nor compared.
#[derive(Debug, Default)]
struct Views(OnceLock<Vec<Arc<Definition>>>);

impl Clone for Views {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Views {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// One column of the table of a kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// The heading.
    pub name: String,
    /// `string`, `integer`, `boolean` or `date`.
    pub format: String,
    /// The JSON path of the value, `.status.phase`, with indexes and one form of filter:
    /// `.status.conditions[?(@.type=="Ready")].status`. Or `=` and the name of a computed cell.
    pub path: String,
    /// The priority; above 0 only in wide output.
    pub priority: i32,
}

impl Column {
    /// Creates a column with that heading, format and path, with priority 0.
    pub fn new(name: &str, format: &str, path: &str) -> Self {
        Self { name: name.into(), format: format.into(), path: path.into(), priority: 0 }
    }

    /// Returns the column for wide output only.
    #[must_use]
    pub fn wide(mut self) -> Self {
        self.priority = 1;
        self
    }
}

impl Definition {
    /// Creates a namespaced built-in kind without status; adds the metadata of every object to the schema.
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
            is_review: false,
            further_versions: Vec::new(),
            storage_version: String::new(),
            embedded: String::new(),
            views: Views::default(),
        }
    }

    /// Returns the kind as cluster-scoped.
    #[must_use]
    pub fn cluster_wide(mut self) -> Self {
        self.namespaced = false;
        self
    }

    /// Returns the kind as a review kind, whose objects are never stored.
    #[must_use]
    pub fn as_review(mut self) -> Self {
        self.is_review = true;
        self.namespaced = false;
        self
    }

    /// Returns the kind with a status subresource.
    #[must_use]
    pub fn status(mut self) -> Self {
        self.has_status = true;
        self
    }

    /// Returns the kind with `metadata.generation`.
    #[must_use]
    pub fn generation(mut self) -> Self {
        self.has_generation = true;
        self
    }

    /// Returns the kind as a custom resource, which always has `metadata.generation`.
    #[must_use]
    pub fn custom(mut self) -> Self {
        self.custom = true;
        self.has_generation = true;
        self
    }

    /// Returns the kind with these short names.
    #[must_use]
    pub fn short(mut self, names: &[&str]) -> Self {
        self.short = names.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// Returns the kind in these categories.
    #[must_use]
    pub fn categories(mut self, names: &[&str]) -> Self {
        self.categories = names.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// Returns the kind with these table columns.
    #[must_use]
    pub fn columns(mut self, columns: Vec<Column>) -> Self {
        self.columns = columns;
        self
    }

    /// Returns the kind with a scale subresource at `.spec.replicas`.
    #[must_use]
    pub fn scaled(mut self) -> Self {
        self.scale = Some(".spec.replicas".into());
        self
    }

    /// Returns the kind with a further served version. `None` as schema stands for the same schema.
    #[must_use]
    pub fn also_served(mut self, version: &str, schema: Option<Value>) -> Self {
        let schema = schema.map(schema::with_metadata);
        self.further_versions.push(FurtherVersion { version: version.to_owned(), schema, columns: None });
        self
    }

    /// Returns the definition of each served version, that of the storage version first.
    pub fn served(self: &Arc<Self>) -> impl Iterator<Item = Arc<Self>> {
        let views = self.views.0.get_or_init(|| {
            self.further_versions.iter().map(|further| Arc::new(self.in_further_version(further))).collect()
        });
        std::iter::once(self).chain(views).map(Arc::clone)
    }

    fn in_further_version(&self, further: &FurtherVersion) -> Self {
        Self {
            version: further.version.clone(),
            schema: further.schema.as_ref().map_or_else(|| self.schema.clone(), Value::clone),
            columns: further.columns.as_ref().map_or_else(|| self.columns.clone(), Vec::clone),
            further_versions: Vec::new(),
            storage_version: self.version.clone(),
            ..self.clone()
        }
    }

    /// Returns the `apiVersion` of stored objects.
    pub fn storage_api_version(&self) -> String {
        match (self.storage_version.as_str(), self.group.as_str()) {
            ("", _) => self.api_version(),
            (version, "") => version.to_owned(),
            (version, group) => format!("{group}/{version}"),
        }
    }

    /// Returns the resource name in stores: `pods`, `deployments.apps`.
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

    /// Returns the qualified kind in validation errors, `Gateway.gateway.networking.k8s.io`.
    pub fn qualified_kind(&self) -> String {
        if self.group.is_empty() { self.kind.clone() } else { format!("{}.{}", self.kind, self.group) }
    }

    /// Reads the kind of a user's CustomResourceDefinition, in its storage version or else in its first served
    /// one; `None` if it serves none.
    pub fn of_custom_resource_definition(object: &Value) -> Option<Self> {
        let spec = &object["spec"];
        let served =
            || spec["versions"].as_array().into_iter().flatten().filter(|version| version["served"] == true);
        let stored = served().find(|version| version["storage"] == true).or_else(|| served().next())?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let texts = |value: &Value| value.as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
        let column = |column: &Value| Column {
            name: text(&column["name"]),
            format: text(&column["type"]),
            path: text(&column["jsonPath"]),
            priority: i32::try_from(column["priority"].as_i64().unwrap_or(0)).unwrap_or(0),
        };
        let columns_of = |version: &Value| -> Vec<Column> {
            let own = version["additionalPrinterColumns"].as_array().into_iter().flatten();
            let own: Vec<Column> = own.map(column).collect();
            let created = || vec![Column::new("Age", "date", ".metadata.creationTimestamp")];
            if own.is_empty() { created() } else { own }
        };
        let names = &spec["names"];
        let schema_of = |version: &Value| version["schema"]["openAPIV3Schema"].clone();
        let (kind, plural) = (text(&names["kind"]), text(&names["plural"]));
        let further = served().filter(|version| version["name"] != stored["name"]);
        let further_versions = further.map(|version| FurtherVersion {
            version: text(&version["name"]),
            schema: (version["schema"] != stored["schema"])
                .then(|| schema::with_metadata(schema_of(version))),
            columns: Some(columns_of(version)),
        });
        Some(Self {
            further_versions: further_versions.collect(),
            short: texts(&names["shortNames"]),
            categories: texts(&names["categories"]),
            namespaced: spec["scope"] == "Namespaced",
            has_status: stored["subresources"]["status"].is_object(),
            scale: stored["subresources"]["scale"]["specReplicasPath"].as_str().map(str::to_owned),
            columns: columns_of(stored),
            ..Self::new(&text(&spec["group"]), &text(&stored["name"]), &kind, &plural, schema_of(stored))
                .custom()
        })
    }
}

/// Returns the built-in kinds of every cluster, by resource.
pub fn built_in() -> &'static BTreeMap<String, Arc<Definition>> {
    static KINDS: LazyLock<BTreeMap<String, Arc<Definition>>> = LazyLock::new(|| {
        schema::builtin().into_iter().map(|kind| (kind.resource(), Arc::new(kind))).collect()
    });
    &KINDS
}
