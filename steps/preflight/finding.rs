//! Findings of the checks, and the combined error of several.

use super::PreflightCheckId;
use landfall_engine::{Kind, Leftover, StepError};

/// A fault that would fail the run later, with its remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// The check that found it.
    pub(super) check_id: PreflightCheckId,
    /// [`Kind::Input`] if only a setting is wrong, else [`Kind::Refused`].
    pub(super) kind: Kind,
    /// The action that would fail; fits after "failed to".
    pub(super) action: String,
    /// The service's error code for it.
    pub(super) code: Option<&'static str>,
    /// The causes.
    pub(super) causes: Vec<String>,
    /// The remedy.
    pub(super) fix: String,
    /// True if the finding applies only while no cluster exists.
    pub(super) for_a_new_cluster: bool,
}

impl Finding {
    /// Returns a finding for a refusal by the cloud.
    pub(super) fn refused(check_id: PreflightCheckId, action: impl Into<String>) -> Self {
        Self {
            check_id,
            kind: Kind::Refused,
            action: action.into(),
            code: None,
            causes: Vec::new(),
            fix: String::new(),
            for_a_new_cluster: false,
        }
    }

    /// Returns a finding for a wrong setting.
    pub(super) fn input(check_id: PreflightCheckId, action: impl Into<String>) -> Self {
        Self { kind: Kind::Input, ..Self::refused(check_id, action) }
    }

    /// Returns the finding of an error that a step would return too.
    pub(super) fn of_error(check_id: PreflightCheckId, error: StepError) -> Self {
        let fix = error.hint.unwrap_or_default();
        Self { kind: error.kind, causes: error.causes, fix, ..Self::refused(check_id, error.message) }
    }

    pub(super) fn code(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }

    pub(super) fn cause(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    pub(super) fn fix(self, fix: impl Into<String>) -> Self {
        Self { fix: fix.into(), ..self }
    }

    /// Marks the finding as relevant only for the creation of the cluster.
    pub(super) fn for_a_new_cluster(self) -> Self {
        Self { for_a_new_cluster: true, ..self }
    }
}

/// Combines all findings into one error; `None` if there are none. `checks` is the number of executed checks.
pub(super) fn refusal(mut findings: Vec<Finding>, checks: usize) -> Option<StepError> {
    findings.sort_by_key(|finding| finding.check_id);
    if findings.len() == 1 {
        return findings.pop().map(single_error);
    }
    let all_input = findings.iter().all(|finding| finding.kind == Kind::Input);
    let kind = if all_input { Kind::Input } else { Kind::Refused };
    let failed = findings.iter().map(|finding| finding.check_id);
    let failed = failed.collect::<std::collections::BTreeSet<_>>().len();
    let count = findings.len();
    let error = StepError::new(kind, format!("pass {failed} of {checks} checks")).leftover(Leftover::Nothing);
    let combined = findings.into_iter().fold(error, |error, finding| error.cause(format_line(&finding)));
    (count > 0).then(|| {
        combined.hint("each line ends with its fix; --skip-preflight NAME skips a check, with the name at the start of its line")
    })
}

fn single_error(finding: Finding) -> StepError {
    let error = StepError::new(finding.kind, finding.action).hint(finding.fix).leftover(Leftover::Nothing);
    let error = finding.code.into_iter().fold(error, StepError::code);
    finding.causes.into_iter().fold(error, StepError::cause)
}

/// Formats a finding: `quota: Standard DSv5 Family vCPUs in eastus …; set cluster.nodes_max to 1`.
fn format_line(finding: &Finding) -> String {
    format!("{}: {}; {}", finding.check_id.name(), finding.causes.join("; "), finding.fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size() -> Finding {
        Finding::input(PreflightCheckId::NodeSize, "make nodes of Standard_Z1 in eastus")
            .code("VMSizeNotSupported")
            .cause("eastus has no such size")
            .fix("set cluster.node_size to another one")
    }

    #[test]
    fn one_finding_becomes_its_own_error() {
        let error = refusal(vec![size()], 14).unwrap();
        assert_eq!(error.kind, Kind::Input);
        assert_eq!((error.code.as_deref(), error.causes.len()), (Some("VMSizeNotSupported"), 1));
        assert_eq!(error.leftover, Leftover::Nothing);
    }

    #[test]
    fn several_findings_are_listed_in_the_order_of_the_checks() {
        let rights =
            Finding::refused(PreflightCheckId::Rights, "make it").cause("you may not").fix("ask for a role");
        let error = refusal(vec![size(), rights], 14).unwrap();
        assert_eq!(error.kind, Kind::Refused, "one that is not input alone decides");
        assert_eq!(error.message, "pass 2 of 14 checks");
        assert_eq!(error.causes[0], "rights: you may not; ask for a role");
        assert!(error.causes[1].starts_with("node-size: eastus has no such size; set cluster.node_size"));
    }

    #[test]
    fn no_findings_are_no_error() {
        assert_eq!(refusal(Vec::new(), 14), None);
    }
}
