//! The keys of a CA, and the certificates that it issues: root, intermediate, leaf.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, SanType, SerialNumber,
    SubjectPublicKeyInfo,
};
use serde::{Deserialize, Serialize};

use super::ca::CaName;
use super::csr::Request;
use super::profile::Profile;
use crate::clock::SimTime;

/// The backdating of a certificate, so that clients with slow clocks accept it (Boulder: one hour).
const BACKDATING_MS: i64 = 3_600_000;
/// The certificate policy "domain validated" of the CA/Browser Forum, `2.23.140.1.2.1`, as an extension value.
const DOMAIN_VALIDATED: [u8; 12] = [0x30, 0x0a, 0x30, 0x08, 0x06, 0x06, 0x67, 0x81, 0x0c, 0x01, 0x02, 0x01];
/// One day in milliseconds.
const DAY_MS: i64 = 86_400_000;

/// The keys and certificates of a CA.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Issuer {
    root_pem: String,
    intermediate_pem: String,
    /// The key of the intermediate, PKCS#8 PEM. The root's key is not kept: it has signed all that it will.
    intermediate_key: String,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer").field("root_pem", &self.root_pem).finish_non_exhaustive()
    }
}

/// A certificate that was just issued.
pub(super) struct Leaf {
    pub(super) pem: String,
    pub(super) not_before: SimTime,
    pub(super) not_after: SimTime,
}

impl Issuer {
    /// Creates root and intermediate.
    ///
    /// # Errors
    /// The provider cannot create a key.
    pub(super) fn create(ca: CaName, now: SimTime) -> Result<Self, rcgen::Error> {
        let (prefix, letter) = match ca {
            CaName::Production => ("", 'E'),
            CaName::Staging => ("(STAGING) ", 'S'),
        };
        let root_key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384)?;
        let root = authority(&format!("{prefix}Landfall Simulated Root X1"), None, now, 20 * 365);
        let root_certificate = root.self_signed(&root_key)?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut intermediate =
            authority(&format!("{prefix}Landfall Simulated {letter}1"), Some(0), now, 5 * 365);
        intermediate.use_authority_key_identifier_extension = true;
        intermediate.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let intermediate = intermediate.signed_by(&key, &rcgen::Issuer::new(root, root_key))?;
        Ok(Self {
            root_pem: root_certificate.pem(),
            intermediate_pem: intermediate.pem(),
            intermediate_key: key.serialize_pem(),
        })
    }

    /// Returns the root certificate, PEM.
    pub(super) fn root_pem(&self) -> &str {
        &self.root_pem
    }

    /// Returns the intermediate certificate, PEM.
    pub(super) fn intermediate_pem(&self) -> &str {
        &self.intermediate_pem
    }

    /// Returns the key identifier of the intermediate.
    pub(super) fn key_identifier(&self) -> Option<Vec<u8>> {
        let (_, pem) = x509_parser::pem::parse_x509_pem(self.intermediate_pem.as_bytes()).ok()?;
        let certificate = pem.parse_x509().ok()?;
        certificate.iter_extensions().find_map(|extension| match extension.parsed_extension() {
            x509_parser::extensions::ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
            _ => None,
        })
    }

    /// Issues a certificate for the names and the key of a request.
    ///
    /// # Errors
    /// The key has a form that the provider does not know.
    pub(super) fn issue(
        &self,
        request: &Request,
        profile: &Profile,
        serial: &[u8],
        now: SimTime,
    ) -> Result<Leaf, rcgen::Error> {
        let not_before = SimTime(now.unix_seconds() * 1000).plus_ms(-BACKDATING_MS);
        let not_after = not_before.plus_ms(profile.validity * 1000 - 1000);
        let mut params = CertificateParams::new(request.names.clone())?;
        set_validity(&mut params, not_before, not_after);
        params.serial_number = Some(SerialNumber::from_slice(serial));
        params.distinguished_name = DistinguishedName::new();
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.custom_extensions =
            vec![CustomExtension::from_oid_content(&[2, 5, 29, 32], DOMAIN_VALIDATED.to_vec())];
        let key = SubjectPublicKeyInfo::from_der(&request.public_key)?;
        if profile.has_legacy_fields {
            if let Some(name) = common_name(request) {
                params.distinguished_name.push(DnType::CommonName, name);
            }
            // This also adds the subject key identifier.
            params.is_ca = IsCa::ExplicitNoCa;
            params.key_usages.push(KeyUsagePurpose::KeyEncipherment);
        } else {
            params.is_ca = IsCa::NoCa;
            let mut no_ca = CustomExtension::from_oid_content(&[2, 5, 29, 19], vec![0x30, 0x00]);
            no_ca.set_criticality(true);
            params.custom_extensions.push(no_ca);
        }
        debug_assert!(params.subject_alt_names.iter().all(|name| matches!(name, SanType::DnsName(_))));
        let issuer_key = KeyPair::from_pem(&self.intermediate_key)?;
        let issuer = rcgen::Issuer::from_ca_cert_pem(&self.intermediate_pem, issuer_key)?;
        let certificate = params.signed_by(&key, &issuer)?;
        Ok(Leaf { pem: certificate.pem(), not_before, not_after })
    }
}

/// Returns the common name: the requested one, else the first name that fits its 64 characters.
fn common_name(request: &Request) -> Option<&String> {
    let fits = |name: &&String| name.len() <= 64;
    request.common_name.as_ref().filter(fits).or_else(|| request.names.iter().find(fits))
}

fn authority(name: &str, path_length: Option<u8>, now: SimTime, days: i64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CountryName, "XX");
    params.distinguished_name.push(DnType::OrganizationName, "Landfall simulated cloud");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca =
        IsCa::Ca(path_length.map_or(BasicConstraints::Unconstrained, BasicConstraints::Constrained));
    params.key_usages =
        vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, now.plus_ms(-30 * DAY_MS), now.plus_ms(days * DAY_MS));
    params
}

/// Sets the validity, in whole seconds.
fn set_validity(params: &mut CertificateParams, not_before: SimTime, not_after: SimTime) {
    let since_epoch = |at: SimTime| Duration::from_secs(u64::try_from(at.unix_seconds()).unwrap_or(0));
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + since_epoch(not_before);
    params.not_after = epoch + since_epoch(not_after);
}
