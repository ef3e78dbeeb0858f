//! Rotation of the served certificate, through the command line.

use crate::{
    certificates::secret,
    environment::{Said, TestEnvironment, pfx},
    screens::{calm, shows},
};
use landfall_cloud::certificate::{Leaf, Material};
use serde_json::Value;

/// Returns the thumbprint in the cluster's Secret, after the run.
async fn carried(here: &TestEnvironment) -> String {
    Leaf::from_pem(secret(here).await.0.as_bytes()).unwrap().thumbprint_sha1
}

fn status(here: &TestEnvironment) -> Value {
    serde_json::from_str(&here.expect(0, &["status", "--format", "json"]).stdout).unwrap()
}

/// Returns the thumbprint in the journal.
fn remembered(here: &TestEnvironment) -> String {
    status(here)["certificate"]["thumbprint"].as_str().unwrap().to_owned()
}

/// Returns the number of completed imports: each is first challenged for its token, once per process.
fn imports(here: &TestEnvironment) -> usize {
    let is = |line: &&Value| line["path"].as_str().unwrap().ends_with("/import") && line["status"] == 200;
    here.ledger().iter().filter(is).count()
}

/// Returns the output of a rotation. The driver may poll between the import and the check of the Secret,
/// which then counts as found.
fn screen(said: &Said) -> String {
    let text = calm(said).replace("tls-secret      found", "tls-secret      changed");
    text.replace("1 changed, 16 found", "2 changed, 15 found")
}

fn finished(said: &Said, step: &str) -> Value {
    let events = said.events();
    events.iter().find(|event| event["event"] == "finished" && event["step"] == step).unwrap()["how"].clone()
}

