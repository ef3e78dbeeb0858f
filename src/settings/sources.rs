//! The sources of settings: flags > environment > file > defaults. Each value keeps its source.

use super::{
    config_error::{ConfigError, Place, Sourced},
    parse::ParsedFile,
};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

/// The environment variables of the process.
///
/// Read once: no other code reads the process's environment.
#[derive(Clone, Default)]
pub struct Environment {
    values: BTreeMap<String, String>,
    unreadable: Vec<&'static str>,
}

/// The variables that landfall or one of its libraries reads in addition to [`ENVIRONMENT`].
const OTHERS: &[&str] = &[
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_FEDERATED_TOKEN_FILE",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "JOB_COMPLETION_INDEX",
    "LANDFALL_STATE",
    "USER",
    "GITHUB_SERVER_URL",
    "GITHUB_REPOSITORY",
    "GITHUB_RUN_ID",
    "BUILD_BUILDURI",
    "HOME",
    "NO_COLOR",
    "TERM",
    "COLUMNS",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "OTEL_SDK_DISABLED",
    "OTEL_TRACES_EXPORTER",
    "OTEL_METRICS_EXPORTER",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
    "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
    "TRACEPARENT",
    "TRACESTATE",
    "BAGGAGE",
];

/// Returns the names of all variables that are read.
fn known() -> impl Iterator<Item = &'static str> {
    ENVIRONMENT.iter().map(|(_, name)| *name).chain(OTHERS.iter().copied())
}

impl Environment {
    /// Reads the process's variables. One that is not UTF-8 is skipped, and recorded if landfall reads it.
    pub fn of_this_process() -> Self {
        Self::of(std::env::vars_os())
    }

    fn of(variables: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let mut environment = Self::default();
        for (name, value) in variables {
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => {
                    environment.values.insert(name, value);
                }
                Err(_) => environment.unreadable.extend(known().find(|known| *known == name)),
            }
        }
        environment
    }

    /// Returns the environment with these variables over its own.
    #[must_use]
    pub fn with(mut self, variables: &BTreeMap<String, String>) -> Self {
        self.values.extend(variables.clone());
        self
    }

    /// Returns these variables.
    #[cfg(test)]
    pub fn of_pairs(pairs: &[(&str, &str)]) -> Self {
        Self::of(pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))))
    }

    /// Checks that every variable that landfall reads is UTF-8.
    ///
    /// # Errors
    /// Every variable that is not, by name; its value is not shown.
    pub fn check(&self) -> Result<(), Vec<ConfigError>> {
        let config_error = |name: &&'static str| {
            ConfigError::at(Place::Environment(name), "its value is not UTF-8")
                .hint("set it again, or unset it")
        };
        let config_errors: Vec<ConfigError> = self.unreadable.iter().map(config_error).collect();
        if config_errors.is_empty() { Ok(()) } else { Err(config_errors) }
    }

    /// Returns a variable, empty or not.
    pub fn exact(&self, name: &str) -> Option<&str> {
        debug_assert!(known().any(|known| known == name), "{name} is read, and not in the list");
        self.values.get(name).map(String::as_str)
    }

    /// Returns a non-empty variable: shells write `NAME=` for "not set".
    pub fn get(&self, name: &str) -> Option<&str> {
        self.exact(name).filter(|value| !value.trim().is_empty())
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self { values: pairs.into_iter().collect(), unreadable: Vec::new() }
    }
}

/// The values of flags, by setting: the flag's name and its value.
pub type Flags = BTreeMap<&'static str, (&'static str, String)>;

