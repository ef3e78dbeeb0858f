//! Output of `doctor`: the root cause first, with its evidence and remedy, and then the rest.

use super::{style::Styler, text};
use landfall_diagnose::doctor::{CheckOutcome, CheckResult, Diagnosis, Finding};
use landfall_engine::Report;
use serde_json::{Value, json};

/// The maximum number of listed consequences; further ones are only counted.
const SYMPTOMS_MAX: usize = 6;

/// A diagnosis, and the context for its output.
pub struct DiagnosisView<'a> {
    /// The diagnosis.
    pub diagnosis: &'a Diagnosis,
    /// The environment's name.
    pub environment: &'a str,
    /// The target, as display text.
    pub text: &'a str,
    /// The command line of landfall.
    pub program: &'a str,
}

/// Returns the text.
pub fn text(shown: &DiagnosisView<'_>, style: Styler) -> String {
    let Diagnosis { findings, symptoms, failed_reads, .. } = shown.diagnosis;
    let heading = style.strong(&format!("landfall doctor · {} · {}", shown.environment, shown.text));
    let mut parts = vec![heading];
    match findings.split_first() {
        Some((root, others)) => {
            parts.push(text::wrap(&format!("{} ", style.bad("✗")), &sentence(&root.cause), text::COLUMNS));
            parts.push(rows(root, shown.program));
            parts.extend(further_findings(others, symptoms, shown.program));
        }
        None => parts.push(no_findings(shown.diagnosis, style)),
    }
    parts.extend(
        (!failed_reads.is_empty())
            .then(|| bullets("Could not read:", failed_reads.iter().map(|why| stripped(why)))),
    );
    parts.join("\n\n")
}

fn rows(finding: &Finding, program: &str) -> String {
    let label = |word: &str| format!("  {word:<10}");
    let mut rows = vec![format!("{}{}", label("code"), finding.code)];
    for (at, item) in finding.evidence.iter().enumerate() {
        rows.push(text::wrap(&label(if at == 0 { "evidence" } else { "" }), item, text::COLUMNS));
    }
    rows.push(text::wrap(&label("fix"), &with_program(&finding.remedy, program), text::COLUMNS));
    rows.join("\n")
}

/// Formats the other findings, and the consequences of all of them.
fn further_findings(others: &[Finding], symptoms: &[String], program: &str) -> Option<String> {
    let other = others
        .iter()
        .map(|one| format!("{} ({}): {}", one.cause, one.code, with_program(&one.remedy, program)));
    let more = symptoms.len().saturating_sub(SYMPTOMS_MAX);
    let more = (more > 0).then(|| format!("and {} like these", text::count(more, "more sign")));
    let all: Vec<String> = symptoms.iter().take(SYMPTOMS_MAX).cloned().chain(more).chain(other).collect();
    (!all.is_empty()).then(|| bullets("Also seen:", all.into_iter()))
}

fn bullets(title: &str, lines: impl Iterator<Item = String>) -> String {
    let lines = lines.map(|line| text::wrap("  · ", &line, text::COLUMNS));
    std::iter::once(title.to_owned()).chain(lines).collect::<Vec<_>>().join("\n")
}

fn no_findings(diagnosis: &Diagnosis, style: Styler) -> String {
    let read_counts: Vec<String> =
        diagnosis.read_counts.iter().map(|(count, noun)| plural(*count, noun)).collect();
    let not_run: Vec<String> = diagnosis.not_run().map(|outcome| outcome.check.to_owned()).collect();
    let (mark, seen) = match diagnosis.is_clean() {
        true => (style.good("✓"), format!("no problem found: {} checked.", text::list(&read_counts))),
        false if not_run.is_empty() => {
            (style.warn("!"), "no problem found, but not everything could be read.".to_owned())
        }
        false => {
            let count = format!("{} of {} checks", not_run.len(), diagnosis.checks.len());
            let seen = format!("no problem found, but {count} could not run: {}.", text::list(&not_run));
            (style.warn("!"), seen)
        }
    };
    let mut lines = vec![text::wrap(&format!("{mark} "), &seen, text::COLUMNS)];
    if !diagnosis.symptoms.is_empty() {
        lines.push(bullets("Notes:", diagnosis.symptoms.iter().cloned()));
    }
    lines.join("\n\n")
}

fn plural(count: usize, noun: &str) -> String {
    match (count, noun.split_once(' ')) {
        (1, _) | (_, None) => text::count(count, noun),
        // Only the first word has a plural: "8 requests from outside".
        (_, Some(("request", rest))) => format!("{} {rest}", text::count(count, "request")),
        (_, Some(_)) => text::count(count, noun),
    }
}

