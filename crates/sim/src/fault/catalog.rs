//! The fault table: one row per fault, next to its injection in the file of its topic.

use std::fmt::Write as _;

use serde::Serialize;

use super::inject::Injection;
use super::{
    Fault, acme, blobs, busy, cluster, dns, identities, kubernetes, operations, providers, quota_and_policy,
    roles, transport, unreadable, vaults,
};

/// The kind of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A request or its response is lost, late or rejected, whatever its target.
    Transport,
    /// A service refuses this request now.
    Refusal,
    /// A long-running operation does not go as planned.
    Operation,
    /// The state has changed: another client, or the cloud itself, modified it.
    #[serde(rename = "world")]
    StateChange,
}

impl Kind {
    /// Returns the name of the kind.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transport => "transport",
            Self::Refusal => "refusal",
            Self::Operation => "operation",
            Self::StateChange => "world",
        }
    }
}

/// A row of the fault table.
#[derive(Debug)]
pub struct Row {
    /// The fault.
    pub fault: Fault,
    /// The name in texts.
    pub name: &'static str,
    /// The kind.
    pub kind: Kind,
    /// The default method of matching requests; any if empty.
    pub method: &'static str,
    /// The default part of host and path of matching requests; any if empty.
    pub path: &'static str,
    /// The effect, as text for users.
    pub what: &'static str,
    /// The correct reaction of a client, as text for users.
    pub client: &'static str,
    /// True if another run of `up` alone recovers in the end.
    pub heals: bool,
    /// The injection.
    pub(super) injection: Injection,
}

/// The rows by topic.
const TOPICS: &[&[Row]] = &[
    transport::ROWS,
    unreadable::ROWS,
    busy::ROWS,
    operations::ROWS,
    roles::ROWS,
    vaults::ROWS,
    providers::ROWS,
    quota_and_policy::ROWS,
    cluster::ROWS,
    identities::ROWS,
    kubernetes::ROWS,
    dns::ROWS,
    acme::ROWS,
    blobs::ROWS,
];

/// Returns all rows of the table.
pub fn table() -> impl Iterator<Item = &'static Row> {
    TOPICS.iter().copied().flatten()
}

/// Returns all names, separated by commas.
pub fn names() -> String {
    table().map(|row| row.name).collect::<Vec<_>>().join(", ")
}

impl Row {
    /// Returns the default place in the format after the `@`; `any request` if it matches everything.
    pub fn place(&self) -> String {
        match (self.method, self.path) {
            ("", "") => "any request".to_owned(),
            ("", path) => path.to_owned(),
            (method, "") => method.to_owned(),
            (method, path) => format!("{method} {path}"),
        }
    }
}

/// Returns the table as Markdown for the documentation.
pub fn markdown() -> String {
    let mut text = String::from(
        "| Name | Sort | Where by itself | What happens | What a client does | `up` again is enough |\n|---|---|---|---|---|---|\n",
    );
    for row in table() {
        let enough = if row.heals { "yes" } else { "no" };
        let (name, kind, place) = (row.name, row.kind.as_str(), row.place());
        let _ =
            writeln!(text, "| `{name}` | {kind} | `{place}` | {} | {} | {enough} |", row.what, row.client);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../../../docs/simulator.md");

    #[test]
    fn every_fault_has_one_row_under_its_own_name() {
        for fault in Fault::ALL {
            let rows: Vec<_> = table().filter(|row| row.fault == *fault).collect();
            assert_eq!(rows.len(), 1, "{fault:?}");
            assert_eq!(serde_json::to_value(fault).unwrap(), rows[0].name);
        }
        assert_eq!(table().count(), Fault::ALL.len());
    }

    #[test]
    fn the_page_about_the_simulator_has_exactly_the_rows_of_the_table() {
        let section = PAGE.split("\n## Faults").nth(1).expect("the page has a section about faults");
        let section = section.split("\n## ").next().expect("a split has a first part");
        let listed: Vec<&str> = section.lines().filter(|line| line.starts_with("| `")).collect();
        let wanted = markdown();
        let wanted: Vec<&str> = wanted.lines().filter(|line| line.starts_with("| `")).collect();
        assert_eq!(listed, wanted, "the page must have this table:\n{}", markdown());
    }
}
