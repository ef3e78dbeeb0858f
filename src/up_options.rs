//! Options of `up` and `plan` in addition to the settings.

use crate::{exit::Exit, failure::Failure};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use landfall_steps::{
    preflight::PreflightCheckId,
    settings::{ObjectName, Settings},
};
use std::fmt;

/// What `up` and `plan` both take.
#[derive(clap::Args, Debug)]
pub struct UpOptions {
    /// Skip a preflight check; may be repeated
    #[arg(long, value_name = "NAME", value_parser = preflight_checks(), help_heading = "Preflight")]
    skip_preflight: Vec<PreflightCheckId>,
    /// Recreate this: cluster, if it cannot be repaired, is owned and has no foreign objects; or KIND/NAME, an object
    /// with an immutable field to change. It is deleted, and down until the new one is ready; may be given more than
    /// once
    #[arg(long, value_name = "cluster|KIND/NAME", value_parser = parse_replace)]
    replace: Vec<Replace>,
}

/// A resource that may be deleted and recreated.
#[derive(Clone, Debug)]
enum Replace {
    Cluster,
    Object(ObjectName),
}

impl fmt::Display for Replace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster => f.write_str("cluster"),
            Self::Object(name) => name.fmt(f),
        }
    }
}

impl UpOptions {
    /// Returns the flags as given, for a command that repeats them.
    pub fn arguments(&self) -> Vec<String> {
        let skipped =
            self.skip_preflight.iter().map(|check| ["--skip-preflight".to_owned(), check.name().to_owned()]);
        let replaced = self.replace.iter().map(|step| ["--replace".to_owned(), step.to_string()]);
        skipped.chain(replaced).flatten().collect()
    }

    /// Applies the options to the settings.
    ///
    /// # Errors
    /// Fails if an object to replace is in no manifest.
    pub fn apply(&self, settings: &mut Settings) -> Result<(), Failure> {
        settings.skip_preflight = self.skip_preflight.iter().copied().collect();
        settings.cluster.replace = self.replace.iter().any(|one| matches!(one, Replace::Cluster));
        let objects = self.replace.iter().filter_map(|one| match one {
            Replace::Cluster => None,
            Replace::Object(name) => Some(name.clone()),
        });
        settings.replace_objects = objects.collect();
        if settings.replace_objects.is_empty() {
            return Ok(());
        }
        match landfall_steps::unknown_replacements(settings) {
            unknown if unknown.is_empty() => Ok(()),
            unknown => Err(Failure::new(Exit::Input, format!("replace {}", unknown.join(", ")))
                .cause("no manifest holds it")
                .hint(
                    "name an object of the manifests: KIND/NAME, or KIND/NAMESPACE/NAME outside of default",
                )),
        }
    }
}

/// Parses the names of preflight checks; the error for an unknown one lists all of them.
fn preflight_checks() -> impl TypedValueParser<Value = PreflightCheckId> {
    let names = PossibleValuesParser::new(PreflightCheckId::ALL.map(PreflightCheckId::name));
    names.map(|name| PreflightCheckId::from_name(&name).expect("only names of checks are allowed"))
}

fn parse_replace(text: &str) -> Result<Replace, String> {
    match text {
        "cluster" => Ok(Replace::Cluster),
        text => ObjectName::parse(text)
            .map(Replace::Object)
            .ok_or_else(|| "give cluster, or an object: KIND/NAME or KIND/NAMESPACE/NAME".to_owned()),
    }
}
