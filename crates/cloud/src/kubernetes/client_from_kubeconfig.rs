//! The connection to a cluster: its kubeconfig, checked, and the sign-in.

use serde_json::Value;

use super::api_server_http::ApiServer;
use super::client::Connection;
use super::current_context::Kubeconfig;
use super::into_api_error;
use crate::endpoints::CLUSTER_SCOPE;
use crate::error::ApiError;
use crate::request_counter::RequestCounter;
use crate::secret::Secret;

/// The source of the credential of requests to an API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignInMethod {
    /// A certificate or token in the kubeconfig.
    Kubeconfig,
    /// Landfall's own token for the AKS server application.
    Entra,
}

/// Creates a client from the current context of a kubeconfig in memory; also returns its sign-in.
///
/// # Errors
/// `SignIn` if the text is not a kubeconfig, names no usable server or requires a sign-in program other than
/// that of AKS, whose place the connection's origin takes.
pub(super) fn client(
    kubeconfig: &Secret<String>,
    connection: Connection,
    request_counter: &RequestCounter,
) -> Result<(ApiServer, SignInMethod), ApiError> {
    let kubeconfig = Kubeconfig::parse(kubeconfig.expose())?;
    let is_replaced = |user: &Value| connection.origin.is_some() && kubelogin_server(user).is_some();
    let sign_in = sign_in_method(&kubeconfig, is_replaced)?;
    kubeconfig.check_self_contained(is_replaced)?;
    let access = kubeconfig.access()?;
    let server = match connection.transport {
        Some(transport) => ApiServer::over_transport(access, transport, request_counter),
        None => ApiServer::over_network(access, connection.proxies, request_counter),
    };
    Ok((server, sign_in))
}

/// Returns [`SignInMethod::Entra`] if the current context signs in with `kubelogin`, which landfall replaces.
fn sign_in_method(
    kubeconfig: &Kubeconfig,
    is_replaced: impl Fn(&Value) -> bool,
) -> Result<SignInMethod, ApiError> {
    let current = kubeconfig.current_user();
    let mut sign_in = SignInMethod::Kubeconfig;
    for (name, user) in kubeconfig.users().filter(|(_, user)| is_replaced(user)) {
        let server = kubelogin_server(user).unwrap_or_default();
        if CLUSTER_SCOPE.strip_suffix("/.default") != Some(server) {
            let why = format!(
                "its API server is the Entra application {server}; only the application of AKS is supported, which \
                 AKS-managed Entra integration uses"
            );
            return Err(into_api_error::invalid_kubeconfig(&why, None));
        }
        if Some(name) == current {
            sign_in = SignInMethod::Entra;
        }
    }
    Ok(sign_in)
}

/// Returns the id of the application that `kubelogin` would sign in to; `None` if the user does not name it.
fn kubelogin_server(user: &Value) -> Option<&str> {
    let exec = Some(&user["exec"]).filter(|exec| exec["command"] == "kubelogin")?;
    let args = exec["args"].as_array()?;
    let at = args.iter().position(|arg| arg == "--server-id")?;
    args.get(at + 1)?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubeconfig_with_an_exec_plugin_is_refused() {
        let text = "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
                    clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n\
                    contexts: [{name: c, context: {cluster: c, user: u}}]\n\
                    users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1beta1, \
                    command: kubelogin, interactiveMode: Never}}}]\n";
        let refused = client(&Secret::new(text.to_owned()), Connection::default(), &RequestCounter::new())
            .err()
            .unwrap();
        assert_eq!(refused.kind, crate::ApiErrorKind::SignIn);
        assert!(refused.message.contains("another program"), "{}", refused.message);
    }

    #[test]
    fn a_kubeconfig_that_would_expose_a_token_is_refused() {
        for (cluster, user) in [
            ("server: 'http://127.0.0.1:1'", "token: t"),
            ("server: 'https://127.0.0.1:1', insecure-skip-tls-verify: true", "token: t"),
            ("server: 'https://127.0.0.1:1'", "tokenFile: /etc/hostname"),
        ] {
            let text = format!(
                "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: c, cluster: {{{cluster}}}}}]\n\
                 contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n"
            );
            let refused = client(&Secret::new(text), Connection::default(), &RequestCounter::new()).err();
            assert_eq!(
                refused.map(|error| error.kind),
                Some(crate::ApiErrorKind::SignIn),
                "{cluster} {user}"
            );
        }
    }

    #[test]
    fn a_kubeconfig_with_a_local_file_is_refused_before_the_read() {
        for (cluster, user, key) in [
            ("certificate-authority: /etc/hostname", "token: t", "certificate-authority"),
            ("x: 1", "client-certificate: /nowhere", "client-certificate"),
            ("x: 1", "client-key: /nowhere, client-certificate-data: eA==", "client-key"),
            ("x: 1", "tokenFile: /nowhere, token: t", "tokenFile"),
        ] {
            for (name, other) in [("c", "d"), ("d", "c")] {
                let text = format!(
                    "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
                     clusters: [{{name: {name}, cluster: {{server: 'https://127.0.0.1:1', {cluster}}}}}, \
                     {{name: {other}, cluster: {{server: 'https://127.0.0.1:1'}}}}]\n\
                     contexts: [{{name: c, context: {{cluster: c, user: c}}}}]\n\
                     users: [{{name: {name}, user: {{{user}}}}}, {{name: {other}, user: {{token: t}}}}]\n"
                );
                let refused =
                    client(&Secret::new(text), Connection::default(), &RequestCounter::new()).err().unwrap();
                assert_eq!(refused.kind, crate::ApiErrorKind::SignIn);
                assert!(refused.message.contains(key), "{}", refused.message);
            }
        }
    }

    #[test]
    fn an_invalid_kubeconfig_is_refused() {
        for text in ["", "]", "current-context: nowhere\n"] {
            assert!(
                client(&Secret::new(text.to_owned()), Connection::default(), &RequestCounter::new()).is_err(),
                "{text:?}"
            );
        }
    }
}
