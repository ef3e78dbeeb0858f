//! The certificate that a gateway presents, and its verification.
//!
//! `verify` trusts exactly the certificate in the vault, and no other. `doctor` accepts every certificate,
//! because its checks evaluate the presented one later, and it sends no secret.
//!
//! A certificate by ACME must also lead to a root of its directory: its chain, names and dates are verified as a browser
//! does it.
//!
//! A self-signed certificate has no root. For an issued one the vault's copy is the stricter test, because
//! another certificate from a trusted root is still the wrong one. So the leaf must equal the vault's, byte
//! for byte. Its names and dates are checked as usual, and the handshake proves that the gateway has its key.
//! Trust by a root of this system is evaluated separately, and reported.
//!
//! A listener with the user's own Secret is checked against the system's roots only.

use jiff::Timestamp;
use landfall_cloud::{
    Clock, Roots,
    certificate::{ChainFault, Leaf, chain_faults},
};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

/// The trust anchors.
#[derive(Debug)]
pub(crate) struct Trust {
    /// The certificate in the vault, DER.
    pin: Vec<u8>,
    leaf: Leaf,
    system: Option<Arc<dyn ServerCertVerifier>>,
    /// The roots to which the certificate must lead; `None` for one that is only pinned.
    issuer: Option<Arc<dyn ServerCertVerifier>>,
    /// The clock of the cloud that dates the certificates.
    clock: Clock,
}

/// The acceptance of presented certificates.
#[derive(Debug)]
pub(crate) enum Acceptance {
    /// Every certificate. The handshake itself must be valid.
    Any,
    /// The vault's certificate if `pinned`, else one that a root of this system trusts.
    Trusted { trust: Arc<Trust>, pinned: bool },
}

/// The certificate that a gateway presented.
#[derive(Debug, Clone)]
pub(crate) struct PeerCertificate {
    /// The certificate itself; `None` if it cannot be parsed.
    pub(crate) leaf: Option<Leaf>,
    /// True if it is the vault's; false without a trust.
    pub(crate) is_vault_certificate: bool,
    /// True if a root of this system trusts it; false without a trust.
    pub(crate) is_trusted_by_system: bool,
    /// The faults of the presented chain.
    pub(crate) chain_faults: Vec<ChainFault>,
}

impl Trust {
    /// Returns the trust in the vault's certificate.
    pub(crate) fn new(pin: &[u8], leaf: Leaf, roots: Option<&Roots>, clock: &Clock) -> Self {
        let provider = Arc::new(aws_lc_rs::default_provider());
        // On a machine without root certificates no certificate has a trusted root, which is a valid result.
        let system = rustls_platform_verifier::Verifier::new(provider).ok();
        let system = system.map(|system| Arc::new(system) as Arc<dyn ServerCertVerifier>);
        let issuer = match roots {
            None => None,
            Some(Roots::System) => system.clone(),
            Some(Roots::Only(pems)) => verifier(pems),
        };
        Self { pin: pin.to_vec(), leaf, system, issuer, clock: clock.clone() }
    }

    /// Returns whether this is the trust in that certificate.
    pub(crate) fn is_pinned_to(&self, der: &[u8]) -> bool {
        self.pin == der
    }

    /// Returns the vault's certificate, parsed.
    pub(crate) fn leaf(&self) -> &Leaf {
        &self.leaf
    }

    /// Returns whether the certificate must lead to a root.
    pub(crate) fn needs_chain(&self) -> bool {
        self.issuer.is_some()
    }

    /// Returns the current time of the cloud.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Checks the vault's own certificate: it needs no root, but a matching name and valid dates.
    fn pinned(&self, leaf: &CertificateDer<'_>, name: &ServerName<'_>, now: Timestamp) -> Result<(), Error> {
        verify_server_name(&ParsedCertificate::try_from(leaf)?, name)?;
        match () {
            () if now < self.leaf.not_before => Err(CertificateError::NotValidYet.into()),
            () if now > self.leaf.not_after => Err(CertificateError::Expired.into()),
            () => Ok(()),
        }
    }

    fn verify_with_system_roots(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.system {
            Some(system) => system.verify_server_cert(leaf, chain, name, &[], now),
            None => Err(CertificateError::UnknownIssuer.into()),
        }
    }
}

