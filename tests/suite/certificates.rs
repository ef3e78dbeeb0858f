//! PFX files from OpenSSL are imported into the vault and arrive in the cluster's Secret.

use crate::environment::{TestEnvironment, pfx};
use base64::{Engine, engine::general_purpose::STANDARD};
use landfall_cloud::{
    RequestCounter, Secret,
    certificate::{Leaf, Material},
    kubernetes::{Cluster, Kind},
};
use landfall_sim::{Options, Sim};
use p12_keystore::Pkcs12Archive;
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

/// Returns the Secret's two values, read through the cluster's API after the end of the run.
pub async fn secret(env: &TestEnvironment) -> (String, String) {
    let sim = Sim::open(&env.state().join("sim"), Options::default()).await.unwrap();
    let kubeconfig = std::fs::read_to_string(env.state().join("kubeconfig")).unwrap();
    let cluster =
        Cluster::connect(&Secret::new(kubeconfig), None, &RequestCounter::default(), 60.0).await.unwrap();
    let secret = cluster.get(&Kind::SECRET, Some("default"), "gateway-tls-secret").await.unwrap().unwrap();
    let half = |key: &str| {
        let encoded = secret.data["data"][key].as_str().unwrap();
        String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap()
    };
    let halves = (half("tls.crt"), half("tls.key"));
    sim.close().await;
    halves
}

/// Returns the DER of every PEM block of a kind.
fn blocks(pem: &str, label: &str) -> Vec<Vec<u8>> {
    let parsed = x509_parser::pem::Pem::iter_from_buffer(pem.as_bytes());
    parsed.map(Result::unwrap).filter(|block| block.label == label).map(|block| block.contents).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_pfx_that_openssl_writes_comes_out_of_the_secret() {
    for (file, password, certificates) in [
        ("rsa.pfx", "hunter2", 1),
        ("rsa-legacy.pfx", "hunter2", 1),
        ("empty-password.pfx", "", 1),
        ("ec.pfx", "hunter2", 1),
        ("rsa-chain.pfx", "hunter2", 3),
        ("ec-chain.pfx", "hunter2", 3),
    ] {
        let env = TestEnvironment::instant()
            .with("SSL_PFX_PATH", pfx(file).to_str().unwrap())
            .with("SSL_PFX_PASSWORD", password);
        env.expect(0, &["up"]);
        let (crt, key) = secret(&env).await;
        let bytes = std::fs::read(pfx(file)).unwrap();
        let given = Pkcs12Archive::from_pkcs12(&bytes, password).unwrap();
        let out = blocks(&crt, "CERTIFICATE");
        assert_eq!(out.len(), certificates, "{file}");
        for block in &out {
            let there = given.certs.iter().any(|bag| bag.cert.as_der() == block);
            assert!(there, "{file}: a certificate that was not given");
        }
        let leaf = Leaf::from_der(&out[0]).unwrap();
        let material = Material::from_pfx(&bytes, password).unwrap();
        assert_eq!(leaf.thumbprint_sha1, material.leaf().thumbprint_sha1, "{file}: the leaf comes first");
        let (_, certificate) = X509Certificate::from_der(&out[0]).unwrap();
        let key = rcgen::KeyPair::from_pem(&key).unwrap();
        assert_eq!(
            rcgen::PublicKeyData::subject_public_key_info(&key),
            certificate.public_key().raw,
            "{file}: the key is the leaf's"
        );
    }
}

#[test]
fn a_missing_chain_is_a_warning() {
    let env = TestEnvironment::instant().with("SSL_PFX_PASSWORD", "hunter2");
    let with = |file: &str, args: &[&str]| {
        let output = env.command(args).env("SSL_PFX_PATH", pfx(file)).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let warning = "chain is missing: it was issued by O=Landfall fixtures, CN=Intermediate";
    for args in [&["plan"][..], &["up", "--verify"], &["verify"]] {
        let (code, text) = with("rsa.pfx", args);
        assert_eq!(code, Some(0), "{args:?}: {text}");
        let unwrapped = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(unwrapped.contains(warning), "{args:?}: {text}");
    }
    let (_, text) = with("rsa.pfx", &["doctor"]);
    assert!(text.contains("CERTIFICATE_CHAIN"), "{text}");
    for args in [&["rotate", "--pfx", pfx("rsa-chain.pfx").to_str().unwrap()][..], &["doctor"]] {
        let (code, text) = with("rsa-chain.pfx", args);
        assert!(code == Some(0) && !text.contains("chain is missing"), "{args:?}: {text}");
    }
}

#[test]
fn a_pfx_in_another_encoding_is_imported() {
    for (file, password) in
        [("ber.pfx", "hunter2"), ("pbmac1.pfx", "hunter2"), ("surrogate-password.pfx", "🗝hunter2")]
    {
        let env = TestEnvironment::instant()
            .with("SSL_PFX_PATH", pfx(file).to_str().unwrap())
            .with("SSL_PFX_PASSWORD", password);
        env.expect(0, &["up"]);
        env.expect(0, &["plan", "--detailed-exitcode"]);
    }
}

#[test]
fn a_new_pfx_replaces_the_certificate_and_the_same_one_does_not() {
    let env = TestEnvironment::instant().with("SSL_PFX_PASSWORD", "hunter2");
    let first = pfx("rsa.pfx");
    let second = pfx("ec.pfx");
    let up = |file: &std::path::Path| {
        let output = env.command(&["up", "--format", "json"]).env("SSL_PFX_PATH", file).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    up(&first);
    up(&first);
    assert_eq!(env.count("POST", "/import"), 2, "the challenge and the import");
    up(&second);
    assert!(env.count("POST", "/import") > 2);
}