fn sentence(fragment: &str) -> String {
    let mut letters = fragment.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

/// Removes the part of an error that repeats the title.
fn stripped(why: &str) -> String {
    why.strip_prefix("could not read ").unwrap_or(why).to_owned()
}

/// Inserts the command line of landfall for this environment.
fn with_program(remedy: &str, program: &str) -> String {
    ["up", "rotate"].iter().fold(remedy.to_owned(), |remedy, command| {
        remedy.replace(&format!("landfall {command}"), &format!("{program} {command}"))
    })
}

/// Returns the JSON document; the root cause is first, and marked.
pub fn document(shown: &DiagnosisView<'_>, cloud: &str) -> Value {
    let Diagnosis { findings, symptoms, failed_reads, read_counts, .. } = shown.diagnosis;
    let findings: Vec<Value> = findings
        .iter()
        .enumerate()
        .map(|(at, one)| {
            json!({
                "code": one.code, "root": at == 0, "cause": one.cause, "evidence": one.evidence,
                "mend": with_program(&one.remedy, shown.program),
            })
        })
        .collect();
    let read_counts: Vec<Value> =
        read_counts.iter().map(|(count, noun)| json!({ "what": noun, "count": count })).collect();
    json!({
        "environment": shown.environment, "cloud": cloud, "findings": findings, "symptoms": symptoms,
        "checks": shown.diagnosis.checks.iter().map(check).collect::<Vec<_>>(),
        "unseen": failed_reads, "looked": read_counts,
    })
}

fn check(outcome: &CheckOutcome) -> Value {
    let (result, because) = match &outcome.result {
        CheckResult::Ok => ("ok", None),
        CheckResult::Problem => ("problem", None),
        CheckResult::NotRun(because) => ("could-not-run", Some(because)),
    };
    json!({ "check": outcome.check, "result": result, "because": because })
}

/// Returns the text after a failed run, if the diagnosis adds information to its errors.
pub fn root_cause_note(diagnosis: &Diagnosis, report: &Report, program: &str) -> Option<String> {
    let root = diagnosis.root().filter(|_| !diagnosis.not_created)?;
    let is_known = report.errors.iter().any(|(_, error)| {
        let same = |text: &String| text.contains(&root.cause) || root.evidence.contains(text);
        error.code.as_deref() == Some(root.code) || error.causes.iter().any(same)
    });
    (!is_known).then(|| {
        let cause = text::wrap("Root cause: ", &format!("{}.", root.cause), text::COLUMNS);
        format!("{cause}\n{}", rows(root, program))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::summary;
    use landfall_engine::{Kind, Outcome, StepError};

    fn finding(code: &'static str, cause: &str) -> Finding {
        let mut finding = Finding::new(code, cause, "landfall up: it grants Key Vault Secrets User");
        finding.evidence = vec![
            "event FailedMount of pod tls-secret-sync-7c9d, 6 times: GET https://kv.vault.azure.net/secrets/tls/ returned 403 ForbiddenByRbac".into(),
            "role assignments of the add-on's identity at kv: 0".into(),
        ];
        finding
    }

    fn shown(diagnosis: &Diagnosis) -> DiagnosisView<'_> {
        DiagnosisView {
            diagnosis,
            environment: "default",
            text: "simulated cloud",
            program: "landfall --state-dir x",
        }
    }

    #[test]
    fn the_root_cause_is_first_with_evidence_and_fix() {
        let diagnosis = Diagnosis {
            findings: vec![
                finding("VAULT_ACCESS_MISSING", "the add-on's identity may not read kv"),
                Finding::new("ROTATION_OFF", "rotation is disabled", "landfall up"),
            ],
            symptoms: vec![
                "gateway echo-gateway serves no HTTPS: Secret gateway-tls-secret is missing".into(),
            ],
            failed_reads: vec!["could not read the region's limits: 503".into()],
            ..Diagnosis::default()
        };
        insta::assert_snapshot!(text(&shown(&diagnosis), Styler::PLAIN));
        let document = document(&shown(&diagnosis), "sim");
        assert_eq!(document["findings"][0]["root"], true);
        assert_eq!(document["findings"][1]["mend"], "landfall --state-dir x up");
    }

    #[test]
    fn without_findings_it_lists_what_was_checked() {
        let read_counts = vec![(2, "gateway"), (6, "route"), (8, "request from outside")];
        let diagnosis = Diagnosis { read_counts, ..Diagnosis::default() };
        insta::assert_snapshot!(text(&shown(&diagnosis), Styler::PLAIN));
    }

    #[test]
    fn a_check_that_could_not_run_is_never_good() {
        let why = "could not read nodes: 403 Forbidden: nodes is forbidden".to_owned();
        let outcome = |check, result| CheckOutcome { check, result };
        let diagnosis = Diagnosis {
            checks: vec![
                outcome("cluster", CheckResult::Ok),
                outcome("nodes", CheckResult::NotRun(why.clone())),
            ],
            failed_reads: vec![why],
            read_counts: vec![(2, "gateway")],
            ..Diagnosis::default()
        };
        let text = text(&shown(&diagnosis), Styler::PLAIN);
        assert!(!text.contains('✓') && !diagnosis.is_clean(), "{text}");
        insta::assert_snapshot!(text);
        let document = document(&shown(&diagnosis), "sim");
        assert_eq!(document["checks"][1]["result"], "could-not-run");
    }

    #[test]
    fn a_failed_run_reports_the_root_cause_unless_its_error_contains_it() {
        let cause = "the add-on's identity may not read kv";
        let diagnosis =
            Diagnosis { findings: vec![finding("VAULT_ACCESS_MISSING", cause)], ..Diagnosis::default() };
        let report = |error: StepError| Report {
            outcome: Outcome::Failed,
            errors: vec![("gateways".to_owned(), error)],
            ..summary::tests::report()
        };
        let late = report(StepError::new(Kind::TimedOut, "wait for every listener"));
        assert!(root_cause_note(&diagnosis, &late, "landfall").unwrap().contains(cause));
        let known = report(StepError::new(Kind::Failed, "sync the certificate").code("VAULT_ACCESS_MISSING"));
        assert_eq!(root_cause_note(&diagnosis, &known, "landfall"), None);
        let not_created = Diagnosis { not_created: true, ..diagnosis };
        assert_eq!(root_cause_note(&not_created, &late, "landfall"), None);
    }
}