/// Returns the verifier for these roots; `None` if they contain no certificate.
fn verifier(pems: &[String]) -> Option<Arc<dyn ServerCertVerifier>> {
    let mut roots = RootCertStore::empty();
    for pem in pems {
        let found = CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(Result::ok);
        roots.add_parsable_certificates(found);
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let built = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    built.ok().map(|built| built as Arc<dyn ServerCertVerifier>)
}

/// The verifier of one connection, which records the presented certificate.
#[derive(Debug)]
pub(crate) struct RecordingVerifier {
    acceptance: Acceptance,
    provider: Arc<CryptoProvider>,
    peer_certificate: Mutex<Option<PeerCertificate>>,
}

impl RecordingVerifier {
    /// Returns the TLS configuration of one connection, and the handle to the certificate that the peer
    /// presents on it.
    pub(crate) fn connection(acceptance: Acceptance) -> Result<(ClientConfig, Arc<Self>), Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier =
            Arc::new(Self { acceptance, provider: provider.clone(), peer_certificate: Mutex::default() });
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok((config, verifier))
    }

    /// Returns the presented certificate, after the handshake got that far.
    pub(crate) fn peer_certificate(&self) -> Option<PeerCertificate> {
        self.peer_certificate.lock().expect("nothing panics while it is held").clone()
    }

    fn record(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        is_vault_certificate: bool,
        is_trusted_by_system: bool,
        now: Timestamp,
    ) {
        let others: Vec<&[u8]> = chain.iter().map(AsRef::as_ref).collect();
        let peer_certificate = PeerCertificate {
            leaf: Leaf::from_der(leaf).ok(),
            is_vault_certificate,
            is_trusted_by_system,
            chain_faults: chain_faults(leaf, &others, now),
        };
        *self.peer_certificate.lock().expect("nothing panics while it is held") = Some(peer_certificate);
    }
}

impl ServerCertVerifier for RecordingVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let (trust, pinned) = match &self.acceptance {
            Acceptance::Any => {
                self.record(leaf, chain, false, false, Timestamp::now());
                return Ok(ServerCertVerified::assertion());
            }
            Acceptance::Trusted { trust, pinned } => (trust, *pinned),
        };
        let at = trust.now();
        let now =
            UnixTime::since_unix_epoch(Duration::from_secs(at.as_second().try_into().unwrap_or_default()));
        let is_vault_certificate = trust.is_pinned_to(leaf);
        let system_result = trust.verify_with_system_roots(leaf, chain, name, now);
        self.record(leaf, chain, is_vault_certificate, system_result.is_ok(), at);
        match pinned {
            false => system_result,
            true if is_vault_certificate && trust.issuer.is_some() => match &trust.issuer {
                Some(issuer) => issuer.verify_server_cert(leaf, chain, name, &[], now),
                None => Err(CertificateError::UnknownIssuer.into()),
            },
            true if is_vault_certificate => {
                trust.pinned(leaf, name, at).map(|()| ServerCertVerified::assertion())
            }
            true => Err(Error::General("it is not the vault's newest version".to_owned())),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, leaf, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, leaf, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_cloud::certificate::Material;

    fn verified(pin: &Material, peer_certificate: &Material, name: &str, at: Timestamp) -> Result<(), Error> {
        let clock = Clock::reading(move || at);
        let trust = Arc::new(Trust::new(pin.certificate(), pin.leaf().clone(), None, &clock));
        let (_, verifier) =
            RecordingVerifier::connection(Acceptance::Trusted { trust, pinned: true }).unwrap();
        let (leaf, name) =
            (CertificateDer::from(peer_certificate.certificate()), ServerName::try_from(name).unwrap());
        let now = UnixTime::now();
        let verified = verifier.verify_server_cert(&leaf, &[], &name, &[], now).map(drop);
        let recorded = verifier.peer_certificate().unwrap();
        assert_eq!(recorded.leaf.unwrap().thumbprint_sha1, peer_certificate.leaf().thumbprint_sha1);
        assert!(!recorded.is_trusted_by_system);
        verified
    }

    #[test]
    fn only_the_vault_certificate_is_accepted_for_its_names_and_validity_period() {
        let (vault_certificate, other) = (
            Material::self_signed("example.com", 30).unwrap(),
            Material::self_signed("example.com", 30).unwrap(),
        );
        let now = Timestamp::now();
        assert_eq!(verified(&vault_certificate, &vault_certificate, "www.example.com", now), Ok(()));
        assert!(verified(&vault_certificate, &other, "www.example.com", now).is_err());
        let wrong = verified(&vault_certificate, &vault_certificate, "www.example.org", now).unwrap_err();
        assert!(matches!(wrong, Error::InvalidCertificate(_)), "{wrong}");
        let late = now + jiff::SignedDuration::from_hours(24 * 40);
        assert_eq!(
            verified(&vault_certificate, &vault_certificate, "www.example.com", late),
            Err(Error::InvalidCertificate(CertificateError::Expired))
        );
    }
}
