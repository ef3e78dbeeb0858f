//! The current context of a cluster's kubeconfig: server, trust and sign-in.
//!
//! <https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/>

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Uri};
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls_platform_verifier::BuilderVerifierExt as _;
use serde_json::Value;
use tower::BoxError;

use super::into_api_error;
use crate::error::ApiError;

/// The keys of a cluster or user that name a file of this machine.
const FILES: [&str; 4] = ["certificate-authority", "client-certificate", "client-key", "tokenFile"];
/// The keys of a user that act as another user.
const IMPERSONATION: [&str; 4] = ["as", "as-uid", "as-groups", "as-user-extra"];

/// A parsed kubeconfig.
pub(super) struct Kubeconfig(Value);

impl Kubeconfig {
    /// Parses the text.
    ///
    /// # Errors
    /// `SignIn` if the text is not a kubeconfig. The message contains no part of the text.
    pub(super) fn parse(text: &str) -> Result<Self, ApiError> {
        match crate::yaml::read(text) {
            Ok(value) if value.is_object() => Ok(Self(value)),
            Ok(_) => Err(into_api_error::invalid_kubeconfig("it is empty", None)),
            // A message of the parser may quote a credential.
            Err(parse) => {
                let at = parse.line.map(|line| format!(" (line {line})")).unwrap_or_default();
                Err(into_api_error::invalid_kubeconfig(&format!("it cannot be read as YAML{at}"), None))
            }
        }
    }

    /// Returns the users with their names.
    pub(super) fn users(&self) -> impl Iterator<Item = (&str, &Value)> {
        entries(&self.0, "users", "user")
    }

    /// Returns the name of the current context's user.
    pub(super) fn current_user(&self) -> Option<&str> {
        self.context()?["user"].as_str()
    }

    fn context(&self) -> Option<&Value> {
        let current = self.0["current-context"].as_str()?;
        entries(&self.0, "contexts", "context").find(|(name, _)| *name == current).map(|(_, context)| context)
    }

    /// Refuses a kubeconfig that names a program to run or a file of this machine, before either is touched.
    /// `is_replaced` selects the users whose `exec` landfall's own sign-in replaces.
    ///
    /// Every entry counts, not only those of the current context: all have the same source.
    pub(super) fn check_self_contained(&self, is_replaced: impl Fn(&Value) -> bool) -> Result<(), ApiError> {
        let users = || self.users().map(|(_, user)| user);
        let starts_program = |user: &Value| {
            (!user["exec"].is_null() && !is_replaced(user)) || !user["auth-provider"].is_null()
        };
        if users().any(starts_program) {
            let why = "it signs in through another program; only certificates and tokens are supported";
            return Err(into_api_error::invalid_kubeconfig(why, None));
        }
        let clusters = entries(&self.0, "clusters", "cluster").map(|(_, cluster)| cluster);
        for entry in clusters.chain(users()) {
            if let Some(key) = FILES.iter().find(|key| !entry[**key].is_null()) {
                let why = format!(
                    "its {key} names a file of this machine, and a cluster's own kubeconfig does not"
                );
                return Err(into_api_error::invalid_kubeconfig(&why, None));
            }
        }
        if let Some(key) = IMPERSONATION.iter().find(|key| users().any(|user| !user[**key].is_null())) {
            let why = format!("its {key} acts as another user, and a cluster's own kubeconfig does not");
            return Err(into_api_error::invalid_kubeconfig(&why, None));
        }
        Ok(())
    }

    /// Returns the access that the current context describes.
    ///
    /// # Errors
    /// `SignIn` if the context, its cluster or its user does not exist, if the server is not trusted, or if a
    /// certificate or key is invalid.
    pub(super) fn access(&self) -> Result<ServerAccess, ApiError> {
        let invalid = |why: &str| into_api_error::invalid_kubeconfig(why, None);
        let context = self.context().ok_or_else(|| invalid("its current context does not exist"))?;
        let named = |list, item, key: &str| {
            let wanted = context[key].as_str()?;
            entries(&self.0, list, item).find(|(name, _)| *name == wanted).map(|(_, value)| value)
        };
        let cluster = named("clusters", "cluster", "cluster")
            .ok_or_else(|| invalid("the cluster of its current context does not exist"))?;
        // A user without a credential is allowed: Entra replaces it.
        let user = match context["user"].as_str() {
            Some(_) => named("users", "user", "user")
                .ok_or_else(|| invalid("the user of its current context does not exist"))?,
            None => &Value::Null,
        };
        let server = cluster["server"].as_str().and_then(|server| server.parse::<Uri>().ok());
        let server = server.filter(|server| server.scheme_str() == Some("https") && server.host().is_some());
        let insecure = cluster["insecure-skip-tls-verify"].as_bool().unwrap_or_default();
        let Some(server) = server.filter(|_| !insecure) else {
            return Err(invalid("its server is not trusted; only HTTPS with a known authority is supported"));
        };
        let unusable =
            |cause| into_api_error::invalid_kubeconfig("its certificates or keys are invalid", Some(cause));
        Ok(ServerAccess {
            server,
            server_name: server_name(cluster).map_err(unusable)?,
            tls: tls(cluster, user).map_err(unusable)?,
            headers: headers(user).map_err(unusable)?,
        })
    }
}

/// The address of an API server, and what a request to it needs.
pub(super) struct ServerAccess {
    /// The address; its path is the prefix of all paths.
    pub(super) server: Uri,
    /// The name in the server's certificate, if it is not that of the address.
    pub(super) server_name: Option<ServerName<'static>>,
    pub(super) tls: ClientConfig,
    /// The headers of every request.
    pub(super) headers: HeaderMap,
}

