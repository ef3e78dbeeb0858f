//! Contract tests against recorded answers of Azure.
//!
//! The recordings lie beside the repository, in `../shared/reference/azure-real`, and are not part of it. Without
//! them the tests print a line and pass. Every recorded answer goes through the clients themselves, over a
//! [`Transport`](crate::Transport) that returns it.

mod arm;
mod errors;
mod player;
mod typed;
mod vault;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, path::PathBuf, sync::OnceLock};

/// The recordings, one file per service.
const FILES: [&str; 7] = ["aks", "dns", "identity", "keyvault", "network", "resources", "roles"];

/// A link in the place of a shortened one.
const NEXT_PAGE: &str = "https://management.azure.com/subscriptions/s/next?$skiptoken=more";

/// A recorded request and its answer.
#[derive(Debug, Deserialize)]
struct Row {
    recording: String,
    n: u64,
    method: String,
    #[serde(deserialize_with = "url_of")]
    uri: url::Url,
    /// `None` if the answer is withheld.
    status: Option<u16>,
    headers: Option<Map<String, Value>>,
    answer: Value,
}

fn url_of<'de, D: Deserializer<'de>>(from: D) -> Result<url::Url, D::Error> {
    String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
}

impl Row {
    /// Returns where the row stands, for messages.
    fn place(&self) -> String {
        format!("{} {}: {} {}", self.recording, self.n, self.method, self.uri.path())
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.as_ref()?.get(name)?.as_str()
    }

    fn api_version(&self) -> String {
        let mut query = self.uri.query_pairs();
        query
            .find(|(name, _)| name.eq_ignore_ascii_case("api-version"))
            .map_or_else(String::new, |(_, v)| v.into())
    }

    fn is_of_arm(&self) -> bool {
        self.uri.host_str() == Some("management.azure.com")
    }

    /// Returns whether it polls a long-running operation.
    fn is_poll(&self) -> bool {
        let path = self.uri.path().to_ascii_lowercase();
        ["/locations/", "/deployments/", "/dnsoperationstatuses/"].iter().any(|part| path.contains(part))
            && ["/operations/", "/operationresults/", "/operationstatuses/", "/dnsoperationstatuses/"]
                .iter()
                .any(|part| path.contains(part))
    }
}

/// Returns the rows with an answer, or `None` and a printed line if there are no recordings.
fn rows() -> Option<&'static [Row]> {
    static ROWS: OnceLock<Option<Vec<Row>>> = OnceLock::new();
    ROWS.get_or_init(read).as_deref()
}

fn read() -> Option<Vec<Row>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference/azure-real");
    let mut rows = Vec::new();
    for file in FILES {
        let Ok(text) = std::fs::read_to_string(folder.join(format!("{file}.jsonl"))) else {
            println!("skipped: {} does not exist", folder.display());
            return None;
        };
        rows.extend(text.lines().map(|line| serde_json::from_str::<Row>(line).expect("a recorded row")));
    }
    rows.retain(|row| row.status.is_some());
    rows.iter_mut().for_each(|row| lengthen(&mut row.answer));
    Some(rows)
}

/// Replaces shortened strings with strings of the recorded length, and certificates with one of our own.
fn lengthen(value: &mut Value) {
    match value {
        Value::Object(map) if map.contains_key("text_of_length") => {
            let length = map["text_of_length"].as_u64().and_then(|length| usize::try_from(length).ok());
            let begins = map["begins"].as_str().unwrap_or_default();
            *value = Value::from(format!("{begins:A<width$}", width = length.unwrap_or_default()));
        }
        Value::Object(map) => {
            for (name, value) in map.iter_mut() {
                match name.as_str() {
                    "nextLink" if value.is_object() => *value = Value::from(NEXT_PAGE),
                    "cer" => *value = Value::from(STANDARD.encode(certificate())),
                    _ => lengthen(value),
                }
            }
        }
        Value::Array(list) => {
            // A mark stands in the place of the elements that a long list had, and a shortened id is none.
            list.retain(|one| one.get("left_out").is_none() && one.pointer("/id/text_of_length").is_none());
            list.iter_mut().for_each(lengthen);
        }
        _ => {}
    }
}

/// Returns a certificate in DER.
fn certificate() -> &'static [u8] {
    static MADE: OnceLock<Vec<u8>> = OnceLock::new();
    MADE.get_or_init(|| {
        let made = crate::certificate::Material::self_signed("recorded.example.com", 30);
        made.expect("a certificate can be made").certificate().to_vec()
    })
}

/// Counts by kind, printed at the end of a test.
#[derive(Default)]
struct Counts(BTreeMap<String, usize>);

impl Counts {
    fn add(&mut self, kind: impl Into<String>) {
        *self.0.entry(kind.into()).or_default() += 1;
    }

    fn of(&self, kind: &str) -> usize {
        self.0.get(kind).copied().unwrap_or_default()
    }

    fn print(&self, title: &str) {
        let all: usize = self.0.values().sum();
        println!("{title}: {all}");
        self.0.iter().for_each(|(kind, count)| println!("  {count:4}  {kind}"));
    }
}
