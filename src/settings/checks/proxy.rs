//! The proxy of HTTPS requests, from the variables that every client reads: `HTTPS_PROXY`, else `ALL_PROXY`.

use crate::settings::{
    config_error::{ConfigError, Place},
    sources::Environment,
};
use url::Url;

/// The variables by precedence. Of each pair the first one that is set counts, as with curl.
const VARIABLES: [[&str; 2]; 2] = [["HTTPS_PROXY", "https_proxy"], ["ALL_PROXY", "all_proxy"]];

/// The variables with the hosts that need no proxy.
const EXCEPTIONS: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// A proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// The variable that names it.
    pub variable: &'static str,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The hosts that need no proxy, as given.
    exceptions: String,
}

impl Proxy {
    /// Returns whether requests to this host use the proxy.
    pub fn applies_to(&self, host: &str) -> bool {
        let excepts = |one: &str| {
            let one = one.trim().trim_start_matches('.');
            let parent = || host.strip_suffix(one).is_some_and(|rest| rest.ends_with('.'));
            !one.is_empty() && (one == "*" || host.eq_ignore_ascii_case(one) || parent())
        };
        !self.exceptions.split(',').any(excepts)
    }
}

/// Reads the proxy of HTTPS requests; `None` if there is none.
///
/// # Errors
/// A value that is not the address of a proxy. Clients would ignore it, and fail without it.
pub fn https(environment: &Environment) -> Result<Option<Proxy>, ConfigError> {
    for pair in VARIABLES {
        let given = pair.into_iter().find_map(|name| Some((name, environment.exact(name)?)));
        let Some((variable, value)) = given.filter(|(_, value)| !value.trim().is_empty()) else { continue };
        let url = parse(value).ok_or_else(|| {
            ConfigError::at(
                Place::Environment(variable),
                format!("\"{}\" is not the address of a proxy", without_credentials(value)),
            )
            .hint("use http://host:port or https://host:port, or unset the variable")
        })?;
        let exceptions = EXCEPTIONS.into_iter().find_map(|name| environment.exact(name));
        return Ok(Some(Proxy {
            variable,
            host: url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned(),
            port: url.port_or_known_default().unwrap_or(80),
            exceptions: exceptions.unwrap_or_default().to_owned(),
        }));
    }
    Ok(None)
}

/// Parses an address of scheme, host and port; the scheme may be missing.
fn parse(value: &str) -> Option<Url> {
    let whole = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
    let url = Url::parse(&whole).ok()?;
    let plain = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let known = matches!(url.scheme(), "http" | "https");
    (known && plain && url.has_host() && !value.contains(char::is_whitespace)).then_some(url)
}

/// Returns a value without its user and password, which end at the last `@`.
fn without_credentials(value: &str) -> String {
    match value.rsplit_once('@') {
        Some((_, rest)) => format!("…@{rest}"),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<(&'static str, String, u16)>, String> {
        let pairs = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let environment: Environment = pairs.collect();
        let proxy = https(&environment).map_err(|error| format!("{}: {}", error.place, error.message))?;
        Ok(proxy.map(|proxy| (proxy.variable, proxy.host, proxy.port)))
    }

    #[test]
    fn the_first_variable_that_is_set_names_the_proxy() {
        let found = |variable, host: &str, port| Ok(Some((variable, host.to_owned(), port)));
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[("HTTPS_PROXY", " ")]), Ok(None));
        assert_eq!(read(&[("HTTPS_PROXY", "http://p:8080/")]), found("HTTPS_PROXY", "p", 8080));
        assert_eq!(read(&[("https_proxy", "u:pw@p")]), found("https_proxy", "p", 80));
        assert_eq!(read(&[("HTTPS_PROXY", ""), ("ALL_PROXY", "https://p")]), found("ALL_PROXY", "p", 443));
        assert_eq!(read(&[("HTTP_PROXY", "ju nk")]), Ok(None), "every request is HTTPS");
    }

    #[test]
    fn junk_is_refused_by_the_name_of_its_variable_and_without_credentials() {
        for junk in
            ["ju nk", "http//proxy:8080", "http://", "ftp://p", "http://p:99999", "http://p/path?x", ":8080"]
        {
            let refused = read(&[("HTTPS_PROXY", junk)]).unwrap_err();
            assert_eq!(refused, format!("HTTPS_PROXY: \"{junk}\" is not the address of a proxy"));
        }
        let refused = read(&[("https_proxy", "http://ada:hunter2@pro xy:1")]).unwrap_err();
        assert_eq!(refused, "https_proxy: \"…@pro xy:1\" is not the address of a proxy");
    }

    #[test]
    fn excepted_hosts_need_no_proxy() {
        let proxy = |exceptions: &str| {
            let variables = [("HTTPS_PROXY", "http://p"), ("NO_PROXY", exceptions)];
            let pairs = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
            https(&pairs.into_iter().collect()).unwrap().unwrap()
        };
        let applies = |exceptions: &str| proxy(exceptions).applies_to("login.microsoftonline.com");
        assert!(applies("") && applies("example.com, online.com"));
        for exceptions in ["*", "microsoftonline.com", "x, .microsoftonline.com", "LOGIN.microsoftonline.com"]
        {
            assert!(!applies(exceptions), "{exceptions}");
        }
    }
}
