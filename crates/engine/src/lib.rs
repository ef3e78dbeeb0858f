//! A graph of look-then-make steps, run as concurrently as its edges allow and remembered in a
//! journal that survives the death of the process at any instant.
//!
//! | I want to | I read |
//! |---|---|
//! | write a step | [`Step`], whose page is a tutorial that compiles |
//! | wire steps together | [`Graph::add`], [`Handle`], [`Inputs`] |
//! | bring everything up, or take down what is ours | [`up`], [`down`], [`Run`] |
//! | know what bringing up would do, and do nothing | [`plan`], [`Looking`] |
//! | wait for a condition from inside a step | [`Context::wait_until`], [`Context::attend`] |
//! | know what is there, whoever created it | [`discover`], [`Discovery`] |
//! | know what is remembered | [`Journal`], [`Memory`], [`Past`] |
//! | say no before a step is asked, or have all of it made again | [`Graph::guard`], [`Graph::again`] |
//! | show a run | [`Event`], [`What`], [`Report`] |
//!
//! The crate knows no cloud: it makes no request, prints nothing and reads no environment. What
//! must be known to change it is little. *Decisions are pure*: which steps may run is in the
//! `schedule` module, when to look again in `rhythm`, what the entries mean in [`Memory`]; tasks,
//! files and clocks are in `run`, [`Journal`] and [`Context`]. *An entry is on disk before it is
//! acted on*, and an event that reports an entry goes out after that. *The engine never tries a
//! step again*: a client retries a request, a step waits for a condition, a person runs the
//! command again.

mod context;
mod error;
mod event;
mod graph;
mod guard;
mod journal;
mod node;
mod pace;
mod remembered;
mod rhythm;
mod run;
mod schedule;
mod step;
mod stop;
mod wait;

pub use context::Context;
pub use error::{ErrorReport, Kind, Residue, StepError};
pub use event::{Event, Progress, What};
pub use graph::{Done, Graph, Handle, Inputs, Outputs, Sources, StepInfo};
pub use guard::Act;
pub use journal::{
    Accepted, Damage, Entry, EnvironmentKey, FORMAT, Holder, How, Journal, JournalError, Memory, OpenError,
    Past, Salvaged, State,
};
pub use pace::Pace;
pub use run::{
    Action, Discovery, LeftBehind, Looking, Outcome, Plan, Planned, Report, Run, discover, down, plan, up,
};
pub use schedule::Schedule;
pub use step::{Change, Check, Step, Undone};
pub use stop::{Level, Stop};
pub use wait::{Look, Seen, Wait};
