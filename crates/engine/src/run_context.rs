//! The context of a run besides the graph: journal, time scale, stop handle and the receiver of events.

use crate::{
    event::{Event, EventKind},
    journal::{DetailedEntry, Journal, JournalError, JournalState},
    stop::Stop,
    time_scale::TimeScale,
};
use std::{sync::Arc, time::SystemTime};
use tokio::sync::mpsc;

/// The context of a run, besides the graph.
#[derive(Debug, Clone)]
pub struct Run {
    /// The journal of the run.
    pub journal: Arc<Journal>,
    /// The time scale of the cloud.
    pub time_scale: TimeScale,
    /// The handle that stops the run.
    pub stop: Stop,
    /// The receiver of the events. Unbounded, because no recorded event may be dropped.
    pub events: mpsc::UnboundedSender<Event>,
}

impl Run {
    pub(crate) fn emit(&self, what: EventKind) {
        // A display that has ended does not stop the run.
        let _ = self.events.send(Event { at: SystemTime::now(), what });
    }

    /// Writes an entry, and emits its event once it is durable.
    pub(crate) fn record(
        &self,
        entry: impl Into<DetailedEntry>,
        what: EventKind,
    ) -> Result<(), JournalError> {
        let events = self.events.clone();
        self.journal.append_then(entry, move || {
            let _ = events.send(Event { at: SystemTime::now(), what });
        })
    }
}

/// The context of a plan, besides the graph.
#[derive(Debug, Clone)]
pub struct PlanContext {
    /// The recorded state. The plan adds nothing to it.
    pub journal_state: Arc<JournalState>,
    /// The time scale of the cloud.
    pub time_scale: TimeScale,
    /// The handle that stops the plan.
    pub stop: Stop,
}
