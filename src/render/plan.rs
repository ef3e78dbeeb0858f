//! Output of `plan`: a text page and a JSON document.

use super::{expiry, style::Styler, text};
use crate::failure;
use jiff::Timestamp;
use landfall_engine::{Action, Change, Plan, Planned, TimeScale};
use landfall_steps::{CertificateSummary, expiry::days_left};
use serde_json::{Value, json};

/// The column of a step's detail.
const DETAIL: usize = 20;
/// The column of its fields.
const FIELD: usize = 22;

/// The content of a plan's output.
pub struct PlanView<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The environment's name.
    pub environment: &'a str,
    /// The target, as display text.
    pub text: &'a str,
    /// The command line of landfall.
    pub program: &'a str,
    /// The flags of `up` that perform this plan, each after a space.
    pub flags: &'a str,
    /// The time scale of the cloud.
    pub time_scale: TimeScale,
    /// The number of requests for the plan.
    pub requests: u64,
    /// The certificate from the journal.
    pub certificate: Option<&'a CertificateSummary>,
    /// The time at which its expiry is evaluated.
    pub now: Timestamp,
}

/// Returns the JSON document.
pub fn document(shown: &PlanView<'_>, cloud: &str) -> Value {
    let step = |step: &Planned| {
        let mut object = json!({
            "step": step.step,
            "title": step.title,
            "action": action(step.action),
            "changes": step.changes,
            "after": step.after,
            "ours": step.owned,
        });
        let mut add = |key: &str, value: Value| {
            if !value.is_null() {
                object[key] = value;
            }
        };
        if let Action::Blocked { by } = step.action {
            add("blocked_by", json!(by));
        }
        add("why", json!(step.why));
        if !step.notes.is_empty() {
            add("notes", json!(step.notes));
        }
        if let Some(error) = &step.error {
            add(
                "error",
                json!({
                    "code": error.code, "message": error.message, "causes": error.causes,
                    "hint": failure::hint(error), "request_id": error.request_id,
                }),
            );
        }
        object
    };
    json!({
        "environment": shown.environment,
        "cloud": cloud,
        "steps": shown.plan.steps.iter().map(step).collect::<Vec<_>>(),
        "estimate_ms": u64::try_from(shown.time_scale.real(shown.plan.estimate).as_millis()).unwrap_or(u64::MAX),
        "requests": shown.requests,
        "certificate": shown.certificate.map(|certificate| json!({
            "not_after": certificate.not_after.to_string(),
            "expires_in_days": days_left(certificate.not_after, shown.now),
        })),
    })
}

fn action(action: Action) -> &'static str {
    match action {
        Action::Ok => "ok",
        Action::Create => "create",
        Action::Change => "change",
        Action::Wait => "wait",
        Action::Refuse => "refuse",
        Action::Blocked { .. } => "blocked",
        Action::Disabled => "disabled",
        Action::Delete => "delete",
    }
}

/// Returns the text page.
pub fn text(shown: &PlanView<'_>, style: Styler) -> String {
    let heading = format!("landfall plan · {} · {}", shown.environment, shown.text);
    let mut rows = Vec::new();
    let (done, open): (Vec<&Planned>, Vec<&Planned>) =
        shown.plan.steps.iter().partition(|step| step.action == Action::Ok);
    if !done.is_empty() {
        let names: Vec<String> = done.iter().map(|step| text::name(step.step)).collect();
        rows.push(text::wrap(&format!(" {} ", style.dim("=")), &names.join(", "), text::COLUMNS));
    }
    let notes = |step: &&Planned| {
        let (name, notes) = (text::name(step.step), step.notes.iter());
        notes
            .map(move |note| text::wrap("   ", &format!("{name}: {note}"), text::COLUMNS))
            .collect::<Vec<_>>()
    };
    rows.extend(done.iter().flat_map(notes));
    rows.extend(open.iter().map(|step| row(step, style)));
    let warning = expiry::warning(shown.certificate, shown.program, shown.now, style);
    let warning = warning.map(|warning| format!("{warning}\n\n")).unwrap_or_default();
    format!("{}\n\n{}\n\n{warning}{}", style.strong(&heading), rows.join("\n"), footer(shown, style))
}

