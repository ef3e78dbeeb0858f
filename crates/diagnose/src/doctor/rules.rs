//! The run of all checks in order of dependency: upstream causes explain downstream failures.

use super::{
    Diagnosis, Finding, certificate, cluster, external, gateway, istio, names, route, secret,
    snapshot::Snapshot, subscription,
};
use std::{collections::BTreeSet, ops::ControlFlow};

/// The findings collected so far.
#[derive(Default)]
pub(super) struct Findings {
    found: Vec<Finding>,
    later: Vec<Finding>,
    symptoms: Vec<String>,
    not_created: BTreeSet<&'static str>,
    /// Gateways and hosts whose failure already has a cause.
    explained: BTreeSet<String>,
}

/// The decision to continue or stop. The checks stop if the later ones have no data, or can only fail as a
/// consequence.
pub(super) type Flow = ControlFlow<()>;

impl Findings {
    /// Records a cause.
    pub(super) fn report(&mut self, finding: Finding) {
        if !self.found.iter().any(|known| known.code == finding.code && known.cause == finding.cause) {
            self.found.push(finding);
        }
    }

    /// Records a missing resource: `landfall up` has not created it yet, or it was deleted.
    pub(super) fn report_missing(&mut self, finding: Finding) {
        self.not_created.insert(finding.code);
        self.report(finding);
    }

    /// Records a finding that does no harm yet; it comes after all causes.
    pub(super) fn report_latent(&mut self, finding: Finding) {
        self.later.push(finding);
    }

    /// Records a consequence.
    pub(super) fn add_symptom(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.symptoms.contains(&text) {
            self.symptoms.push(text);
        }
    }

    /// Records that a failure at this gateway or host has a cause.
    pub(super) fn mark_explained(&mut self, what: impl Into<String>) {
        self.explained.insert(what.into());
    }

    /// Returns whether a failure there has a cause.
    pub(super) fn is_explained(&self, what: &str) -> bool {
        self.explained.contains(what)
    }
}

/// Runs all checks on the snapshot.
pub(super) fn evaluate(snapshot: &Snapshot<'_>) -> Diagnosis {
    let mut findings = Findings::default();
    let _ = evaluate_all(snapshot, &mut findings);
    let Findings { found, later, symptoms, not_created, .. } = findings;
    let findings: Vec<Finding> = found.into_iter().chain(later).collect();
    Diagnosis {
        not_created: findings.first().is_some_and(|root| not_created.contains(root.code)),
        findings,
        symptoms,
        failed_reads: snapshot.failed_reads(),
        read_counts: snapshot.read_counts(),
    }
}

fn evaluate_all(snapshot: &Snapshot<'_>, findings: &mut Findings) -> Flow {
    subscription::evaluate(snapshot, findings)?;
    cluster::evaluate(snapshot, findings)?;
    let Some(cluster_objects) = snapshot.cluster_objects() else {
        certificate::evaluate(snapshot, findings);
        names::evaluate(snapshot, findings);
        return Flow::Continue(());
    };
    cluster::nodes(snapshot, cluster_objects, findings)?;
    istio::evaluate(snapshot, cluster_objects, findings);
    certificate::evaluate(snapshot, findings);
    secret::evaluate(snapshot, cluster_objects, findings);
    gateway::evaluate(snapshot, cluster_objects, findings);
    route::evaluate(snapshot, cluster_objects, findings);
    external::evaluate(snapshot, cluster_objects, findings);
    names::evaluate(snapshot, findings);
    Flow::Continue(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_reported_once_and_latent_findings_come_last() {
        let mut findings = Findings::default();
        findings.report_latent(Finding::new("LATER", "rotation is off", "on"));
        findings.report(Finding::new("FIRST", "no role", "grant"));
        findings.report(Finding::new("FIRST", "no role", "grant"));
        let codes: Vec<_> =
            findings.found.iter().chain(&findings.later).map(|finding| finding.code).collect();
        assert_eq!(codes, ["FIRST", "LATER"]);
    }
}
