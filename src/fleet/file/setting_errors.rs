//! The mistakes in the settings of a fleet's environments.

use crate::settings::config_error::ConfigError;

/// The mistakes in the settings of all environments. One in the defaults is reported once.
#[derive(Default)]
pub(super) struct SettingErrors(Vec<(ConfigError, Vec<String>)>);

impl SettingErrors {
    pub(super) fn add(&mut self, environment: &str, errors: Vec<ConfigError>) {
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

    pub(super) fn into_errors(self) -> impl Iterator<Item = ConfigError> {
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
