//! Virtual networks and their subnets (Network REST API). They are one family, because a subnet changes only
//! through its network.

mod defaults;
mod delegations;
mod quota_usages;
mod ranges;
mod subnets;
mod whole_network;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::arm::error::ArmError;
use crate::arm::operation::{self, Operation, Plan, Style};
use crate::arm::provider::Provider;
use crate::arm::{Call, Route, clusters, id, roles, versions};
use crate::clock::{SimTime, Timing};
use crate::durations;
use crate::request::Reply;
use crate::state::CloudState;

/// The resource type of a network.
pub const KIND: &str = "Microsoft.Network/virtualNetworks";
/// The resource type of a subnet.
pub const SUBNET_KIND: &str = "Microsoft.Network/virtualNetworks/subnets";

/// A subnet, as clusters see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// The full id.
    pub id: String,
    /// The address ranges in CIDR notation.
    pub prefixes: Vec<String>,
    /// `Succeeded`, `Updating`, `Deleting`.
    pub state: String,
    /// The region of the network.
    pub location: String,
    /// True if it is delegated to a service.
    pub delegated: bool,
}

/// The stored part of a subnet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Part {
    name: String,
    etag: String,
    state: State,
    /// The properties from the caller, without read-only ones.
    properties: Map<String, Value>,
}

impl Part {
    fn prefixes(&self) -> Vec<String> {
        ranges::of_subnet(&self.properties)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    Updating,
    Succeeded,
    Deleting,
    Failed,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Updating => "Updating",
            Self::Succeeded => "Succeeded",
            Self::Deleting => "Deleting",
            Self::Failed => "Failed",
        }
    }
}

/// A virtual network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Network {
    /// The full id, in the case of its creation.
    id: String,
    location: String,
    tags: Map<String, Value>,
    etag: String,
    guid: String,
    state: State,
    /// The end of the write in progress.
    done: Option<SimTime>,
    /// True if the write in progress fails.
    #[serde(default)]
    #[serde(rename = "doomed")]
    fails_on_completion: bool,
    /// The properties from the caller, without the subnets.
    properties: Map<String, Value>,
    subnets: Vec<Part>,
}

/// The virtual networks, by the key of their id.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Networks {
    networks: BTreeMap<String, Network>,
}

/// The resource family of virtual networks.
pub const PROVIDER: Provider =
    Provider { members, delete_members, next_due, advance_to, ..Provider::stateless("networks", routes) };

fn routes() -> Vec<Route> {
    let mut routes = whole_network::routes();
    routes.extend(subnets::routes());
    routes.extend(quota_usages::routes());
    routes
}

impl Network {
    fn name(&self) -> &str {
        id::name(&self.id)
    }

    fn subnet_id(&self, name: &str) -> String {
        format!("{}/subnets/{name}", self.id)
    }

    fn part(&self, name: &str) -> Option<&Part> {
        self.subnets.iter().find(|part| part.name.eq_ignore_ascii_case(name))
    }

    fn body(&self, state: &CloudState) -> Value {
        let mut properties = self.properties.clone();
        properties.insert("provisioningState".to_owned(), json!(self.state.as_str()));
        properties.insert("resourceGuid".to_owned(), json!(self.guid));
        let subnets: Vec<Value> = self.subnets.iter().map(|part| self.part_body(state, part)).collect();
        properties.insert("subnets".to_owned(), json!(subnets));
        // States of earlier versions lack them.
        defaults::fill_network(&mut properties);
        json!({
            "name": self.name(),
            "id": self.id,
            "etag": format!("W/\"{}\"", self.etag),
            "type": KIND,
            "location": self.location,
            "tags": self.tags,
            "properties": properties,
        })
    }

    fn part_body(&self, state: &CloudState, part: &Part) -> Value {
        let id = self.subnet_id(&part.name);
        let mut properties = part.properties.clone();
        properties.insert("provisioningState".to_owned(), json!(part.state.as_str()));
        properties.insert("delegations".to_owned(), delegations::body(&part.properties, &id, &part.etag));
        defaults::fill_subnet(&mut properties);
        let holders: Vec<Value> =
            clusters::using_subnet(state, &id).iter().map(|id| json!({ "id": id })).collect();
        if !holders.is_empty() {
            properties.insert("ipConfigurations".to_owned(), json!(holders));
        }
        json!({
            "name": part.name,
            "id": id,
            "etag": format!("W/\"{}\"", part.etag),
            "type": SUBNET_KIND,
            "properties": properties,
        })
    }
}

