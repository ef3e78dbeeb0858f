//! `landfall status`: prints the journal's state without a cloud request; with `--live`, the current state of
//! the cloud.

use crate::{
    cli_context::CliContext,
    deployment::Deployment,
    exit::Exit,
    failure::Failure,
    render::{escape, live_status as live_view, status, stream},
    run::{self, Recorded},
    settings::{LoadedConfig, Mode, flags::SettingFlags},
    target::{self, Connection, Gateways},
};
use jiff::Timestamp;
use landfall_cloud::AddressMap;
use landfall_diagnose::live_status::{self, LiveStatus};
use landfall_engine::{EnvironmentKey, Journal, JournalState, OpenError};
use landfall_steps::settings::Teardown;

/// What `status` takes.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Also query the cloud: gateways with their resources, routes, certificate, DNS records
    #[arg(long)]
    live: bool,
    #[command(flatten)]
    setting_flags: SettingFlags,
}

/// Runs it.
pub async fn run(cli_context: &CliContext, args: &Args) -> Result<Exit, Failure> {
    let mut config = cli_context.load_config(&args.setting_flags, Mode::Inspect)?;
    let gateways = if args.live { Gateways::WithTraffic } else { Gateways::WithoutTraffic };
    let (recorded_state, damage, connection) = match &config.place.state {
        None => {
            let (recorded_state, damage) = recorded_state(&config)?;
            (recorded_state, damage, None)
        }
        Some(_) => {
            let (recorded_state, connection) =
                Recorded::read(cli_context, &config, gateways).await?.into_parts();
            (recorded_state, None, connection)
        }
    };
    let seen = match &recorded_state {
        Some((key, journal_state)) if args.live => {
            Some(read_live_status(cli_context, &config, connection, key, journal_state).await?)
        }
        _ => {
            if let Some(connection) = connection {
                connection.close().await;
            }
            None
        }
    };
    let empty = || {
        let key = EnvironmentKey {
            cloud: target::name(config.place.cloud).to_owned(),
            subscription: config.place.subscription.clone().unwrap_or_default(),
            environment: config.settings.environment.clone(),
        };
        (key, JournalState::default())
    };
    let (key, journal_state) = recorded_state.unwrap_or_else(empty);
    let clients = target::offline(&key.subscription)?;
    let as_configured = Deployment::new(&clients, &config.settings, Teardown::default());
    config.settings = as_configured.resources().with_recorded_names(&config.settings, &journal_state);
    let deployment = Deployment::new(&clients, &config.settings, Teardown::default());
    let steps = deployment.graph.steps();
    let facts = deployment.facts(&journal_state);
    let shown = status::Status {
        key: &key,
        steps: &steps,
        journal_state: &journal_state,
        facts: &facts,
        now: seen.as_ref().map_or_else(Timestamp::now, |seen| seen.now),
    };
    let program = cli_context.program();
    let live = seen.as_ref().map(|Live { live_status, address_map, .. }| live_view::LiveStatusView {
        live_status,
        address_map,
        program: &program,
        now: shown.now,
    });
    let text = match (cli_context.is_json(), &live) {
        (true, live) => {
            let mut document = status::document(&shown);
            if let Some(live) = live {
                document["live"] = live_view::document(live);
            }
            if let Some(damage) = &damage {
                document["damage"] = damage.to_string().into();
            }
            escape::json(&document)
        }
        (false, Some(live)) => {
            let style = cli_context.terminal.out;
            format!(
                "{}\n\n{}",
                status::heading(&shown, "Live state from the cloud.", style),
                live_view::text(live, style)
            )
        }
        (false, None) => status::text(&shown, &program, cli_context.terminal.out),
    };
    stream::out().line(&text);
    match damage {
        Some(damage) => Err(Failure::of_journal(&damage)),
        None => Ok(Exit::Success),
    }
}

/// A read journal: its owner, its state, and its damage.
type RecordedState = (Option<(EnvironmentKey, JournalState)>, Option<OpenError>);

/// Reads the journal; of a damaged one, the readable part.
fn recorded_state(config: &LoadedConfig) -> Result<RecordedState, Failure> {
    let refuse = |error: OpenError| Failure::of_journal(&error);
    let damage = match Journal::read(&config.folder) {
        Ok(recorded_state) => return Ok((recorded_state, None)),
        Err(error @ (OpenError::Damaged { .. } | OpenError::Corrupt { .. })) => error,
        Err(error) => return Err(refuse(error)),
    };
    // The error of an unreadable journal is its damage, not the failure to salvage it.
    let Ok(Some(salvaged)) = Journal::salvage(&config.folder) else { return Err(refuse(damage)) };
    Ok((Some((salvaged.key, salvaged.journal_state)), Some(damage)))
}

/// The state of the cloud, and its time.
struct Live {
    live_status: LiveStatus,
    address_map: AddressMap,
    now: Timestamp,
}

/// Reads the state of the cloud, without the journal's lock and without writing the journal.
async fn read_live_status(
    cli_context: &CliContext,
    config: &LoadedConfig,
    connection: Option<Connection>,
    key: &EnvironmentKey,
    journal_state: &JournalState,
) -> Result<Live, Failure> {
    run::same_journal(config, key)?;
    let (subscription, gateways) = (Some(key.subscription.as_str()), Gateways::WithTraffic);
    let target = Recorded::connect(connection, cli_context, config, subscription, gateways).await?;
    let deployment = Deployment::new(&target.clients, &config.settings, Teardown::default());
    let settings = deployment.resources().with_recorded_names(&config.settings, journal_state);
    let environment = landfall_steps::description(&target.clients, &settings, journal_state);
    let live_status = live_status::read(&target.clients, &environment).await;
    let address_map = target.address_map().await;
    let now = target.clients.clock().now();
    target.close().await;
    Ok(Live { live_status, address_map, now })
}
