//! What `down` is about to do, and what it did.

use super::{paint::Paint, words};
use landfall_engine::{Memory, Report, StepInfo, Undone};

/// Returns what will go and what stays; `None` when nothing is ours.
pub fn plan(steps: &[StepInfo], memory: &Memory, purge: bool, paint: Paint) -> Option<String> {
    let ours = |step: &&StepInfo| memory.past(step.id).is_some_and(|past| past.ours);
    let found =
        |step: &&StepInfo| memory.past(step.id).is_some_and(|past| !past.ours && past.output.is_some());
    let going: Vec<&StepInfo> = steps.iter().rev().filter(ours).collect();
    if going.is_empty() {
        return None;
    }
    let widest = going.iter().map(|step| step.id.len()).max().unwrap_or(0);
    let rows: Vec<String> = going
        .iter()
        .map(|step| {
            let name = words::name(step.id);
            let subject = words::subject(&step.title, &name);
            words::cut(&format!("  {name:<widest$}  {subject}"), 80).trim_end().to_owned()
        })
        .collect();
    let mut text = format!("{}\n{}", paint.strong("Will go, as landfall made it:"), rows.join("\n"));
    let vault = match purge {
        true => "With --purge the vault is purged too: nothing in it can be recovered.",
        false => "The vault can be recovered for 90 days; --purge ends that.",
    };
    if going.iter().any(|step| step.id == "key-vault") {
        text.push_str(&format!("\n{vault}"));
    }
    let stays: Vec<String> = steps.iter().filter(found).map(|step| words::name(step.id)).collect();
    if !stays.is_empty() {
        let stays = words::wrap("  ", &stays.join(", "), 80);
        text.push_str(&format!("\n\n{}\n{stays}", paint.strong("Stays, as landfall only found it:")));
    }
    Some(text)
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
    let gone = words::count(report.undone.len() - kept.len(), "thing");
    let first = paint.good(&format!("Gone in {}", words::duration(report.elapsed)));
    let first = format!("{first} · {gone} · {requests} requests");
    if kept.is_empty() { first } else { format!("{first}\n\nKept:\n{}", kept.join("\n")) }
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

        Stays, as landfall only found it:
          preflight, dns
        ");
        assert!(plan(&fixture::steps(), &self::memory(&[], &["preflight"]), false, Paint::PLAIN).is_none());
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
