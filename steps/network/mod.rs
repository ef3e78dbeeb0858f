//! The nodes' subnet, in an owned or foreign virtual network.

pub(crate) mod body;
pub(crate) mod delegation;
mod drift;

use self::body::{
    addition, is_contained, others, prefix_of, ranges, subnet_of, users, with_subnet, with_tags,
    without_subnet,
};
use crate::{
    Clients,
    error_context::{ErrorContext, TrackWrite},
    names, operation,
    policy_overrides::{self, NOTHING_REQUIRED, Written},
    read_only,
    resource_group::{Group, same_region},
    resource_spec::{
        Listed, ListedResource, LockScope, NameSetting, Resource, ResourceSpec, Right, VIRTUAL_NETWORK,
    },
    settings::{Network as NetworkSettings, Settings},
    tags::{self, Tags},
};
use landfall_cloud::{
    ApiErrorKind,
    arm::{Condition, State, SubscriptionClient, WriteResult},
};
use landfall_engine::{Check, Context, Kind, Leftover, Poll, Step, StepError, StepState, UndoOutcome, Wait};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

const RIGHTS: &[Right] =
    &[Right { act: "create virtual networks", action: "Microsoft.Network/virtualNetworks/write" }];

/// Creates the network and the subnet, and never removes a foreign subnet.
pub struct Network {
    azure: SubscriptionClient,
    group: String,
    location: String,
    /// The tags of an owned network, with the ownership tag.
    tags: Tags,
    mark: String,
    wanted: NetworkSettings,
}

/// The existing subnet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// The subnet's resource id.
    pub id: String,
    /// The network's resource id.
    pub network_id: String,
    /// The network's name.
    pub network: String,
    /// The network's ranges.
    pub address_space: Vec<String>,
    /// The subnet's range.
    pub prefix: String,
    /// True if the network existed before, so that landfall owns only the subnet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub joined: bool,
}

impl Network {
    /// Returns the step for these settings.
    #[must_use]
    pub fn new(c: &Clients, s: &Settings) -> Self {
        let mark = names::mark(s, c.azure.id());
        let mut tags = s.tags.clone();
        tags.insert(names::OWNER.to_owned(), mark.clone());
        Self {
            azure: c.azure.clone(),
            group: s.resource_group.clone(),
            location: s.location.clone(),
            tags,
            mark,
            wanted: s.network.clone(),
        }
    }

    /// Returns whether the network existed before. Owned networks have the ownership tag; otherwise the
    /// journal decides.
    fn joined(&self, cx: &Context, body: &Value) -> bool {
        let recorded = cx.last_output::<Subnet>().filter(|_| cx.owned());
        tags::get(&tags::of(body), names::OWNER) != Some(&self.mark)
            && recorded.is_none_or(|subnet| subnet.joined)
    }

    async fn read(&self) -> Result<Option<Value>, StepError> {
        let found = self.azure.network(&self.group, &self.wanted.name).await;
        found.context(format!("read virtual network {}", self.wanted.name))
    }

    fn parse(&self, body: &Value, joined: bool) -> Option<Subnet> {
        let subnet = subnet_of(body, &self.wanted.subnet)?;
        Some(Subnet {
            id: subnet["id"].as_str()?.to_owned(),
            network_id: body["id"].as_str()?.to_owned(),
            network: self.wanted.name.clone(),
            address_space: ranges(body),
            prefix: prefix_of(subnet)?.to_owned(),
            joined,
        })
    }

    /// Returns the desired body with minimal changes: unknown fields are preserved.
    fn body(&self, existing: Option<Value>, joined: bool) -> Value {
        let subnet = json!({
            "name": self.wanted.subnet,
            "properties": { "addressPrefix": self.wanted.subnet_prefix.to_string() },
        });
        match existing {
            None => json!({
                "location": self.location,
                "tags": self.tags,
                "properties": {
                    "addressSpace": { "addressPrefixes": [self.wanted.address_space.to_string()] },
                    "subnets": [subnet],
                },
            }),
            Some(body) if joined => with_subnet(body, subnet),
            Some(body) => {
                with_subnet(drift::correct_drift(with_tags(body, &self.tags), &self.wanted), subnet)
            }
        }
    }

