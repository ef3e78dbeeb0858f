//! Every PFX file of `fixtures/pfx`, opened and validated.

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use landfall_cloud::certificate::{CertificateError, Material, check_for};
use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, Pkcs12Archive, PrivateKeyChain};
use x509_parser::prelude::{FromDer, X509Certificate};

const PASSWORD: &str = "hunter2";
const UTF8_PASSWORD: &str = "pässwörd-日本";

fn read(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pfx");
    std::fs::read(folder.join(name)).expect("the fixture is there")
}

fn open(name: &str, password: &str) -> Result<Material, CertificateError> {
    Material::from_pfx(&read(name), password)
}

fn hosts() -> Vec<String> {
    vec!["demo.example.com".to_owned(), "*.demo.example.com".to_owned()]
}

/// Returns a fixed time at which all but the expired one are valid.
fn now() -> Timestamp {
    "2050-01-01T00:00:00Z".parse().expect("it is a time")
}

#[test]
fn every_variant_that_openssl_writes_is_accepted() {
    let good = [
        ("rsa.pfx", PASSWORD, 1),
        ("rsa-legacy.pfx", PASSWORD, 1),
        ("rsa-3des.pfx", PASSWORD, 1),
        ("rsa-chain.pfx", PASSWORD, 3),
        ("rsa-chain-legacy.pfx", PASSWORD, 3),
        ("ec.pfx", PASSWORD, 1),
        ("ec-legacy.pfx", PASSWORD, 1),
        ("ec-chain.pfx", PASSWORD, 3),
        ("empty-password.pfx", "", 1),
        ("empty-password-legacy.pfx", "", 1),
        ("utf8-password.pfx", UTF8_PASSWORD, 1),
        ("plain-bags.pfx", PASSWORD, 1),
        ("no-mac.pfx", PASSWORD, 1),
        ("two-leaves.pfx", PASSWORD, 1),
    ];
    for (name, password, chain_length) in good {
        let material = open(name, password).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(material.leaf().chain_length, chain_length, "{name}");
        assert_eq!(material.leaf().names, hosts(), "{name}");
        assert_eq!(check_for(&material, &hosts(), now()), Ok(()), "{name}");
        assert_eq!(*material.pfx().expose(), read(name), "{name} is kept byte for byte");
        assert_eq!(material.password().expose(), password);
        assert!(material.leaf().issuer.contains("Intermediate"), "{name}: {}", material.leaf().issuer);
        let cn = if name.starts_with("ec") { "CN=ec" } else { "CN=rsa" };
        assert!(material.leaf().subject.contains(cn), "{name}: {}", material.leaf().subject);
    }
}

/// Opens a file that strict readers refuse, and the file that is written instead of it.
fn open_variant(name: &str, bytes: &[u8], password: &str) {
    let material = Material::from_pfx(bytes, password).unwrap_or_else(|error| panic!("{name}: {error}"));
    let thumbprint =
        &open("rsa-chain.pfx", PASSWORD).expect("the fixture opens").leaf().thumbprint_sha1.clone();
    assert_eq!(&material.leaf().thumbprint_sha1, thumbprint, "{name}");
    assert_eq!(material.leaf().chain_length, 3, "{name}");
    let (pfx, own_password) = (material.pfx().expose(), material.password().expose());
    assert_ne!(pfx, bytes, "{name}: the vault gets plain DER");
    let strict = Pkcs12Archive::from_pkcs12(pfx, own_password).expect("plain DER");
    assert_eq!((strict.keys.len(), strict.certs.len()), (1, 3), "{name}");
    assert_eq!(strict.certs[0].cert.as_der(), material.certificate(), "{name}: the leaf is the first");
    let reopened = Material::from_pfx(pfx, own_password).expect("the written file opens");
    assert_eq!(&reopened.leaf().thumbprint_sha1, thumbprint, "{name}");
}

