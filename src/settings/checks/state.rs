//! The rules for `[state]`: the place of the journal, before any request.

use super::endpoints::Consent;
use crate::settings::{
    config_error::{ConfigError, Place, Sourced},
    file_schema::{CloudName, File},
    sources::Sources,
    target::{self, Endpoints},
};
use landfall_cloud::EndpointOwner;
use url::{Host, Url};

/// The variable with the whole place.
const VARIABLE: &str = "LANDFALL_STATE";
/// The maximum length of a prefix; a blob's name has at most 1,024 characters.
const PREFIX_MAX: usize = 200;
const URL_HINT: &str =
    "use https://ACCOUNT.blob.core.windows.net/CONTAINER, and /PREFIX after it if several teams share it";

/// The place of the journal outside of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateConfig {
    /// The storage account.
    pub account: StateAccount,
    /// The container.
    pub container: String,
    /// The path in it above the environments; empty for none.
    pub prefix: String,
    /// The only authorities to trust for the account, PEM.
    pub authorities: Option<String>,
    /// The setting that chose it, for messages.
    pub source: Place,
}

/// The storage account of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateAccount {
    /// The account of that name, in the cloud of the settings.
    Named(String),
    /// The blob service at this address.
    At(Url),
}

/// Reads the place of the journal; `Some(None)` for the state folder.
pub fn read(
    sources: &mut Sources<'_>,
    file: &File,
    cloud: Option<CloudName>,
    endpoints: Option<&Endpoints>,
) -> Option<Option<StateConfig>> {
    let table = &file.state;
    let authorities = match &table.ca_file {
        Some(text) => Some(target::pem(sources, "state.ca_file", text)?),
        None => None,
    };
    if let Some(value) = sources.environment().get(VARIABLE) {
        let given = Sourced { value: value.to_owned(), key: "state", place: Place::Environment(VARIABLE) };
        let config = sources.take(of_url(&given))?;
        let config = StateConfig { authorities, ..config };
        return sources.take(fits(&given, config, cloud, endpoints)).map(Some);
    }
    let place = sources.place("state");
    let account = match (&table.account, &table.endpoint) {
        (None, None) => {
            let unused = [&table.container, &table.prefix].into_iter().any(Option::is_some);
            if !unused && table.ca_file.is_none() {
                return Some(None);
            }
            let error = ConfigError::at(place, "[state] names no storage account");
            sources.config_errors.push(error.hint("set state.account, or remove the table"));
            return None;
        }
        (_, Some(endpoint)) => {
            let given = given(sources, "state.endpoint", endpoint);
            StateAccount::At(sources.take(endpoint_url(&given))?)
        }
        (Some(account), None) => {
            let given = given(sources, "state.account", account);
            StateAccount::Named(sources.take(account_name(&given))?)
        }
    };
    let container = given(sources, "state.container", table.container.as_deref().unwrap_or("landfall"));
    let container = sources.take(container_name(&container));
    let prefix = given(sources, "state.prefix", table.prefix.as_deref().unwrap_or_default());
    let prefix = sources.take(checked_prefix(&prefix));
    let config =
        StateConfig { account, container: container?, prefix: prefix?, authorities, source: place.clone() };
    let key = if table.endpoint.is_some() { "state.endpoint" } else { "state.account" };
    let whole = Sourced { value: String::new(), key, place: sources.place(key) };
    sources.take(fits(&whole, config, cloud, endpoints)).map(Some)
}

/// Returns a value of the file with its position.
fn given(sources: &Sources<'_>, key: &'static str, value: &str) -> Sourced<String> {
    Sourced { value: value.to_owned(), key, place: sources.place(key) }
}

/// Adds the place of the journal to the endpoints that need consent, if a found file names a foreign one.
pub fn consent(sources: &Sources<'_>, state: Option<&StateConfig>, consent: Consent) -> Consent {
    let Some(StateConfig { account: StateAccount::At(url), source: Place::File { .. }, .. }) = state else {
        return consent;
    };
    if EndpointOwner::of_storage(url) != EndpointOwner::Custom || sources.file_is_named() {
        return consent;
    }
    let line = format!("state.endpoint = {}", url.as_str().trim_end_matches('/'));
    match consent {
        Consent::NotNeeded => {
            Consent::Needed { file: sources.place("state.endpoint").to_string(), endpoints: vec![line] }
        }
        Consent::Needed { file, mut endpoints } => {
            endpoints.push(line);
            Consent::Needed { file, endpoints }
        }
    }
}

/// Parses `https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX`. At an IP address, the first segment of the path is
/// the account, as in every emulator.
fn of_url(given: &Sourced<String>) -> Result<StateConfig, ConfigError> {
    let url = endpoint_url(given)?;
    let mut segments: Vec<String> =
        url.path().split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let in_path = usize::from(!matches!(url.host(), Some(Host::Domain(_))));
    if segments.len() <= in_path {
        return Err(given.wrong("the address names no container").hint(URL_HINT));
    }
    let rest = segments.split_off(in_path);
    let mut account = url.clone();
    account.set_path(&segments.join("/"));
    let (container, prefix) = (rest[0].clone(), rest[1..].join("/"));
    Ok(StateConfig {
        account: StateAccount::At(account),
        container: container_name(&given.with(container))?,
        prefix: checked_prefix(&given.with(prefix))?,
        authorities: None,
        source: given.place.clone(),
    })
}