/// Settings that have an environment variable.
pub const ENVIRONMENT: &[(&str, &str)] = &[
    ("cloud", "LANDFALL_CLOUD"),
    ("subscription", "AZURE_SUBSCRIPTION_ID"),
    ("tenant", "AZURE_TENANT_ID"),
    ("auth", "LANDFALL_AUTH"),
    ("domain", "DOMAIN_NAME"),
    ("location", "LOCATION"),
    ("resource_group", "RESOURCE_GROUP"),
    ("node_resource_group", "NODE_RESOURCE_GROUP"),
    ("network.name", "VNET_NAME"),
    ("network.subnet", "SUBNET_NAME"),
    ("key_vault.name", "KEYVAULT_NAME"),
    ("certificate.name", "CERT_NAME"),
    ("certificate.pfx", "SSL_PFX_PATH"),
    ("certificate.password", "SSL_PFX_PASSWORD"),
    ("certificate.acme.directory", "ACME_DIRECTORY"),
    ("certificate.acme.email", "ACME_EMAIL"),
    ("certificate.acme.eab_kid", "ACME_EAB_KID"),
    ("certificate.acme.eab_key", "ACME_EAB_KEY"),
    ("cluster.name", "CLUSTER_NAME"),
    ("cluster.version", "K8S_VERSION"),
    ("cluster.nodes", "NODE_COUNT"),
    ("cluster.node_size", "NODE_SIZE"),
    ("dns.zone", "DNS_ZONE_NAME"),
    ("dns.resource_group", "DNS_ZONE_RG"),
    ("kubeconfig", "KUBECONFIG"),
    ("manifests", "MANIFESTS_DIR"),
    ("sim.speed", "LANDFALL_SIM_SPEED"),
    ("sim.seed", "LANDFALL_SIM_SEED"),
    ("sim.faults", "LANDFALL_SIM_FAULTS"),
    ("sim.zones", "LANDFALL_SIM_ZONES"),
    ("sim.images", "LANDFALL_SIM_IMAGES"),
    ("sim.environment", "LANDFALL_SIM_ENVIRONMENT"),
];

/// The sources in their precedence, and the mistakes found so far.
pub struct Sources<'a> {
    flags: &'a Flags,
    environment: &'a Environment,
    parsed: &'a ParsedFile,
    /// All mistakes so far.
    pub config_errors: Vec<ConfigError>,
}

impl<'a> Sources<'a> {
    /// Combines the sources.
    pub fn new(
        flags: &'a Flags,
        environment: &'a Environment,
        parsed: &'a ParsedFile,
        config_errors: Vec<ConfigError>,
    ) -> Self {
        Self { flags, environment, parsed, config_errors }
    }

    /// Returns the value of the highest source; the caller passes the file's, because the file has types.
    pub fn pick(&self, key: &'static str, file: Option<impl fmt::Display>) -> Option<Sourced<String>> {
        if let Some((flag, value)) = self.flags.get(key) {
            return Some(Sourced { value: value.clone(), key, place: Place::Flag(flag) });
        }
        let variable = ENVIRONMENT.iter().find(|(name, _)| *name == key).map(|(_, variable)| *variable);
        let variable = variable.filter(|_| !self.parsed.preferred.contains(key));
        if let Some((variable, value)) = variable.and_then(|name| Some((name, self.environment.get(name)?))) {
            return Some(Sourced { value: value.to_owned(), key, place: Place::Environment(variable) });
        }
        file.map(|value| Sourced { value: value.to_string(), key, place: self.parsed.place(key) })
    }

    /// Returns the value of the highest source, or the default.
    pub fn pick_or(
        &self,
        key: &'static str,
        file: Option<impl fmt::Display>,
        default: &str,
    ) -> Sourced<String> {
        let default = || Sourced { value: default.to_owned(), key, place: Place::Default };
        self.pick(key, file).unwrap_or_else(default)
    }

    /// Parses a value as `wanted`, with `example` as a valid value; `None` if it is invalid, which is then
    /// recorded as a mistake.
    pub fn read<T: FromStr>(
        &mut self,
        given: &Sourced<String>,
        wanted: &str,
        example: &str,
    ) -> Option<Sourced<T>> {
        match given.value.trim().parse() {
            Ok(value) => Some(given.with(value)),
            Err(_) => {
                let config_error = given.wrong(format!("\"{}\" is not {wanted}", given.value));
                self.config_errors.push(config_error.hint(format!("use a number such as {example}")));
                None
            }
        }
    }

    /// Records the result of a check: returns the value, or records the mistake.
    pub fn take<T>(&mut self, verdict: Result<T, ConfigError>) -> Option<T> {
        verdict.map_err(|config_error| self.config_errors.push(config_error)).ok()
    }