fn row(step: &Planned, style: Styler) -> String {
    let name = text::name(step.step);
    let glyph = match step.action {
        Action::Ok => style.dim("="),
        Action::Create => style.good("+"),
        Action::Change => style.warn("~"),
        Action::Wait | Action::Blocked { .. } | Action::Disabled => style.dim("·"),
        Action::Delete => style.warn("-"),
        Action::Refuse => style.bad("!"),
    };
    let first = text::pad(&format!(" {glyph} {name}"), DETAIL);
    let mut lines = vec![text::wrap(&first, &description(step, &name), text::COLUMNS)];
    let indent = " ".repeat(DETAIL);
    if let Some(error) = &step.error {
        lines.extend(error.causes.iter().map(|cause| text::wrap(&indent, cause, text::COLUMNS)));
        lines.push(text::wrap(&format!("{indent}hint: "), &failure::hint(error), text::COLUMNS));
    }
    lines.extend(changes(&step.changes));
    lines.extend(step.notes.iter().map(|note| text::wrap(&indent, note, text::COLUMNS)));
    lines.join("\n")
}

/// Returns the text beside a step's name.
fn description(step: &Planned, name: &str) -> String {
    let subject = text::subject(&step.title, name);
    let after = || {
        let names: Vec<String> = step.after.iter().map(|step| text::name(step)).collect();
        text::list(&names)
    };
    match (step.action, &step.why) {
        (Action::Refuse, Some(why)) => why.clone(),
        (Action::Refuse, None) => {
            step.error.as_ref().map_or_else(String::new, |error| format!("failed to {}", error.message))
        }
        (Action::Blocked { by }, _) => format!("blocked by {}", text::name(by)),
        (Action::Wait, Some(why)) => format!("{subject}: {why}"),
        (Action::Wait, None) if step.after.is_empty() => format!("{subject}: in progress"),
        (Action::Wait, None) => format!("checked after {}", after()),
        (Action::Disabled, _) => format!("{subject}: switched off, and created earlier; down deletes it"),
        (Action::Delete, _) => format!("{subject}: no longer needed; deleted after {}", after()),
        (Action::Change, Some(why)) => format!("{subject}, to repair: {why}"),
        _ => subject.to_owned(),
    }
}

/// Formats the changed fields; those of one object follow its name.
fn changes(changes: &[Change]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut under = "";
    for change in changes {
        let (object, field) = change.field.split_once(": ").unwrap_or(("", &change.field));
        if object != under && !object.is_empty() {
            lines.push(text::cut(&format!("{}{object}", " ".repeat(DETAIL)), text::COLUMNS));
        }
        under = object;
        let (is, wanted) = (value(&change.is, "none"), value(&change.wanted, "gone"));
        let indent = " ".repeat(FIELD);
        let whole = format!("{indent}{}  {is} → {wanted}", text::pad(field, 12));
        if text::width(&whole) <= text::COLUMNS {
            lines.push(whole);
            continue;
        }
        lines.push(format!("{indent}{field}"));
        let both = format!("{indent}  {is} → {wanted}");
        match text::width(&both) <= text::COLUMNS {
            true => lines.push(both),
            false => {
                lines.push(format!("{indent}    {}", shortened(&is)));
                lines.push(format!("{indent}  → {}", shortened(&wanted)));
            }
        }
    }
    lines
}

/// Formats a value on a line of its own. A long value loses its middle, because both ends distinguish values.
fn shortened(value: &str) -> String {
    let room = text::COLUMNS - FIELD - 4;
    let letters: Vec<char> =
        value.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    match letters.len() <= room {
        true => letters.into_iter().collect(),
        false => {
            let (head, tail) = (room / 2, room - room / 2 - 1);
            letters[..head].iter().chain(&['…']).chain(&letters[letters.len() - tail..]).collect()
        }
    }
}

fn value(value: &Value, absent: &str) -> String {
    match value {
        Value::Null => absent.to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.len() == 1 => self::value(&items[0], absent),
        other => other.to_string(),
    }
}

