use super::*;

const CONFIG_MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n";

fn messages(errors: Vec<ManifestError>) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn documents_keep_their_numbers_and_lines() {
    let text = format!(
        "# head\n---\n# only a comment\n---\n{CONFIG_MAP}---\n\n# b\n{}",
        CONFIG_MAP.replace(": a", ": b")
    );
    let read = parse("one.yaml", &text).unwrap();
    let places: Vec<_> = read.iter().map(|manifest| (manifest.document, manifest.line)).collect();
    assert_eq!(places, [(1, 5), (2, 12)]);
    assert_eq!(read[1].object.metadata.name.as_deref(), Some("b"));
}

#[test]
fn yaml_1_1_booleans_are_read_as_kubectl_reads_them_and_modes_are_octal() {
    let text =
        format!("{CONFIG_MAP}data: {{answer: 'no', switch: \"on\"}}\nmode: 0644\nflag: no\nother: On\n");
    let object = &parse("a.yaml", &text).unwrap()[0].object;
    assert_eq!(object.data["data"], serde_json::json!({"answer": "no", "switch": "on"}));
    assert_eq!(object.data["mode"], 0o644);
    assert_eq!((&object.data["flag"], &object.data["other"]), (&Value::Bool(false), &Value::Bool(true)));
}

#[test]
fn a_boolean_in_a_string_field_is_reported_before_any_request() {
    let text = format!("{CONFIG_MAP}data: {{answer: no}}\n");
    let found = messages(parse("a.yaml", &text).unwrap_err());
    assert_eq!(
        found,
        ["a.yaml:1 (document 1): data.answer is the boolean false, but must be a string: put it in quotes"]
    );
}

#[test]
fn a_kustomization_is_named_with_its_remedy() {
    for (file, text) in [
        ("kustomization.yaml", "resources: [a.yaml]\n"),
        ("base.yaml", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"),
    ] {
        let found = parse(file, text).unwrap_err();
        assert!(found[0].to_string().starts_with(&format!("{file} is not a manifest")), "{}", found[0]);
        assert!(found[0].hint.unwrap().contains("kubectl kustomize"));
    }
    let flux = "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: a}\n";
    assert_eq!(parse("kustomization.yaml", flux).unwrap().len(), 1);
}

#[test]
fn a_typed_list_is_its_items_with_their_types() {
    let text = "apiVersion: v1\nkind: ConfigMapList\nitems:\n- metadata: {name: a}\n\
                - apiVersion: v1\n  kind: Secret\n  metadata: {name: b}\n\
                ---\napiVersion: example.com/v1\nkind: AllowList\nmetadata: {name: c}\n\
                ---\napiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: List, items: null}]\n";
    let read = parse("a.yaml", text).unwrap();
    let kinds: Vec<_> = read.iter().map(|one| one.object.types.clone().unwrap().kind).collect();
    assert_eq!(kinds, ["ConfigMap", "Secret", "AllowList"]);
    let found = messages(parse("a.yaml", "apiVersion: v1\nkind: List\nitem: []\n").unwrap_err());
    assert_eq!(found, ["a.yaml:1 (document 1): items is missing"]);
}

#[test]
fn lists_that_contain_each_other_are_bounded() {
    let text = format!("{}{}", "{kind: List, items: [".repeat(20), "]}".repeat(20));
    let found = messages(parse("a.yaml", &text).unwrap_err());
    assert_eq!(found, ["a.yaml:1 (document 1): more than 8 lists contain each other"]);
}

#[test]
fn an_exported_object_loses_the_fields_of_the_server() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, uid: b, resourceVersion: '1'}\n";
    let read = parse("a.yaml", text).unwrap();
    assert_eq!((&read[0].object.metadata.uid, &read[0].object.metadata.resource_version), (&None, &None));
    assert_eq!(read[0].stripped, ["metadata.uid", "metadata.resourceVersion"]);
    assert!(parse("a.yaml", CONFIG_MAP).unwrap()[0].stripped.is_empty());
}

