//! The connection to an API server: name resolution, trust, sign-in and request counting.
//!
//! This module assembles the stack below the client, for four reasons. First, names under `.localhost` must
//! reach the loopback interface, whatever the system's resolver answers (RFC 6761 §6.3). Second, each request
//! is counted below every layer that might retry it. Third, the client's own retries stay out, because this
//! crate has one retry policy. Fourth, proxies follow the same rules as those of Resource Manager.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use futures::TryStreamExt;
use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper_util::client::legacy::Client as WireClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt};
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tower::{BoxError, ServiceBuilder};

use super::client::Connection;
use super::error;
use super::proxy::{ProxyConnector, ProxyRules};
use crate::endpoints::CLUSTER_SCOPE;
use crate::error::ApiError;
use crate::request_counter::RequestCounter;
use crate::secret::Secret;
use crate::transport::Transport;

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
pub(super) async fn client(
    kubeconfig: &Secret<String>,
    connection: Connection,
    request_counter: &RequestCounter,
) -> Result<(Client, SignInMethod), ApiError> {
    let mut parsed = Kubeconfig::from_yaml(kubeconfig.expose())
        .map_err(|cause| error::invalid_kubeconfig("it cannot be read", Some(Box::new(cause))))?;
    let sign_in = match connection.origin.is_some() {
        true => replace_kubelogin(&mut parsed)?,
        false => SignInMethod::Kubeconfig,
    };
    check_self_contained(&parsed)?;
    let config =
        Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default()).await.map_err(|cause| {
            error::invalid_kubeconfig("its current context does not exist", Some(Box::new(cause)))
        })?;
    if config.cluster_url.scheme_str() != Some("https") || config.accept_invalid_certs {
        let why = "its server is not trusted; only HTTPS with a known authority is supported";
        return Err(error::invalid_kubeconfig(why, None));
    }
    let assembled = match connection.transport {
        Some(transport) => over_transport(&config, transport, request_counter),
        None => assemble(&config, connection.proxies, request_counter),
    };
    let client = assembled.map_err(|cause| {
        error::invalid_kubeconfig("its certificates or keys are invalid", Some(Box::new(cause)))
    })?;
    Ok((client, sign_in))
}

/// Removes the sign-in with `kubelogin` from every user; returns [`SignInMethod::Entra`] if the current context
/// has it.
fn replace_kubelogin(kubeconfig: &mut Kubeconfig) -> Result<SignInMethod, ApiError> {
    let current = kubeconfig.current_context.clone();
    let mut contexts = kubeconfig.contexts.iter().filter(|named| Some(&named.name) == current.as_ref());
    let user = contexts.next().and_then(|named| named.context.as_ref()?.user.clone());
    let mut sign_in = SignInMethod::Kubeconfig;
    for named in &mut kubeconfig.auth_infos {
        let Some(auth) = named.auth_info.as_mut() else { continue };
        let Some(server) = kubelogin_server(auth) else { continue };
        if CLUSTER_SCOPE.strip_suffix("/.default") != Some(server.as_str()) {
            let why = format!(
                "its API server is the Entra application {server}; only the application of AKS is supported, which \
                 AKS-managed Entra integration uses"
            );
            return Err(error::invalid_kubeconfig(&why, None));
        }
        auth.exec = None;
        if Some(&named.name) == user.as_ref() {
            sign_in = SignInMethod::Entra;
        }
    }
    Ok(sign_in)
}

/// Returns the id of the application that `kubelogin` would sign in to; `None` if the user does not name it.
fn kubelogin_server(auth: &AuthInfo) -> Option<String> {
    let exec = auth.exec.as_ref().filter(|exec| exec.command.as_deref() == Some("kubelogin"))?;
    let args = exec.args.as_deref().unwrap_or_default();
    let at = args.iter().position(|arg| arg == "--server-id")?;
    args.get(at + 1).cloned()
}

/// Refuses a kubeconfig that names a program to run or a file of this machine, before either is touched.
///
/// Every entry counts, not only those of the current context: all have the same source.
fn check_self_contained(kubeconfig: &Kubeconfig) -> Result<(), ApiError> {
    let clusters = kubeconfig.clusters.iter().filter_map(|named| named.cluster.as_ref());
    let users = kubeconfig.auth_infos.iter().filter_map(|named| named.auth_info.as_ref());
    if users.clone().any(|user| user.exec.is_some() || user.auth_provider.is_some()) {
        let why = "it signs in through another program; only certificates and tokens are supported";
        return Err(error::invalid_kubeconfig(why, None));
    }
    let of_clusters = clusters.map(|cluster| ("certificate-authority", &cluster.certificate_authority));
    let of_users = users.flat_map(|user| {
        [
            ("client-certificate", &user.client_certificate),
            ("client-key", &user.client_key),
            ("tokenFile", &user.token_file),
        ]
    });
    let named = of_clusters.chain(of_users).find(|(_, file)| file.is_some());
    named.map_or(Ok(()), |(key, _)| {
        let why = format!("its {key} names a file of this machine, and a cluster's own kubeconfig does not");
        Err(error::invalid_kubeconfig(&why, None))
    })
}