fn footer(shown: &PlanView<'_>, style: Styler) -> String {
    let steps = &shown.plan.steps;
    if shown.plan.is_empty() {
        let enabled = steps.iter().filter(|step| step.action != Action::Disabled).count();
        let all = text::count(enabled, "step");
        return format!("{} {all}, in sync.", style.good("No changes:"));
    }
    let number = |is: fn(Action) -> bool| steps.iter().filter(|step| is(step.action)).count();
    let counted = [
        (number(|action| action == Action::Create), "to create"),
        (number(|action| action == Action::Change), "to update"),
        (number(|action| action == Action::Delete), "to delete"),
        (number(|action| action == Action::Wait), "to wait for"),
        (number(|action| action == Action::Ok), "in sync"),
        (number(|action| action == Action::Refuse), "refused"),
        (number(|action| matches!(action, Action::Blocked { .. })), "blocked"),
        (number(|action| action == Action::Disabled), "switched off"),
    ];
    let counted: Vec<String> = counted
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| format!("{number} {what}"))
        .collect();
    let time = shown.time_scale.real(shown.plan.estimate);
    let about = match time.is_zero() {
        true => String::new(),
        false => format!(" About {}.", text::roughly(time)),
    };
    format!("{}.{about}\nApply: {} up{}", counted.join(", "), shown.program, shown.flags)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::summary;
    use landfall_engine::{Kind, StepError};
    use std::time::Duration;

    fn planned(step: &'static str, title: &str, action: Action) -> Planned {
        Planned {
            step,
            title: title.into(),
            action,
            changes: Vec::new(),
            why: None,
            error: None,
            notes: Vec::new(),
            after: Vec::new(),
            owned: true,
        }
    }

    fn shown(steps: Vec<Planned>) -> String {
        shown_at("2026-11-23T12:00:00Z", steps)
    }

    fn shown_at(now: &str, steps: Vec<Planned>) -> String {
        let certificate = summary::tests::facts().certificate.unwrap();
        let estimate = Duration::from_secs(160);
        let plan = Plan { steps, estimate, elapsed: Duration::ZERO };
        let text = "Azure subscription Contoso Dev (…0f3a)";
        let page = PlanView {
            plan: &plan,
            environment: "default",
            text,
            program: "landfall",
            flags: "",
            time_scale: TimeScale::REAL,
            requests: 26,
            certificate: Some(&certificate),
            now: now.parse().unwrap(),
        };
        super::text(&page, Styler::PLAIN)
    }

    fn change(field: &str, is: Value, wanted: Value) -> Change {
        Change { field: field.into(), is, wanted }
    }

    #[test]
    fn a_plan_with_every_kind_of_action() {
        let ok = ["preflight", "features", "resource-group", "network", "key-vault", "vault-officer"];
        let mut steps: Vec<Planned> = ok.map(|step| planned(step, step, Action::Ok)).into();
        steps.push(Planned {
            changes: vec![change(
                "thumbprint",
                json!("5e3a0123456789abcdef0123456789abcdef9a10"),
                json!("0b"),
            )],
            ..planned("certificate", "certificate gateway-tls-cert", Action::Change)
        });
        steps.push(Planned {
            changes: vec![change("agentPoolProfiles.nodepool1.maxCount", json!(3), json!(5))],
            ..planned("cluster", "cluster aks-istio-gateway-demo", Action::Change)
        });
        steps.push(planned("istio", "gateway class approuting-istio", Action::Create));
        steps.push(Planned {
            changes: vec![
                change("HTTPRoute echo-canary: spec.rules.0.backendRefs.0.weight", json!(90), json!(50)),
                change("HTTPRoute echo-canary: spec.rules.0.backendRefs.1.weight", json!(10), json!(50)),
                change("HTTPRoute echo-old", json!("landfall's"), Value::Null),
            ],
            after: vec!["istio"],
            ..planned("gateways", "2 Gateways, 6 HTTPRoutes", Action::Change)
        });
        let error = StepError::new(Kind::Foreign, "publish echo.demo.example.com")
            .cause("it belongs to someone else (10.1.2.3, without our mark)")
            .hint("delete the record, or choose another domain");
        steps.push(Planned { error: Some(error), ..planned("dns", "names", Action::Refuse) });
        insta::assert_snapshot!(shown(steps));
    }

    #[test]
    fn nothing_to_do() {
        let steps = ["preflight", "features", "gateways"].map(|step| planned(step, step, Action::Ok));
        insta::assert_snapshot!(shown(steps.into()), @"
        landfall plan · default · Azure subscription Contoso Dev (…0f3a)

         = preflight, features, gateways

        No changes: 3 steps, in sync.
        ");
    }

    #[test]
    fn a_step_that_was_switched_off_is_left_to_down() {
        let mut steps: Vec<Planned> = vec![planned("features", "features", Action::Ok)];
        steps.push(planned("log-workspace", "log workspace law-demo", Action::Disabled));
        insta::assert_snapshot!(shown(steps), @"
        landfall plan · default · Azure subscription Contoso Dev (…0f3a)

         = features
         · log workspace    law-demo: switched off, and created earlier; down deletes it

        No changes: 1 step, in sync.
        ");
    }

    #[test]
    fn an_expiring_certificate_is_reported_with_the_plan() {
        let steps = ["preflight", "features"].map(|step| planned(step, step, Action::Ok));
        insta::assert_snapshot!(shown_at("2027-11-15T12:00:00Z", steps.into()), @"
        landfall plan · default · Azure subscription Contoso Dev (…0f3a)

         = preflight, features

        The certificate expires in 7 days, on 2027-11-23.
        Replace it: landfall rotate

        No changes: 2 steps, in sync.
        ");
    }
}