#[test]
fn every_encoding_that_openssl_opens_is_accepted() {
    for name in ["ber.pfx", "ber-inside.pfx", "pbmac1.pfx", "rc2-128.pfx"] {
        open_variant(name, &read(name), PASSWORD);
        assert_eq!(open(name, "wrong").unwrap_err(), CertificateError::WrongPassword, "{name}");
    }
    let plain = read("rsa-chain.pfx");
    for (name, after) in [("CR LF", &b"\r\n"[..]), ("zeros", &[0; 16]), ("text", b"# exported today")] {
        open_variant(name, &[&plain, after].concat(), PASSWORD);
    }
    let wrong = Material::from_pfx(&[&plain, &b"\r\n"[..]].concat(), "wrong").unwrap_err();
    assert_eq!(wrong, CertificateError::WrongPassword);
}

#[test]
fn base64_of_a_file_is_accepted_in_every_layout() {
    let line = STANDARD.encode(read("rsa-chain.pfx"));
    let wrapped = |end: &str| {
        let lines = line.as_bytes().chunks(64).map(|part| std::str::from_utf8(part).unwrap().to_owned());
        lines.collect::<Vec<String>>().join(end)
    };
    let utf16 =
        |order: fn(u16) -> [u8; 2]| [0xfeff].into_iter().chain(line.encode_utf16()).flat_map(order).collect();
    let texts: [(&str, Vec<u8>); 9] = [
        ("one line", format!("{line}\n").into()),
        ("without its padding", line.trim_end_matches('=').into()),
        ("wrapped", wrapped("\n").into()),
        ("wrapped with CR LF", format!("\u{feff}{}\r\n", wrapped("\r\n")).into()),
        ("as a JSON string", format!("\"{line}\"\n").into()),
        ("armoured", format!("-----BEGIN PKCS12-----\n{}\n-----END PKCS12-----\n", wrapped("\n")).into()),
        (
            "by certutil -encode",
            format!("-----BEGIN CERTIFICATE-----\r\n{}\r\n-----END CERTIFICATE-----\r\n", wrapped("\r\n"))
                .into(),
        ),
        ("UTF-16", utf16(u16::to_le_bytes)),
        ("UTF-16, big-endian", utf16(u16::to_be_bytes)),
    ];
    for (name, text) in texts {
        open_variant(name, &text, PASSWORD);
        assert_eq!(
            Material::from_pfx(&text, "wrong").unwrap_err(),
            CertificateError::WrongPassword,
            "{name}"
        );
    }
    open_variant("BER in base64", STANDARD.encode(read("ber.pfx")).as_bytes(), PASSWORD);
    for text in ["aGVsbG8gd29ybGQ=", "not base64!", " \r\n", "\"\""] {
        let refused = Material::from_pfx(text.as_bytes(), PASSWORD).unwrap_err();
        assert!(matches!(refused, CertificateError::NotPfx { .. }), "{text}: {refused}");
    }
}

#[test]
fn a_password_with_surrogate_pairs_opens_what_openssl_wrote() {
    for name in ["surrogate-password.pfx", "surrogate-password-legacy.pfx"] {
        open_variant(name, &read(name), "\u{1f5dd}hunter2");
        assert_eq!(open(name, PASSWORD).unwrap_err(), CertificateError::WrongPassword, "{name}");
    }
}

#[test]
fn the_password_is_wrong_only_if_it_is() {
    let began = std::time::Instant::now();
    let refused = open("many-iterations.pfx", PASSWORD).unwrap_err();
    assert_eq!(refused, CertificateError::TooManyIterations { iterations: 4_000_000 });
    assert!(began.elapsed().as_secs() < 5, "it is refused before the derivation");
    let changed = open("changed.pfx", PASSWORD).unwrap_err();
    assert!(changed.to_string().contains("changed after its export"), "{changed}");
    assert_eq!(open("changed.pfx", "wrong").unwrap_err(), CertificateError::WrongPassword);
    let whole = read("rsa.pfx");
    let cut = Material::from_pfx(&whole[..whole.len() - 1], PASSWORD).unwrap_err();
    assert!(cut.to_string().contains("incomplete"), "{cut}");
}

