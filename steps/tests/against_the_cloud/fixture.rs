//! A test fixture: a simulated cloud of one test, runs against it, direct Resource Manager access, and
//! request log queries.

use crate::{kubectl::Kubectl, settings};
use landfall_cloud::{
    ArmClient, Clock, Credential, Endpoints, RequestCounter, Roots, Secret, SignIn, SignInFacts, Vaults,
    arm::{self, Condition, SubscriptionClient, WriteResult},
    environment_description::Environment,
};
use landfall_diagnose::rotation_diagnosis::RotationDiagnosis;
use landfall_engine::{
    Entry, EnvironmentKey, Event, EventKind, Graph, Journal, JournalState, OpenError, Outcome, Plan,
    PlanContext, Report, Run, Stop, TimeScale, UndoOutcome, down, plan, up,
};
use landfall_sim::{Options, RequestRecord, Sim, Speed};
use landfall_steps::{
    Clients, Clusters, RenewalTarget, Resources, TeardownPreconditions, deployment, description,
    preconditions,
    settings::{Settings, Teardown},
};
use serde_json::{Value, json};
use std::sync::Once;
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// The number of steps before the cluster.
pub const STEPS: u32 = 7;
/// The steps before the cluster: their tests need no wait for a cluster.
const BEFORE_CLUSTER: [&str; STEPS as usize] =
    ["preflight", "features", "resource-group", "network", "key-vault", "vault-officer", "certificate"];

/// A simulated cloud, its clients, and settings.
pub struct Fixture {
    pub sim: Sim,
    pub clients: Clients,
    pub settings: Settings,
    pub home: TempDir,
    /// The requests of the clients.
    pub requests: RequestCounter,
    pub teardown: Teardown,
    /// True if the environment has a cluster with contents.
    pub whole: bool,
}

/// The result of a run, and its events.
pub struct RunResult {
    pub report: Report,
    pub events: Vec<EventKind>,
}

