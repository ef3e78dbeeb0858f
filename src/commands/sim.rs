//! `landfall sim`: serves the simulated cloud in the foreground, for people, their tools, and every other
//! command.

use crate::{
    exit::Exit,
    failure::Failure,
    interrupt::Wish,
    rehearsal::{self, Elsewhere, Pace, Rehearsed},
    render::{escape, stream, words},
    session::Session,
    settings::{Purpose, Wished, file::CloudName, flags::Wishes},
};
use landfall_engine::Journal;
use landfall_sim::{Doors, Line, Options, Served, Serving, Sim};
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
    what: Option<What>,
    /// Port on 127.0.0.1, kept for later runs [default: the previous port]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    #[command(flatten)]
    wishes: Wishes,
}

/// What else there is to do with a world.
#[derive(clap::Subcommand, Clone, Copy, Debug)]
enum What {
    /// Print shell exports that point kubectl, az and curl to the served simulated cloud: eval "$(landfall sim env)"
    Env,
}

/// Runs it.
pub async fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let wished = session.wished(&args.wishes, Purpose::Remember)?;
    if wished.place.cloud != CloudName::Sim {
        return Err(Failure::new(Exit::Input, "serve a simulated cloud")
            .cause("cloud is azure")
            .hint("use --cloud sim, with a separate --environment"));
    }
    match args.what {
        Some(What::Env) => env(session, &wished).await,
        None => serve(session, &wished, args.port).await,
    }
}

async fn env(session: &Session, wished: &Wished) -> Result<Exit, Failure> {
    let Some(elsewhere) = Elsewhere::find(&wished.folder).await else {
        let environment = &wished.settings.environment;
        let doing = format!("find the server of the simulated cloud of environment {environment}");
        return Err(Failure::new(Exit::Failed, doing)
            .cause("none is running")
            .hint(format!("run `{} sim` in another terminal", session.program())));
    };
    stream::out().write(&elsewhere.shell().await?);
    Ok(Exit::Well)
}

async fn serve(session: &Session, wished: &Wished, port: Option<u16>) -> Result<Exit, Failure> {
    for path in Journal::secure(&wished.folder).map_err(|error| Failure::of_journal(&error))? {
        session.say(&format!(
            "{} was accessible to other users; its permissions are now restricted to you.",
            path.display()
        ));
    }
    let mut wish = Wish::listen();
    let kubeconfig = &wished.settings.kubeconfig;
    let kubeconfig = std::path::absolute(kubeconfig).unwrap_or_else(|_| kubeconfig.clone());
    let options = Options {
        traffic: true,
        port,
        by: "landfall sim".to_owned(),
        served: Some(Served { kubeconfig }),
        ..rehearsal::options(&wished.place.sim)
    };
    let found = tokio::select! {
        found = rehearsal::find(&wished.folder, &options) => found?,
        () = wish.comes() => return Ok(Exit::Well),
    };
    let sim = match found {
        Rehearsed::Own(sim) => sim,
        Rehearsed::Elsewhere(other) => return Err(served_already(session, &other.serving)),
    };
    let telling = Telling { session };
    telling.begins(&sim);
    telling.follow(&sim, &mut wish).await;
    // A second signal ends the wait for the last connections.
    tokio::select! {
        () = sim.close() => {}
        () = wish.comes() => {}
    }
    telling.ends(&wished.folder);
    Ok(Exit::Well)
}

fn served_already(session: &Session, serving: &Serving) -> Failure {
    let environment = &session.global.environment;
    Failure::new(Exit::Locked, format!("serve the simulated cloud of environment {environment}"))
        .cause(format!("{} already serves it, at {}", serving.holder, serving.page()))
        .hint(
            "every command of the environment uses that one; another --environment has its own simulated \
               cloud",
        )
}

/// Output of events while a simulated cloud is served.
struct Telling<'a> {
    session: &'a Session,
}

