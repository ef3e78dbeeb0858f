//! Findings of the checks, and the combined error of several.

use super::Concern;
use landfall_engine::{Kind, Residue, StepError};

/// A fault that would fail the run later, with its remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// The check that found it.
    pub(super) concern: Concern,
    /// [`Kind::Input`] if only a setting is wrong, else [`Kind::Refused`].
    pub(super) kind: Kind,
    /// The action that would fail; fits after "failed to".
    pub(super) doing: String,
    /// The service's error code for it.
    pub(super) code: Option<&'static str>,
    /// The causes.
    pub(super) causes: Vec<String>,
    /// The remedy.
    pub(super) mend: String,
    /// True if the finding applies only while no cluster exists.
    pub(super) for_a_new_cluster: bool,
}

impl Finding {
    /// Returns a finding for a refusal by the cloud.
    pub(super) fn refused(concern: Concern, doing: impl Into<String>) -> Self {
        Self {
            concern,
            kind: Kind::Refused,
            doing: doing.into(),
            code: None,
            causes: Vec::new(),
            mend: String::new(),
            for_a_new_cluster: false,
        }
    }

    /// Returns a finding for a wrong setting.
    pub(super) fn input(concern: Concern, doing: impl Into<String>) -> Self {
        Self { kind: Kind::Input, ..Self::refused(concern, doing) }
    }

    pub(super) fn code(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }

    pub(super) fn cause(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    pub(super) fn mend(self, mend: impl Into<String>) -> Self {
        Self { mend: mend.into(), ..self }
    }

    /// Marks the finding as relevant only for the creation of the cluster.
    pub(super) fn for_a_new_cluster(self) -> Self {
        Self { for_a_new_cluster: true, ..self }
    }
}

/// Combines all findings into one error; `None` if there are none. `checks` is the number of executed checks.
pub(super) fn refusal(mut findings: Vec<Finding>, checks: usize) -> Option<StepError> {
    findings.sort_by_key(|finding| finding.concern);
    if findings.len() == 1 {
        return findings.pop().map(alone);
    }
    let all_input = findings.iter().all(|finding| finding.kind == Kind::Input);
    let kind = if all_input { Kind::Input } else { Kind::Refused };
    let failed = findings.iter().map(|finding| finding.concern);
    let failed = failed.collect::<std::collections::BTreeSet<_>>().len();
    let count = findings.len();
    let error = StepError::new(kind, format!("pass {failed} of {checks} checks")).residue(Residue::Nothing);
    let told = findings.into_iter().fold(error, |error, finding| error.cause(line(&finding)));
    (count > 0)
        .then(|| told.hint("each line ends with its fix; --skip-preflight NAME skips the check of that name"))
}

fn alone(finding: Finding) -> StepError {
    let error = StepError::new(finding.kind, finding.doing).hint(finding.mend).residue(Residue::Nothing);
    let error = finding.code.into_iter().fold(error, StepError::code);
    finding.causes.into_iter().fold(error, StepError::cause)
}

/// Formats a finding: `quota: Standard DSv5 Family vCPUs in eastus …; set cluster.nodes_max to 1`.
fn line(finding: &Finding) -> String {
    format!("{}: {}; {}", finding.concern.name(), finding.causes.join("; "), finding.mend)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size() -> Finding {
        Finding::input(Concern::NodeSize, "make nodes of Standard_Z1 in eastus")
            .code("VMSizeNotSupported")
            .cause("eastus has no such size")
            .mend("set cluster.node_size to another one")
    }

    #[test]
    fn one_finding_is_told_as_its_own_error() {
        let error = refusal(vec![size()], 14).unwrap();
        assert_eq!(error.kind, Kind::Input);
        assert_eq!((error.code.as_deref(), error.causes.len()), (Some("VMSizeNotSupported"), 1));
        assert_eq!(error.residue, Residue::Nothing);
    }

    #[test]
    fn several_are_told_a_line_each_in_the_order_of_the_checks() {
        let rights = Finding::refused(Concern::Rights, "make it").cause("you may not").mend("ask for a role");
        let error = refusal(vec![size(), rights], 14).unwrap();
        assert_eq!(error.kind, Kind::Refused, "one that is not input alone decides");
        assert_eq!(error.message, "pass 2 of 14 checks");
        assert_eq!(error.causes[0], "rights: you may not; ask for a role");
        assert!(error.causes[1].starts_with("node-size: eastus has no such size; set cluster.node_size"));
    }

    #[test]
    fn nothing_found_is_no_refusal() {
        assert_eq!(refusal(Vec::new(), 14), None);
    }
}
