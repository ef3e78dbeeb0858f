//! The page of many environments: a grid, failures by cause, durations and the slowest runs.

use super::{
    html::{Html, percent},
    page::{self, Figure},
    words,
};
use crate::{
    render::text,
    report::{
        EnvironmentRun, FleetView,
        fleet::{CauseGroup, EnvironmentState},
    },
};
use jiff::Timestamp;

/// The number of the slowest runs to list.
const SLOWEST: usize = 10;
/// The number of environments that a cause lists by name.
const NAMES_MAX: usize = 12;
/// The number of bars in the histogram.
const BARS: u64 = 24;

/// Returns the page of these runs; `reload_s` reloads it after so many seconds.
pub fn fleet_page(runs: &[EnvironmentRun], now: Timestamp, reload_s: Option<u32>) -> String {
    let fleet = FleetView { runs };
    let (class, state) = overall(&fleet);
    let title = text::count(runs.len(), "environment");
    let mut html = Html::new();
    let about = [first_and_last(runs), words::time(now)];
    let about: Vec<String> = about.into_iter().filter(|fact| !fact.is_empty()).collect();
    page::header(&mut html, &format!("landfall · {title}"), (class, &state), &about);
    html.raw("<main>\n");
    page::figures(&mut html, &figures(&fleet));
    grid(&mut html, runs, &fleet);
    causes(&mut html, &fleet.causes());
    durations(&mut html, &fleet);
    slowest(&mut html, &fleet);
    html.raw("</main>\n");
    let written =
        format!("Written {} from the journals by landfall {}.", words::time(now), env!("CARGO_PKG_VERSION"));
    page::footer(&mut html, &[written, "Each environment counts with its last run.".to_owned()]);
    page::document(&format!("{title}: {state}"), reload_s, &html)
}

/// Returns the class and the text of the worst state.
fn overall(fleet: &FleetView<'_>) -> (&'static str, String) {
    let worst = EnvironmentState::ALL.into_iter().find(|state| fleet.count(*state) > 0);
    match worst {
        None => ("none", "no environment".to_owned()),
        Some(EnvironmentState::Ready) => ("good", "all ready".to_owned()),
        Some(state) => {
            let (class, word) = words::environment_state(state);
            (class, format!("{} {word}", fleet.count(state)))
        }
    }
}

fn first_and_last(runs: &[EnvironmentRun]) -> String {
    let times = runs.iter().filter_map(|run| run.began.parse::<Timestamp>().ok());
    match (times.clone().min(), times.max()) {
        (Some(first), Some(last)) if first != last => {
            format!("runs began between {} and {}", words::time(first), words::time(last))
        }
        _ => String::new(),
    }
}

fn figures(fleet: &FleetView<'_>) -> Vec<Figure> {
    let figure = |name, value: String, remark: String| Figure { name, value, remark };
    let sum = |of: &dyn Fn(&EnvironmentRun) -> u64| fleet.runs.iter().map(of).sum::<u64>();
    let count = |state| fleet.count(state);
    let ready = count(EnvironmentState::Ready);
    let share = format!("{:.0} %", ready as f64 * 100.0 / fleet.runs.len().max(1) as f64);
    let others = [
        EnvironmentState::Interrupted,
        EnvironmentState::NoEnd,
        EnvironmentState::Running,
        EnvironmentState::Waiting,
    ];
    let others = others.into_iter().filter(|state| count(*state) > 0);
    let others: Vec<String> =
        others.map(|state| format!("{} {}", count(state), words::environment_state(state).1)).collect();
    let mut figures = vec![
        figure("Ready", ready.to_string(), share),
        figure("Failed", count(EnvironmentState::Failed).to_string(), others.join(", ")),
    ];
    if let (Some(median), Some(tail)) = (fleet.percentile(0.5), fleet.percentile(0.95)) {
        figures.push(figure(
            "Median duration",
            words::duration(median),
            format!("95 % within {}", words::duration(tail)),
        ));
    }
    let requests = sum(&|run| run.requests);
    let each = requests / fleet.runs.len().max(1) as u64;
    figures.push(figure("Requests", words::number(requests), format!("{each} per environment")));
    figures.push(figure("Retries", words::number(sum(&|run| run.retries)), String::new()));
    figures
}

