//! The shared parts of the commands that run steps: the journal, the opening, and the run itself.

mod journal;
mod open;
mod steps;

pub use journal::{AcceptJournal, recorded_state, same_journal};
pub use open::{heading, open, same_environment, warn_about_chain, warn_about_clock};
pub use steps::{RunOutput, RunResult, run_steps, verified};
