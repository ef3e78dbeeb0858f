//! The resource group, which contains all other resources.

use crate::{
    Clients,
    error_context::{ErrorContext, TrackWrite},
    operation,
    policy_overrides::{self, NOTHING_REQUIRED, Written},
    resource_spec::{Listed, NameSetting, RESOURCE_GROUP, Resource, ResourceSpec, Resources, Right},
    settings::{Settings, Teardown},
    tags::{self, Tags},
};
use landfall_cloud::arm::{State, SubscriptionClient, WriteResult};
use landfall_engine::{Change, Check, Context, Kind, Leftover, Poll, Step, StepError, UndoOutcome, Wait};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

const RIGHTS: &[Right] = &[Right {
    act: "create resource groups",
    action: "Microsoft.Resources/subscriptions/resourceGroups/write",
}];

/// Creates the resource group.
pub struct ResourceGroup {
    azure: SubscriptionClient,
    name: String,
    location: String,
    tags: Tags,
    no_wait: bool,
    resources: Resources,
}

/// The existing group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its resource id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its region.
    pub location: String,
}

impl ResourceGroup {
    /// Returns the step for these settings.
    #[must_use]
    pub fn new(c: &Clients, s: &Settings, teardown: &Teardown, resources: &Resources) -> Self {
        Self {
            azure: c.azure.clone(),
            name: s.resource_group.clone(),
            location: s.location.clone(),
            tags: s.tags.clone(),
            no_wait: teardown.no_wait,
            resources: resources.clone(),
        }
    }

    fn parse(&self, body: &Value) -> Group {
        Group {
            id: body["id"].as_str().map_or_else(|| self.azure.group_id(&self.name), str::to_owned),
            name: self.name.clone(),
            location: self.location.clone(),
        }
    }

    /// Lists the tags that differ and that no other party overrides.
    fn drift(&self, cx: &Context, body: &Value) -> Vec<Change> {
        policy_overrides::unexplained(
            cx,
            &self.title(),
            tags::differences(body, &self.tags),
            NOTHING_REQUIRED,
        )
    }

    async fn read(&self) -> Result<Option<Value>, StepError> {
        self.azure.group(&self.name).await.context(format!("read resource group {}", self.name))
    }

    /// Returns the reason why the group stays: its foreign resources, or owned ones that stay themselves.
    fn keep_reason(&self, cx: &Context, remaining: &[Value]) -> String {
        let recorded = self.resources.all().iter().filter(|one| {
            let past = cx.past_of(one.id);
            past.owned && past.output.is_some()
        });
        let owned: Vec<&String> = recorded.filter_map(|one| one.spec.arm_id.as_ref()).collect();
        let is_owned = |one: &&Value| {
            one["id"].as_str().is_some_and(|id| owned.iter().any(|known| known.eq_ignore_ascii_case(id)))
        };
        let foreign: Vec<Value> = remaining.iter().filter(|one| !is_owned(one)).cloned().collect();
        match foreign.is_empty() {
            true => format!("it contains kept resources: {}", names(remaining)),
            false => format!("it contains foreign resources: {}", names(&foreign)),
        }
    }

    /// Waits until a group in deletion is gone. It accepts no writes until then, and is recreated afterwards.
    async fn wait_until_deleted(&self, cx: &Context) -> Result<(), StepError> {
        let wait = Wait::new(
            "the resource group to be deleted",
            Duration::from_secs(300),
            Duration::from_secs(3600),
        );
        let what = format!("read resource group {}", self.name);
        operation::poll_until(
            cx,
            wait,
            &what,
            || self.azure.group(&self.name),
            |body| {
                Ok(match body {
                    Some(body) if State::of(&body) == State::Deleting => Poll::not_yet("Deleting"),
                    _ => Poll::Ready(()),
                })
            },
        )
        .await
    }
}

impl Step for ResourceGroup {
    type Input = ();
    type Output = Group;

    fn title(&self) -> String {
        format!("resource group {}", self.name)
    }

    fn planned_name(&self) -> Option<Value> {
        Some(json!({ "name": self.name, "location": self.location }))
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(3700)
    }

    fn typical_duration(&self) -> Duration {
        Duration::from_secs(2)
    }

    async fn check(&self, cx: &Context, (): &()) -> Result<Check<Group>, StepError> {
        let Some(body) = self.read().await? else { return Ok(Check::Missing) };
        if State::of(&body) == State::Deleting {
            return Ok(Check::Missing);
        }
        let is = body["location"].as_str().unwrap_or_default();
        if !same_region(is, &self.location) {
            let why = format!("resource group {} is in {is}, but {} is required", self.name, self.location);
            if cx.owned() {
                return Err(StepError::new(Kind::Input, format!("use resource group {}", self.name))
                    .cause(why)
                    .hint(
                        "set location back: an existing group cannot move; another environment can use \
                         another location",
                    )
                    .leftover(Leftover::Nothing));
            }
            return Ok(Check::NotOwned { why });
        }
        let changes = if cx.owned() { self.drift(cx, &body) } else { Vec::new() };
        Ok(if changes.is_empty() { Check::InSync(self.parse(&body)) } else { Check::Drifted { changes } })
    }

