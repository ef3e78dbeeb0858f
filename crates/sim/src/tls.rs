//! The certificate authority of the simulated cloud, which issues certificates during the handshake.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{Span, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::persistence::{Persistence, SimError};
use crate::state::DOMAIN;

/// The certificate authority (CA), with one key for all certificates it issues in this process.
pub struct Authority {
    pem: String,
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    key: KeyPair,
    issued: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

impl Authority {
    /// Reads the CA of a folder, or creates one.
    ///
    /// # Errors
    /// [`SimError::Io`], [`SimError::Certificates`].
    pub fn open(persistence: &Persistence) -> Result<Self, SimError> {
        let (certificate_path, key_path) = (persistence.path("ca.pem"), persistence.path("ca.key"));
        let pem = match fs::read_to_string(&certificate_path) {
            Ok(pem) => pem,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let (pem, key) = make().map_err(SimError::certificates)?;
                // The key is written first: a certificate without its key would stay unusable.
                persistence.replace("ca.key", key.serialize_pem().as_bytes())?;
                persistence.replace("ca.pem", pem.as_bytes())?;
                pem
            }
            Err(source) => return Err(SimError::Io { path: certificate_path, source }),
        };
        let key = fs::read_to_string(&key_path).map_err(SimError::io(&key_path))?;
        let key = KeyPair::from_pem(&key).map_err(SimError::certificates)?;
        let der = {
            use rustls::pki_types::pem::PemObject;
            CertificateDer::from_pem_slice(pem.as_bytes())
                .map_err(|error| SimError::certificates(io::Error::other(error.to_string())))?
        };
        let issuer = Issuer::from_ca_cert_pem(&pem, key).map_err(SimError::certificates)?;
        let key = KeyPair::generate().map_err(SimError::certificates)?;
        Ok(Self { pem, der, issuer, key, issued: Mutex::default() })
    }

    /// Returns the CA certificate, PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Returns the TLS configuration of the server: HTTP/2 and HTTP/1.1, certificates by name.
    ///
    /// # Errors
    /// [`SimError::Certificates`] if the provider supports no safe protocol version.
    pub fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, SimError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let resolver = Arc::clone(self);
        let mut config =
            builder.map_err(SimError::certificates)?.with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    fn issue(&self, host: &str) -> Result<Arc<CertifiedKey>, Box<dyn std::error::Error>> {
        let mut params = CertificateParams::new(vec![host.to_owned()])?;
        if host == "localhost" {
            params.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        }
        params.distinguished_name = named(host);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        valid_for(&mut params, 365);
        let certificate = params.signed_by(&self.key, &self.issuer)?;
        let key = PrivateKeyDer::try_from(self.key.serialize_der())?;
        let key = aws_lc_rs::sign::any_supported_type(&key)?;
        Ok(Arc::new(CertifiedKey::new(vec![certificate.der().clone(), self.der.clone()], key)))
    }
}

impl ResolvesServerCert for Authority {
    /// Issues a certificate for any name of this cloud. A client without SNI connects by address and gets the
    /// one of `localhost`.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let host = hello.server_name().unwrap_or("localhost").to_ascii_lowercase();
        let is_own_host = host == "localhost"
            || host == DOMAIN
            || host.strip_suffix(DOMAIN).is_some_and(|rest| rest.ends_with('.'));
        if !is_own_host {
            return None;
        }
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = issued.get(&host) {
            return Some(Arc::clone(known));
        }
        let created =
            self.issue(&host).inspect_err(|error| tracing::error!(host, %error, "no certificate")).ok()?;
        issued.insert(host, Arc::clone(&created));
        Some(created)
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn valid_for(params: &mut CertificateParams, days: i64) {
    let date = |span: Span| {
        let day = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date().saturating_add(span);
        let (month, date) = (day.month().unsigned_abs(), day.day().unsigned_abs());
        rcgen::date_time_ymd(i32::from(day.year()), month, date)
    };
    params.not_before = date(Span::new().days(-1));
    params.not_after = date(Span::new().days(days));
}

pub(crate) fn make() -> Result<(String, KeyPair), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name = named("Landfall simulated cloud");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid_for(&mut params, 3650);
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), key))
}
