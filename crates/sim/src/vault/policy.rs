//! The certificate policy that an import derives from the X.509 certificate itself.
//!
//! Source: "Certificate policy" and `CertificatePolicy` of the Key Vault data plane, api-version 7.4 and
//! later. The issuer of an imported certificate is `Unknown` unless its policy names another: the vault can never
//! renew it.

use serde_json::{Map, Value, json};
use x509_parser::extensions::{GeneralName, KeyUsage};
use x509_parser::prelude::X509Certificate;
use x509_parser::public_key::PublicKey;
use x509_parser::{oid_registry, parse_x509_certificate};

/// The properties of a leaf certificate that the vault shows.
pub(crate) struct CertificateInfo {
    /// Seconds since the epoch.
    pub(crate) not_before: i64,
    /// Seconds since the epoch.
    pub(crate) not_after: i64,
    /// The public key as a JSON Web Key, without `kid` and `key_ops`.
    pub(crate) jwk: Map<String, Value>,
    /// `key_props` without `exportable` and `reuse_key`.
    key: Map<String, Value>,
    /// `x509_props`.
    x509: Value,
}

impl CertificateInfo {
    /// Parses a leaf certificate; returns `None` if it is invalid or its key is neither RSA nor on a NIST
    /// curve.
    pub(crate) fn of(der: &[u8]) -> Option<CertificateInfo> {
        let (_, certificate) = parse_x509_certificate(der).ok()?;
        let (key, jwk) = key(&certificate)?;
        let validity = certificate.validity();
        let (not_before, not_after) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        let x509 = x509(&certificate, months(not_before, not_after));
        Some(CertificateInfo { not_before, not_after, jwk, key, x509 })
    }

    /// Returns the policy: the derived values, overridden by those of the caller where the service accepts
    /// them.
    pub(crate) fn policy(&self, id: &str, content_type: &str, desired: Option<&Value>, at: i64) -> Value {
        let flag =
            |pointer: &str| desired.and_then(|policy| policy.pointer(pointer)).and_then(Value::as_bool);
        let mut key = Map::new();
        key.insert("exportable".into(), json!(flag("/key_props/exportable").unwrap_or(true)));
        key.extend(self.key.clone());
        key.insert("reuse_key".into(), json!(flag("/key_props/reuse_key").unwrap_or(false)));
        let actions = desired.and_then(|policy| policy.get("lifetime_actions")).cloned().unwrap_or_else(
            || json!([{"trigger": {"lifetime_percentage": 80}, "action": {"action_type": "EmailContacts"}}]),
        );
        json!({
            "id": id,
            "key_props": key,
            "secret_props": {"contentType": content_type},
            "x509_props": self.x509,
            "lifetime_actions": actions,
            "issuer": {"name": desired.and_then(|policy| policy["issuer"]["name"].as_str()).unwrap_or("Unknown")},
            "attributes": {"enabled": true, "created": at, "updated": at},
        })
    }

    /// Returns the names of the certificate as an import shows them: every list, if there is any name.
    pub(crate) fn all_names(policy: &mut Value) {
        let names = &mut policy["x509_props"]["sans"];
        if names.is_object() {
            let of = |list: &str| names.get(list).cloned().unwrap_or_else(|| json!([]));
            *names = json!({"emails": of("emails"), "dns_names": of("dns_names"), "upns": of("upns")});
        }
    }
}

/// Returns the whole months between two instants, at least one; a month is the mean of the Gregorian
/// calendar.
fn months(from: i64, to: i64) -> i64 {
    const MONTH_SECONDS: f64 = 365.2425 / 12.0 * 86_400.0;
    (((to - from) as f64 / MONTH_SECONDS).round() as i64).max(1)
}

fn key(certificate: &X509Certificate<'_>) -> Option<(Map<String, Value>, Map<String, Value>)> {
    use base64::Engine as _;
    let text = |bytes: &[u8]| json!(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes));
    let (mut props, mut jwk) = (Map::new(), Map::new());
    match certificate.public_key().parsed().ok()? {
        PublicKey::RSA(rsa) => {
            let modulus = rsa.modulus.strip_prefix(&[0]).unwrap_or(rsa.modulus);
            props.extend([("kty".into(), json!("RSA")), ("key_size".into(), json!(modulus.len() * 8))]);
            jwk.extend([("kty".into(), json!("RSA"))]);
            jwk.extend([("n".into(), text(modulus)), ("e".into(), text(rsa.exponent))]);
        }
        PublicKey::EC(point) => {
            let coordinates = point.data().get(1..)?;
            let (x, y) = coordinates.split_at(coordinates.len() / 2);
            let (curve, bits) = match x.len() {
                32 => ("P-256", 256),
                48 => ("P-384", 384),
                66 => ("P-521", 521),
                _ => return None,
            };
            props.extend([("kty".into(), json!("EC")), ("key_size".into(), json!(bits))]);
            props.insert("crv".into(), json!(curve));
            jwk.extend([("kty".into(), json!("EC")), ("crv".into(), json!(curve))]);
            jwk.extend([("x".into(), text(x)), ("y".into(), text(y))]);
        }
        _ => return None,
    }
    Some((props, jwk))
}

