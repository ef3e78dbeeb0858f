//! The storage account of a fleet's journals: one for all environments, so that one list shows the whole fleet.

use super::FleetEnvironment;
use crate::settings::{
    checks::state::{StateAccount, StateConfig},
    config_error::{ConfigError, Place},
    file_schema::CloudName,
    parse::Document,
};
use serde_json::{Map, Value};

/// Returns the defaults of a fleet file, with its table `state` below them.
pub(super) fn with_state(document: &Document) -> Map<String, Value> {
    let table = |name: &str| document.values.get(name).and_then(Value::as_object).cloned();
    let mut defaults = table("defaults").unwrap_or_default();
    if let Some(mut state) = table("state") {
        if let Some(Value::Object(own)) = defaults.get("state") {
            state.extend(own.clone());
        }
        defaults.insert("state".to_owned(), Value::Object(state));
    }
    defaults
}

/// Returns the lines of the table `state` and its keys.
pub(super) fn lines(document: &Document) -> impl Iterator<Item = (String, usize)> {
    let is_state = |key: &&String| *key == "state" || key.starts_with("state.");
    let keys = document.lines.keys().filter(is_state);
    keys.map(|key| (key.clone(), document.lines[key])).collect::<Vec<_>>().into_iter()
}

/// Returns the storage account of all environments; `None` for the state folder.
///
/// # Errors
/// The mistake of an environment that has another one, and of a simulated one.
pub(super) fn of(environments: &[FleetEnvironment]) -> Result<Option<StateConfig>, ConfigError> {
    let state = |environment: &FleetEnvironment| environment.config.place.state.clone();
    let Some(first) = environments.first() else { return Ok(None) };
    for environment in environments {
        let (one, other) = (state(first), state(environment));
        let is_same = match (&one, &other) {
            (None, None) => true,
            (Some(one), Some(other)) => place(one) == place(other) && one.authorities == other.authorities,
            _ => false,
        };
        if !is_same {
            let message = format!(
                "the journal of environment {} is in {}, but that of {} in {}",
                first.name,
                one.as_ref().map_or_else(|| "the state folder".to_owned(), place),
                environment.name,
                other.as_ref().map_or_else(|| "the state folder".to_owned(), place)
            );
            let at = other.or(one).map_or_else(|| environment.place.clone(), |state| state.source);
            return Err(ConfigError::at(at, message)
                .hint("set state once, at the top of the fleet file: state = { account = \"…\" }"));
        }
    }
    let is_simulated = |environment: &&FleetEnvironment| environment.config.place.cloud == CloudName::Sim;
    match (state(first), environments.iter().find(is_simulated)) {
        (Some(state), Some(simulated)) => {
            let message = format!("environment {} has a simulated cloud of its own", simulated.name);
            let hint = "remove state and unset LANDFALL_STATE, or set cloud = \"azure\"; [defaults.endpoints] may name a \
                        served simulated cloud";
            let at = match state.source {
                Place::Default => simulated.place.clone(),
                source => source,
            };
            Err(ConfigError::at(at, format!("the fleet has no storage account: {message}")).hint(hint))
        }
        (state, _) => Ok(state),
    }
}

/// Returns the address of the journals, as far as the settings say it.
fn place(state: &StateConfig) -> String {
    let account = match &state.account {
        StateAccount::Named(name) => name.clone(),
        StateAccount::At(url) => url.as_str().trim_end_matches('/').to_owned(),
    };
    let path = [account.as_str(), &state.container, &state.prefix];
    path.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("/")
}
