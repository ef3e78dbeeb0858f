//! The table of faults: one row each, kept with its bite in the file of its topic.

use std::fmt::Write as _;

use serde::Serialize;

use super::around::Bite;
use super::{
    Fault, busy, cluster, dns, inside, limits, operations, providers, roles, transport, unreadable, vaults,
};

/// What sort of thing goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A request or its answer is lost, late or turned away, whatever it is about.
    Transport,
    /// A service says no to this request, now.
    Refusal,
    /// A long operation does not go as planned.
    Operation,
    /// The world is not as it was left: somebody, or the cloud itself, changed it.
    World,
}

impl Kind {
    /// Returns the word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Transport => "transport",
            Self::Refusal => "refusal",
            Self::Operation => "operation",
            Self::World => "world",
        }
    }
}

/// One row of the table.
#[derive(Debug)]
pub struct Row {
    /// The fault.
    pub fault: Fault,
    /// What it is called in texts.
    pub name: &'static str,
    /// What sort of thing goes wrong.
    pub kind: Kind,
    /// The verb it bites unless told otherwise; any when empty.
    pub method: &'static str,
    /// The part of host and path it bites unless told otherwise; any when empty.
    pub path: &'static str,
    /// What happens, for people.
    pub what: &'static str,
    /// What a client rightly does about it, for people.
    pub client: &'static str,
    /// Whether running `up` again, alone, gets through it in the end.
    pub heals: bool,
    /// How it bites.
    pub(super) bite: Bite,
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
    limits::ROWS,
    cluster::ROWS,
    inside::ROWS,
    dns::ROWS,
];

/// Returns every row: its name, where it bites by itself, what happens, what a client does.
pub fn table() -> impl Iterator<Item = &'static Row> {
    TOPICS.iter().copied().flatten()
}

/// Returns the names, comma between them.
pub fn names() -> String {
    table().map(|row| row.name).collect::<Vec<_>>().join(", ")
}

impl Row {
    /// Returns where it bites by itself, as a text of a fault has it after the `@`; `any request` when anywhere.
    pub fn place(&self) -> String {
        match (self.method, self.path) {
            ("", "") => "any request".to_owned(),
            ("", path) => path.to_owned(),
            (method, "") => method.to_owned(),
            (method, path) => format!("{method} {path}"),
        }
    }
}

/// Returns the table as the documentation has it.
pub fn markdown() -> String {
    let mut text = String::from(
        "| Name | Sort | Where by itself | What happens | What a client does | `up` again is enough |\n|---|---|---|---|---|---|\n",
    );
    for row in table() {
        let enough = if row.heals { "yes" } else { "no" };
        let (name, kind, place) = (row.name, row.kind.word(), row.place());
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
