//! HTTP requests to the gateways from outside, as a browser sends them: by address, with the host's name, one
//! request each.
//!
//! The probe accepts and keeps every served certificate. The checks evaluate it later, and the probe sends no
//! secret.

use super::{
    inside::Inside,
    object::{list, name, space, text, texts},
    outside::{Answer, Came},
    picture::Picture,
};
use futures::future::join_all;
use landfall_cloud::{Ways, certificate::Leaf, kubernetes::DynamicObject};
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// The maximum number of bytes read from a response; its first line is enough.
const ANSWER_MAX: usize = 4096;

/// Requests `/` of every host on both ports of every gateway that has an address.
pub(super) async fn all(p: &Picture<'_>, inside: &Inside, ways: &Ways, at_most: Duration) -> Vec<Answer> {
    let mut asked = Vec::new();
    for wanted in p.gateways() {
        let Some(live) = Inside::find(&inside.gateways, space(wanted), name(wanted)) else { continue };
        let addresses = list(&live.data, "/status/addresses").iter();
        let Some(address) = addresses.filter_map(|one| text(one, "/value").parse::<IpAddr>().ok()).next()
        else {
            continue;
        };
        for host in hosts(p, wanted) {
            for listener in list(&live.data, "/spec/listeners") {
                let port = listener["port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or(443);
                let place = ways.socket(address, port);
                let encrypted = text(listener, "/protocol") == "HTTPS";
                asked.push(ask(name(wanted).to_owned(), host.clone(), port, place, encrypted, at_most));
            }
        }
    }
    join_all(asked).await
}

/// Returns the hosts that the routes of a gateway name, without wildcards.
fn hosts(p: &Picture<'_>, gateway: &DynamicObject) -> Vec<String> {
    let is_parent = |route: &&DynamicObject| {
        list(&route.data, "/spec/parentRefs").iter().any(|one| text(one, "/name") == name(gateway))
    };
    let routes = p.wanted("HTTPRoute").filter(is_parent);
    let mut hosts: Vec<String> = routes
        .flat_map(|route| texts(&route.data, "/spec/hostnames"))
        .filter(|host| !host.starts_with('*'))
        .map(str::to_owned)
        .collect();
    hosts.sort();
    hosts.dedup();
    hosts
}

async fn ask(
    gateway: String,
    host: String,
    port: u16,
    place: SocketAddr,
    encrypted: bool,
    at_most: Duration,
) -> Answer {
    let came = match timeout(at_most, exchange(&host, place, encrypted)).await {
        Ok(Ok(came)) => came,
        Ok(Err(error)) => Came::Refused(error.to_string()),
        Err(_) => Came::Nothing(at_most),
    };
    Answer { gateway, host, port, came }
}

async fn exchange(host: &str, place: SocketAddr, encrypted: bool) -> io::Result<Came> {
    let tcp = TcpStream::connect(place).await?;
    if !encrypted {
        return Ok(Came::Status { status: get(tcp, host).await?, leaf: None });
    }
    let server = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let tls = TlsConnector::from(Arc::new(config()?)).connect(server, tcp).await?;
    let served = tls.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let leaf = served.and_then(|leaf| Leaf::from_der(leaf).ok());
    Ok(Came::Status { status: get(tls, host).await?, leaf })
}

async fn get(mut stream: impl AsyncRead + AsyncWrite + Unpin, host: &str) -> io::Result<u16> {
    let request =
        format!("GET / HTTP/1.1\r\nHost: {host}\r\nUser-Agent: landfall\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.contains(&b'\n') && answer.len() < ANSWER_MAX {
        if stream.read_buf(&mut answer).await? == 0 {
            break;
        }
    }
    status(&answer).ok_or_else(|| io::Error::other("the response is not HTTP"))
}

/// Returns the status of a response: `HTTP/1.1 404 Not Found` (RFC 9112 §4).
fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?.strip_prefix("HTTP/")?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn config() -> io::Result<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().map_err(io::Error::other)?;
    Ok(builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Whatever(provider)))
        .with_no_client_auth())
}

/// A verifier that accepts every certificate, so that the checks can read it. The handshake itself must be
/// valid.
#[derive(Debug)]
struct Whatever(Arc<CryptoProvider>);

impl ServerCertVerifier for Whatever {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_in_the_first_line() {
        assert_eq!(status(b"HTTP/1.1 404 Not Found\r\nserver: x\r\n"), Some(404));
        assert_eq!(status(b"SSH-2.0-OpenSSH"), None);
        assert_eq!(status(b""), None);
    }
}
