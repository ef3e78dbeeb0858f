//! Output of `verify`: a table, a JSON document and a JUnit report.

use super::{style::Styler, text};
use landfall_diagnose::verify::{CheckId, CheckReport, State, Verdict};
use quick_xml::{
    Writer,
    events::{BytesDecl, BytesText, Event},
};
use serde_json::{Value, json};
use std::{io, time::Duration};

/// The column of a check's detail.
const DETAIL: usize = 19;

/// Returns the table.
pub fn text(verdict: &Verdict, program: &str, style: Styler) -> String {
    let rows: Vec<String> = verdict.checks.iter().map(|checked| row(checked, style)).collect();
    format!("{}\n\n{}", rows.join("\n"), footer(verdict, program, style))
}

fn row(checked: &CheckReport, style: Styler) -> String {
    let glyph = match checked.state {
        State::Ok => style.good("✓"),
        State::Failed => style.bad("✗"),
        State::Skipped | State::Blocked { .. } => style.dim("·"),
    };
    let first = text::pad(&format!(" {glyph} {}", label(checked.check)), DETAIL);
    let detail = match checked.state {
        State::Ok => checked.detail.clone(),
        State::Failed => format!("failed: {}", checked.detail),
        State::Skipped => format!("skipped: {}", checked.detail),
        State::Blocked { by } => format!("skipped: {} fails", label(by)),
    };
    let line = text::wrap(&first, &detail, text::COLUMNS);
    match &checked.hint {
        Some(hint) => {
            let first = format!("{}{} ", " ".repeat(DETAIL), style.warn("hint:"));
            format!("{line}\n{}", text::wrap(&first, hint, text::COLUMNS))
        }
        None => line,
    }
}

/// Returns a check's display name.
fn label(check: CheckId) -> String {
    match check {
        CheckId::CatchAll => "catch-all".to_owned(),
        other => text::name(other.name()),
    }
}

fn footer(verdict: &Verdict, program: &str, style: Styler) -> String {
    let number = |is: fn(State) -> bool| verdict.checks.iter().filter(|one| is(one.state)).count();
    let holding = number(|state| state == State::Ok);
    let applicable = verdict.checks.len() - number(|state| state == State::Skipped);
    let took = text::duration(verdict.took);
    if verdict.passes() {
        return style.good(&format!("All {} passed in {took}.", text::count(holding, "check")));
    }
    let failed: Vec<String> = verdict.failed().map(label).collect();
    let first = format!("{holding} of {} passed after {took}; ", text::count(applicable, "check"));
    let verb = if failed.len() == 1 { "fails" } else { "fail" };
    let line = text::wrap("", &format!("{first}{} {verb}.", text::list(&failed)), text::COLUMNS);
    format!("{}\nRepair: {program} up", style.bad(&line))
}

/// Returns the document. A check is `ok` if it passes or if its subject does not exist.
pub fn document(verdict: &Verdict, environment: &str, cloud: &str) -> Value {
    let mut document = json!({ "environment": environment, "cloud": cloud });
    if let (Value::Object(document), Value::Object(fields)) = (&mut document, fields(verdict)) {
        document.extend(fields);
    }
    document
}

/// Returns the common fields of the document and of `up --verify`'s event.
pub fn fields(verdict: &Verdict) -> Value {
    let checks: Vec<Value> = verdict.checks.iter().map(object).collect();
    json!({ "ok": verdict.passes(), "checks": checks, "elapsed_ms": ms(verdict.took) })
}

fn object(checked: &CheckReport) -> Value {
    let (ok, state, by) = match checked.state {
        State::Ok => (true, "ok", None),
        State::Failed => (false, "failed", None),
        State::Skipped => (true, "skipped", None),
        State::Blocked { by } => (false, "skipped", Some(by)),
    };
    let mut object =
        json!({ "check": checked.check.name(), "ok": ok, "state": state, "detail": checked.detail });
    if let Some(by) = by {
        object["blocked_by"] = by.name().into();
    }
    if let Some(hint) = &checked.hint {
        object["hint"] = hint.as_str().into();
    }
    object
}

fn ms(of: Duration) -> u64 {
    u64::try_from(of.as_millis()).unwrap_or(u64::MAX)
}

/// Returns the progress line with the pending checks.
pub fn waiting(pending: &[CheckId], since: Duration) -> String {
    let names: Vec<String> = pending.iter().copied().map(label).collect();
    let first = format!("Retrying for {}: ", text::duration(since));
    text::wrap(&first, &text::list(&names), text::COLUMNS)
}

