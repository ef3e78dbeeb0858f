//! The fault table: one row per fault, next to its injection in the file of its topic.

use std::fmt::Write as _;

use super::row::{Kind, Row};
use super::variants::Fault;
use super::{
    acme, blobs, busy, cluster, dns, identities, kubernetes, operations, providers, quota_and_policy,
    replication, roles, transport, unreadable, vaults,
};

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
    replication::ROWS,
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

impl Fault {
    /// Returns the table row of the fault.
    pub fn row(self) -> &'static Row {
        table().find(|row| row.fault == self).expect("every fault has its row, which a test looks after")
    }

    /// Returns the name of the fault in texts.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Returns the kind of the fault.
    pub fn kind(self) -> Kind {
        self.row().kind
    }

    /// Returns whether only a client that orders certificates meets the fault.
    pub fn concerns_orders(self) -> bool {
        acme::ROWS.iter().any(|row| row.fault == self)
    }

    /// Returns whether only a client of the application routing operator meets the fault.
    pub fn concerns_operator(self) -> bool {
        matches!(self, Self::OperatorLate | Self::ExternalDnsEarly)
    }

    /// Returns whether only a client with its journal in a blob meets the fault.
    pub fn concerns_blobs(self) -> bool {
        blobs::ROWS.iter().any(|row| row.fault == self)
    }

    /// Returns whether another run of `up` alone recovers in the end; the other faults need manual action.
    pub fn heals(self) -> bool {
        self.row().heals
    }
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
