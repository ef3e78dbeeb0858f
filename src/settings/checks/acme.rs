//! The rules for `[certificate.acme]`, before any request.

use super::endpoints::Consent;
use crate::settings::{
    config_error::{ConfigError, Place, Sourced},
    file_schema::{File, IssuerName, KeyPlaceName},
    sources::Sources,
    target,
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
};
use landfall_cloud::{
    Secret,
    acme::{ExternalAccount, Registration},
    resolve::is_loopback_host,
    text_file,
};
use landfall_steps::certificate::acme::{Acme, AcmeDirectory, KeyPlace, NAMES_MAX, Propagation};
use url::Url;

/// The hosts of directories that need no consent: of Let's Encrypt, ZeroSSL and Google Trust Services.
const KNOWN_HOSTS: [&str; 5] = [
    "acme-v02.api.letsencrypt.org",
    "acme-staging-v02.api.letsencrypt.org",
    "acme.zerossl.com",
    "dv.acme-v02.api.pki.goog",
    "dv.acme-v02.test-api.pki.goog",
];

/// The maximum size of a file with a key.
const KEY_SIZE_MAX: u64 = 16_384;

/// Reads the settings of the ACME server; `Some(None)` if no server issues the certificate.
pub fn read(
    sources: &mut Sources<'_>,
    file: &File,
    pfx: Option<&Sourced<String>>,
    domain: &str,
    hosts: &[String],
) -> Option<Option<Acme>> {
    let issuer = target::choice(
        sources,
        "certificate.issuer",
        file.certificate.issuer,
        IssuerName::SelfSigned,
        "self-signed or acme",
    )?;
    if issuer == IssuerName::SelfSigned {
        let unused = unused_table(sources);
        return sources.take(unused).map(|()| None);
    }
    if let Some(pfx) = pfx {
        let error = pfx.wrong("a PFX file is set, and certificate.issuer is \"acme\"");
        sources.config_errors.push(error.hint("omit the PFX file, or omit certificate.issuer"));
        return None;
    }
    let table = &file.certificate.acme;
    let directory = sources.pick_or("certificate.acme.directory", table.directory.as_ref(), "production");
    let directory = sources.take(self::directory(&directory));
    let root = match &table.root {
        Some(text) => Some(target::pem(sources, "certificate.acme.root", text)?),
        None => None,
    };
    let names = self::names(sources, table.names.as_deref(), hosts);
    let email = sources.pick("certificate.acme.email", table.email.as_ref());
    let email = email.map_or(Some(None), |given| sources.take(self::email(&given)).map(Some));
    let external = self::external(sources, file);
    let propagation = sources.pick_or("certificate.acme.propagation", table.propagation.as_ref(), "600s");
    let propagation = sources.take(self::propagation(&propagation));
    let possible = wildcard_possible(sources, table.names.is_some(), domain);
    sources.take(possible)?;
    let (directory, propagation) = (directory?, propagation?);
    Some(Some(Acme {
        rehearse: table.rehearse.unwrap_or(directory == AcmeDirectory::Production),
        directory,
        root,
        profile: table.profile.clone(),
        names: names?,
        registration: Registration { email: email?, external: external? },
        propagation,
        key: match table.key {
            Some(KeyPlaceName::Local) => KeyPlace::Local,
            Some(KeyPlaceName::Vault) | None => KeyPlace::Vault,
        },
    }))
}

/// Adds a directory that landfall does not know to the endpoints that need consent.
pub fn consent(sources: &Sources<'_>, acme: Option<&Acme>, consent: Consent) -> Consent {
    let Some(AcmeDirectory::Url(url)) = acme.map(|acme| &acme.directory) else { return consent };
    let Place::File { file, .. } = sources.place("certificate.acme.directory") else { return consent };
    let is_from_file =
        sources.pick("certificate.acme.directory", Some("")).is_some_and(|given| given.value.is_empty());
    if is_known(url) || !is_from_file || sources.file_is_named() {
        return consent;
    }
    let line = format!("certificate.acme.directory = {url}");
    match consent {
        Consent::NotNeeded => Consent::Needed { file, endpoints: vec![line] },
        Consent::Needed { file, mut endpoints } => {
            endpoints.push(line);
            Consent::Needed { file, endpoints }
        }
    }
}

