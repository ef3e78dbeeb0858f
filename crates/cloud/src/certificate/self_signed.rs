//! Generation of a self-signed certificate, for environments without one.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use p12_keystore::PrivateKey;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    RsaKeySize, SanType,
};

use super::error::CertificateError;
use super::pfx;

/// The time before now at which its validity starts, for machines whose clock is behind.
const EARLIER: Duration = Duration::from_secs(5 * 60);
/// The maximum length of a common name, RFC 5280 appendix A.1 (`ub-common-name`).
const COMMON_NAME_MAX: usize = 64;

/// Generates a PFX file and its password.
pub(super) fn make(domain: &str, valid_days: u32) -> Result<(Vec<u8>, String), CertificateError> {
    let domain = domain.trim_end_matches('.').to_ascii_lowercase();
    check_domain(&domain)?;
    let key = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).map_err(generate)?;
    let certificate = params(&domain, valid_days)?.self_signed(&key).map_err(generate)?;
    let key = PrivateKey::from_der(&key.serialize_der()).map_err(generate)?;
    pfx::write(&domain, key, [certificate.der().as_ref()]).map_err(generate)
}

/// Writes a PFX file with a key and its chain.
pub(super) fn with_chain(key: &KeyPair, chain: &[Vec<u8>]) -> Result<(Vec<u8>, String), CertificateError> {
    let key = PrivateKey::from_der(&key.serialize_der()).map_err(generate)?;
    pfx::write("landfall", key, chain.iter().map(Vec::as_slice)).map_err(generate)
}

fn generate(cause: impl std::fmt::Display) -> CertificateError {
    CertificateError::Generate { why: cause.to_string() }
}

fn check_domain(domain: &str) -> Result<(), CertificateError> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_address = domain.parse::<std::net::IpAddr>().is_ok();
    if domain.len() > 251 || is_address || !domain.split('.').all(is_label) {
        return Err(generate(format!("\"{domain}\" is not a DNS name that can have a wildcard below it")));
    }
    Ok(())
}

fn params(domain: &str, valid_days: u32) -> Result<CertificateParams, CertificateError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    if domain.len() <= COMMON_NAME_MAX {
        params.distinguished_name.push(DnType::CommonName, domain);
    }
    for name in [domain.to_owned(), format!("*.{domain}")] {
        params.subject_alt_names.push(SanType::DnsName(name.try_into().map_err(generate)?));
    }
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_err(generate)?;
    let valid = Duration::from_secs(u64::from(valid_days) * 24 * 60 * 60);
    let ends =
        i64::try_from((now + valid).as_secs()).ok().filter(|second| Timestamp::from_second(*second).is_ok());
    if valid_days == 0 || ends.is_none() {
        return Err(generate(format!("{valid_days} days is not a valid duration")));
    }
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now.saturating_sub(EARLIER);
    params.not_after = epoch + now + valid;
    Ok(params)
}
