//! Contract tests: what az sent to Azure is sent to the simulated cloud, and the answers are compared.
//!
//! The recordings lie beside the repository, in `../shared/reference/azure-real`, and are not part of it; without
//! them the tests print a line and pass. A replay creates the resource groups, maps the names
//! ([`names`]), lets the clock run as in the recording, and leaves out the polls of operations. The [`facts`] of the
//! repository are replayed in the same way.

mod classify;
mod compare;
mod facts;
mod names;
mod report;
mod row;
mod session;
mod setup;

use classify::Versions;
use report::{Bounds, Report};

/// Replays a file with both choices of api-versions, and checks its figures, which must not fall.
fn check(file: &str, bounds: &Bounds) {
    let Some(rows) = row::of_file(file) else { return };
    for versions in [Versions::Newest, Versions::Recorded] {
        let mut report = Report::new(&format!("{file} ({versions:?})"));
        for recording in rows.chunk_by(|one, next| one.recording == next.recording) {
            report.add(session::replay(recording, versions, |_, _| {}));
        }
        report.print();
        report.check(bounds);
    }
}

#[test]
fn clusters_answer_like_azure() {
    check("aks", &Bounds { requests: 123, statuses: 123, codes: 123, fields_per_mille: 998 });
}

#[test]
fn dns_zones_answer_like_azure() {
    check("dns", &Bounds { requests: 81, statuses: 81, codes: 81, fields_per_mille: 1000 });
}

#[test]
fn identities_answer_like_azure() {
    check("identity", &Bounds { requests: 10, statuses: 10, codes: 10, fields_per_mille: 1000 });
}

#[test]
fn vaults_answer_like_azure() {
    check("keyvault", &Bounds { requests: 88, statuses: 88, codes: 88, fields_per_mille: 994 });
}

#[test]
fn networks_answer_like_azure() {
    check("network", &Bounds { requests: 36, statuses: 36, codes: 36, fields_per_mille: 1000 });
}

#[test]
fn locks_and_features_answer_like_azure() {
    check("resources", &Bounds { requests: 13, statuses: 13, codes: 13, fields_per_mille: 1000 });
}

#[test]
fn roles_answer_like_azure() {
    check("roles", &Bounds { requests: 28, statuses: 28, codes: 28, fields_per_mille: 1000 });
}
