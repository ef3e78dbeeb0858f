//! `landfall plan`: its output, its exit codes, and that it changes nothing.

use crate::environment::TestEnvironment;
use crate::screens::shows;
use serde_json::{Value, json};

#[test]
fn a_plan_of_everything_of_nothing_and_of_three_changes() {
    let env = TestEnvironment::instant();
    shows("plan_everything", &env.expect(10, &["plan", "--detailed-exitcode"]).stdout);
    assert!(!env.state().join("journal.jsonl").exists(), "nothing is remembered of a plan");
    env.expect(0, &["up"]);
    let journal = std::fs::read(env.state().join("journal.jsonl")).unwrap();
    let before = env.request_log().len();
    shows("plan_nothing", &env.expect(0, &["plan", "--detailed-exitcode"]).stdout);
    let changed = ["plan", "--detailed-exitcode", "--nodes-max", "5", "--canary", "50/50"];
    shows("plan_three_changes", &env.expect(10, &changed).stdout);
    assert_eq!(env.expect(0, &changed[..1]).stderr, "", "what may be piped is on standard output");
    assert_eq!(std::fs::read(env.state().join("journal.jsonl")).unwrap(), journal);
    let requests: Vec<Value> = env.request_log().split_off(before);
    let reads = |line: &&Value| {
        let path = line["path"].as_str().unwrap();
        line["method"] == "GET"
            || line["query"].to_string().contains(r#"["dryRun","All"]"#)
            || path.ends_with("/token")
            || path.ends_with("/listClusterUserCredential")
            || path.contains("/check")
    };
    let writes: Vec<&Value> = requests.iter().filter(|line| !reads(line)).collect();
    assert!(writes.is_empty(), "{writes:#?}");
}

/// Checks the README's example, and every other form of a flag.
#[test]
fn the_command_that_a_plan_prints_performs_that_plan() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up"]);
    for (flags, printed) in [
        (&["--canary", "50/50"][..], "landfall up --canary 50/50"),
        (&["--stable", "60", "--canary", "40"], "landfall up --canary 40 --stable 60"),
        (&["--replace", "cluster", "--nodes-max", "5"], "landfall up --replace cluster --nodes-max 5"),
    ] {
        let plan = env.expect(0, &[&["plan"], flags].concat()).stdout;
        let command =
            plan.lines().find_map(|line| line.strip_prefix("Apply: ")).expect("there is work to do");
        assert_eq!(command, printed);
    }
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    assert!(readme.contains("    landfall plan --canary 50/50\n"));
    assert!(readme.contains("    Apply: landfall up --canary 50/50\n"));
    env.expect(0, &["up", "--canary", "50/50"]);
    env.expect(0, &["plan", "--canary", "50/50", "--detailed-exitcode"]);
}

#[test]
fn thirty_changes_are_read_object_by_object() {
    let object = |value: usize| {
        (0..10).map(move |at| {
            format!(
                "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: shop-{at} }}\ndata:\n  \
                 greeting: \"{value}\"\n  address: \"https://shop-{at}.example.com/a/path/that/is/long/enough/{value}\"\n  \
                 empty: \"{value}\"\n"
            )
        })
    };
    let env = TestEnvironment::instant();
    env.write("own/objects.yaml", object(1).collect::<String>());
    let arguments = ["--manifests", "own"];
    env.expect(0, &[&["up"], &arguments[..]].concat());
    env.write("own/objects.yaml", object(2).collect::<String>());
    shows("plan_thirty_changes", &env.expect(0, &[&["plan"], &arguments[..]].concat()).stdout);
}

#[test]
fn the_document_has_a_line_for_every_step_and_what_comes_after_what() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up"]);
    let output = env.expect(0, &["plan", "--format", "json", "--canary", "0/100"]).stdout;
    let document: Value = serde_json::from_str(&output).unwrap();
    let steps = document["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 19);
    let gateways = steps.iter().find(|step| step["step"] == "gateways").unwrap();
    assert_eq!(gateways["action"], "change");
    assert_eq!(gateways["changes"][1]["is"], json!(10));
    assert_eq!(gateways["changes"][1]["wanted"], json!(100));
    assert!(
        steps.iter().filter(|step| step["step"] != "gateways").all(|step| step["action"] == "ok"),
        "{output}"
    );
}

#[test]
fn the_canary_alone_changes_the_route_and_nothing_else() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up"]);
    let before = env.request_log().len();
    let summary = env.expect(0, &["up", "--canary", "0/100", "--format", "json"]).summary();
    assert_eq!((&summary["changed"], &summary["found"]), (&json!(1), &json!(18)));
    let changed = env.request_log().split_off(before);
    let patched: Vec<&str> = changed
        .iter()
        .filter(|line| line["method"] == "PATCH" && line["path"].as_str().unwrap().contains("/httproutes/"))
        .filter_map(|line| line["path"].as_str())
        .collect();
    assert!(patched.iter().any(|path| path.contains("/echo-canary")), "{patched:?}");
    let output = env.expect(2, &["up", "--canary", "20/90"]).stderr;
    assert!(output.contains("add up to 110"), "{output}");
}

#[test]
fn a_plan_under_other_names_is_refused_as_up_would_be() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up"]);
    let output = env.expect(2, &["plan", "--resource-group", "rg-other"]).stderr;
    assert!(output.contains("rg-other"), "{output}");
}

#[test]
fn an_object_to_replace_outside_the_manifests_is_invalid_input() {
    let env = TestEnvironment::instant();
    for (command, name) in [("up", "deployment/nowhere"), ("plan", "job/shop/httpbin")] {
        let output = env.expect(2, &[command, "--replace", name]).stderr;
        assert!(output.contains(name) && output.contains("KIND/NAME"), "{output}");
    }
    env.expect(2, &["up", "--replace", "nonsense"]);
    assert!(!env.state().join("journal.jsonl").exists());
}

#[test]
fn a_plan_of_a_change_that_the_server_refuses_ends_as_up_does() {
    let env = TestEnvironment::instant();
    let config = |value: u8| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: fixed }}\nimmutable: true\ndata: {{ a: \"{value}\" }}\n"
        )
    };
    env.write("own/fixed.yaml", config(1));
    env.expect(0, &["up", "--manifests", "own"]);
    env.expect(0, &["plan", "--detailed-exitcode", "--manifests", "own"]);
    env.write("own/fixed.yaml", config(2));
    for command in ["plan", "up"] {
        let output = env.expect(3, &[command, "--manifests", "own"]);
        let output = format!("{}{}", output.stdout, output.stderr);
        for word in ["configmap/fixed", "data.a", "immutable", "--replace configmap/fixed"] {
            assert!(output.contains(word), "{word}: {output}");
        }
    }
    let replace = ["--manifests", "own", "--replace", "configmap/fixed"];
    let output = env.expect(0, &[&["plan"], &replace[..]].concat()).stdout;
    assert!(output.contains("deleted and recreated"), "{output}");
    env.expect(0, &[&["up"], &replace[..]].concat());
    env.expect(0, &["plan", "--detailed-exitcode", "--manifests", "own"]);
    env.expect(0, &["down", "--yes"]);
}
