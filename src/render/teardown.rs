//! Output of `down`.

use super::{style::Styler, teardown_preview::unknown_step, text};
use landfall_engine::{Report, UndoOutcome};

/// Returns the results; `again` is the command line for another run.
pub fn text(report: &Report, requests: u64, again: &str, style: Styler) -> String {
    let kept: Vec<String> = report
        .undone
        .iter()
        .filter_map(|(step, undone)| match undone {
            UndoOutcome::Kept { why } => Some(text::wrap("  ", &format!("{}: {why}", text::name(step)), 80)),
            _ => None,
        })
        .collect();
    let steps = |wanted: fn(&UndoOutcome) -> bool| -> Vec<String> {
        report.undone.iter().filter(|(_, undone)| wanted(undone)).map(|(step, _)| text::name(step)).collect()
    };
    let deleted = steps(UndoOutcome::is_deleted);
    let in_progress = steps(|undone| *undone == UndoOutcome::InProgress);
    let first = match deleted.len() {
        0 => "Nothing was deleted.".to_owned(),
        deleted => {
            let took = style.good(&format!("Deleted in {}", text::duration(report.elapsed)));
            format!("{took} · {} · {requests} requests", text::count(deleted, "step"))
        }
    };
    let mut parts = vec![first];
    if !deleted.is_empty() {
        parts.push(text::wrap("Deleted: ", &format!("{}.", text::list(&deleted)), 80));
    }
    if !in_progress.is_empty() {
        let mut deleting = text::wrap("Being deleted: ", &format!("{}.", text::list(&in_progress)), 80);
        let waiting: Vec<String> = report.waiting.iter().map(|step| text::name(step)).collect();
        if !waiting.is_empty() {
            deleting.push('\n');
            deleting.push_str(&text::wrap("After that: ", &format!("{}.", text::list(&waiting)), 80));
        }
        parts.push(format!("{}\nTo wait until it is deleted, run {again} again.", style.warn(&deleting)));
    }
    if !kept.is_empty() {
        parts.push(format!("Kept:\n{}", kept.join("\n")));
    }
    let left = report.left_behind.iter();
    let left: Vec<String> = left
        .map(|left| unknown_step(&left.step, left.output.as_ref().or(left.planned_name.as_ref())))
        .collect();
    if !left.is_empty() {
        let heading = style.warn("Left behind, because this version of landfall has no such step:");
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
    fn resources_of_unknown_steps_are_listed() {
        let left = landfall_engine::LeftBehind {
            step: "old-thing".into(),
            output: Some(serde_json::json!({ "id": "/old/7" })),
            planned_name: None,
        };
        let report = Report { left_behind: vec![left], ..summary::tests::report() };
        insta::assert_snapshot!(text(&report, 3, "landfall down", Styler::PLAIN), @r#"
        Nothing was deleted.

        Left behind, because this version of landfall has no such step:
          old thing: {"id":"/old/7"}
        Delete them with the landfall that created them; the journal keeps them.
        "#);
    }

    #[test]
    fn pending_deletions_are_listed_with_their_dependents() {
        let report = Report {
            undone: vec![("dns".into(), UndoOutcome::Deleted), ("cluster".into(), UndoOutcome::InProgress)],
            waiting: vec!["network".into(), "resource-group".into()],
            ..summary::tests::report()
        };
        insta::assert_snapshot!(text(&report, 12, "landfall down", Styler::PLAIN), @"
        Deleted in 6.9 s · 1 step · 12 requests

        Deleted: DNS.

        Being deleted: cluster.
        After that: network and resource group.
        To wait until it is deleted, run landfall down again.
        ");
    }

    #[test]
    fn output_of_a_completed_down() {
        let report = Report {
            outcome: Outcome::Ready,
            undone: vec![
                ("gateways".into(), UndoOutcome::DeletedWithParent),
                (
                    "resource-group".into(),
                    UndoOutcome::Kept { why: "it holds vm-jump, which landfall did not make".into() },
                ),
            ],
            ..summary::tests::report()
        };
        insta::assert_snapshot!(text(&report, 12, "landfall down", Styler::PLAIN), @"
        Deleted in 6.9 s · 1 step · 12 requests

        Deleted: gateways.

        Kept:
          resource group: it holds vm-jump, which landfall did not make
        ");
    }
}
