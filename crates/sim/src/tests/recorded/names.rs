//! The mapping from recorded names to those of the simulated cloud.
//!
//! A client sends what it has read before. So the values that Azure issued (ids, host names, versions) are replaced
//! with those at the same place of the simulated cloud's own earlier answers.

use std::collections::{BTreeMap, BTreeSet};

use regex_lite::Regex;
use serde_json::{Map, Value};

use super::row::Row;
use crate::state::{CloudState, DOMAIN};

/// The subscription of every recorded request.
const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";
/// Ids that stand for several others, because the recordings replace them.
const REPLACED: [&str; 2] = [SUBSCRIPTION, "00000000-0000-0000-0000-000000000001"];
/// The region of the simulated cloud to which all regions map.
pub(super) const REGION: &str = "eastus";
/// The properties with a Kubernetes version.
const VERSIONS: [&str; 4] =
    ["kubernetesVersion", "currentKubernetesVersion", "orchestratorVersion", "currentOrchestratorVersion"];

/// The names of one recording.
pub(super) struct Names {
    /// Text replacements, in order.
    texts: Vec<(String, String)>,
    /// Issued ids: UUIDs and versions of 32 hexadecimal digits.
    ids: BTreeMap<String, String>,
    /// Whole values, by the path at which they stand.
    values: BTreeMap<(String, String), Value>,
    /// Shortened texts, by length and beginning.
    shortened: BTreeMap<(u64, String), String>,
    /// Kubernetes versions.
    kubernetes: BTreeMap<String, String>,
    tenant: String,
    caller: String,
    issued: Regex,
}

impl Names {
    /// Collects the names of a recording. `offered` are the minor versions of Kubernetes with their newest patch,
    /// newest first; the first is that of the newest recorded one.
    pub(super) fn of(rows: &[Row], state: &CloudState, offered: &[(String, String)]) -> Self {
        let mut found = Found::default();
        rows.iter().for_each(|row| found.collect("", &row.body));
        let mut regions: Vec<String> =
            found.regions.into_iter().filter(|region| region != "global").collect();
        regions.sort_by_key(|region| std::cmp::Reverse(region.len()));
        let mut texts = vec![
            (SUBSCRIPTION.to_owned(), state.subscription.clone()),
            (".vault.azure.net".to_owned(), format!(".vault.{DOMAIN}:{}", state.port)),
        ];
        texts.extend(regions.into_iter().map(|region| (region, REGION.to_owned())));
        let minor = |version: &String| version.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok());
        let minors: BTreeSet<u32> = found.versions.iter().filter_map(minor).collect();
        let mut kubernetes = BTreeMap::new();
        for version in &found.versions {
            let newer = minors.iter().filter(|other| Some(**other) > minor(version)).count();
            let Some((alias, full)) = offered.get(newer).or(offered.last()) else { continue };
            let mapped = if version.matches('.').count() > 1 { full } else { alias };
            kubernetes.insert(version.clone(), mapped.clone());
        }
        Self {
            texts,
            ids: users(rows, state),
            values: BTreeMap::new(),
            shortened: BTreeMap::new(),
            kubernetes,
            tenant: state.directory.tenant.clone(),
            caller: state.directory.owner().object_id.clone(),
            issued: Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}")
                .expect("a constant pattern"),
        }
    }

    /// Learns the issued values of an answer from the simulated cloud's answer to the same request.
    pub(super) fn learn(&mut self, recorded: &Value, own: &Value) {
        self.learn_at("", recorded, own);
    }

    fn learn_at(&mut self, at: &str, recorded: &Value, own: &Value) {
        match (recorded, own) {
            (Value::Object(map), Value::String(own)) if map.contains_key("text_of_length") => {
                self.shortened.insert(shortened_key(map), own.clone());
            }
            (Value::Object(recorded), Value::Object(own)) => {
                for (name, value) in recorded {
                    if let Some(own) = own.get(name) {
                        self.learn_at(&format!("{at}.{name}"), value, own);
                    }
                }
            }
            (Value::Array(recorded), Value::Array(own)) => {
                let pairs = recorded.iter().zip(own);
                pairs.for_each(|(recorded, own)| self.learn_at(at, recorded, own));
            }
            (Value::String(recorded), Value::String(own)) if recorded != own => {
                self.values.insert((at.to_owned(), recorded.clone()), Value::from(own.clone()));
                let tokens = |text: &str| -> Vec<String> {
                    self.issued.find_iter(text).map(|found| found.as_str().to_owned()).collect()
                };
                let (theirs, ours) = (tokens(recorded), tokens(own));
                if theirs.len() == ours.len() {
                    let pairs = theirs.into_iter().zip(ours);
                    self.ids.extend(pairs.filter(|(one, _)| !REPLACED.contains(&one.as_str())));
                }
            }
            (Value::Number(recorded), Value::Number(own)) if recorded != own => {
                self.values.insert((at.to_owned(), recorded.to_string()), Value::from(own.clone()));
            }
            _ => {}
        }
    }

    /// Returns a text with the names of the simulated cloud.
    pub(super) fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (from, to) in &self.texts {
            text = text.replace(from, to);
        }
        let mapped = |found: &regex_lite::Captures<'_>| {
            self.ids.get(&found[0]).cloned().unwrap_or_else(|| found[0].to_owned())
        };
        self.issued.replace_all(&text, mapped).into_owned()
    }

    /// Returns a body with the names of the simulated cloud.
    pub(super) fn body(&self, body: &Value) -> Value {
        self.translated("", "", body)
    }

    fn translated(&self, at: &str, name: &str, value: &Value) -> Value {
        match value {
            Value::Object(map) if map.contains_key("text_of_length") => {
                self.shortened.get(&shortened_key(map)).cloned().map_or_else(|| lengthened(map), Value::from)
            }
            Value::Object(map) => {
                let below = |name: &String| format!("{at}.{name}");
                map.iter()
                    .map(|(name, value)| (name.clone(), self.translated(&below(name), name, value)))
                    .collect()
            }
            Value::Array(list) => {
                let mut list: Vec<Value> = list.iter().map(|one| self.translated(at, name, one)).collect();
                let policies = list.iter_mut().filter(|_| name == "accessPolicies");
                policies.for_each(|policy| policy["objectId"] = Value::from(self.caller.clone()));
                Value::Array(list)
            }
            Value::String(text) if VERSIONS.contains(&name) => {
                Value::from(self.kubernetes.get(text).unwrap_or(text).clone())
            }
            Value::String(_) if name.eq_ignore_ascii_case("tenantId") => Value::from(self.tenant.clone()),
            Value::String(text)
                if at.ends_with(".servicePrincipalProfile.clientId") && text == REPLACED[1] =>
            {
                Value::from("msi")
            }
            Value::String(text) => {
                let known = self.values.get(&(at.to_owned(), text.clone())).cloned();
                known.unwrap_or_else(|| Value::from(self.text(text)))
            }
            Value::Number(number) => {
                let known = self.values.get(&(at.to_owned(), number.to_string())).cloned();
                known.unwrap_or_else(|| value.clone())
            }
            other => other.clone(),
        }
    }
}

