use proptest::prelude::*;
use serde_json::json;

use super::*;

const FROM_CLUSTER: &str = "apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: LS0tLS1CRUdJTg==
    server: https://demo.hcp.eastus.azmk8s.io:443
  name: aks-demo
contexts:
- context:
    cluster: aks-demo
    user: clusterUser_rg-demo_aks-demo
  name: aks-demo
current-context: aks-demo
kind: Config
preferences: {}
users:
- name: clusterUser_rg-demo_aks-demo
  user:
    client-certificate-data: LS0tLS1CRUdJTg==
    client-key-data: LS0tLS1CRUdJTg==
    token: 0123456789abcdef
";

const USERS_OWN: &str = "# my clusters, do not touch
apiVersion: v1
kind: Config
clusters:
  - name: work   # the big one
    cluster:
      server: https://work.example.com
      x-vendor: {keep: [me, 1.50]}

  # trailing words about clusters
contexts:
  - {name: work, context: {cluster: work, user: me, namespace: team}}
current-context: work # as of Monday
users:
  - name: me
    user:
      token: \"yes\"
extensions: [ {name: x, extension: {a: on}} ]
# the end";

fn merged(existing: &str) -> Merged {
    merge(Some(existing), FROM_CLUSTER, "demo").unwrap()
}

fn read(text: &str) -> Value {
    Document::parse(text).unwrap().value().clone()
}

#[test]
fn only_landfalls_lines_are_added_and_can_be_removed() {
    let Merged { text, added } = merged(USERS_OWN);
    let new: Vec<&str> = text.lines().collect();
    for line in USERS_OWN.lines().filter(|line| !line.starts_with("current-context")) {
        assert!(new.contains(&line), "{line:?} is lost in\n{text}");
    }
    let value = read(&text);
    assert_eq!(value["current-context"], "demo");
    assert_eq!(
        value["contexts"][1],
        json!({"name": "demo", "context": {"cluster": "aks-demo", "user": "clusterUser_rg-demo_aks-demo"}})
    );
    assert_eq!(value["users"][1]["user"]["token"], "0123456789abcdef");
    assert_eq!(added.previous_current_context.as_deref(), Some("work"));
    assert_eq!(remove(&text, &added).unwrap().as_deref(), Some(USERS_OWN));
}

#[test]
fn an_anchor_or_tag_on_an_empty_value_is_refused() {
    for existing in ["&a \n", "!!map\n", "~"] {
        assert!(merge(Some(existing), FROM_CLUSTER, "demo").is_err(), "{existing:?}");
        assert!(check(existing).is_err(), "{existing:?} is refused before the cluster is there");
    }
}

#[test]
fn a_replaced_line_is_restored_with_its_line_end() {
    let existing = "clusters: []\ncontexts:\nmine: 1\r\ncurrent-context: a\nusers: null\r\n";
    let Merged { text, added } = merged(existing);
    assert_eq!(remove(&text, &added).unwrap().as_deref(), Some(existing), "in {text:?}");
}

#[test]
fn a_current_context_in_a_block_scalar_is_restored() {
    let Merged { text, added } = merged("mine: 1\ncurrent-context: |\n  # x\n");
    let left = read(&remove(&text, &added).unwrap().unwrap());
    assert_eq!(left["current-context"], "# x\n", "in {text}");
}

#[test]
fn a_key_that_begins_with_a_dash_is_a_key() {
    let existing = "clusters: []\nusers: null\n-mine: 1\n";
    let Merged { text, added } = merged(existing);
    assert!(text.contains("\n-mine: 1\n"), "{text}");
    assert_eq!(merged(&text).text, text, "a second time changes nothing");
    assert_eq!(remove(&text, &added).unwrap().as_deref(), Some(existing));
}

#[test]
fn a_carriage_return_without_its_line_feed_at_the_end_stays() {
    let existing = "# mine\r\nclusters:\r\n- name: work\r";
    let Merged { text, added } = merged(existing);
    assert_eq!(remove(&text, &added).unwrap().as_deref(), Some(existing), "in {text:?}");
}

