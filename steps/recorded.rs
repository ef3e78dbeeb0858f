//! The recorded names of an environment: those with which it was created, or with which an interrupted run
//! began. Teardown and resume use these names, whatever the settings contain now.

use crate::{
    resource::{NameSetting, Resources},
    settings::Settings,
};
use landfall_engine::{Memory, Past};

/// A resource whose recorded name differs from the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renamed {
    /// The setting, as `landfall.toml` spells it.
    pub setting: &'static str,
    /// The recorded name.
    pub made: String,
    /// The name in the settings.
    pub wished: String,
}

impl Resources {
    /// Returns the settings with every recorded name. It does not matter with which settings the steps were
    /// wired.
    #[must_use]
    pub fn as_made(&self, settings: &Settings, memory: &Memory) -> Settings {
        let mut made = settings.clone();
        for (name, past) in self.names(memory) {
            if let Some(recorded) = (name.recorded)(past) {
                (name.set)(&mut made, Some(recorded));
            }
            // The name of an attempt that has not ended is newer than any output.
            match (begun(past, name.key), &past.named) {
                (Some(begun), _) => (name.set)(&mut made, Some(begun)),
                (None, Some(_)) if name.optional => (name.set)(&mut made, None),
                (None, _) => {}
            }
        }
        made
    }

    /// Lists the owned resources whose recorded name differs from the settings. A run would create a second
    /// resource beside the first, and lose track of the first.
    #[must_use]
    pub fn renamed(&self, settings: &Settings, memory: &Memory, subscription: &str) -> Vec<Renamed> {
        let made = self.as_made(settings, memory);
        let held =
            self.names(memory).filter(|(name, past)| past.ours && (name.fixed || past.named.is_some()));
        let renamed = held.filter_map(|(name, _)| {
            let (made, wished) = ((name.get)(&made, subscription), (name.get)(settings, subscription));
            let differs = !made.eq_ignore_ascii_case(&wished);
            differs.then_some(Renamed { setting: name.setting, made, wished })
        });
        renamed.collect()
    }

    /// Returns the settings of the names of all recorded steps.
    fn names<'a>(&'a self, memory: &'a Memory) -> impl Iterator<Item = (&'static NameSetting, &'a Past)> {
        let recorded = self.all().iter().filter_map(|one| Some((one.names, memory.past(one.id)?)));
        recorded.flat_map(|(names, past)| names.iter().map(move |name| (name, past)))
    }
}

/// Returns the recorded name of an attempt that has not ended.
fn begun(past: &Past, key: &str) -> Option<String> {
    Some(past.named.as_ref()?.get(key)?.as_str()?.to_owned())
}
