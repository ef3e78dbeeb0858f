//! `--cloud azure`: the same code with other endpoints. Here a simulated cloud of the test serves them, and
//! the binary signs in to it as it would to Azure.

use crate::environment::TestEnvironment;
use landfall_sim::{Facts, Options, Sim, Speed};
use tempfile::TempDir;

/// Starts a cloud beside the binary, with a settings file that contains its endpoints.
async fn served() -> (Sim, TempDir, TestEnvironment) {
    let folder = TempDir::new().unwrap();
    // A seed far from those of the other tests' clouds, whose ports it must not use while they are closed.
    let options = Options { speed: Speed::Instant, seed: Some(5_000), ..Options::default() };
    let sim = Sim::open(folder.path(), options).await.unwrap();
    let here = TestEnvironment::instant();
    here.write("authorities.pem", &sim.facts().ca_pem);
    here.write("landfall.toml", endpoints(sim.facts()));
    (sim, folder, here)
}

fn endpoints(facts: &Facts) -> String {
    format!(
        "cloud = \"azure\"\nkubeconfig = \"kubeconfig\"\n\n[endpoints]\nlogin = \"{}\"\narm = \"{}\"\narm_audience = \"{}\"\n\
         vault_suffix = \"{}\"\nvault_audience = \"{}\"\nca_file = \"authorities.pem\"\n",
        facts.login, facts.arm, facts.arm_audience, facts.vault_suffix, facts.vault_audience
    )
}

fn signed_in(here: TestEnvironment, facts: &Facts, secret: &str) -> TestEnvironment {
    here.with("AZURE_TENANT_ID", &facts.tenant)
        .with("AZURE_CLIENT_ID", &facts.client_id)
        .with("AZURE_CLIENT_SECRET", secret)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_code_signs_in_and_brings_the_environment_up_at_other_endpoints() {
    let (sim, _folder, here) = served().await;
    let facts = sim.facts().clone();
    let here = signed_in(here, &facts, &facts.client_secret);
    let said = tokio::task::spawn_blocking(move || {
        let up = here.expect(0, &["up"]);
        let again = here.expect(0, &["up", "--format", "json"]);
        let down = here.expect(0, &["down", "--yes"]);
        (up, again, down)
    });
    let (up, again, _) = said.await.unwrap();
    assert!(up.stderr.contains("Azure subscription"), "{}", up.stderr);
    assert!(!up.stderr.contains("simulated"), "{}", up.stderr);
    assert_eq!(again.events()[0]["cloud"], "azure");
    assert_eq!(again.summary()["found"], 17);
    let deleted = sim.ledger().iter().filter(|line| line.method == "DELETE").count();
    assert!(deleted >= 4, "{deleted}");
    sim.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_refused_and_says_what_every_way_answered() {
    let (sim, _folder, here) = served().await;
    let here = signed_in(here, sim.facts(), "wrong");
    let said = tokio::task::spawn_blocking(move || here.expect(3, &["up"])).await.unwrap();
    assert!(said.stderr.contains("AADSTS7000215"), "{}", said.stderr);
    assert!(!said.stderr.contains("AZURE_CLIENT_SECRET=wrong"));
    assert!(sim.ledger().iter().all(|line| line.path.ends_with("/token")));
    sim.close().await;
}
