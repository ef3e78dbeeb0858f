//! The end of a run that did not get there.

use super::{paint::Paint, words};
use crate::failure::Failure;
use landfall_engine::{Outcome, Report, StepError, StepInfo};

/// The widest line.
const COLUMNS: usize = 80;

/// Returns one failed step's error in words.
pub fn step(error: &StepError, paint: Paint) -> String {
    Failure::of_step(error).text(paint)
}

/// Returns what the errors of a run mean for the rest of it; `again` is the command that goes on.
pub fn rest(report: &Report, steps: &[StepInfo], again: &str) -> String {
    let mut lines = Vec::new();
    for (failed, _) in &report.errors {
        let blocked = blocked_by(failed, steps);
        if !blocked.is_empty() {
            let others = if report.errors.len() > 1 { words::name(failed) } else { "it".to_owned() };
            lines.push(words::wrap("", &format!("Blocked by {others}: {}.", blocked.join(", ")), COLUMNS));
        }
    }
    let done = report.found + report.created + report.changed;
    let kept = match done {
        0 => String::new(),
        1 => "1 step is done and stays done. ".to_owned(),
        _ => format!("{done} steps are done and stay done. "),
    };
    let goes_on = match report.outcome {
        Outcome::Interrupted => "What the cloud has begun goes on there. ",
        _ => "",
    };
    lines.push(words::wrap("", &format!("{kept}{goes_on}Run `{again}` again to go on."), COLUMNS));
    lines.join("\n")
}

/// Returns the names of the steps that stand on a step, directly or through others.
fn blocked_by(failed: &str, steps: &[StepInfo]) -> Vec<String> {
    let mut reached = vec![failed];
    for step in steps {
        if step.after.iter().any(|source| reached.contains(source)) {
            reached.push(step.id);
        }
    }
    reached[1..].iter().map(|step| words::name(step)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::{fixture, summary};

    #[test]
    fn the_end_of_an_up_that_failed() {
        let error = fixture::error();
        let report = Report {
            outcome: Outcome::Failed,
            found: 1,
            created: 7,
            failed: 1,
            errors: vec![("cluster-ready".into(), error.clone())],
            ..summary::tests::report()
        };
        let text =
            format!("{}\n\n{}", step(&error, Paint::PLAIN), rest(&report, &fixture::steps(), "landfall up"));
        insta::assert_snapshot!(text, @"
        error: failed to create cluster aks-istio-gateway-demo
          the quota for Standard DSv5 Family vCPUs in eastus allows 10, 16 are needed
          caused by: PUT /subscriptions/…/managedClusters/aks-istio-gateway-demo
                     answered 409 QuotaExceeded
          left behind: nothing
          request id: 7a1c0b7e-0000-4000-8000-000000000001
        hint: set nodes_max = 2 under [cluster] in landfall.toml, or ask for quota:
              https://aka.ms/quota

        Blocked by it: istio, tls secret, gateways, dns.
        8 steps are done and stay done. Run `landfall up` again to go on.
        ");
    }

    #[test]
    fn the_end_of_an_up_that_was_interrupted() {
        let report =
            Report { outcome: Outcome::Interrupted, found: 0, created: 1, ..summary::tests::report() };
        insta::assert_snapshot!(rest(&report, &fixture::steps(), "landfall up"), @"
        1 step is done and stays done. What the cloud has begun goes on there. Run
        `landfall up` again to go on.
        ");
    }
}
