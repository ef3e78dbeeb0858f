//! The failure of the last run: it explains what is missing, and no remedy is the command that has just failed.

use super::{Diagnosis, Finding};

/// The command of the remedies that repeat it.
const COMMAND: &str = "landfall up";

/// A step that failed in the last run, from the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedStep {
    /// The step's id.
    pub step: String,
    /// The failed action; fits after "failed to".
    pub message: String,
    /// The service's code.
    pub code: Option<String>,
    /// The causes, nearest first.
    pub causes: Vec<String>,
    /// The remedy.
    pub hint: String,
}

impl FailedStep {
    /// Returns the remedy; `None` if it is only to repeat the command.
    fn remedy(&self) -> Option<&str> {
        Some(self.hint.as_str()).filter(|hint| !hint.is_empty() && !repeats(hint))
    }

    fn finding(&self) -> Finding {
        let Self { step, message, code, causes, .. } = self;
        let remedy = self.remedy().unwrap_or("remove the cause that the evidence names");
        let finding = Finding::new(
            "STEP_FAILED",
            format!("the last run failed at step {step}: failed to {message}"),
            format!("{remedy}; then {COMMAND}"),
        );
        let codes = code.iter().filter(|code| !causes.iter().any(|cause| cause.contains(code.as_str())));
        causes.iter().chain(codes).fold(finding, |finding, cause| finding.evidence(cause.clone()))
    }
}

/// Applies the failures, in the order of the steps, to a diagnosis. A resource that does not exist because its step
/// failed is a consequence of the failure, which becomes the root cause.
pub(super) fn apply(diagnosis: &mut Diagnosis, failed: &[FailedStep]) {
    let Some(first) = failed.first() else { return };
    for finding in &mut diagnosis.findings {
        finding.remedy = without_repetition(&finding.remedy, first);
    }
    if diagnosis.not_created {
        let missing = std::mem::replace(&mut diagnosis.findings[0], first.finding());
        diagnosis.symptoms.insert(0, missing.cause);
        diagnosis.not_created = false;
    }
}

/// Returns a remedy without its parts that repeat the command. If nothing remains, the failure's own remedy comes
/// first.
fn without_repetition(remedy: &str, failed: &FailedStep) -> String {
    let parts: Vec<&str> = remedy.split("; ").filter(|part| !repeats(part)).collect();
    if !parts.is_empty() {
        return parts.join("; ");
    }
    let remedy = failed.remedy().unwrap_or("remove the cause of that failure");
    format!(
        "the last run failed at step {} (failed to {}): {remedy}; then {COMMAND}",
        failed.step, failed.message
    )
}

/// Returns whether a remedy begins with the command.
fn repeats(remedy: &str) -> bool {
    remedy.starts_with(COMMAND) || remedy.starts_with("run ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota() -> FailedStep {
        FailedStep {
            step: "cluster".into(),
            message: "create cluster aks-demo".into(),
            code: Some("QuotaExceeded".into()),
            causes: vec!["16 vCPUs are needed, 10 are allowed".into()],
            hint: "set cluster.nodes_max = 2, or request a quota increase".into(),
        }
    }

    fn diagnosis(not_created: bool, remedies: &[&str]) -> Diagnosis {
        let findings = remedies.iter().map(|remedy| Finding::new("CODE", "a cause", *remedy)).collect();
        Diagnosis { findings, not_created, ..Diagnosis::default() }
    }

    #[test]
    fn the_failure_is_the_root_cause_of_what_is_missing() {
        let mut found = diagnosis(true, &["landfall up: it creates the cluster"]);
        apply(&mut found, &[quota()]);
        let root = found.root().unwrap();
        assert_eq!(root.cause, "the last run failed at step cluster: failed to create cluster aks-demo");
        assert_eq!(root.evidence, ["16 vCPUs are needed, 10 are allowed", "QuotaExceeded"]);
        assert_eq!(root.remedy, "set cluster.nodes_max = 2, or request a quota increase; then landfall up");
        assert_eq!(
            (found.findings.len(), found.symptoms, found.not_created),
            (1, vec!["a cause".to_owned()], false)
        );
    }

    #[test]
    fn no_remedy_repeats_the_command_that_failed() {
        let mut found = diagnosis(
            false,
            &[
                "landfall up: it restores the route; in your own manifest, fix sectionName",
                "kubectl describe gateway web; landfall up restores it",
                "run landfall up: it grants the roles again; a new role may take ten minutes",
                "landfall up: it recreates the class",
                "wait some minutes, then landfall up",
            ],
        );
        apply(&mut found, &[quota()]);
        let remedies: Vec<&str> = found.findings.iter().map(|finding| finding.remedy.as_str()).collect();
        let last = "the last run failed at step cluster (failed to create cluster aks-demo): set cluster.nodes_max = 2, \
                    or request a quota increase; then landfall up";
        let expected = [
            "in your own manifest, fix sectionName",
            "kubectl describe gateway web",
            "a new role may take ten minutes",
            last,
            "wait some minutes, then landfall up",
        ];
        assert_eq!(remedies, expected);
        let mut late = diagnosis(false, &["landfall up: it recreates the class"]);
        let timed_out =
            FailedStep { hint: "run the same command again to resume the wait".into(), ..quota() };
        apply(&mut late, &[timed_out]);
        assert!(late.findings[0].remedy.contains("remove the cause of that failure"), "{late:?}");
    }

    #[test]
    fn without_a_failure_nothing_changes() {
        let mut found = diagnosis(true, &["landfall up: it creates the cluster"]);
        let before = found.clone();
        apply(&mut found, &[]);
        assert_eq!(found, before);
    }
}
