//! The Secrets Store CSI driver and its Azure provider: vault objects as files of pods and as Secrets.
//!
//! The kubelet calls the driver to mount (`mount.rs`). The driver reads the class (`class.rs`) and requests
//! the files from the provider (`provider.rs`), which signs in with the node's identity or with the token of the
//! pod's service account (`service_account.rs`). Then it records the mount, creates Secrets (`sync.rs`) and
//! polls for new versions (`rotation.rs`). `material.rs` converts PFX and PEM. Contract:
//! secrets-store-csi-driver.sigs.k8s.io and azure.github.io/secrets-store-csi-driver-provider-azure.

mod class;
mod mount;
mod pem_conversion;
mod provider;
mod rotation;
mod service_account;
mod sync;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(super) use mount::{idle_until, mount, volumes_to_mount};
pub(super) use rotation::{restart_rotation, rotate};
pub(super) use service_account::AUDIENCE;
pub(super) use sync::sync_secrets;

use super::object::uid;
use super::reconcile_context::ReconcileContext;
use super::timers::Task;

/// The name under which the driver is registered on the nodes.
pub(super) const DRIVER: &str = "secrets-store.csi.k8s.io";
const CLASSES: &str = "secretproviderclasses.secrets-store.csi.x-k8s.io";
const POD_STATUSES: &str = "secretproviderclasspodstatuses.secrets-store.csi.x-k8s.io";
const MANAGER: &str = "secrets-store-csi-driver";
/// The delay between a change and the update of its Secrets, in seconds of cloud time (inferred).
const SYNC: f64 = 1.0;

/// The mounts of one pod, by the name of the class.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Mounts {
    classes: BTreeMap<String, Mounted>,
}

/// The files of one volume.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Mounted {
    volume: String,
    files: Vec<File>,
}

/// A file from the provider.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct File {
    /// The file name: the alias of the object, or its name.
    name: String,
    /// The type and name of the object, `secret/gateway-tls-cert`.
    id: String,
    version: String,
    content: String,
}

/// Removes the mounts of deleted pods, and schedules the sync of outdated Secrets.
pub(super) fn reconcile_all(cx: &mut ReconcileContext<'_>) {
    if cx.state.mounts.is_empty() {
        return;
    }
    let living: Vec<String> =
        cx.store.list("pods", None).into_iter().map(|pod| uid(pod).to_owned()).collect();
    cx.state.mounts.retain(|uid, _| living.contains(uid));
    if sync::is_out_of_sync(cx) {
        cx.schedule_once(SYNC, Task::SyncSecrets);
    }
}