fn causes(html: &mut Html, causes: &[CauseGroup<'_>]) {
    if causes.is_empty() {
        return;
    }
    page::section(html, "errors", "Failures by cause", "The largest group first, each with its remedy");
    for CauseGroup { cause, environments } in causes {
        html.raw("<article class=\"error\"><h3>");
        html.element("span", &[("class", "count")], format!("{} ×", environments.len()));
        html.text(cause.code.as_deref().unwrap_or(&cause.message)).raw("</h3>\n");
        let example = format!("failed to {}", cause.message);
        let detail = cause.cause.as_ref().map_or(example.clone(), |why| format!("{example}: {why}"));
        html.element(
            "p",
            &[("class", "remark")],
            format!("in {}, for example {detail}", text::name(&cause.step)),
        );
        html.raw("<div class=\"fix\"><strong>Remedy</strong>").element("p", &[], &cause.hint).raw("</div>");
        html.raw("<p class=\"names\">");
        for name in environments.iter().take(NAMES_MAX) {
            html.element("code", &[], name).raw(" ");
        }
        if environments.len() > NAMES_MAX {
            html.text(format!("and {} more", environments.len() - NAMES_MAX));
        }
        html.raw("</p></article>\n");
    }
    html.raw("</section>\n");
}

fn grid(html: &mut Html, runs: &[EnvironmentRun], fleet: &FleetView<'_>) {
    page::section(
        html,
        "environments",
        "Environments",
        "One cell each, by name; a stronger colour took longer",
    );
    let ready = || runs.iter().filter(|run| run.state == EnvironmentState::Ready).map(|run| run.elapsed_ms);
    let (shortest, longest) = (ready().min().unwrap_or_default(), ready().max().unwrap_or_default());
    html.raw("<ul class=\"grid\">");
    for run in runs {
        let (class, word) = words::environment_state(run.state);
        let took = words::duration(run.elapsed_ms);
        let text = format!("{}: {word}, {took}", run.environment);
        // Four grades are told apart at a glance.
        let above = run.elapsed_ms.saturating_sub(shortest);
        let grade = (above * 4 / (longest - shortest + 1)).min(3).to_string();
        html.open("li", &[("class", class), ("data-grade", &grade), ("title", &text)]);
        html.element("span", &[("class", "hidden")], &text);
        html.element("span", &[("class", "mark"), ("aria-hidden", "true")], mark(run.state)).raw("</li>");
    }
    html.raw("</ul>\n<ul class=\"legend\">");
    for state in EnvironmentState::ALL.into_iter().rev().filter(|state| fleet.count(*state) > 0) {
        let (class, word) = words::environment_state(state);
        html.raw("<li>")
            .open("span", &[("class", &format!("cell {class}"))])
            .text(mark(state))
            .raw("</span>");
        html.text(format!("{} {word}", fleet.count(state))).raw("</li>");
    }
    html.raw("</ul>\n</section>\n");
}

/// Returns the sign of a state, so that the colour is not needed.
fn mark(state: EnvironmentState) -> &'static str {
    match state {
        EnvironmentState::Ready => "✓",
        EnvironmentState::Failed => "✗",
        EnvironmentState::Interrupted => "‖",
        EnvironmentState::NoEnd => "!",
        EnvironmentState::Running => "…",
        EnvironmentState::Waiting => "·",
    }
}

fn durations(html: &mut Html, fleet: &FleetView<'_>) {
    let bars = fleet.histogram(BARS);
    let Some(most) = bars.iter().map(|(_, number)| *number).max().filter(|most| *most > 0) else { return };
    page::section(html, "durations", "Durations", "Ready environments by the duration of their run");
    let label = format!(
        "Histogram: median {}, 95 % within {}",
        words::duration(fleet.percentile(0.5).unwrap_or_default()),
        words::duration(fleet.percentile(0.95).unwrap_or_default())
    );
    html.open("svg", &[("class", "histogram"), ("role", "img"), ("aria-label", &label)]);
    let (count, most) = (bars.len() as u64, most as u64);
    for (index, (bound, number)) in bars.iter().enumerate() {
        let height = *number as u64 * 100 / most;
        let (x, width) = (percent(index as u64, count), percent(9, count * 10));
        let (y, height) = (percent(100 - height, 100), percent(height, 100));
        html.open("rect", &[("x", &x), ("y", &y), ("width", &width), ("height", &height), ("rx", "2")]);
        html.element("title", &[], format!("{number} up to {}", words::duration(*bound))).close("rect");
    }
    html.close("svg").raw("<p class=\"ends\"><span>0</span>");
    html.element("span", &[], words::duration(bars.last().map_or(0, |(bound, _)| *bound)))
        .raw("</p>\n</section>\n");
}

fn slowest(html: &mut Html, fleet: &FleetView<'_>) {
    let runs = fleet.slowest(SLOWEST);
    page::section(html, "slowest", "Slowest", "The longest runs, with the step that took longest");
    html.raw(
        "<table class=\"cards\"><thead><tr><th scope=\"col\">Environment</th><th scope=\"col\">Result</th>",
    );
    html.raw("<th scope=\"col\" class=\"number\">Took</th><th scope=\"col\">Slowest step</th>");
    html.raw("<th scope=\"col\" class=\"number\">Requests</th><th scope=\"col\" class=\"number\">Retries</th></tr></thead>\n<tbody>\n");
    for run in runs {
        let (class, word) = words::environment_state(run.state);
        let step = run.slowest.as_ref();
        let step = step.map_or(String::new(), |step| {
            format!("{}, {}", text::name(&step.step), words::duration(step.elapsed_ms))
        });
        html.raw("<tr>").element("th", &[("scope", "row")], &run.environment);
        html.raw("<td data-label=\"Result\">");
        html.element("span", &[("class", &format!("state {class}"))], word).raw("</td>");
        let number = |label: &'static str| [("data-label", label), ("class", "number")];
        html.element("td", &number("Took"), words::duration(run.elapsed_ms));
        html.element("td", &[("data-label", "Slowest step")], step);
        html.element("td", &number("Requests"), run.requests.to_string());
        html.element("td", &number("Retries"), run.retries.to_string()).raw("</tr>\n");
    }
    html.raw("</tbody></table>\n</section>\n");
}
