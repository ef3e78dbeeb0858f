//! `landfall fleet sim`: one process serves the simulated clouds of a fleet, each in its own state folder.

use crate::{
    cli_context::CliContext,
    commands::sim::{already_served, event, serving_fields},
    exit::Exit,
    failure::Failure,
    fleet::{
        arguments::SelectArgs,
        command::{load, select},
        file::{Fleet, FleetEnvironment},
        state::FleetState,
    },
    settings::{Mode, file_schema::CloudName},
    signals::StopRequest,
    sim_target::{self, SimHandle},
};
use landfall_engine::Journal;
use landfall_sim::{Options, RegistrationOptions, Sim};
use serde_json::json;
use std::{panic::resume_unwind, path::PathBuf, sync::Arc, thread::available_parallelism};
use tokio::{sync::Semaphore, task::JoinSet};

/// The maximum number of environments whose page is printed.
const LISTED_MAX: usize = 20;

/// What `fleet sim` takes.
#[derive(clap::Args, Debug)]
pub(super) struct SimArgs {
    #[command(flatten)]
    select: SelectArgs,
}

/// The simulated cloud of an environment, before it is opened.
struct ClosedSim {
    environment: String,
    folder: PathBuf,
    options: Options,
}

impl ClosedSim {
    fn of(cli_context: &CliContext, environment: &FleetEnvironment) -> Result<Self, Failure> {
        let config = &environment.config;
        if config.place.cloud != CloudName::Sim {
            return Err(Failure::new(Exit::Input, "serve the simulated clouds of a fleet")
                .cause(format!("cloud is azure for environment {}", environment.name))
                .hint("select others: --select"));
        }
        for path in Journal::secure(&config.folder).map_err(|error| Failure::of_journal(&error))? {
            cli_context.say(&format!(
                "{} was accessible to other users; its permissions are now restricted to you.",
                path.display()
            ));
        }
        let kubeconfig = &config.settings.kubeconfig;
        let kubeconfig = std::path::absolute(kubeconfig).unwrap_or_else(|_| kubeconfig.clone());
        let options = Options {
            traffic: true,
            // Orders at an ACME server ask them, and its answer without a zone comes from them too.
            name_servers: config.settings.certificate.acme.is_some(),
            by: "landfall fleet sim".to_owned(),
            registration: Some(RegistrationOptions { kubeconfig }),
            ..sim_target::options(&config.place.sim)
        };
        Ok(Self { environment: environment.name.clone(), folder: config.folder.clone(), options })
    }

    async fn open(self) -> Result<(String, Box<Sim>), Failure> {
        match sim_target::find(&self.folder, &self.options).await? {
            SimHandle::LocalSim(sim) => Ok((self.environment, sim)),
            SimHandle::RemoteSim(other) => Err(already_served(&self.environment, &other.registration)),
        }
    }
}

/// Serves the simulated clouds of the selected environments until a signal.
///
/// # Errors
/// Fails if one of them cannot be opened; the others are closed again.
pub(super) async fn serve(cli_context: &CliContext, args: &SimArgs) -> Result<Exit, Failure> {
    let fleet = load(cli_context, &args.select.setting_flags, Mode::Inspect)?;
    let state = FleetState::of(cli_context, &fleet).await?;
    let selected = select(&fleet, &args.select, "sim", &state).await?;
    let closed = selected.iter().map(|at| ClosedSim::of(cli_context, &fleet.environments[*at]));
    let closed: Vec<ClosedSim> = closed.collect::<Result<_, _>>()?;
    let mut stop_request = StopRequest::listen();
    let sims = tokio::select! {
        opened = open_all(closed) => opened?,
        () = stop_request.received() => return Ok(Exit::Success),
    };
    print_start(cli_context, &fleet, &sims);
    stop_request.received().await;
    // A second signal ends the wait for the last connections.
    tokio::select! {
        () = close_all(sims) => {}
        () = stop_request.received() => {}
    }
    event(cli_context, "ended", json!({}));
    cli_context.say("\nEnded. The states are saved.");
    Ok(Exit::Success)
}

/// Opens all of them, as many at once as there are processors, and returns them by the name of the environment.
async fn open_all(closed: Vec<ClosedSim>) -> Result<Vec<(String, Box<Sim>)>, Failure> {
    let permits = Arc::new(Semaphore::new(available_parallelism().map_or(1, usize::from)));
    let mut opening = JoinSet::new();
    for sim in closed {
        let permits = Arc::clone(&permits);
        opening.spawn(async move {
            let _permit = permits.acquire().await;
            sim.open().await
        });
    }
    let mut sims = Vec::new();
    while let Some(opened) = opening.join_next().await {
        sims.push(opened.unwrap_or_else(|error| resume_unwind(error.into_panic()))?);
    }
    sims.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    Ok(sims)
}

async fn close_all(sims: Vec<(String, Box<Sim>)>) {
    let mut closing: JoinSet<()> = sims.into_iter().map(|(_, sim)| sim.close()).collect();
    while closing.join_next().await.is_some() {}
}

fn print_start(cli_context: &CliContext, fleet: &Fleet, sims: &[(String, Box<Sim>)]) {
    let registrations = || sims.iter().filter_map(|(name, sim)| Some((name, sim.registration()?)));
    for (name, registration) in registrations() {
        event(cli_context, "serving", serving_fields(name, registration));
    }
    event(cli_context, "serving_all", json!({ "fleet": fleet.name, "environments": sims.len() }));
    let style = cli_context.terminal.err;
    let heading = format!("landfall fleet sim · {} · {} simulated clouds", fleet.name, sims.len());
    let listed = registrations().take(LISTED_MAX);
    let mut pages: String =
        listed.map(|(name, registration)| format!("  {name}  {}\n", registration.page())).collect();
    if let Some(more) = sims.len().checked_sub(LISTED_MAX).filter(|more| *more > 0) {
        pages += &format!("  and {more} more\n");
    }
    cli_context.say(&format!(
        "{}\nNothing is created in Azure. Every command of these environments uses them while this runs.\n\n{pages}\n\
         Press Ctrl-C to end them. Their states are saved; the next command resumes from them.",
        style.strong(&heading)
    ));
}
