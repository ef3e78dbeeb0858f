//! Estimate of the critical path from the times of the steps, for runs without a recorded one.

use super::StepView;
use landfall_engine::StepInfo;

/// Returns the steps that decided the end of the last one, each with the time from the end of the step before it, in
/// milliseconds.
pub fn estimate(views: &[StepView], infos: &[StepInfo]) -> Vec<(String, u64)> {
    let end = |view: &StepView| view.span.map(|(_, end)| end);
    let mut path = Vec::new();
    let mut next = views.iter().filter(|view| view.span.is_some()).max_by_key(|view| end(view));
    while let Some(view) = next {
        let sources = infos.iter().find(|info| info.id == view.id).map_or(&[][..], |info| &info.after);
        next = views
            .iter()
            .filter(|other| sources.contains(&other.id.as_str()) && other.span.is_some())
            .max_by_key(|other| end(other));
        let began = next.and_then(end).unwrap_or_default();
        path.push((view.id.clone(), end(view).unwrap_or_default().saturating_sub(began)));
        // A graph has no cycles; journals of another version may seem to.
        if path.len() > views.len() {
            break;
        }
    }
    path.reverse();
    path.retain(|(_, ms)| *ms > 0);
    path
}
