//! The recorded names of an environment: those with which it was created, or with which an interrupted run
//! began. Teardown and resume use these names, whatever the settings contain now.

use crate::{
    identity_mode,
    resource_spec::{Declared, NameSetting, Resources},
    settings::Settings,
};
use landfall_engine::{JournalState, StepState};

/// A resource whose recorded name differs from the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenamedSetting {
    /// The setting, as `landfall.toml` spells it.
    pub setting: &'static str,
    /// The recorded name.
    pub recorded: String,
    /// The name in the settings.
    pub configured: String,
}

impl Resources {
    /// Returns the settings with every recorded name, and with the recorded identity. It does not matter with which settings the steps were
    /// wired.
    #[must_use]
    pub fn with_recorded_names(&self, settings: &Settings, journal_state: &JournalState) -> Settings {
        let mut recorded = settings.clone();
        recorded.identity = identity_mode::recorded(&self.records, journal_state).or(settings.identity);
        for (_, name, step_state) in self.names(journal_state) {
            if let Some(value) = (name.recorded)(step_state) {
                (name.set)(&mut recorded, Some(value));
            }
            // The name of an attempt that has not ended is newer than any output.
            match (planned(step_state, name.key), &step_state.planned_name) {
                (Some(planned), _) => (name.set)(&mut recorded, Some(planned)),
                (None, Some(_)) if name.optional => (name.set)(&mut recorded, None),
                (None, _) => {}
            }
        }
        recorded
    }

    /// Lists the owned resources whose recorded name differs from the settings. A run would create a second
    /// resource beside the first, and lose track of the first. A switched-off step creates none.
    #[must_use]
    pub fn renamed_settings(
        &self,
        settings: &Settings,
        journal_state: &JournalState,
        subscription: &str,
    ) -> Vec<RenamedSetting> {
        let recorded = self.with_recorded_names(settings, journal_state);
        let held = self.names(journal_state).filter(|(declared, name, step_state)| {
            declared.enabled && step_state.owned && (name.fixed || step_state.planned_name.is_some())
        });
        let renamed_settings = held.filter_map(|(_, name, _)| {
            let (recorded, configured) =
                ((name.get)(&recorded, subscription), (name.get)(settings, subscription));
            let differs = !recorded.eq_ignore_ascii_case(&configured);
            differs.then_some(RenamedSetting { setting: name.setting, recorded, configured })
        });
        renamed_settings.collect()
    }

    /// Returns the settings of the names of all recorded steps.
    fn names<'a>(
        &'a self,
        journal_state: &'a JournalState,
    ) -> impl Iterator<Item = (&'a Declared, &'static NameSetting, &'a StepState)> {
        let recorded = self.all().iter().filter_map(|one| Some((one, journal_state.step_state(one.id)?)));
        recorded.flat_map(|(one, step_state)| one.names.iter().map(move |name| (one, name, step_state)))
    }
}

/// Returns the recorded name of an attempt that has not ended.
fn planned(step_state: &StepState, key: &str) -> Option<String> {
    Some(step_state.planned_name.as_ref()?.get(key)?.as_str()?.to_owned())
}
