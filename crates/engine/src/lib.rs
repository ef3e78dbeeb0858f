//! A graph of check-then-apply steps. It runs as concurrently as its edges allow, and its journal survives
//! the death of the process at any instant.
//!
//! | I want to | I read |
//! |---|---|
//! | write a step | [`Step`], whose page is a tutorial that compiles |
//! | wire steps together | [`Graph::add`], [`Handle`], [`Inputs`] |
//! | create everything, or delete what is owned | [`up`], [`down`], [`Run`] |
//! | preview `up` without changes | [`plan`], [`Looking`] |
//! | wait for a condition from inside a step | [`Context::wait_until`], [`Context::attend`] |
//! | find existing resources, whoever created them | [`discover`], [`Discovery`] |
//! | read the recorded state | [`Journal`], [`Memory`], [`Past`] |
//! | refuse before a step is called, or recreate everything | [`Graph::guard`], [`Graph::again`] |
//! | display a run | [`Event`], [`What`], [`Report`] |
//!
//! The crate knows no cloud: it sends no request, prints nothing and reads no environment variable. Three
//! rules explain it:
//!
//! * *Decisions are pure.* The `schedule` module decides which steps may run, `rhythm` when to poll again,
//!   and [`Memory`] what the entries mean. Tasks, files and clocks are in `run`, [`Journal`] and [`Context`].
//! * *An entry is on disk before the program acts on it*, and an event that reports an entry follows it.
//! * *The engine never retries a step.* A client retries a request, a step waits for a condition, a person
//!   runs the command again.

mod context;
mod error;
mod event;
mod graph;
mod guard;
mod handle;
mod journal;
mod node;
mod pace;
mod remembered;
mod rhythm;
mod run;
mod run_context;
mod schedule;
mod step;
mod step_types;
mod stop;
mod wait;

pub use context::Context;
pub use error::{ErrorReport, Kind, Residue, StepError};
pub use event::{Event, Progress, What};
pub use graph::Graph;
pub use handle::{Done, Handle, Inputs, Outputs, RecordOf, Sources};
pub use journal::{
    Accepted, Damage, Entry, EnvironmentKey, FORMAT, Holder, Journal, JournalError, Memory, OpenError, Past,
    Salvaged, State,
};
pub use pace::Pace;
pub use run::{Action, Discovery, LeftBehind, Plan, Planned, Report, discover, down, plan, up};
pub use run_context::{Looking, Run};
pub use schedule::Schedule;
pub use step::Step;
pub use step_types::{Act, Change, Check, How, Outcome, StepInfo, Undone};
pub use stop::{Level, Stop};
pub use wait::{Look, Seen, Wait};