/// Creates a PFX like those of landfall, valid for this number of days.
fn short(here: &TestEnvironment, days: u32) -> (String, String) {
    let made = Material::self_signed("demo.example.com", days).unwrap();
    let path = here.write("short.pfx", made.pfx().expose());
    (path.to_str().unwrap().to_owned(), made.password().expose().clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_self_signed_certificate_is_made_anew() {
    let here = TestEnvironment::instant();
    here.expect(0, &["up"]);
    let first = remembered(&here);
    assert_eq!(carried(&here).await, first);
    shows("rotate", &screen(&here.expect(0, &["rotate"])));
    let second = remembered(&here);
    assert_ne!(second, first);
    assert_eq!(carried(&here).await, second);
    assert_eq!(imports(&here), 2);

    let said = here.expect(0, &["rotate", "--format", "json"]);
    assert_eq!(finished(&said, "certificate"), "changed");
    assert_eq!(finished(&said, "gateways"), "found", "the listeners stayed programmed");
    let rotation = said.summary()["rotation"].clone();
    assert_eq!(
        (&rotation["replaced"]["thumbprint"], &rotation["thumbprint"]),
        (&second.into(), &remembered(&here).into())
    );
    assert!(rotation["carried_after_ms"].is_u64(), "{rotation}");
    assert_eq!(carried(&here).await, remembered(&here));

    let said = here.expect(0, &["up", "--format", "json"]).summary();
    assert_eq!((&said["created"], &said["changed"]), (&0.into(), &0.into()), "{said}");
    assert_eq!(imports(&here), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pfx_is_imported_once_and_the_same_one_is_nothing_to_rotate() {
    let here = TestEnvironment::instant().with("SSL_PFX_PASSWORD", "hunter2");
    here.expect(0, &["up"]);
    let (file, other) = (pfx("ec.pfx"), pfx("rsa.pfx"));
    let (file, other) = (file.to_str().unwrap(), other.to_str().unwrap());
    shows("rotate_pfx", &screen(&here.expect(0, &["rotate", "--pfx", file])));
    let given = Material::from_pfx(&std::fs::read(file).unwrap(), "hunter2").unwrap();
    assert_eq!(carried(&here).await, given.leaf().thumbprint_sha1);
    assert_eq!(imports(&here), 2);

    shows("rotate_same_pfx", &calm(&here.expect(0, &["rotate", "--pfx", file])));
    assert_eq!(imports(&here), 2);
    // The current certificate is valid, so without a request for another one it stays.
    here.expect(0, &["up"]);
    assert_eq!(imports(&here), 2);

    // The way of a user who has changed the setting.
    here.expect(0, &["up", "--pfx", other]);
    let given = Material::from_pfx(&std::fs::read(other).unwrap(), "hunter2").unwrap();
    assert_eq!((carried(&here).await, imports(&here)), (given.leaf().thumbprint_sha1.clone(), 3));
}

#[test]
fn what_cannot_be_rotated_is_refused_before_anything_is_asked() {
    let here = TestEnvironment::instant().with("SSL_PFX_PASSWORD", "hunter2");
    shows("rotate_nothing", &here.expect(2, &["rotate"]).stderr);
    assert!(here.ledger().is_empty());
    let file = pfx("ec.pfx");
    here.expect(0, &["up", "--pfx", file.to_str().unwrap()]);
    let before = imports(&here);
    shows("rotate_given", &here.expect(2, &["rotate"]).stderr);
    for unfit in ["expired.pfx", "wrong-domain.pfx", "no-key.pfx"] {
        here.expect(2, &["rotate", "--pfx", pfx(unfit).to_str().unwrap()]);
    }
    assert_eq!(imports(&here), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_was_killed_is_gone_on_with_and_makes_no_other_version() {
    let here = TestEnvironment::instant();
    here.expect(0, &["up"]);
    let first = remembered(&here);
    // Neither the speculative check nor the regular one gets a response about the Secret, so nothing follows
    // the import.
    let mut killed =
        here.spawn(&["rotate", "--sim-fault", "stalled-before@GET secrets/gateway-tls-secret*2"]);
    while remembered(&here) == first {
        std::thread::yield_now();
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    let second = remembered(&here);
    let said = calm(&here.expect(0, &["rotate"])).replace("tls-secret      found", "tls-secret      changed");
    shows("rotate_gone_on_with", &said.replace("17 found", "1 changed, 16 found"));
    assert_eq!((remembered(&here), imports(&here)), (second.clone(), 2));
    assert_eq!(carried(&here).await, second);
    here.expect(0, &["rotate"]);
    assert_eq!(imports(&here), 3, "that one was over");
}

/// A class of the user's own that pins one version permanently; a run does not repair it.
fn pinned(version: &str) -> String {
    let class = include_str!("../../templates/tls/secret-provider-class-chain.yaml");
    class.replace(
        "          objectType: secret\n",
        &format!("          objectType: secret\n          objectVersion: \"{version}\"\n"),
    )
}

#[test]
fn a_rotation_that_the_cluster_does_not_pick_up_says_which_link_is_stuck() {
    let here = TestEnvironment::instant().with("MANIFESTS_DIR", "manifests");
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/templates/manifests")).unwrap() {
        let file = file.unwrap();
        let name = format!("manifests/{}", file.file_name().to_str().unwrap());
        here.write(&name, std::fs::read(file.path()).unwrap());
    }
    here.expect(0, &["up"]);
    let version = status(&here)["certificate"]["version"].as_str().unwrap().to_owned();
    let class = here.write("manifests/40-class.yaml", pinned(&version));
    // Without a rotation the pinned version has no effect.
    here.expect(0, &["up"]);
    shows("rotate_stuck", &calm(&here.expect(1, &["rotate"])));
    assert_eq!(imports(&here), 2);
    std::fs::remove_file(class).unwrap();
    here.expect(0, &["rotate"]);
    assert_eq!(imports(&here), 2, "it was gone on with");
}

#[test]
fn a_certificate_near_its_end_is_told_of_and_renewed_when_it_may_be() {
    let here = TestEnvironment::instant();
    // Within the first second a certificate has its full days, and one less from then on.
    let days = |here: &TestEnvironment| status(here)["certificate"]["expires_in_days"].as_i64().unwrap();
    let ends = "The certificate expires in ";
    let (file, password) = short(&here, 10);
    let here = here.with("SSL_PFX_PASSWORD", &password);
    let said = here.expect(0, &["up", "--pfx", &file]).stderr;
    assert!(said.contains(" days, on ") && said.contains(ends), "{said}");
    assert!([9, 10].contains(&days(&here)));
    shows("status_near_the_end", &here.expect(0, &["status"]).stdout.replace("in 10 days", "in 9 days"));

    // For a given PFX there is only a warning, with any remaining validity.
    let said = here.expect(0, &["up", "--pfx", &file, "--renew-before", "30d"]).stderr;
    assert!(said.contains(ends), "{said}");
    assert_eq!(imports(&here), 1);
    here.expect(0, &["up", "--renew-before", "5"]);
    assert_eq!(imports(&here), 1);
    here.write("landfall.toml", "[certificate]\nrenew_before = 30\n");
    let said = here.expect(0, &["up"]).stderr;
    assert!(!said.contains("The certificate expires"), "{said}");
    assert_eq!(imports(&here), 2);
    assert!([364, 365].contains(&days(&here)));
    here.expect(0, &["up"]);
    assert_eq!(imports(&here), 2, "a new one has all its days");
    here.expect(2, &["up", "--renew-before", "400d"]);
}
