//! Rotation of the served certificate, through the command line.

use crate::{
    certificates::secret,
    environment::{CommandOutput, TestEnvironment, pfx},
    screens::{normalized, shows},
};
use landfall_cloud::certificate::{Leaf, Material};
use serde_json::Value;

/// Returns the thumbprint in the cluster's Secret, after the run.
async fn synced_thumbprint(env: &TestEnvironment) -> String {
    Leaf::from_pem(secret(env).await.0.as_bytes()).unwrap().thumbprint_sha1
}

fn status(env: &TestEnvironment) -> Value {
    serde_json::from_str(&env.expect(0, &["status", "--format", "json"]).stdout).unwrap()
}

/// Returns the thumbprint in the journal.
fn remembered(env: &TestEnvironment) -> String {
    status(env)["certificate"]["thumbprint"].as_str().unwrap().to_owned()
}

/// Returns the number of completed imports: each is first challenged for its token, once per process.
fn imports(env: &TestEnvironment) -> usize {
    let is = |line: &&Value| line["path"].as_str().unwrap().ends_with("/import") && line["status"] == 200;
    env.request_log().iter().filter(is).count()
}

/// Returns the output of a rotation. The driver may poll between the import and the check of the Secret,
/// which then counts as found.
fn screen(output: &CommandOutput) -> String {
    let text = normalized(output).replace("tls-secret      found", "tls-secret      changed");
    text.replace("1 changed, 18 found", "2 changed, 17 found")
}

fn finished(output: &CommandOutput, step: &str) -> Value {
    let events = output.events();
    events.iter().find(|event| event["event"] == "finished" && event["step"] == step).unwrap()["how"].clone()
}