#[test]
fn every_line_end_of_yaml_counts() {
    for end in ["\n", "\r\n", "\r"] {
        let text = format!("{CONFIG_MAP}---\n{}", CONFIG_MAP.replace(": a", ": b")).replace('\n', end);
        let places: Vec<_> = parse("a.yaml", &text).unwrap().iter().map(|one| one.line).collect();
        assert_eq!(places, [1, 6], "{end:?}");
        let broken = format!("{CONFIG_MAP}a: b: c\n").replace('\n', end);
        assert_eq!(parse("a.yaml", &broken).unwrap_err()[0].line, Some(5), "{end:?}");
    }
}

#[test]
fn a_utf_16_file_is_read_and_a_folder_with_a_pipe_does_not_block() {
    let folder = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = format!("\u{feff}{CONFIG_MAP}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(folder.path().join("a.yaml"), bytes).unwrap();
    assert_eq!(read_folder(folder.path()).unwrap().len(), 1);
    std::fs::write(folder.path().join("b.yaml"), [0xe4]).unwrap();
    let found = messages(read_folder(folder.path()).unwrap_err());
    assert!(found[0].starts_with("b.yaml cannot be read: it is neither UTF-8 nor UTF-16"), "{}", found[0]);
}

#[test]
fn all_errors_are_reported_at_once_with_their_lines() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, nam: b}\n\
                ---\n- 1\n\
                ---\nkind: Service\nmetadata: {}\n\
                ---\napiVersion: v1\nkind: A\nkind: B\n\
                ---\na: [1\n";
    let found = messages(parse("bad.yaml", text).unwrap_err());
    assert_eq!(found.len(), 6, "{found:#?}");
    assert_eq!(found[0], "bad.yaml:1 (document 1): metadata has no field nam");
    assert!(found[1].starts_with("bad.yaml:5 (document 2): a manifest is a mapping"), "{}", found[1]);
    assert_eq!(found[2], "bad.yaml:7 (document 3): apiVersion is missing");
    assert_eq!(found[3], "bad.yaml:7 (document 3): metadata.name is missing");
    assert!(found[4].starts_with("bad.yaml:12 (document 4): duplicate"), "{}", found[4]);
    assert!(found[5].starts_with("bad.yaml:1"), "{}", found[5]);
    assert!(found[5].contains("(document 5)"), "{}", found[5]);
}

#[test]
fn placeholders_are_filled_in_as_data() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  annotations: {host: 'https://__DOMAIN_NAME__/'}\n\
                data: {host: __DOMAIN_NAME__, __DOMAIN_NAME__: kept, many: [x, a.__DOMAIN_NAME__]}\n";
    let mut read = parse("a.yaml", text).unwrap();
    // This text would change the structure if it were pasted into the file.
    let value = "x: y\n# \"{{\"";
    assert_eq!(fill(&mut read, "__DOMAIN_NAME__", value), 3);
    let object = &read[0].object;
    assert_eq!(object.data["data"]["host"], value);
    assert_eq!(object.data["data"]["__DOMAIN_NAME__"], "kept");
    assert_eq!(object.data["data"]["many"][1], format!("a.{value}"));
    assert_eq!(object.metadata.annotations.as_ref().unwrap()["host"], format!("https://{value}/"));
    assert_eq!(fill(&mut read, "__DOMAIN_NAME__", value), 0);
}

#[test]
fn a_list_is_its_items_and_a_marker_in_text_does_not_split() {
    let text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: a}\n\
                \x20 data:\n    pem: |\n      ---\n      ----BEGIN\n- apiVersion: v1\n  kind: Secret\n  metadata: {name: b}\n";
    let read = parse("list.yaml", text).unwrap();
    assert_eq!(read.len(), 2);
    assert_eq!(read[0].object.data["data"]["pem"], "---\n----BEGIN\n");
}

