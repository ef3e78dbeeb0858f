//! The manifests of a fleet against an API server: every object as a dry run, which checks fields and values.
//!
//! `LANDFALL_TEST_KUBECONFIG` names a kubeconfig with an embedded credential of a real server; nothing is stored there. The
//! API server of a simulated cluster accepts them as well.

use crate::{
    environment::TestEnvironment,
    shared_state::{self, with_team},
};
use landfall_cloud::{
    RequestCounter, Secret,
    kubernetes::{Cluster, Force, manifest},
};
use landfall_sim::Speed;
use std::path::Path;

/// Renders a fleet of two waves with every field of `[kubernetes]`, into a namespace that exists everywhere.
fn rendered() -> TestEnvironment {
    let env = TestEnvironment::instant();
    env.write(
        "fleet.toml",
        "name = \"shops\"\nstate = { account = \"contosostate\" }\nwaves = [{ ring = \"canary\" }, { ring = \"rest\" }]\n\
         [kubernetes]\nimage = \"registry.example.com/landfall:1\"\nclient_id = \"00000000-0000-4000-8000-00000000000c\"\n\
         namespace = \"default\"\nimage_pull_secret = \"registry\"\nretries = 2\nkeep = \"2h\"\n[kubernetes.resources]\ncpu = \"0.1\"\n\
         [kubernetes.secret_variables]\nSSL_PFX_PASSWORD = { secret = \"pfx\", key = \"password\" }\n[kubernetes.secret_folders]\n\
         \"/secrets/pfx\" = \"pfx\"\n[defaults]\ncloud = \"azure\"\nresource_group = \"rg-{name}\"\ndomain = \"{name}.example.com\"\n\
         cluster.name = \"aks-{name}\"\n[[environment]]\nname = \"a\"\nring = \"canary\"\n[[environment]]\nname = \"b\"\n",
    );
    env.expect(0, &["fleet", "render", "-o", "manifests"]);
    env
}

/// Sends every object as a dry run; returns the number of objects.
async fn dry_run(kubeconfig: String, folder: &Path) -> usize {
    let kubeconfig = Secret::new(kubeconfig);
    let cluster = Cluster::connect(&kubeconfig, None, &RequestCounter::new(), 1.0).await.unwrap();
    let manifests = manifest::read_folder(folder).unwrap();
    for manifest in &manifests {
        let object = manifest.complete();
        let kind = cluster.kind_of(&object).await.unwrap().unwrap();
        let name = object.metadata.name.clone();
        let applied = cluster.dry_run_apply(&kind, &object, Force::Yes).await;
        applied.unwrap_or_else(|error| panic!("{} {name:?}: {error} {:?}", kind.kind, error.causes()));
    }
    manifests.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_simulated_api_server_accepts_the_manifests() {
    with_team(7_200, Speed::Instant, |team| {
        let one = &team.machines[0];
        one.write(
            "landfall.toml",
            shared_state::settings(team.sim.connection()).split("[state]").next().unwrap(),
        );
        one.expect(0, &["up"]);
        let kubeconfig = std::fs::read_to_string(one.path().join("kubeconfig")).unwrap();
        let env = rendered();
        let runtime = tokio::runtime::Handle::current();
        assert_eq!(runtime.block_on(dry_run(kubeconfig, &env.path().join("manifests"))), 7);
    })
    .await;
}

#[tokio::test]
async fn a_real_api_server_accepts_the_manifests() {
    let Ok(file) = std::env::var("LANDFALL_TEST_KUBECONFIG") else {
        println!("skipped: LANDFALL_TEST_KUBECONFIG names no kubeconfig");
        return;
    };
    let env = rendered();
    assert_eq!(dry_run(std::fs::read_to_string(file).unwrap(), &env.path().join("manifests")).await, 7);
}
