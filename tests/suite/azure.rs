//! `--cloud azure`: the same code with other endpoints. Here a simulated cloud of the test serves them, and
//! the binary signs in to it as it would to Azure.

use crate::environment::TestEnvironment;
use landfall_sim::{ConnectionInfo, Options, Sim, Speed};
use tempfile::TempDir;

/// Starts a cloud beside the binary, with a settings file that contains its endpoints.
async fn served() -> (Sim, TempDir, TestEnvironment) {
    let folder = TempDir::new().unwrap();
    // A seed far from those of the other tests' clouds, whose ports it must not use while they are closed.
    let options = Options { speed: Speed::Instant, seed: Some(5_000), ..Options::default() };
    let sim = Sim::open(folder.path(), options).await.unwrap();
    let env = TestEnvironment::instant();
    env.write("authorities.pem", &sim.connection().ca_pem);
    env.write("landfall.toml", endpoints(sim.connection()));
    (sim, folder, env)
}

pub fn endpoints(facts: &ConnectionInfo) -> String {
    format!(
        "cloud = \"azure\"\nkubeconfig = \"kubeconfig\"\n\n[endpoints]\nlogin = \"{}\"\narm = \"{}\"\narm_audience = \"{}\"\n\
         vault_suffix = \"{}\"\nvault_audience = \"{}\"\nca_file = \"authorities.pem\"\n",
        facts.login, facts.arm, facts.arm_audience, facts.vault_suffix, facts.vault_audience
    )
}

pub fn signed_in(env: TestEnvironment, facts: &ConnectionInfo, secret: &str) -> TestEnvironment {
    env.with("AZURE_TENANT_ID", &facts.tenant)
        .with("AZURE_CLIENT_ID", &facts.client_id)
        .with("AZURE_CLIENT_SECRET", secret)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_code_signs_in_and_brings_the_environment_up_at_other_endpoints() {
    let (sim, _folder, env) = served().await;
    let facts = sim.connection().clone();
    let env = signed_in(env, &facts, &facts.client_secret);
    let output = tokio::task::spawn_blocking(move || {
        let up = env.expect(0, &["up"]);
        let again = env.expect(0, &["up", "--format", "json"]);
        let down = env.expect(0, &["down", "--yes"]);
        (up, again, down)
    });
    let (up, again, _) = output.await.unwrap();
    assert!(up.stderr.contains("Azure subscription"), "{}", up.stderr);
    assert!(!up.stderr.contains("simulated"), "{}", up.stderr);
    assert_eq!(again.events()[0]["cloud"], "azure");
    assert_eq!(again.summary()["found"], 19);
    let deleted = sim.request_log().iter().filter(|line| line.method == "DELETE").count();
    assert!(deleted >= 4, "{deleted}");
    sim.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_refused_with_the_result_of_every_credential_source() {
    let (sim, _folder, env) = served().await;
    let env = signed_in(env, sim.connection(), "wrong");
    let output = tokio::task::spawn_blocking(move || env.expect(3, &["up"])).await.unwrap();
    assert!(output.stderr.contains("AADSTS7000215"), "{}", output.stderr);
    assert!(!output.stderr.contains("AZURE_CLIENT_SECRET=wrong"));
    assert!(sim.request_log().iter().all(|line| line.path.ends_with("/token")));
    sim.close().await;
}
