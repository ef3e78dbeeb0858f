//! `fleet.toml`: its structure, its meaning, and all its mistakes at once, before anything is changed.

use super::{
    amount::{self, Amount},
    duplicates, merge,
    waves::WaveSpec,
};
use crate::settings::{
    self, LoadInput, LoadedConfig, Mode, checks,
    config_error::{ConfigError, Place, Sourced, nearest},
    file_schema::Written,
    parse::{self, Document},
    schema,
    sources::{Environment, Flags},
};
use jiff::Timestamp;
use landfall_cloud::text_file;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

/// The maximum size of a fleet file. One with 1,000 environments has 200 KB.
const SIZE_MAX: u64 = 16_000_000;
/// The ring of an environment that names none.
const RING: &str = "rest";
/// The default of `parallel`.
const PARALLEL: u32 = 20;
/// The default of `parallel_per_subscription`: with more, the clusters' own polls use up the subscription's budget.
const PARALLEL_PER_SUBSCRIPTION: u32 = 20;
/// The maximum of `parallel`: each running environment has a thread.
pub const PARALLEL_MAX: u32 = 256;

/// A fleet: environments that one command manages.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(default)]
#[schemars(title = "fleet.toml", deny_unknown_fields)]
struct FleetTable {
    /// The fleet's name; its state is in the folder _fleet below the state folder.
    #[schemars(extend("default" = "fleet"))]
    name: Option<String>,
    /// The failures that a wave may have, 2 or "5%"; with more, nothing new starts.
    #[schemars(extend("default" = 0))]
    max_failures: Option<Written>,
    /// The environments that run at once.
    #[schemars(extend("default" = PARALLEL, "minimum" = 1, "maximum" = PARALLEL_MAX))]
    parallel: Option<u32>,
    /// The environments of one subscription that run at once.
    #[schemars(extend("default" = PARALLEL_PER_SUBSCRIPTION, "minimum" = 1, "maximum" = PARALLEL_MAX))]
    parallel_per_subscription: Option<u32>,
    /// The waves, one after the other; by default one with every environment.
    waves: Option<Vec<WaveTable>>,
}

/// A wave, or several of one ring.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
#[schemars(inline)]
struct WaveTable {
    /// The ring whose environments it contains.
    ring: Option<String>,
    /// The time to wait after it, "15m", before the next wave.
    soak: Option<String>,
    /// The environments of one wave, 50 or "25%"; the ring then has several.
    size: Option<Written>,
}

/// The fields of an environment besides its settings.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(default)]
struct EnvironmentTable {
    /// The environment's name, unique in the fleet.
    name: Option<String>,
    /// The ring that selects its wave.
    #[schemars(extend("default" = RING))]
    ring: Option<String>,
}

/// The input of [`load`].
pub struct FleetInput<'a> {
    /// The fleet file, if one was named.
    pub path: Option<&'a Path>,
    /// The flags, for every environment.
    pub flags: &'a Flags,
    /// The environment variables.
    pub environment: &'a Environment,
    /// The folder of all environments' state.
    pub state_dir: &'a Path,
    /// The purpose of the settings.
    pub mode: Mode,
}

/// A validated fleet.
pub struct Fleet {
    /// Its name.
    pub name: String,
    /// The folder of its own journal.
    pub folder: PathBuf,
    /// The waves as written.
    pub waves: Vec<WaveSpec>,
    /// The failures that a wave may have.
    pub max_failures: Amount,
    /// The environments that run at once.
    pub parallel: usize,
    /// The environments of one subscription that run at once.
    pub parallel_per_subscription: usize,
    /// The environments, in the order of the file.
    pub environments: Vec<FleetEnvironment>,
}

/// An environment of a fleet.
pub struct FleetEnvironment {
    /// Its name.
    pub name: String,
    /// Its ring.
    pub ring: String,
    /// Its settings.
    pub config: LoadedConfig,
    /// A digest of its settings as written.
    pub fingerprint: String,
    /// The position of its entry.
    pub place: Place,
}

impl FleetEnvironment {
    /// Returns the subscription as configured; empty for that of the sign-in.
    pub fn subscription(&self) -> &str {
        self.config.place.subscription.as_deref().unwrap_or_default()
    }
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

/// Reads a fleet file and validates every environment.
///
/// # Errors
/// Returns all mistakes, by line.
pub fn load(input: &FleetInput<'_>) -> Result<Fleet, Vec<ConfigError>> {
    let path = input.path.unwrap_or(Path::new("fleet.toml"));
    let name = parse::shown(path);
    let text = text_file::read(path, SIZE_MAX).map_err(|error| {
        let (why, hint) = match error.is_not_found() {
            true => ("the file does not exist".to_owned(), "name the fleet file with --config FILE"),
            false => (error.to_string(), "check the path and the permissions of the file"),
        };
        vec![ConfigError::at(Place::File { file: name.clone(), line: None }, why).hint(hint)]
    })?;
    let mut reader = Reader { input, name: &name, errors: Vec::new() };
    let document = parse::document(&name, &text, &schema(), &mut reader.errors);
    let fleet = reader.fleet(path, &document);
    let mut errors = reader.errors;
    match fleet {
        Some(fleet) if errors.is_empty() => Ok(fleet),
        _ => {
            errors.sort_by_key(|error| match error.place {
                Place::File { line, .. } => line.unwrap_or_default(),
                _ => 0,
            });
            Err(errors)
        }
    }
}

struct Reader<'a> {
    input: &'a FleetInput<'a>,
    name: &'a str,
    errors: Vec<ConfigError>,
}