    fn evaluate(&self, cx: &Context, body: &Value) -> Result<Check<Subnet>, StepError> {
        let name = &self.wanted.name;
        let region = body["location"].as_str().unwrap_or_default();
        if !same_region(region, &self.location) {
            return Ok(Check::NotOwned {
                why: format!("virtual network {name} is in {region}, but {} is required", self.location),
            });
        }
        match State::of(body) {
            State::Running(_) | State::Deleting => return Ok(Check::InProgress),
            State::Failed => return Ok(Check::Failed { why: format!("virtual network {name} is Failed") }),
            State::Canceled => {
                return Ok(Check::Failed { why: format!("virtual network {name} is Canceled") });
            }
            State::Succeeded => {}
        }
        if let Some(error) = delegation::refusal(body, &self.wanted) {
            return Ok(Check::Refused { error });
        }
        let joined = self.joined(cx, body);
        if joined || !cx.owned() {
            return Ok(self.evaluate_foreign(body, joined));
        }
        let mut changes = tags::differences(body, &self.tags);
        changes.extend(drift::differences(body, &self.wanted)?);
        let changes = policy_overrides::unexplained(cx, &self.resource_name(), changes, NOTHING_REQUIRED);
        Ok(match self.parse(body, joined) {
            Some(subnet) if changes.is_empty() => Check::InSync(subnet),
            _ => Check::Drifted { changes },
        })
    }

    /// Evaluates a network that landfall did not create: its ranges and tags are its owner's.
    fn evaluate_foreign(&self, body: &Value, joined: bool) -> Check<Subnet> {
        let (name, wanted) = (&self.wanted.name, self.wanted.subnet_prefix.to_string());
        let mut changes = Vec::new();
        match subnet_of(body, &self.wanted.subnet).map(prefix_of) {
            Some(Some(prefix)) if prefix == wanted => {}
            Some(prefix) => {
                let prefix = prefix.unwrap_or("no range");
                let why =
                    format!("subnet {} of {name} is {prefix}, but {wanted} is required", self.wanted.subnet);
                return Check::NotOwned { why };
            }
            // In a foreign network the new subnet is owned, and teardown deletes it.
            None if joined && is_contained(&wanted, &ranges(body)) => return Check::Missing,
            None if is_contained(&wanted, &ranges(body)) => {
                changes.push(addition(&self.wanted.subnet, &wanted))
            }
            None => {
                let ranges = ranges(body).join(", ");
                let why = format!("virtual network {name} is {ranges}, which has no room for {wanted}");
                return Check::NotOwned { why };
            }
        }
        match self.parse(body, joined) {
            Some(subnet) if changes.is_empty() => Check::InSync(subnet),
            _ => Check::Drifted { changes },
        }
    }

    /// Writes the network with the subnet; `None` if it changed since the read. The change may come from
    /// others, or from our own earlier request whose response was lost.
    async fn put(&self, cx: &Context, what: &str) -> Result<Option<PutOutcome>, StepError> {
        let existing = self.wait_until_idle(cx).await?;
        let condition = match &existing {
            None => Condition::None,
            Some(body) => match self.evaluate(cx, body)? {
                Check::InSync(subnet) => return Ok(Some(PutOutcome::InSync(subnet))),
                Check::NotOwned { why } => return Err(StepError::new(Kind::Foreign, what).cause(why)),
                Check::Refused { error } => return Err(error),
                _ => unchanged(body),
            },
        };
        let joined = existing.as_ref().is_some_and(|body| self.joined(cx, body));
        let body = read_only::without(self.body(existing, joined), read_only::NETWORK);
        let Some(write_result) = self.put_body(cx, what, &body, condition).await? else { return Ok(None) };
        if !joined {
            let resource = self.resource_name();
            let written = Written {
                resource: &resource,
                group: &self.group,
                is_in_group: true,
                is_required: NOTHING_REQUIRED,
                write_result: &write_result,
            };
            let differences = |answer: &Value| {
                let mut changes = tags::differences(answer, &self.tags);
                changes.extend(drift::differences(answer, &self.wanted).unwrap_or_default());
                changes
            };
            policy_overrides::record(cx, &self.azure, written, differences).await?;
        }
        Ok(Some(PutOutcome::WriteResult { write_result, joined }))
    }

