//! A folder of the user's own manifests: errors name file, document and field.

use crate::environment::TestEnvironment;

const CONFIG_MAP: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: words\ndata:\n  host: shop.__DOMAIN_NAME__\n";

fn folder(manifest: &str) -> TestEnvironment {
    let env = TestEnvironment::instant().with("MANIFESTS_DIR", "own");
    env.write("own/10-words.yaml", CONFIG_MAP);
    env.write("own/20-mine.yaml", manifest);
    env
}

#[test]
fn an_invalid_document_is_reported_before_any_change() {
    let env = folder("apiVersion: v1\nkind: ConfigMap\n---\napiVersion: v1\nkind: [\n");
    let output = env.expect(2, &["up"]);
    assert!(output.stderr.contains("20-mine.yaml"), "{}", output.stderr);
    assert!(env.request_log().is_empty());
}

#[test]
fn an_unknown_kind_is_named_with_its_file_and_document() {
    let env = folder("apiVersion: example.com/v1\nkind: Sprocket\nmetadata:\n  name: one\n");
    let output = env.expect(1, &["up"]);
    for word in ["Sprocket", "20-mine.yaml", "document 1"] {
        assert!(output.stderr.contains(word), "{word}: {}", output.stderr);
    }
}

#[test]
fn an_unknown_field_is_reported_and_applied_objects_stay_recorded() {
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: shop\nspec:\n  replica: 2\n  selector:\n    matchLabels: {app: shop}\n  template:\n    metadata:\n      labels: {app: shop}\n    spec:\n      containers:\n      - name: shop\n        image: shop:1\n";
    let env = folder(deployment);
    let output = env.expect(1, &["up"]);
    for word in ["20-mine.yaml", "document 1", "replica"] {
        assert!(output.stderr.contains(word), "{word}: {}", output.stderr);
    }
    let kept = env.journal().into_iter().any(|entry| {
        entry["entry"] == "ticket" && entry["step"] == "apps" && entry.to_string().contains("ConfigMap")
    });
    assert!(kept, "the ConfigMap that was applied is remembered");
}

#[test]
fn the_domain_is_filled_in_as_data() {
    let env = folder(&CONFIG_MAP.replace("name: words", "name: more-words"));
    env.expect(0, &["up"]);
    let state = env.state().join("sim");
    let found = std::fs::read_dir(state).unwrap().map(Result::unwrap).any(|file| {
        let text = std::fs::read(file.path()).unwrap_or_default();
        String::from_utf8_lossy(&text).contains("shop.demo.example.com")
    });
    assert!(found);
}

const EXPORTED: &str = "apiVersion: v1\nkind: ConfigMapList\nitems:\n- metadata:\n    name: exported\n    uid: 3b0f3e0a-7c3d-4a39-9a51-0d7c1c0c1111\n    resourceVersion: '48211'\n  data: {colour: blue}\n";

#[test]
fn files_that_kubectl_accepts_are_applied_and_the_others_are_named() {
    let env = folder(EXPORTED);
    let output = env.expect(0, &["plan"]);
    assert!(output.stdout.contains("was exported from a cluster"), "{}", output.stdout);
    env.expect(0, &["up"]);
    env.expect(0, &["plan", "--detailed-exitcode"]);

    env.write("own/kustomization.yaml", "resources: [10-words.yaml]\n");
    let output = env.expect(2, &["plan"]);
    assert!(output.stderr.contains("kustomization.yaml is not a manifest"), "{}", output.stderr);
    assert!(output.stderr.contains("kubectl kustomize"), "{}", output.stderr);
    std::fs::remove_file(env.path().join("own/kustomization.yaml")).unwrap();

    env.write(
        "own/30-switch.yaml",
        CONFIG_MAP.replace("name: words", "name: switch").replace("shop.__DOMAIN_NAME__", "on"),
    );
    let output = env.expect(2, &["plan"]);
    assert!(output.stderr.contains("data.host is the boolean true"), "{}", output.stderr);
}

#[test]
fn a_custom_resource_follows_its_definition_and_every_object_its_namespace() {
    let definition = "apiVersion: shop.example.com/v1\nkind: Widget\nmetadata: {name: one, namespace: shop}\nspec: {size: 3}\n---\n\
        apiVersion: v1\nkind: ConfigMap\nmetadata: {name: in-shop, namespace: shop}\n---\n\
        apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\n\
        apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: widgets.shop.example.com}\n\
        spec:\n  group: shop.example.com\n  scope: Namespaced\n\
        \x20 names: {plural: widgets, singular: widget, kind: Widget, listKind: WidgetList}\n\
        \x20 versions:\n  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}\n";
    let env = folder(definition);
    let output = env.expect(0, &["plan"]);
    assert!(!output.stdout.contains("refused"), "{}", output.stdout);
    env.expect(0, &["up"]);
    env.expect(0, &["up"]);
    env.expect(0, &["plan", "--detailed-exitcode"]);
    env.expect(0, &["--yes", "down"]);
}