/// Returns the subnet with that id, compared case-insensitively.
pub fn subnet(state: &CloudState, subnet_id: &str) -> Option<Subnet> {
    let (network, name) =
        id::key(subnet_id).rsplit_once("/subnets/").map(|(at, name)| (at.to_owned(), name.to_owned()))?;
    let network = state.networks.networks.get(&network)?;
    let part = network.part(&name)?;
    Some(Subnet {
        id: network.subnet_id(&part.name),
        prefixes: part.prefixes(),
        state: part.state.as_str().to_owned(),
        location: network.location.clone(),
        delegated: !delegations::services(&part.properties).is_empty(),
    })
}

/// Returns the address ranges of every subnet in the network of a subnet.
pub fn neighbours(state: &CloudState, subnet_id: &str) -> Vec<String> {
    let key = id::key(subnet_id);
    let network = key.rsplit_once("/subnets/").and_then(|(network, _)| state.networks.networks.get(network));
    network.into_iter().flat_map(|network| network.subnets.iter().flat_map(Part::prefixes)).collect()
}

/// Returns the id of the network in a call's URL, in the case of the call.
fn requested_id(call: &Call<'_>) -> String {
    format!(
        "/subscriptions/{}/resourceGroups/{}/providers/{KIND}/{}",
        call.param("subscription"),
        call.param("group"),
        call.param("network")
    )
}

fn find<'a>(state: &'a CloudState, call: &Call<'_>) -> Result<&'a Network, ArmError> {
    let found = state.networks.networks.get(&id::key(&requested_id(call)));
    found.ok_or_else(|| ArmError::resource_not_found(KIND, call.param("network"), call.param("group")))
}

/// Lets the write in progress on a network or on one of its subnets fail; returns whether there was one.
pub(crate) fn fail_operation(state: &mut CloudState, id: &str) -> bool {
    let Some(network) = state.networks.networks.get_mut(&network_of(id)) else { return false };
    network.fails_on_completion = network.done.is_some();
    network.fails_on_completion
}

/// Starts a write by another client that changes nothing; returns whether the network exists and had no write
/// in progress.
pub(crate) fn start_noop_write(state: &mut CloudState, id: &str, now: SimTime, timing: &Timing) -> bool {
    let found = state.networks.networks.get_mut(&network_of(id));
    let Some(network) = found.filter(|network| network.done.is_none()) else { return false };
    let done = timing.after(now, durations::NETWORK_PUT).max(now.plus_ms(1));
    network.state = State::Updating;
    network.done = Some(done);
    let (id, location) = (network.id.clone(), network.location.clone());
    let plan = Plan {
        resource: &id,
        provider: "Microsoft.Network",
        location: &location,
        name: "PutVirtualNetworkOperation",
        style: Style::AsyncOperation,
        api_version: VERSIONS[VERSIONS.len() - 1],
        retry_after: Some(durations::NETWORK_RETRY_AFTER),
        signed: false,
    };
    operation::begin(state, &plan, now, done);
    true
}

/// Returns the key of the network in the id of a network or a subnet.
fn network_of(id: &str) -> String {
    let key = id::key(id);
    key.split_once("/subnets/").map_or(key.clone(), |(network, _)| network.to_owned())
}

/// Refuses a write while another one is in progress on the same network. Like the provider, it responds with
/// a retryable 429.
fn check_free(state: &CloudState, call: &Call<'_>) -> Result<(), ArmError> {
    let Ok(network) = find(state, call) else { return Ok(()) };
    let Some(done) = network.done.filter(|done| *done > call.now) else { return Ok(()) };
    let (name, operation) = operation::running(state, &network.id, call.now)
        .map_or(("PutVirtualNetworkOperation", ""), |operation| {
            (operation.name.as_str(), operation.id.as_str())
        });
    let left_ms = done.since(call.now).as_millis();
    let seconds = left_ms.div_ceil(1000).max(1);
    let why = format!(
        "Operation {name} ({operation}) is updating resource {}. The call can be retried in {seconds} seconds.",
        network.id
    );
    Err(ArmError::new(429, "RetryableError", "A retryable error occurred.")
        .with_detail("RetryableErrorDueToAnotherOperation", why)
        .with_header("retry-after", &seconds.to_string())
        .with_header("retry-after-ms", &left_ms.to_string()))
}

