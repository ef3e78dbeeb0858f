//! The shared parts of the commands that run steps: the journal, the opening, and the run itself.

mod execute;
mod journal;
mod open;
pub mod store;
mod teardown;

pub use execute::{RunControl, RunOutput, RunResult, displayed, run_steps, verified};
pub use journal::{AcceptJournal, Recorded, in_folder, same_journal};
pub use open::{heading, open, resolve_identity, same_environment, warn_about_chain, warn_about_clock};
pub use teardown::{PreparedTeardown, RecordedTeardown, TeardownOptions};
