//! The errors of a run, each with its causes, its leftover and its remedy; and the steps that they block.

use super::{html::Html, page, words};
use crate::{
    failure,
    render::text,
    report::{RunState, RunView, StepResult},
};
use landfall_engine::{Leftover, StepError};

/// Writes the section; nothing if no step failed. `program` is the command line of landfall.
pub fn section(html: &mut Html, view: &RunView, program: &str) {
    let mut merged: Vec<(&StepError, Vec<String>)> = Vec::new();
    for (step, error) in view.errors() {
        let name = text::name(&step.id);
        match merged.iter_mut().find(|(known, _)| *known == error) {
            Some((_, steps)) => steps.push(name),
            None => merged.push((error, vec![name])),
        }
    }
    if merged.is_empty() {
        return;
    }
    page::section(html, "errors", "Errors", "");
    for (error, steps) in &merged {
        self::error(html, error, steps);
    }
    blocked(html, view);
    if view.state != RunState::Running {
        html.raw("<p>To resume, run ");
        html.element("code", &[], format!("{program} {}", view.command))
            .raw(" again: complete steps stay complete.</p>\n");
    }
    html.raw("</section>\n");
}

fn error(html: &mut Html, error: &StepError, steps: &[String]) {
    html.raw("<article class=\"error\"><h3>").text(format!("Failed to {}", error.message)).raw("</h3>\n");
    html.element("p", &[("class", "remark")], format!("in {}", text::list(steps)));
    if !error.causes.is_empty() {
        html.raw("<ul class=\"causes\">");
        for cause in &error.causes {
            html.element("li", &[], cause);
        }
        html.raw("</ul>");
    }
    html.raw("<div class=\"fix\"><strong>Remedy</strong>")
        .element("p", &[], failure::hint(error))
        .raw("</div>");
    html.raw("<dl class=\"facts\">");
    let leftover = match error.leftover {
        Leftover::Nothing => "nothing",
        Leftover::Something => "a resource, perhaps incomplete; the next run checks it",
        Leftover::Unknown => "unknown; the next run checks it",
    };
    let facts = [
        ("Error code", error.code.as_deref()),
        ("Left behind", Some(leftover)),
        ("Request id", error.request_id.as_deref()),
    ];
    for (name, value) in facts.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        html.raw("<div>").element("dt", &[], name).element("dd", &[], value).raw("</div>");
    }
    html.raw("</dl></article>\n");
}

/// Writes the steps that did not run because of a failure.
fn blocked(html: &mut Html, view: &RunView) {
    let blocked = view.steps.iter().filter(|step| matches!(step.result, StepResult::Blocked(_)));
    let blocked: Vec<String> = blocked.map(|step| text::name(&step.id)).collect();
    if !blocked.is_empty() {
        html.raw("<p>Blocked by this: ").text(text::list(&blocked)).raw(".</p>\n");
    }
}

/// Writes a note about a run that has no end.
pub fn no_end(html: &mut Html, view: &RunView, program: &str) {
    if view.state != RunState::NoEnd {
        return;
    }
    let open = view.steps.iter().filter(|step| step.result == StepResult::Cut);
    let open: Vec<String> = open.map(|step| text::name(&step.id)).collect();
    let during = if open.is_empty() { String::new() } else { format!(" during {}", text::list(&open)) };
    html.raw("<aside class=\"notice\"><p><strong>This run did not end.</strong> ");
    html.text(format!(
        "The journal's last line was written {} after its beginning{during}, and no process continues it: the process \
         was killed, or the machine failed. Operations in flight continue in the cloud. To resume, run ",
        words::duration(view.elapsed_ms)
    ));
    html.element("code", &[], format!("{program} {}", view.command)).raw(".</p></aside>\n");
}