/// Refuses the removal of a subnet (or its range) that contains an address in use.
fn check_unused(state: &CloudState, subnet_id: &str, code: &str) -> Result<(), ArmError> {
    let Some(holder) = clusters::using_subnet(state, subnet_id).into_iter().next() else { return Ok(()) };
    let name = id::name(subnet_id);
    Err(ArmError::new(
        400,
        code,
        format!(
            "Subnet {name} is in use by {holder} and cannot be deleted. In order to delete the subnet, delete all the \
             resources within the subnet. See aka.ms/deletesubnet."
        ),
    ))
}

/// Checks the etag preconditions of a write.
fn check_etag(call: &Call<'_>, current: Option<&str>) -> Result<(), ArmError> {
    let plain = |text: &str| text.trim().trim_start_matches("W/").trim_matches('"').to_owned();
    if let Some(wanted) = call.request.header("if-match")
        && current.is_none_or(|current| wanted.trim() != "*" && plain(wanted) != current)
    {
        return Err(ArmError::precondition("If-Match", wanted));
    }
    match call.request.header("if-none-match") {
        Some(unwanted)
            if current.is_some_and(|current| unwanted.trim() == "*" || plain(unwanted) == current) =>
        {
            Err(ArmError::precondition("If-None-Match", unwanted))
        }
        _ => Ok(()),
    }
}

/// Starts the operation of a write.
fn begin(state: &mut CloudState, call: &Call<'_>, resource: &str, name: &str, ends: SimTime) -> Operation {
    let style = if name.starts_with("Delete") { Style::Both } else { Style::AsyncOperation };
    let location = find(state, call).map(|network| network.location.clone()).unwrap_or_default();
    let plan = Plan {
        resource,
        provider: "Microsoft.Network",
        location: &location,
        name,
        style,
        api_version: &call.api_version,
        retry_after: Some(durations::NETWORK_RETRY_AFTER),
        signed: false,
    };
    operation::begin(state, &plan, call.now, ends)
}

fn announced(state: &CloudState, call: &Call<'_>, operation: &Operation, reply: Reply) -> Reply {
    operation.announce(state, &call.timing, reply.with_header("azure-asyncnotification", "Enabled"))
}

fn members(state: &CloudState, group: &str) -> Vec<Value> {
    let inside = |network: &&Network| {
        id::part(&network.id, "resourceGroups").is_some_and(|own| own.eq_ignore_ascii_case(group))
    };
    state.networks.networks.values().filter(inside).map(|network| network.body(state)).collect()
}

fn delete_members(state: &mut CloudState, group: &str, from: SimTime, timing: &Timing) -> SimTime {
    let done = timing.after(from, durations::NETWORK_DELETE);
    let mut last = from;
    for network in state.networks.networks.values_mut() {
        if id::part(&network.id, "resourceGroups").is_some_and(|own| own.eq_ignore_ascii_case(group)) {
            network.state = State::Deleting;
            network.done = Some(done);
            last = done;
        }
    }
    last
}

fn next_due(state: &CloudState) -> Option<SimTime> {
    state.networks.networks.values().filter_map(|network| network.done).min()
}

fn advance_to(state: &mut CloudState, due: SimTime, _timing: &Timing) {
    let mut deleted_ids = Vec::new();
    state.networks.networks.retain(|_, network| {
        if network.done.is_none_or(|done| done > due) {
            return true;
        }
        network.done = None;
        if std::mem::take(&mut network.fails_on_completion) {
            network.state = State::Failed;
            let unfinished = network.subnets.iter_mut().filter(|part| part.state != State::Succeeded);
            unfinished.for_each(|part| part.state = State::Failed);
            return true;
        }
        if network.state == State::Deleting {
            deleted_ids.push(network.id.clone());
            return false;
        }
        network.state = State::Succeeded;
        let deleting = network.subnets.iter().filter(|part| part.state == State::Deleting);
        deleted_ids.extend(deleting.map(|part| network.subnet_id(&part.name)));
        network.subnets.retain(|part| part.state != State::Deleting);
        for part in &mut network.subnets {
            part.state = State::Succeeded;
        }
        true
    });
    for scope in deleted_ids {
        roles::drop_scope(state, &scope);
    }
}

/// The supported api-versions of the family's types.
const VERSIONS: &[&str] = versions::NETWORKS;
