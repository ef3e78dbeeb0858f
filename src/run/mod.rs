//! What the commands that run steps share: the journal, the frame of a run, and the run itself.

mod frame;
mod journal;
mod steps;

pub use frame::{heading, open, same_environment};
pub use journal::{AcceptJournal, recorded_state, same_journal};
pub use steps::{RunOutput, RunResult, run_steps, verified};
