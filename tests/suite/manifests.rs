//! A folder of the user's own manifests: errors name file, document and field.

use crate::environment::TestEnvironment;

const CONFIG_MAP: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: words\ndata:\n  host: shop.__DOMAIN_NAME__\n";

fn folder(manifest: &str) -> TestEnvironment {
    let here = TestEnvironment::instant().with("MANIFESTS_DIR", "own");
    here.write("own/10-words.yaml", CONFIG_MAP);
    here.write("own/20-mine.yaml", manifest);
    here
}

#[test]
fn a_broken_document_is_named_before_anything_is_touched() {
    let here = folder("apiVersion: v1\nkind: ConfigMap\n---\napiVersion: v1\nkind: [\n");
    let said = here.expect(2, &["up"]);
    assert!(said.stderr.contains("20-mine.yaml"), "{}", said.stderr);
    assert!(here.ledger().is_empty());
}

#[test]
fn an_unknown_kind_is_named_with_its_file_and_document() {
    let here = folder("apiVersion: example.com/v1\nkind: Sprocket\nmetadata:\n  name: one\n");
    let said = here.expect(1, &["up"]);
    for word in ["Sprocket", "20-mine.yaml", "document 1"] {
        assert!(said.stderr.contains(word), "{word}: {}", said.stderr);
    }
}

#[test]
fn a_field_that_the_schema_does_not_know_is_named_and_what_was_applied_stays_journalled() {
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: shop\nspec:\n  replica: 2\n  selector:\n    matchLabels: {app: shop}\n  template:\n    metadata:\n      labels: {app: shop}\n    spec:\n      containers:\n      - name: shop\n        image: shop:1\n";
    let here = folder(deployment);
    let said = here.expect(1, &["up"]);
    for word in ["20-mine.yaml", "document 1", "replica"] {
        assert!(said.stderr.contains(word), "{word}: {}", said.stderr);
    }
    let kept = here.journal().into_iter().any(|entry| {
        entry["entry"] == "ticket" && entry["step"] == "apps" && entry.to_string().contains("ConfigMap")
    });
    assert!(kept, "the ConfigMap that was applied is remembered");
}

#[test]
fn the_domain_is_filled_in_as_data() {
    let here = folder(&CONFIG_MAP.replace("name: words", "name: more-words"));
    here.expect(0, &["up"]);
    let world = here.state().join("sim");
    let found = std::fs::read_dir(world).unwrap().map(Result::unwrap).any(|file| {
        let text = std::fs::read(file.path()).unwrap_or_default();
        String::from_utf8_lossy(&text).contains("shop.demo.example.com")
    });
    assert!(found);
}