/// Returns whether a directory needs no consent: of a known authority, or on this machine.
pub fn is_known(url: &Url) -> bool {
    is_loopback_host(url) || url.host_str().is_some_and(|host| KNOWN_HOSTS.contains(&host))
}

fn unused_table(sources: &Sources<'_>) -> Result<(), ConfigError> {
    match sources.place("certificate.acme") {
        place @ Place::File { line: Some(_), .. } => Err(ConfigError::at(
            place,
            "[certificate.acme] has no effect: certificate.issuer is \"self-signed\"",
        )
        .hint("set certificate.issuer = \"acme\", or remove the table")),
        _ => Ok(()),
    }
}

fn directory(given: &Sourced<String>) -> Result<AcmeDirectory, ConfigError> {
    let text = given.value.trim();
    let hint = "use \"production\", \"staging\", or the https address of a directory";
    match AcmeDirectory::parse(text) {
        Some(AcmeDirectory::Url(url)) => checked_url(given, url),
        Some(known) => Ok(known),
        None => Err(given.wrong(format!("\"{text}\" is not an ACME server")).hint(hint)),
    }
}

fn checked_url(given: &Sourced<String>, url: Url) -> Result<AcmeDirectory, ConfigError> {
    if url.scheme() != "https" {
        return Err(given
            .wrong(format!("the directory {url} is not an https address"))
            .hint("ACME requires HTTPS; for a private server set certificate.acme.root to its authorities"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(given
            .wrong("the address of the directory has a user, a password or a fragment")
            .hint("use the plain address that the authority publishes"));
    }
    Ok(AcmeDirectory::Url(url))
}

fn names(sources: &mut Sources<'_>, names: Option<&[String]>, hosts: &[String]) -> Option<Vec<String>> {
    let Some(names) = names else { return Some(Vec::new()) };
    let given =
        Sourced { value: (), key: "certificate.acme.names", place: sources.place("certificate.acme.names") };
    let names: Vec<String> =
        names.iter().map(|name| name.trim().trim_end_matches('.').to_ascii_lowercase()).collect();
    if let Some(wrong) = names.iter().find(|name| !is_name(name)) {
        let error = given.wrong(format!("\"{wrong}\" is not a DNS name"));
        sources.config_errors.push(error.hint("use names such as demo.example.com, or *.demo.example.com"));
        return None;
    }
    if names.len() > NAMES_MAX {
        let error =
            given.wrong(format!("{} names are too many: at most {NAMES_MAX} are possible", names.len()));
        sources.config_errors.push(error.hint("a wildcard covers all hosts of one level"));
        return None;
    }
    let covers = |host: &String| {
        names.iter().any(|name| {
            name == host
                || name.strip_prefix("*.").is_some_and(|parent| {
                    host.split_once('.').is_some_and(|(label, rest)| rest == parent && label != "*")
                })
        })
    };
    let missing: Vec<&str> = hosts.iter().filter(|host| !covers(host)).map(String::as_str).collect();
    if !names.is_empty() && !missing.is_empty() {
        let error = given.wrong(format!("the names do not cover {}", missing.join(", ")));
        sources
            .config_errors
            .push(error.hint("add them, or omit certificate.acme.names for the domain and its wildcard"));
        return None;
    }
    Some(names)
}

fn is_name(name: &str) -> bool {
    let base = name.strip_prefix("*.").unwrap_or(name);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    base.len() <= 235
        && base.contains('.')
        && base.split('.').all(is_label)
        && base.parse::<std::net::IpAddr>().is_err()
}

fn email(given: &Sourced<String>) -> Result<String, ConfigError> {
    let text = given.value.trim().trim_start_matches("mailto:");
    let parts = text.split_once('@');
    match parts
        .is_some_and(|(user, host)| !user.is_empty() && host.contains('.') && !text.contains([' ', ',', '?']))
    {
        true => Ok(text.to_owned()),
        false => Err(given
            .wrong(format!("\"{text}\" is not one mail address"))
            .hint("write it as ops@example.com")),
    }
}

/// Reads the external account binding: both values, or none.
fn external(sources: &mut Sources<'_>, file: &File) -> Option<Option<ExternalAccount>> {
    let table = &file.certificate.acme;
    let kid = sources.pick("certificate.acme.eab_kid", table.eab_kid.as_ref());
    let key = match (sources.pick("certificate.acme.eab_key", table.eab_key.as_ref()), &table.eab_key_file) {
        (Some(key), _) => Some(key),
        (None, Some(path)) => Some(key_from(sources, path)?),
        (None, None) => None,
    };
    let missing =
        |given: &Sourced<String>, other: &str| given.wrong("only one part of the binding is set").hint(other);
    match (kid, key) {
        (None, None) => Some(None),
        (Some(kid), None) => {
            sources.config_errors.push(missing(&kid, "set ACME_EAB_KEY to the key that belongs to it"));
            None
        }
        (None, Some(key)) => {
            sources.config_errors.push(missing(&key, "set certificate.acme.eab_kid (ACME_EAB_KID) too"));
            None
        }
        (Some(kid), Some(key)) => {
            let decoded = decoded(&key.value).ok_or_else(|| {
                // The value is a secret, so the message omits it.
                key.wrong("the key of the external account binding is not base64url")
                    .hint("copy the key as the authority shows it: letters, digits, - and _")
            });
            let key = Secret::new(sources.take(decoded)?);
            Some(Some(ExternalAccount { kid: kid.value.trim().to_owned(), key }))
        }
    }
}

fn key_from(sources: &mut Sources<'_>, path: &str) -> Option<Sourced<String>> {
    let key = "certificate.acme.eab_key_file";
    let given = Sourced { value: path.to_owned(), key, place: sources.place(key) };
    let path = sources.path(&given);
    let read = text_file::read(&path, KEY_SIZE_MAX).map_err(|error| {
        given
            .wrong(format!("{} {error}", path.display()))
            .hint("use a readable file with the key of the binding")
    });
    sources.take(read).map(|text| given.with(text))
}

/// Decodes base64url, as RFC 8555 requires; authorities also show padded and standard base64.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    let attempts = [
        URL_SAFE_NO_PAD.decode(text),
        URL_SAFE.decode(text),
        STANDARD.decode(text),
        STANDARD_NO_PAD.decode(text),
    ];
    attempts.into_iter().find_map(Result::ok).filter(|key| !key.is_empty())
}

