//! The data of a report: one recorded run, or the last runs of many environments. Nothing here prints.

mod critical_path;
pub mod fleet;
pub mod page_file;
pub mod run_view;

pub use fleet::{EnvironmentRun, FleetView};
pub use run_view::{RunState, RunView, StepResult, StepView};
