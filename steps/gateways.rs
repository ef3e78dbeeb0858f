//! The gateways and their routes, until every listener is programmed and every route accepted.

use crate::{
    Clients, ClusterSession, Clusters,
    cluster_ready::ReadyCluster,
    error_context::ErrorContext,
    manifests::{Manifests, TlsNames, UNKNOWN_ID},
    objects::{self, Applied, DesiredObjects, PreviousApply},
    operator::{
        listeners::{self, OperatorListener},
        switch,
    },
    resource_spec::{Resource, ResourceSpec, Resources},
    settings::Settings,
    watch::{self, WatchTarget},
};
use landfall_cloud::kubernetes::{
    DynamicObject, Kind, Selection,
    manifest::Manifest,
    readiness::{self, Readiness},
};
use landfall_engine::{Check, Context, StatusCell, Step, StepError, UndoOutcome, Wait};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    sync::Mutex,
    time::{Duration, SystemTime},
};

/// Applies Gateways and HTTPRoutes.
pub struct Gateways {
    resources: Resources,
    cluster_name: String,
    clusters: Clusters,
    manifests: Vec<Manifest>,
    wanted: DesiredObjects,
    /// The listeners whose certificate the operator provides.
    operator: Vec<OperatorListener>,
    certificate: String,
}

/// The programmed gateways.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgrammedGateways {
    /// The applied objects.
    pub applied: Applied,
    /// Each gateway with its address and the hosts of its routes.
    pub gateways: Vec<ProgrammedGateway>,
}

/// One gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgrammedGateway {
    /// Its name.
    pub name: String,
    /// Its address at the load balancer.
    pub address: String,
    /// The hosts of its routes, in the routes' order.
    pub hosts: Vec<String>,
}

impl Gateways {
    /// Returns the step for these settings.
    #[must_use]
    pub fn new(c: &Clients, s: &Settings, resources: &Resources) -> Self {
        let manifests = Manifests::new(s);
        let operator = if s.has_operator_tls() { listeners::of(&manifests.gateways) } else { Vec::new() };
        Self {
            resources: resources.clone(),
            cluster_name: s.cluster.name.clone(),
            clusters: c.clusters.clone(),
            wanted: manifests.wanted().and(&listeners::accounts(&operator, UNKNOWN_ID)),
            manifests: manifests.gateways,
            operator,
            certificate: s.certificate.name.clone(),
        }
    }

    fn previous(&self, cx: &Context) -> PreviousApply {
        self.previous_beside(cx, &[])
    }

    /// Returns the earlier applies, of which these objects stay too.
    fn previous_beside(&self, cx: &Context, others: &[Manifest]) -> PreviousApply {
        let wanted = self.wanted.and(others);
        PreviousApply { output: last(cx), unfinished: cx.ticket(), wanted }
    }

    /// Returns the objects to apply. With the operator, its listeners have its options, and a service account.
    fn set(&self, cx: &Context) -> Vec<Manifest> {
        if self.operator.is_empty() {
            return self.manifests.clone();
        }
        let records = &self.resources.records;
        let vault = cx.output_of(records.vault).map(|vault| vault.uri).unwrap_or_default();
        let uri = listeners::certificate_uri(&vault, &self.certificate);
        let mut set = listeners::accounts(&self.operator, &self.client_id(cx));
        set.extend(listeners::with_options(&self.manifests, &uri));
        set
    }

    fn client_id(&self, cx: &Context) -> String {
        let identity = cx.output_of(self.resources.records.identity);
        identity.map_or_else(|| UNKNOWN_ID.to_owned(), |identity| identity.client_id)
    }