    /// Returns a path as intended: one in the file is relative to the file, and only there landfall expands
    /// `~`.
    pub fn path(&self, given: &Sourced<String>) -> PathBuf {
        let Place::File { file, .. } = &given.place else { return PathBuf::from(&given.value) };
        match (given.value.strip_prefix("~/"), self.environment.get("HOME")) {
            (Some(rest), Some(home)) => Path::new(home).join(rest),
            _ => Path::new(file).parent().unwrap_or(Path::new("")).join(&given.value),
        }
    }

    /// Returns the position of a key in the file.
    pub fn place(&self, key: &str) -> Place {
        self.parsed.place(key)
    }

    /// Returns the position of a key in the file, or of its table if the key is missing.
    pub fn nearest_place(&self, key: &str, table: &str) -> Place {
        self.parsed.place(if self.parsed.lines.contains_key(key) { key } else { table })
    }

    /// Returns whether a person named the settings file on the command line.
    pub fn file_is_named(&self) -> bool {
        self.parsed.named
    }

    /// Returns whether the file's value of a setting wins over an environment variable.
    pub fn file_wins(&self, key: &str) -> bool {
        self.parsed.preferred.contains(key)
    }

    /// Returns the environment.
    pub fn environment(&self) -> &'a Environment {
        self.environment
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(flag: bool, variable: &str, file: Option<u32>) -> (String, String) {
        let flags: Flags = flag.then(|| ("cluster.nodes", ("nodes", "3".to_owned()))).into_iter().collect();
        let environment = [("NODE_COUNT".to_owned(), variable.to_owned())].into_iter().collect();
        let parsed = ParsedFile {
            name: "landfall.toml".into(),
            lines: [("cluster.nodes".to_owned(), 7)].into(),
            ..ParsedFile::default()
        };
        let given =
            Sources::new(&flags, &environment, &parsed, Vec::new()).pick_or("cluster.nodes", file, "2");
        (given.value, given.place.to_string())
    }

    #[cfg(unix)]
    #[test]
    fn every_variable_that_is_read_must_be_utf_8() {
        use std::os::unix::ffi::OsStringExt as _;
        let broken = || OsString::from_vec(b"planted-\xff".to_vec());
        for name in known() {
            let environment = Environment::of([(OsString::from(name), broken())].into_iter());
            let config_errors = environment.check().unwrap_err();
            assert_eq!(config_errors[0].place, Place::Environment(name));
            assert!(!config_errors[0].message.contains("planted"));
        }
        let foreign = Environment::of([(OsString::from("SOMETHING_ELSE"), broken())].into_iter());
        assert_eq!(foreign.check(), Ok(()), "a variable of another program is left alone");
    }

    #[test]
    fn the_highest_source_wins_and_is_named() {
        let named = |value: &str, place: &str| (value.to_owned(), place.to_owned());
        assert_eq!(place(true, "4", Some(5)), named("3", "--nodes"));
        assert_eq!(place(false, "4", Some(5)), named("4", "NODE_COUNT"));
        assert_eq!(place(false, "", Some(5)), named("5", "landfall.toml:7"));
        assert_eq!(place(false, " ", None), named("2", "the default"));
    }

    #[test]
    fn a_path_in_the_file_is_relative_to_the_file() {
        let (flags, parsed) = (Flags::new(), ParsedFile::default());
        let environment = [("HOME".to_owned(), "/home/me".to_owned())].into_iter().collect();
        let sources = Sources::new(&flags, &environment, &parsed, Vec::new());
        let at = |place: Place, value: &str| {
            sources.path(&Sourced { value: value.into(), key: "manifests", place }).display().to_string()
        };
        let file = || Place::File { file: "env/landfall.toml".into(), line: Some(1) };
        assert_eq!(at(file(), "site.pfx"), "env/site.pfx");
        assert_eq!(at(file(), "/etc/site.pfx"), "/etc/site.pfx");
        assert_eq!(at(file(), "~/site.pfx"), "/home/me/site.pfx");
        assert_eq!(at(Place::Environment("MANIFESTS_DIR"), "manifests"), "manifests");
    }
}
