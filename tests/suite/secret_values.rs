//! The values of a Secret in the manifests are never in the program's output or its own files.

use crate::{
    environment::{CommandOutput, TestEnvironment},
    secrets::environment,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use landfall_sim::{Options, Sim, Speed};
use std::fs;
use tempfile::TempDir;

const INJECTED: [&str; 5] = ["s3cret-value", "s3cret-token", "s3cret-later", "8675309", "s3cret-applied"];
const SECRET: &str = "own/05-secret.yaml";
const REST: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: default}
spec: {selector: {app: shop}, ports: [{name: http, port: 80, targetPort: 5678}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: shop-gateway, namespace: default}
spec:
  gatewayClassName: approuting-istio
  listeners: [{name: http, port: 80, protocol: HTTP}]
"#;

/// Returns a Secret with these fields, and with the annotation that kubectl adds to applied objects.
fn secret(fields: &str) -> String {
    let applied = r#"'{"kind":"Secret","stringData":{"p":"s3cret-applied"}}'"#;
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: shop-login\n  namespace: default\n  annotations:\n    \
         kubectl.kubernetes.io/last-applied-configuration: {applied}\n{fields}\n"
    )
}

fn is_clean(place: &str, bytes: &[u8]) {
    for value in INJECTED {
        for form in [value.to_owned(), STANDARD.encode(value)] {
            let there = bytes.windows(form.len()).any(|window| window == form.as_bytes());
            assert!(!there, "{form} is in {place}:\n{}", String::from_utf8_lossy(bytes));
        }
    }
}

/// Runs, and searches the output and every file except the user's own.
fn run(env: &TestEnvironment, code: i32, arguments: &[&str]) -> CommandOutput {
    let output = env.expect(code, arguments);
    let name = arguments.join(" ");
    is_clean(&format!("the output of {name}"), output.stdout.as_bytes());
    is_clean(&format!("what {name} said"), output.stderr.as_bytes());
    for file in env.files().into_iter().filter(|file| !file.ends_with(SECRET)) {
        is_clean(&file.display().to_string(), &fs::read(&file).unwrap());
    }
    output
}

fn every_output(env: &TestEnvironment) {
    let write = |fields: &str| env.write(SECRET, secret(fields));
    let token = STANDARD.encode("s3cret-token");
    env.write("own/10-rest.yaml", REST);
    write(&format!("stringData: {{user: ada, password: s3cret-value}}\ndata: {{token: {token}}}"));
    run(env, 10, &["plan", "--detailed-exitcode", "-vv"]);
    run(env, 0, &["up", "-vv"]);
    run(env, 0, &["plan", "--detailed-exitcode", "--format", "json"]);
    for arguments in [&["status"][..], &["status", "--format", "json"], &["status", "--live"], &["graph"]] {
        run(env, 0, arguments);
    }
    // Whatever their results, nothing of it is printed.
    for command in ["doctor", "verify"] {
        for arguments in [&[command, "-vv"][..], &[command, "--format", "json"]] {
            let output = env.run(arguments);
            is_clean(command, format!("{}{}", output.stdout, output.stderr).as_bytes());
        }
    }

    // First every value changes, then none.
    write("stringData: {user: s3cret-later, password: s3cret-later}\ndata: {token: eA==}\nimmutable: true");
    run(env, 10, &["plan", "--detailed-exitcode"]);
    run(env, 10, &["plan", "--detailed-exitcode", "--format", "json"]);
    run(env, 0, &["up", "-vv", "--format", "json"]);

    // This change is refused by the server.
    write("stringData: {user: s3cret-value, password: s3cret-value}\nimmutable: true");
    for command in ["plan", "up"] {
        for arguments in [&[command, "-vv"][..], &[command, "--format", "json"]] {
            run(env, 3, arguments);
        }
    }
    write("stringData: {user: s3cret-value, password: s3cret-value}");
    run(env, 0, &["up", "--replace", "secret/shop-login"]);

    // The server does not know the field.
    write("stringDat: {pin: s3cret-value}");
    run(env, 1, &["up", "-vv"]);
    run(env, 1, &["up", "--format", "json"]);
    // No mistake quotes unreadable text.
    for broken in [
        "stringData: {pin: 8675309}",
        "stringData: {p: *s3cret-value}",
        "data:\n  p: \"s3cret-value",
        "data: {s3cret-value: 1, s3cret-value: 2}",
    ] {
        write(broken);
        run(env, 2, &["up"]);
    }
    write("stringData: {user: ada}");
    run(env, 0, &["down", "--yes", "-vv"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_injected_secret_value_is_in_no_output_and_no_file() {
    let folder = TempDir::new().unwrap();
    let options = Options { speed: Speed::Instant, seed: Some(6_700), ..Options::default() };
    let sim = Sim::open(folder.path(), options).await.unwrap();
    let env = environment(&sim).with("MANIFESTS_DIR", "own");
    tokio::task::spawn_blocking(move || every_output(&env)).await.unwrap();
    sim.close().await;
}