impl Telling<'_> {
    fn begins(&self, sim: &Sim) {
        let Some(serving) = sim.serving() else { return };
        let facts = &serving.facts;
        self.event(
            "serving",
            json!({
                "environment": self.session.global.environment, "page": serving.page(), "port": facts.port,
                "pid": serving.holder.pid, "speed": Pace(facts.pace).to_string(), "seed": facts.seed,
                "folder": serving.folder, "kubeconfig": serving.kubeconfig,
            }),
        );
        let paint = self.session.terminal.err;
        let heading = format!("landfall sim · {} · simulated cloud", self.session.global.environment);
        let program = self.session.program();
        self.session.say(&format!(
            "{}\nNothing is created in Azure. Speed {}, seed {}.\n\n  \
             page         {}\n  \
             {}its certificate is signed by\n  \
             {}{}\n  \
             az, kubectl  eval \"$({program} sim env)\"\n  \
             landfall     every other command uses it while it runs\n\n\
             Press Ctrl-C to end it. Its state is saved; the next command resumes from it.\n",
            paint.strong(&heading),
            Pace(facts.pace),
            facts.seed,
            serving.page(),
            " ".repeat(13),
            " ".repeat(13),
            shown(&serving.authority()),
        ));
    }

    /// Prints endpoints and requests until a signal ends the command.
    async fn follow(&self, sim: &Sim, wish: &mut Wish) {
        let (mut doors, mut requests) = (sim.watch_doors(), sim.watch_requests());
        let (mut open, mut last) = (Doors::new(), 0);
        loop {
            let now = doors.borrow_and_update().clone();
            for (place, socket) in now.iter().filter(|(place, _)| !open.contains_key(place)) {
                self.door(*place, *socket, true);
            }
            for (place, socket) in open.iter().filter(|(place, _)| !now.contains_key(place)) {
                self.door(*place, *socket, false);
            }
            open = now;
            requests.borrow_and_update();
            if self.session.global.verbose > 0 {
                for line in sim.ledger_after(last) {
                    last = line.n;
                    self.request(&line);
                }
            }
            tokio::select! {
                () = wish.comes() => return,
                Ok(()) = doors.changed() => {}
                Ok(()) = requests.changed() => {}
            }
        }
    }

    fn door(&self, (address, port): (Ipv4Addr, u16), socket: SocketAddr, opens: bool) {
        let state = if opens { "open" } else { "shut" };
        self.event("door", json!({ "state": state, "address": address, "port": port, "socket": socket }));
        let behind = match socket == SocketAddr::from((address, port)) {
            true => String::new(),
            false => format!(", served at {socket}"),
        };
        self.line(&format!("gateway {state}  {address}:{port}{behind}"));
    }

    fn request(&self, line: &Line) {
        self.event("request", serde_json::to_value(line).unwrap_or_default());
        let status = if line.status == 0 { "cut".to_owned() } else { line.status.to_string() };
        let fault = if line.fault.is_empty() { String::new() } else { format!("  ({})", line.fault) };
        self.line(&format!("{status} {:<6} {}{fault}", line.method, place(line)));
    }

    fn ends(&self, folder: &Path) {
        self.event("ended", json!({}));
        let world = folder.join("sim");
        self.session.say(&format!("\nEnded. The state is saved in {}.", world.display()));
    }

    fn line(&self, text: &str) {
        let text = escape::inline(text);
        self.session.say(&format!("{} {text}", words::time_of_day(SystemTime::now())));
    }

    fn event(&self, name: &str, fields: Value) {
        if !self.session.is_json() {
            return;
        }
        let mut object = Map::new();
        object.insert("event".into(), name.into());
        object.insert("at".into(), words::time(SystemTime::now()).into());
        if let Value::Object(fields) = fields {
            // A request has its own timestamp, in simulated time.
            object.extend(fields.into_iter().filter(|(key, _)| key != "at"));
        }
        stream::out().json(&Value::Object(object));
    }
}

/// Returns the path of a request, without the parts that all of them share: domain, subscription, cluster.
fn place(line: &Line) -> String {
    if let Some(below) = line.path.strip_prefix("/kubernetes/") {
        return format!("kubernetes /{}", below.split_once('/').map_or("", |(_, below)| below));
    }
    let host = line.host.split('.').next().unwrap_or_default();
    let below = line.path.strip_prefix("/subscriptions/").and_then(|rest| rest.split_once('/'));
    below.map_or_else(|| format!("{host} {}", line.path), |(_, below)| format!("{host} …/{below}"))
}

/// Returns a path relative to the current folder, if it is below it.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}
