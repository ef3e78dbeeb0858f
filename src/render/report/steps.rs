//! The steps in detail: result, resource, requests, retries and waits; and the runs of the journal.

use super::{html::Html, page, words};
use crate::{
    render::text,
    report::{RunView, StepView},
};
use landfall_engine::{RetryCount, WaitSpan};

/// The number of the longest waits that a row lists.
const WAITS_MAX: usize = 4;

/// Writes the section.
pub fn section(html: &mut Html, view: &RunView) {
    page::section(html, "steps", "Steps", "What each step found, created or changed, and what it took");
    html.raw("<table class=\"cards\"><thead><tr><th scope=\"col\">Step</th><th scope=\"col\">Result</th>");
    html.raw("<th scope=\"col\">Resource</th><th scope=\"col\" class=\"number\">Requests</th>");
    html.raw("<th scope=\"col\">Retries</th><th scope=\"col\">Waits</th></tr></thead>\n<tbody>\n");
    for step in &view.steps {
        row(html, step);
    }
    html.raw("</tbody></table>\n</section>\n");
}

fn row(html: &mut Html, step: &StepView) {
    let (class, result) = words::result(&step.result);
    let attempt = step.attempt.filter(|attempt| *attempt > 1);
    let attempt = attempt.map(|attempt| format!(", attempt {attempt}")).unwrap_or_default();
    let requests = step.requests.map_or(String::new(), |requests| requests.to_string());
    html.raw("<tr>").element("th", &[("scope", "row")], text::name(&step.id));
    html.raw("<td data-label=\"Result\">");
    // A reason may be a sentence.
    let long = if result.len() > 32 { " long" } else { "" };
    html.element("span", &[("class", &format!("state {class}{long}"))], format!("{result}{attempt}"));
    html.raw("</td>").element(
        "td",
        &[("data-label", "Resource"), ("class", "resource")],
        words::subject(step),
    );
    html.element("td", &[("data-label", "Requests"), ("class", "number")], requests);
    html.element("td", &[("data-label", "Retries")], retries(&step.retries));
    html.raw("<td data-label=\"Waits\">");
    waits(html, &step.waits);
    html.raw("</td></tr>\n");
}

fn retries(retries: &[RetryCount]) -> String {
    let retries = retries.iter().map(|retry| format!("{} × {}", retry.count, retry.because));
    retries.collect::<Vec<_>>().join(", ")
}

/// Writes the longest waits, in their order.
fn waits(html: &mut Html, waits: &[WaitSpan]) {
    let mut longest: Vec<&WaitSpan> = waits.iter().collect();
    longest.sort_by_key(|wait| std::cmp::Reverse(wait.elapsed_ms));
    let more = longest.len().saturating_sub(WAITS_MAX);
    longest.truncate(WAITS_MAX);
    longest.sort_by_key(|wait| wait.start_ms);
    if longest.is_empty() {
        return;
    }
    html.raw("<ul class=\"plain\">");
    for wait in longest {
        html.raw("<li>").element("span", &[("class", "ms")], words::duration(wait.elapsed_ms));
        html.text(format!(" {}", wait.what)).raw("</li>");
    }
    if more > 0 {
        html.element("li", &[("class", "remark")], format!("and {more} shorter"));
    }
    html.raw("</ul>");
}

/// Writes the runs of the journal, the newest first.
pub fn history(html: &mut Html, runs: &[RunView], shown: usize) {
    page::section(html, "runs", "Runs of this environment", "From the journal, the newest first");
    html.raw("<table class=\"cards\"><thead><tr><th scope=\"col\">Run</th><th scope=\"col\">Command</th>");
    html.raw("<th scope=\"col\">Result</th><th scope=\"col\">Began</th>");
    html.raw(
        "<th scope=\"col\" class=\"number\">Took</th><th scope=\"col\">Steps</th></tr></thead>\n<tbody>\n",
    );
    for run in runs.iter().rev() {
        let (class, state) = words::state(run);
        let current = if run.number == shown { "true" } else { "false" };
        html.open("tr", &[("aria-current", current)]);
        html.element("th", &[("scope", "row")], format!("Run {}", run.number));
        html.raw("<td data-label=\"Command\">").element("code", &[], &run.command).raw("</td>");
        html.raw("<td data-label=\"Result\">");
        html.element("span", &[("class", &format!("state {class}"))], state).raw("</td>");
        html.element("td", &[("data-label", "Began")], words::time(run.began));
        let took = words::duration(run.elapsed_ms);
        html.element("td", &[("data-label", "Took"), ("class", "number")], took);
        html.element("td", &[("data-label", "Steps")], words::counts(run)).raw("</tr>\n");
    }
    html.raw("</tbody></table>\n</section>\n");
}