#[test]
fn the_leaf_is_the_same_however_the_file_was_written() {
    let thumbprint = |name| open(name, PASSWORD).unwrap().leaf().thumbprint_sha1.clone();
    for name in ["rsa-legacy.pfx", "rsa-3des.pfx", "rsa-chain.pfx", "rsa-chain-legacy.pfx", "two-leaves.pfx"]
    {
        assert_eq!(thumbprint(name), thumbprint("rsa.pfx"), "{name}");
    }
    let material = open("rsa.pfx", PASSWORD).unwrap();
    assert_eq!(material.certificate(), read("certificate-by-mistake.pfx"));
    assert_eq!((material.leaf().thumbprint_sha1.len(), material.leaf().thumbprint_sha256.len()), (40, 64));
}

#[test]
fn a_wrong_password_is_distinguished_from_an_invalid_file() {
    let encrypted = [
        "rsa.pfx",
        "rsa-legacy.pfx",
        "rsa-3des.pfx",
        "rsa-chain.pfx",
        "ec.pfx",
        "empty-password.pfx",
        "empty-password-legacy.pfx",
        "utf8-password.pfx",
        "plain-bags.pfx",
        "no-mac.pfx",
    ];
    for name in encrypted {
        assert_eq!(open(name, "wrong").unwrap_err(), CertificateError::WrongPassword, "{name}");
    }
    assert_eq!(open("rsa.pfx", "").unwrap_err(), CertificateError::WrongPassword);
    for name in ["pem-by-mistake.pfx", "pem-with-attributes.pfx"] {
        assert_eq!(open(name, PASSWORD).unwrap_err(), CertificateError::Pem, "{name}");
    }
    let not_pfx =
        |bytes: &[u8]| matches!(Material::from_pfx(bytes, PASSWORD), Err(CertificateError::NotPfx { .. }));
    assert!(not_pfx(&read("certificate-by-mistake.pfx")));
    assert!(not_pfx(b""));
    assert!(not_pfx(b"hello"));
    let whole = read("rsa.pfx");
    assert!(not_pfx(&whole[..whole.len() / 2]), "half a file");
}

#[test]
fn a_file_without_key_or_certificate_names_the_missing_part() {
    assert_eq!(open("no-key.pfx", PASSWORD).unwrap_err(), CertificateError::NoPrivateKey);
    assert_eq!(open("no-certificate.pfx", PASSWORD).unwrap_err(), CertificateError::NoCertificate);
}

#[test]
fn keys_that_the_vault_refuses_are_refused_locally() {
    for name in ["weak.pfx", "ed25519.pfx"] {
        let refused = open(name, PASSWORD).unwrap_err();
        assert!(matches!(refused, CertificateError::UnsupportedKey { .. }), "{name}: {refused}");
    }
}

#[test]
fn a_key_with_the_certificate_of_another_does_not_match() {
    let key = Pkcs12Archive::from_pkcs12(&read("rsa.pfx"), PASSWORD).unwrap().keys.remove(0).key;
    let other = open("ec.pfx", PASSWORD).unwrap();
    let chain = PrivateKeyChain::new(vec![1_u8], key, [Certificate::from_der(other.certificate()).unwrap()]);
    let mut store = KeyStore::new();
    store.add_entry("mixed", KeyStoreEntry::PrivateKeyChain(chain));
    let bytes = store.writer(PASSWORD).write().unwrap();
    assert_eq!(Material::from_pfx(&bytes, PASSWORD).unwrap_err(), CertificateError::KeyMismatch);
}

#[test]
fn dates_and_names_are_checked_independently() {
    let expired = open("expired.pfx", PASSWORD).unwrap();
    let not_after = "2021-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(check_for(&expired, &hosts(), now()), Err(CertificateError::Expired { not_after }));

    let not_before = "2020-01-01T00:00:00Z".parse().unwrap();
    let early = "2019-06-01T00:00:00Z".parse().unwrap();
    assert_eq!(check_for(&expired, &hosts(), early), Err(CertificateError::NotYetValid { not_before }));
    let meanwhile = "2020-06-01T00:00:00Z".parse().unwrap();
    assert_eq!(check_for(&expired, &hosts(), meanwhile), Ok(()));

    let elsewhere = open("wrong-domain.pfx", PASSWORD).unwrap();
    let names = vec!["other.example.net".to_owned()];
    assert_eq!(
        check_for(&elsewhere, &hosts(), now()),
        Err(CertificateError::DoesNotCover { missing: hosts(), names })
    );
}