    /// Applies the set. Listeners that serve now keep their Secret until a pod of the operator holds its own: without
    /// its Secret a listener is off.
    async fn apply_set(&self, cx: &Context, session: &ClusterSession) -> Result<Applied, StepError> {
        let set = self.set(cx);
        let unprepared = match self.operator.as_slice() {
            [] => Vec::new(),
            listeners => switch::unprepared(session, listeners).await?,
        };
        if !unprepared.is_empty() {
            let vault = cx.output_of(self.resources.records.vault);
            let (vault, tenant) = vault.map(|vault| (vault.name, vault.tenant)).unwrap_or_default();
            let names = TlsNames {
                client_id: &self.client_id(cx),
                vault: &vault,
                tenant: &tenant,
                certificate: &self.certificate,
                with_chain: true,
            };
            let handover = switch::handover(&unprepared, &names);
            let accounts = listeners::accounts(&unprepared, names.client_id);
            let prepared: Vec<Manifest> = accounts.into_iter().chain(handover.clone()).collect();
            let beside = [self.manifests.as_slice(), &prepared].concat();
            cx.note("creating the operator's Secrets before the listeners refer to them");
            objects::apply(cx, session, self.previous_beside(cx, &beside), &prepared).await?;
            switch::await_secrets(cx, session, &unprepared).await?;
            let all: Vec<Manifest> = set.iter().cloned().chain(handover).collect();
            objects::apply(cx, session, self.previous_beside(cx, &prepared), &all).await?;
            switch::await_operator(cx, session, &self.operator).await?;
        }
        let applied = objects::apply(cx, session, self.previous(cx), &set).await?;
        if !self.operator.is_empty() {
            switch::await_operator(cx, session, &self.operator).await?;
        }
        Ok(applied)
    }

    async fn open(&self, cluster: &ReadyCluster) -> Result<ClusterSession, StepError> {
        self.clusters.open(cluster).await.context(format!("open cluster {}", cluster.name))
    }

    fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a DynamicObject> {
        of_kind(&self.manifests, kind)
    }

    /// Returns the hosts of every route whose parent is the gateway.
    fn hosts(&self, gateway: &str) -> Vec<String> {
        hosts_of(&self.manifests, gateway)
    }

    /// Evaluates the whole set: returns the addresses of all gateways, or the missing conditions.
    fn evaluate(&self, live: &[DynamicObject]) -> Result<Vec<ProgrammedGateway>, Vec<String>> {
        let mut programmed = Vec::new();
        let mut outstanding = Vec::new();
        for wanted in self.of_kind("Gateway") {
            let name = wanted.metadata.name.clone().unwrap_or_default();
            match find(live, "Gateway", &name).map(readiness::gateway) {
                Some(Readiness::Ready(addresses)) => programmed.push(ProgrammedGateway {
                    hosts: self.hosts(&name),
                    address: addresses.first().cloned().unwrap_or_default(),
                    name,
                }),
                Some(Readiness::Waiting(why) | Readiness::Broken(why)) => {
                    outstanding.push(format!("{name}: {}", reason(&why)));
                }
                None => outstanding.push(format!("{name}: does not exist yet")),
            }
        }
        for wanted in self.of_kind("HTTPRoute") {
            let name = wanted.metadata.name.clone().unwrap_or_default();
            for parent in parents(wanted) {
                match find(live, "HTTPRoute", &name).map(|route| readiness::route(route, parent)) {
                    Some(Readiness::Ready(())) => {}
                    Some(Readiness::Waiting(why) | Readiness::Broken(why)) => {
                        outstanding.push(format!("route {name}: {}", reason(&why)));
                    }
                    None => outstanding.push(format!("route {name}: does not exist yet")),
                }
            }
        }
        if outstanding.is_empty() { Ok(programmed) } else { Err(outstanding) }
    }

    async fn await_all(
        &self,
        cx: &Context,
        session: &ClusterSession,
    ) -> Result<Vec<ProgrammedGateway>, StepError> {
        let wait =
            Wait::new("every listener to be programmed", Duration::from_secs(40), Duration::from_secs(600));
        let status = StatusCell::new();
        let spaces: BTreeSet<String> = self.manifests.iter().map(|m| space(&m.object)).collect();
        let watches = spaces.iter().map(|space| self.await_in(session, space, &status));
        let all = async { futures::future::try_join_all(watches).await };
        let ended = cx.wait_for(wait, &status, all).await.map_err(|error| {
            error.hint("the conditions of the Gateway and the events of its Service show the cause")
        })?;
        let mut gateways = Vec::new();
        for (programmed, since) in ended {
            gateways.extend(programmed);
            if let Some(since) = since {
                cx.ended_at(since);
            }
        }
        Ok(gateways)
    }