#[test]
fn the_recorded_data_has_no_credentials_and_survives_a_round_trip() {
    let Merged { text, added } = merged(USERS_OWN);
    let stored = serde_json::to_string(&added).unwrap();
    assert!(!stored.contains("LS0tLS1") && !stored.contains("0123456789abcdef"), "{stored}");
    let added: Added = serde_json::from_str(&stored).unwrap();
    assert_eq!(remove(&text, &added).unwrap().as_deref(), Some(USERS_OWN));
}

#[test]
fn a_created_file_is_removed_afterwards() {
    for existing in [None, Some(""), Some("\n")] {
        let Merged { text, added } = merge(existing, FROM_CLUSTER, "demo").unwrap();
        assert_eq!(read(&text)["current-context"], "demo");
        assert_eq!(remove(&text, &added).unwrap().as_deref(), existing, "{existing:?}");
    }
    for marked in ["---", "---\n", "%YAML 1.2\n--- # mine\n\n", "---\r\n# mine", "\t\n", "\n \t", "\t# mine"]
    {
        let Merged { text, added } = merged(marked);
        assert_eq!(remove(&text, &added).unwrap().as_deref(), Some(marked), "in {text}");
    }
    let Merged { text, added } = merged("# only a word");
    assert!(text.starts_with("# only a word\napiVersion: v1\n"), "{text}");
    assert_eq!(remove(&text, &added).unwrap().as_deref(), Some("# only a word"));
}

#[test]
fn a_created_file_stays_if_others_added_entries() {
    let owned = merge(None, FROM_CLUSTER, "demo").unwrap();
    let both = merge(Some(&owned.text), &FROM_CLUSTER.replace("demo", "other"), "other").unwrap();
    let left = remove(&both.text, &owned.added).unwrap().unwrap();
    let value = read(&left);
    assert_eq!(
        (value["contexts"].as_array().unwrap().len(), value["current-context"].as_str()),
        (1, Some("other"))
    );
}

#[test]
fn a_second_merge_replaces_entries_and_keeps_user_settings_of_the_context() {
    let first = merged(USERS_OWN).text;
    let with_namespace =
        first.replace("      cluster: aks-demo\n", "      cluster: aks-demo\n      namespace: mine\n");
    let fresh = FROM_CLUSTER.replace("0123456789abcdef", "fresh");
    assert!(!differs(Some(&with_namespace), FROM_CLUSTER, "demo"));
    assert!(differs(Some(&with_namespace), &fresh, "demo"));
    let again = merge(Some(&with_namespace), &fresh, "demo").unwrap();
    let value = read(&again.text);
    assert_eq!(value["users"].as_array().unwrap().len(), 2);
    assert_eq!(value["users"][1]["user"]["token"], "fresh");
    assert_eq!(value["contexts"][1]["context"]["namespace"], "mine");
    assert_eq!(again.added.previous_current_context, None, "ours was current already");
    assert!(!differs(Some(&again.text), &fresh, "demo"));
    assert_eq!(
        merge(Some(&again.text), &fresh, "demo").unwrap().text,
        again.text,
        "a third time changes nothing"
    );
}

#[test]
fn an_entry_used_by_another_context_stays() {
    let other = FROM_CLUSTER.replace("eastus", "westus").replace("token: 0123456789abcdef", "token: theirs");
    let Merged { text, added } = merged(&other);
    assert_eq!(
        (added.cluster.as_str(), added.user.as_str()),
        ("aks-demo-demo", "clusterUser_rg-demo_aks-demo-demo")
    );
    let value = read(&text);
    assert_eq!(value["clusters"][0], read(&other)["clusters"][0]);
    assert!(!differs(Some(&text), FROM_CLUSTER, "demo"));
    assert_eq!(remove(&text, &added).unwrap().as_deref(), Some(other.as_str()));
}