    /// Returns the network for display.
    fn resource_name(&self) -> String {
        format!("virtual network {}", self.wanted.name)
    }

    /// Writes this body; `None` if the precondition failed.
    async fn put_body(
        &self,
        cx: &Context,
        what: &str,
        body: &Value,
        condition: Condition,
    ) -> Result<Option<WriteResult>, StepError> {
        operation::retry_while_busy(cx, what, || async {
            let put = self.azure.put_network(&self.group, &self.wanted.name, body, condition.clone()).await;
            match put.track_write(cx) {
                Err(error) if error.kind == ApiErrorKind::Precondition => Ok(None),
                write_result => write_result.map(Some),
            }
        })
        .await
    }

    /// Removes our subnet from a foreign network: reads it, changes it, and writes it only if it is unchanged
    /// since the read.
    async fn remove_subnet(&self, cx: &Context, subnet: &Subnet) -> Result<UndoOutcome, StepError> {
        let what = format!("delete subnet {} from {}", self.wanted.subnet, subnet.network);
        let wait = Wait::new(
            "the virtual network to stay unchanged",
            Duration::from_secs(6),
            Duration::from_secs(600),
        );
        // Our own earlier request, whose response was lost, may have removed it.
        let tried = AtomicBool::new(false);
        let deleted =
            || if tried.load(Ordering::Relaxed) { UndoOutcome::Deleted } else { UndoOutcome::AlreadyDeleted };
        let removal = cx.wait_until(wait, async || {
            let Some(body) = self.wait_until_idle(cx).await? else { return Ok(Poll::Ready(Err(deleted()))) };
            let Some(owned) = subnet_of(&body, &self.wanted.subnet) else {
                return Ok(Poll::Ready(Err(deleted())));
            };
            let users = users(owned);
            if !users.is_empty() {
                let why = format!("subnet {} is in use by {}", self.wanted.subnet, users.join(", "));
                return Ok(Poll::Ready(Err(UndoOutcome::Kept { why })));
            }
            tried.store(true, Ordering::Relaxed);
            let condition = unchanged(&body);
            let body = without_subnet(body, &self.wanted.subnet);
            let body = read_only::without(body, read_only::NETWORK);
            match self.put_body(cx, &what, &body, condition).await {
                // An address of the subnet was allocated between the read and the write.
                Err(error) if error.code.as_deref() == Some("InUseSubnetCannotBeDeleted") => {
                    Ok(Poll::Ready(Err(UndoOutcome::Kept { why: error.causes.join("; ") })))
                }
                put => Ok(put?.map_or_else(
                    || Poll::not_yet("it was changed concurrently"),
                    |write_result| Poll::Ready(Ok(write_result)),
                )),
            }
        });
        let write_result = match removal.await? {
            Ok(write_result) => write_result,
            Err(undone) => return Ok(undone),
        };
        let wait = Wait::new("the subnet to be deleted", Duration::from_secs(6), Duration::from_secs(300));
        operation::finish(cx, self.azure.arm(), write_result, wait, &what).await?;
        Ok(UndoOutcome::Deleted)
    }

    async fn wait_until_idle(&self, cx: &Context) -> Result<Option<Value>, StepError> {
        let wait = Wait::new(
            "the operation on the virtual network to end",
            Duration::from_secs(6),
            Duration::from_secs(300),
        );
        let what = format!("read virtual network {}", self.wanted.name);
        let request = || self.azure.network(&self.group, &self.wanted.name);
        operation::poll_until(cx, wait, &what, request, |body: Option<Value>| {
            Ok(match body.as_ref().map(State::of) {
                Some(State::Running(state)) => Poll::not_yet(state),
                Some(State::Deleting) => Poll::not_yet("Deleting"),
                _ => Poll::Ready(body),
            })
        })
        .await
    }
}

