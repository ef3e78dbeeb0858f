//! The forms an answer comes in: the object itself, a table for people, or the metadata alone.

use serde_json::{Map, Value, json};

use super::definition::{Column, Definition};
use super::status::Refusal;
use crate::clock::Moment;
use crate::request::Request;

/// The form a client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The object or list itself.
    Object,
    /// A Table of meta.k8s.io/v1.
    Table,
    /// PartialObjectMetadata of meta.k8s.io/v1.
    Metadata,
}

impl Form {
    /// Reads the form from a request's Accept header: the first alternative that can be met.
    ///
    /// # Errors
    /// 406 when none can.
    pub fn of(request: &Request) -> Result<Self, Refusal> {
        let accept = request.header("accept").unwrap_or("*/*");
        for alternative in accept.split(',') {
            let mut parts = alternative.split(';').map(str::trim);
            let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
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
        Err(Refusal::new(
            406,
            "NotAcceptable",
            "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf",
        ))
    }

    /// Returns one object in this form.
    pub fn one(self, definition: &Definition, object: &Value, now: Moment) -> Value {
        match self {
            Self::Object => object.clone(),
            Self::Metadata => metadata_of(object),
            Self::Table => {
                let about = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
                table(definition, about, std::iter::once(object), now)
            }
        }
    }

    /// Returns a list in this form; `about` is the list's own metadata.
    pub fn many(self, definition: &Definition, about: Value, objects: &[&Value], now: Moment) -> Value {
        match self {
            Self::Table => table(definition, about, objects.iter().copied(), now),
            Self::Metadata => json!({
                "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": about,
                "items": objects.iter().map(|object| metadata_of(object)).collect::<Vec<_>>(),
            }),
            Self::Object => {
                let items = objects.iter().map(|object| {
                    let mut item = (*object).clone();
                    // Lists of built-in kinds say what their items are once, for all of them.
                    if let (false, Some(map)) = (definition.custom, item.as_object_mut()) {
                        map.retain(|field, _| field != "kind" && field != "apiVersion");
                    }
                    item
                });
                json!({
                    "kind": format!("{}List", definition.kind), "apiVersion": definition.api_version(),
                    "metadata": about, "items": items.collect::<Vec<_>>(),
                })
            }
        }
    }
}

fn metadata_of(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}

fn table<'o>(
    definition: &Definition,
    about: Value,
    objects: impl Iterator<Item = &'o Value>,
    now: Moment,
) -> Value {
    let name = Column::new("Name", "string", ".metadata.name");
    let columns: Vec<&Column> = std::iter::once(&name).chain(&definition.columns).collect();
    let headings = columns.iter().map(|column| {
        // Dates are shown as ages, which are texts.
        let kind = if column.format == "date" && !definition.custom { "string" } else { column.format.as_str() };
        let format = if column.name == "Name" { "name" } else { "" };
        json!({"name": column.name, "type": kind, "format": format, "description": "", "priority": column.priority})
    });
    let rows = objects.map(|object| {
        let cells: Vec<Value> = columns.iter().map(|column| cell(column, object, now)).collect();
        json!({"cells": cells, "object": metadata_of(object)})
    });
    let rows: Vec<Value> = rows.collect();
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": about,
        "columnDefinitions": headings.collect::<Vec<_>>(), "rows": rows,
    })
}

fn cell(column: &Column, object: &Value, now: Moment) -> Value {
    // Two paths joined by a bar are shown as a share, 1/2.
    if let Some((is, of)) = column.path.split_once('|') {
        let number = |path: &str| at(object, path).and_then(Value::as_i64).unwrap_or(0);
        return json!(format!("{}/{}", number(is), number(of)));
    }
    match (at(object, &column.path), column.format.as_str()) {
        (Some(Value::String(time)), "date") => json!(age(time, now)),
        (None | Some(Value::Null), "date") => json!("<unknown>"),
        (None | Some(Value::Null), "integer") => json!(0),
        (None | Some(Value::Null), _) => json!(""),
        (Some(value @ (Value::Array(_) | Value::Object(_))), _) => json!(value.to_string()),
        (Some(value), _) => value.clone(),
    }
}

/// Returns the value at a column's path.
fn at<'v>(object: &'v Value, path: &str) -> Option<&'v Value> {
    let mut value = object;
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let (field, index) =
            part.split_once('[').map_or((part, None), |(field, rest)| (field, rest.strip_suffix(']')));
        value = value.get(field)?;
        value = match index {
            None => value,
            Some(filter) => match filter.strip_prefix('?').and_then(|filter| filter.split_once('=')) {
                Some((key, wanted)) => value.as_array()?.iter().find(|item| item[key] == *wanted)?,
                None => value.get(filter.parse::<usize>().ok()?)?,
            },
        };
    }
    Some(value)
}

/// Returns how long ago a time was, in the two coarsest units that matter.
fn age(time: &str, now: Moment) -> String {
    let Ok(then) = time.parse::<jiff::Timestamp>() else { return "<invalid>".to_owned() };
    let seconds = now.since(Moment(then.as_millisecond())).as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let with = |main: u64, unit: char, rest: u64, small: char| {
        if rest == 0 { format!("{main}{unit}") } else { format!("{main}{unit}{rest}{small}") }
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => with(minutes, 'm', seconds % 60, 's'),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => with(hours, 'h', minutes % 60, 'm'),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => with(days, 'd', hours % 24, 'h'),
        _ => format!("{days}d"),
    }
}

/// Returns an object of meta/v1 with only the fields that are there.
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
    fn ages_are_told_in_the_units_that_matter() {
        let now = Moment(1_795_421_700_000);
        let ago = |seconds: i64| age(&now.plus_ms(-seconds * 1_000).rfc3339(), now);
        assert_eq!([ago(5), ago(119), ago(185), ago(3_600)], ["5s", "119s", "3m5s", "60m"]);
        assert_eq!([ago(10_860), ago(100_000), ago(200_000), ago(900_000)], ["3h1m", "27h", "2d7h", "10d"]);
    }

    #[test]
    fn the_first_form_that_can_be_met_is_taken() {
        let asking =
            |accept: &str| Form::of(&Request::new(http::Method::GET, "h", "/").with_header("accept", accept));
        assert_eq!(asking("application/json;as=Table;v=v1;g=meta.k8s.io,application/json"), Ok(Form::Table));
        assert_eq!(asking("application/vnd.kubernetes.protobuf,application/json"), Ok(Form::Object));
        assert_eq!(
            asking("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"),
            Ok(Form::Metadata)
        );
        assert_eq!(asking("text/html").map_err(|refusal| refusal.code), Err(406));
    }
}
