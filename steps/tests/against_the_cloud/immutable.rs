//! Immutable fields: refused before the first write, or changed by recreating the object at a person's
//! request.

use crate::{
    fixture::{Fixture, RunResult},
    settings,
};
use landfall_engine::{Action, How, Kind};
use landfall_steps::settings::ObjectName;
use serde_json::{Value, json};

const HTTPBIN: &str = "/apis/apps/v1/namespaces/default/deployments/httpbin";
const SERVICE: &str = "/api/v1/namespaces/default/services/httpbin";
const CONFIG: &str = "/api/v1/namespaces/default/configmaps/fixed";

/// Creates an environment as a script would: no journal, and a Deployment with another selector.
async fn environment_of_a_script() -> Fixture {
    let fixture = Fixture::instant().await;
    fixture.up_ready().await;
    std::fs::remove_dir_all(fixture.home.path().join("state")).unwrap();
    let kubectl = fixture.kubectl().await;
    let mut spec = kubectl.get(HTTPBIN).await["spec"].clone();
    kubectl.delete(HTTPBIN).await;
    let labels = json!({ "app": "httpbin", "run-by": "script" });
    spec["selector"]["matchLabels"] = labels.clone();
    spec["template"]["metadata"]["labels"] = labels;
    let foreign = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "httpbin", "namespace": "default" }, "spec": spec,
    });
    kubectl.apply(HTTPBIN, &foreign).await;
    kubectl.merge(SERVICE, &json!({ "spec": { "selector": { "run-by": "script" } } })).await;
    fixture
}

fn assert_refused(result: &RunResult, step: &str, words: &[&str]) {
    let error = result.error(step);
    assert_eq!((error.kind, error.code.as_deref()), (Kind::Refused, Some("ImmutableField")), "{error:#?}");
    let text = format!("{} {}", error.causes.join("; "), error.hint.clone().unwrap_or_default());
    for word in words {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[tokio::test]
async fn a_foreign_selector_is_refused_before_the_first_write() {
    let fixture = environment_of_a_script().await;
    let before = fixture.kubectl().await.get(SERVICE).await;
    let plan = fixture.plan().await;
    let refused: Vec<_> = plan.steps.iter().filter(|step| step.action == Action::Refuse).collect();
    let error = refused[0].error.as_ref().unwrap();
    assert!(
        error.causes.iter().any(|cause| cause.contains("deployment/httpbin: spec.selector")),
        "{error:#?}"
    );
    let mark = fixture.mark();
    let result = fixture.up().await;
    assert_refused(&result, "preflight", &["run-by", "--replace deployment/httpbin"]);
    assert_eq!(fixture.writes(mark), [""; 0]);
    assert_eq!(fixture.kubectl().await.get(SERVICE).await, before);
}

#[tokio::test]
async fn a_foreign_deployment_is_recreated_on_request_and_stays_foreign() {
    let mut fixture = environment_of_a_script().await;
    let kubectl = fixture.kubectl().await;
    let before = kubectl.get(HTTPBIN).await["metadata"]["uid"].clone();
    fixture.settings.replace_objects = vec![ObjectName::parse("deployment/httpbin").unwrap()];
    let plan = fixture.plan().await;
    let apps = plan.steps.iter().find(|step| step.step == "apps").unwrap();
    let result: Vec<String> = apps.changes.iter().map(ToString::to_string).collect();
    assert_eq!(apps.action, Action::Change, "{result:?}");
    assert!(
        result.iter().any(|change| change.contains("interruption") && change.contains("recreated")),
        "{result:?}"
    );
    assert!(result.iter().any(|change| change.contains("Service httpbin: spec.selector")), "{result:?}");

    let mark = fixture.mark();
    let result = fixture.up_ready().await;
    assert_eq!(result.how("apps"), Some(How::Changed));
    assert!(result.notes("apps").iter().any(|note| note.contains("down until it is ready")));
    let live = kubectl.get(HTTPBIN).await;
    assert_eq!(live["spec"]["selector"]["matchLabels"]["run-by"], Value::Null);
    assert_ne!(live["metadata"]["uid"], before);
    let writes = fixture.writes_at(mark, "/default/");
    let at = |part: &str| writes.iter().position(|line| line.contains(part));
    assert!(
        at("PATCH 201 /").is_some() && at("/deployments/httpbin") < at("/services/httpbin"),
        "{writes:?}"
    );
    fixture.settings.replace_objects.clear();
    assert_eq!(fixture.up_ready().await.counts(), (19, 0, 0));
    fixture.down_ready().await;
    assert_ne!(kubectl.get(HTTPBIN).await, Value::Null, "it took the place of a foreign one");
}

/// Returns the manifests of a ConfigMap that never changes, and of a workload with a Service.
fn shop(data: &str, selector: &str, port: u16) -> String {
    format!(
        "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: fixed}}, immutable: true, data: {data}}}\n---\n\
         {{apiVersion: v1, kind: Service, metadata: {{name: shop}}, spec: {{selector: {{app: shop}}, ports: [{{port: {port}}}]}}}}\n---\n\
         {{apiVersion: apps/v1, kind: Deployment, metadata: {{name: shop}}, spec: {{replicas: 1, \
         selector: {{matchLabels: {{app: {selector}}}}}, template: {{metadata: {{labels: {{app: {selector}}}}}, \
         spec: {{containers: [{{name: shop, image: shop}}]}}}}}}}}"
    )
}

#[tokio::test]
async fn an_immutable_change_of_owned_objects_is_refused_before_the_first_write() {
    let mut fixture = Fixture::instant().await;
    fixture.settings.manifests = settings::manifests(&shop("{a: '1', b: '1'}", "shop", 80));
    fixture.up_ready().await;
    for (data, selector, words) in [
        ("{a: '2', b: '1'}", "shop", ["configmap/fixed: data.a", "--replace configmap/fixed"]),
        ("{a: '1'}", "shop", ["configmap/fixed: data.b", "--replace configmap/fixed"]),
        ("{a: '1', b: '1'}", "other", ["deployment/shop: spec.selector", "--replace deployment/shop"]),
    ] {
        fixture.settings.manifests = settings::manifests(&shop(data, selector, 81));
        let plan = fixture.plan().await;
        assert!(plan.steps.iter().any(|step| step.action == Action::Refuse), "{plan:#?}");
        let mark = fixture.mark();
        assert_refused(&fixture.up().await, "preflight", &words);
        assert_eq!(fixture.writes(mark), [""; 0]);
    }
    fixture.settings.replace_objects = vec![ObjectName::parse("ConfigMap/fixed").unwrap()];
    fixture.settings.manifests = settings::manifests(&shop("{a: '2'}", "shop", 80));
    fixture.up_ready().await;
    assert_eq!(fixture.kubectl().await.get(CONFIG).await["data"], json!({ "a": "2" }));
    fixture.down_ready().await;
    assert_eq!(
        fixture.get(&fixture.cluster_id()).await,
        Value::Null,
        "what was recreated is owned as before"
    );
}

#[tokio::test]
async fn a_service_is_not_updated_when_its_deployment_is_refused() {
    let mut fixture = Fixture::instant().await;
    fixture.settings.manifests = settings::manifests(&shop("{a: '1'}", "shop", 80));
    fixture.up_ready().await;
    let broken =
        shop("{a: '1'}", "shop", 81).replace("image: shop", "image: shop, ports: [{containerPort: x}]");
    fixture.settings.manifests = settings::manifests(&broken);
    let mark = fixture.mark();
    fixture.up().await.error("apps");
    assert_eq!(fixture.writes_at(mark, "/services/shop"), [""; 0]);
}
