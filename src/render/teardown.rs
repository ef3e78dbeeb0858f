//! What `down` is about to do, and what it did.

use super::{paint::Paint, words};
use landfall_engine::{Memory, Report, StepInfo, Undone};
use serde_json::Value;

/// Returns what will go and what stays; `None` when nothing is ours.
pub fn plan(steps: &[StepInfo], memory: &Memory, purge: bool, paint: Paint) -> Option<String> {
    let ours = |step: &StepInfo| memory.past(step.id).is_some_and(|past| past.ours);
    let going: Vec<&StepInfo> = steps.iter().rev().filter(|step| ours(step)).collect();
    let strangers = strangers(steps, memory);
    if going.is_empty() && strangers.is_empty() {
        return None;
    }
    let mut text = match going.is_empty() {
        true => "Nothing will go.".to_owned(),
        false => format!("{}\n{}", paint.strong("Will go, as landfall made it:"), rows(&going)),
    };
    let vault = match purge {
        true => "With --purge the vault is purged too: nothing in it can be recovered.",
        false => "The vault can be recovered for 90 days; --purge ends that.",
    };
    if going.iter().any(|step| step.id == "key-vault") {
        text.push_str(&format!("\n{vault}"));
    }
    let stays = staying(steps, memory);
    if !stays.is_empty() {
        let heading = paint.strong("Stays, as landfall only found it:");
        text.push_str(&format!("\n\n{heading}\n{}", rows(&stays)));
    }
    if !strangers.is_empty() {
        let heading = paint.warn("Stays, though landfall made it: this version has no such step");
        text.push_str(&format!("\n\n{heading}\n{}", strangers.join("\n")));
    }
    Some(text)
}

/// Returns what is ours and no step of this version knows.
pub fn strangers(steps: &[StepInfo], memory: &Memory) -> Vec<String> {
    let known = |id: &str| steps.iter().any(|step| step.id == id);
    let ours = memory.0.iter().filter(|(step, past)| past.ours && !known(step));
    ours.map(|(step, past)| stranger(step, past.output.as_ref().or(past.named.as_ref()))).collect()
}

/// Returns the step and what is remembered of its thing, as it stands in the journal.
fn stranger(step: &str, told: Option<&Value>) -> String {
    let told = told.map_or("nothing more is remembered of it".to_owned(), Value::to_string);
    words::wrap("  ", &format!("{}: {told}", words::name(step)), 80)
}

/// Returns what was found and stands on nothing of ours: what stands on something of ours goes with it.
fn staying<'a>(steps: &'a [StepInfo], memory: &Memory) -> Vec<&'a StepInfo> {
    let mut ours: Vec<&str> = Vec::new();
    let mut stays = Vec::new();
    for step in steps {
        let Some(past) = memory.past(step.id) else { continue };
        if past.ours || step.after.iter().any(|source| ours.contains(source)) {
            ours.push(step.id);
        } else if past.output.is_some() && !step.after.is_empty() {
            // What comes before everything else is a look around and no thing that could stay.
            stays.push(step);
        }
    }
    stays
}

fn rows(steps: &[&StepInfo]) -> String {
    let widest = steps.iter().map(|step| step.id.len()).max().unwrap_or(0);
    let row = |step: &&StepInfo| {
        let name = words::name(step.id);
        let subject = words::subject(&step.title, &name);
        words::cut(&format!("  {name:<widest$}  {subject}"), 80).trim_end().to_owned()
    };
    steps.iter().map(row).collect::<Vec<_>>().join("\n")
}

/// Returns what was done.
pub fn text(report: &Report, requests: u64, paint: Paint) -> String {
    let kept: Vec<String> = report
        .undone
        .iter()
        .filter_map(|(step, undone)| match undone {
            Undone::Kept { why } => Some(words::wrap("  ", &format!("{}: {why}", words::name(step)), 80)),
            _ => None,
        })
        .collect();
    let first = match report.undone.len() - kept.len() {
        0 => "Nothing was taken away.".to_owned(),
        gone => {
            let took = paint.good(&format!("Gone in {}", words::duration(report.elapsed)));
            format!("{took} · {} · {requests} requests", words::count(gone, "thing"))
        }
    };
    let mut parts = vec![first];
    if !kept.is_empty() {
        parts.push(format!("Kept:\n{}", kept.join("\n")));
    }
    let left = report.left_behind.iter();
    let left: Vec<String> =
        left.map(|left| stranger(&left.step, left.output.as_ref().or(left.named.as_ref()))).collect();
    if !left.is_empty() {
        let heading = paint.warn("Left behind, because this version of landfall has no such step:");
        let next = "Take them down with the landfall that made them; the journal keeps them.";
        parts.push(format!("{heading}\n{}\n{next}", left.join("\n")));
    }
    parts.join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::{fixture, summary};
    use landfall_engine::{Outcome, Past};

    fn memory(ours: &[&str], found: &[&str]) -> Memory {
        let mut memory = Memory::default();
        for step in ours.iter().chain(found) {
            let mut past = Past::default();
            past.ours = ours.contains(step);
            past.output = Some(serde_json::Value::Null);
            memory.0.insert((*step).to_owned(), past);
        }
        memory
    }

    #[test]
    fn what_will_go_and_what_stays() {
        let memory =
            memory(&["resource-group", "key-vault", "certificate", "gateways"], &["preflight", "dns"]);
        let shown = plan(&fixture::steps(), &memory, false, Paint::PLAIN).unwrap();
        insta::assert_snapshot!(shown, @"
        Will go, as landfall made it:
          gateways        2 gateways and 6 routes
          certificate     gateway-tls-cert
          key vault       kv-aks-istio-6743 in eastus
          resource group  rg-aks-istio-gateway-demo
        The vault can be recovered for 90 days; --purge ends that.
        ");
        assert!(plan(&fixture::steps(), &self::memory(&[], &["preflight"]), false, Paint::PLAIN).is_none());
    }

    #[test]
    fn what_this_version_has_no_step_for_is_told_before_and_after() {
        let mut memory = memory(&["old-thing"], &[]);
        memory.0.get_mut("old-thing").unwrap().output = Some(serde_json::json!({ "id": "/old/7" }));
        insta::assert_snapshot!(plan(&fixture::steps(), &memory, false, Paint::PLAIN).unwrap(), @r#"
        Nothing will go.

        Stays, though landfall made it: this version has no such step
          old thing: {"id":"/old/7"}
        "#);
        let left = landfall_engine::LeftBehind {
            step: "old-thing".into(),
            output: Some(serde_json::json!({ "id": "/old/7" })),
            named: None,
        };
        let report = Report { left_behind: vec![left], ..summary::tests::report() };
        insta::assert_snapshot!(text(&report, 3, Paint::PLAIN), @r#"
        Nothing was taken away.

        Left behind, because this version of landfall has no such step:
          old thing: {"id":"/old/7"}
        Take them down with the landfall that made them; the journal keeps them.
        "#);
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
        insta::assert_snapshot!(text(&report, 12, Paint::PLAIN), @"
        Gone in 6.9 s · 1 thing · 12 requests

        Kept:
          resource group: it holds vm-jump, which landfall did not make
        ");
    }
}
