//! The contract test of the embedded documents: the real CustomResourceDefinitions of each release judge them.
//!
//! Generated objects, valid ones and mutated ones, are validated by the document and by the real definition; pruning,
//! defaults, and all errors must be equal. The definitions are not part of this repository; without them the test is
//! skipped. `LANDFALL_DEFINITION_OBJECTS` sets the number of objects per kind and version, and
//! `LANDFALL_DEFINITION_SEED` repeats a run.

mod generate;

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::kubernetes::schema::documents::{gateway_api, secrets_store};
use crate::kubernetes::schema::validate::{self, Wording};
use crate::kubernetes::schema::{defaults, prune, rules, with_metadata};
use generate::Generator;

/// The number of objects per kind and version, unless the environment sets it.
const OBJECTS: usize = 100;

const REFERENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/reference/crds");

/// The result that an API server gives for an object.
#[derive(Debug, PartialEq)]
pub struct Verdict {
    /// The object with its defaults, without unknown fields.
    pub object: Value,
    /// The unknown fields.
    pub unknown: Vec<String>,
    /// The sorted errors.
    pub errors: Vec<String>,
}

/// Prunes, completes and validates an object.
pub fn judge(schema: &Value, object: &Value, old: Option<&Value>) -> Verdict {
    let mut object = object.clone();
    let mut unknown = prune::drop_unknown(schema, &mut object);
    defaults::fill(schema, &mut object);
    let schema_errors = validate::field_errors(schema, &object, Wording::OpenApi);
    let mut errors: Vec<String> = schema_errors.iter().map(ToString::to_string).collect();
    if schema_errors.iter().all(|error| !error.prevents_rules()) {
        errors.extend(rules::field_errors(schema, &object, old).iter().map(ToString::to_string));
    }
    errors.sort();
    // One definition states a rule twice.
    errors.dedup();
    unknown.sort();
    Verdict { object, unknown, errors }
}

#[test]
fn the_embedded_documents_judge_objects_as_the_real_definitions_do() {
    if !Path::new(REFERENCE).exists() {
        println!("skipped: {REFERENCE} does not exist");
        return;
    }
    let setting = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = setting("LANDFALL_DEFINITION_SEED").unwrap_or_else(|| fastrand::u64(..));
    let count = setting("LANDFALL_DEFINITION_OBJECTS").map_or(OBJECTS, |count| count as usize);
    println!("seed {seed}, {count} objects per kind and version");
    let releases = ["v1.3.0", "v1.4.1", "v1.5.1", "csi"];
    let mut total = 0;
    for release in releases {
        let documents = if release == "csi" { secrets_store() } else { gateway_api(release) };
        let real = real_definitions(&Path::new(REFERENCE).join(release));
        assert_eq!(real.len(), documents.len(), "the kinds of {release}");
        for real in &real {
            let document = documents.iter().find(|one| one["metadata"]["name"] == real["metadata"]["name"]);
            let document =
                document.unwrap_or_else(|| panic!("{release} has no {}", real["metadata"]["name"]));
            total += compare(release, document, real, seed, count);
        }
    }
    println!("{total} objects, no difference");
}

fn real_definitions(folder: &Path) -> Vec<Value> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("a folder of definitions")
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let read = |file: &PathBuf| -> Vec<Value> {
        serde_saphyr::from_multiple(&std::fs::read_to_string(file).unwrap())
            .unwrap_or_else(|error| panic!("{file:?}: {error}"))
    };
    files.iter().flat_map(read).filter(|one| one["kind"] == "CustomResourceDefinition").collect()
}

fn compare(release: &str, document: &Value, real: &Value, seed: u64, count: usize) -> usize {
    for field in ["group", "names", "scope"] {
        assert_eq!(document["spec"][field], real["spec"][field], "{release} {}", real["metadata"]["name"]);
    }
    let served = |definition: &Value| -> Vec<Value> {
        definition["spec"]["versions"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|one| one["served"] == true)
            .cloned()
            .collect()
    };
    let (ours, theirs) = (served(document), served(real));
    let mut total = 0;
    let mut compared = Vec::new();
    for theirs in &theirs {
        let (kind, version) = (&real["spec"]["names"]["kind"], &theirs["name"]);
        let ours = ours.iter().find(|one| one["name"] == *version);
        let ours = ours.unwrap_or_else(|| panic!("{release} does not serve {kind} in {version}"));
        for field in ["storage", "deprecated", "additionalPrinterColumns"] {
            assert_eq!(ours[field], theirs[field], "{field} of {release} {kind} {version}");
        }
        let has_status = |one: &Value| one["subresources"]["status"].is_object();
        assert_eq!(has_status(ours), has_status(theirs), "the status of {release} {kind} {version}");
        let schema = |one: &Value| with_metadata(one["schema"]["openAPIV3Schema"].clone());
        let (ours, theirs) = (schema(ours), schema(theirs));
        if compared.contains(&(ours.clone(), theirs.clone())) {
            continue;
        }
        let mut generator = Generator::new(seed);
        let (mut accepted, mut violating) = (0, 0);
        let mut last: Option<Value> = None;
        for index in 0..count {
            let object = generator.object(&theirs);
            let old = last.as_ref().filter(|_| index % 2 == 1);
            let (expected, found) = (judge(&theirs, &object, old), judge(&ours, &object, old));
            assert_eq!(found, expected, "{release} {kind} {version}, seed {seed}, object {index}: {object}");
            accepted += usize::from(expected.errors.is_empty());
            violating += usize::from(
                !expected.errors.is_empty()
                    && expected.errors.iter().all(|error| !error.contains(" in body ")),
            );
            last = Some(expected.object);
        }
        println!(
            "{release} {kind} {version}: {count} objects, {accepted} valid, {violating} with errors beyond simple limits"
        );
        total += count;
        compared.push((ours, theirs));
    }
    assert_eq!(
        served(document).len(),
        served(real).len(),
        "{release} {} serves the same versions",
        real["metadata"]["name"]
    );
    total
}
