//! The run of all checks in order of dependency: upstream causes explain downstream failures.

use super::{
    Diagnosis, Finding, certificate, cluster, gateway, ground, mesh, names, outside, picture::Picture, route,
    secret,
};
use std::{collections::BTreeSet, ops::ControlFlow};

/// The findings collected so far.
#[derive(Default)]
pub(super) struct Walk {
    found: Vec<Finding>,
    later: Vec<Finding>,
    symptoms: Vec<String>,
    unmade: BTreeSet<&'static str>,
    /// Gateways and hosts whose failure already has a cause.
    explained: BTreeSet<String>,
}

/// The decision to continue or stop. The checks stop if the later ones have no data, or can only fail as a
/// consequence.
pub(super) type Way = ControlFlow<()>;

impl Walk {
    /// Records a cause.
    pub(super) fn name(&mut self, finding: Finding) {
        if !self.found.iter().any(|known| known.code == finding.code && known.cause == finding.cause) {
            self.found.push(finding);
        }
    }

    /// Records a missing resource: `landfall up` has not created it yet, or it was deleted.
    pub(super) fn lacks(&mut self, finding: Finding) {
        self.unmade.insert(finding.code);
        self.name(finding);
    }

    /// Records a finding that does no harm yet; it comes after all causes.
    pub(super) fn later(&mut self, finding: Finding) {
        self.later.push(finding);
    }

    /// Records a consequence.
    pub(super) fn symptom(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.symptoms.contains(&text) {
            self.symptoms.push(text);
        }
    }

    /// Records that a failure at this gateway or host has a cause.
    pub(super) fn explain(&mut self, what: impl Into<String>) {
        self.explained.insert(what.into());
    }

    /// Returns whether a failure there has a cause.
    pub(super) fn explains(&self, what: &str) -> bool {
        self.explained.contains(what)
    }
}

/// Runs all checks on the snapshot.
pub(super) fn walk(picture: &Picture<'_>) -> Diagnosis {
    let mut walk = Walk::default();
    let _ = along(picture, &mut walk);
    let Walk { found, later, symptoms, unmade, .. } = walk;
    let findings: Vec<Finding> = found.into_iter().chain(later).collect();
    Diagnosis {
        unmade: findings.first().is_some_and(|root| unmade.contains(root.code)),
        findings,
        symptoms,
        unseen: picture.unseen(),
        looked: picture.looked(),
    }
}

fn along(picture: &Picture<'_>, walk: &mut Walk) -> Way {
    ground::judge(picture, walk)?;
    cluster::judge(picture, walk)?;
    let Some(inside) = picture.inside() else {
        certificate::judge(picture, walk);
        names::judge(picture, walk);
        return Way::Continue(());
    };
    cluster::nodes(picture, inside, walk)?;
    mesh::judge(picture, inside, walk);
    certificate::judge(picture, walk);
    secret::judge(picture, inside, walk);
    gateway::judge(picture, inside, walk);
    route::judge(picture, inside, walk);
    outside::judge(picture, inside, walk);
    names::judge(picture, walk);
    Way::Continue(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_named_once_and_what_does_no_harm_yet_comes_last() {
        let mut walk = Walk::default();
        walk.later(Finding::new("LATER", "rotation is off", "on"));
        walk.name(Finding::new("FIRST", "no role", "grant"));
        walk.name(Finding::new("FIRST", "no role", "grant"));
        let codes: Vec<_> = walk.found.iter().chain(&walk.later).map(|finding| finding.code).collect();
        assert_eq!(codes, ["FIRST", "LATER"]);
    }
}
