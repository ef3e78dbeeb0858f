//! The arguments that the commands of a fleet share.

use super::{amount::Amount, file, report::ReportFormat, select::Selection};
use crate::settings::flags::SettingFlags;
use std::path::PathBuf;

/// What selects environments.
#[derive(clap::Args, Debug)]
pub struct SelectArgs {
    /// Only these environments: names with * and ?, or ring=, subscription=, location=, domain=; terms with commas must
    /// all hold; may be repeated
    #[arg(long, value_name = "EXPR", value_parser = Selection::parse)]
    pub select: Vec<Selection>,
    /// Only environments that failed or did not run, or whose settings have changed since
    #[arg(long)]
    pub only_failed: bool,
    /// The settings.
    #[command(flatten)]
    pub setting_flags: SettingFlags,
}

/// What every run of a fleet takes.
#[derive(clap::Args, Debug)]
pub struct RunArgs {
    /// The selection.
    #[command(flatten)]
    pub select: SelectArgs,
    /// Environments that run at once [default: parallel in fleet.toml, or 20]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(file::PARALLEL_MAX)))]
    pub jobs: Option<u32>,
    /// Failures that a wave may have, 2 or 5% [default: max_failures in fleet.toml, or 0]
    #[arg(long, value_name = "N", value_parser = parse_amount)]
    pub max_failures: Option<Amount>,
    /// Print a report of every environment at the end
    #[arg(long, value_name = "FORMAT")]
    pub report: Option<ReportFormat>,
    /// Write the report to a file; its extension (json, csv, xml) selects the format if --report does not
    #[arg(long, value_name = "FILE")]
    pub report_file: Option<PathBuf>,
}

fn parse_amount(text: &str) -> Result<Amount, String> {
    Amount::parse(text).ok_or_else(|| "give a number, 2, or a share from 0% to 100%, 5%".to_owned())
}
