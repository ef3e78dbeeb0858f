//! Contract tests: what az sent to Azure is sent to the simulated cloud, and the answers are compared.
//!
//! The recordings lie beside the repository, in `../shared/reference/azure-real`, and are not part of it; without
//! them the tests print a line and pass. A replay creates the resource groups, maps the names
//! ([`names`]), lets the clock run as in the recording, and leaves out the polls of operations.

mod compare;
mod names;
mod report;
mod row;
mod session;

use report::{Bounds, Report};

/// Replays a file and checks its figures, which must not fall.
fn check(file: &str, bounds: &Bounds) {
    let Some(rows) = row::of_file(file) else { return };
    let mut report = Report::new(file);
    for recording in rows.chunk_by(|one, next| one.recording == next.recording) {
        report.add(session::replay(recording));
    }
    report.print();
    report.check(bounds);
}

#[test]
fn clusters_answer_like_azure() {
    check("aks", &Bounds { requests: 0, statuses: 0, codes: 0, fields_per_mille: 0 });
}

#[test]
fn dns_zones_answer_like_azure() {
    check("dns", &Bounds { requests: 0, statuses: 0, codes: 0, fields_per_mille: 0 });
}

#[test]
fn identities_answer_like_azure() {
    check("identity", &Bounds { requests: 0, statuses: 0, codes: 0, fields_per_mille: 0 });
}

#[test]
fn vaults_answer_like_azure() {
    check("keyvault", &Bounds { requests: 0, statuses: 0, codes: 0, fields_per_mille: 0 });
}

#[test]
fn networks_answer_like_azure() {
    check("network", &Bounds { requests: 0, statuses: 0, codes: 0, fields_per_mille: 0 });
}

#[test]
fn locks_and_features_answer_like_azure() {
    check("resources", &Bounds { requests: 0, statuses: 0, codes: 0, fields_per_mille: 0 });
}

#[test]
fn roles_answer_like_azure() {
    check("roles", &Bounds { requests: 0, statuses: 0, codes: 0, fields_per_mille: 0 });
}
