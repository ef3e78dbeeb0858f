//! `fleet.toml`: its structure, its meaning, and all its mistakes at once, before anything is changed.

mod reader;
mod setting_errors;
mod shared_state;
mod tables;

pub use tables::{PARALLEL_MAX, schema};

use super::{amount::Amount, kubernetes::table::KubernetesTable, waves::WaveSpec};
use crate::settings::{
    LoadedConfig, Mode,
    checks::state::StateConfig,
    config_error::{ConfigError, Place},
    parse,
    sources::{Environment, Flags},
};
use landfall_cloud::text_file;
use reader::Reader;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// The maximum size of a fleet file. One with 1,000 environments has 200 KB.
const SIZE_MAX: u64 = 16_000_000;

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
    /// The folder of its own journal, or of the lock of this machine if the journal is in a storage account.
    pub folder: PathBuf,
    /// The storage account of all journals; `None` for the state folder.
    pub state: Option<StateConfig>,
    /// The folder of the fleet file.
    pub base: PathBuf,
    /// The pods that run the environments on Kubernetes.
    pub kubernetes: KubernetesTable,
    /// The settings of all environments as written.
    pub defaults: Map<String, Value>,
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
    /// Its own settings as written, over those of all environments.
    pub own: Map<String, Value>,
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