/// Creates a PFX like those of landfall, valid for this number of days.
fn short_lived_pfx(env: &TestEnvironment, days: u32) -> (String, String) {
    let material = Material::self_signed("demo.example.com", days).unwrap();
    let path = env.write("short.pfx", material.pfx().expose());
    (path.to_str().unwrap().to_owned(), material.password().expose().clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_self_signed_certificate_is_renewed() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up"]);
    let first = remembered(&env);
    assert_eq!(synced_thumbprint(&env).await, first);
    shows("rotate", &screen(&env.expect(0, &["rotate"])));
    let second = remembered(&env);
    assert_ne!(second, first);
    assert_eq!(synced_thumbprint(&env).await, second);
    assert_eq!(imports(&env), 2);

    let output = env.expect(0, &["rotate", "--format", "json"]);
    assert_eq!(finished(&output, "certificate"), "changed");
    assert_eq!(finished(&output, "gateways"), "found", "the listeners stayed programmed");
    let rotation = output.summary()["rotation"].clone();
    assert_eq!(
        (&rotation["replaced"]["thumbprint"], &rotation["thumbprint"]),
        (&second.into(), &remembered(&env).into())
    );
    assert!(rotation["carried_after_ms"].is_u64(), "{rotation}");
    assert_eq!(synced_thumbprint(&env).await, remembered(&env));

    let output = env.expect(0, &["up", "--format", "json"]).summary();
    assert_eq!((&output["created"], &output["changed"]), (&0.into(), &0.into()), "{output}");
    assert_eq!(imports(&env), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pfx_is_imported_once_and_the_same_one_is_nothing_to_rotate() {
    let env = TestEnvironment::instant().with("SSL_PFX_PASSWORD", "hunter2");
    env.expect(0, &["up"]);
    let (file, other) = (pfx("ec.pfx"), pfx("rsa-chain.pfx"));
    let (file, other) = (file.to_str().unwrap(), other.to_str().unwrap());
    shows("rotate_pfx", &screen(&env.expect(0, &["rotate", "--pfx", file])));
    let given = Material::from_pfx(&std::fs::read(file).unwrap(), "hunter2").unwrap();
    assert_eq!(synced_thumbprint(&env).await, given.leaf().thumbprint_sha1);
    assert_eq!(imports(&env), 2);

    shows("rotate_same_pfx", &normalized(&env.expect(0, &["rotate", "--pfx", file])));
    assert_eq!(imports(&env), 2);
    // The current certificate is valid, so without a request for another one it stays.
    env.expect(0, &["up"]);
    assert_eq!(imports(&env), 2);

    // The way of a user who has changed the setting.
    env.expect(0, &["up", "--pfx", other]);
    let given = Material::from_pfx(&std::fs::read(other).unwrap(), "hunter2").unwrap();
    assert_eq!((synced_thumbprint(&env).await, imports(&env)), (given.leaf().thumbprint_sha1.clone(), 3));
}

#[test]
fn an_impossible_rotation_is_refused_before_any_request() {
    let env = TestEnvironment::instant().with("SSL_PFX_PASSWORD", "hunter2");
    shows("rotate_nothing", &env.expect(2, &["rotate"]).stderr);
    assert!(env.request_log().is_empty());
    let file = pfx("ec.pfx");
    env.expect(0, &["up", "--pfx", file.to_str().unwrap()]);
    let before = imports(&env);
    shows("rotate_given", &env.expect(2, &["rotate"]).stderr);
    for unfit in ["expired.pfx", "wrong-domain.pfx", "no-key.pfx"] {
        env.expect(2, &["rotate", "--pfx", pfx(unfit).to_str().unwrap()]);
    }
    assert_eq!(imports(&env), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_rotation_is_resumed_without_a_second_version() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up"]);
    let first = remembered(&env);
    // Neither the speculative check nor the regular one gets a response about the Secret, so nothing follows
    // the import.
    let mut killed = env.spawn(&["rotate", "--sim-fault", "stalled-before@GET secrets/gateway-tls-secret*2"]);
    while remembered(&env) == first {
        std::thread::yield_now();
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    let second = remembered(&env);
    let output =
        normalized(&env.expect(0, &["rotate"])).replace("tls-secret      found", "tls-secret      changed");
    shows("rotate_gone_on_with", &output.replace("19 found", "1 changed, 18 found"));
    assert_eq!((remembered(&env), imports(&env)), (second.clone(), 2));
    assert_eq!(synced_thumbprint(&env).await, second);
    env.expect(0, &["rotate"]);
    assert_eq!(imports(&env), 3, "that one was over");
}

/// A class of the user's own that pins one version permanently; a run does not repair it.
fn pinned(version: &str) -> String {
    let class = include_str!("../../steps/templates/tls/secret-provider-class-chain.yaml");
    class.replace(
        "          objectType: secret\n",
        &format!("          objectType: secret\n          objectVersion: \"{version}\"\n"),
    )
}

#[test]
fn a_stuck_rotation_reports_the_stuck_link() {
    let env = TestEnvironment::instant().with("MANIFESTS_DIR", "manifests");
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/steps/templates/manifests")).unwrap()
    {
        let file = file.unwrap();
        let name = format!("manifests/{}", file.file_name().to_str().unwrap());
        env.write(&name, std::fs::read(file.path()).unwrap());
    }
    env.expect(0, &["up"]);
    let version = status(&env)["certificate"]["version"].as_str().unwrap().to_owned();
    let class = env.write("manifests/40-class.yaml", pinned(&version));
    // Without a rotation the pinned version has no effect.
    env.expect(0, &["up"]);
    shows("rotate_stuck", &normalized(&env.expect(1, &["rotate"])));
    assert_eq!(imports(&env), 2);
    std::fs::remove_file(class).unwrap();
    env.expect(0, &["rotate"]);
    assert_eq!(imports(&env), 2, "it was gone on with");
}

#[test]
fn a_certificate_near_expiry_is_reported_and_renewed_if_allowed() {
    let env = TestEnvironment::instant();
    // Within the first second a certificate has its full days, and one less from then on.
    let days = |env: &TestEnvironment| status(env)["certificate"]["expires_in_days"].as_i64().unwrap();
    let ends = "The certificate expires in ";
    let (file, password) = short_lived_pfx(&env, 10);
    let env = env.with("SSL_PFX_PASSWORD", &password);
    let output = env.expect(0, &["up", "--pfx", &file]).stderr;
    assert!(output.contains(" days, on ") && output.contains(ends), "{output}");
    assert!([9, 10].contains(&days(&env)));
    shows("status_near_the_end", &env.expect(0, &["status"]).stdout.replace("in 10 days", "in 9 days"));

    // For a given PFX there is only a warning, with any remaining validity.
    let output = env.expect(0, &["up", "--pfx", &file, "--renew-before", "30d"]).stderr;
    assert!(output.contains(ends), "{output}");
    assert_eq!(imports(&env), 1);
    env.expect(0, &["up", "--renew-before", "5"]);
    assert_eq!(imports(&env), 1);
    env.write("landfall.toml", "[certificate]\nrenew_before = 30\n");
    let output = env.expect(0, &["up"]).stderr;
    assert!(!output.contains("The certificate expires"), "{output}");
    assert_eq!(imports(&env), 2);
    assert!([364, 365].contains(&days(&env)));
    env.expect(0, &["up"]);
    assert_eq!(imports(&env), 2, "a new one has all its days");
    env.expect(2, &["up", "--renew-before", "400d"]);
}
