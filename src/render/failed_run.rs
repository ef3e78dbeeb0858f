//! Output of a failed run.

use super::{style::Styler, text};
use crate::failure::Failure;
use landfall_engine::{JournalState, Kind, Outcome, Report, StepError, StepInfo};

/// Returns the errors of a run; identical errors of several steps are printed once.
pub fn errors(report: &Report, style: Styler) -> Vec<String> {
    let mut merged: Vec<(&StepError, Vec<String>)> = Vec::new();
    for (step, error) in &report.errors {
        let name = text::name(step);
        match merged.iter_mut().find(|(known, _)| *known == error) {
            Some((_, steps)) => steps.push(name),
            None => merged.push((error, vec![name])),
        }
    }
    merged.into_iter().map(|(error, steps)| Failure::of_steps(steps, error).text(style)).collect()
}

/// Returns whether the cloud still runs an operation that a step began.
pub fn has_operations_in_flight(journal_state: &JournalState) -> bool {
    journal_state.0.values().any(|step_state| step_state.ticket.is_some())
}

/// Returns the consequences of the errors; `again` is the command that continues, and `has_operations_in_flight` is true if
/// the cloud still runs an operation.
pub fn next_steps(
    report: &Report,
    steps: &[StepInfo],
    again: &str,
    has_operations_in_flight: bool,
) -> String {
    let mut lines = Vec::new();
    let blocked = blocked(report, steps);
    if !blocked.is_empty() {
        let these = if report.errors.len() == 1 { "it" } else { "these" };
        lines.push(text::wrap("", &format!("Blocked by {these}: {}.", blocked.join(", ")), text::COLUMNS));
    }
    let done = report.found + report.created + report.changed;
    let kept = match done {
        0 => String::new(),
        1 => "1 step is complete and stays complete. ".to_owned(),
        _ => format!("{done} steps are complete and stay complete. "),
    };
    let has_operations_in_flight = match report.outcome {
        Outcome::Interrupted if has_operations_in_flight => "Operations in flight continue in the cloud. ",
        _ => "",
    };
    // A permanent refusal is repeated unless the user changes something first.
    let needs_change = report
        .errors
        .iter()
        .all(|(_, error)| matches!(error.kind, Kind::Refused | Kind::Input | Kind::Foreign));
    let next = match needs_change && !report.errors.is_empty() {
        true => format!("Fix this, then run `{again}` again."),
        false => format!("To resume, run `{again}` again."),
    };
    lines.push(text::wrap("", &format!("{kept}{has_operations_in_flight}{next}"), text::COLUMNS));
    lines.join("\n")
}

/// Returns the steps that depend on a failed one, directly or indirectly.
fn blocked(report: &Report, steps: &[StepInfo]) -> Vec<String> {
    let mut reached: Vec<&str> = report.errors.iter().map(|(step, _)| step.as_str()).collect();
    let failed = reached.len();
    for step in steps {
        if !reached.contains(&step.id) && step.after.iter().any(|source| reached.contains(source)) {
            reached.push(step.id);
        }
    }
    reached[failed..].iter().map(|step| text::name(step)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::{fixture, summary};
    use landfall_engine::Kind;

    fn shown(errors: Vec<(String, StepError)>) -> String {
        let report =
            Report { outcome: Outcome::Failed, found: 1, created: 7, errors, ..summary::tests::report() };
        let mut parts = super::errors(&report, Styler::PLAIN);
        parts.push(next_steps(&report, &fixture::steps(), "landfall up", true));
        parts.join("\n\n")
    }

    #[test]
    fn output_of_a_failed_up() {
        insta::assert_snapshot!(shown(vec![("cluster-ready".into(), fixture::error())]), @"
        error: failed to create cluster aks-istio-gateway-demo
          in: cluster ready
          quota exceeded for Standard DSv5 Family vCPUs in eastus (need 16, limit 10)
          caused by: PUT /subscriptions/…/managedClusters/aks-istio-gateway-demo
                     returned 409 QuotaExceeded
          left behind: nothing
          request id: 7a1c0b7e-0000-4000-8000-000000000001
        hint: set nodes_max = 2 under [cluster] in landfall.toml, or request a quota
              increase: https://aka.ms/quota

        Blocked by it: istio, TLS secret, gateways, DNS.
        8 steps are complete and stay complete. Fix this, then run `landfall up` again.
        ");
    }

    #[test]
    fn an_error_of_several_steps_is_printed_once() {
        let error = StepError::new(Kind::Failed, "open the cluster").cause("connection refused");
        let errors = ["istio", "tls-secret"].map(|step| (step.to_owned(), error.clone()));
        insta::assert_snapshot!(shown(errors.into()), @"
        error: failed to open the cluster
          in: istio, TLS secret
          connection refused
          left behind: unknown; the next run checks it
        hint: run again to resume; -v shows every request

        Blocked by these: gateways, DNS.
        8 steps are complete and stay complete. To resume, run `landfall up` again.
        ");
    }

    #[test]
    fn output_of_an_interrupted_up() {
        let report =
            Report { outcome: Outcome::Interrupted, found: 0, created: 1, ..summary::tests::report() };
        insta::assert_snapshot!(next_steps(&report, &fixture::steps(), "landfall up", true), @"
        1 step is complete and stays complete. Operations in flight continue in the
        cloud. To resume, run `landfall up` again.
        ");
        insta::assert_snapshot!(next_steps(&report, &fixture::steps(), "landfall up", false), @"1 step is complete and stays complete. To resume, run `landfall up` again.");
    }
}