#[test]
fn a_folder_is_read_by_name_and_rejects_duplicates() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("20-b.yml", &CONFIG_MAP.replace(": a", ": b"));
    write("10-a.yaml", CONFIG_MAP);
    write("30-c.json", r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}"#);
    write(".hidden.yaml", "]");
    write("README.md", "]");
    let names: Vec<_> = read_folder(folder.path()).unwrap().into_iter().map(|read| read.file).collect();
    assert_eq!(names, ["10-a.yaml", "20-b.yml", "30-c.json"]);

    write("40-again.yaml", CONFIG_MAP);
    write("50-worse.yaml", "a: b: c\n");
    let found = messages(read_folder(folder.path()).unwrap_err());
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with("50-worse.yaml:1"), "{}", found[0]);
    assert_eq!(found[1], "40-again.yaml:1 (document 1): ConfigMap a is already defined in 10-a.yaml:1");
    assert!(read_folder(&folder.path().join("nowhere")).is_err());
}

#[test]
fn directives_belong_to_the_document_they_open() {
    let read = parse("a.yaml", &format!("%YAML 1.2\n---\n{CONFIG_MAP}...\n")).unwrap();
    assert_eq!((read.len(), read[0].line), (1, 3));
}

#[test]
fn a_marker_after_directives_and_a_marker_opens_another_document() {
    let read = parse("a.yaml", &format!("%YAML 1.2\n---\n{CONFIG_MAP}---\n{CONFIG_MAP}")).unwrap();
    assert_eq!(read.iter().map(|one| one.document).collect::<Vec<_>>(), [1, 2]);
    let read = parse("a.yaml", &format!("%YAML 1.2\n---\n---\n{CONFIG_MAP}")).unwrap();
    assert_eq!((read.len(), read[0].line), (1, 4));
}

#[test]
fn a_long_empty_file_is_read_once() {
    // With a scan of all earlier lines at each line, this would take too long.
    assert_eq!(parse("a.yaml", &"#\n".repeat(300_000)), Ok(Vec::new()));
}

#[test]
fn an_invalid_secret_is_not_quoted() {
    let head = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: a\n";
    for broken in [
        "stringData:\n  p: *s3cret-value\n",
        "stringData:\n  p: !s3cret-value x\n",
        "stringData:\n  p: \"s3cret-value\n",
        "stringData:\n  p: @s3cret-value\n",
        "stringData:\n  p: %s3cret-value\n",
        "stringData:\n  p: s3cret-value: x\n",
        "stringData:\n  p: [s3cret-value\n",
        "stringData:\n  p: {s3cret-value\n",
        "stringData:\n  s3cret-value: 1\n  s3cret-value: 2\n",
        "stringData:\n  p: | s3cret-value\n",
        "stringData:\n\tp: s3cret-value\n",
        "  annotations: s3cret-value\n",
        "  annotations: {a: {b: s3cret-value}}\n",
        "  labels: [s3cret-value]\n",
        "  creationTimestamp: s3cret-value\n",
        "  ownerReferences: s3cret-value\n",
    ] {
        let Err(errors) = parse("a.yaml", &format!("{head}{broken}")) else { continue };
        let displayed = messages(errors).join("\n");
        assert!(!displayed.contains("s3cret"), "{broken}: {displayed}");
    }
}

#[test]
fn the_values_of_a_secret_are_filled_in_and_never_printed() {
    let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {p: s3cret-__X__}\n";
    let mut read = parse("a.yaml", text).unwrap();
    assert_eq!(fill(&mut read, "__X__", "value"), 1);
    assert!(!format!("{read:?}").contains("s3cret"), "{read:?}");
    assert_eq!(read[0].complete().data["stringData"]["p"], "s3cret-value");
}

#[test]
fn a_typed_list_counts_as_the_objects_in_it() {
    let text = "apiVersion: v1\nkind: ConfigMapList\nitems:\n\
                - {apiVersion: v1, kind: ConfigMap, metadata: {name: one}}\n- {metadata: {name: two}}\n";
    let read = parse("list.yaml", text).unwrap();
    let names: Vec<_> = read.iter().map(|one| one.object.metadata.name.clone().unwrap()).collect();
    assert_eq!(names, ["one", "two"]);
    assert!(read.iter().all(|one| one.object.types.as_ref().unwrap().kind == "ConfigMap"));
    // A kind of its own may end in these letters too.
    let own = "{apiVersion: example.com/v1, kind: AllowList, metadata: {name: a}, spec: {}}";
    assert_eq!(parse("own.yaml", own).unwrap().len(), 1);
}