fn x509(certificate: &X509Certificate<'_>, months: i64) -> Value {
    let mut names: Map<String, Value> = Map::new();
    let mut add = |list: &str, name: &str| {
        let entry = names.entry(list.to_owned()).or_insert_with(|| json!([]));
        if let Some(list) = entry.as_array_mut() {
            list.push(json!(name));
        }
    };
    if let Ok(Some(extension)) = certificate.subject_alternative_name() {
        for name in &extension.value.general_names {
            match name {
                GeneralName::DNSName(name) => add("dns_names", name),
                GeneralName::RFC822Name(name) => add("emails", name),
                _ => {}
            }
        }
    }
    let mut props = json!({"subject": subject(certificate), "ekus": extended(certificate)});
    let usage = certificate.key_usage().ok().flatten();
    props["key_usage"] = json!(usage.map(|usage| usages(usage.value)).unwrap_or_default());
    if !names.is_empty() {
        props["sans"] = Value::Object(names);
    }
    props["validity_months"] = json!(months);
    props["basic_constraints"] = json!({"ca": certificate.is_ca()});
    props
}

/// Returns the subject with its most specific part first, as the service prints it.
fn subject(certificate: &X509Certificate<'_>) -> String {
    let mut parts: Vec<String> = certificate
        .subject()
        .iter_attributes()
        .map(|part| {
            let registry = oid_registry();
            let short = x509_parser::objects::oid2abbrev(part.attr_type(), registry).unwrap_or("OID");
            format!("{short}={}", part.as_str().unwrap_or_default())
        })
        .collect();
    parts.reverse();
    parts.join(", ")
}

fn oid_registry() -> &'static oid_registry::OidRegistry<'static> {
    static REGISTRY: std::sync::OnceLock<oid_registry::OidRegistry<'static>> = std::sync::OnceLock::new();
    REGISTRY.get_or_init(|| oid_registry::OidRegistry::default().with_all_crypto().with_x509())
}

fn extended(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.extended_key_usage() else { return Vec::new() };
    let usage = extension.value;
    let known = [
        (usage.any, "2.5.29.37.0"),
        (usage.server_auth, "1.3.6.1.5.5.7.3.1"),
        (usage.client_auth, "1.3.6.1.5.5.7.3.2"),
        (usage.code_signing, "1.3.6.1.5.5.7.3.3"),
        (usage.email_protection, "1.3.6.1.5.5.7.3.4"),
        (usage.time_stamping, "1.3.6.1.5.5.7.3.8"),
        (usage.ocsp_signing, "1.3.6.1.5.5.7.3.9"),
    ];
    let mut all: Vec<String> =
        known.iter().filter(|(set, _)| *set).map(|(_, oid)| (*oid).to_owned()).collect();
    all.extend(usage.other.iter().map(ToString::to_string));
    all
}

fn usages(usage: &KeyUsage) -> Vec<&'static str> {
    let all = [
        (usage.digital_signature(), "digitalSignature"),
        (usage.non_repudiation(), "nonRepudiation"),
        (usage.key_encipherment(), "keyEncipherment"),
        (usage.data_encipherment(), "dataEncipherment"),
        (usage.key_agreement(), "keyAgreement"),
        (usage.key_cert_sign(), "keyCertSign"),
        (usage.crl_sign(), "cRLSign"),
        (usage.encipher_only(), "encipherOnly"),
        (usage.decipher_only(), "decipherOnly"),
    ];
    all.iter().filter(|(set, _)| *set).map(|(_, name)| *name).collect()
}

#[cfg(test)]
mod tests {
    use super::super::material::{Material, tests::fixture};
    use super::*;

    fn policy_of(name: &str) -> Value {
        let material = Material::read(&fixture(name), "correct-horse", false).unwrap();
        CertificateInfo::of(material.leaf()).unwrap().policy("id", "application/x-pkcs12", None, 7)
    }

    #[test]
    fn the_policy_is_read_off_the_certificate() {
        let policy = policy_of("rsa-default.pfx");
        assert_eq!(
            policy["key_props"],
            json!({"exportable": true, "kty": "RSA", "key_size": 2048, "reuse_key": false})
        );
        assert_eq!(
            policy["x509_props"],
            json!({
                "subject": "CN=demo.example.com",
                "ekus": ["1.3.6.1.5.5.7.3.1"],
                "key_usage": ["digitalSignature", "keyEncipherment"],
                "sans": {"dns_names": ["demo.example.com", "*.demo.example.com"]},
                "validity_months": 1199,
                "basic_constraints": {"ca": false},
            })
        );
        assert_eq!(policy["issuer"]["name"], "Unknown");
    }

    #[test]
    fn an_elliptic_key_names_its_curve() {
        assert_eq!(
            policy_of("ec.pfx")["key_props"],
            json!({"exportable": true, "kty": "EC", "key_size": 256, "crv": "P-256", "reuse_key": false})
        );
    }

    #[test]
    fn requested_policy_values_override_derived_ones() {
        let material = Material::read(&fixture("ec.pfx"), "correct-horse", false).unwrap();
        let desired = json!({"key_props": {"exportable": false}});
        let policy = CertificateInfo::of(material.leaf()).unwrap().policy(
            "id",
            "application/x-pkcs12",
            Some(&desired),
            7,
        );
        assert_eq!(policy["key_props"]["exportable"], false);
    }
}