impl Reader<'_> {
    fn place(&self, document: &Document, key: &str) -> Place {
        Place::File { file: self.name.to_owned(), line: document.lines.get(key).copied() }
    }

    fn wrong(&mut self, document: &Document, key: &str, message: String, hint: &str) {
        let error = ConfigError::at(self.place(document, key), message).hint(hint);
        self.errors.push(error);
    }

    fn fleet(&mut self, path: &Path, document: &Document) -> Option<Fleet> {
        let table: FleetTable =
            parse::decode(&Value::Object(document.values.clone()), self.name, &mut self.errors);
        let fleet_name = Sourced {
            value: table.name.clone().unwrap_or_else(|| "fleet".to_owned()),
            key: "name",
            place: self.place(document, "name"),
        };
        let fleet_name =
            checks::names::environment(&fleet_name).map_err(|error| self.errors.push(error)).ok();
        let max_failures = self.amount(document, "max_failures", table.max_failures.as_ref());
        let waves = self.waves(document, table.waves.as_deref().unwrap_or_default());
        let environments = self.environments(path, document, &waves);
        self.errors.extend(duplicates::errors(&environments));
        let fleet_name = fleet_name?;
        Some(Fleet {
            folder: self.input.state_dir.join("_fleet").join(&fleet_name),
            name: fleet_name,
            waves,
            max_failures: max_failures.unwrap_or(Amount::Number(0)),
            parallel: table.parallel.unwrap_or(PARALLEL) as usize,
            parallel_per_subscription: table.parallel_per_subscription.unwrap_or(PARALLEL_PER_SUBSCRIPTION)
                as usize,
            environments,
        })
    }

    fn amount(&mut self, document: &Document, key: &str, written: Option<&Written>) -> Option<Amount> {
        let written = written?;
        let amount = Amount::parse(&written.0);
        if amount.is_none() {
            let message = format!("`{key}` is \"{}\", which is neither a number nor a share", written.0);
            self.wrong(document, key, message, "write a number, 2, or a share from 0% to 100%, \"5%\"");
        }
        amount
    }

    fn waves(&mut self, document: &Document, tables: &[WaveTable]) -> Vec<WaveSpec> {
        let mut waves: Vec<WaveSpec> = Vec::new();
        for (at, table) in tables.iter().enumerate() {
            let key = format!("waves[{at}]");
            let Some(ring) = &table.ring else {
                self.wrong(
                    document,
                    &key,
                    "the wave has no ring".into(),
                    "name the ring: { ring = \"canary\" }",
                );
                continue;
            };
            if waves.iter().any(|wave| wave.ring.as_ref() == Some(ring)) {
                let message = format!("ring \"{ring}\" has two waves");
                self.wrong(document, &key, message, "split a ring with size = \"25%\"");
            }
            let soak = table.soak.as_deref().map(|text| (text, amount::duration(text)));
            if let Some((text, None)) = soak {
                let message = format!("`soak` is \"{text}\", which is not a duration of up to a week");
                self.wrong(
                    document,
                    &format!("{key}.soak"),
                    message,
                    "write it as \"90s\", \"15m\", \"2h\" or \"1d\"",
                );
            }
            let size = self.amount(document, &format!("{key}.size"), table.size.as_ref());
            if size.is_some_and(|size| size.of(usize::MAX >> 12) == 0) {
                let message = "`size` is 0: no environment would ever run".to_owned();
                self.wrong(
                    document,
                    &format!("{key}.size"),
                    message,
                    "write a number from 1, or a share above 0%",
                );
            }
            let soak = soak.and_then(|(_, soak)| soak).unwrap_or(Duration::ZERO);
            waves.push(WaveSpec { ring: Some(ring.clone()), soak, size });
        }
        waves
    }

    fn environments(
        &mut self,
        path: &Path,
        document: &Document,
        waves: &[WaveSpec],
    ) -> Vec<FleetEnvironment> {
        let empty = Map::new();
        let defaults = document.values.get("defaults").and_then(Value::as_object).unwrap_or(&empty);
        let items = document.values.get("environment").and_then(Value::as_array);
        let mut environments = Vec::new();
        let mut names: BTreeMap<String, String> = BTreeMap::new();
        let mut failed = SettingErrors::default();
        for (at, item) in items.into_iter().flatten().enumerate() {
            let entry = format!("environment[{at}]");
            let table: EnvironmentTable = parse::decode(item, self.name, &mut self.errors);
            let Some(name) = table.name else {
                self.wrong(document, &entry, "the environment has no name".into(), "add name = \"…\"");
                continue;
            };
            let place = self.place(document, &format!("{entry}.name"));
            let given = Sourced { value: name.clone(), key: "name", place };
            if let Err(error) = checks::names::environment(&given) {
                self.errors.push(error);
                continue;
            }
            let line = document.lines.get(&entry).copied().unwrap_or_default();
            // Names differ in more than case: some file systems would give both one state folder.
            if let Some(first) = names.insert(name.to_lowercase(), format!("line {line}")) {
                let message = format!("there is another environment \"{name}\", at {first}");
                self.wrong(document, &entry, message, "give each environment a name of its own");
                continue;
            }
            let ring = table.ring.unwrap_or_else(|| RING.to_owned());
            self.check_ring(document, &entry, &name, &ring, waves);
            let mut own = item.as_object().cloned().unwrap_or_default();
            own.retain(|key, _| key != "name" && key != "ring");
            let values = merge::merged(defaults, &own, &name, &ring);
            let fingerprint = merge::fingerprint(&values);
            match self.settings(path, document, &entry, &name, values) {
                Ok(config) => {
                    let place = self.place(document, &entry);
                    environments.push(FleetEnvironment { name, ring, config, fingerprint, place });
                }
                Err(errors) => failed.add(&name, errors),
            }
        }
        if items.is_none_or(Vec::is_empty) {
            let whole = Place::File { file: self.name.to_owned(), line: None };
            let error = ConfigError::at(whole, "the fleet has no environment");
            self.errors.push(error.hint("add one: [[environment]] with name = \"…\""));
        }
        self.errors.extend(failed.into_errors());
        environments
    }

    fn check_ring(&mut self, document: &Document, entry: &str, name: &str, ring: &str, waves: &[WaveSpec]) {
        let rings: Vec<&str> = waves.iter().filter_map(|wave| wave.ring.as_deref()).collect();
        if rings.is_empty() || rings.contains(&ring) {
            return;
        }
        let own = format!("{entry}.ring");
        let (key, message) = match document.lines.contains_key(&own) {
            true => (own, format!("environment {name} is in ring \"{ring}\", which no wave has")),
            false => {
                (entry.to_owned(), format!("environment {name} has no ring, and no wave has \"{RING}\""))
            }
        };
        let hint = match nearest(ring, rings.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("the rings of the waves are {}", rings.join(", ")),
        };
        self.wrong(document, &key, message, &hint);
    }

    fn settings(
        &mut self,
        path: &Path,
        document: &Document,
        entry: &str,
        name: &str,
        values: Map<String, Value>,
    ) -> Result<LoadedConfig, Vec<ConfigError>> {
        let mut errors = Vec::new();
        let merged = Document { values, lines: merge::lines(document, entry) };
        let mut parsed = parse::of_values(self.name, merged, &mut errors);
        parsed.named = self.input.path.is_some();
        parsed.preferred = merge::keys(document, entry);
        let load = LoadInput {
            flags: self.input.flags,
            environment: self.input.environment,
            config: Some(path),
            name,
            state_dir: self.input.state_dir,
            mode: self.input.mode,
            now: Timestamp::now(),
            // A fleet asks no question for each of its environments.
            ask: &|_| None,
        };
        settings::load_parsed(&load, parsed, errors)
    }
}

/// The mistakes in the settings of all environments. One in the defaults is reported once.
#[derive(Default)]
struct SettingErrors(Vec<(ConfigError, Vec<String>)>);

impl SettingErrors {
    fn add(&mut self, environment: &str, errors: Vec<ConfigError>) {
        for error in errors {
            // The message may contain the environment's name, so the position decides.
            let is_same = |(known, environments): &&mut (ConfigError, Vec<String>)| {
                let is_other = environments.last().is_none_or(|last| last != environment);
                known.place == error.place && known.key == error.key && is_other
            };
            match self.0.iter_mut().find(is_same) {
                Some((_, environments)) => environments.push(environment.to_owned()),
                None => self.0.push((error, vec![environment.to_owned()])),
            }
        }
    }

    fn into_errors(self) -> impl Iterator<Item = ConfigError> {
        self.0.into_iter().map(|(mut error, environments)| {
            error.message = match environments.as_slice() {
                [only] => format!("{} (environment {only})", error.message),
                [first, rest @ ..] => {
                    format!("{} (environment {first} and {} more)", error.message, rest.len())
                }
                [] => error.message,
            };
            error
        })
    }
}
