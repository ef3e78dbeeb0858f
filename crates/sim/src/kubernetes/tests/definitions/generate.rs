//! Objects for a schema: generated, repaired until they are valid, and mutated.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::judge;
use crate::kubernetes::schema::validate::matches;

/// Texts that patterns, rules and formats distinguish.
const TEXTS: [&str; 44] = [
    "a",
    "web",
    "b-1",
    "example.com",
    "*.example.com",
    "a.b/c",
    "example.com/controller",
    "Service",
    "Gateway",
    "Secret",
    "gateway.networking.k8s.io",
    "/",
    "/a",
    "/a//b",
    "/a/./b",
    "/a/../b",
    "/a/..",
    "/a/.",
    "/a%2fb",
    "/a%2F",
    "/a#b",
    "/ä",
    "1s",
    "2m",
    "0s",
    "1h30m",
    "10.0.0.1",
    "::1",
    "IPAddress",
    "Hostname",
    "HTTP",
    "HTTPS",
    "TLS",
    "TCP",
    "UDP",
    "*",
    "X-Header",
    "https://example.com",
    "URI",
    "UPPER.x",
    "Exact",
    "2026-01-02T03:04:05Z",
    "spiffe://a/b",
    "",
];
/// The maximum number of repairs of one object.
const REPAIRS_MAX: usize = 10;

/// A generator with its seed.
pub struct Generator {
    random: Rng,
}

impl Generator {
    pub fn new(seed: u64) -> Self {
        Self { random: Rng::with_seed(seed) }
    }

    /// Returns an object: one of three is valid as far as repairs can make it, the others have mutations.
    pub fn object(&mut self, schema: &Value) -> Value {
        let mut object = self.value(schema, 0);
        object["metadata"] = json!({"name": "x"});
        for _ in 0..REPAIRS_MAX {
            let errors = judge(schema, &object, None).errors;
            if errors.is_empty() {
                break;
            }
            errors.iter().for_each(|error| self.repair(schema, &mut object, error));
        }
        let mutations = self.random.usize(0..3);
        for _ in 0..mutations {
            self.mutate(schema, &mut object);
        }
        object
    }

    fn chance(&mut self, one_in: usize) -> bool {
        self.random.usize(0..one_in) == 0
    }

    fn value(&mut self, schema: &Value, depth: usize) -> Value {
        if let Some(choices) = schema["enum"].as_array() {
            return self.random.choice(choices).cloned().unwrap_or_default();
        }
        match schema["type"].as_str() {
            Some("object") => self.map(schema, depth),
            Some("array") => {
                let least = schema["minItems"].as_u64().unwrap_or(0) as usize;
                let most = schema["maxItems"].as_u64().unwrap_or(4).min(3) as usize;
                let count = self.random.usize(least.min(most)..=most.max(least));
                (0..count).map(|_| self.value(&schema["items"], depth + 1)).collect()
            }
            Some("integer") => {
                let least = schema["minimum"].as_i64().unwrap_or(0);
                let most = schema["maximum"].as_i64().unwrap_or(least + 100);
                json!(if self.chance(4) { least } else { self.random.i64(least..=most.min(least + 100)) })
            }
            Some("boolean") => json!(self.random.bool()),
            _ => self.text(schema),
        }
    }

    fn text(&mut self, schema: &Value) -> Value {
        let fits = |text: &str| {
            let length = text.chars().count() as u64;
            schema["pattern"].as_str().is_none_or(|pattern| matches(pattern, text))
                && length >= schema["minLength"].as_u64().unwrap_or(0)
                && (schema["format"] != "date-time" || text.starts_with("2026"))
        };
        let fitting: Vec<&str> = TEXTS.iter().filter(|text| fits(text)).copied().collect();
        json!(self.random.choice(fitting).unwrap_or("a"))
    }

