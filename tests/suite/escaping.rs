//! Text from servers, files and people never reaches a terminal unescaped: planted names, in every command's
//! output.

use crate::environment::{CommandOutput, TestEnvironment};
use landfall_sim::{Options, Sim, Speed};
use std::ffi::OsString;

/// Clears the screen, rings, overwrites the line, reorders, hides.
const INJECTED: &str = "x\u{1b}[2J\u{7}\r\u{9b}31m\u{202e}\u{2066}\u{200b}\u{200f}\u{61c}\u{2028}\u{7f}y";

fn is_deceptive(letter: char) -> bool {
    letter.is_control() && letter != '\n'
        || matches!(letter, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Writes a text as YAML with every unusual character as an escape, as a generator does.
fn quoted(text: &str) -> String {
    let escaped = |letter: char| match letter.is_ascii_alphanumeric() {
        true => letter.to_string(),
        false => format!("\\u{:04x}", u32::from(letter)),
    };
    format!("\"{}\"", text.chars().map(escaped).collect::<String>())
}

/// Checks all output of a run, on both streams.
fn assert_escaped(output: &CommandOutput) {
    for text in [&output.stdout, &output.stderr] {
        assert!(!text.contains(is_deceptive), "{text:?}");
    }
}

#[test]
fn an_injected_setting_is_escaped_in_every_error() {
    let env = TestEnvironment::instant().with("DOMAIN_NAME", INJECTED).with("KEYVAULT_NAME", INJECTED);
    env.write("landfall.toml", "tags = { \"a\\u001B[2Jb\" = \"c\\u202Ed\" }\n\"k\\u001B[2J\" = 1\n");
    let output = env.expect(2, &["up"]);
    assert_escaped(&output);
    assert!(output.stderr.contains("\\u{1b}[2J") && output.stderr.contains("\\u{202e}"), "{}", output.stderr);
    for color in ["always", "never"] {
        let output = env.expect(2, &["up", "--color", color]);
        assert!(
            !output.stderr.contains("\u{1b}[2J") && !output.stderr.contains('\u{202e}'),
            "{:?}",
            output.stderr
        );
    }
}

#[test]
fn an_injected_argument_is_escaped() {
    let env = TestEnvironment::instant();
    for arguments in
        [&[INJECTED][..], &["up", "--auth", INJECTED], &["plan", "--config", INJECTED], &["up", INJECTED]]
    {
        assert_escaped(&env.expect(2, arguments));
    }
}

#[test]
fn an_injected_manifest_is_escaped_in_plans_runs_and_errors() {
    let env = TestEnvironment::instant();
    let object = |name: &str| {
        let name = quoted(name);
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: shop, annotations: {{ note: {name} }} }}\ndata: {{ a: {name} }}\n"
        )
    };
    env.write("manifests/shop.yaml", object("plain"));
    env.expect(0, &["up", "--manifests", "manifests"]);
    env.write("manifests/shop.yaml", object(INJECTED));
    assert_escaped(&env.expect(0, &["plan", "--manifests", "manifests"]));
    assert_escaped(&env.expect(0, &["plan", "--manifests", "manifests", "--format", "json"]));
    assert_escaped(&env.expect(0, &["up", "--manifests", "manifests", "-vv"]));
}

#[test]
fn json_output_contains_injected_text_as_json_escapes() {
    let env = TestEnvironment::instant();
    let write = |value: &str| {
        let value = quoted(value);
        env.write(
            "manifests/a.yaml",
            format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: a }}\ndata: {{ k: {value} }}\n"),
        )
    };
    write("plain");
    env.expect(0, &["up", "--manifests", "manifests"]);
    write(INJECTED);
    let output = env.expect(0, &["plan", "--manifests", "manifests", "--format", "json"]);
    assert_escaped(&output);
    let document: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert!(
        document.to_string().contains('\u{202e}'),
        "the value itself is the planted one: {}",
        output.stdout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_injected_lock_is_escaped_by_down() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up"]);
    let folder = env.state().join("sim");
    let sim = Sim::open(&folder, Options { speed: Speed::Instant, ..Options::default() }).await.unwrap();
    let facts = sim.connection().clone();
    let id = format!(
        "/subscriptions/{}/resourceGroups/rg-aks-istio-gateway-demo/providers/Microsoft.Authorization/locks/keep",
        facts.subscription
    );
    put_lock(&facts, &id).await;
    sim.close().await;
    let output = tokio::task::spawn_blocking(move || env.run(&["down", "--yes"])).await.unwrap();
    assert_escaped(&output);
    assert!(output.stderr.contains("\\u{1b}[2J"), "{}", output.stderr);
}

/// Puts a lock with a planted note, as `az lock create --notes` does.
async fn put_lock(facts: &landfall_sim::ConnectionInfo, id: &str) {
    use landfall_cloud::{
        ArmClient, Credential, Endpoints, RequestCounter, Roots, Secret, SignIn, SignInFacts, arm::Condition,
    };
    let endpoints = Endpoints {
        login: facts.login.parse().unwrap(),
        arm: facts.arm.parse().unwrap(),
        arm_audience: facts.arm_audience.clone(),
        vault_suffix: facts.vault_suffix.clone(),
        vault_audience: facts.vault_audience.clone(),
        roots: Roots::Only(vec![facts.ca_pem.clone()]),
        ..Endpoints::public()
    };
    let secret = Secret::new(facts.client_secret.clone());
    let sign_in =
        SignIn::ServicePrincipal { tenant: facts.tenant.clone(), client_id: facts.client_id.clone(), secret };
    let request_counter = RequestCounter::new();
    let credential =
        Credential::new(&sign_in, &SignInFacts::default(), &endpoints, &request_counter).unwrap();
    let arm =
        ArmClient::new(&endpoints, &credential, &request_counter, "c0ffee00-0000-4000-8000-000000000002")
            .unwrap();
    let body = serde_json::json!({ "properties": { "level": "CanNotDelete", "notes": format!("{INJECTED}\nREADY") } });
    arm.put(id, "2020-05-01", &body, Condition::None).await.unwrap();
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_utf_8_is_refused_by_name() {
    use std::os::unix::ffi::OsStringExt as _;
    let env = TestEnvironment::instant();
    for name in ["DOMAIN_NAME", "AZURE_CLIENT_SECRET", "SSL_PFX_PASSWORD", "KUBECONFIG", "HTTPS_PROXY"] {
        for command in ["up", "status", "graph"] {
            let value = OsString::from_vec(b"planted-\xff".to_vec());
            let output = env.command(&[command]).env(name, value).output().unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{command} with {name}: {stderr}");
            assert!(
                stderr.contains(name) && stderr.contains("UTF-8") && !stderr.contains("planted"),
                "{stderr}"
            );
        }
    }
    assert!(!env.state().exists());
}
