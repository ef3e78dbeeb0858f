//! The list of a wave: everything that a pod needs to run one environment of it, and no secret.
//!
//! The settings are those of the fleet file, in its own structure: a pod merges them as the fleet does. What belongs to
//! the machine of the person is left out: the kubeconfig and the sign-in method. Public certificates that the settings
//! name are files beside the list.

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
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// The format of a list.
const FORMAT: u32 = 1;
/// The maximum size of a list. A ConfigMap has at most 1 MiB.
const SIZE_MAX: u64 = 4_000_000;
/// The settings that name a public file, which goes beside the list.
const PUBLIC_FILES: [&[&str]; 3] =
    [&["endpoints", "ca_file"], &["state", "ca_file"], &["certificate", "acme", "root"]];
/// The settings that name a file or a folder which the pod must have otherwise.
const OTHER_FILES: [&[&str]; 3] =
    [&["certificate", "pfx"], &["certificate", "acme", "eab_key_file"], &["manifests"]];
/// The settings of the person's machine.
const LOCAL: [&[&str]; 2] = [&["kubeconfig"], &["auth"]];
/// The settings with a secret, and the variables that replace them.
const SECRETS: [(&[&str], &str); 2] = [
    (&["certificate", "password"], "SSL_PFX_PASSWORD"),
    (&["certificate", "acme", "eab_key"], "ACME_EAB_KEY"),
];
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

/// The files beside a list, by name.
pub type PublicFiles = BTreeMap<String, String>;

impl WaveList {
    /// Returns the list of a wave, and the files beside it.
    ///
    /// # Errors
    /// Exit code 2 if a setting names a secret, or a file that the pods would not have.
    pub fn of(input: &ListInput<'_>, wave: &Wave) -> Result<(Self, PublicFiles), Failure> {
        let fleet = input.fleet;
        let mut export = Export {
            base: &fleet.base,
            given: &input.secret_variables,
            files: BTreeMap::new(),
            mistakes: BTreeSet::new(),
        };
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

/// The conversion of settings for pods.
struct Export<'a> {
    /// The folder of the fleet file.
    base: &'a Path,
    /// The variables that come from Secrets.
    given: &'a [&'a str],
    files: PublicFiles,
    mistakes: BTreeSet<String>,
}

impl Export<'_> {
    fn exported(&mut self, table: &Map<String, Value>) -> Map<String, Value> {
        let mut values = table.clone();
        for path in LOCAL {
            remove(&mut values, path);
        }
        for (path, variable) in SECRETS {
            if remove(&mut values, path).is_some() && !self.given.contains(&variable) {
                self.mistakes.insert(format!(
                    "{} is a secret: no manifest contains it, and no Secret gives {variable}",
                    path.join(".")
                ));
            }
        }
        for path in PUBLIC_FILES {
            if let Some(Value::String(name)) = find(&mut values, path) {
                self.add(path, name);
            }
        }
        for path in OTHER_FILES {
            if let Some(Value::String(name)) = find(&mut values, path)
                && !name.starts_with('/')
            {
                self.mistakes.insert(format!(
                    "{} is \"{name}\", relative to the fleet file, which no pod has",
                    path.join(".")
                ));
            }
        }
        values
    }

    /// Puts a public file beside the list, and replaces its path.
    fn add(&mut self, path: &[&str], name: &mut String) {
        let is_text =
            |text: &String| text.contains("-----BEGIN CERTIFICATE-----") && !text.contains("PRIVATE KEY");
        match std::fs::read_to_string(self.base.join(&*name)).ok().filter(is_text) {
            Some(content) => {
                let known =
                    self.files.iter().find(|(_, known)| **known == content).map(|(name, _)| name.clone());
                let file = known.unwrap_or_else(|| format!("authorities-{}.pem", self.files.len() + 1));
                self.files.insert(file.clone(), content);
                *name = file;
            }
            None => {
                let path = path.join(".");
                self.mistakes.insert(format!(
                    "{path} is \"{name}\", which is not a readable file of certificates only"
                ));
            }
        }
    }
}

fn find<'a>(values: &'a mut Map<String, Value>, path: &[&str]) -> Option<&'a mut Value> {
    let (first, rest) = path.split_first()?;
    let value = values.get_mut(*first)?;
    match rest {
        [] => Some(value),
        rest => find(value.as_object_mut()?, rest),
    }
}

fn remove(values: &mut Map<String, Value>, path: &[&str]) -> Option<Value> {
    let (last, tables) = path.split_last()?;
    match tables {
        [] => values.shift_remove(*last),
        tables => find(values, tables)?.as_object_mut()?.shift_remove(*last),
    }
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
    fn what_a_pod_cannot_have_is_a_mistake_and_what_it_must_not_have_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), "-----BEGIN CERTIFICATE-----\n").unwrap();
        std::fs::write(
            folder.path().join("key.pem"),
            "-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n",
        )
        .unwrap();
        let export = |values: Value, given: &[&str]| {
            let mut export =
                Export { base: folder.path(), given, files: BTreeMap::new(), mistakes: BTreeSet::new() };
            let values = export.exported(&object(values));
            (Value::Object(values), export.files.len(), export.mistakes.into_iter().collect::<Vec<_>>())
        };
        let (values, files, mistakes) = export(
            json!({
                "auth": "cli", "kubeconfig": "kubeconfig", "domain": "a.example.com", "manifests": "/manifests",
                "endpoints": { "ca_file": "ca.pem" }, "state": { "ca_file": "ca.pem" },
                "certificate": { "password": "planted", "pfx": "/secrets/site.pfx" },
            }),
            &["SSL_PFX_PASSWORD"],
        );
        let expected = json!({
            "domain": "a.example.com", "manifests": "/manifests",
            "endpoints": { "ca_file": "authorities-1.pem" }, "state": { "ca_file": "authorities-1.pem" },
            "certificate": { "pfx": "/secrets/site.pfx" },
        });
        assert_eq!((values, files, mistakes), (expected, 1, Vec::new()));
        let (_, files, mistakes) = export(
            json!({
                "manifests": "manifests", "endpoints": { "ca_file": "key.pem" },
                "certificate": { "password": "planted", "pfx": "site.pfx" },
            }),
            &[],
        );
        assert_eq!((files, mistakes.len()), (0, 4), "{mistakes:?}");
        assert!(mistakes.iter().all(|mistake| !mistake.contains("planted")), "{mistakes:?}");
    }

    #[test]
    fn keys_are_dotted() {
        let table = object(json!({ "cluster": { "nodes": 3 }, "domain": "a" }));
        assert_eq!(keys("", &table).collect::<Vec<_>>(), ["cluster", "cluster.nodes", "domain"]);
    }
}