fn assemble(
    config: &Config,
    proxies: ProxyRules,
    request_counter: &RequestCounter,
) -> Result<Client, kube::Error> {
    // This has no effect if the program has installed it already.
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let mut connector = HttpConnector::new_with_resolver(tower::service_fn(resolve));
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(config.connect_timeout);
    let connector = ProxyConnector::new(connector, proxies);
    let connector = config.rustls_https_connector_with_connector(connector)?;
    let request_counter = request_counter.clone();
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .map_request(move |request: http::Request<Body>| {
            request_counter.count();
            request
        })
        .service(WireClient::builder(TokioExecutor::new()).build::<_, Body>(connector));
    Ok(Client::new(service, config.default_namespace.clone()))
}

/// Builds the same stack over a transport, which needs neither name resolution nor trust.
fn over_transport(
    config: &Config,
    transport: Arc<dyn Transport>,
    request_counter: &RequestCounter,
) -> Result<Client, kube::Error> {
    let request_counter = request_counter.clone();
    let send = tower::service_fn(move |request: http::Request<Body>| {
        let transport = Arc::clone(&transport);
        request_counter.count();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect_bytes().await.map_err(BoxError::from)?;
            let answer = transport.send(http::Request::from_parts(parts, body)).await?;
            Ok::<_, BoxError>(answer.map(|body| StreamBody::new(body.map_ok(Frame::data))))
        }
    });
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(send);
    Ok(Client::new(service, config.default_namespace.clone()))
}

/// Resolves a name; the connector fills in the port.
async fn resolve(name: Name) -> io::Result<std::vec::IntoIter<SocketAddr>> {
    if is_loopback_name(name.as_str()) {
        return Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))].into_iter());
    }
    let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
    Ok(found.into_iter())
}

/// Returns whether RFC 6761 reserves a name for the loopback interface.
fn is_loopback_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_below_localhost_resolve_to_loopback() {
        assert!(is_loopback_name("localhost"));
        assert!(is_loopback_name("k8s.landfall.LocalHost."));
        assert!(!is_loopback_name("localhost.example.com"));
        assert!(!is_loopback_name("notlocalhost"));
    }

    #[tokio::test]
    async fn a_kubeconfig_with_an_exec_plugin_is_refused() {
        let text = "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
                    clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n\
                    contexts: [{name: c, context: {cluster: c, user: u}}]\n\
                    users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1beta1, \
                    command: kubelogin, interactiveMode: Never}}}]\n";
        let refused = client(&Secret::new(text.to_owned()), Connection::default(), &RequestCounter::new())
            .await
            .err()
            .unwrap();
        assert_eq!(refused.kind, crate::ApiErrorKind::SignIn);
        assert!(refused.message.contains("another program"), "{}", refused.message);
    }

    #[tokio::test]
    async fn a_kubeconfig_that_would_expose_a_token_is_refused() {
        for (cluster, user) in [
            ("server: 'http://127.0.0.1:1'", "token: t"),
            ("server: 'https://127.0.0.1:1', insecure-skip-tls-verify: true", "token: t"),
            ("server: 'https://127.0.0.1:1'", "tokenFile: /etc/hostname"),
        ] {
            let text = format!(
                "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: c, cluster: {{{cluster}}}}}]\n\
                 contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n"
            );
            let refused =
                client(&Secret::new(text), Connection::default(), &RequestCounter::new()).await.err();
            assert_eq!(
                refused.map(|error| error.kind),
                Some(crate::ApiErrorKind::SignIn),
                "{cluster} {user}"
            );
        }
    }

    #[tokio::test]
    async fn a_kubeconfig_with_a_local_file_is_refused_before_the_read() {
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
                let refused = client(&Secret::new(text), Connection::default(), &RequestCounter::new())
                    .await
                    .err()
                    .unwrap();
                assert_eq!(refused.kind, crate::ApiErrorKind::SignIn);
                assert!(refused.message.contains(key), "{}", refused.message);
            }
        }
    }

    #[tokio::test]
    async fn an_invalid_kubeconfig_is_refused() {
        for text in ["", "]", "current-context: nowhere\n"] {
            assert!(
                client(&Secret::new(text.to_owned()), Connection::default(), &RequestCounter::new())
                    .await
                    .is_err(),
                "{text:?}"
            );
        }
    }
}
