//! Response formats: the object itself, a Table, or only the metadata.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::conversion;
use super::definition::Definition;
use super::status::{StatusError, json_reply};
use super::table::table;
use crate::clock::SimTime;
use crate::request::{Reply, Request};

/// The requested response format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseFormat {
    /// The object or list itself.
    Object,
    /// A Table of meta.k8s.io/v1.
    Table,
    /// PartialObjectMetadata of meta.k8s.io/v1.
    Metadata,
}

impl ResponseFormat {
    /// Selects the first supported format in a request's Accept header.
    ///
    /// # Errors
    /// 406 if none is supported.
    pub fn of(request: &Request) -> Result<Self, StatusError> {
        let accept = request.header("accept").unwrap_or("*/*");
        for alternative in accept.split(',') {
            let mut parts = alternative.split(';').map(str::trim);
            let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
            // YAML has no other formats; the reply is converted at the end.
            if media_type == "application/yaml" {
                return Ok(Self::Object);
            }
            if !matches!(media_type.as_str(), "" | "application/json" | "*/*" | "application/*") {
                continue;
            }
            let parameters: Vec<&str> = parts.collect();
            match parameters.iter().find_map(|parameter| parameter.strip_prefix("as=")) {
                None => return Ok(Self::Object),
                Some("Table") => return Ok(Self::Table),
                Some("PartialObjectMetadata" | "PartialObjectMetadataList") => return Ok(Self::Metadata),
                Some(_) => {}
            }
        }
        Err(StatusError::new(
            406,
            "NotAcceptable",
            "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, \
             application/vnd.kubernetes.protobuf, application/json;stream=watch, \
             application/vnd.kubernetes.protobuf;stream=watch",
        )
        .with_details(json!({})))
    }

    /// Returns one object in this format.
    pub fn one(self, definition: &Definition, object: &Value, now: SimTime) -> Value {
        match self {
            Self::Object => conversion::converted(definition, object).into_owned(),
            Self::Metadata => metadata_of(&conversion::converted(definition, object)),
            Self::Table => {
                let about = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
                table(definition, about, std::iter::once(object), now)
            }
        }
    }

    /// Replies with a list in this format; `about` is the list's own metadata.
    pub fn many(self, definition: &Definition, about: Value, objects: &[&Value], now: SimTime) -> Reply {
        match self {
            Self::Table => json_reply(200, &table(definition, about, objects.iter().copied(), now)),
            Self::Metadata => json_reply(
                200,
                &json!({
                    "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": about,
                    "items": objects.iter().map(|object| metadata_of(&conversion::converted(definition, object))).collect::<Vec<_>>(),
                }),
            ),
            Self::Object => {
                let items = objects.iter().map(|object| Item {
                    object: conversion::converted(definition, object),
                    is_custom: definition.custom,
                });
                let list = List {
                    kind: format!("{}List", definition.kind),
                    api_version: definition.api_version(),
                    metadata: about,
                    items: items.collect(),
                };
                json_reply(200, &list)
            }
        }
    }
}

/// A list of whole objects, which are not copied: a list of pods may have a megabyte.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'o> {
    kind: String,
    api_version: String,
    metadata: Value,
    items: Vec<Item<'o>>,
}

struct Item<'o> {
    object: Cow<'o, Value>,
    is_custom: bool,
}

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Items of a built-in list have no apiVersion and kind; the list implies them.
        match self.object.as_object().filter(|_| !self.is_custom) {
            Some(fields) => serializer
                .collect_map(fields.iter().filter(|(field, _)| *field != "kind" && *field != "apiVersion")),
            None => self.object.serialize(serializer),
        }
    }
}

pub(super) fn metadata_of(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}

/// Returns list metadata of meta/v1 with only the set fields.
pub(super) fn list_metadata(revision: u64, next: Option<String>, remaining: Option<usize>) -> Value {
    let mut metadata = Map::new();
    metadata.insert("resourceVersion".into(), json!(revision.to_string()));
    if let Some(next) = next {
        metadata.insert("continue".into(), json!(next));
    }
    if let Some(remaining) = remaining {
        metadata.insert("remainingItemCount".into(), json!(remaining));
    }
    Value::Object(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_supported_format_is_selected() {
        let asking = |accept: &str| {
            ResponseFormat::of(&Request::new(http::Method::GET, "h", "/").with_header("accept", accept))
        };
        assert_eq!(
            asking("application/json;as=Table;v=v1;g=meta.k8s.io,application/json"),
            Ok(ResponseFormat::Table)
        );
        assert_eq!(
            asking("application/vnd.kubernetes.protobuf,application/json"),
            Ok(ResponseFormat::Object)
        );
        assert_eq!(
            asking("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"),
            Ok(ResponseFormat::Metadata)
        );
        assert_eq!(asking("text/html").map_err(|status_error| status_error.code), Err(406));
    }
}
