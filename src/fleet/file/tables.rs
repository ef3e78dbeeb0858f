//! The tables of `fleet.toml`, and its JSON Schema.

use crate::{
    fleet::kubernetes::table::KubernetesTable,
    settings::{file_schema::Written, schema},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// The ring of an environment that names none.
pub(super) const RING: &str = "rest";
/// The default of `parallel`.
pub(super) const PARALLEL: u32 = 20;
/// The default of `parallel_per_subscription`: with more, the clusters' own polls use up the subscription's budget.
pub(super) const PARALLEL_PER_SUBSCRIPTION: u32 = 20;
/// The maximum of `parallel`: each running environment has a thread.
pub const PARALLEL_MAX: u32 = 256;

/// A fleet: environments that one command manages.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(default)]
#[schemars(title = "fleet.toml", deny_unknown_fields)]
pub(super) struct FleetTable {
    /// The fleet's name; its state is in the folder _fleet below the state folder.
    #[schemars(extend("default" = "fleet"))]
    pub(super) name: Option<String>,
    /// The failures that a wave may have, 2 or "5%"; with more, nothing new starts.
    #[schemars(extend("default" = 0))]
    pub(super) max_failures: Option<Written>,
    /// The environments that run at once.
    #[schemars(extend("default" = PARALLEL, "minimum" = 1, "maximum" = PARALLEL_MAX))]
    pub(super) parallel: Option<u32>,
    /// The environments of one subscription that run at once.
    #[schemars(extend("default" = PARALLEL_PER_SUBSCRIPTION, "minimum" = 1, "maximum" = PARALLEL_MAX))]
    pub(super) parallel_per_subscription: Option<u32>,
    /// The waves, one after the other; by default one with every environment.
    pub(super) waves: Option<Vec<WaveTable>>,
    /// The pods that run the environments with `fleet render` and --on kubernetes.
    pub(super) kubernetes: KubernetesTable,
}

/// A wave, or several of one ring.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
#[schemars(inline)]
pub(super) struct WaveTable {
    /// The ring whose environments it contains.
    pub(super) ring: Option<String>,
    /// The time to wait after it, "15m", before the next wave.
    pub(super) soak: Option<String>,
    /// The environments of one wave, 50 or "25%"; the ring then has several.
    pub(super) size: Option<Written>,
}

/// The fields of an environment besides its settings.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(default)]
pub(super) struct EnvironmentTable {
    /// The environment's name, unique in the fleet.
    pub(super) name: Option<String>,
    /// The ring that selects its wave.
    #[schemars(extend("default" = RING))]
    pub(super) ring: Option<String>,
}

/// Returns the schema of `fleet.toml`.
pub fn schema() -> Value {
    let mut fleet = schema::of::<FleetTable>();
    let settings = schema::schema();
    let mut environment = settings.clone();
    if let Some(Value::Object(fields)) = schema::of::<EnvironmentTable>().get_mut("properties") {
        fields.extend(environment["properties"].as_object().cloned().unwrap_or_default());
        environment["properties"] = Value::Object(fields.clone());
    }
    let mut state = settings["properties"]["state"].clone();
    state["description"] =
        "The storage account of all journals: those of the environments, and the fleet's own.".into();
    fleet["properties"]["state"] = state;
    let mut defaults = settings;
    defaults["description"] = "The settings of every environment; {name} stands for its name.".into();
    fleet["properties"]["defaults"] = defaults;
    fleet["properties"]["environment"] = json!({
        "type": "array",
        "description": "The environments, each with its own settings over the defaults.",
        "items": environment,
    });
    fleet
}