impl Network {
    /// Waits until the network does not exist. Without a ticket the end of the deletion is visible only
    /// there.
    async fn wait_until_deleted(&self, cx: &Context) -> Result<(), StepError> {
        let wait =
            Wait::new("the virtual network to be deleted", Duration::from_secs(6), Duration::from_secs(300));
        let what = format!("read virtual network {}", self.wanted.name);
        let request = || self.azure.network(&self.group, &self.wanted.name);
        let deleted = |body: Option<Value>| Ok(body.map_or(Poll::Ready(()), |_| Poll::not_yet("Deleting")));
        operation::poll_until(cx, wait, &what, request, deleted).await
    }
}

impl Step for Network {
    type Input = Group;
    type Output = Subnet;

    fn title(&self) -> String {
        format!("{} {}", self.wanted.name, self.wanted.address_space)
    }

    fn planned_name(&self) -> Option<Value> {
        Some(json!({ "name": self.wanted.name, "subnet": self.wanted.subnet }))
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(900)
    }

    fn typical_duration(&self) -> Duration {
        Duration::from_secs(6)
    }

    async fn check(&self, cx: &Context, _: &Group) -> Result<Check<Subnet>, StepError> {
        match self.read().await? {
            Some(body) => self.evaluate(cx, &body),
            None => Ok(Check::Missing),
        }
    }

    async fn apply(&self, cx: &Context, _: &Group) -> Result<Subnet, StepError> {
        let what = format!("create virtual network {}", self.wanted.name);
        let wait = Wait::new(
            "the virtual network to stay unchanged",
            Duration::from_secs(1),
            Duration::from_secs(600),
        );
        let put = cx
            .wait_until(wait, async || {
                let put = self.put(cx, &what).await?;
                Ok(put.map_or_else(|| Poll::not_yet("it was changed concurrently"), Poll::Ready))
            })
            .await?;
        let (write_result, joined) = match put {
            PutOutcome::InSync(subnet) => return Ok(subnet),
            PutOutcome::WriteResult { write_result, joined } => (write_result, joined),
        };
        let wait =
            Wait::new("the virtual network to be created", Duration::from_secs(6), Duration::from_secs(300));
        let arm = self.azure.arm();
        let body = match joined {
            true => operation::finish(cx, arm, write_result, wait, &what).await?,
            false => operation::finish_creation(cx, arm, write_result, wait, &what).await?,
        };
        let body = match body {
            Some(body) => body,
            None => self.read().await?.unwrap_or_default(),
        };
        // The mark may be overridden in a network of this very run.
        self.parse(&body, joined).ok_or_else(|| {
            StepError::new(Kind::Failed, what)
                .cause(format!("the network exists without subnet {}", self.wanted.subnet))
                .leftover(Leftover::Something)
        })
    }

    /// Neither the network nor the subnet needs to be healthy to be identified.
    async fn recover(&self, cx: &Context, _: &Group) -> Result<Option<Subnet>, StepError> {
        let Some(body) = self.read().await? else { return Ok(None) };
        let joined = self.joined(cx, &body);
        if joined && subnet_of(&body, &self.wanted.subnet).is_none() {
            return Ok(None);
        }
        let network_id = self.azure.network_id(&self.group, &self.wanted.name);
        Ok(Some(Subnet {
            id: format!("{network_id}/subnets/{}", self.wanted.subnet),
            network_id,
            network: self.wanted.name.clone(),
            address_space: ranges(&body),
            prefix: self.wanted.subnet_prefix.to_string(),
            joined,
        }))
    }

