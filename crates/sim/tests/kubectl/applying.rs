//! `apply` and `diff`, client-side and server-side, and small manual changes.

use crate::fixture::Fixture;
use crate::manifest::WEB;

fn changed() -> String {
    WEB.replace("replicas: 2", "replicas: 3")
        .replace("[web.example.test]", "[web.example.test, www.example.test]")
}

const ALL: [&str; 5] = [
    "namespace/demo",
    "deployment.apps/web",
    "service/web",
    "gateway.gateway.networking.k8s.io/web",
    "httproute.gateway.networking.k8s.io/web",
];

fn each(word: &str) -> String {
    ALL.iter().map(|name| format!("{name} {word}\n")).collect()
}

#[tokio::test]
async fn client_side_apply_creates_keeps_and_changes() {
    let Some(fixture) = Fixture::open().await else { return };
    fixture.write("web.yaml", WEB);
    fixture.write("changed.yaml", &changed());
    assert_eq!(
        fixture.kubectl("apply -f web.yaml --dry-run=server").await.code,
        1,
        "there is no namespace yet"
    );
    assert_eq!(fixture.kubectl("apply -f web.yaml").await.fine(), each("created"));
    assert_eq!(fixture.kubectl("diff -f web.yaml").await.fine(), "");
    let again = fixture.kubectl("apply -f web.yaml").await;
    assert!(
        again.fine().starts_with("namespace/demo unchanged\ndeployment.apps/web unchanged\n"),
        "{}",
        again.out
    );
    let diff = fixture.kubectl("diff -f changed.yaml").await;
    assert_eq!(diff.code, 1, "{}", diff.err);
    assert!(diff.out.contains("\n-  replicas: 2\n+  replicas: 3\n"), "{}", diff.out);
    assert!(diff.out.contains("\n+  - www.example.test\n"), "{}", diff.out);
    let changed = fixture.kubectl("apply -f changed.yaml").await;
    assert!(
        changed.fine().contains("deployment.apps/web configured\nservice/web unchanged\n"),
        "{}",
        changed.out
    );
    assert_eq!(
        fixture.kubectl("get deploy web -n demo -o 'jsonpath={.status.readyReplicas}'").await.fine(),
        "3",
        "the controllers saw it"
    );
    assert_eq!(fixture.kubectl("diff -f changed.yaml").await.fine(), "");
}

#[tokio::test]
async fn server_side_apply_owns_fields_and_conflicts() {
    let Some(fixture) = Fixture::open().await else { return };
    fixture.write("web.yaml", WEB);
    fixture.write("changed.yaml", &changed());
    assert_eq!(fixture.kubectl("apply --server-side -f web.yaml").await.fine(), each("serverside-applied"));
    assert_eq!(fixture.kubectl("diff --server-side -f web.yaml").await.fine(), "");
    let diff = fixture.kubectl("diff --server-side -f changed.yaml").await;
    assert_eq!(diff.code, 1, "{}", diff.err);
    assert!(diff.out.contains("\n-  replicas: 2\n+  replicas: 3\n"), "{}", diff.out);
    fixture.kubectl("scale deploy/web --replicas=4 -n demo").await.fine();
    let fight = fixture.kubectl("apply --server-side --field-manager=other -f changed.yaml").await;
    assert!(
        fight.refused().contains(".spec.replicas") && fight.err.contains("--force-conflicts"),
        "{}",
        fight.err
    );
    let won =
        fixture.kubectl("apply --server-side --force-conflicts --field-manager=other -f changed.yaml").await;
    assert_eq!(won.fine(), each("serverside-applied"));
    let typo = changed().replace("gatewayClassName", "gatewayClasName");
    let refused = fixture.kubectl_with("apply --server-side --force-conflicts -f -", &typo).await;
    assert!(
        refused.refused().contains(".spec.gatewayClasName: field not declared in schema"),
        "{}",
        refused.err
    );
    let invalid = WEB.replace("    port: 80\n    protocol: HTTP", "    port: 0\n    protocol: HTTP");
    let refused = fixture.kubectl_with("apply --server-side --force-conflicts -f -", &invalid).await;
    assert!(refused.refused().contains("spec.listeners[0].port: Invalid value: 0"), "{}", refused.err);
}

