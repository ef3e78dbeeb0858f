//! Invalid input ends with exit 2 before any change, each error with its own message, source and remedy.

use crate::environment::{TestEnvironment, pfx};

/// Runs `up`, which must fail with all these words, and leave no trace.
fn refused(env: &TestEnvironment, words: &[&str]) {
    let output = env.expect(2, &["up"]);
    for word in words {
        assert!(output.stderr.contains(word), "{word:?} is not said:\n{}", output.stderr);
    }
    assert!(output.stderr.contains("hint"), "no hint:\n{}", output.stderr);
    assert!(output.stdout.is_empty());
    assert!(!env.state().exists(), "a state folder was made");
}

fn file(text: &str) -> TestEnvironment {
    let env = TestEnvironment::instant();
    env.write("landfall.toml", text);
    env
}

#[test]
fn an_unknown_key_is_reported_with_its_line_and_the_nearest_key() {
    refused(
        &file("domain = \"a.example.com\"\n\n[cluster]\nnode_sise = \"x\"\n"),
        &["landfall.toml:4", "node_sise", "node_size"],
    );
}

#[test]
fn a_wrong_type_is_named_with_its_line() {
    refused(&file("[cluster]\nnodes = \"two\"\n"), &["landfall.toml:2", "nodes"]);
}

#[test]
fn two_spellings_of_one_tag_are_refused() {
    let env = file("[tags]\nenvironment = \"a\"\nEnvironment = \"b\"\n");
    refused(&env, &["landfall.toml", "Environment and environment are one tag", "keep one spelling"]);
    let env = file("[tags]\nLandfall = \"x\"\n");
    refused(&env, &["Landfall is the tag \"landfall\"", "choose another name"]);
}

#[test]
fn every_config_error_is_reported_at_once_with_its_source() {
    let env = file("[network]\nsubnet_prefix = \"10.9.0.0/22\"\n\n[canary]\nstable = 90\ncanary = 20\n")
        .with("DOMAIN_NAME", "not a domain")
        .with("KEYVAULT_NAME", "kv--bad");
    refused(&env, &["DOMAIN_NAME", "KEYVAULT_NAME", "10.9.0.0/22", "90", "20", "100"]);
}

#[test]
fn ranges_that_overlap_are_refused() {
    refused(
        &file("[cluster]\nservice_cidr = \"10.0.128.0/20\"\ndns_service_ip = \"10.0.128.10\"\n"),
        &["10.0.128.0/20", "10.0.0.0/16", "overlap"],
    );
}

#[test]
fn a_dns_service_address_outside_the_services_range_is_refused() {
    refused(&file("[cluster]\ndns_service_ip = \"10.2.0.10\"\n"), &["10.2.0.10", "10.1.0.0/16"]);
}

#[test]
fn a_subnet_too_small_for_the_nodes_is_refused() {
    refused(&file("[network]\nsubnet_prefix = \"10.0.0.0/27\"\n"), &["10.0.0.0/27", "27", "124"]);
}

#[test]
fn a_vault_name_against_the_rules_is_refused() {
    refused(&TestEnvironment::instant().with("KEYVAULT_NAME", "1kv"), &["KEYVAULT_NAME", "1kv", "letter"]);
}

#[test]
fn a_kubernetes_version_that_the_region_does_not_offer_is_refused_with_the_list() {
    let env = TestEnvironment::instant().with("K8S_VERSION", "1.12");
    let output = env.expect(3, &["up"]);
    for word in ["1.12", "eastus", "(default)"] {
        assert!(output.stderr.contains(word), "{word}: {}", output.stderr);
    }
    assert!(
        env.request_log().iter().all(|line| line["method"] == "GET" || asks(line["path"].as_str().unwrap()))
    );
}

/// Returns whether a POST changes nothing: the sign-in, and checks of names and policies.
fn asks(path: &str) -> bool {
    ["/token", "/checkNameAvailability", "/checkPolicyRestrictions"].iter().any(|end| path.ends_with(end))
}

#[test]
fn every_unusable_certificate_has_its_own_message() {
    for (name, password, words) in [
        ("rsa.pfx", "wrong", &["password"][..]),
        ("pem-by-mistake.pfx", "hunter2", &["PEM", "openssl pkcs12 -export"]),
        ("expired.pfx", "hunter2", &["expired"]),
        ("wrong-domain.pfx", "hunter2", &["demo.example.com"]),
    ] {
        let env = TestEnvironment::instant()
            .with("SSL_PFX_PATH", pfx(name).to_str().unwrap())
            .with("SSL_PFX_PASSWORD", password);
        refused(&env, words);
    }
}

#[test]
fn a_password_is_never_an_argument() {
    let env = TestEnvironment::instant();
    env.expect(2, &["up", "--certificate-password", "x"]);
}