fn propagation(given: &Sourced<String>) -> Result<Propagation, ConfigError> {
    Propagation::parse(&given.value).ok_or_else(|| {
        given.wrong(format!("\"{}\" is not a wait for DNS records", given.value)).hint(
            "write \"600s\" to ask the name servers at most this long, or \"wait 120s\"; from 10s to 3600s",
        )
    })
}

/// Checks that the domain can have a certificate at all: one of a top-level domain cannot.
fn wildcard_possible(sources: &Sources<'_>, has_names: bool, domain: &str) -> Result<(), ConfigError> {
    if has_names || is_name(domain) {
        return Ok(());
    }
    Err(ConfigError::at(
        sources.place("domain"),
        format!("no authority issues a certificate for {domain} and its wildcard"),
    )
    .hint("set domain to a name below a domain of yours"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &str) -> Sourced<String> {
        Sourced { value: text.to_owned(), key: "certificate.acme.directory", place: Place::Default }
    }

    #[test]
    fn a_directory_is_https_without_a_user() {
        assert_eq!(directory(&given("staging")).unwrap(), AcmeDirectory::Staging);
        assert!(directory(&given("https://ca.example/directory")).is_ok());
        let plain = directory(&given("http://ca.example/directory")).unwrap_err();
        assert_eq!(plain.message, "the directory http://ca.example/directory is not an https address");
        assert!(directory(&given("https://a:b@ca.example/")).unwrap_err().message.contains("a user"));
        assert!(directory(&given("lets-encrypt")).unwrap_err().message.contains("is not an ACME server"));
    }

    #[test]
    fn a_key_of_a_binding_is_base64_in_any_alphabet() {
        assert_eq!(
            decoded(" zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W\n").unwrap().len(),
            48
        );
        assert!(decoded("-_-_").is_some() && decoded("+/+/").is_some() && decoded("YQ==").is_some());
        assert_eq!(decoded("not base64!"), None);
    }

    #[test]
    fn names_are_dns_names_or_wildcards() {
        for name in ["demo.example.com", "*.demo.example.com", "a-1.example.com"] {
            assert!(is_name(name), "{name}");
        }
        for wrong in
            ["com", "*.com", "a..b.com", "-a.example.com", "*.*.example.com", "10.0.0.1", "a_b.example.com"]
        {
            assert!(!is_name(wrong), "{wrong}");
        }
    }
}