#[test]
fn every_error_has_a_message_and_a_hint() {
    let errors = [
        CertificateError::WrongPassword,
        CertificateError::Pem,
        CertificateError::NotPfx { why: "x".to_owned() },
        CertificateError::UnsupportedPfx { what: "x".to_owned() },
        CertificateError::TooManyIterations { iterations: 1 },
        CertificateError::NoPrivateKey,
        CertificateError::NoCertificate,
        CertificateError::KeyMismatch,
        CertificateError::Expired { not_after: now() },
        CertificateError::NotYetValid { not_before: now() },
        CertificateError::DoesNotCover { missing: hosts(), names: Vec::new() },
        CertificateError::UnsupportedKey { algorithm: "Ed25519".to_owned() },
        CertificateError::Generate { why: "x".to_owned() },
    ];
    let hints: std::collections::BTreeSet<String> = errors.iter().map(CertificateError::hint).collect();
    assert_eq!(hints.len(), errors.len(), "each has its own");
    for error in errors {
        assert!(error.message().starts_with(char::is_lowercase), "{error}");
        assert!(!error.message().ends_with('.'), "{error}");
    }
}

#[test]
fn a_self_signed_certificate_is_valid_only_for_servers_of_its_domain() {
    let material = Material::self_signed("Demo.Example.com.", 30).unwrap();
    assert_eq!(material.leaf().names, hosts());
    assert_eq!(material.leaf().subject, "CN=demo.example.com");
    assert_eq!(material.leaf().issuer, material.leaf().subject);
    assert_eq!(check_for(&material, &hosts(), Timestamp::now()), Ok(()));
    let lasts = material.leaf().not_after.duration_since(material.leaf().not_before);
    assert_eq!(lasts.as_secs(), 30 * 24 * 60 * 60 + 5 * 60);

    let (_, parsed) = X509Certificate::from_der(material.certificate()).unwrap();
    let usage = parsed.key_usage().unwrap().unwrap().value;
    assert!(usage.digital_signature() && usage.key_encipherment() && !usage.key_cert_sign());
    assert!(parsed.extended_key_usage().unwrap().unwrap().value.server_auth);
    assert!(!parsed.basic_constraints().unwrap().unwrap().value.ca);
    assert!(parsed.verify_signature(None).is_ok());

    let another = Material::self_signed("demo.example.com", 30).unwrap();
    assert_ne!(another.leaf().thumbprint_sha1, material.leaf().thumbprint_sha1);
    assert_ne!(another.password().expose(), material.password().expose());
}

#[test]
fn a_self_signed_certificate_opens_in_openssl() {
    let material = Material::self_signed("demo.example.com", 1).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), material.pfx().expose()).unwrap();
    let mut openssl = Command::new("openssl");
    let password = format!("pass:{}", material.password().expose());
    openssl.args(["pkcs12", "-noout", "-passin", &password, "-in"]).arg(file.path());
    // Without OpenSSL on the machine there is no reference to compare with.
    let Ok(output) = openssl.output() else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn an_invalid_domain_creates_no_certificate() {
    for domain in ["", "a b", "-a.example.com", "*.example.com", "10.0.0.1", "::1", "a..b", "bücher.example"]
    {
        let refused = Material::self_signed(domain, 1).unwrap_err();
        assert!(matches!(refused, CertificateError::Generate { .. }), "{domain}: {refused}");
    }
    assert!(Material::self_signed("demo.example.com", 0).is_err());
    assert!(Material::self_signed("demo.example.com", u32::MAX).is_err());
    let long = format!("{}.example.com", "a".repeat(60));
    assert!(Material::self_signed(&long, 1).unwrap().covers(&long), "a name too long for a common name");
}

#[test]
fn debug_output_contains_no_secret() {
    let material = open("utf8-password.pfx", UTF8_PASSWORD).unwrap();
    assert!(!format!("{material:?}").contains(UTF8_PASSWORD));
}
