//! Fleets: many environments from one file, in waves, with one report.
//!
//! `command` is a command from its `arguments` to its `output`. `file` reads `fleet.toml`, `merge` builds the settings of
//! each environment, and `duplicates` refuses two that share a resource. `waves` and `select` decide what runs; `runner`
//! runs it, and `environment_run` is one environment's part: the same code as the command of that name. `preflight`
//! refuses what exceeds a quota only together. `record` is the fleet's own journal, `state` the place of all journals, and
//! `journal_facts` what they say. `causes` groups the failures, `status` and `report` are for afterwards.

pub mod amount;
pub mod arguments;
pub mod causes;
pub mod command;
mod duplicates;
pub mod environment_run;
pub mod file;
mod in_process;
pub mod journal_facts;
pub mod kubernetes;
mod merge;
pub mod one;
mod output;
pub mod preflight;
pub mod record;
pub mod report;
pub mod result;
pub mod runner;
pub mod select;
pub mod state;
pub mod status;
mod wave_progress;
pub mod waves;