    /// Watches Gateways and HTTPRoutes of one namespace together.
    async fn await_in(
        &self,
        session: &ClusterSession,
        space: &str,
        status: &StatusCell,
    ) -> Result<(Vec<ProgrammedGateway>, Option<SystemTime>), StepError> {
        let in_namespace = self.with(in_space(&self.manifests, space));
        let (gateway, route) = (Kind::GATEWAY, Kind::HTTP_ROUTE);
        let what = format!("watch the gateways in {space}");
        // Two watches share one status: the missing conditions of the gateways and those of the routes.
        let outstanding_by_kind = Mutex::new([String::new(), String::new()]);
        let set_status = |at: usize, outstanding: Vec<String>| {
            let mut outstanding_by_kind =
                outstanding_by_kind.lock().expect("nothing panics while it is held");
            outstanding_by_kind[at] = outstanding.join("; ");
            let all: Vec<&str> =
                outstanding_by_kind.iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
            status.set(all.join("; "));
        };
        let of = |kind| WatchTarget { kind, space: Some(space), selection: Selection::All };
        let gateways = watch::until(&session.api, of(&gateway), status, &what, |live| {
            let live = typed(live, &gateway);
            match in_namespace.only("Gateway").evaluate(&live) {
                Ok(programmed) => {
                    set_status(0, Vec::new());
                    Some((programmed, live.iter().filter_map(readiness::gateway_since).max()))
                }
                Err(outstanding) => {
                    set_status(0, outstanding);
                    None
                }
            }
        });
        let routes = watch::until(&session.api, of(&route), status, &what, |live| {
            let evaluated = in_namespace.only("HTTPRoute").evaluate(&typed(live, &route)).map(|_| ());
            set_status(1, evaluated.clone().err().unwrap_or_default());
            evaluated.ok()
        });
        let both = futures::future::try_join(gateways, routes).await?;
        Ok(both.0.with_hosts(&in_namespace))
    }

    fn only(&self, kind: &str) -> Self {
        let is = |m: &&Manifest| m.object.types.as_ref().is_some_and(|types| types.kind == kind);
        self.with(self.manifests.iter().filter(is).cloned().collect())
    }

    fn with(&self, manifests: Vec<Manifest>) -> Self {
        Self {
            resources: self.resources.clone(),
            cluster_name: self.cluster_name.clone(),
            clusters: self.clusters.clone(),
            wanted: self.wanted.clone(),
            manifests,
            operator: self.operator.clone(),
            certificate: self.certificate.clone(),
        }
    }
}

impl Resource for Gateways {
    fn resource(&self) -> ResourceSpec {
        objects::spec(&self.cluster_name)
    }
}

impl Step for Gateways {
    type Input = (ReadyCluster, (), ((), ((), (), ())), ());
    type Output = ProgrammedGateways;

    fn title(&self) -> String {
        let counted = |kind: &str| match self.of_kind(kind).count() {
            1 => format!("1 {kind}"),
            count => format!("{count} {kind}s"),
        };
        format!("{}, {}", counted("Gateway"), counted("HTTPRoute"))
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(900)
    }

    fn typical_duration(&self) -> Duration {
        Duration::from_secs(42)
    }

    async fn check(&self, cx: &Context, input: &Self::Input) -> Result<Check<ProgrammedGateways>, StepError> {
        let session = self.open(&input.0).await?;
        let diff = objects::diff(&session, &self.set(cx), &self.previous(cx)).await?;
        diff.note_found(cx);
        let found = match diff.check() {
            Ok(found) => found,
            Err(verdict) => return Ok(objects::verdict(verdict)),
        };
        let Ok(gateways) = self.evaluate(&found.live) else { return Ok(Check::InProgress) };
        if !self.operator.is_empty() && !switch::outstanding(&session, &self.operator).await?.is_empty() {
            return Ok(Check::InProgress);
        }
        let applied = objects::references(cx, &session, last(cx), &found).await?;
        Ok(Check::InSync(ProgrammedGateways { applied, gateways }))
    }

    async fn apply(&self, cx: &Context, input: &Self::Input) -> Result<ProgrammedGateways, StepError> {
        let session = self.open(&input.0).await?;
        let applied = self.apply_set(cx, &session).await?;
        let gateways = self.await_all(cx, &session).await?;
        Ok(ProgrammedGateways { applied, gateways })
    }

    async fn recover(
        &self,
        cx: &Context,
        input: &Self::Input,
    ) -> Result<Option<ProgrammedGateways>, StepError> {
        let applied = objects::recover(cx, &self.clusters, &self.resources, &input.0, &self.set(cx)).await?;
        Ok(applied.map(|applied| ProgrammedGateways { applied, gateways: Vec::new() }))
    }

