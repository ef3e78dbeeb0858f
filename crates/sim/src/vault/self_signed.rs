//! Generation of a key and its self-signed certificate from a certificate policy.
//!
//! Source: `CertificatePolicy` of the data plane: `key_props`, `secret_props` and `x509_props`.

use std::time::Duration;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    RsaKeySize, SanType,
};
use serde_json::Value;

use super::error::VaultError;
use super::material::{Material, PEM, PKCS12};
use crate::clock::SimTime;

/// A generated self-signed certificate.
pub(super) struct SelfSigned {
    /// The key and the certificate.
    pub(super) material: Material,
    /// The certificate signing request, DER.
    pub(super) csr: Vec<u8>,
}

/// The backdating of a certificate's validity, so that clients with slow clocks accept it.
const BACKDATING: Duration = Duration::from_secs(600);
/// The mean month of the Gregorian calendar.
const MONTH: Duration = Duration::from_secs(2_629_746);
/// The default extended key usages: server and client authentication.
const DEFAULT_USAGES: &[&str] = &["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"];

fn invalid(property: &str) -> VaultError {
    VaultError::parameter(format!("Property policy.{property} has invalid value."))
}

/// Generates the key, the certificate and the signing request.
///
/// # Errors
/// 400 with the name of the unsupported property.
pub(super) fn make(policy: &Value, now: SimTime) -> Result<SelfSigned, VaultError> {
    let key = key(&policy["key_props"])?;
    let params = params(&policy["x509_props"], now)?;
    let content_type = match policy["secret_props"]["contentType"].as_str() {
        None => PKCS12,
        Some(PKCS12) => PKCS12,
        Some(PEM) => PEM,
        Some(_) => return Err(invalid("secret_props.contentType")),
    };
    let invalid_params = |_| invalid("x509_props");
    let csr = params.serialize_request(&key).map_err(invalid_params)?.der().to_vec();
    let certificate = params.self_signed(&key).map_err(invalid_params)?;
    let material = if content_type == PEM {
        Material::read(&format!("{}{}", key.serialize_pem(), certificate.pem()), "", false)
    } else {
        Material::from_parts(key.serialize_der(), certificate.der().to_vec())
    };
    let material = material.map_err(|unreadable| VaultError::parameter(unreadable.to_string()))?;
    Ok(SelfSigned { material, csr })
}

fn key(desired: &Value) -> Result<KeyPair, VaultError> {
    let size = desired["key_size"].as_u64();
    let key_pair = match desired["kty"].as_str().unwrap_or("RSA") {
        "RSA" | "RSA-HSM" => {
            let size = match size.unwrap_or(2048) {
                2048 => RsaKeySize::_2048,
                3072 => RsaKeySize::_3072,
                4096 => RsaKeySize::_4096,
                _ => return Err(invalid("key_props.key_size")),
            };
            KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size)
        }
        "EC" | "EC-HSM" => match (desired["crv"].as_str(), size) {
            (Some("P-256"), _) | (None, None | Some(256)) => {
                KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)
            }
            (Some("P-384"), _) | (None, Some(384)) => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
            (Some("P-521"), _) | (None, Some(521)) => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512),
            _ => return Err(invalid("key_props.crv")),
        },
        _ => return Err(invalid("key_props.kty")),
    };
    key_pair.map_err(|_| invalid("key_props"))
}

fn params(desired: &Value, now: SimTime) -> Result<CertificateParams, VaultError> {
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(|one| one.as_str().map(str::to_owned)).collect()
    };
    let mut params = CertificateParams::new(Vec::new()).map_err(|_| invalid("x509_props"))?;
    let subject = desired["subject"].as_str().unwrap_or_default();
    let names = texts(&desired["sans"]["dns_names"]);
    if subject.is_empty() && names.is_empty() {
        return Err(invalid("x509_props.subject"));
    }
    params.distinguished_name = distinguished(subject).ok_or_else(|| invalid("x509_props.subject"))?;
    let bad_name = |_| invalid("x509_props.sans");
    for name in names {
        params.subject_alt_names.push(SanType::DnsName(name.try_into().map_err(bad_name)?));
    }
    for mail in texts(&desired["sans"]["emails"]) {
        params.subject_alt_names.push(SanType::Rfc822Name(mail.try_into().map_err(bad_name)?));
    }
    params.key_usages = usages(&texts(&desired["key_usage"]))?;
    let purposes = match &desired["ekus"] {
        Value::Array(_) => texts(&desired["ekus"]),
        _ => DEFAULT_USAGES.iter().map(|oid| (*oid).to_owned()).collect(),
    };
    for oid in purposes {
        let numbers = oid.split('.').map(str::parse).collect::<Result<Vec<u64>, _>>();
        let numbers = numbers.map_err(|_| invalid("x509_props.ekus"))?;
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::Other(numbers));
    }
    params.is_ca = IsCa::ExplicitNoCa;
    let months = match &desired["validity_months"] {
        Value::Null => 12,
        months => months.as_u64().filter(|months| (1..=1200).contains(months)).unwrap_or(0),
    };
    let months = u32::try_from(months).ok().filter(|months| *months > 0);
    let months = months.ok_or_else(|| invalid("x509_props.validity_months"))?;
    let since_epoch = Duration::from_secs(u64::try_from(now.unix_seconds()).unwrap_or(0));
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + since_epoch.saturating_sub(BACKDATING);
    params.not_after = epoch + since_epoch + MONTH * months;
    Ok(params)
}