#[test]
fn the_current_context_is_restored_only_while_it_is_landfalls() {
    let Merged { text, added } = merged(USERS_OWN);
    let turned = text.replace("current-context: demo", "current-context: else");
    let left = remove(&turned, &added).unwrap().unwrap();
    assert_eq!(read(&left)["current-context"], "else");
}

#[test]
fn entries_removed_by_others_are_no_error() {
    let Merged { text, added } = merged(USERS_OWN);
    let once = remove(&text, &added).unwrap().unwrap();
    assert_eq!(remove(&once, &added).unwrap().as_deref(), Some(USERS_OWN.trim_end_matches('\n')));
}

#[test]
fn a_file_in_another_style_is_rewritten_with_every_key() {
    let json = format!("{:#}\n", read(USERS_OWN));
    let folded = "clusters: [{name: work, cluster: {server: a}}]\nusers: [\n]\ncontexts:\n  []\nmine: {a: 1}\ncurrent-context:\n  work\n";
    for existing in [json.as_str(), folded] {
        let Merged { text, added } = merged(existing);
        let mut value = read(&text);
        assert_eq!(value["current-context"], "demo");
        assert_eq!(value["clusters"][0]["name"], "work");
        assert_eq!(value["clusters"].as_array().unwrap().len(), 2);
        let left = read(&remove(&text, &added).unwrap().unwrap());
        let mut before = read(existing);
        for value in [&mut value, &mut before] {
            let fields = value.as_object_mut().unwrap();
            SECTIONS.into_iter().chain([CURRENT]).for_each(|key| drop(fields.shift_remove(key)));
        }
        assert_eq!(value, before);
        assert_eq!(left["current-context"], "work");
        assert_eq!(left["clusters"].as_array().unwrap().len(), 1);
    }
    let Merged { text, added } = merged(&json);
    assert!(text.starts_with("{\n"), "JSON stays JSON");
    assert_eq!(remove(&text, &added).unwrap().unwrap(), json);
}

#[test]
fn an_invalid_kubeconfig_is_refused_with_its_line() {
    let error = merge(Some("a: 1\nb: [\n"), FROM_CLUSTER, "demo").unwrap_err();
    assert!(matches!(error, KubeconfigError::Unreadable { line: Some(_), .. }), "{error}");
    for existing in ["- 1\n", "clusters: {}\n", "a: 1\na: 2\n", "current-context:\n  a: b\n"] {
        assert!(merge(Some(existing), FROM_CLUSTER, "demo").is_err(), "{existing:?}");
    }
    for from_cluster in
        ["", "current-context: a\n", "current-context: a\ncontexts: [{name: a, context: {}}]\n"]
    {
        let error = merge(None, from_cluster, "demo").unwrap_err();
        assert!(matches!(error, KubeconfigError::Incomplete { .. }), "{error}");
        assert!(differs(None, from_cluster, "demo"));
    }
}

/// One way to write a list with some entries of the user.
fn section(key: &'static str, inner: &'static str) -> impl Strategy<Value = String> {
    let entry = (0..100_u32, 0..3_usize, 0..4_usize);
    let entries = (prop::collection::vec(entry, 1..4), prop::bool::ANY, 0..4_usize);
    let written = entries.prop_map(move |(entries, indented, comment)| {
        let pad = if indented { "  " } else { "" };
        let mut text = format!("{key}:{}\n", ["", " ", " # mine", "  "][comment]);
        for (number, (name, order, after)) in entries.into_iter().enumerate() {
            let name = format!("{key}-{number}-{name}");
            text.push_str(&match order {
                0 => format!("{pad}- name: {name}\n{pad}  {inner}:\n{pad}    a: \"1\" # {name}\n"),
                1 => format!("{pad}- {inner}:\n{pad}    pem: |\n{pad}      # - not a comment\n{pad}      - x\n{pad}  name: {name}\n"),
                _ => format!("{pad}-   {inner}: {{a: [1, 2]}}\n\n{pad}    name: \"{name}\"\n"),
            });
            text.push_str(["", "\n", "# between\n", "    # deep\n\n"][after]);
        }
        text
    });
    let empty = ["[]", " null", " []  # none yet", "", " # nothing", " ~"];
    prop_oneof![
        4 => written,
        1 => prop::sample::select(empty.to_vec()).prop_map(move |empty| format!("{key}: {}\n", empty.trim_start())),
        1 => Just(String::new()),
    ]
}

