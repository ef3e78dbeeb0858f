//! Folders of manifests that a second `up` and a `plan` must find unchanged.

use crate::fixture::Fixture;
use landfall_cloud::kubernetes::manifest;
use landfall_engine::{Action, How};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// Cases that need more than a comparison: they are skipped.
const OTHER_KINDS: [&str; 4] =
    ["bare-namespace-keeps-cluster", "exported-object", "kustomization-in-folder", "yaml-1.1-booleans"];
const OTHER_FOLDERS: [&str; 3] = ["host-outside-zone", "pfx-own-hosts", "tags-by-case"];
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/default/deployments/shop";

/// Returns the folders with manifests of the examples, and of the shared cases if they are present.
fn folders() -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    for parent in ["examples", "../shared/cases", "../../shared/cases"] {
        let Ok(entries) = std::fs::read_dir(root.join(parent)) else { continue };
        for entry in entries.map(|entry| entry.unwrap()) {
            let manifests = entry.path().join("manifests");
            if manifests.is_dir() {
                found.push((entry.file_name().to_string_lossy().into_owned(), manifests));
            }
        }
    }
    found.sort();
    found
}

/// Runs up, up and plan; the last two must change nothing.
async fn assert_quiet(name: &str, manifests: Vec<manifest::Manifest>) -> Fixture {
    let mut fixture = Fixture::instant().await;
    fixture.settings.manifests = Some(Arc::new(manifests));
    fixture.up_ready().await;
    let mark = fixture.mark();
    let result = fixture.up_ready().await;
    let (apps, gateways) = (result.notes("apps"), result.notes("gateways"));
    assert_eq!(result.counts(), (19, 0, 0), "{name}: {apps:?} {gateways:?}");
    let plan = fixture.plan().await;
    for step in &plan.steps {
        assert_eq!(step.action, Action::Ok, "{name}: {step:#?}");
    }
    assert_eq!(fixture.writes(mark), [""; 0], "{name}");
    fixture
}

#[tokio::test]
async fn every_folder_of_manifests_is_unchanged_after_up() {
    for (name, folder) in folders() {
        if OTHER_KINDS.contains(&name.as_str()) || OTHER_FOLDERS.contains(&name.as_str()) {
            println!("skipped: {name} needs more than a comparison");
            continue;
        }
        assert_quiet(&name, manifest::read_folder(&folder).unwrap()).await;
    }
}

const SHOP: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop, labels: null}
spec:
  replicas: 2
  minReadySeconds: 0
  paused: false
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      hostNetwork: false
      nodeSelector:
      affinity: {}
      tolerations: []
      imagePullSecrets: []
      priorityClassName: ""
      containers:
      - name: shop
        image: shop
        stdin: false
        env: [{name: EMPTY, value: ""}]
        resources:
          requests: {cpu: 0.0001, memory: 1024Mi}
          limits: {cpu: 0.5, memory: 1.5Gi}
        volumeMounts: [{name: tmp, mountPath: /tmp, readOnly: false}]
      volumes: [{name: tmp, emptyDir: {sizeLimit: 1024Ki}}]
---
apiVersion: v1
kind: Service
metadata: {name: shop}
spec:
  clusterIP: ""
  clusterIPs: []
  loadBalancerIP: ""
  publishNotReadyAddresses: false
  sessionAffinity: null
  selector: {app: shop}
  ports: [{name: http, port: 80, nodePort: 0}]
"#;

#[tokio::test]
async fn rendered_zero_values_and_quantities_are_no_change() {
    let fixture = assert_quiet("zero values", manifest::parse("a.yaml", SHOP).unwrap()).await;
    let live = fixture.kubectl().await.get(DEPLOYMENT).await;
    let container = &live["spec"]["template"]["spec"]["containers"][0];
    let memory =
        json!({"requests": {"cpu": "1m", "memory": "1Gi"}, "limits": {"cpu": "500m", "memory": "1536Mi"}});
    assert_eq!(container["resources"], memory, "the simulated server stores the canonical form");
    assert_eq!(live["spec"]["template"]["spec"].get("hostNetwork"), None);
}

#[tokio::test]
async fn a_real_change_beside_zero_values_is_found_and_corrected() {
    let mut fixture = assert_quiet("zero values", manifest::parse("a.yaml", SHOP).unwrap()).await;
    let changed = SHOP.replace("paused: false", "paused: false\n  progressDeadlineSeconds: 700");
    fixture.settings.manifests = Some(Arc::new(manifest::parse("a.yaml", &changed).unwrap()));
    let plan = fixture.plan().await;
    let apps = plan.steps.iter().find(|step| step.step == "apps").unwrap();
    let fields: Vec<&str> = apps.changes.iter().map(|change| change.field.as_str()).collect();
    assert_eq!(fields, ["Deployment shop: spec.progressDeadlineSeconds"]);
    assert_eq!(fixture.up_ready().await.how("apps"), Some(How::Changed));
}

const SCALER: &str = r#"
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: shop}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: shop}
  minReplicas: 3
  maxReplicas: 5
"#;

#[tokio::test]
async fn an_update_of_an_autoscaled_deployment_does_not_scale_it() {
    let manifests = format!("{SHOP}{SCALER}");
    let mut fixture = assert_quiet("autoscaler", manifest::parse("a.yaml", &manifests).unwrap()).await;
    assert_eq!(fixture.kubectl().await.get(DEPLOYMENT).await["spec"]["replicas"], 3);
    let changed = manifests.replace("image: shop", "image: shop:2");
    fixture.settings.manifests = Some(Arc::new(manifest::parse("a.yaml", &changed).unwrap()));
    let seen = fixture.kubectl().await.get(DEPLOYMENT).await["metadata"]["generation"].as_i64();
    assert_eq!(fixture.up_ready().await.how("apps"), Some(How::Changed));
    let live: Value = fixture.kubectl().await.get(DEPLOYMENT).await;
    assert_eq!(live["spec"]["replicas"], 3);
    assert_eq!(live["metadata"]["generation"].as_i64(), seen.map(|seen| seen + 1), "one change: the image");
}