/// Returns the report in the format of test collectors: one suite, one case for each check.
/// <https://github.com/testmoapp/junitxml>
///
/// # Errors
/// Never in practice: the output is in memory.
pub fn junit(verdict: &Verdict, environment: &str) -> io::Result<String> {
    let number =
        |is: fn(State) -> bool| verdict.checks.iter().filter(|one| is(one.state)).count().to_string();
    let skipped = number(|state| matches!(state, State::Skipped | State::Blocked { .. }));
    let (all, failed) = (verdict.checks.len().to_string(), number(|state| state == State::Failed));
    let time = format!("{:.3}", verdict.took.as_secs_f64());
    let suite = format!("landfall verify {environment}");
    let counts =
        [("tests", &*all), ("failures", &failed), ("errors", "0"), ("skipped", &skipped), ("time", &time)];
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let suites = writer.create_element("testsuites").with_attributes(counts);
    suites.write_inner_content(|writer| {
        let named =
            writer.create_element("testsuite").with_attribute(("name", &*suite)).with_attributes(counts);
        named.write_inner_content(|writer| {
            verdict.checks.iter().try_for_each(|checked| case(writer, checked))
        })?;
        Ok(())
    })?;
    let text = String::from_utf8(writer.into_inner()).map_err(io::Error::other)?;
    // XML 1.0 cannot represent control characters, and a reader displays the others literally.
    Ok(format!("{}\n", super::escape::visible(&text)))
}

fn case(writer: &mut Writer<Vec<u8>>, checked: &CheckReport) -> io::Result<()> {
    let attributes = [("classname", "landfall.verify"), ("name", checked.check.name())];
    let detail = checked.detail.as_str();
    let element = writer.create_element("testcase").with_attributes(attributes);
    element.write_inner_content(|writer| {
        match checked.state {
            State::Ok => writer.create_element("system-out").write_text_content(BytesText::new(detail))?,
            State::Failed => {
                let hint = checked.hint.as_ref().map(|hint| format!("{detail}\nhint: {hint}"));
                let text = hint.unwrap_or_else(|| detail.to_owned());
                let message = detail.lines().next().unwrap_or_default();
                let failure = writer.create_element("failure").with_attribute(("message", message));
                failure.write_text_content(BytesText::new(&text))?
            }
            State::Skipped | State::Blocked { .. } => {
                writer.create_element("skipped").with_attribute(("message", detail)).write_empty()?
            }
        };
        Ok(())
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict() -> Verdict {
        let one = |check, state, detail: &str, hint: Option<&str>| CheckReport {
            check,
            state,
            detail: detail.to_owned(),
            hint: hint.map(str::to_owned),
        };
        let by = CheckId::Gateways;
        Verdict {
            checks: vec![
                one(
                    CheckId::Gateways,
                    State::Failed,
                    "httpbin-gateway (127.0.0.11): nothing answered within 5 s on port 80",
                    Some("the load balancer's probe finds no healthy pod"),
                ),
                one(CheckId::CatchAll, State::Blocked { by }, "not checked: gateways fails", None),
                one(
                    CheckId::Canary,
                    State::Ok,
                    "echo.demo.example.com: 400 requests, 358 echo-v1, 42 echo-v2; 90/10 allows 14 to 73 echo-v2, \
                     at most 1 false alarm in 1,000,000",
                    None,
                ),
                one(CheckId::HeaderRouting, State::Failed, "it says <\"a\" & 'b'>", None),
                one(CheckId::Dns, State::Skipped, "no zone is managed", None),
            ],
            took: Duration::from_millis(16_340),
        }
    }

    #[test]
    fn output_of_a_failed_verification() {
        insta::assert_snapshot!(text(&verdict(), "landfall", Styler::PLAIN), @r#"
         ✗ gateways        failed: httpbin-gateway (127.0.0.11): nothing answered within
                           5 s on port 80
                           hint: the load balancer's probe finds no healthy pod
         · catch-all       skipped: gateways fails
         ✓ canary          echo.demo.example.com: 400 requests, 358 echo-v1, 42 echo-v2;
                           90/10 allows 14 to 73 echo-v2, at most 1 false alarm in
                           1,000,000
         ✗ header routing  failed: it says <"a" & 'b'>
         · DNS             skipped: no zone is managed

        1 of 4 checks passed after 16 s; gateways and header routing fail.
        Repair: landfall up
        "#);
    }

    #[test]
    fn the_document_marks_skipped_checks_as_ok() {
        let document = document(&verdict(), "default", "sim");
        let ok: Vec<&Value> = document["checks"].as_array().unwrap().iter().map(|one| &one["ok"]).collect();
        assert_eq!(ok, [&json!(false), &json!(false), &json!(true), &json!(false), &json!(true)]);
        assert_eq!(document["ok"], false);
        assert_eq!(document["checks"][1]["blocked_by"], "gateways");
    }

    #[test]
    fn the_report_escapes_server_text() {
        let report = junit(&verdict(), "default").unwrap();
        assert!(report.contains("it says &lt;&quot;a&quot; &amp; &apos;b&apos;&gt;"), "{report}");
        assert!(
            report.contains(r#"tests="5" failures="2" errors="0" skipped="2" time="16.340""#),
            "{report}"
        );
    }
}
