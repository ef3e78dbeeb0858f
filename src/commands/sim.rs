//! `landfall sim`: serves the simulated cloud in the foreground, for people, their tools, and every other
//! command.

use crate::{
    cli_context::CliContext,
    exit::Exit,
    failure::Failure,
    render::{escape, stream, text},
    settings::{LoadedConfig, Mode, file_schema::CloudName, flags::SettingFlags},
    signals::StopRequest,
    sim_target::{self, RemoteSim, SimHandle, SpeedText},
};
use landfall_engine::Journal;
use landfall_sim::{Listeners, Options, RegistrationOptions, RequestRecord, ServerRegistration, Sim};
use serde_json::{Map, Value, json};
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::SystemTime,
};

/// What `sim` takes.
#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    what: Option<SimAction>,
    /// Port on 127.0.0.1, kept for later runs [default: the previous port]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    #[command(flatten)]
    setting_flags: SettingFlags,
}

/// What else there is to do with a world.
#[derive(clap::Subcommand, Clone, Copy, Debug)]
enum SimAction {
    /// Print shell exports that point kubectl, az and curl to the served simulated cloud: eval "$(landfall sim env)"
    Env,
}

/// Runs it.
pub async fn run(cli_context: &CliContext, args: &Args) -> Result<Exit, Failure> {
    let config = cli_context.load_config(&args.setting_flags, Mode::Inspect)?;
    if config.place.cloud != CloudName::Sim {
        return Err(Failure::new(Exit::Input, "serve a simulated cloud")
            .cause("cloud is azure")
            .hint("use --cloud sim, with a separate --environment"));
    }
    match args.what {
        Some(SimAction::Env) => env(cli_context, &config).await,
        None => serve(cli_context, &config, args.port).await,
    }
}

async fn env(cli_context: &CliContext, config: &LoadedConfig) -> Result<Exit, Failure> {
    let folder = sim_target::folder(&config.place.sim, &config.folder);
    let Some(remote) = RemoteSim::find(&folder).await else {
        let environment = &config.settings.environment;
        let doing = format!("find the server of the simulated cloud of environment {environment}");
        return Err(Failure::new(Exit::Failed, doing)
            .cause("none is running")
            .hint(format!("run `{} sim` in another terminal", cli_context.program())));
    };
    stream::out().write(&remote.shell_exports().await?);
    Ok(Exit::Success)
}

async fn serve(cli_context: &CliContext, config: &LoadedConfig, port: Option<u16>) -> Result<Exit, Failure> {
    let folder = sim_target::folder(&config.place.sim, &config.folder);
    for path in Journal::secure(&folder).map_err(|error| Failure::of_journal(&error))? {
        cli_context.say(&format!(
            "{} was accessible to other users; its permissions are now restricted to you.",
            path.display()
        ));
    }
    let mut stop_request = StopRequest::listen();
    let kubeconfig = &config.settings.kubeconfig;
    let kubeconfig = std::path::absolute(kubeconfig).unwrap_or_else(|_| kubeconfig.clone());
    let options = Options {
        traffic: true,
        port,
        by: "landfall sim".to_owned(),
        registration: Some(RegistrationOptions { kubeconfig }),
        ..sim_target::options(&config.place.sim)
    };
    let found = tokio::select! {
        found = sim_target::find(&folder, &options) => found?,
        () = stop_request.received() => return Ok(Exit::Success),
    };
    let sim = match found {
        SimHandle::LocalSim(sim) => sim,
        SimHandle::RemoteSim(other) => {
            return Err(already_served(&config.settings.environment, &other.registration));
        }
    };
    let event_output = EventOutput { cli_context };
    event_output.print_start(&sim);
    event_output.follow(&sim, &mut stop_request).await;
    // A second signal ends the wait for the last connections.
    tokio::select! {
        () = sim.close() => {}
        () = stop_request.received() => {}
    }
    event_output.print_end(&folder);
    Ok(Exit::Success)
}

/// Returns the refusal to serve a simulated cloud that another process serves.
pub fn already_served(environment: &str, registration: &ServerRegistration) -> Failure {
    Failure::new(Exit::Locked, format!("serve the simulated cloud of environment {environment}"))
        .cause(format!("{} already serves it, at {}", registration.holder, registration.page()))
        .hint(
            "every command of the environment uses that one; another --environment has its own simulated \
               cloud",
        )
}

/// Returns the fields of the event about a simulated cloud that is served now.
pub fn serving_fields(environment: &str, registration: &ServerRegistration) -> Value {
    let connection = &registration.connection;
    json!({
        "environment": environment, "page": registration.page(), "port": connection.port,
        "pid": registration.holder.pid, "speed": SpeedText(connection.time_scale).to_string(),
        "seed": connection.seed, "folder": registration.folder, "kubeconfig": registration.kubeconfig,
        "acme": connection.acme_directory, "acme_staging": connection.acme_staging,
        "name_servers": connection.name_servers,
    })
}

