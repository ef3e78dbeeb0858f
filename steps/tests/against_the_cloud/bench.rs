//! A test fixture: a simulated cloud of one test, runs against it, direct Resource Manager access, and
//! request log queries.

use crate::{kubectl::Kubectl, settings};
use landfall_cloud::{
    Arm, Credential, Endpoints, Meter, Roots, Secret, SignIn, SignInFacts, Vaults,
    arm::{self, Azure, Begun, Condition},
    environment::Environment,
};
use landfall_diagnose::rotation_links::RotationDiagnosis;
use landfall_engine::{
    Entry, EnvironmentKey, Event, Graph, Journal, Looking, Memory, OpenError, Outcome, Pace, Plan, Report,
    Run, Stop, Undone, What, down, plan, up,
};
use landfall_sim::{Line, Options, Sim, Speed};
use landfall_steps::{
    Clouds, Clusters, Resources, Survey, deployment, description,
    settings::{Settings, Teardown},
    survey,
};
use serde_json::Value;
use std::sync::Once;
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// The number of steps before the cluster.
pub const STEPS: u32 = 7;
/// The steps before the cluster: their tests need no wait for a cluster.
const BEFORE_CLUSTER: [&str; STEPS as usize] =
    ["preflight", "features", "resource-group", "network", "key-vault", "vault-officer", "certificate"];

/// A simulated cloud, its clients, and settings.
pub struct Bench {
    pub sim: Sim,
    pub clouds: Clouds,
    pub wish: Settings,
    pub home: TempDir,
    pub teardown: Teardown,
    /// True if the environment has a cluster with contents.
    pub whole: bool,
}

/// The result of a run, and its events.
pub struct Told {
    pub report: Report,
    pub events: Vec<What>,
}

impl Bench {
    /// Creates a cloud in which everything is ready at the first poll.
    pub async fn instant() -> Self {
        Self::with(Options { speed: Speed::Instant, ..Options::default() }).await
    }

    /// Creates a cloud with this time scale, for tests of intermediate states.
    pub async fn at_speed(times: f64) -> Self {
        Self::with(Options { speed: Speed::Times(times), ..Options::default() }).await
    }

    pub async fn with(options: Options) -> Self {
        Self::in_home(TempDir::new().unwrap(), options).await
    }