impl Fixture {
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
        let requests = RequestCounter::new();
        let (clients, settings) = (clients(&sim, &requests), settings::demo(home.path()));
        // The first wiring parses the templates, which takes long at the speed of some tests.
        drop(deployment(&clients, &settings, &Teardown::default()));
        Self { sim, clients, settings, home, requests, teardown: Teardown::default(), whole: true }
    }

    /// Like [`instant`](Self::instant), for an environment that ends before the cluster.
    pub async fn without_cluster() -> Self {
        Self { whole: false, ..Self::instant().await }
    }

    /// Replaces the clients, as a new process would: sessions and tokens of before are gone.
    pub fn reconnect(&mut self) {
        self.clients = clients(&self.sim, &self.requests);
    }

    /// Advances the clock of the cloud, and replaces the clients.
    pub fn advance(&mut self, by: jiff::SignedDuration) {
        let ms = i64::try_from(by.as_millis()).unwrap();
        self.sim.change(|state, _| state.clock_offset_ms += ms).unwrap();
        self.reconnect();
    }

    /// Changes the properties of a cluster or a vault directly, and waits for the end.
    pub async fn change(&self, id: &str, change: impl FnOnce(&mut Value)) {
        let mut body = self.get(id).await;
        change(&mut body["properties"]);
        self.put(id, body).await;
    }

    fn graph(&self) -> Graph {
        self.deployment().0
    }

    fn deployment(&self) -> (Graph, Resources) {
        let (mut graph, resources) = deployment(&self.clients, &self.settings, &self.teardown);
        if !self.whole {
            graph.only(&BEFORE_CLUSTER);
        }
        (graph, resources)
    }

    /// Runs `up` as a separate process would.
    pub async fn up(&self) -> RunResult {
        self.run_graph(&self.graph(), |_| false).await
    }

    /// Like [`up`](Self::up), and requires that it becomes ready.
    pub async fn up_ready(&self) -> RunResult {
        let result = self.up().await;
        assert_eq!(result.report.outcome, Outcome::Ready, "{:#?}", result.report.errors);
        result
    }

    /// Runs `up`, and cuts the run off at the start of such a step's change.
    pub async fn up_until(&self, until: impl Fn(&'static str) -> bool) -> RunResult {
        self.run_graph(&self.graph(), until).await
    }

    /// Runs a renewal as a process without a state folder does; cut off at the start of such a step's change.
    pub async fn renew(&self, target: &RenewalTarget) -> RunResult {
        let state = target.state(&self.clients).await;
        let graph = target.graph(&self.clients, state.has_cluster);
        let folder = TempDir::new().unwrap();
        let (run, events) = self.run_in(&folder.path().join("renew"), "renew").await;
        let report = up(&graph, &run).await.unwrap();
        drop(run);
        let events = received_events(events, |_| false, Stop::new()).await;
        if report.outcome == Outcome::Failed {
            target.record_failure(&self.clients, &report.errors[0].1, None).await.unwrap();
        }
        RunResult { report, events }
    }

    /// Runs `up` of another graph over the same journal.
    pub async fn run_graph(&self, graph: &Graph, until: impl Fn(&'static str) -> bool) -> RunResult {
        let (run, events) = self.run("up").await;
        let stop = run.stop.clone();
        let walk = async {
            let report = up(graph, &run).await.unwrap();
            drop(run);
            report
        };
        let (report, events) = tokio::join!(walk, received_events(events, until, stop));
        RunResult { report, events }
    }

    /// Returns the plan, from the journal as a separate process would read it.
    pub async fn plan(&self) -> Plan {
        let journal_state =
            Journal::read(&self.state()).unwrap().map(|(_, journal_state)| journal_state).unwrap_or_default();
        let time_scale = TimeScale::new(self.sim.connection().time_scale);
        plan(
            &self.graph(),
            &PlanContext { journal_state: journal_state.into(), time_scale, stop: Stop::new() },
        )
        .await
    }

    /// Records existing resources without a record in the journal as found; returns the steps.
    pub async fn discover(&self) -> Vec<&'static str> {
        let (run, _) = self.run("down").await;
        let plan_context = PlanContext {
            journal_state: run.journal.journal_state().into(),
            time_scale: run.time_scale,
            stop: Stop::new(),
        };
        let discovery = landfall_engine::discover(&self.graph(), &plan_context).await;
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
    pub async fn record_as_found(&self, step: &str, output: Value) {
        let (run, _) = self.run("up").await;
        let undone = UndoOutcome::DeletedWithParent;
        run.journal.append(Entry::Undone { step: step.to_owned(), undone }).unwrap();
        let how = landfall_engine::How::Found;
        run.journal.append(Entry::Finished { step: step.to_owned(), how, output }).unwrap();
    }

    /// Adopts the resources that were only found.
    pub async fn adopt(&self) {
        let (run, _) = self.run("down").await;
        for step in self.deployment().1.adoptable(&run.journal.journal_state()) {
            run.journal.append(Entry::Adopted { step }).unwrap();
        }
    }

    /// Surveys the teardown of all owned resources.
    pub async fn preconditions(&self) -> TeardownPreconditions {
        let journal_state = self.journal_state();
        let owned = journal_state.0.iter().filter(|(_, step_state)| step_state.owned);
        let owned_steps: Vec<&str> = owned.map(|(step, _)| step.as_str()).collect();
        let (_, resources) = self.deployment();
        preconditions(&self.clients, &self.settings, &resources, &journal_state, &owned_steps).await
    }

    /// Locks a scope against deletion.
    pub async fn lock(&self, scope: &str) -> String {
        self.lock_as(scope, "CanNotDelete").await
    }

    /// Locks a scope with this level.
    pub async fn lock_as(&self, scope: &str, level: &str) -> String {
        let id = format!("{scope}/providers/Microsoft.Authorization/locks/keep");
        let body = serde_json::json!({ "properties": { "level": level, "notes": "until the audit" } });
        self.clients.azure.arm().put(&id, arm::lock::API, &body, Condition::None).await.unwrap();
        id
    }

    /// Runs `down`.
    pub async fn down(&self) -> RunResult {
        self.down_keeping(&[]).await
    }

    /// Runs `down`, and keeps the resources of some steps.
    pub async fn down_keeping(&self, kept: &[&str]) -> RunResult {
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
        let (report, events) = tokio::join!(walk, received_events(events, |_| false, Stop::new()));
        RunResult { report, events }
    }

    /// Like [`down`](Self::down), and requires success.
    pub async fn down_ready(&self) -> RunResult {
        let result = self.down().await;
        assert_eq!(result.report.outcome, Outcome::Ready, "{:#?}", result.report.errors);
        result
    }

    async fn run(&self, command: &str) -> (Run, UnboundedReceiver<Event>) {
        self.run_in(&self.state(), command).await
    }

    async fn run_in(&self, folder: &std::path::Path, command: &str) -> (Run, UnboundedReceiver<Event>) {
        let (send, receive) = unbounded_channel();
        let key = EnvironmentKey {
            cloud: "sim".to_owned(),
            subscription: self.clients.azure.id().to_owned(),
            environment: self.settings.environment.clone(),
        };
        let journal = loop {
            match Journal::open(folder, command, &key, "0.1.0") {
                // The checks of a run that was cut off release the journal at their next poll.
                Err(OpenError::Locked { .. }) => tokio::task::yield_now().await,
                opened => break opened.unwrap(),
            }
        };
        let time_scale = TimeScale::new(self.sim.connection().time_scale);
        (Run { journal: journal.into(), time_scale, stop: Stop::new(), events: send }, receive)
    }

    pub fn state(&self) -> std::path::PathBuf {
        self.home.path().join("state")
    }

    /// Returns the journal's state.
    pub fn journal_state(&self) -> JournalState {
        Journal::read(&self.state()).unwrap().unwrap().1
    }

    /// Returns the description for a diagnosis.
    pub fn description(&self, journal_state: &JournalState) -> Environment {
        description(&self.clients, &self.settings, journal_state)
    }

    /// Returns a path below the subscription.
    pub fn path(&self, rest: &str) -> String {
        self.clients.azure.path(rest)
    }

    /// Returns the id of a resource in the group: `Microsoft.X/type/name`.
    pub fn id(&self, rest: &str) -> String {
        self.path(&format!("/resourceGroups/{}/providers/{rest}", settings::GROUP))
    }

    /// Returns the newest consecutive minor versions of Kubernetes, ascending, that every tier of cluster can have
    /// today. Prints that the test is skipped if there are fewer.
    pub async fn versions<const N: usize>(&self) -> Option<[String; N]> {
        let listed = self.path("/providers/Microsoft.ContainerService/locations/eastus/kubernetesVersions");
        let listed = self.get(&listed).await;
        let is_community = |version: &&Value| {
            version["capabilities"]["supportPlan"].as_array().unwrap().contains(&json!("KubernetesOfficial"))
        };
        let all = listed["values"].as_array().unwrap().iter().filter(is_community);
        let all: Vec<String> = all.map(|version| version["version"].as_str().unwrap().to_owned()).collect();
        let newest = all.last_chunk::<N>().cloned();
        if newest.is_none() {
            println!("skipped: the region offers {all:?} today, fewer than {N} versions");
        }
        newest
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
        let found = self.clients.azure.arm().get(id, version(id)).await.unwrap();
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
    pub async fn begin(&self, id: &str, body: Value) -> WriteResult {
        self.clients.azure.arm().put(id, version(id), &body, Condition::None).await.unwrap()
    }

    /// Starts a direct deletion of a resource.
    pub async fn delete(&self, id: &str) -> WriteResult {
        self.clients.azure.arm().delete(id, version(id)).await.unwrap()
    }

    /// Deletes a policy assignment.
    pub async fn delete_policy(&self, id: &str) {
        self.clients.azure.arm().delete(id, arm::policy_modify::API).await.unwrap();
    }

    /// Creates the group, as another party would.
    pub async fn create_group(&self, location: &str) -> String {
        let id = self.path(&format!("/resourceGroups/{}", settings::GROUP));
        self.put(&id, serde_json::json!({ "location": location, "tags": { "Team": "other" } })).await;
        id
    }

    /// Returns a foreign client of the cluster.
    pub async fn kubectl(&self) -> Kubectl {
        Kubectl::sign_in(self.clients.azure.cluster_credential(&self.cluster_id()).await.unwrap().expose())
    }

    /// Returns the number of requests so far: the position from which to read the request log.
    pub fn mark(&self) -> usize {
        self.sim.request_log().len()
    }

    /// Returns the requests since a mark that changed something, or tried to: `PUT 201 /path`. Omits sign-ins
    /// and requests for credentials.
    pub fn writes(&self, mark: usize) -> Vec<String> {
        // A vault first answers with its token authority; the client then repeats the request.
        let challenge = |line: &RequestRecord| line.status == 401 && line.host.contains(".vault.");
        // Name availability, policy checks and reviews of rights are POSTs that change nothing.
        let checks = |line: &RequestRecord| {
            let last = line.path.rsplit('/').next();
            last.is_some_and(|last| last.starts_with("check") || last.ends_with("accessreviews"))
        };
        let is_read = |line: &RequestRecord| {
            line.method == "GET"
                || line.is_dry_run()
                || line.host.starts_with("login.")
                || challenge(line)
                || checks(line)
        };
        let is_credential_request = |line: &RequestRecord| line.path.ends_with("/listClusterUserCredential");
        let lines = self.sim.request_log().into_iter().skip(mark);
        let lines = lines.filter(|line| !is_read(line) && !is_credential_request(line));
        lines.map(|line| format!("{} {} {}", line.method, line.status, line.path)).collect()
    }

    /// Returns the writes since a mark whose path contains this, regardless of case.
    pub fn writes_at(&self, mark: usize, part: &str) -> Vec<String> {
        let part = part.to_ascii_lowercase();
        let at = |line: &String| line.to_ascii_lowercase().contains(&part);
        self.writes(mark).into_iter().filter(at).collect()
    }
}

impl RunResult {
    /// Returns the error of a step, which must have failed.
    pub fn error(&self, step: &str) -> &landfall_engine::StepError {
        let found = self.report.errors.iter().find(|(failed, _)| failed == step);
        &found.unwrap_or_else(|| panic!("{step} did not fail: {:#?}", self.report)).1
    }

    /// Returns the outcome of undoing a step's resource.
    pub fn undone(&self, step: &str) -> Option<&UndoOutcome> {
        self.report.undone.iter().find(|(undone, _)| undone == step).map(|(_, undone)| undone)
    }

    /// Returns the numbers of found, created and changed steps.
    pub fn counts(&self) -> (u32, u32, u32) {
        (self.report.found, self.report.created, self.report.changed)
    }

    /// Returns the steps that started a change, in order.
    pub fn started(&self) -> Vec<&'static str> {
        let started = |what: &EventKind| match what {
            EventKind::Started { step, .. } => Some(*step),
            _ => None,
        };
        self.events.iter().filter_map(started).collect()
    }

    /// Returns the way in which a step got its output.
    pub fn how(&self, wanted: &str) -> Option<landfall_engine::How> {
        self.events.iter().find_map(|what| match what {
            EventKind::Finished { step, how, .. } if *step == wanted => Some(*how),
            _ => None,
        })
    }

    /// Returns the notes of a step.
    pub fn notes(&self, wanted: &str) -> Vec<&str> {
        let text = |what| match what {
            &EventKind::Note { step, ref text, .. } if step == wanted => Some(text.as_str()),
            _ => None,
        };
        self.events.iter().filter_map(text).collect()
    }
}

/// Receives the events of a run to its end; stops it immediately when such a step starts.
async fn received_events(
    mut events: UnboundedReceiver<Event>,
    until: impl Fn(&'static str) -> bool,
    stop: Stop,
) -> Vec<EventKind> {
    let mut received_events = Vec::new();
    while let Some(event) = events.recv().await {
        if matches!(event.what, EventKind::Started { step, .. } if until(step)) {
            stop.now();
        }
        received_events.push(event.what);
    }
    received_events
}

/// Creates the clients, as the program does.
fn clients(sim: &Sim, request_counter: &RequestCounter) -> Clients {
    let facts = sim.connection().clone();
    let clock_ahead_ms = sim.read(|state| state.clock_offset_ms);
    let endpoints = Endpoints {
        login: facts.login.parse().unwrap(),
        arm: facts.arm.parse().unwrap(),
        arm_audience: facts.arm_audience,
        vault_suffix: facts.vault_suffix,
        vault_audience: facts.vault_audience,
        roots: Roots::Only(vec![facts.ca_pem]),
        time_scale: facts.time_scale,
        transport: None,
        acme_directory: facts.acme_directory.parse().unwrap(),
        acme_staging: facts.acme_staging.parse().unwrap(),
        acme_roots: Roots::Only(facts.acme_roots),
        name_servers: facts.name_servers,
        clock: Clock::ahead_by(jiff::SignedDuration::from_millis(clock_ahead_ms)),
        connections: Default::default(),
    };
    let sign_in = SignIn::ServicePrincipal {
        tenant: facts.tenant,
        client_id: facts.client_id,
        secret: Secret::new(facts.client_secret),
    };
    let credential = Credential::new(&sign_in, &SignInFacts::default(), &endpoints, request_counter).unwrap();
    let arm =
        ArmClient::new(&endpoints, &credential, request_counter, "11111111-2222-4333-8444-555555555555")
            .unwrap();
    let azure = SubscriptionClient::new(arm, facts.subscription);
    Clients {
        clusters: Clusters::new(azure.clone(), &endpoints, request_counter.clone()),
        vaults: Vaults::new(&endpoints, &credential, request_counter).unwrap(),
        acme: landfall_cloud::acme::Acme::new(&endpoints, request_counter),
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
        () if kind("managedclusters") || kind("kubernetesversions") => arm::cluster::API,
        () if kind("userassignedidentities") => arm::identity::API,
        () if kind("vaults") => arm::vault::API,
        () if kind("dnszones") => arm::dns::API,
        () if kind("microsoft.network") => arm::network::API,
        () => arm::group::API,
    }
}