    async fn existing(
        &self,
        cx: &Context,
        input: &Self::Input,
    ) -> Result<Option<ProgrammedGateways>, StepError> {
        let session = self.open(&input.0).await?;
        let Some((applied, live)) = objects::existing(cx, &session, &self.set(cx)).await? else {
            return Ok(None);
        };
        let programmed = |wanted: &DynamicObject| {
            let name = wanted.metadata.name.clone().unwrap_or_default();
            match find(&live, "Gateway", &name).map(readiness::gateway) {
                Some(Readiness::Ready(addresses)) => Some(ProgrammedGateway {
                    hosts: self.hosts(&name),
                    address: addresses.first()?.clone(),
                    name,
                }),
                _ => None,
            }
        };
        let gateways = self.of_kind("Gateway").filter_map(programmed).collect();
        Ok(Some(ProgrammedGateways { applied, gateways }))
    }

    async fn undo(&self, cx: &Context, programmed: ProgrammedGateways) -> Result<UndoOutcome, StepError> {
        objects::undo(cx, &self.clusters, &self.resources, &programmed.applied).await
    }
}

/// Returns the hosts of every route whose parent is the gateway, in the routes' order.
fn hosts_of(manifests: &[Manifest], gateway: &str) -> Vec<String> {
    let mut hosts = Vec::new();
    let routes = of_kind(manifests, "HTTPRoute");
    for route in routes.filter(|route| parents(route).any(|parent| parent == gateway)) {
        let names = route.data["spec"]["hostnames"].as_array();
        for host in names.into_iter().flatten().filter_map(|host| host.as_str()) {
            if !hosts.iter().any(|known| known == host) {
                hosts.push(host.to_owned());
            }
        }
    }
    hosts
}

/// Returns the hosts of all gateways of the manifests, which get records.
pub(crate) fn published_hosts(manifests: &[Manifest]) -> Vec<String> {
    let gateways = of_kind(manifests, "Gateway").filter_map(|gateway| gateway.metadata.name.as_deref());
    let mut hosts: Vec<String> = gateways.flat_map(|gateway| hosts_of(manifests, gateway)).collect();
    let mut known = BTreeSet::new();
    hosts.retain(|host| known.insert(host.clone()));
    hosts
}

pub(crate) fn of_kind<'a>(
    manifests: &'a [Manifest],
    kind: &'a str,
) -> impl Iterator<Item = &'a DynamicObject> {
    let is = move |object: &&DynamicObject| object.types.as_ref().is_some_and(|types| types.kind == kind);
    manifests.iter().map(|manifest| &manifest.object).filter(is)
}

/// Returns what this step applied last.
fn last(cx: &Context) -> Option<Applied> {
    cx.last_output::<ProgrammedGateways>().map(|programmed| programmed.applied)
}

/// Adds the hosts, which only the whole set contains.
trait WithHosts {
    fn with_hosts(self, all: &Gateways) -> Self;
}

impl WithHosts for (Vec<ProgrammedGateway>, Option<SystemTime>) {
    fn with_hosts(mut self, all: &Gateways) -> Self {
        for gateway in &mut self.0 {
            gateway.hosts = all.hosts(&gateway.name);
        }
        self
    }
}

/// Returns the condition and its reason, without the controller's message: `Programmed: AddressNotAssigned`,
/// `listener https: ResolvedRefs: InvalidCertificateRef`.
fn reason(why: &str) -> &str {
    let before = usize::from(why.starts_with("listener ")) + 1;
    let end = why.match_indices(": ").nth(before).map_or(why.len(), |(at, _)| at);
    &why[..end]
}

pub(crate) fn parents(route: &DynamicObject) -> impl Iterator<Item = &str> {
    let parents = route.data["spec"]["parentRefs"].as_array();
    parents.into_iter().flatten().filter_map(|parent| parent["name"].as_str())
}

fn space(object: &DynamicObject) -> String {
    object.metadata.namespace.clone().unwrap_or_else(|| "default".to_owned())
}

fn in_space(manifests: &[Manifest], wanted: &str) -> Vec<Manifest> {
    manifests.iter().filter(|manifest| space(&manifest.object) == wanted).cloned().collect()
}

fn typed(live: &[DynamicObject], kind: &Kind) -> Vec<DynamicObject> {
    live.iter().map(|object| DynamicObject { types: Some(kind.types()), ..object.clone() }).collect()
}

fn find<'a>(live: &'a [DynamicObject], kind: &str, name: &str) -> Option<&'a DynamicObject> {
    live.iter().find(|object| {
        object.types.as_ref().is_some_and(|types| types.kind == kind)
            && object.metadata.name.as_deref() == Some(name)
    })
}