    /// Opens the cloud and the journal of a folder, as they were left there.
    pub async fn in_home(home: TempDir, options: Options) -> Self {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            rustls::crypto::aws_lc_rs::default_provider().install_default().expect("the first provider");
        });
        let sim = Sim::open(&home.path().join("sim"), Options { seed: Some(7), ..options }).await.unwrap();
        let (clouds, wish) = (clouds(&sim), settings::demo(home.path()));
        // The first wiring parses the templates, which takes long at the speed of some tests.
        drop(deployment(&clouds, &wish, &Teardown::default()));
        Self { sim, clouds, wish, home, teardown: Teardown::default(), whole: true }
    }

    /// Like [`instant`](Self::instant), for an environment that ends before the cluster.
    pub async fn without_cluster() -> Self {
        Self { whole: false, ..Self::instant().await }
    }

    fn graph(&self) -> Graph {
        self.deployment().0
    }

    fn deployment(&self) -> (Graph, Resources) {
        let (mut graph, resources) = deployment(&self.clouds, &self.wish, &self.teardown);
        if !self.whole {
            graph.only(&BEFORE_CLUSTER);
        }
        (graph, resources)
    }

    /// Runs `up` as a separate process would.
    pub async fn up(&self) -> Told {
        self.walk(&self.graph(), |_| false).await
    }

    /// Like [`up`](Self::up), and requires that it becomes ready.
    pub async fn up_ready(&self) -> Told {
        let told = self.up().await;
        assert_eq!(told.report.outcome, Outcome::Ready, "{:#?}", told.report.errors);
        told
    }

    /// Runs `up`, and cuts the run off at the start of such a step's change.
    pub async fn up_until(&self, until: impl Fn(&'static str) -> bool) -> Told {
        self.walk(&self.graph(), until).await
    }

    /// Runs `up` of another graph over the same journal.
    pub async fn walk(&self, graph: &Graph, until: impl Fn(&'static str) -> bool) -> Told {
        let (run, events) = self.run("up").await;
        let stop = run.stop.clone();
        let walk = async {
            let report = up(graph, &run).await.unwrap();
            drop(run);
            report
        };
        let (report, events) = tokio::join!(walk, heard(events, until, stop));
        Told { report, events }
    }

    /// Returns the plan, from the journal as a separate process would read it.
    pub async fn plan(&self) -> Plan {
        let memory = Journal::read(&self.state()).unwrap().map(|(_, memory)| memory).unwrap_or_default();
        let pace = Pace::new(self.sim.facts().pace);
        plan(&self.graph(), &Looking { memory: memory.into(), pace, stop: Stop::new() }).await
    }

    /// Records existing resources without a record in the journal as found; returns the steps.
    pub async fn discover(&self) -> Vec<&'static str> {
        let (run, _) = self.run("down").await;
        let looking = Looking { memory: run.journal.memory().into(), pace: run.pace, stop: Stop::new() };
        let discovery = landfall_engine::discover(&self.graph(), &looking).await;
        assert!(discovery.errors.is_empty(), "{:#?}", discovery.errors);
        let found = discovery.found.into_iter();
        let record = |(step, output): (&'static str, Value)| {
            let entry = Entry::Finished { step: step.to_owned(), how: landfall_engine::How::Found, output };
            run.journal.append(entry).unwrap();
            step
        };
        found.map(record).collect()
    }

    /// Records a step's output in the journal as only found.
    pub async fn forget_and_find(&self, step: &str, output: Value) {
        let (run, _) = self.run("up").await;
        let undone = Undone::GoesWithParent;
        run.journal.append(Entry::Undone { step: step.to_owned(), undone }).unwrap();
        let how = landfall_engine::How::Found;
        run.journal.append(Entry::Finished { step: step.to_owned(), how, output }).unwrap();
    }

    /// Adopts the resources that were only found.
    pub async fn adopt(&self) {
        let (run, _) = self.run("down").await;
        for step in self.deployment().1.adoptable(&run.journal.memory()) {
            run.journal.append(Entry::Adopted { step }).unwrap();
        }
    }

    /// Surveys the teardown of all owned resources.
    pub async fn survey(&self) -> Survey {
        let memory = self.memory();
        let ours = memory.0.iter().filter(|(_, past)| past.ours);
        let going: Vec<&str> = ours.map(|(step, _)| step.as_str()).collect();
        let (_, resources) = self.deployment();
        survey(&self.clouds, &self.wish, &resources, &memory, &going).await
    }

    /// Locks a scope.
    pub async fn lock(&self, scope: &str) -> String {
        let id = format!("{scope}/providers/Microsoft.Authorization/locks/keep");
        let body =
            serde_json::json!({ "properties": { "level": "CanNotDelete", "notes": "until the audit" } });
        self.clouds.azure.arm().put(&id, arm::lock::API, &body, Condition::None).await.unwrap();
        id
    }

    /// Runs `down`.
    pub async fn down(&self) -> Told {
        self.down_but(&[]).await
    }

    /// Runs `down`, and keeps the resources of some steps.
    pub async fn down_but(&self, kept: &[&str]) -> Told {
        let (run, events) = self.run("down").await;
        let (mut graph, resources) = self.deployment();
        for step in kept {
            assert!(resources.keep(&mut graph, step, "as asked"), "{step}");
        }
        let walk = async {
            let report = down(&graph, &run).await.unwrap();
            drop(run);
            report
        };
        let (report, events) = tokio::join!(walk, heard(events, |_| false, Stop::new()));
        Told { report, events }
    }

    /// Like [`down`](Self::down), and requires success.
    pub async fn down_ready(&self) -> Told {
        let told = self.down().await;
        assert_eq!(told.report.outcome, Outcome::Ready, "{:#?}", told.report.errors);
        told
    }

    async fn run(&self, command: &str) -> (Run, UnboundedReceiver<Event>) {
        let (send, receive) = unbounded_channel();
        let key = EnvironmentKey {
            cloud: "sim".to_owned(),
            subscription: self.clouds.azure.id().to_owned(),
            environment: self.wish.environment.clone(),
        };
        let journal = loop {
            match Journal::open(&self.state(), command, &key, "0.1.0") {
                // The checks of a run that was cut off release the journal at their next poll.
                Err(OpenError::Locked { .. }) => tokio::task::yield_now().await,
                opened => break opened.unwrap(),
            }
        };
        let pace = Pace::new(self.sim.facts().pace);
        (Run { journal: journal.into(), pace, stop: Stop::new(), events: send }, receive)
    }

    pub fn state(&self) -> std::path::PathBuf {
        self.home.path().join("state")
    }

    /// Returns the journal's state.
    pub fn memory(&self) -> Memory {
        Journal::read(&self.state()).unwrap().unwrap().1
    }

    /// Returns the description for a diagnosis.
    pub fn description(&self, memory: &Memory) -> Environment {
        description(&self.wish, memory, self.clouds.azure.id())
    }

    /// Returns a path below the subscription.
    pub fn path(&self, rest: &str) -> String {
        self.clouds.azure.path(rest)
    }

    /// Returns the id of a resource in the group: `Microsoft.X/type/name`.
    pub fn id(&self, rest: &str) -> String {
        self.path(&format!("/resourceGroups/{}/providers/{rest}", settings::GROUP))
    }

    pub fn cluster_id(&self) -> String {
        self.id(&format!("Microsoft.ContainerService/managedClusters/{}", settings::CLUSTER))
    }

    pub fn vault_id(&self) -> String {
        self.id(&format!("Microsoft.KeyVault/vaults/{}", settings::VAULT))
    }

    pub fn network_id(&self) -> String {
        self.id("Microsoft.Network/virtualNetworks/vnet-demo")
    }

    /// Reads a resource directly; null if it does not exist.
    pub async fn get(&self, id: &str) -> Value {
        let found = self.clouds.azure.arm().get(id, version(id)).await.unwrap();
        found.unwrap_or_default()
    }

    /// Puts a resource directly and waits for it.
    pub async fn put(&self, id: &str, body: Value) -> Value {
        self.begin(id, body).await;
        loop {
            let there = self.get(id).await;
            if matches!(arm::State::of(&there), arm::State::Succeeded) {
                return there;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Starts a direct PUT of a resource.
    pub async fn begin(&self, id: &str, body: Value) -> Begun {
        self.clouds.azure.arm().put(id, version(id), &body, Condition::None).await.unwrap()
    }

    /// Starts a direct deletion of a resource.
    pub async fn delete(&self, id: &str) -> Begun {
        self.clouds.azure.arm().delete(id, version(id)).await.unwrap()
    }

    /// Creates the group, as another party would.
    pub async fn make_group(&self, location: &str) -> String {
        let id = self.path(&format!("/resourceGroups/{}", settings::GROUP));
        self.put(&id, serde_json::json!({ "location": location, "tags": { "Team": "other" } })).await;
        id
    }

    /// Returns a foreign client of the cluster.
    pub async fn kubectl(&self) -> Kubectl {
        Kubectl::sign_in(self.clouds.azure.cluster_credential(&self.cluster_id()).await.unwrap().expose())
    }

    /// Returns the number of requests so far: the position from which to read the request log.
    pub fn mark(&self) -> usize {
        self.sim.ledger().len()
    }

    /// Returns the requests since a mark that changed something, or tried to: `PUT 201 /path`. Omits sign-ins
    /// and requests for credentials.
    pub fn writes(&self, mark: usize) -> Vec<String> {
        // A vault first answers with its token authority; the client then repeats the request.
        let challenge = |line: &Line| line.status == 401 && line.host.contains(".vault.");
        // Name availability and policy checks are POSTs that change nothing.
        let checks = |line: &Line| line.path.rsplit('/').next().is_some_and(|last| last.starts_with("check"));
        let asks = |line: &Line| {
            line.method == "GET" || line.host.starts_with("login.") || challenge(line) || checks(line)
        };
        let hands_out = |line: &Line| line.path.ends_with("/listClusterUserCredential");
        let lines = self.sim.ledger().into_iter().skip(mark);
        let lines = lines.filter(|line| !asks(line) && !hands_out(line));
        lines.map(|line| format!("{} {} {}", line.method, line.status, line.path)).collect()
    }

    /// Returns the writes since a mark whose path contains this, regardless of case.
    pub fn writes_at(&self, mark: usize, part: &str) -> Vec<String> {
        let part = part.to_ascii_lowercase();
        let at = |line: &String| line.to_ascii_lowercase().contains(&part);
        self.writes(mark).into_iter().filter(at).collect()
    }
}

impl Told {
    /// Returns the error of a step, which must have failed.
    pub fn error(&self, step: &str) -> &landfall_engine::StepError {
        let found = self.report.errors.iter().find(|(failed, _)| failed == step);
        &found.unwrap_or_else(|| panic!("{step} did not fail: {:#?}", self.report)).1
    }

    /// Returns the outcome of undoing a step's resource.
    pub fn undone(&self, step: &str) -> Option<&Undone> {
        self.report.undone.iter().find(|(undone, _)| undone == step).map(|(_, undone)| undone)
    }

    /// Returns the numbers of found, created and changed steps.
    pub fn counts(&self) -> (u32, u32, u32) {
        (self.report.found, self.report.created, self.report.changed)
    }

    /// Returns the steps that started a change, in order.
    pub fn started(&self) -> Vec<&'static str> {
        let started = |what: &What| match what {
            What::Started { step, .. } => Some(*step),
            _ => None,
        };
        self.events.iter().filter_map(started).collect()
    }

    /// Returns the way in which a step got its output.
    pub fn how(&self, wanted: &str) -> Option<landfall_engine::How> {
        self.events.iter().find_map(|what| match what {
            What::Finished { step, how, .. } if *step == wanted => Some(*how),
            _ => None,
        })
    }

    /// Returns the notes of a step.
    pub fn notes(&self, wanted: &str) -> Vec<&str> {
        let text = |what| match what {
            &What::Note { step, ref text, .. } if step == wanted => Some(text.as_str()),
            _ => None,
        };
        self.events.iter().filter_map(text).collect()
    }
}

/// Receives the events of a run to its end; stops it immediately when such a step starts.
async fn heard(
    mut events: UnboundedReceiver<Event>,
    until: impl Fn(&'static str) -> bool,
    stop: Stop,
) -> Vec<What> {
    let mut heard = Vec::new();
    while let Some(event) = events.recv().await {
        if matches!(event.what, What::Started { step, .. } if until(step)) {
            stop.now();
        }
        heard.push(event.what);
    }
    heard
}

/// Creates the clients, as the program does.
fn clouds(sim: &Sim) -> Clouds {
    let facts = sim.facts().clone();
    let endpoints = Endpoints {
        login: facts.login.parse().unwrap(),
        arm: facts.arm.parse().unwrap(),
        arm_audience: facts.arm_audience,
        vault_suffix: facts.vault_suffix,
        vault_audience: facts.vault_audience,
        roots: Roots::Only(vec![facts.ca_pem]),
        pace: facts.pace,
        carrier: None,
    };
    let sign_in = SignIn::ServicePrincipal {
        tenant: facts.tenant,
        client_id: facts.client_id,
        secret: Secret::new(facts.client_secret),
    };
    let meter = Meter::new();
    let credential = Credential::new(&sign_in, &SignInFacts::default(), &endpoints, &meter).unwrap();
    let arm = Arm::new(&endpoints, &credential, &meter, "11111111-2222-4333-8444-555555555555").unwrap();
    let azure = Azure::new(arm, facts.subscription);
    Clouds {
        clusters: Clusters::new(azure.clone(), &endpoints, meter.clone()),
        vaults: Vaults::new(&endpoints, &credential, &meter).unwrap(),
        sync_diagnosis: std::sync::Arc::new(RotationDiagnosis),
        azure,
    }
}

/// Returns the api-version for an id.
fn version(id: &str) -> &'static str {
    let kind = |part: &str| id.to_ascii_lowercase().contains(part);
    match () {
        () if kind("/locks/") => arm::lock::API,
        () if kind("roleassignments") => arm::role::API,
        () if kind("managedclusters") => arm::cluster::API,
        () if kind("vaults") => arm::vault::API,
        () if kind("dnszones") => arm::dns::API,
        () if kind("microsoft.network") => arm::network::API,
        () => arm::group::API,
    }
}
