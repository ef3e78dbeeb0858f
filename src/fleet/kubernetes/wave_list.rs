//! The list of a wave: everything that a pod needs to run one environment of it, and no secret.
//!
//! The settings are those of the fleet file, in its own structure: a pod merges them as the fleet does. What belongs to
//! the machine of the person is left out: the kubeconfig and the sign-in method. Public certificates that the settings
//! name are files beside the list.

use super::pod_settings::{Export, PublicFiles};
use crate::{
    exit::Exit,
    failure::Failure,
    fleet::{file::Fleet, merge, waves::Wave},
    settings::{
        self, LoadInput, LoadedConfig, Mode,
        parse::{self, Document},
        sources::{Environment, Flags},
    },
};
use jiff::Timestamp;
use landfall_cloud::text_file;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, path::Path};

/// The format of a list.
const FORMAT: u32 = 1;
/// The maximum size of a list. A ConfigMap has at most 1 MiB.
const SIZE_MAX: u64 = 4_000_000;
/// The variables of the shell that are settings of the fleet, and no secret.
const VARIABLES: [&str; 18] = [
    "LANDFALL_STATE",
    "AZURE_SUBSCRIPTION_ID",
    "DOMAIN_NAME",
    "LOCATION",
    "RESOURCE_GROUP",
    "NODE_RESOURCE_GROUP",
    "VNET_NAME",
    "SUBNET_NAME",
    "KEYVAULT_NAME",
    "CERT_NAME",
    "ACME_DIRECTORY",
    "ACME_EMAIL",
    "ACME_EAB_KID",
    "CLUSTER_NAME",
    "K8S_VERSION",
    "NODE_COUNT",
    "NODE_SIZE",
    "DNS_ZONE_NAME",
];
const HINT: &str = "give a Secret in [kubernetes] secret_variables or secret_folders, or a path of the image; see docs/fleet.md";

/// The list of one wave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WaveList {
    format: u32,
    /// The fleet.
    pub fleet: String,
    /// The run.
    pub run: String,
    /// The wave.
    pub wave: String,
    /// The command of the fleet with its flags.
    pub arguments: Vec<String>,
    /// The settings from variables of the shell.
    pub variables: BTreeMap<String, String>,
    defaults: Map<String, Value>,
    /// The environments, by index.
    pub environments: Vec<ListedEnvironment>,
}

/// An environment of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListedEnvironment {
    /// Its name.
    pub name: String,
    ring: String,
    /// The digest of its settings.
    pub digest: String,
    settings: Map<String, Value>,
}

/// The common input of all lists of a run.
pub struct ListInput<'a> {
    /// The fleet.
    pub fleet: &'a Fleet,
    /// The run.
    pub run: &'a str,
    /// The command with its flags.
    pub arguments: Vec<String>,
    /// The variables of the shell.
    pub environment: &'a Environment,
    /// The variables that the pods get from Secrets.
    pub secret_variables: Vec<&'a str>,
}