    async fn undo(&self, cx: &Context, subnet: Subnet) -> Result<UndoOutcome, StepError> {
        if subnet.joined && !cx.adopted() {
            return self.remove_subnet(cx, &subnet).await;
        }
        let what = format!("delete virtual network {}", subnet.network);
        let Some(body) = self.read().await? else { return Ok(UndoOutcome::AlreadyDeleted) };
        let others = others(&body, &self.wanted.subnet);
        if subnet.joined && !others.is_empty() {
            cx.note(format!("the network itself is kept: it has other subnets, {}", others.join(", ")));
            return self.remove_subnet(cx, &subnet).await;
        }
        if !others.is_empty() {
            return Ok(UndoOutcome::Kept { why: format!("it has foreign subnets: {}", others.join(", ")) });
        }
        let users = subnet_of(&body, &self.wanted.subnet).map(users).unwrap_or_default();
        if !users.is_empty() {
            let why = format!("subnet {} is in use by {}", self.wanted.subnet, users.join(", "));
            return Ok(UndoOutcome::Kept { why });
        }
        let write_result = operation::retry_while_busy(cx, &what, || {
            self.azure.delete_network(&self.group, &subnet.network)
        })
        .await?;
        let wait =
            Wait::new("the virtual network to be deleted", Duration::from_secs(6), Duration::from_secs(300));
        operation::finish(cx, self.azure.arm(), write_result, wait, &what).await?;
        self.wait_until_deleted(cx).await?;
        Ok(UndoOutcome::Deleted)
    }
}

impl Resource for Network {
    const NAMES: &'static [NameSetting] = &[
        NameSetting {
            setting: "network.name",
            key: "name",
            get: |s, _| s.network.name.clone(),
            set: |s, name| s.network.name = name.unwrap_or_default(),
            recorded: |past| past.read_output::<Subnet>().map(|subnet| subnet.network),
            fixed: true,
            optional: false,
        },
        NameSetting {
            setting: "network.subnet",
            key: "subnet",
            get: |s, _| s.network.subnet.clone(),
            set: |s, subnet| s.network.subnet = subnet.unwrap_or_default(),
            recorded: |past| {
                let id = past.read_output::<Subnet>()?.id;
                Some(id.rsplit('/').next().unwrap_or_default().to_owned())
            },
            fixed: true,
            optional: false,
        },
    ];

    fn resource(&self) -> ResourceSpec {
        let id = self.azure.network_id(&self.group, &self.wanted.name);
        let (scope, name, subnet) = (id.clone(), self.wanted.name.clone(), self.wanted.subnet.clone());
        let body = json!({ "location": self.location, "tags": self.tags, "properties": {
            "addressSpace": { "addressPrefixes": [self.wanted.address_space.to_string()] },
        }});
        ResourceSpec::new("network", &self.wanted.name)
            .of_type(VIRTUAL_NETWORK)
            .with_id(id)
            .listed(move |past| {
                let text = match is_subnet_alone(past) {
                    true => format!("subnet {subnet} of {name}"),
                    false => format!("network {name}"),
                };
                Some(Listed::InGroup(ListedResource { text, recoverable: false }))
            })
            // The removal of a subnet from a network that stays is a write of the network.
            .locked_at(move |past| {
                vec![match is_subnet_alone(past) {
                    true => LockScope::Write(scope.clone()),
                    false => LockScope::Deletion(scope.clone()),
                }]
            })
            .with_found_parts(|past| past.read_output::<Subnet>().is_some_and(|subnet| subnet.joined))
            .needs(RIGHTS)
            .judged_by_policy("virtual network", body)
    }
}

/// Returns whether the network existed before and was not adopted, so that only the subnet is deleted.
pub(crate) fn is_subnet_alone(past: &StepState) -> bool {
    !past.adopted && past.read_output::<Subnet>().is_some_and(|subnet| subnet.joined)
}

/// The result of writing the network.
enum PutOutcome {
    /// It is in sync, and no request is necessary.
    InSync(Subnet),
    /// Azure accepted the request; `joined` if the network existed before.
    WriteResult { write_result: WriteResult, joined: bool },
}

/// Returns the precondition that a network is unchanged since it was read.
fn unchanged(body: &Value) -> Condition {
    body["etag"].as_str().map_or(Condition::None, |etag| Condition::IfMatch(etag.to_owned()))
}