/// Returns the name of the class in a volume of the driver.
fn class_name(volume: &Value) -> &str {
    super::object::text(volume, "/csi/volumeAttributes/secretProviderClass")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::aks::fixture::{self, ClusterFixture, OBJECTS, class, holder};
    use crate::aks::object::{list, text};

    fn fixture_with(class: Value) -> ClusterFixture {
        let mut fixture = ClusterFixture::running();
        fixture.request(CLASSES, class);
        fixture.request("deployments.apps", holder());
        fixture
    }

    fn secret(fixture: &ClusterFixture) -> Option<&Value> {
        fixture.get("secrets", "default", "gateway-tls")
    }

    fn failure(fixture: &ClusterFixture) -> String {
        fixture
            .events("FailedMount")
            .first()
            .map(|event| text(event, "/message").to_owned())
            .unwrap_or_default()
    }

    #[test]
    fn a_secret_exists_only_while_a_pod_mounts_the_class() {
        let mut fixture = ClusterFixture::running();
        fixture.request(CLASSES, class(OBJECTS));
        fixture.advance(600.0);
        assert!(secret(&fixture).is_none(), "a class alone makes nothing");
        fixture.request("deployments.apps", holder());
        fixture.advance(20.0);
        assert!(fixture.is_ready("holder"));
        let created = secret(&fixture).expect("it is made").clone();
        assert_eq!(text(&created, "/type"), "kubernetes.io/tls");
        assert_eq!(text(&created, "/metadata/labels/secrets-store.csi.k8s.io~1managed"), "true");
        assert_eq!(text(&created, "/metadata/ownerReferences/0/kind"), "ReplicaSet");
        let recorded = fixture.store.list(POD_STATUSES, None)[0].clone();
        assert_eq!(text(&recorded, "/status/objects/0/id"), "secret/tls");
        assert_eq!(text(&recorded, "/status/objects/0/version"), format!("{:032x}", 1));
        assert_eq!(text(&recorded, "/status/secretProviderClassName"), "tls-class");

        fixture.delete("secrets", "default", "gateway-tls");
        fixture.advance(5.0);
        assert!(secret(&fixture).is_some(), "a deleted one comes back");
        fixture.delete("deployments.apps", "default", "holder");
        fixture.advance(5.0);
        assert!(secret(&fixture).is_none(), "it goes with its last holder");
        assert!(fixture.store.list(POD_STATUSES, None).is_empty());
    }

    #[test]
    fn a_bare_pod_owns_its_secret_itself() {
        let mut fixture = ClusterFixture::running();
        fixture.request(CLASSES, class(OBJECTS));
        let mut spec = holder()["spec"]["template"]["spec"].clone();
        spec["restartPolicy"] = json!("Always");
        let pod = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "bare", "namespace": "default"}, "spec": spec});
        fixture.request("pods", pod);
        fixture.advance(20.0);
        let owner =
            secret(&fixture).map(|secret| text(secret, "/metadata/ownerReferences/0/kind").to_owned());
        assert_eq!(owner.as_deref(), Some("SecretProviderClassPodStatus"));
        fixture.delete("pods", "default", "bare");
        fixture.advance(5.0);
        assert!(secret(&fixture).is_none());
    }

    #[test]
    fn mapping_items_fail_the_mount() {
        let mut fixture = fixture_with(class("array:\n  - objectName: tls\n    objectType: secret\n"));
        fixture.advance(30.0);
        let message = failure(&fixture);
        assert!(message.starts_with("MountVolume.SetUp failed for volume \"tls\" : rpc error: code = Unknown desc = failed to mount secrets store objects for pod default/holder-"), "{message}");
        assert!(message.contains(", err: rpc error: code = Unknown desc = failed to mount objects, error: failed to yaml unmarshal objects, error: yaml: unmarshal errors:"), "{message}");
        assert!(message.contains("cannot unmarshal !!map into"), "{message}");
        assert!(!fixture.is_ready("holder"));
        assert!(secret(&fixture).is_none());
    }

    #[test]
    fn a_failed_mount_is_retried_with_backoff_and_counted() {
        let mut fixture = ClusterFixture::running();
        fixture.vault.readable_from = None;
        fixture.request(CLASSES, class(OBJECTS));
        fixture.request("deployments.apps", holder());
        let created = fixture.now;
        fixture.advance(7.0);
        let event = fixture.events("FailedMount")[0].clone();
        // The attempts are at 3, 3.5, 4.5 and 6.5 s.
        assert_eq!(event["count"], 4);
        assert_eq!(text(&event, "/lastTimestamp"), created.plus_ms(6_500).rfc3339());
        let message = failure(&fixture);
        assert!(message.contains("failed to get objectType:secret, objectName:tls, objectVersion:: GET https://kv-demo.vault.azure.net/secrets/tls/\n"), "{message}");
        assert!(message.contains("RESPONSE 403: 403 Forbidden\nERROR CODE: Forbidden\n"), "{message}");
        assert!(message.contains("ForbiddenByRbac"), "{message}");
        let reads = *fixture.vault.reads.borrow();
        fixture.advance(200_000.0);
        let event = fixture.events("FailedMount")[0].clone();
        assert!(event["count"].as_i64().is_some_and(|count| count > 1_600), "{}", event["count"]);
        assert!(
            *fixture.vault.reads.borrow() < reads + 20,
            "a long absence is not lived through attempt by attempt"
        );
        fixture.vault.readable_from = Some(fixture.now);
        fixture.advance(140.0);
        assert!(fixture.is_ready("holder"));
    }

    #[test]
    fn other_errors_have_their_own_messages() {
        let mut wrong = class(OBJECTS);
        wrong["spec"]["parameters"]["userAssignedIdentityID"] = json!("somebody");
        let mut fixture = fixture_with(wrong);
        fixture.advance(4.0);
        assert!(failure(&fixture).contains("Identity not found"));

        let mut no_identity = class(OBJECTS);
        no_identity["spec"]["parameters"]["userAssignedIdentityID"] = json!("");
        let mut fixture = fixture_with(no_identity);
        fixture.advance(4.0);
        assert!(failure(&fixture).contains("Multiple user assigned identities exist"));

        let mut fixture = ClusterFixture::running();
        fixture.request("deployments.apps", holder());
        fixture.advance(4.0);
        assert!(failure(&fixture).ends_with("failed to get secretproviderclass default/tls-class, error: SecretProviderClass.secrets-store.csi.x-k8s.io \"tls-class\" not found"));

        let mut fixture =
            fixture_with(class("array:\n  - |\n    objectName: gone\n    objectType: secret\n"));
        fixture.advance(4.0);
        assert!(failure(&fixture).contains("RESPONSE 404: 404 Not Found\nERROR CODE: SecretNotFound"));

        let mut fixture = fixture_with(class(OBJECTS));
        fixture.cluster_info.csi = None;
        fixture.advance(4.0);
        assert!(failure(&fixture).ends_with(
            "driver name secrets-store.csi.k8s.io not found in the list of registered CSI drivers"
        ));
    }

    #[test]
    fn a_class_with_a_client_id_exchanges_the_token_of_the_pods_service_account() {
        let mut own = class(OBJECTS);
        own["spec"]["parameters"] = json!({
            "clientID": fixture::CLIENT, "keyvaultName": "kv-demo", "tenantId": "t", "objects": OBJECTS,
        });
        let mut fixture = fixture_with(own);
        fixture.advance(4.0);
        let message = failure(&fixture);
        assert!(message.contains("error: failed to get objectType:secret, objectName:tls, objectVersion:: ClientAssertionCredential authentication failed."), "{message}");
        assert!(message.contains("Assertion Subject: 'system:serviceaccount:default:default'"), "{message}");
        assert!(!fixture.is_ready("holder"));
        fixture.vault.trusted_subject = Some("system:serviceaccount:default:default".into());
        fixture.advance(60.0);
        assert!(fixture.is_ready("holder") && secret(&fixture).is_some());
        let driver = fixture.get("csidrivers.storage.k8s.io", "", DRIVER).expect("the add-on is enabled");
        assert_eq!(driver["spec"]["tokenRequests"], json!([{ "audience": AUDIENCE }]));
    }

    #[test]
    fn without_its_service_account_a_pod_mounts_nothing() {
        let mut holder = holder();
        holder["spec"]["template"]["spec"]["serviceAccountName"] = json!("gone");
        let mut fixture = ClusterFixture::running();
        fixture.request(CLASSES, class(OBJECTS));
        fixture.request("deployments.apps", holder);
        fixture.advance(4.0);
        let message = failure(&fixture);
        assert!(message.ends_with("failed to fetch token: serviceaccounts \"gone\" not found"), "{message}");
    }

    #[test]
    fn a_wrong_object_name_fails_the_secret_but_not_the_pod() {
        let mut wrong = class(OBJECTS);
        wrong["spec"]["secretObjects"][0]["data"][0]["objectName"] = json!("alias");
        let mut fixture = fixture_with(wrong);
        fixture.advance(20.0);
        assert!(fixture.is_ready("holder"));
        assert_eq!(
            text(fixture.events("FailedToCreateSecret")[0], "/message"),
            "failed to get data in spc default/tls-class for secret gateway-tls, err: file matching objectName alias not found in the pod"
        );
    }

    #[test]
    fn a_new_version_reaches_the_secret_at_the_next_rotation_poll() {
        let mut fixture = fixture_with(class(OBJECTS));
        fixture.advance(20.0);
        let before = secret(&fixture).expect("it is made")["data"].clone();
        fixture.vault.certificates.insert("tls".into(), fixture::certificate("demo.test", 2));
        fixture.advance(60.0);
        assert_eq!(secret(&fixture).expect("it stays")["data"], before);
        fixture.advance(60.0);
        assert_ne!(secret(&fixture).expect("it stays")["data"], before);
        assert_eq!(fixture.events("MountRotationComplete").len(), 1);
        assert_eq!(fixture.events("SecretRotationComplete").len(), 1);
        let recorded = fixture.store.list(POD_STATUSES, None)[0];
        assert_eq!(text(recorded, "/status/objects/0/version"), format!("{:032x}", 2));
    }

    #[test]
    fn rotation_stops_while_it_is_disabled_and_starts_again() {
        let mut fixture = fixture_with(class(OBJECTS));
        fixture.advance(20.0);
        let before = secret(&fixture).expect("it is made")["data"].clone();
        fixture.set_rotation(None);
        fixture.vault.certificates.insert("tls".into(), fixture::certificate("demo.test", 2));
        fixture.advance(600.0);
        assert_eq!(secret(&fixture).expect("it stays")["data"], before, "rotation is disabled");
        fixture.set_rotation(Some(30.0));
        fixture.advance(29.0);
        assert_eq!(secret(&fixture).expect("it stays")["data"], before, "the first poll waits");
        fixture.advance(2.0);
        assert_ne!(secret(&fixture).expect("it stays")["data"], before, "rotation works again");
        assert_eq!(fixture.events("SecretRotationComplete").len(), 1);
        // A changed interval applies at once, and each pod is polled once per interval.
        fixture.set_rotation(Some(600.0));
        let reads = *fixture.vault.reads.borrow();
        fixture.advance(599.0);
        assert_eq!(*fixture.vault.reads.borrow(), reads);
        fixture.advance(2.0);
        assert_eq!(*fixture.vault.reads.borrow(), reads + 1);
    }

    #[test]
    fn rotation_starts_for_pods_that_mounted_without_it() {
        let mut fixture = ClusterFixture::running();
        fixture.set_rotation(None);
        fixture.request(CLASSES, class(OBJECTS));
        fixture.request("deployments.apps", holder());
        fixture.advance(20.0);
        let before = secret(&fixture).expect("it is made")["data"].clone();
        fixture.vault.certificates.insert("tls".into(), fixture::certificate("demo.test", 2));
        fixture.set_rotation(Some(120.0));
        fixture.advance(121.0);
        assert_ne!(secret(&fixture).expect("it stays")["data"], before);
    }

    #[test]
    fn a_failed_rotation_keeps_the_old_content() {
        let mut fixture = fixture_with(class(OBJECTS));
        fixture.advance(20.0);
        let before = secret(&fixture).expect("it is made")["data"].clone();
        fixture.vault.certificates.insert("tls".into(), fixture::certificate("demo.test", 2));
        fixture.vault.readable_from = None;
        fixture.advance(300.0);
        assert_eq!(secret(&fixture).expect("it stays")["data"], before);
        assert_eq!(fixture.events("MountRotationFailed")[0]["count"], 2);
        assert!(fixture.is_ready("holder"));
    }

    #[test]
    fn polls_that_find_nothing_are_skipped_in_a_long_absence() {
        let mut fixture = fixture_with(class(OBJECTS));
        fixture.advance(20.0);
        let reads = *fixture.vault.reads.borrow();
        fixture.advance(365.0 * 86_400.0);
        assert!(*fixture.vault.reads.borrow() < reads + 5, "{} reads", *fixture.vault.reads.borrow() - reads);
        fixture.vault.certificates.insert("tls".into(), fixture::certificate("demo.test", 2));
        fixture.advance(120.0);
        assert_eq!(fixture.events("MountRotationComplete").len(), 1, "the interval is kept");

        let count = |fixture: &ClusterFixture| fixture.events("MountRotationFailed")[0]["count"].as_i64();
        fixture.vault.readable_from = None;
        fixture.advance(1_200.0);
        assert_eq!(count(&fixture), Some(10), "the failures are counted");
        fixture.advance(86_400.0);
        assert_eq!(count(&fixture), Some(730));
    }

    #[test]
    fn two_objects_of_two_types_make_two_files() {
        let both = "array:\n  - |\n    objectName: tls\n    objectType: secret\n    objectAlias: key\n  - |\n    objectName: tls\n    objectType: cert\n    objectAlias: crt\n";
        let mut two = class(both);
        two["spec"]["secretObjects"][0]["data"] =
            json!([{"objectName": "key", "key": "tls.key"}, {"objectName": "crt", "key": "tls.crt"}]);
        let mut fixture = fixture_with(two);
        fixture.advance(20.0);
        let data = secret(&fixture).expect("it is made")["data"].clone();
        let decoded = base64::Engine::decode(
            &base64::engine::general_purpose::STANDARD,
            data["tls.crt"].as_str().unwrap_or_default(),
        )
        .expect("base64");
        assert_eq!(
            String::from_utf8_lossy(&decoded).matches("BEGIN CERTIFICATE").count(),
            1,
            "the leaf alone"
        );
        assert_eq!(list(fixture.store.list(POD_STATUSES, None)[0], "/status/objects").len(), 2);
    }
}