    fn map(&mut self, schema: &Value, depth: usize) -> Value {
        let mut map = Map::new();
        let required = schema["required"].as_array();
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let is_required = required.is_some_and(|all| all.iter().any(|one| one == name));
            if is_required || (depth < 12 && self.random.usize(0..5) < 3) {
                map.insert(name.clone(), self.value(field, depth + 1));
            }
        }
        if schema["additionalProperties"].is_object() {
            for _ in 0..self.random.usize(0..3) {
                let key = self.text(&json!({"minLength": 1}));
                let value = self.value(&schema["additionalProperties"], depth + 1);
                map.insert(key.as_str().unwrap_or_default().to_owned(), value);
            }
        }
        Value::Object(map)
    }

    /// Replaces or removes what an error names.
    fn repair(&mut self, schema: &Value, object: &mut Value, error: &str) {
        let path = error.split(": ").next().unwrap_or_default();
        let pointer = pointer(path);
        let schema = self::schema(schema, &pointer);
        let fresh = schema.map(|schema| self.value(schema, 6));
        match (fresh, self.random.usize(0..3)) {
            (Some(fresh), 0..2) if !pointer.is_empty() => set(object, &pointer, Some(fresh)),
            _ if !pointer.is_empty() => set(object, &pointer, None),
            _ => object["spec"] = json!({}),
        }
    }

    /// Changes one place: a wrong type, a crossed limit, a missing, unknown or repeated part.
    fn mutate(&mut self, schema: &Value, object: &mut Value) {
        let mut places = Vec::new();
        collect(object, &mut Vec::new(), &mut places);
        let place = self.random.choice(places).unwrap_or_default();
        let described = self::schema(schema, &place).cloned().unwrap_or_default();
        let Some(value) = get(object, &place) else { return };
        let mutated = match (self.random.usize(0..6), value) {
            (0, _) => None,
            (1, _) => {
                let wrong =
                    [json!(1), json!("text"), json!(true), json!([]), json!({}), Value::Null, json!(1.5)];
                self.random.choice(wrong)
            }
            (2, Value::Object(map)) => {
                let mut map = map.clone();
                map.insert("unknown".into(), json!(1));
                Some(Value::Object(map))
            }
            (_, Value::Array(list)) => {
                let mut list = list.clone();
                let most = described["maxItems"].as_u64().unwrap_or(3) as usize;
                let wanted = if self.chance(3) { most + 1 } else { list.len() + 1 };
                let first = list.first().cloned().unwrap_or_else(|| self.value(&described["items"], 6));
                list.resize(wanted.min(130), first);
                Some(Value::Array(list))
            }
            (_, Value::String(_)) => {
                let most = described["maxLength"].as_u64().unwrap_or(10) as usize;
                let long = "a".repeat(most + 1);
                let texts: Vec<&str> = TEXTS.iter().copied().chain([long.as_str()]).collect();
                self.random.choice(texts).map(|text| json!(text))
            }
            (_, Value::Number(_)) => {
                let numbers = [-1, 0, 1, 65_535, 65_536, 1_000_000, 1_000_001, i64::from(i32::MAX) + 1];
                self.random.choice(numbers).map(|number| json!(number))
            }
            _ => Some(self.value(&described, 6)),
        };
        if place.is_empty() {
            object["spec"] = mutated.unwrap_or_default()
        } else {
            set(object, &place, mutated)
        }
    }
}

/// Returns the parts of a path such as `spec.rules[0].name`.
fn pointer(path: &str) -> Vec<String> {
    if path == "<nil>" {
        return Vec::new();
    }
    let path = path.replace('[', ".").replace(']', "");
    path.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn schema<'s>(schema: &'s Value, pointer: &[String]) -> Option<&'s Value> {
    pointer.iter().try_fold(schema, |schema, part| {
        let named = schema["properties"].get(part).or_else(|| schema.get("additionalProperties"));
        named.or_else(|| schema.get("items"))
    })
}

fn get<'v>(value: &'v Value, pointer: &[String]) -> Option<&'v Value> {
    pointer.iter().try_fold(value, |value, part| match value {
        Value::Array(list) => list.get(part.parse::<usize>().ok()?),
        other => other.get(part),
    })
}

fn set(value: &mut Value, pointer: &[String], new: Option<Value>) {
    let Some((last, before)) = pointer.split_last() else { return };
    let parent = before.iter().try_fold(value, |value, part| match value {
        Value::Array(list) => list.get_mut(part.parse::<usize>().ok()?),
        other => other.get_mut(part),
    });
    match (parent, new) {
        (Some(Value::Object(map)), Some(new)) => drop(map.insert(last.clone(), new)),
        (Some(Value::Object(map)), None) => drop(map.shift_remove(last)),
        (Some(Value::Array(list)), new) => {
            let Some(index) = last.parse::<usize>().ok().filter(|index| *index < list.len()) else { return };
            match new {
                Some(new) => list[index] = new,
                None => drop(list.remove(index)),
            }
        }
        _ => {}
    }
}

/// Collects the places of an object below `spec` and `status`.
fn collect(value: &Value, at: &mut Vec<String>, places: &mut Vec<Vec<String>>) {
    places.push(at.clone());
    let parts: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(list) => {
            list.iter().enumerate().map(|(index, item)| (index.to_string(), item)).collect()
        }
        _ => Vec::new(),
    };
    for (name, value) in parts {
        if !at.is_empty() || name == "spec" || name == "status" {
            at.push(name);
            collect(value, at, places);
            at.pop();
        }
    }
}
