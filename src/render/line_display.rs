//! Line output for pipes and CI, one line per event: time, kind, step, and details.

use super::{
    Display, escape,
    progress_state::{ProgressState, State, step_of},
    stream::Stream,
    text,
};
use landfall_engine::{Event, EventKind, TimeScale, UndoOutcome};
use std::{
    collections::BTreeMap,
    io::Write,
    time::{Duration, SystemTime},
};

/// The maximum silence during a wait, in cloud time: a supervisor takes a long silence for a hang.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// The minimum of the scaled [`SILENCE_MAX`], in real time, which limits the output of a simulated run.
const SILENCE_MIN: Duration = Duration::from_secs(3);

/// The display.
pub struct Line<W: Write + Send> {
    progress_state: ProgressState,
    to: Stream<W>,
    /// The last text about each step's wait, without its numbers: only changes are printed.
    last_states: BTreeMap<&'static str, String>,
    last: Option<SystemTime>,
    silence: Duration,
}

impl<W: Write + Send> Line<W> {
    /// Creates a display that writes to `to`, for a cloud of this time scale.
    pub fn new(progress_state: ProgressState, to: W, time_scale: TimeScale) -> Self {
        let silence = time_scale.real(SILENCE_MAX).clamp(SILENCE_MIN, SILENCE_MAX);
        Self { progress_state, to: Stream::new(to), last_states: BTreeMap::new(), last: None, silence }
    }

    fn put(&mut self, at: SystemTime, what: &str, step: &str, rest: &str) {
        self.last = Some(at);
        let rest = escape::inline(rest);
        let line = format!("{} {what:<8} {step:<15} {rest}", text::time_of_day(at));
        self.to.line(line.trim_end());
    }

    fn is_new_state(&mut self, step: &'static str, text: &str) -> bool {
        let state = text::wait_state(text);
        self.last_states.insert(step, state.to_owned()).as_deref() != Some(state)
    }
}

impl<W: Write + Send> Display for Line<W> {
    fn show(&mut self, event: &Event) {
        self.progress_state.take(event);
        let step = step_of(&event.what).unwrap_or_default();
        let (what, rest) = match &event.what {
            EventKind::Opened { environment, .. } => {
                let steps = text::count(self.progress_state.rows.len(), "step");
                self.put(event.at, "open", "", &format!("environment {environment}, {steps}"));
                return;
            }
            EventKind::Checking { .. } | EventKind::Closed { .. } => return,
            EventKind::Started { title, attempt: 1, .. } => ("start", title.clone()),
            EventKind::Started { title, attempt, .. } => ("start", format!("{title}, attempt {attempt}")),
            EventKind::Note { text, .. } if self.is_new_state(step, text) => ("wait", text.clone()),
            EventKind::Note { .. } => return,
            EventKind::Retrying { because, .. } if !self.is_new_state(step, because) => return,
            EventKind::Retrying { because, wait, .. } => {
                ("retry", format!("{because}; retry in {}", text::duration(*wait)))
            }
            EventKind::Finished { how, elapsed, .. } => {
                ("done", format!("{} in {}", text::how(*how), text::duration(*elapsed)))
            }
            EventKind::Failed { error, elapsed, .. } => {
                let cause = error.causes.first().map(|cause| format!(": {cause}")).unwrap_or_default();
                let took = text::duration(*elapsed);
                ("failed", format!("after {took}, failed to {}{cause}", error.message))
            }
            EventKind::Blocked { by, .. } => ("blocked", format!("by {by}")),
            EventKind::Interrupted { step } => {
                let row = self.progress_state.row(step).map(|at| &self.progress_state.rows[at].state);
                let started = matches!(row, Some(State::Interrupted { started: true }));
                ("stopped", text::interrupted(started).into())
            }
            EventKind::Undone { title, undone, .. } => match undone {
                UndoOutcome::Kept { why } => ("kept", format!("{title}: {why}")),
                UndoOutcome::InProgress => ("going", format!("{title}: its deletion has started")),
                undone => ("gone", format!("{title}: {}", text::undone(undone).replace('-', " "))),
            },
        };
        self.put(event.at, what, step, &rest);
    }

    fn say(&mut self, sentence: &str) {
        self.put(SystemTime::now(), "note", "", sentence);
    }

    fn tick(&mut self, now: SystemTime) {
        let silent = self.last.and_then(|last| now.duration_since(last).ok()).unwrap_or_default();
        if silent < self.silence {
            return;
        }
        let running = self
            .progress_state
            .rows
            .iter()
            .filter(|row| matches!(row.state, State::Working | State::Checking));
        let waits: Vec<String> = running
            .map(|row| match &row.note {
                Some(note) => format!("{} ({note})", row.info.id),
                None => row.info.id.to_owned(),
            })
            .collect();
        let (done, all) = (self.progress_state.done(), self.progress_state.rows.len());
        self.put(now, "alive", "", &format!("{done} of {all} done; waiting for {}", waits.join(", ")));
    }

    fn close(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_injected_note_stays_in_its_line() {
        let mut written = Vec::new();
        let mut line = Line::new(ProgressState::default(), &mut written, TimeScale::REAL);
        let text = "a\x1b[2J\n09:31:02Z done     cluster".to_owned();
        line.show(&Event {
            at: SystemTime::UNIX_EPOCH,
            what: EventKind::Note { step: "cluster", text, progress: None },
        });
        let written = String::from_utf8(written).unwrap();
        assert!(written.contains("a\\u{1b}[2J\\u{a}09:31:02Z done"), "{written}");
        assert_eq!(written.lines().count(), 1);
    }
    use crate::render::fixture;

    #[test]
    fn every_event_is_a_line() {
        let mut written = Vec::new();
        let mut line = Line::new(ProgressState::default(), &mut written, TimeScale::REAL);
        fixture::events().iter().chain(&fixture::events()[13..]).for_each(|event| line.show(event));
        line.tick(fixture::now() + Duration::from_secs(29));
        line.tick(fixture::now() + Duration::from_secs(31));
        line.tick(fixture::now() + Duration::from_secs(32));
        fixture::failure().iter().for_each(|event| line.show(event));
        insta::assert_snapshot!(String::from_utf8(written).unwrap(), @"
        09:31:02Z open                     environment default, 9 steps
        09:31:02Z done     preflight       found in 0.4 s
        09:31:02Z start    resource-group  resource group rg-aks-istio-gateway-demo
        09:31:02Z done     resource-group  created in 0.3 s
        09:31:02Z start    cluster-ready   cluster aks-istio-gateway-demo
        09:31:02Z done     key-vault       changed in 0.2 s
        09:31:02Z start    certificate     certificate gateway-tls-cert
        09:31:03Z retry    certificate     ForbiddenByRbac; retry in 2.0 s
        09:31:04Z wait     cluster-ready   Creating, 83 s of about 280 s
        09:31:35Z alive                    3 of 9 done; waiting for certificate (ForbiddenByRbac, retrying), cluster-ready (Creating, 83 s of about 280 s)
        09:31:04Z failed   cluster-ready   after 3 min 12 s, failed to create cluster aks-istio-gateway-demo: quota exceeded for Standard DSv5 Family vCPUs in eastus (need 16, limit 10)
        09:31:04Z blocked  istio           by cluster-ready
        09:31:04Z stopped  certificate     interrupted in progress; the next run resumes
        ");
    }
}
