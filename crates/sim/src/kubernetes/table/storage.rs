//! Computed cells of volumes, quotas and classes.

use serde_json::{Value, json};

use super::cell::{each, text};

/// The text of an attributes class that is not set.
const UNSET: &str = "<unset>";
/// The annotation of the default class.
const DEFAULT_CLASS: &str = "/metadata/annotations/storageclass.kubernetes.io~1is-default-class";

/// Returns a cell of a volume, a claim or a storage class.
pub(super) fn volume(what: &str, object: &Value) -> Value {
    match what {
        "modes" => modes(object, "/spec/accessModes"),
        // A claim shows what it got.
        "claim-modes" => modes(object, "/status/accessModes"),
        "claimed" => json!(text(object, "/status/capacity/storage")),
        "attributes-class" => match text(object, "/spec/volumeAttributesClassName") {
            "" => json!(UNSET),
            class => json!(class),
        },
        "claim" => match text(object, "/spec/claimRef/name") {
            "" => json!(""),
            name => json!(format!("{}/{name}", text(object, "/spec/claimRef/namespace"))),
        },
        "expansion" => json!((object["allowVolumeExpansion"] == json!(true)).to_string()),
        _ => {
            let is_default = text(object, DEFAULT_CLASS) == "true";
            json!(format!("{}{}", text(object, "/metadata/name"), if is_default { " (default)" } else { "" }))
        }
    }
}

fn modes(object: &Value, pointer: &str) -> Value {
    let short = |mode: &Value| match mode.as_str() {
        Some("ReadWriteOnce") => "RWO",
        Some("ReadOnlyMany") => "ROX",
        Some("ReadWriteMany") => "RWX",
        Some("ReadWriteOncePod") => "RWOP",
        _ => "",
    };
    json!(each(object, pointer).map(short).collect::<Vec<_>>().join(","))
}

/// Returns a cell of a quota or a priority class.
pub(super) fn quota(what: &str, object: &Value) -> Value {
    if what == "global" {
        return json!(object["globalDefault"] == json!(true));
    }
    let shown = |value: &Value| value.as_str().map_or_else(|| "0".to_owned(), str::to_owned);
    let hard = object["status"]["hard"].as_object().into_iter().flatten();
    let mut all: Vec<String> = hard
        .filter(|(name, _)| name.starts_with("limits.") == (what == "limits"))
        .map(|(name, hard)| format!("{name}: {}/{}", shown(&object["status"]["used"][name]), shown(hard)))
        .collect();
    all.sort();
    json!(all.join(", "))
}
