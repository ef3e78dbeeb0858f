//! Structural schemas: those of the built-in kinds, the documents of the custom ones, and the functions over
//! schemas.

pub mod build;
pub mod canonical;
pub mod convert;
pub mod defaults;
pub mod documents;
pub mod empty;
pub mod prune;
pub mod quantity;
pub mod rules;
pub mod traverse;
pub mod type_check;
pub mod validate;

mod affinity;
mod apps;
mod batch;
mod core;
mod limits;
mod network;
mod pod;
mod rbac_and_crd;
mod review;
mod scaling;
mod storage;
mod webhooks;

use serde_json::{Value, json};

use self::build::{Constrain, boolean, integer, keyed, list, map, object, set, string, time};
use super::definition::Definition;

/// Returns the built-in kinds of every cluster.
pub fn builtin() -> Vec<Definition> {
    let kinds = [
        core::kinds(),
        apps::kinds(),
        batch::kinds(),
        storage::kinds(),
        limits::kinds(),
        scaling::kinds(),
        network::kinds(),
        review::kinds(),
        rbac_and_crd::kinds(),
        webhooks::kinds(),
    ]
    .concat();
    let complete = |mut kind: Definition| {
        kind.schema = traverse::with_key_defaults(kind.schema);
        kind
    };
    kinds.into_iter().map(complete).collect()
}

/// Returns the schema with the standard apiVersion, kind and metadata of every object.
pub fn with_metadata(mut schema: Value) -> Value {
    if !schema.is_object() {
        schema = json!({"type": "object"});
    }
    schema["properties"]["apiVersion"] = string();
    schema["properties"]["kind"] = string();
    schema["properties"]["metadata"] = metadata();
    schema
}

/// Returns the schema of `metadata`: ObjectMeta of meta/v1.
pub fn metadata() -> Value {
    object(&[
        ("name", string()),
        ("generateName", string()),
        ("namespace", string()),
        ("uid", string()),
        ("resourceVersion", string()),
        ("generation", integer()),
        ("creationTimestamp", time()),
        ("deletionTimestamp", time()),
        ("deletionGracePeriodSeconds", integer()),
        ("selfLink", string()),
        ("labels", map(string())),
        ("annotations", map(string())),
        ("finalizers", set(string())),
        ("ownerReferences", keyed(owner_reference(), &["uid"])),
        ("managedFields", list(json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}))),
    ])
}

fn owner_reference() -> Value {
    object(&[
        ("apiVersion", string()),
        ("kind", string()),
        ("name", string()),
        ("uid", string()),
        ("controller", boolean()),
        ("blockOwnerDeletion", boolean()),
    ])
    .required(&["apiVersion", "kind", "name", "uid"])
    .atomic_map()
}
