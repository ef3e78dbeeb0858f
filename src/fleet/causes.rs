//! The failures of a fleet, grouped by their cause, with one remedy each.

use super::{
    file::FleetEnvironment,
    result::{EnvironmentError, EnvironmentOutcome, EnvironmentResult},
};
use std::collections::BTreeMap;

/// Failures with one cause.
#[derive(Clone, Debug, PartialEq)]
pub struct Cause {
    /// The outcome: failed or refused.
    pub outcome: EnvironmentOutcome,
    /// The error of the first environment.
    pub error: EnvironmentError,
    /// The environments, in the order of the fleet.
    pub environments: Vec<String>,
}

/// Groups the failures, the largest group first. Two errors have the same cause if they differ only in the names of their
/// environments, in ids and in numbers.
pub fn causes<'a>(
    results: impl Iterator<Item = (&'a FleetEnvironment, &'a EnvironmentResult)>,
) -> Vec<Cause> {
    let mut groups: BTreeMap<String, (usize, Cause)> = BTreeMap::new();
    for (at, (environment, result)) in results.enumerate() {
        let Some(error) = result.error.as_ref().filter(|_| result.outcome.is_failure()) else { continue };
        let key = key(&names(environment), error);
        let new = || {
            let (outcome, error) = (result.outcome, error.clone());
            (at, Cause { outcome, error, environments: Vec::new() })
        };
        groups.entry(key).or_insert_with(new).1.environments.push(environment.name.clone());
    }
    let mut groups: Vec<(usize, Cause)> = groups.into_values().collect();
    groups.sort_by_key(|(at, cause)| (std::cmp::Reverse(cause.environments.len()), *at));
    groups.into_iter().map(|(_, cause)| cause).collect()
}

/// Returns the names of an environment's resources, the longest first, so that a name inside another one is replaced last.
fn names(environment: &FleetEnvironment) -> Vec<String> {
    let settings = &environment.config.settings;
    let mut names = vec![
        environment.name.clone(),
        settings.resource_group.clone(),
        settings.node_resource_group.clone(),
        settings.cluster.name.clone(),
        settings.domain.clone(),
        environment.subscription().to_owned(),
    ];
    names.extend(settings.key_vault.clone());
    names.retain(|name| name.len() > 2);
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    names
}

/// Returns what an error has in common with those of the same cause.
fn key(names: &[String], error: &EnvironmentError) -> String {
    let code = error.code.as_deref().unwrap_or_default();
    let text = format!("{}\n{}", error.message, error.causes.first().map_or("", String::as_str));
    let text = names.iter().fold(text, |text, name| text.replace(name.as_str(), "…"));
    format!("{code}\n{}", without_figures(&text))
}

/// Replaces ids and numbers: every word with a digit.
fn without_figures(text: &str) -> String {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '-';
    let mut result = String::with_capacity(text.len());
    let mut word = String::new();
    for letter in text.chars().chain(std::iter::once('\n')) {
        if is_part(letter) {
            word.push(letter);
            continue;
        }
        let has_digit = word.contains(|letter: char| letter.is_ascii_digit());
        result.push_str(if has_digit { "#" } else { &word });
        result.push(letter);
        word.clear();
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: Option<&str>, message: &str, cause: &str) -> EnvironmentError {
        EnvironmentError {
            code: code.map(str::to_owned),
            message: message.into(),
            causes: vec![cause.into()],
            ..EnvironmentError::default()
        }
    }

    #[test]
    fn names_and_numbers_do_not_separate_one_cause() {
        let key = |name: &str, error: &EnvironmentError| key(&[format!("rg-{name}"), name.to_owned()], error);
        let quota = |name: &str, used: u32| {
            error(
                Some("QuotaExceeded"),
                &format!("create cluster in rg-{name}"),
                &format!("{used} of 100 cores in use"),
            )
        };
        assert_eq!(key("shop", &quota("shop", 96)), key("blog", &quota("blog", 100)));
        let other = error(Some("Forbidden"), "create cluster in rg-shop", "96 of 100 cores in use");
        assert_ne!(key("shop", &quota("shop", 96)), key("shop", &other));
    }

    #[test]
    fn an_id_is_a_figure() {
        assert_eq!(without_figures("run 7a1c0b7e-0000-4000 of tls"), "run # of tls\n");
    }
}
