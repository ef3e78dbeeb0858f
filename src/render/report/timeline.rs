//! The timeline: a row for each step, with its checks, changes and waits, and the critical path.

use super::{
    html::{Html, percent},
    page, words,
};
use crate::{
    render::text,
    report::{RunView, StepResult, StepView},
};

/// The largest number of intervals on the axis.
const INTERVALS_MAX: u64 = 8;
/// The narrowest bar, as a share of the axis, so that a short step is visible.
const BAR_MIN: f64 = 0.004;

/// The smallest share of the critical path that has a visible name, in thousandths.
const NAMED_MIN: f64 = 90.0;

/// Writes the section.
pub fn section(html: &mut Html, view: &RunView) {
    let axis = Axis::new(view.elapsed_ms);
    let remark = format!("Every step from its check to its result. {}", words::counts(view));
    page::section(html, "timeline", "Timeline", remark.trim_end_matches([' ', '.']));
    path(html, view);
    html.raw("<table class=\"timeline\"><caption>Steps by their beginning, with the time of each.</caption>");
    html.raw("<thead><tr><th scope=\"col\">Step</th><th scope=\"col\" class=\"track\"><span class=\"hidden\">Time</span>");
    axis.labels(html);
    html.raw("</th><th scope=\"col\" class=\"number\">Took</th></tr></thead>\n<tbody>\n");
    for step in view.steps.iter().filter(|step| step.span.is_some()) {
        row(html, step, &axis);
    }
    html.raw("</tbody></table>\n");
    legend(html, view);
    html.raw("</section>\n");
}

/// Writes the critical path as one bar of segments.
fn path(html: &mut Html, view: &RunView) {
    let whole = view.critical_path_ms();
    if view.critical_path.is_empty() || whole == 0 {
        return;
    }
    let source = if view.is_path_estimated { ", estimated from the times" } else { "" };
    html.raw("<h3>Critical path").element(
        "span",
        &[("class", "remark")],
        format!("{} of the cloud's time, one step after the other{source}", words::duration(whole)),
    );
    html.raw("</h3>\n<ol class=\"path\">");
    for (step, ms) in &view.critical_path {
        let name = text::name(step);
        let share = (*ms as f64 / whole as f64 * 1000.0).round();
        let title = format!("{name}: {}", words::duration(*ms));
        // A narrow segment has no space for its text, which stays in the title and for screen readers.
        let class = if share < NAMED_MIN { "small" } else { "" };
        html.open("li", &[("class", class), ("style", &format!("flex-grow:{share}")), ("title", &title)]);
        html.element("span", &[("class", "name")], &name);
        html.element("span", &[("class", "ms")], words::duration(*ms)).raw("</li>");
    }
    html.raw("</ol>\n");
}

fn row(html: &mut Html, step: &StepView, axis: &Axis) {
    let name = text::name(&step.id);
    let class = if step.critical.is_some() { "critical" } else { "" };
    html.open("tr", &[("class", class)]).raw("<th scope=\"row\">").text(&name);
    if step.critical.is_some() {
        html.raw("<span class=\"hidden\">, on the critical path</span>");
    }
    html.raw("</th><td class=\"track\">");
    bar(html, step, axis);
    html.raw("</td>")
        .element("td", &[("class", "number")], words::duration(step.elapsed_ms()))
        .raw("</tr>\n");
}

fn bar(html: &mut Html, step: &StepView, axis: &Axis) {
    let Some((start, end)) = step.span else { return };
    html.open("svg", &[("class", "bar"), ("role", "img"), ("aria-label", &description(step))]);
    for tick in axis.ticks() {
        let x = percent(tick, axis.end);
        html.open("line", &[("class", "grid"), ("x1", &x), ("x2", &x), ("y1", "0"), ("y2", "100%")]);
        html.close("line");
    }
    let acting = step.acting.unwrap_or(end).clamp(start, end);
    if acting > start || step.acting.is_none() {
        rect(
            html,
            "check",
            (start, acting),
            axis,
            ("10", "4"),
            &format!("checked for {}", words::duration(acting - start)),
        );
    }
    let class = match step.result {
        StepResult::Failed(_) => "change failed",
        StepResult::Running | StepResult::Cut => "change open",
        _ => "change",
    };
    if step.acting.is_some() {
        let title = format!("{} for {}", words::result(&step.result).1, words::duration(end - acting));
        rect(html, class, (acting, end), axis, ("5", "14"), &title);
    } else if matches!(step.result, StepResult::Failed(_)) {
        rect(html, class, (end, end), axis, ("5", "14"), "failed");
    }
    for wait in &step.waits {
        let title = format!("waited {} for {}", words::duration(wait.elapsed_ms), wait.what);
        let span = (wait.start_ms, (wait.start_ms + wait.elapsed_ms).min(end));
        rect(html, "wait", span, axis, ("9", "6"), &title);
    }
    html.close("svg");
}

