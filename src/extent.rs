//! How far `up` goes beside its settings, and `plan` with it.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use landfall_steps::{preflight::Concern, settings::Settings};

/// What `up` and `plan` both take.
#[derive(clap::Args, Debug)]
pub struct Extent {
    /// Leave out a check that is made before anything is; may be given more than once
    #[arg(long, value_name = "NAME", value_parser = concerns(), help_heading = "Before anything is made")]
    skip_preflight: Vec<Concern>,
    /// Make this anew when it is broken beyond mending: cluster. Only when it is ours and nobody else works in it
    #[arg(long, value_name = "STEP", value_parser = ["cluster"])]
    replace: Vec<String>,
}

impl Extent {
    /// Returns the flags as they were given, for a command that repeats them.
    pub fn arguments(&self) -> Vec<String> {
        let skipped =
            self.skip_preflight.iter().map(|check| ["--skip-preflight".to_owned(), check.name().to_owned()]);
        let replaced = self.replace.iter().map(|step| ["--replace".to_owned(), step.clone()]);
        skipped.chain(replaced).flatten().collect()
    }

    /// Takes the wishes over into the settings.
    pub fn apply(&self, settings: &mut Settings) {
        settings.skip_preflight = self.skip_preflight.iter().copied().collect();
        settings.cluster.replace = self.replace.iter().any(|step| step == "cluster");
    }
}

/// Reads the names of checks; an unknown one is answered with all of them.
fn concerns() -> impl TypedValueParser<Value = Concern> {
    let names = PossibleValuesParser::new(Concern::ALL.map(Concern::name));
    names.map(|name| Concern::named(&name).expect("only the names of checks are possible"))
}
