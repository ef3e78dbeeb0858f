//! The meaning of a fleet file: its waves, and the settings of each environment.

use super::{
    Fleet, FleetEnvironment, FleetInput,
    setting_errors::SettingErrors,
    shared_state,
    tables::{EnvironmentTable, FleetTable, PARALLEL, PARALLEL_PER_SUBSCRIPTION, RING, WaveTable},
};
use crate::{
    fleet::{
        amount::{self, Amount},
        duplicates, merge,
        waves::WaveSpec,
    },
    settings::{
        self, LoadInput, LoadedConfig, checks,
        config_error::{ConfigError, Place, Sourced, nearest},
        file_schema::Written,
        parse::{self, Document},
    },
};
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::{collections::BTreeMap, path::Path, time::Duration};

/// The reader of one file, and the mistakes so far.
pub(super) struct Reader<'a> {
    pub(super) input: &'a FleetInput<'a>,
    pub(super) name: &'a str,
    pub(super) errors: Vec<ConfigError>,
}

impl Reader<'_> {
    fn place(&self, document: &Document, key: &str) -> Place {
        Place::File { file: self.name.to_owned(), line: document.lines.get(key).copied() }
    }

    fn wrong(&mut self, document: &Document, key: &str, message: String, hint: &str) {
        let error = ConfigError::at(self.place(document, key), message).hint(hint);
        self.errors.push(error);
    }

    pub(super) fn fleet(&mut self, path: &Path, document: &Document) -> Option<Fleet> {
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
        let defaults = shared_state::with_state(document);
        let environments = self.environments(path, document, &defaults, &waves);
        self.errors.extend(duplicates::errors(&environments));
        let state = shared_state::of(&environments).map_err(|error| self.errors.push(error)).ok();
        let (fleet_name, state) = (fleet_name?, state?);
        Some(Fleet {
            folder: self.input.state_dir.join("_fleet").join(&fleet_name),
            name: fleet_name,
            state,
            base: path.parent().unwrap_or(Path::new("")).to_owned(),
            kubernetes: table.kubernetes,
            defaults,
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
        defaults: &Map<String, Value>,
        waves: &[WaveSpec],
    ) -> Vec<FleetEnvironment> {
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
                    environments.push(FleetEnvironment { name, ring, config, own, fingerprint, place });
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
        let lines = shared_state::lines(document).chain(merge::lines(document, entry)).collect();
        let merged = Document { values, lines };
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
