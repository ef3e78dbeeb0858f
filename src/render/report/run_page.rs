//! The page of one run.

use super::{
    errors,
    html::Html,
    page::{self, Figure},
    routing, steps, timeline, words,
};
use crate::{
    render::{summary::Summary, text},
    report::{RunState, RunView},
};
use jiff::Timestamp;
use landfall_engine::How;
use landfall_steps::Topology;

/// The interval at which the page of a running run reloads, in seconds.
const RELOAD_S: u32 = 2;

/// The content of the page.
pub struct RunPage<'a> {
    /// The run.
    pub view: &'a RunView,
    /// All runs of the journal, oldest first.
    pub runs: &'a [RunView],
    /// The recorded outputs after the run.
    pub facts: &'a Summary,
    /// The topology after the run.
    pub topology: &'a Topology,
    /// True if the run deleted everything, so that both are those before it.
    pub is_deleted: bool,
    /// The damage of the journal, if there is any.
    pub damage: Option<String>,
    /// The command line of landfall.
    pub program: &'a str,
    /// The time at which the journal was read.
    pub now: Timestamp,
    /// True if the page is rewritten while the run is active.
    pub is_followed: bool,
}

/// Returns the page.
pub fn run_page(run_page: &RunPage<'_>) -> String {
    let RunPage { view, facts, topology, program, .. } = run_page;
    let (class, state) = words::state(view);
    let title = format!("{}: {} {state}", view.key.environment, view.command);
    let reload = (run_page.is_followed && view.state == RunState::Running).then_some(RELOAD_S);
    let mut html = Html::new();
    page::header(
        &mut html,
        &format!("landfall {} · {}", view.command, view.key.environment),
        (class, &state),
        &about(view),
    );
    html.raw("<main>\n");
    notices(&mut html, run_page);
    errors::no_end(&mut html, view, program);
    page::figures(&mut html, &figures(view));
    errors::section(&mut html, view, program);
    timeline::section(&mut html, view);
    steps::section(&mut html, view);
    routing::section(&mut html, topology, facts, run_page.is_deleted);
    steps::history(&mut html, run_page.runs, view.number);
    html.raw("</main>\n");
    page::footer(
        &mut html,
        &[
            format!(
                "Written {} from the journal by landfall {}.",
                words::time(run_page.now),
                env!("CARGO_PKG_VERSION")
            ),
            "Times are real time; requests are those of the steps.".to_owned(),
        ],
    );
    page::document(&title, reload, &html)
}

fn about(view: &RunView) -> Vec<String> {
    vec![
        words::cloud(&view.key.cloud).to_owned(),
        format!("subscription {}", view.key.subscription),
        format!("run {}", view.number),
        words::time(view.began),
        format!("landfall {}", view.landfall),
    ]
}

fn notices(html: &mut Html, run_page: &RunPage<'_>) {
    if let Some(damage) = &run_page.damage {
        html.raw("<aside class=\"notice\"><p><strong>The journal is damaged.</strong> ");
        html.text(format!("The page shows what can be read; failed to {damage}.")).raw("</p></aside>\n");
    }
    if run_page.view.state == RunState::Running {
        html.raw("<aside class=\"notice live\"><p><strong>The run is active.</strong> ");
        html.text(match run_page.is_followed {
            true => "This page reloads until the run ends.",
            false => "The page shows its state at the time of writing; --follow updates the page until the run ends.",
        });
        html.raw("</p></aside>\n");
    }
}

fn figures(view: &RunView) -> Vec<Figure> {
    let figure = |name, value: String, remark: String| Figure { name, value, remark };
    let steps = view.steps.iter().filter(|step| step.span.is_some()).count();
    let mut figures = vec![figure("Duration", words::duration(view.elapsed_ms), String::new())];
    let ideal = view.critical_path_ms();
    if ideal > 0 && !view.is_path_estimated {
        figures.push(figure("Critical path", words::duration(ideal), overhead(view)));
    }
    figures.push(figure("Steps", steps.to_string(), words::counts(view)));
    if let Some(requests) = view.requests {
        let rate = requests as f64 * 1000.0 / view.elapsed_ms.max(1) as f64;
        let remark = if view.elapsed_ms >= 1000 { format!("{rate:.0} per second") } else { String::new() };
        figures.push(figure("Requests", words::number(requests), remark));
        let retries = view.retries();
        let retried = view.steps.iter().filter(|step| !step.retries.is_empty()).count();
        let remark = if retries > 0 { format!("in {}", text::count(retried, "step")) } else { String::new() };
        figures.push(figure("Retries", words::number(retries), remark));
    }
    if let Some(slowest) = view.slowest() {
        let remark = words::duration(slowest.elapsed_ms());
        figures.push(figure("Slowest step", text::name(&slowest.id), remark));
    }
    figures
}

/// Returns landfall's own share of the duration; empty if the comparison means nothing.
fn overhead(view: &RunView) -> String {
    let ideal = view.critical_path_ms();
    let applied = view.done(How::Created) + view.done(How::Changed) > 0;
    if view.state != RunState::Ready || !applied || ideal < 100 {
        return String::new();
    }
    let overhead = (view.elapsed_ms as f64 / ideal as f64 - 1.0) * 100.0;
    format!("overhead {:.0} %", overhead.max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::run_view::tests::{at, failed};

    fn page(view: &RunView, is_followed: bool) -> String {
        run_page(&RunPage {
            view,
            runs: std::slice::from_ref(view),
            facts: &Summary::default(),
            topology: &Topology::default(),
            is_deleted: false,
            damage: Some("trust <journal>".to_owned()),
            program: "landfall --environment 'a b'",
            now: at(5_000),
            is_followed,
        })
    }

    #[test]
    fn a_failed_run_has_its_error_its_remedy_and_its_consequences() {
        let page = page(&failed(), true);
        for words in [
            "<h1>landfall up · default</h1>",
            "Failed to create cluster aks-istio-gateway-demo",
            "need 16, limit 10",
            "request a quota increase",
            "Blocked by this: istio.",
            "landfall --environment &#39;a b&#39; up",
            "6</span><span class=\"remark\">in 3 steps",
            "failed to trust &lt;journal&gt;.",
            "no result",
        ] {
            assert!(page.contains(words), "{words} is not in {page}");
        }
        assert!(!page.contains("http-equiv=\"refresh\""), "the run has ended");
    }

    #[test]
    fn only_the_page_of_an_active_followed_run_reloads() {
        let mut view = failed();
        view.state = RunState::Running;
        assert!(page(&view, true).contains("http-equiv=\"refresh\""));
        assert!(!page(&view, false).contains("http-equiv=\"refresh\""));
    }
}
