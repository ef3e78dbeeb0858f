//! Output of `fleet status`: the state of each environment by the journals.

use super::grid;
use crate::{
    fleet::{result::EnvironmentOutcome, status::EnvironmentStatus},
    render::{style::Styler, text},
};
use serde_json::{Value, json};

/// The number of environments up to which each has a line.
const LINES_MAX: usize = 40;

/// Returns the text; `columns` is the width of the grid.
pub fn text(fleet: &str, environments: &[EnvironmentStatus], columns: usize, style: Styler) -> String {
    let all = text::count(environments.len(), "environment");
    let number = |wanted: &str| environments.iter().filter(|environment| environment.state == wanted).count();
    let counted = ["ready", "failed", "refused", "interrupted", "in progress", "deleted", "never run"];
    let counted = counted.iter().map(|state| (number(state), *state)).filter(|(number, _)| *number > 0);
    let counted: Vec<String> = counted.map(|(number, state)| format!("{number} {state}")).collect();
    let first = format!(
        "{} · {all}: {}",
        style.strong(&format!("landfall fleet status · {fleet}")),
        counted.join(", ")
    );
    let body = match environments.len() <= LINES_MAX {
        true => environments.iter().map(|one| line(one, style)).collect::<Vec<_>>().join("\n"),
        false => {
            let glyphs: Vec<String> = environments.iter().map(|one| glyph(one, style)).collect();
            let rows = glyphs.chunks(columns.saturating_sub(1).max(1));
            rows.map(|row| format!(" {}", row.concat())).collect::<Vec<_>>().join("\n")
        }
    };
    format!("{first}\n\n{body}")
}

fn glyph(one: &EnvironmentStatus, style: Styler) -> String {
    match one.state {
        "ready" => style.good("✓"),
        "failed" => grid::outcome(EnvironmentOutcome::Failed, style),
        "refused" => grid::outcome(EnvironmentOutcome::Refused, style),
        "interrupted" => grid::outcome(EnvironmentOutcome::Interrupted, style),
        "in progress" => style.busy("▸"),
        "deleted" => style.dim("○"),
        _ => style.dim("·"),
    }
}

fn line(one: &EnvironmentStatus, style: Styler) -> String {
    let ring = text::pad(&text::cut(&one.ring, 10), 10);
    let steps = format!("{} of {} steps", one.ready_steps, one.steps);
    let detail = match one.error.as_ref().map(|error| error.reason().replace('\n', " ")) {
        Some(reason) => format!("{} · {reason}", one.state),
        None => format!("{} · {steps}", one.state),
    };
    let name = text::pad(&text::cut(&one.name, 26), 26);
    text::cut(&format!(" {} {name} {ring} {detail}", glyph(one, style)), text::COLUMNS)
}

/// Returns the document.
pub fn document(fleet: &str, environments: &[EnvironmentStatus]) -> Value {
    let object = |one: &EnvironmentStatus| {
        json!({
            "environment": one.name, "ring": one.ring, "subscription": one.subscription, "state": one.state,
            "ready_steps": one.ready_steps, "steps": one.steps,
            "changed_at": one.changed_at.map(|at| at.to_string()),
            "code": one.error.as_ref().and_then(|error| error.code.clone()),
            "message": one.error.as_ref().map(|error| error.message.clone()),
            "hint": one.error.as_ref().and_then(|error| error.hint.clone()),
        })
    };
    json!({ "fleet": fleet, "environments": environments.iter().map(object).collect::<Vec<_>>() })
}
