//! The simulated cloud of an environment: opened by this process, or served by another one and used over
//! HTTPS.
//!
//! One process at a time holds its state. `landfall sim` serves it to every command, and records its
//! endpoint. Any other holder is a run that will end, so this process waits for it, and names it after a
//! timeout.

use crate::{exit::Exit, failure::Failure, render::stream, settings::target::Rehearsal};
use landfall_cloud::Ways;
use landfall_sim::{DOORS_MAX, Facts, Options, Serving, Sim, SimError, Speed};
use serde::Deserialize;
use serde_json::json;
use std::{
    error::Error,
    fmt,
    net::{IpAddr, SocketAddr},
    path::Path,
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// The maximum wait for a simulated cloud that another run holds.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// The time after which a message reports the wait.
const SILENT_MAX: Duration = Duration::from_secs(1);
/// The poll interval for a held state, or for endpoints that are not open yet.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The timeout of an answer of the server, which is on this machine.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// The size limit of one of its answers, in decoded bytes.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// An open simulated cloud.
pub enum Rehearsed {
    /// This process runs it.
    Own(Box<Sim>),
    /// `landfall sim` serves it.
    Elsewhere(Box<Elsewhere>),
}

/// Opens the simulated cloud below an environment's folder, or attaches to the process that serves it.
///
/// `traffic` enables the gateways of this process's own simulated cloud; a served one always has them.
///
/// # Errors
/// Fails if it cannot be opened, if another run holds it for longer than [`WAIT_MAX`], and if the serving
/// process has other options than these settings.
pub async fn open(wishes: &Rehearsal, folder: &Path, traffic: bool) -> Result<Rehearsed, Failure> {
    let found = find(folder, &Options { traffic, ..options(wishes) }).await?;
    if let Rehearsed::Elsewhere(elsewhere) = &found {
        elsewhere.agrees(wishes)?;
        elsewhere.arm(&wishes.faults).await?;
    }
    Ok(found)
}

/// Returns the options of a simulated cloud with these settings.
pub fn options(wishes: &Rehearsal) -> Options {
    let speed = wishes.speed.value;
    Options {
        speed: if speed.is_infinite() { Speed::Instant } else { Speed::Times(speed) },
        seed: wishes.seed.as_ref().map(|seed| seed.value),
        faults: wishes.faults.clone(),
        ..Options::default()
    }
}

/// Opens the simulated cloud, or finds its server; waits for a holder that neither ends nor serves.
///
/// # Errors
/// Those of [`open`].
pub async fn find(folder: &Path, options: &Options) -> Result<Rehearsed, Failure> {
    let world = folder.join("sim");
    let begun = Instant::now();
    let mut said = false;
    loop {
        let busy = match Sim::open(&world, options.clone()).await {
            Ok(sim) => return Ok(Rehearsed::Own(Box::new(sim))),
            Err(error @ SimError::Busy { .. }) => error,
            Err(error) => return Err(Failure::of_rehearsal(&error)),
        };
        if let Some(elsewhere) = Elsewhere::find(folder).await {
            return Ok(Rehearsed::Elsewhere(Box::new(elsewhere)));
        }
        if begun.elapsed() >= WAIT_MAX {
            return Err(Failure::of_rehearsal(&busy));
        }
        if let SimError::Busy { holder: Some(holder), .. } = &busy
            && !said
            && begun.elapsed() >= SILENT_MAX
        {
            let most = WAIT_MAX.as_secs();
            stream::err()
                .line(&format!("Waiting for {holder} to release the simulated cloud, at most {most} s."));
            said = true;
        }
        sleep(LOOK_EVERY).await;
    }
}

impl Rehearsed {
    /// Returns its endpoints and its sign-in data.
    pub fn facts(&self) -> &Facts {
        match self {
            Self::Own(sim) => sim.facts(),
            Self::Elsewhere(elsewhere) => &elsewhere.serving.facts,
        }
    }

    /// Returns whether its time stops when this process ends.
    pub const fn rests(&self) -> bool {
        matches!(self, Self::Own(_))
    }

    /// Returns a remark for a person, before the first creation.
    pub fn remark(&self) -> String {
        let Facts { pace, seed, .. } = self.facts();
        let first = "Nothing is created in Azure. To deploy to Azure, use --cloud azure.";
        let second = format!("Speed {}, seed {seed}", Pace(*pace));
        match self {
            Self::Own(_) => format!("{first}\n{second}."),
            Self::Elsewhere(elsewhere) => {
                format!("{first}\n{second}; page {}", elsewhere.serving.page())
            }
        }
    }

    /// Returns the address map of the gateways, once those with an address answer.
    pub async fn ways(&self) -> Ways {
        match self {
            Self::Own(sim) => {
                let doors = sim.doors_open().await.into_iter();
                Ways::new(doors.map(|((address, port), socket)| ((address.into(), port), socket)))
            }
            Self::Elsewhere(elsewhere) => elsewhere.ways().await,
        }
    }

    /// Closes it.
    pub async fn close(self) {
        if let Self::Own(sim) = self {
            sim.close().await;
        }
    }
}

/// A simulated cloud that `landfall sim` serves in another process.
pub struct Elsewhere {
    /// Its own description.
    pub serving: Serving,
    client: reqwest::Client,
}

/// An endpoint in the answer of `/_sim/doors`.
#[derive(Deserialize)]
struct Door {
    address: IpAddr,
    port: u16,
    socket: Option<SocketAddr>,
}

impl Elsewhere {
    /// Finds the server of an environment's simulated cloud; `None` if no server is recorded, or the recorded
    /// one no longer answers.
    pub async fn find(folder: &Path) -> Option<Self> {
        #[derive(Deserialize)]
        struct Said {
            id: String,
        }
        let serving = Serving::find(&folder.join("sim"))?;
        let authority = reqwest::Certificate::from_pem_bundle(serving.facts.ca_pem.as_bytes()).ok()?;
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(ANSWER_MAX)
            .tls_certs_only(authority)
            .build()
            .ok()?;
        let found = Self { serving, client };
        let said: Said = serde_json::from_slice(&found.read("serving").await.ok()?).ok()?;
        // The port outlives the server: a short-lived run may answer there now.
        (said.id == found.serving.id).then_some(found)
    }

    /// Returns shell exports that point `kubectl`, `az` and `curl` to it.
    ///
    /// # Errors
    /// Fails if it does not answer.
    pub async fn shell(&self) -> Result<String, Failure> {
        let read = self.read("env").await.map_err(|error| self.silent(&*error))?;
        Ok(String::from_utf8_lossy(&read).into_owned())
    }

    async fn get(&self, what: &str) -> reqwest::Result<reqwest::Response> {
        let url = format!("{}{what}", self.serving.page());
        self.client.get(url).send().await?.error_for_status()
    }

    /// Reads an answer within [`ANSWER_BYTES_MAX`].
    async fn read(&self, what: &str) -> Result<Vec<u8>, Box<dyn Error>> {
        let mut answer = self.get(what).await.map_err(reqwest::Error::without_url)?;
        let mut read = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
            read.extend_from_slice(&piece);
            if read.len() > ANSWER_BYTES_MAX {
                return Err(format!("the answer is larger than {ANSWER_BYTES_MAX} bytes").into());
            }
        }
        Ok(read)
    }

    /// Arms faults in place of the armed ones, as opening with them does; an empty list changes nothing.
    async fn arm(&self, faults: &[String]) -> Result<(), Failure> {
        if faults.is_empty() {
            return Ok(());
        }
        let url = format!("{}faults", self.serving.page());
        let body = json!({ "faults": faults });
        let answered = self.client.put(url).json(&body).send().await;
        let answered = answered.and_then(reqwest::Response::error_for_status);
        answered.map(|_| ()).map_err(|error| self.silent(&error.without_url()))
    }

    fn silent(&self, error: &(dyn Error + 'static)) -> Failure {
        Failure::new(Exit::Failed, format!("query {}", self.serving.holder))
            .caused_by(error)
            .hint("run again: if no server runs, each command opens the simulated cloud itself")
    }

    /// Refuses settings that conflict with the options of the served simulated cloud.
    fn agrees(&self, wishes: &Rehearsal) -> Result<(), Failure> {
        let (facts, holder) = (&self.serving.facts, &self.serving.holder);
        let mut mistakes = Vec::new();
        let speed = &wishes.speed;
        if speed.chosen() && speed.value != facts.pace {
            let (wished, is) = (Pace(speed.value), Pace(facts.pace));
            let wrong = format!("the simulated cloud has speed {is}, not {wished}: {holder} serves it");
            let hint = format!("omit it, or end that one and start `landfall sim --speed {wished}`");
            mistakes.push(speed.wrong(wrong).hint(hint));
        }
        if let Some(seed) = wishes.seed.as_ref().filter(|seed| seed.value != facts.seed) {
            let (wished, is) = (seed.value, facts.seed);
            let wrong = format!("the simulated cloud has seed {is}, not {wished}: {holder} serves it");
            let hint = "omit it: the seed of a simulated cloud never changes; another --environment has its \
                        own";
            mistakes.push(seed.wrong(wrong).hint(hint));
        }
        if mistakes.is_empty() { Ok(()) } else { Err(Failure::of_mistakes(mistakes)) }
    }

    async fn ways(&self) -> Ways {
        let begun = Instant::now();
        loop {
            let read = self.read("doors").await.unwrap_or_default();
            let doors: Vec<Door> = serde_json::from_slice(&read).unwrap_or_default();
            let all = doors.iter().all(|door| door.socket.is_some());
            if all || begun.elapsed() >= DOORS_MAX {
                let open =
                    doors.into_iter().filter_map(|door| Some(((door.address, door.port), door.socket?)));
                return Ways::new(open);
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

/// A time scale in the settings' syntax: a number, or `instant`.
pub struct Pace(pub f64);

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_infinite() { f.write_str("instant") } else { self.0.fmt(f) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        render::paint::Paint,
        settings::mistake::{Given, Place},
    };
    use landfall_sim::Served;

    fn wishes(speed: f64, place: Place) -> Rehearsal {
        Rehearsal { speed: Given { value: speed, key: "sim.speed", place }, seed: None, faults: Vec::new() }
    }

    #[tokio::test]
    async fn a_world_that_is_served_is_used_unless_somebody_chose_what_it_is_not() {
        // Another test may have installed it already; it is the same provider.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let served = Served { kubeconfig: folder.path().join("kubeconfig") };
        let options = Options {
            speed: Speed::Instant,
            seed: Some(91_000),
            served: Some(served),
            traffic: true,
            ..Options::default()
        };
        let sim = Sim::open(&folder.path().join("sim"), options).await.unwrap();

        let found = open(&wishes(60.0, Place::Default), folder.path(), false).await.ok().unwrap();
        assert!(!found.rests() && found.facts().pace.is_infinite());
        assert!(found.remark().contains(&format!("https://127.0.0.1:{}/_sim/", sim.facts().port)));
        assert_eq!(found.ways().await, Ways::default(), "there is no gateway, and so nothing to wait for");

        let armed = Rehearsal { faults: vec!["slow*2".into()], ..wishes(60.0, Place::Default) };
        open(&armed, folder.path(), false).await.ok().unwrap();
        open(&armed, folder.path(), false).await.ok().unwrap();
        assert_eq!(sim.read(|world| world.faults.armed.len()), 1, "in the place of those that were");

        let refused = open(&wishes(60.0, Place::Flag("speed")), folder.path(), false).await.err().unwrap();
        assert_eq!(refused.exit, Exit::Input);
        assert!(refused.text(Paint::PLAIN).contains("has speed instant, not 60"));

        sim.close().await;
        let own = open(&wishes(60.0, Place::Flag("speed")), folder.path(), false).await.ok().unwrap();
        assert!(own.rests());
        own.close().await;
    }

    #[test]
    fn a_door_that_is_yet_to_open_has_no_socket() {
        let doors = r#"[{"address":"127.0.0.11","port":80,"socket":"127.0.0.11:30421"},{"address":"127.0.0.12","port":443,"socket":null}]"#;
        let doors: Vec<Door> = serde_json::from_str(doors).unwrap();
        assert_eq!(doors[0].socket, Some("127.0.0.11:30421".parse().unwrap()));
        assert_eq!((doors[1].port, doors[1].socket), (443, None));
    }
}
