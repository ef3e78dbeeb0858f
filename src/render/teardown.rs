//! Output of `down`.

use super::{going::stranger, paint::Paint, words};
use landfall_engine::{Report, Undone};

/// Returns the results; `again` is the command line for another run.
pub fn text(report: &Report, requests: u64, again: &str, paint: Paint) -> String {
    let kept: Vec<String> = report
        .undone
        .iter()
        .filter_map(|(step, undone)| match undone {
            Undone::Kept { why } => Some(words::wrap("  ", &format!("{}: {why}", words::name(step)), 80)),
            _ => None,
        })
        .collect();
    let steps = |wanted: fn(&Undone) -> bool| -> Vec<String> {
        report.undone.iter().filter(|(_, undone)| wanted(undone)).map(|(step, _)| words::name(step)).collect()
    };
    let gone = steps(Undone::is_gone);
    let underway = steps(|undone| *undone == Undone::Underway);
    let first = match gone.len() {
        0 => "Nothing was deleted.".to_owned(),
        gone => {
            let took = paint.good(&format!("Deleted in {}", words::duration(report.elapsed)));
            format!("{took} · {} · {requests} requests", words::count(gone, "step"))
        }
    };
    let mut parts = vec![first];
    if !gone.is_empty() {
        parts.push(words::wrap("Deleted: ", &format!("{}.", words::list(&gone)), 80));
    }
    if !underway.is_empty() {
        let mut going = words::wrap("Being deleted: ", &format!("{}.", words::list(&underway)), 80);
        let waiting: Vec<String> = report.waiting.iter().map(|step| words::name(step)).collect();
        if !waiting.is_empty() {
            going.push('\n');
            going.push_str(&words::wrap("After that: ", &format!("{}.", words::list(&waiting)), 80));
        }
        parts.push(format!("{}\nTo wait until it is deleted, run {again} again.", paint.warn(&going)));
    }
    if !kept.is_empty() {
        parts.push(format!("Kept:\n{}", kept.join("\n")));
    }
    let left = report.left_behind.iter();
    let left: Vec<String> =
        left.map(|left| stranger(&left.step, left.output.as_ref().or(left.named.as_ref()))).collect();
    if !left.is_empty() {
        let heading = paint.warn("Left behind, because this version of landfall has no such step:");
        let next = "Delete them with the landfall that created them; the journal keeps them.";
        parts.push(format!("{heading}\n{}\n{next}", left.join("\n")));
    }
    parts.join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::summary;
    use landfall_engine::Outcome;

    #[test]
    fn what_this_version_has_no_step_for_is_told() {
        let left = landfall_engine::LeftBehind {
            step: "old-thing".into(),
            output: Some(serde_json::json!({ "id": "/old/7" })),
            named: None,
        };
        let report = Report { left_behind: vec![left], ..summary::tests::report() };
        insta::assert_snapshot!(text(&report, 3, "landfall down", Paint::PLAIN), @r#"
        Nothing was deleted.

        Left behind, because this version of landfall has no such step:
          old thing: {"id":"/old/7"}
        Delete them with the landfall that created them; the journal keeps them.
        "#);
    }

    #[test]
    fn what_still_goes_is_told_with_what_waits_for_it() {
        let report = Report {
            undone: vec![("dns".into(), Undone::Deleted), ("cluster".into(), Undone::Underway)],
            waiting: vec!["network".into(), "resource-group".into()],
            ..summary::tests::report()
        };
        insta::assert_snapshot!(text(&report, 12, "landfall down", Paint::PLAIN), @"
        Deleted in 6.9 s · 1 step · 12 requests

        Deleted: DNS.

        Being deleted: cluster.
        After that: network and resource group.
        To wait until it is deleted, run landfall down again.
        ");
    }

    #[test]
    fn what_was_done() {
        let report = Report {
            outcome: Outcome::Ready,
            undone: vec![
                ("gateways".into(), Undone::GoesWithParent),
                (
                    "resource-group".into(),
                    Undone::Kept { why: "it holds vm-jump, which landfall did not make".into() },
                ),
            ],
            ..summary::tests::report()
        };
        insta::assert_snapshot!(text(&report, 12, "landfall down", Paint::PLAIN), @"
        Deleted in 6.9 s · 1 step · 12 requests

        Deleted: gateways.

        Kept:
          resource group: it holds vm-jump, which landfall did not make
        ");
    }
}