    async fn apply(&self, cx: &Context, (): &()) -> Result<Group, StepError> {
        self.wait_until_deleted(cx).await?;
        let existing = self.read().await?;
        if let Some(body) = existing.as_ref().filter(|body| self.drift(cx, body).is_empty()) {
            return Ok(self.parse(body));
        }
        let tags = tags::merged(existing.as_ref().unwrap_or(&Value::Null), &self.tags);
        let what = format!("create resource group {}", self.name);
        let wait =
            Wait::new("the previous group to be deleted", Duration::from_secs(30), Duration::from_secs(3600));
        let put = cx
            .wait_until(wait, async || {
                let put = self.azure.put_group(&self.name, &self.location, &tags).await;
                match put.track_write(cx) {
                    // The deletion of the group began between the read and the write.
                    Err(error) if error.is("ResourceGroupBeingDeleted") => Ok(Poll::not_yet("Deleting")),
                    put => Ok(Poll::Ready(put.context(&what)?)),
                }
            })
            .await?;
        let resource = self.title();
        let written = Written {
            resource: &resource,
            group: &self.name,
            is_in_group: false,
            is_required: NOTHING_REQUIRED,
            write_result: &put,
        };
        policy_overrides::record(cx, &self.azure, written, |answer| tags::differences(answer, &self.tags))
            .await?;
        let wait =
            Wait::new("the resource group to be created", Duration::from_secs(2), Duration::from_secs(60));
        let body = operation::finish(cx, self.azure.arm(), put, wait, &what).await?;
        Ok(self.parse(&body.unwrap_or_default()))
    }

    /// A group needs no state of its own to be identified; one in another region was never owned.
    async fn recover(&self, _: &Context, (): &()) -> Result<Option<Group>, StepError> {
        let existing = self.read().await?;
        let in_region =
            |body: &Value| same_region(body["location"].as_str().unwrap_or_default(), &self.location);
        Ok(existing.filter(in_region).map(|body| self.parse(&body)))
    }

    async fn undo(&self, cx: &Context, group: Group) -> Result<UndoOutcome, StepError> {
        let what = format!("delete resource group {}", group.name);
        let Some(body) = self.read().await? else { return Ok(UndoOutcome::AlreadyDeleted) };
        if State::of(&body) != State::Deleting {
            let remaining = self.azure.resources_in(&group.name).await.context(&what)?;
            if !remaining.is_empty() {
                return Ok(UndoOutcome::Kept { why: self.keep_reason(cx, &remaining) });
            }
            let write_result = self.azure.delete_group(&group.name).await.context(&what)?;
            if let WriteResult::Accepted { operation, .. } = &write_result
                && self.no_wait
            {
                cx.save_ticket(operation)?;
                return Ok(UndoOutcome::InProgress);
            }
            let wait = Wait::new(
                "the resource group to be deleted",
                Duration::from_secs(30),
                Duration::from_secs(3600),
            );
            operation::finish(cx, self.azure.arm(), write_result, wait, &what).await?;
        }
        if self.no_wait && self.read().await?.is_some() {
            return Ok(UndoOutcome::InProgress);
        }
        self.wait_until_deleted(cx).await.map_err(|error| error.leftover(Leftover::Something))?;
        Ok(UndoOutcome::Deleted)
    }
}

impl Resource for ResourceGroup {
    const NAMES: &'static [NameSetting] = &[
        NameSetting {
            setting: "resource_group",
            key: "name",
            get: |s, _| s.resource_group.clone(),
            set: |s, name| s.resource_group = name.unwrap_or_default(),
            recorded: |past| past.read_output::<Group>().map(|group| group.name),
            fixed: true,
            optional: false,
        },
        NameSetting {
            setting: "location",
            key: "location",
            get: |s, _| s.location.clone(),
            set: |s, location| s.location = location.unwrap_or_default(),
            recorded: |past| past.read_output::<Group>().map(|group| group.location),
            fixed: true,
            optional: false,
        },
    ];

    fn resource(&self) -> ResourceSpec {
        let name = self.name.clone();
        ResourceSpec::new("resource group", &self.name)
            .of_type(RESOURCE_GROUP)
            .with_id(self.azure.group_id(&self.name))
            .listed(move |_| Some(Listed::Group(name.clone())))
            .needs(RIGHTS)
            .judged_by_policy("resource group", json!({ "location": self.location, "tags": self.tags }))
    }
}

/// Compares regions, which are spelled `East US` or `eastus`.
pub(crate) fn same_region(one: &str, other: &str) -> bool {
    let plain = |name: &str| name.replace(' ', "").to_ascii_lowercase();
    plain(one) == plain(other)
}

fn names(resources: &[Value]) -> String {
    let names: Vec<&str> = resources.iter().filter_map(|r| r["name"].as_str()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_the_same_in_both_spellings() {
        assert!(same_region("East US", "eastus"));
        assert!(!same_region("eastus", "eastus2"));
    }
}
