//! `landfall fleet render`: the manifests of a run, for kubectl or a GitOps repository.

use super::{
    manifests::{self, WaveJob},
    pod_settings::PublicFiles,
    rollout::Rollout,
    wave_list::WaveList,
};
use crate::{
    cli_context::CliContext,
    exit::Exit,
    failure::Failure,
    fleet::{file::Fleet, runner::Limits, waves::Wave},
    render::stream,
};
use landfall_cloud::kubernetes::manifest;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The output of a rendering.
#[derive(clap::Args, Debug)]
pub struct RenderOptions {
    /// Write one file for each object into this folder; by default everything goes to standard output
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// The id of the run, in names and labels [default: a digest of the lists]
    #[arg(long = "run", value_name = "ID", value_parser = parse_run)]
    run: Option<String>,
    /// Also print the Role of the person or CI job that applies the manifests and follows the Jobs
    #[arg(long)]
    rbac: bool,
}

/// Parses the id of a run, which is a part of names.
fn parse_run(text: &str) -> Result<String, String> {
    let allowed = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    match (1..=12).contains(&text.len()) && text.chars().all(allowed) {
        true => Ok(text.to_owned()),
        false => Err("give 1 to 12 lower-case letters and digits".to_owned()),
    }
}

/// An object and the name of its file.
type RenderedFile = (String, Value);

/// Prints or writes the manifests.
pub fn run(
    cli_context: &CliContext,
    fleet: &Arc<Fleet>,
    waves: &[Wave],
    limits: &Limits,
    arguments: Vec<String>,
    options: &RenderOptions,
) -> Result<Exit, Failure> {
    let mut rollout =
        Rollout::new(cli_context, fleet, "up", arguments, options.run.as_deref().unwrap_or_default())?;
    if options.run.is_none() {
        rollout.run = digest(&rollout, waves)?;
    }
    let files = files(&rollout, waves, limits, options)?;
    match &options.output {
        Some(folder) => write(folder, &files)?,
        None => stream::out().write(&text(&files)),
    }
    let first = waves.first().map_or("", |wave| wave.name.as_str());
    if waves.len() > 1 {
        cli_context.say(&format!(
            "The Job of wave {first} starts when it is applied. The others are suspended: start each with `kubectl patch job \
             NAME --type merge --patch '{{\"spec\":{{\"suspend\":false}}}}'` when the one before it is complete."
        ));
    }
    Ok(Exit::Success)
}

fn files(
    rollout: &Rollout,
    waves: &[Wave],
    limits: &Limits,
    options: &RenderOptions,
) -> Result<Vec<RenderedFile>, Failure> {
    let config = &rollout.config;
    let mut files = vec![
        ("namespace.yaml".to_owned(), manifests::namespace(config)),
        ("service-account.yaml".to_owned(), manifests::service_account(config)),
    ];
    if options.rbac || options.output.is_some() {
        files.push(("role.yaml".to_owned(), manifests::role(config)));
    }
    for (at, wave) in waves.iter().enumerate() {
        let (list, public) = rollout.list(wave)?;
        let job = WaveJob { suspended: at > 0, ..rollout.job(&list, &public, at + 1, limits) };
        files.push((format!("wave-{}-config-map.yaml", at + 1), job.config_map(config)?));
        files.push((format!("wave-{}-job.yaml", at + 1), job.job(config)));
    }
    Ok(files)
}

/// Returns an id that differs between runs of other lists.
fn digest(rollout: &Rollout, waves: &[Wave]) -> Result<String, Failure> {
    let lists: Result<Vec<(WaveList, PublicFiles)>, Failure> =
        waves.iter().map(|wave| rollout.list(wave)).collect();
    let text: String = lists?.iter().map(|(list, files)| format!("{}{files:?}", list.text())).collect();
    let text = format!("{text}{}", rollout.config.image);
    let id = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, text.as_bytes());
    Ok(id.simple().to_string().chars().take(8).collect())
}

fn text(files: &[RenderedFile]) -> String {
    let documents: Vec<String> = files.iter().map(|(_, object)| manifest::to_yaml(object)).collect();
    documents.join("---\n")
}

fn write(folder: &Path, files: &[RenderedFile]) -> Result<(), Failure> {
    let failed = |path: &Path, error: &std::io::Error| {
        Failure::new(Exit::Failed, format!("write {}", path.display()))
            .caused_by(error)
            .hint(landfall_engine::file_remedy(error))
    };
    fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
    for (name, object) in files {
        let path = folder.join(name);
        fs::write(&path, manifest::to_yaml(object)).map_err(|error| failed(&path, &error))?;
    }
    Ok(())
}