/// Parses `CN=www.example.com, O=Example`; the most specific part comes first, and a comma ends a part.
fn distinguished(subject: &str) -> Option<DistinguishedName> {
    let mut name = DistinguishedName::new();
    let parts: Vec<&str> = subject.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    for part in parts.into_iter().rev() {
        let (kind, value) = part.split_once('=')?;
        let kind = match kind.trim().to_ascii_uppercase().as_str() {
            "CN" => DnType::CommonName,
            "O" => DnType::OrganizationName,
            "OU" => DnType::OrganizationalUnitName,
            "L" => DnType::LocalityName,
            "S" | "ST" => DnType::StateOrProvinceName,
            "C" => DnType::CountryName,
            _ => return None,
        };
        name.push(kind, value.trim().trim_matches('"'));
    }
    Some(name)
}

fn usages(desired: &[String]) -> Result<Vec<KeyUsagePurpose>, VaultError> {
    let read = |name: &String| {
        Ok(match name.as_str() {
            "digitalSignature" => KeyUsagePurpose::DigitalSignature,
            "nonRepudiation" => KeyUsagePurpose::ContentCommitment,
            "keyEncipherment" => KeyUsagePurpose::KeyEncipherment,
            "dataEncipherment" => KeyUsagePurpose::DataEncipherment,
            "keyAgreement" => KeyUsagePurpose::KeyAgreement,
            "keyCertSign" => KeyUsagePurpose::KeyCertSign,
            "cRLSign" => KeyUsagePurpose::CrlSign,
            "encipherOnly" => KeyUsagePurpose::EncipherOnly,
            "decipherOnly" => KeyUsagePurpose::DecipherOnly,
            _ => return Err(invalid("x509_props.key_usage")),
        })
    };
    if desired.is_empty() {
        return Ok(vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment]);
    }
    desired.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::policy::CertificateInfo;
    use serde_json::json;

    const NOW: SimTime = SimTime(1_795_421_700_000);

    #[test]
    fn keys_have_the_requested_type() {
        for (key, kind) in [
            (json!({"kty": "EC", "crv": "P-384"}), "EC"),
            (json!({"kty": "EC", "key_size": 521}), "EC"),
            (json!({"kty": "RSA", "key_size": 2048}), "RSA"),
        ] {
            let policy = json!({"key_props": key, "x509_props": {"subject": "CN=a.example.com, O=Example"}});
            let key_pair = make(&policy, NOW).unwrap_or_else(|error| panic!("{error:?}"));
            let certificate_info = CertificateInfo::of(key_pair.material.leaf()).unwrap();
            assert_eq!(certificate_info.jwk["kty"], kind);
            let policy = certificate_info.policy("id", PKCS12, None, 0);
            assert_eq!(policy["x509_props"]["subject"], "CN=a.example.com, O=Example");
            assert_eq!(policy["x509_props"]["validity_months"], 12);
        }
    }

    #[test]
    fn a_refusal_names_the_property() {
        let good = json!({"key_props": {"kty": "EC"}, "x509_props": {"subject": "CN=a"}});
        assert!(make(&good, NOW).is_ok());
        for (pointer, value) in [
            ("/key_props/kty", json!("oct")),
            ("/x509_props/subject", json!("")),
            ("/x509_props/subject", json!("a.example.com")),
            ("/x509_props/validity_months", json!(0)),
            ("/x509_props/key_usage", json!(["walking"])),
            ("/secret_props/contentType", json!("text/plain")),
        ] {
            let mut policy = good.clone();
            let mut at = &mut policy;
            for key in pointer.split('/').skip(1) {
                at = &mut at[key];
            }
            *at = value;
            let error = make(&policy, NOW).err().unwrap();
            let property = pointer[1..].replace('/', ".");
            assert!(format!("{error:?}").contains(&property), "{error:?} for {pointer}");
        }
    }
}
