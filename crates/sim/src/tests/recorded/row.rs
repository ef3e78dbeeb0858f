//! Recorded requests with the answers of Azure, and the facts of the repository in the same form.

use std::path::PathBuf;

use http::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::clock::SimTime;

/// A recorded request with its answer.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Row {
    pub(super) recording: String,
    pub(super) n: u64,
    method: String,
    uri: String,
    pub(super) body: Value,
    /// `None` if the answer is withheld.
    pub(super) status: Option<u16>,
    date: Option<String>,
    pub(super) answer: Value,
}

impl Row {
    /// Returns the request of a fact of the repository. Its path is below `providers/`, by default of the network.
    pub(super) fn of_fact(fact: &Value, n: u64) -> Self {
        let text = |name: &str| fact[name].as_str().unwrap_or_default();
        let path = match text("path").starts_with("Microsoft.") {
            true => text("path").to_owned(),
            false => format!("Microsoft.Network/{}", text("path")),
        };
        Self {
            recording: text("group").to_owned(),
            n,
            method: text("method").to_owned(),
            uri: format!(
                "https://management.azure.com/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/{}\
                 /providers/{path}?api-version=2018-05-01",
                text("group")
            ),
            body: fact["body"].clone(),
            status: None,
            date: None,
            answer: Value::Null,
        }
    }

    pub(super) fn method(&self) -> Method {
        self.method.parse().expect("a recorded method")
    }

    pub(super) fn url(&self) -> url::Url {
        self.uri.parse().expect("a recorded URL")
    }

    /// Returns the time of the answer by Azure's clock.
    pub(super) fn time(&self) -> Option<SimTime> {
        let text = self.date.as_ref()?;
        let time = jiff::fmt::rfc2822::parse(text).ok()?;
        Some(SimTime(time.timestamp().as_millisecond()))
    }

    /// Returns whether it polls a long-running operation.
    pub(super) fn is_poll(&self) -> bool {
        const PARTS: [&str; 4] =
            ["/operations/", "/operationresults/", "/operationstatuses/", "/dnsoperationstatuses/"];
        let path = self.url().path().to_ascii_lowercase();
        PARTS.iter().any(|part| path.contains(part))
    }

    /// Returns the error code of the answer; empty if it has none.
    pub(super) fn code(&self) -> &str {
        let error = if self.answer["error"].is_object() { &self.answer["error"] } else { &self.answer };
        match self.status {
            Some(400..) => error["code"].as_str().unwrap_or_default(),
            _ => "",
        }
    }

    /// Returns the row on one line, for messages.
    pub(super) fn place(&self) -> String {
        let (recording, path) = (&self.recording, self.url().path().to_owned());
        let path = path.split_once("/providers/").map_or(path.as_str(), |(_, rest)| rest);
        format!("{} {} {} {path}", recording.trim_start_matches("test_"), self.n, self.method)
    }
}

/// Returns the rows of a file beside the repository; `None` and a printed line if it does not exist.
pub(super) fn of_file(file: &str) -> Option<Vec<Row>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference/azure-real");
    let Ok(text) = std::fs::read_to_string(folder.join(format!("{file}.jsonl"))) else {
        println!("skipped: {} does not exist", folder.display());
        return None;
    };
    Some(text.lines().map(|line| serde_json::from_str(line).expect("a recorded row")).collect())
}
