//! `renew`, as a scheduled job runs it: without the settings and the journal of the environment.

use crate::environment::TestEnvironment;
use landfall_cloud::{
    ArmClient, Credential, Endpoints, RequestCounter, Roots, Secret, SignIn, SignInFacts, Vaults,
};
use landfall_sim::{Options, Sim, Speed};
use std::{path::Path, time::Instant};

const UP: [&str; 5] = ["up", "--issuer", "acme", "--sim-zone", "example.com"];
const DAY: i64 = 86_400;

/// Opens the simulated cloud of an environment, as another party.
fn with_sim<T>(folder: &Path, act: impl AsyncFnOnce(&Sim) -> T) -> T {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let options = Options { speed: Speed::Instant, ..Options::default() };
        let sim = Sim::open(&folder.join("sim"), options).await.unwrap();
        let result = act(&sim).await;
        sim.close().await;
        result
    })
}

/// Advances the clock of a simulated cloud.
fn advance(env: &TestEnvironment, seconds: i64) {
    with_sim(&env.state(), async |sim| {
        sim.change(|state, _| state.clock_offset_ms += seconds * 1000).unwrap();
    });
}

/// Writes a tag of the certificate, as everyone may who has a role at the vault.
fn write_tag(env: &TestEnvironment, name: &str, value: &str) {
    with_sim(&env.state(), async |sim| {
        let facts = sim.connection().clone();
        let endpoints = Endpoints {
            login: facts.login.parse().unwrap(),
            arm: facts.arm.parse().unwrap(),
            arm_audience: facts.arm_audience,
            vault_suffix: facts.vault_suffix,
            vault_audience: facts.vault_audience,
            roots: Roots::Only(vec![facts.ca_pem]),
            time_scale: facts.time_scale,
            ..Endpoints::public()
        };
        let secret = Secret::new(facts.client_secret);
        let sign_in = SignIn::ServicePrincipal { tenant: facts.tenant, client_id: facts.client_id, secret };
        let requests = RequestCounter::new();
        let credential = Credential::new(&sign_in, &SignInFacts::default(), &endpoints, &requests).unwrap();
        let correlation = "c0ffee00-0000-4000-8000-000000000004";
        let arm = ArmClient::new(&endpoints, &credential, &requests, correlation).unwrap();
        let group = format!("/subscriptions/{}/resourceGroups/rg-aks-istio-gateway-demo", facts.subscription);
        let all = arm.list(&format!("{group}/resources"), "2021-04-01", &[]).await.unwrap();
        let vault = all.iter().find(|one| one["type"] == "Microsoft.KeyVault/vaults").unwrap();
        let body =
            arm.get(vault["id"].as_str().unwrap(), landfall_cloud::arm::vault::API).await.unwrap().unwrap();
        let uri = body["properties"]["vaultUri"].as_str().unwrap().to_owned();
        let vault = Vaults::new(&endpoints, &credential, &requests).unwrap().at(&uri).unwrap();
        let stored = vault.certificate("gateway-tls-cert").await.unwrap().unwrap();
        let mut tags = stored.tags;
        tags.insert(name.to_owned(), value.to_owned());
        vault.set_certificate_tags("gateway-tls-cert", &stored.version, &tags).await.unwrap();
    });
}

/// Returns the machine of a job: it reaches the same cloud, and has no journal and no settings.
fn another_machine(env: &TestEnvironment) -> TestEnvironment {
    let other = TestEnvironment::instant();
    let (from, to) = (env.state().join("sim"), other.state().join("sim"));
    std::fs::create_dir_all(&to).unwrap();
    for file in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
    other
}

#[test]
fn a_job_without_settings_renews_a_due_certificate_and_waits_until_the_gateways_serve_it() {
    let env = TestEnvironment::instant();
    env.expect(0, &UP);
    let job = another_machine(&env);
    let output = job.expect(0, &["renew"]);
    assert!(output.stdout.starts_with("Not due until "), "{}", output.stdout);
    advance(&job, 61 * DAY);
    let dry = job.expect(0, &["renew", "--dry-run"]);
    assert!(dry.stdout.starts_with("Due now: the server suggests"), "{}", dry.stdout);
    let before = job.count("POST", "/pending/merge");
    let output = job.expect(0, &["renew"]);
    assert!(output.stderr.contains("waiting until the gateways serve it"), "{}", output.stderr);
    let served = output.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    let words = ["served = vault version", "leads to a root of its ACME server"];
    assert!(words.iter().all(|words| served.contains(words)), "{}\n{}", output.stdout, output.stderr);
    assert_eq!(job.count("POST", "/pending/merge"), before + 1);
    assert!(!job.state().join("journal.jsonl").exists(), "it keeps no state");
    let again = job.expect(0, &["renew", "--format", "json"]);
    let document: serde_json::Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!((&document["due"], document["days_left"].as_i64()), (&false.into(), Some(89)));
}

#[test]
fn an_unknown_server_that_only_a_tag_names_needs_consent() {
    let env = TestEnvironment::instant();
    env.expect(0, &UP);
    write_tag(&env, "landfall-acme", "https://ca.internal.example/directory");
    let job = another_machine(&env);
    let output = job.expect(2, &["renew", "--force"]);
    let text = output.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("use the ACME server https://ca.internal.example/directory"), "{text}");
    assert!(
        text.contains("certificate.acme.directory = \"https://ca.internal.example/directory\""),
        "{text}"
    );
}

#[test]
fn a_failed_renewal_names_the_next_attempt_and_the_next_run_waits_for_it() {
    let env = TestEnvironment::instant();
    env.expect(0, &UP);
    let job = another_machine(&env);
    advance(&job, 61 * DAY);
    let failed = job.expect(1, &["renew", "--sim-fault", "acme-terms-changed*2"]);
    assert!(failed.stderr.contains("The next attempt is due at "), "{}", failed.stderr);
    let next = job.expect(1, &["renew"]).stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(next.contains("the last 1 attempt failed") && next.contains("Terms of service"), "{next}");
    advance(&job, 90);
    job.expect(0, &["renew"]);
}

/// `LANDFALL_RENEWALS` sets the number of renewals; a year of this profile has 110.
#[test]
fn the_program_renews_a_certificate_of_six_days_again_and_again() {
    let renewals = std::env::var("LANDFALL_RENEWALS").map_or(3, |text| text.parse().unwrap());
    let env = TestEnvironment::instant();
    env.write(
        "landfall.toml",
        "[certificate]\nissuer = \"acme\"\n[certificate.acme]\nprofile = \"shortlived\"\n",
    );
    env.expect(0, &["up", "--sim-zone", "example.com"]);
    let job = another_machine(&env);
    let began = Instant::now();
    for renewal in 1..=renewals {
        // At the half of 160 hours, and one hundredth, the certificate is due.
        advance(&job, 82 * 3600);
        let output = job.expect(0, &["renew"]);
        let line = output.stdout.lines().find(|line| line.contains("served = vault version"));
        assert!(line.is_some(), "renewal {renewal}: {}\n{}", output.stdout, output.stderr);
    }
    println!("{renewals} renewals by the program in {:.1} s", began.elapsed().as_secs_f64());
}