/// Draws a span with a minimum width.
fn rect(
    html: &mut Html,
    class: &str,
    (start, end): (u64, u64),
    axis: &Axis,
    (y, height): (&str, &str),
    title: &str,
) {
    let least = (axis.end as f64 * BAR_MIN) as u64;
    let length = end.saturating_sub(start).max(least);
    let start = start.min(axis.end.saturating_sub(length));
    let (x, width) = (percent(start, axis.end), percent(length, axis.end));
    html.open(
        "rect",
        &[("class", class), ("x", &x), ("y", y), ("width", &width), ("height", height), ("rx", "2")],
    );
    html.element("title", &[], title).close("rect");
}

/// Returns the row as a sentence.
fn description(step: &StepView) -> String {
    let (start, _) = step.span.unwrap_or_default();
    let mut parts = vec![format!(
        "{} after {}, took {}",
        words::result(&step.result).1,
        words::duration(start),
        words::duration(step.elapsed_ms())
    )];
    let waits = step.waits.iter().filter(|wait| wait.elapsed_ms >= 100 || step.waits.len() < 4);
    parts.extend(waits.map(|wait| format!("waited {} for {}", words::duration(wait.elapsed_ms), wait.what)));
    parts.join("; ")
}

fn legend(html: &mut Html, view: &RunView) {
    html.raw("<ul class=\"legend\">");
    let mut entry = |class: &'static str, words: &'static str| {
        html.raw("<li><svg class=\"key\" aria-hidden=\"true\">");
        html.open("rect", &[("class", class), ("y", "3"), ("width", "100%"), ("height", "8"), ("rx", "2")]);
        html.raw("</rect></svg>").text(words).raw("</li>");
    };
    entry("check", "check");
    entry("change critical", "change, on the critical path");
    entry("change", "change, beside it");
    if view.steps.iter().any(|step| !step.waits.is_empty()) {
        entry("wait", "wait for a state of the cloud");
    }
    if view.errors().next().is_some() {
        entry("change failed", "failed");
    }
    html.raw("</ul>\n");
}

/// The axis of time, in milliseconds.
struct Axis {
    end: u64,
    step: u64,
}

impl Axis {
    /// Returns an axis with round intervals up to this time.
    fn new(elapsed_ms: u64) -> Self {
        let end = elapsed_ms.max(1);
        let nice = [1, 2, 5, 10, 20, 50, 100, 200, 500].into_iter();
        let seconds = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600].into_iter().map(|s| s * 1000);
        let step = nice.chain(seconds).find(|step| end / step <= INTERVALS_MAX);
        Self { end, step: step.unwrap_or(end.div_ceil(INTERVALS_MAX)) }
    }

    fn ticks(&self) -> impl Iterator<Item = u64> + use<> {
        (0..=self.end).step_by(usize::try_from(self.step).unwrap_or(usize::MAX))
    }

    fn labels(&self, html: &mut Html) {
        html.raw("<svg class=\"axis\" aria-hidden=\"true\">");
        for tick in self.ticks() {
            // A label at the end would be cut off.
            let anchor = match tick {
                0 => "start",
                _ if tick * 20 > self.end * 19 => "end",
                _ => "middle",
            };
            let x = percent(tick, self.end);
            html.element("text", &[("x", &x), ("y", "12"), ("text-anchor", anchor)], label(tick));
        }
        html.close("svg");
    }
}

/// Returns a time on the axis, exactly: `0`, `200 ms`, `1.2 s`, `3 min`, `3 min 30 s`.
fn label(ms: u64) -> String {
    match ms {
        0 => "0".to_owned(),
        1..1000 => format!("{ms} ms"),
        // An f64 prints the shortest number of these digits.
        1000..120_000 => format!("{} s", ms as f64 / 1000.0),
        _ if ms.is_multiple_of(60_000) => format!("{} min", ms / 60_000),
        _ => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn an_axis_has_round_intervals_and_few_labels() {
        for end in [0, 1, 37, 420, 999, 1_250, 3_100, 6_900, 83_000, 290_000, 3_600_000, 400_000_000] {
            let axis = Axis::new(end);
            assert!(axis.ticks().count() <= 9, "{end}: {}", axis.step);
            assert!(axis.ticks().all(|tick| tick <= axis.end));
            let labels: BTreeSet<String> = axis.ticks().map(label).collect();
            assert_eq!(labels.len(), axis.ticks().count(), "{labels:?}: each label is another one");
        }
        assert_eq!(Axis::new(6_900).step, 1_000);
        assert_eq!(Axis::new(290_000).step, 60_000);
    }
}
