//! The simulated cloud of an environment: opened by this process, or served by another one and used over
//! HTTPS.
//!
//! One process at a time holds its state. `landfall sim` serves it to every command, and records its
//! endpoint. Any other holder is a run that will end, so this process waits for it, and names it after a
//! timeout.

use crate::{exit::Exit, failure::Failure, render::stream, settings::target::SimConfig};
use landfall_cloud::AddressMap;
use landfall_sim::{
    ConnectionInfo, LISTENERS_TIMEOUT, Options, ServerRegistration, Sim, SimError, Speed,
    admin_api::KEY_HEADER,
};
use serde::Deserialize;
use serde_json::json;
use std::{
    error::Error,
    fmt,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// The maximum wait for a simulated cloud that another run holds.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// The time after which a message reports the wait.
const NOTICE_AFTER: Duration = Duration::from_secs(1);
/// The poll interval for a held state, or for endpoints that are not open yet.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// The timeout of an answer of the server, which is on this machine.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// The size limit of one of its answers, in decoded bytes.
const RESPONSE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// An open simulated cloud.
pub enum SimHandle {
    /// This process runs it.
    LocalSim(Box<Sim>),
    /// `landfall sim` serves it.
    RemoteSim(Box<RemoteSim>),
}

/// Returns the folder of the environment whose simulated cloud is used, for an environment with this folder.
pub fn folder(config: &SimConfig, own: &Path) -> PathBuf {
    match &config.environment {
        Some(other) => own.with_file_name(other),
        None => own.to_owned(),
    }
}

/// Opens the simulated cloud of an environment with this folder, or attaches to the process that serves it.
///
/// `traffic` enables the gateways of this process's own simulated cloud; a served one always has them.
///
/// # Errors
/// Fails if it cannot be opened, if another run holds it for longer than [`WAIT_MAX`], and if the serving
/// process has other options than these settings.
pub async fn open(config: &SimConfig, folder: &Path, traffic: bool) -> Result<SimHandle, Failure> {
    let folder = self::folder(config, folder);
    let found = find(&folder, &Options { traffic, ..options(config) }).await?;
    if let SimHandle::RemoteSim(remote) = &found {
        remote.check_options(config)?;
        remote.arm_faults(&config.faults).await?;
        remote.add_zones(&config.zones).await?;
    }
    Ok(found)
}

/// Returns the options of a simulated cloud with these settings.
pub fn options(config: &SimConfig) -> Options {
    let speed = config.speed.value;
    Options {
        speed: if speed.is_infinite() { Speed::Instant } else { Speed::Times(speed) },
        seed: config.seed.as_ref().map(|seed| seed.value),
        faults: config.faults.clone(),
        zones: config.zones.clone(),
        images: config.images.as_ref().map(|images| images.value.clone()).unwrap_or_default(),
        ..Options::default()
    }
}

/// Opens the simulated cloud, or finds its server; waits for a holder that neither ends nor serves.
///
/// # Errors
/// Those of [`open`].
pub async fn find(folder: &Path, options: &Options) -> Result<SimHandle, Failure> {
    let state = folder.join("sim");
    let started = Instant::now();
    let mut reported = false;
    loop {
        let busy = match Sim::open(&state, options.clone()).await {
            Ok(sim) => return Ok(SimHandle::LocalSim(Box::new(sim))),
            Err(error @ SimError::Busy { .. }) => error,
            Err(error) => return Err(Failure::of_sim_error(&error)),
        };
        if let Some(remote) = RemoteSim::find(folder).await {
            return Ok(SimHandle::RemoteSim(Box::new(remote)));
        }
        if started.elapsed() >= WAIT_MAX {
            return Err(Failure::of_sim_error(&busy));
        }
        if let SimError::Busy { holder: Some(holder), .. } = &busy
            && !reported
            && started.elapsed() >= NOTICE_AFTER
        {
            let most = WAIT_MAX.as_secs();
            stream::err()
                .line(&format!("Waiting for {holder} to release the simulated cloud, at most {most} s."));
            reported = true;
        }
        sleep(POLL_INTERVAL).await;
    }
}

impl SimHandle {
    /// Returns its endpoints and its sign-in data.
    pub fn connection(&self) -> &ConnectionInfo {
        match self {
            Self::LocalSim(sim) => sim.connection(),
            Self::RemoteSim(remote) => &remote.registration.connection,
        }
    }

    /// Returns whether its time stops when this process ends.
    pub const fn stops_with_process(&self) -> bool {
        matches!(self, Self::LocalSim(_))
    }

    /// Returns a remark for a person, before the first creation.
    pub fn remark(&self) -> String {
        let ConnectionInfo { time_scale, seed, .. } = self.connection();
        let first = "Nothing is created in Azure. To deploy to Azure, use --cloud azure.";
        let second = format!("Speed {}, seed {seed}", SpeedText(*time_scale));
        match self {
            Self::LocalSim(_) => format!("{first}\n{second}."),
            Self::RemoteSim(remote) => {
                format!("{first}\n{second}; page {}", remote.registration.page())
            }
        }
    }

    /// Returns the address map of the gateways, once those with an address answer.
    pub async fn address_map(&self) -> AddressMap {
        match self {
            Self::LocalSim(sim) => {
                let listeners = sim.wait_for_listeners().await.into_iter();
                AddressMap::new(listeners.map(|((address, port), socket)| ((address.into(), port), socket)))
            }
            Self::RemoteSim(remote) => remote.address_map().await,
        }
    }

    /// Closes it.
    pub async fn close(self) {
        if let Self::LocalSim(sim) = self {
            sim.close().await;
        }
    }
}

/// A simulated cloud that `landfall sim` serves in another process.
pub struct RemoteSim {
    /// Its own description.
    pub registration: ServerRegistration,
    client: reqwest::Client,
}

/// An endpoint in the answer of `/_sim/doors`.
#[derive(Deserialize)]
struct Listener {
    address: IpAddr,
    port: u16,
    socket: Option<SocketAddr>,
}

impl RemoteSim {
    /// Finds the server of an environment's simulated cloud; `None` if no server is recorded, or the recorded
    /// one no longer answers.
    pub async fn find(folder: &Path) -> Option<Self> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Serving {
            id: String,
            /// The clock, which may have been advanced since the server started.
            ahead_seconds: Option<f64>,
        }
        let registration = ServerRegistration::find(&folder.join("sim"))?;
        let authority =
            reqwest::Certificate::from_pem_bundle(registration.connection.ca_pem.as_bytes()).ok()?;
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(RESPONSE_TIMEOUT)
            .tls_certs_only(authority)
            .build()
            .ok()?;
        let mut found = Self { registration, client };
        let reported: Serving = serde_json::from_slice(&found.read("serving").await.ok()?).ok()?;
        if let Some(ahead_seconds) = reported.ahead_seconds {
            found.registration.connection.clock_ahead_ms = (ahead_seconds * 1000.0) as i64;
        }
        // The port outlives the server: a short-lived run may answer there now.
        (reported.id == found.registration.id).then_some(found)
    }

    /// Returns shell exports that point `kubectl`, `az` and `curl` to it.
    ///
    /// # Errors
    /// Fails if it does not answer.
    pub async fn shell_exports(&self) -> Result<String, Failure> {
        let read = self.read("env").await.map_err(|error| self.no_response(&*error))?;
        Ok(String::from_utf8_lossy(&read).into_owned())
    }

    async fn get(&self, what: &str) -> reqwest::Result<reqwest::Response> {
        let url = format!("{}{what}", self.registration.page());
        let request = self.client.get(url).header(KEY_HEADER, &self.registration.connection.admin_key);
        request.send().await?.error_for_status()
    }

    /// Reads an answer within [`RESPONSE_BYTES_MAX`].
    async fn read(&self, what: &str) -> Result<Vec<u8>, Box<dyn Error>> {
        let mut response = self.get(what).await.map_err(reqwest::Error::without_url)?;
        let mut read = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(reqwest::Error::without_url)? {
            read.extend_from_slice(&piece);
            if read.len() > RESPONSE_BYTES_MAX {
                return Err(format!("the answer is larger than {RESPONSE_BYTES_MAX} bytes").into());
            }
        }
        Ok(read)
    }

    /// Arms faults in place of the armed ones, as opening with them does; an empty list changes nothing.
    async fn arm_faults(&self, faults: &[String]) -> Result<(), Failure> {
        if faults.is_empty() {
            return Ok(());
        }
        let url = format!("{}faults", self.registration.page());
        let body = json!({ "faults": faults });
        let key = &self.registration.connection.admin_key;
        let response = self.client.put(url).header(KEY_HEADER, key).json(&body).send().await;
        let response = response.and_then(reqwest::Response::error_for_status);
        response.map(|_| ()).map_err(|error| self.no_response(&error.without_url()))
    }

    async fn add_zones(&self, zones: &[String]) -> Result<(), Failure> {
        if zones.is_empty() {
            return Ok(());
        }
        let url = format!("{}zones", self.registration.page());
        let key = &self.registration.connection.admin_key;
        let response =
            self.client.post(url).header(KEY_HEADER, key).json(&json!({ "zones": zones })).send().await;
        let response = response.and_then(reqwest::Response::error_for_status);
        response.map(|_| ()).map_err(|error| self.no_response(&error.without_url()))
    }

    fn no_response(&self, error: &(dyn Error + 'static)) -> Failure {
        Failure::new(Exit::Failed, format!("query {}", self.registration.holder))
            .caused_by(error)
            .hint("run the command again: it does not need the server, if that has stopped")
    }

    /// Refuses settings that conflict with the options of the served simulated cloud.
    fn check_options(&self, config: &SimConfig) -> Result<(), Failure> {
        let (connection, holder) = (&self.registration.connection, &self.registration.holder);
        let mut config_errors = Vec::new();
        let speed = &config.speed;
        if speed.is_set_by_user() && speed.value != connection.time_scale {
            let (requested, is) = (SpeedText(speed.value), SpeedText(connection.time_scale));
            let wrong = format!("the simulated cloud has speed {is}, not {requested}: {holder} serves it");
            let hint = format!("omit it, or end that one and start `landfall sim --speed {requested}`");
            config_errors.push(speed.wrong(wrong).hint(hint));
        }
        if let Some(seed) = config.seed.as_ref().filter(|seed| seed.value != connection.seed) {
            let (requested, is) = (seed.value, connection.seed);
            let wrong = format!("the simulated cloud has seed {is}, not {requested}: {holder} serves it");
            let hint = "omit it: the seed of a simulated cloud never changes; another --environment has its \
                        own";
            config_errors.push(seed.wrong(wrong).hint(hint));
        }
        if let Some(images) = config.images.as_ref().filter(|images| images.value != connection.images) {
            let wrong = format!("the simulated cloud runs other images than these: {holder} serves it");
            let hint = "omit it, or end that one and start `landfall sim` with these images";
            config_errors.push(images.wrong(wrong).hint(hint));
        }
        if config_errors.is_empty() { Ok(()) } else { Err(Failure::of_config_errors(config_errors)) }
    }

    async fn address_map(&self) -> AddressMap {
        let started = Instant::now();
        loop {
            let read = self.read("doors").await.unwrap_or_default();
            let listeners: Vec<Listener> = serde_json::from_slice(&read).unwrap_or_default();
            let all = listeners.iter().all(|listener| listener.socket.is_some());
            if all || started.elapsed() >= LISTENERS_TIMEOUT {
                let open = listeners
                    .into_iter()
                    .filter_map(|listener| Some(((listener.address, listener.port), listener.socket?)));
                return AddressMap::new(open);
            }
            sleep(POLL_INTERVAL).await;
        }
    }
}

/// A time scale in the settings' syntax: a number, or `instant`.
pub struct SpeedText(pub f64);

impl fmt::Display for SpeedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_infinite() { f.write_str("instant") } else { self.0.fmt(f) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        render::style::Styler,
        settings::config_error::{Place, Sourced},
    };
    use landfall_sim::RegistrationOptions;

    fn config(speed: f64, place: Place) -> SimConfig {
        SimConfig {
            speed: Sourced { value: speed, key: "sim.speed", place },
            seed: None,
            faults: Vec::new(),
            zones: Vec::new(),
            images: None,
            environment: None,
        }
    }

    #[test]
    fn another_environments_simulated_cloud_is_beside_the_own_folder() {
        let other = SimConfig { environment: Some("cloud".into()), ..config(60.0, Place::Default) };
        let own = Path::new("/state/shop");
        assert_eq!(folder(&other, own), Path::new("/state/cloud"));
        assert_eq!(folder(&config(60.0, Place::Default), own), own);
    }

    #[tokio::test]
    async fn a_served_simulated_cloud_is_used_unless_the_settings_conflict() {
        // Another test may have installed it already; it is the same provider.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let registration = RegistrationOptions { kubeconfig: folder.path().join("kubeconfig") };
        let options = Options {
            speed: Speed::Instant,
            seed: Some(91_000),
            registration: Some(registration),
            traffic: true,
            ..Options::default()
        };
        let sim = Sim::open(&folder.path().join("sim"), options).await.unwrap();

        let found = open(&config(60.0, Place::Default), folder.path(), false).await.ok().unwrap();
        assert!(!found.stops_with_process() && found.connection().time_scale.is_infinite());
        assert!(found.remark().contains(&format!("https://127.0.0.1:{}/_sim/", sim.connection().port)));
        assert_eq!(
            found.address_map().await,
            AddressMap::default(),
            "there is no gateway, and so nothing to wait for"
        );

        let armed = SimConfig { faults: vec!["slow*2".into()], ..config(60.0, Place::Default) };
        open(&armed, folder.path(), false).await.ok().unwrap();
        open(&armed, folder.path(), false).await.ok().unwrap();
        assert_eq!(sim.read(|state| state.faults.armed.len()), 1, "in the place of those that were");

        let refused = open(&config(60.0, Place::Flag("speed")), folder.path(), false).await.err().unwrap();
        assert_eq!(refused.exit, Exit::Input);
        assert!(refused.text(Styler::PLAIN).contains("has speed instant, not 60"));

        sim.close().await;
        let own = open(&config(60.0, Place::Flag("speed")), folder.path(), false).await.ok().unwrap();
        assert!(own.stops_with_process());
        own.close().await;
    }

    #[test]
    fn a_listener_that_is_not_open_has_no_socket() {
        let listeners = r#"[{"address":"127.0.0.11","port":80,"socket":"127.0.0.11:30421"},{"address":"127.0.0.12","port":443,"socket":null}]"#;
        let listeners: Vec<Listener> = serde_json::from_str(listeners).unwrap();
        assert_eq!(listeners[0].socket, Some("127.0.0.11:30421".parse().unwrap()));
        assert_eq!((listeners[1].port, listeners[1].socket), (443, None));
    }
}