fn endpoint_url(given: &Sourced<String>) -> Result<Url, ConfigError> {
    let url =
        Url::parse(given.value.trim()).ok().filter(|url| url.scheme() == "https" && url.host().is_some());
    let Some(url) = url else {
        return Err(given.wrong(format!("\"{}\" is not an https:// address", given.value)).hint(URL_HINT));
    };
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    match plain && url.query().is_none() {
        true => Ok(url),
        // The text is omitted: a signature in the query is a credential.
        false => Err(given.wrong("the address has a user, a query or a fragment").hint(
            "use the plain address; landfall signs in with your identity, not with a key or a signature",
        )),
    }
}

fn account_name(given: &Sourced<String>) -> Result<String, ConfigError> {
    let name = given.value.trim();
    let allowed = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    match (3..=24).contains(&name.len()) && name.chars().all(allowed) {
        true => Ok(name.to_owned()),
        false => Err(given
            .wrong(format!("\"{name}\" is not a name of a storage account"))
            .hint("use 3 to 24 lower-case letters and digits")),
    }
}

fn container_name(given: &Sourced<String>) -> Result<String, ConfigError> {
    let name = given.value.trim();
    let alnum = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    let valid = (3..=63).contains(&name.len())
        && name.chars().all(|letter| alnum(letter) || letter == '-')
        && name.starts_with(alnum)
        && name.ends_with(alnum)
        && !name.contains("--");
    match valid {
        true => Ok(name.to_owned()),
        false => Err(given
            .wrong(format!("\"{name}\" is not a name of a container"))
            .hint("use 3 to 63 lower-case letters, digits and single hyphens, such as landfall")),
    }
}

fn checked_prefix(given: &Sourced<String>) -> Result<String, ConfigError> {
    let prefix = given.value.trim().trim_matches('/');
    let segment = |part: &str| {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        !part.is_empty() && part != "." && part != ".." && part.chars().all(plain)
    };
    match prefix.is_empty() || (prefix.len() <= PREFIX_MAX && prefix.split('/').all(segment)) {
        true => Ok(prefix.to_owned()),
        false => Err(given
            .wrong(format!("\"{prefix}\" is not a path in a container"))
            .hint("use letters, digits, hyphens, dots and underscores between slashes, such as team-a")),
    }
}

/// Refuses a place that the tokens of the cloud do not fit.
fn fits(
    given: &Sourced<String>,
    config: StateConfig,
    cloud: Option<CloudName>,
    endpoints: Option<&Endpoints>,
) -> Result<StateConfig, ConfigError> {
    let (Some(cloud), Some(endpoints)) = (cloud, endpoints) else { return Ok(config) };
    let resolved = super::endpoints::resolve(endpoints);
    let login = EndpointOwner::of_login(&resolved.login);
    match (&config.account, cloud) {
        (StateAccount::At(url), CloudName::Sim) if EndpointOwner::of_storage(url) != EndpointOwner::Loopback => {
            Err(given.wrong("the journal of a simulated run is in Azure, which does not accept its tokens").hint(
                "use state.account: it then names an account of the simulated cloud; or set cloud = \"azure\"",
            ))
        }
        (StateAccount::At(url), CloudName::Azure) => match (EndpointOwner::of_storage(url), login) {
            (EndpointOwner::Known(account), EndpointOwner::Known(cloud)) if account != cloud => Err(given
                .wrong(format!("the storage account belongs to {}, but the sign-in to {}", account.name, cloud.name))
                .hint("use an account of the same cloud")),
            _ => Ok(config),
        },
        (StateAccount::Named(name), CloudName::Azure) if !matches!(login, EndpointOwner::Known(_)) => Err(given
            .wrong(format!("the address of the account {name} is unknown in this cloud"))
            .hint("set state.endpoint to the address of its blob service")),
        (StateAccount::Named(_), _) | (StateAccount::At(_), CloudName::Sim) => Ok(config),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<StateConfig, ConfigError> {
        of_url(&Sourced { value: text.to_owned(), key: "state", place: Place::Environment(VARIABLE) })
    }

    #[test]
    fn an_address_has_the_account_the_container_and_the_prefix() {
        let config = parsed("https://acct.blob.core.windows.net/landfall/team-a/eu/").unwrap();
        assert_eq!(config.account, StateAccount::At("https://acct.blob.core.windows.net".parse().unwrap()));
        assert_eq!((config.container.as_str(), config.prefix.as_str()), ("landfall", "team-a/eu"));
        let config = parsed("https://127.0.0.1:10000/devstoreaccount1/landfall").unwrap();
        let account = "https://127.0.0.1:10000/devstoreaccount1".parse().unwrap();
        assert_eq!((config.account, config.prefix.as_str()), (StateAccount::At(account), ""));
    }

    #[test]
    fn an_unusable_address_is_refused_without_its_secret_parts() {
        for text in [
            "http://acct.blob.core.windows.net/landfall",
            "acct/landfall",
            "https://acct.blob.core.windows.net",
            "https://127.0.0.1:1/devstoreaccount1",
            "https://acct.blob.core.windows.net/Landfall",
            "https://acct.blob.core.windows.net/landfall/../x y",
        ] {
            assert!(parsed(text).is_err(), "{text}");
        }
        let error = parsed("https://acct.blob.core.windows.net/landfall?sv=1&sig=planted").unwrap_err();
        assert!(!error.message.contains("planted") && !error.hint.contains("planted"));
    }
}