fn kubeconfig() -> impl Strategy<Value = String> {
    let current = prop::sample::select(vec![
        "",
        "current-context: old\n",
        "current-context: \"\"\n",
        "current-context: 'old' # x\n\n",
        "\"current-context\": old\n",
        "current-context:\n",
    ]);
    let other =
        prop::sample::select(vec!["", "# note\n", "mine: {a: 1}\n", "preferences: {}\n\n", "x:\n- - 1\n"]);
    let parts = (
        section("clusters", "cluster"),
        section("contexts", "context"),
        section("users", "user"),
        current,
        other,
    );
    (parts, Just([0, 1, 2, 3, 4]).prop_shuffle(), prop::bool::ANY, prop::bool::ANY, prop::bool::ANY).prop_map(
        |((clusters, contexts, users, current, other), order, crlf, cut, head)| {
            let parts = [clusters, contexts, users, current.to_owned(), other.to_owned()];
            let mut text = if head { "---\napiVersion: v1\n" } else { "apiVersion: v1\n" }.to_owned();
            order.into_iter().for_each(|part| text.push_str(&parts[part]));
            if cut {
                text.pop();
            }
            if crlf { text.replace('\n', "\r\n") } else { text }
        },
    )
}

proptest! {
    #[test]
    fn remove_after_merge_restores_the_exact_bytes(existing in kubeconfig()) {
        let before = read(&existing);
        let Merged { text, added } = merged(&existing);
        let after = read(&text);
        prop_assert!(!differs(Some(&text), FROM_CLUSTER, "demo"));
        for section in SECTIONS {
            let count = before[section].as_array().map_or(0, Vec::len);
            let list = after[section].as_array().unwrap();
            prop_assert_eq!(list.len(), count + 1);
            if count > 0 {
                prop_assert_eq!(&list[..count], before[section].as_array().unwrap().as_slice());
            }
        }
        prop_assert_eq!(remove(&text, &added).unwrap(), Some(existing));
    }
}

/// A kubeconfig with one context.
const ONE: &str = "{\"apiVersion\": \"v1\", \"clusters\": [{\"cluster\": {\"server\": \"https://127.0.0.1:1\"}, \"name\": \"work\"}], \
     \"contexts\": [{\"context\": {\"cluster\": \"work\", \"user\": \"me, [myself]\"}, \"name\": \"work\"}], \"users\": \
     [{\"name\": \"me, [myself]\", \"user\": {\"token\": \"a\\\"}b\"}}], \"kind\": \"Config\", \"current-context\": \"work\"}";

#[test]
fn a_file_in_any_style_is_restored_byte_for_byte() {
    let pretty = format!("{:#}", read(ONE));
    let crlf = pretty.replace('\n', "\r\n") + "\r\n";
    let marked = format!("\u{feff}{USERS_OWN}");
    for existing in [
        "",
        "\n",
        "{}\n",
        "\u{feff}",
        "# mine\n{}",
        "---\napiVersion: v1\nkind: Config\nclusters: []\ncontexts: []\nusers: []\ncurrent-context: \"\"\n...\n",
        "---\nclusters:\n- name: work\n  cluster: {server: a}\n... # the end\n",
        "---\n...",
        ONE,
        &pretty,
        &crlf,
        &marked,
        "{clusters: null, contexts: [], users: [ ], mine: 'it''s }', current-context: }\n",
        "clusters: [{name: work, cluster: {server: a}}]\nusers: [\n]\ncontexts:\n  []\nmine: {a: 1}\ncurrent-context: work\n",
        "clusters: [\n  {name: work, cluster: {server: a}}, # the big one\n ]\r\nusers: null\ncurrent-context: gone\n",
    ] {
        check(existing).unwrap();
        let Merged { text, added } = merged(existing);
        assert!(!differs(Some(&text), FROM_CLUSTER, "demo"));
        assert_eq!(read(&text)["current-context"], "demo");
        assert_eq!(merged(&text).text, text, "a second time changes nothing");
        assert_eq!(remove(&text, &added).unwrap().as_deref(), Some(existing), "in {text}");
    }
}