/// Prints an event with these fields, with `--format json` only.
pub fn event(cli_context: &CliContext, name: &str, fields: Value) {
    if !cli_context.is_json() {
        return;
    }
    let mut object = Map::new();
    object.insert("event".into(), name.into());
    object.insert("at".into(), text::time(SystemTime::now()).into());
    if let Value::Object(fields) = fields {
        // A request has its own timestamp, in simulated time.
        object.extend(fields.into_iter().filter(|(key, _)| key != "at"));
    }
    stream::out().json(&Value::Object(object));
}

/// Output of events while a simulated cloud is served.
struct EventOutput<'a> {
    cli_context: &'a CliContext,
}

impl EventOutput<'_> {
    fn print_start(&self, sim: &Sim) {
        let Some(registration) = sim.registration() else { return };
        let connection = &registration.connection;
        self.event("serving", serving_fields(&self.cli_context.global.environment, registration));
        let style = self.cli_context.terminal.err;
        let heading = format!("landfall sim · {} · simulated cloud", self.cli_context.global.environment);
        let program = self.cli_context.program();
        self.cli_context.say(&format!(
            "{}\nNothing is created in Azure. Speed {}, seed {}.\n\n  \
             page         {}\n  \
             {}its certificate is signed by\n  \
             {}{}\n  \
             az, kubectl  eval \"$({program} sim env)\"\n  \
             ACME         {}\n  \
             {}its root certificate is\n  \
             {}{}\n  \
             DNS          {}name-servers\n  \
             landfall     every other command uses it while it runs\n\n\
             Press Ctrl-C to end it. Its state is saved; the next command resumes from it.\n",
            style.strong(&heading),
            SpeedText(connection.time_scale),
            connection.seed,
            registration.page(),
            " ".repeat(13),
            " ".repeat(13),
            shown(&registration.authority()),
            connection.acme_directory,
            " ".repeat(13),
            " ".repeat(13),
            shown(&registration.folder.join("acme-root.pem")),
            registration.page(),
        ));
    }

    /// Prints endpoints and requests until a signal ends the command.
    async fn follow(&self, sim: &Sim, stop_request: &mut StopRequest) {
        let (mut listeners, mut requests) = (sim.watch_listeners(), sim.watch_requests());
        let (mut open, mut last) = (Listeners::new(), 0);
        loop {
            let now = listeners.borrow_and_update().clone();
            for (place, socket) in now.iter().filter(|(place, _)| !open.contains_key(place)) {
                self.listener(*place, *socket, true);
            }
            for (place, socket) in open.iter().filter(|(place, _)| !now.contains_key(place)) {
                self.listener(*place, *socket, false);
            }
            open = now;
            requests.borrow_and_update();
            if self.cli_context.global.verbose > 0 {
                for line in sim.request_log_after(last) {
                    last = line.n;
                    self.request(&line);
                }
            }
            tokio::select! {
                () = stop_request.received() => return,
                Ok(()) = listeners.changed() => {}
                Ok(()) = requests.changed() => {}
            }
        }
    }

    fn listener(&self, (address, port): (Ipv4Addr, u16), socket: SocketAddr, opens: bool) {
        let state = if opens { "open" } else { "shut" };
        self.event("door", json!({ "state": state, "address": address, "port": port, "socket": socket }));
        let behind = match socket == SocketAddr::from((address, port)) {
            true => String::new(),
            false => format!(", served at {socket}"),
        };
        self.line(&format!("gateway {state}  {address}:{port}{behind}"));
    }

    fn request(&self, line: &RequestRecord) {
        self.event("request", serde_json::to_value(line).unwrap_or_default());
        let status = if line.status == 0 { "cut".to_owned() } else { line.status.to_string() };
        let fault = if line.fault.is_empty() { String::new() } else { format!("  ({})", line.fault) };
        self.line(&format!("{status} {:<6} {}{fault}", line.method, place(line)));
    }

    fn print_end(&self, folder: &Path) {
        self.event("ended", json!({}));
        let state = folder.join("sim");
        self.cli_context.say(&format!("\nEnded. The state is saved in {}.", state.display()));
    }

    fn line(&self, text: &str) {
        let text = escape::inline(text);
        self.cli_context.say(&format!("{} {text}", text::time_of_day(SystemTime::now())));
    }

    fn event(&self, name: &str, fields: Value) {
        event(self.cli_context, name, fields);
    }
}

/// Returns the path of a request, without the parts that all of them share: domain, subscription, cluster.
fn place(line: &RequestRecord) -> String {
    if let Some(below) = line.path.strip_prefix("/kubernetes/") {
        return format!("kubernetes /{}", below.split_once('/').map_or("", |(_, below)| below));
    }
    let host = line.host.split('.').next().unwrap_or_default();
    let below = line.path.strip_prefix("/subscriptions/").and_then(|rest| rest.split_once('/'));
    below.map_or_else(|| format!("{host} {}", line.path), |(_, below)| format!("{host} …/{below}"))
}

/// Returns a path relative to the current folder, if it is below it.
fn shown(path: &Path) -> String {
    let current_dir = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&current_dir).unwrap_or(path).display().to_string()
}