/// Maps the users to whom the recorded requests assign roles to the user of the simulated directory.
fn users(rows: &[Row], state: &CloudState) -> BTreeMap<String, String> {
    let assigned = rows.iter().map(|row| &row.body["properties"]);
    let assigned = assigned.filter(|properties| {
        properties["principalType"] == "User" || properties["principalId"] == REPLACED[1]
    });
    let ids = assigned.filter_map(|properties| properties["principalId"].as_str());
    ids.map(|id| (id.to_owned(), state.directory.user().object_id.clone())).collect()
}

fn shortened_key(map: &Map<String, Value>) -> (u64, String) {
    let length = map["text_of_length"].as_u64().unwrap_or_default();
    (length, map["begins"].as_str().unwrap_or_default().to_owned())
}

/// Returns a text of the recorded length.
fn lengthened(map: &Map<String, Value>) -> Value {
    let (length, begins) = shortened_key(map);
    Value::from(format!("{begins:A<width$}", width = usize::try_from(length).unwrap_or_default()))
}

#[derive(Default)]
struct Found {
    regions: BTreeSet<String>,
    versions: BTreeSet<String>,
}

impl Found {
    fn collect(&mut self, name: &str, value: &Value) {
        match value {
            Value::Object(map) => map.iter().for_each(|(name, value)| self.collect(name, value)),
            Value::Array(list) => list.iter().for_each(|one| self.collect(name, one)),
            Value::String(text) if text.is_empty() => {}
            Value::String(text) if name == "location" => {
                self.regions.insert(text.clone());
            }
            Value::String(text) if VERSIONS.contains(&name) => {
                self.versions.insert(text.clone());
            }
            _ => {}
        }
    }
}