/// Returns the named entries of a list.
fn entries<'a>(
    kubeconfig: &'a Value,
    list: &'static str,
    item: &'static str,
) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let all = kubeconfig[list].as_array().into_iter().flatten();
    all.filter_map(move |entry| Some((entry["name"].as_str()?, &entry[item])))
}

fn server_name(cluster: &Value) -> Result<Option<ServerName<'static>>, BoxError> {
    let name = cluster["tls-server-name"].as_str().filter(|name| !name.is_empty());
    Ok(name.map(|name| ServerName::try_from(name.to_owned())).transpose()?)
}

/// Returns the decoded value of a key in base64; `None` if it is missing or empty.
fn decoded(entry: &Value, key: &str) -> Result<Option<Vec<u8>>, BoxError> {
    let Some(text) = entry[key].as_str().filter(|text| !text.is_empty()) else { return Ok(None) };
    Ok(Some(BASE64_STANDARD.decode(text.trim())?))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, BoxError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>()?;
    if found.is_empty() { Err("it contains no certificate".into()) } else { Ok(found) }
}

/// Returns the TLS configuration: the kubeconfig's authority, or without one those of the system.
fn tls(cluster: &Value, user: &Value) -> Result<ClientConfig, BoxError> {
    // This has no effect if the program has installed it already.
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let builder = match decoded(cluster, "certificate-authority-data")? {
        Some(pem) => {
            let mut roots = rustls::RootCertStore::empty();
            for certificate in certificates(&pem)? {
                roots.add(certificate)?;
            }
            ClientConfig::builder().with_root_certificates(roots)
        }
        None => ClientConfig::builder().with_platform_verifier()?,
    };
    let certificate = decoded(user, "client-certificate-data")?;
    Ok(match (certificate, decoded(user, "client-key-data")?) {
        (Some(chain), Some(key)) => {
            builder.with_client_auth_cert(certificates(&chain)?, PrivateKeyDer::from_pem_slice(&key)?)?
        }
        (None, None) => builder.with_no_client_auth(),
        _ => return Err("a client certificate needs its key, and a key its certificate".into()),
    })
}

/// Returns the credential headers: a bearer token, or a user name and password.
fn headers(user: &Value) -> Result<HeaderMap, BoxError> {
    let text = |key: &str| user[key].as_str().filter(|text| !text.is_empty());
    let credential = match (text("token"), text("username"), text("password")) {
        (Some(token), ..) => Some(format!("Bearer {}", token.trim())),
        (None, Some(name), Some(password)) => {
            Some(format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{password}"))))
        }
        _ => None,
    };
    let mut headers = HeaderMap::new();
    if let Some(credential) = credential {
        let mut value = HeaderValue::from_str(&credential)?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(cluster: &str, user: &str) -> Result<ServerAccess, ApiError> {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: c, cluster: {{{cluster}}}}}]\n\
             contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n"
        );
        Kubeconfig::parse(&text)?.access()
    }

    #[test]
    fn a_token_or_a_password_becomes_a_sensitive_header() {
        for (user, wanted) in [
            ("token: ' t '", "Bearer t"),
            ("username: a, password: b", "Basic YTpi"),
            ("token: t, username: a", "Bearer t"),
        ] {
            let found = access("server: 'https://127.0.0.1:1/prefix'", user).ok().unwrap();
            let value = &found.headers[AUTHORIZATION];
            assert_eq!(value, wanted);
            assert!(value.is_sensitive());
        }
        assert!(access("server: 'https://127.0.0.1:1'", "x: 1").ok().unwrap().headers.is_empty());
    }

    #[test]
    fn invalid_certificates_and_keys_are_refused() {
        let server = "server: 'https://127.0.0.1:1'";
        for (cluster, user) in [
            ("certificate-authority-data: '!'", "token: t"),
            ("certificate-authority-data: eA==", "token: t"),
            ("x: 1", "client-certificate-data: eA==, client-key-data: eA=="),
            ("x: 1", "client-key-data: eA=="),
        ] {
            let refused = access(&format!("{server}, {cluster}"), user).err().unwrap();
            assert!(
                refused.message.contains("certificates or keys"),
                "{cluster} {user}: {}",
                refused.message
            );
        }
    }

    #[test]
    fn a_kubeconfig_that_acts_as_another_user_is_refused() {
        let text = "current-context: c\nusers: [{name: u, user: {token: t, as: admin}}]\n";
        let refused = Kubeconfig::parse(text).ok().unwrap().check_self_contained(|_| false).err().unwrap();
        assert!(refused.message.contains("acts as another user"), "{}", refused.message);
    }

    #[test]
    fn a_replaced_program_excuses_no_other_one() {
        for (user, accepted) in [
            ("exec: {command: kubelogin}", true),
            ("exec: {command: kubelogin}, auth-provider: {name: azure}", false),
        ] {
            let text = format!("current-context: c\nusers: [{{name: u, user: {{{user}}}}}]\n");
            let checked = Kubeconfig::parse(&text).ok().unwrap().check_self_contained(|_| true);
            assert_eq!(checked.is_ok(), accepted, "{user}");
        }
    }

    #[test]
    fn a_parse_error_quotes_nothing_of_the_text() {
        let refused =
            Kubeconfig::parse("users:\n- name: u\n  user: {token: s3cret, token: s3cret}\n").err().unwrap();
        assert!(!format!("{refused:?}").contains("s3cret"), "{refused:?}");
        assert!(refused.message.contains("line 3"), "{}", refused.message);
    }
}
