//! A graph of check-then-apply steps. It runs as concurrently as its edges allow, and its journal survives
//! the death of the process at any instant.
//!
//! | I want to | I read |
//! |---|---|
//! | write a step | [`Step`], whose page is a tutorial that compiles |
//! | wire steps together | [`Graph::add`], [`Handle`], [`Inputs`] |
//! | create everything, or delete what is owned | [`up`], [`down`], [`Run`] |
//! | preview `up` without changes | [`plan`], [`PlanContext`] |
//! | wait for a condition from inside a step | [`Context::wait_until`], [`Context::wait_for`] |
//! | find existing resources, owned or foreign | [`discover`], [`Discovery`] |
//! | read the recorded state | [`Journal`], [`JournalState`], [`StepState`] |
//! | refuse before a step is called, or recreate everything | [`Graph::add_policy`], [`Graph::always_apply`] |
//! | report on the recorded runs | [`Journal::runs`], [`RecordedRun`], [`StepActivity`], [`RunSummary`] |
//! | display a run | [`Event`], [`EventKind`], [`Report`] |
//! | know the step of a request | [`current_step`] |
//!
//! The crate knows no cloud: it sends no request, prints nothing and reads no environment variable. Three
//! rules explain it:
//!
//! * *Decisions are pure.* The `schedule` module decides which steps may run, `poll_interval` when to poll again,
//!   and [`JournalState`] what the entries mean. Tasks, files and clocks are in `run`, [`Journal`] and [`Context`].
//! * *An entry is on disk before the program acts on it*, and an event that reports an entry follows it.
//! * *The engine never retries a step.* A client retries a request, a step waits for a condition, a person
//!   runs the command again.

mod action_policy;
mod activity;
mod context;
mod current_step;
mod error;
mod event;
mod graph;
mod handle;
mod journal;
mod node;
mod os_error;
mod poll_interval;
mod run;
mod run_context;
mod schedule;
mod step;
mod step_record_store;
mod step_types;
mod stop;
mod time_scale;
mod wait;

pub use activity::{RetryCount, StepActivity, WaitSpan, count_request, count_retry};
pub use context::Context;
pub use current_step::current_step;
pub use error::{ErrorReport, Kind, Leftover, StepError};
pub use event::{Event, EventKind, Progress};
pub use graph::Graph;
pub use handle::{Done, Handle, Inputs, OptionalHandle, Outputs, RecordOf, Sources, ValueIfEnabled};
pub use journal::{
    Accepted, BlockedStep, CriticalStep, Damage, DetailedEntry, Details, Entry, EnvironmentKey, FORMAT,
    Holder, Journal, JournalError, JournalState, LEASE, LeaseEnd, Moved, OpenError, PartContent,
    RecordedLine, RecordedRun, RecordedRuns, RemoteContent, RemoteLog, RemoteOptions, RemoteRuns,
    RemoteStore, RunSummary, Salvaged, StepState, StepStatus, StoreError, StoreErrorKind, StoreResult,
    Unlocked, moved_to,
};
pub use os_error::{file_remedy, is_thread_refusal};
pub use run::{Action, Discovery, LeftBehind, Plan, Planned, Report, discover, down, plan, up};
pub use run_context::{PlanContext, Run};
pub use schedule::Schedule;
pub use step::Step;
pub use step_types::{Change, Check, How, Outcome, Override, StepAction, StepInfo, UndoOutcome};
pub use stop::{Stop, StopLevel};
pub use time_scale::TimeScale;
pub use wait::{Poll, StatusCell, Wait};