impl WaveList {
    /// Returns the list of a wave, and the files beside it.
    ///
    /// # Errors
    /// Exit code 2 if a setting names a secret, or a file that the pods would not have.
    pub fn of(input: &ListInput<'_>, wave: &Wave) -> Result<(Self, PublicFiles), Failure> {
        let fleet = input.fleet;
        let mut export = Export::new(&fleet.base, &input.secret_variables);
        let defaults = export.exported(&fleet.defaults);
        let listed = wave.environments.iter().map(|at| {
            let environment = &fleet.environments[*at];
            ListedEnvironment {
                name: environment.name.clone(),
                ring: environment.ring.clone(),
                digest: environment.fingerprint.clone(),
                settings: export.exported(&environment.own),
            }
        });
        let environments = listed.collect();
        let variables = VARIABLES
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), input.environment.get(name)?.to_owned())));
        let mut variables: BTreeMap<String, String> = variables.collect();
        // Only such a fleet has its journals in an account.
        variables.insert("LANDFALL_CLOUD".to_owned(), "azure".to_owned());
        let Export { files, mistakes, .. } = export;
        if !mistakes.is_empty() {
            let failure = Failure::new(Exit::Input, "write the list of the environments for Kubernetes");
            let failure = mistakes.iter().fold(failure, |failure, mistake| failure.cause(mistake));
            return Err(failure.hint(HINT));
        }
        let (name, run, wave) = (fleet.name.clone(), input.run.to_owned(), wave.name.clone());
        let arguments = input.arguments.clone();
        Ok((
            Self { format: FORMAT, fleet: name, run, wave, arguments, variables, defaults, environments },
            files,
        ))
    }

    /// Returns whether another list has the same command, flags and variables.
    pub fn has_same_command(&self, other: &Self) -> bool {
        self.arguments == other.arguments && self.variables == other.variables
    }

    /// Returns it as text, one line for each environment.
    pub fn text(&self) -> String {
        let plain = |value: Value| value.to_string();
        let of = |environment: &ListedEnvironment| {
            plain(serde_json::to_value(environment).expect("plain values serialise"))
        };
        let head = serde_json::json!({
            "format": self.format, "fleet": self.fleet, "run": self.run, "wave": self.wave,
            "arguments": self.arguments, "variables": self.variables, "defaults": self.defaults,
        });
        let head = plain(head);
        let environments: Vec<String> = self.environments.iter().map(of).collect();
        let head = head.strip_suffix('}').unwrap_or(&head);
        format!("{head},\"environments\":[\n{}\n]}}\n", environments.join(",\n"))
    }

    /// Reads a list.
    ///
    /// # Errors
    /// Exit code 2 if the file cannot be read, or has another format.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let refused = || Failure::new(Exit::Input, format!("read the list {}", parse::shown(path)));
        let text = text_file::read(path, SIZE_MAX)
            .map_err(|error| refused().cause(error.to_string()).hint("name the file with --list"))?;
        Self::parse(&text).map_err(|why| {
            refused().cause(why).hint("`landfall fleet render` writes it; use the same version of landfall")
        })
    }

    /// Parses a list.
    ///
    /// # Errors
    /// Fails if the text is not a list, or has another format.
    pub fn parse(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
        match value["format"].as_u64() {
            Some(format) if format == u64::from(FORMAT) => {
                serde_json::from_value(value).map_err(|error| format!("it is not a list: {error}"))
            }
            Some(format) => Err(format!("it has format {format}; this version supports format {FORMAT}")),
            None => Err("it has no format".to_owned()),
        }
    }

    /// Validates the settings of an environment.
    ///
    /// # Errors
    /// Returns all mistakes.
    pub fn config(
        &self,
        environment: &ListedEnvironment,
        path: &Path,
        flags: &Flags,
        variables: &Environment,
        state_dir: &Path,
        mode: Mode,
    ) -> Result<LoadedConfig, Failure> {
        let ListedEnvironment { name, ring, settings, .. } = environment;
        let values = merge::merged(&self.defaults, settings, name, ring);
        let (shown, mut errors) = (parse::shown(path), Vec::new());
        let document = Document { values, lines: BTreeMap::new() };
        let mut parsed = parse::of_values(&shown, document, &mut errors);
        parsed.named = true;
        parsed.preferred = keys("", settings).collect();
        let input = LoadInput {
            flags,
            environment: variables,
            config: Some(path),
            name,
            state_dir,
            mode,
            now: Timestamp::now(),
            ask: &|_| None,
        };
        settings::load_parsed(&input, parsed, errors).map_err(Failure::of_config_errors)
    }
}

/// Returns the dotted keys of a table and the tables in it.
fn keys<'a>(prefix: &str, table: &'a Map<String, Value>) -> Box<dyn Iterator<Item = String> + 'a> {
    let prefix = prefix.to_owned();
    Box::new(table.iter().flat_map(move |(key, value)| {
        let key = format!("{prefix}{key}");
        let below = value.as_object().map(|table| keys(&format!("{key}."), table));
        std::iter::once(key).chain(below.into_iter().flatten())
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_list_is_read_as_it_was_written_and_a_newer_one_is_refused() {
        let listed = |name: &str| ListedEnvironment {
            name: name.into(),
            ring: "rest".into(),
            digest: "1".into(),
            settings: object(json!({ "cluster": { "nodes": 3 } })),
        };
        let list = WaveList {
            format: FORMAT,
            fleet: "shops".into(),
            run: "7f3a".into(),
            wave: "rest 1/2".into(),
            arguments: vec!["up".into()],
            variables: [("LOCATION".to_owned(), "westeurope".to_owned())].into(),
            defaults: object(json!({ "domain": "{name}.example.com" })),
            environments: vec![listed("a"), listed("b")],
        };
        let text = list.text();
        assert_eq!(text.lines().count(), 4, "one line for each environment: {text}");
        assert_eq!(WaveList::parse(&text), Ok(list));
        let newer = text.replace("\"format\":1", "\"format\":2");
        assert!(WaveList::parse(&newer).unwrap_err().contains("format 2"));
    }

    #[test]
    fn keys_are_dotted() {
        let table = object(json!({ "cluster": { "nodes": 3 }, "domain": "a" }));
        assert_eq!(keys("", &table).collect::<Vec<_>>(), ["cluster", "cluster.nodes", "domain"]);
    }
}