#[tokio::test]
async fn the_small_changes_people_make_arrive() {
    let Some(fixture) = Fixture::open().await else { return };
    fixture.kubectl_with("apply -f -", WEB).await.fine();
    for (line, output) in [
        ("label gateway web tier=front", "gateway.gateway.networking.k8s.io/web labeled\n"),
        ("annotate gateway web note=kept", "gateway.gateway.networking.k8s.io/web annotated\n"),
        ("patch svc web -p '{\"spec\":{\"sessionAffinity\":\"ClientIP\"}}'", "service/web patched\n"),
        (
            "patch httproute web --type=merge -p '{\"spec\":{\"hostnames\":[\"a.test\"]}}'",
            "httproute.gateway.networking.k8s.io/web patched\n",
        ),
        ("scale deploy/web --replicas=1", "deployment.apps/web scaled\n"),
        ("set image deploy/web web=nginx:1.29", "deployment.apps/web image updated\n"),
        ("rollout restart deploy/web", "deployment.apps/web restarted\n"),
        ("rollout undo deploy/web --to-revision=1", "deployment.apps/web rolled back\n"),
    ] {
        assert_eq!(fixture.kubectl(&format!("{line} -n demo")).await.fine(), output, "{line}");
    }
    let shown = fixture
        .kubectl("get gateway web -n demo -o 'jsonpath={.metadata.labels.tier} {.metadata.annotations.note}'")
        .await;
    assert_eq!(shown.fine(), "front kept");
    assert_eq!(
        fixture.kubectl("get deploy web -n demo -o 'jsonpath={.spec.replicas} {.spec.template.spec.containers[0].image}'").await.fine(),
        "1 mcr.microsoft.com/azuredocs/aks-helloworld:v1"
    );
    let strategic = fixture.kubectl("patch gateway web -n demo --type=strategic -p '{\"spec\":{}}'").await;
    assert!(
        strategic.refused().contains("unknown format") || strategic.err.contains("not supported"),
        "{}",
        strategic.err
    );
    let node =
        fixture.kubectl("get nodes -o name").await.fine().lines().next().unwrap_or_default().to_owned();
    fixture.kubectl(&format!("cordon {node}")).await.fine();
    assert!(fixture.kubectl("get nodes").await.fine().contains("Ready,SchedulingDisabled"));
    fixture.kubectl(&format!("uncordon {node}")).await.fine();
}

const LIST: &str = r#"{"apiVersion": "v1", "kind": "List", "items": [
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}, "data": {"a": "b"}},
    {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"}, "spec": {
        "serviceName": "db", "selector": {"matchLabels": {"app": "db"}}, "template": {
            "metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "db", "image": "postgres:16"}]}}}}]}"#;

#[tokio::test]
async fn a_list_is_applied_and_its_items_are_validated() {
    let Some(fixture) = Fixture::open().await else { return };
    let created = fixture.kubectl_with("apply -f -", LIST).await;
    assert_eq!(created.fine(), "configmap/one created\nstatefulset.apps/db created\n");
    let again = fixture.kubectl_with("apply -f -", LIST).await;
    assert_eq!(again.fine(), "configmap/one unchanged\nstatefulset.apps/db unchanged\n");
    let typo = fixture.kubectl_with("apply -f -", &LIST.replace("serviceName", "servicName")).await;
    assert!(typo.refused().contains("servicName"), "{}", typo.err);
    fixture.kubectl("rollout status sts/db --timeout=20s").await.fine();
    assert_eq!(fixture.kubectl("get sts db").await.rows()[1], "db | 1/1 | *");
    fixture.kubectl_with("apply --server-side --force-conflicts -f -", LIST).await.fine();
    assert_eq!(
        fixture.kubectl("get sc managed-csi -o name").await.fine(),
        "storageclass.storage.k8s.io/managed-csi\n"
    );
}

#[tokio::test]
async fn a_typed_list_is_applied_as_its_items() {
    let Some(fixture) = Fixture::open().await else { return };
    let list = r#"{"apiVersion": "v1", "kind": "ConfigMapList", "items": [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}, "data": {"a": "b"}}]}"#;
    assert_eq!(fixture.kubectl_with("apply -f -", list).await.fine(), "configmap/one created\n");
}