#[test]
fn entries_that_others_added_since_stay_in_any_style() {
    for existing in [ONE.to_owned(), format!("{:#}\n", read(ONE)), USERS_OWN.to_owned()] {
        let owned = merged(&existing);
        let other = FROM_CLUSTER.replace("demo", "other");
        let both = merge(Some(&owned.text), &other, "other").unwrap();
        let expected = merge(Some(&existing), &other, "other").unwrap();
        let left = remove(&both.text, &owned.added).unwrap().unwrap();
        assert_eq!(left.trim_end(), expected.text.trim_end(), "in {}", both.text);
    }
}

#[test]
fn the_former_context_becomes_current_only_while_it_has_its_entry() {
    let other = FROM_CLUSTER.replace("demo", "other");
    for existing in [None, Some(USERS_OWN), Some(ONE)] {
        let a = merge(existing, FROM_CLUSTER, "demo").unwrap();
        let b = merge(Some(&a.text), &other, "other").unwrap();
        assert_eq!(b.added.previous_current_context.as_deref(), Some("demo"));
        let without_a = remove(&b.text, &a.added).unwrap().unwrap();
        assert_eq!(read(&without_a)["current-context"], "other");
        let left = read(&remove(&without_a, &b.added).unwrap().unwrap());
        assert_eq!(left["current-context"], Value::Null, "demo is gone");
        assert_eq!(left["contexts"].as_array().map_or(0, Vec::len), usize::from(existing.is_some()));
        let without_b = remove(&b.text, &b.added).unwrap().unwrap();
        assert_eq!(read(&without_b)["current-context"], "demo");
    }
}

#[test]
fn a_record_of_an_earlier_version_never_removes_a_file() {
    let Merged { text, added } = merge(None, FROM_CLUSTER, "demo").unwrap();
    assert_eq!(remove(&text, &added).unwrap(), None);
    let mut stored = serde_json::to_value(&added).unwrap();
    stored.as_object_mut().unwrap().retain(|key, _| key != "created" && key != "dangling");
    let old: Added = serde_json::from_value(stored).unwrap();
    assert_eq!(remove(&text, &old).unwrap().as_deref(), Some(""));
}

#[test]
fn a_cluster_kubeconfig_with_external_references_is_not_merged() {
    for (was, is) in [
        ("certificate-authority-data: LS0tLS1CRUdJTg==", "certificate-authority: /etc/hostname"),
        ("client-certificate-data: LS0tLS1CRUdJTg==", "client-certificate: /home/me/.ssh/id"),
        ("client-key-data: LS0tLS1CRUdJTg==", "client-key: /home/me/.ssh/id"),
        ("token: 0123456789abcdef", "tokenFile: /home/me/token"),
        ("token: 0123456789abcdef", "exec: {command: sh}"),
        ("token: 0123456789abcdef", "auth-provider: {name: azure}"),
    ] {
        let error = merge(None, &FROM_CLUSTER.replace(was, is), "demo").unwrap_err().to_string();
        assert!(error.contains(is.split(':').next().unwrap()), "{error}");
    }
}

#[test]
fn a_compact_json_file_with_a_null_list_is_restored() {
    let mine = "{\"clusters\":[{\"name\":\"work\",\"cluster\":{\"server\":\"https://a\"}}],\"contexts\":[],\
                \"users\":null,\"current-context\":\"work\"}\n";
    let merged = merged(mine);
    assert_eq!(super::remove(&merged.text, &merged.added).unwrap().as_deref(), Some(mine));
}
