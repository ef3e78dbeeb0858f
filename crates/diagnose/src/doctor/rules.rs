//! The run of all checks in order of dependency: upstream causes explain downstream failures.

use super::{
    CheckOutcome, CheckResult, Diagnosis, Finding, access, certificate, cluster, gateway, gateway_responses,
    istio, names, operator, route, secret, snapshot::Snapshot, subscription,
};
use crate::snapshot::ClusterSnapshot;
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

/// A check of the diagnosis.
struct DoctorCheck {
    /// The name, for the report.
    name: &'static str,
    /// Returns the failed reads without which the check cannot decide.
    unread: fn(&Snapshot<'_>) -> Vec<String>,
    /// Reports findings; breaks if no later check can decide.
    evaluate: fn(&Snapshot<'_>, &mut Findings) -> Flow,
}

/// All checks, in order of dependency.
const CHECKS: [DoctorCheck; 13] = [
    DoctorCheck {
        name: "subscription",
        unread: |snapshot| {
            let (group, subscription) = (snapshot.group.as_ref().err(), snapshot.subscription.as_ref().err());
            // Registrations matter only until the cluster exists.
            let is_needed = !matches!(snapshot.cluster, Ok(Some(_)));
            let registered = [snapshot.providers.as_ref().err(), snapshot.features.as_ref().err()];
            let registered = registered.into_iter().filter(|_| is_needed);
            [group, subscription].into_iter().chain(registered).flatten().cloned().collect()
        },
        evaluate: subscription::evaluate,
    },
    DoctorCheck {
        name: "locks",
        unread: |snapshot| snapshot.locks.as_ref().err().cloned().into_iter().collect(),
        evaluate: access::locks,
    },
    DoctorCheck {
        name: "cluster",
        unread: |snapshot| snapshot.cluster.as_ref().err().cloned().into_iter().collect(),
        evaluate: cluster::evaluate,
    },
    DoctorCheck {
        name: "cluster access",
        unread: |snapshot| snapshot.unread_objects(|_| Vec::new()),
        evaluate: access::cluster,
    },
    DoctorCheck {
        name: "nodes",
        unread: |snapshot| snapshot.unread_objects(|objects| vec![objects.nodes.as_ref().err()]),
        evaluate: |snapshot, findings| match snapshot.cluster_objects() {
            Some(objects) => cluster::nodes(snapshot, objects, findings),
            None => Flow::Continue(()),
        },
    },
    DoctorCheck {
        name: "control plane",
        unread: |snapshot| {
            snapshot.unread_objects(|objects| {
                vec![
                    objects.classes.as_ref().err(),
                    objects.istiod.as_ref().err(),
                    objects.istio_pods.as_ref().err(),
                ]
            })
        },
        evaluate: |snapshot, findings| in_cluster(snapshot, findings, istio::evaluate),
    },
    DoctorCheck {
        name: "certificate",
        unread: |snapshot| snapshot.unread_certificate(),
        evaluate: |snapshot, findings| {
            certificate::evaluate(snapshot, findings);
            Flow::Continue(())
        },
    },
    DoctorCheck {
        name: "secrets",
        unread: |snapshot| {
            let of_vault = [
                snapshot.unread_certificate(),
                unread_text(snapshot.assignments.as_ref().err()),
                unread_text(snapshot.identity.as_ref().err()),
            ];
            let in_cluster = snapshot.unread_objects(|objects| {
                let secrets = objects.secrets.values().map(|secret| secret.as_ref().err());
                let lists = [&objects.secret_classes, &objects.pods, &objects.events];
                secrets.chain(lists.map(|list| list.as_ref().err())).collect()
            });
            of_vault.concat().into_iter().chain(in_cluster).collect()
        },
        evaluate: |snapshot, findings| {
            in_cluster(snapshot, findings, |snapshot, objects, findings| {
                operator::listeners(snapshot, objects, findings);
                secret::evaluate(snapshot, objects, findings);
            })
        },
    },
    // After the Secrets: a refusal of the nodes is the cause, a refusal of this machine has no other effect.
    DoctorCheck {
        name: "vault access",
        unread: |snapshot| snapshot.unread_certificate(),
        evaluate: access::vault,
    },
    DoctorCheck {
        name: "gateways",
        unread: |snapshot| {
            let in_cluster = snapshot.unread_objects(|objects| {
                let lists = [&objects.gateways, &objects.services, &objects.pods, &objects.events];
                lists.map(|list| list.as_ref().err()).to_vec()
            });
            in_cluster.into_iter().chain(unread_text(snapshot.addresses.as_ref().err())).collect()
        },
        evaluate: |snapshot, findings| in_cluster(snapshot, findings, gateway::evaluate),
    },
    DoctorCheck {
        name: "routes",
        unread: |snapshot| {
            snapshot.unread_objects(|objects| {
                let lists = [&objects.gateways, &objects.routes, &objects.services, &objects.pods];
                lists.map(|list| list.as_ref().err()).to_vec()
            })
        },
        evaluate: |snapshot, findings| in_cluster(snapshot, findings, route::evaluate),
    },
    DoctorCheck {
        name: "responses",
        unread: |snapshot| snapshot.unread_objects(|objects| vec![objects.gateways.as_ref().err()]),
        evaluate: |snapshot, findings| in_cluster(snapshot, findings, gateway_responses::evaluate),
    },
    DoctorCheck {
        name: "dns",
        unread: |snapshot| {
            unread_text(snapshot.names.as_ref().and_then(|(_, _, records)| records.as_ref().err()))
        },
        evaluate: |snapshot, findings| {
            names::evaluate(snapshot, findings);
            in_cluster(snapshot, findings, operator::external_dns)
        },
    },
];

fn unread_text(why: Option<&String>) -> Vec<String> {
    why.cloned().into_iter().collect()
}

/// Evaluates the objects in the cluster, if they could be read.
fn in_cluster(
    snapshot: &Snapshot<'_>,
    findings: &mut Findings,
    evaluate: fn(&Snapshot<'_>, &ClusterSnapshot, &mut Findings),
) -> Flow {
    if let Some(objects) = snapshot.cluster_objects() {
        evaluate(snapshot, objects, findings);
    }
    Flow::Continue(())
}

/// Runs all checks on the snapshot.
pub(super) fn evaluate(snapshot: &Snapshot<'_>) -> Diagnosis {
    let mut findings = Findings::default();
    let checks = run(snapshot, &mut findings);
    let Findings { found, later, symptoms, not_created, .. } = findings;
    let findings: Vec<Finding> = found.into_iter().chain(later).collect();
    Diagnosis {
        not_created: findings.first().is_some_and(|root| not_created.contains(root.code)),
        findings,
        symptoms,
        checks,
        failed_reads: snapshot.failed_reads(),
        read_counts: snapshot.read_counts(),
    }
}

/// Runs the checks in order; returns the result of each.
fn run(snapshot: &Snapshot<'_>, findings: &mut Findings) -> Vec<CheckOutcome> {
    let mut stopped_by = None;
    let mut outcomes = Vec::new();
    for check in CHECKS {
        let result = match stopped_by {
            Some(by) => CheckResult::NotRun(format!("the check {by} found a problem that precedes it")),
            None => {
                let before = findings.found.len() + findings.later.len();
                if (check.evaluate)(snapshot, findings).is_break() {
                    stopped_by = Some(check.name);
                }
                let unread = (check.unread)(snapshot);
                match findings.found.len() + findings.later.len() > before {
                    true => CheckResult::Problem,
                    false if unread.is_empty() => CheckResult::Ok,
                    false => CheckResult::NotRun(unread.join("; ")),
                }
            }
        };
        outcomes.push(CheckOutcome { check: check.name, result });
    }
    outcomes
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
