//! The user-assigned identity with which the sync workload reads the vault. It exists before the cluster, so that
//! its roles take effect while the cluster is being created.

use crate::{
    Clients,
    error_context::{ErrorContext, TrackWrite},
    names, operation,
    policy_overrides::{self, NOTHING_REQUIRED, Written},
    resource_group::Group,
    resource_spec::{NameSetting, Resource, ResourceSpec, Right},
    settings::Settings,
    tags::{self, Tags},
};
use landfall_cloud::arm::{Condition, SubscriptionClient, identity::API, identity::KIND};
use landfall_engine::{Change, Check, Context, Poll, Step, StepError, UndoOutcome, Wait};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

const RIGHTS: &[Right] = &[Right {
    act: "create managed identities",
    action: "Microsoft.ManagedIdentity/userAssignedIdentities/write",
}];

/// Ensures that the identity exists.
pub struct Identity {
    azure: SubscriptionClient,
    group: String,
    id: String,
    name: String,
    location: String,
    /// The tags, with landfall's mark.
    tags: Tags,
}

/// The existing identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserAssignedIdentity {
    /// Its resource id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The id by which a SecretProviderClass refers to it.
    pub client_id: String,
    /// The principal of its role assignments.
    pub object_id: String,
}

impl Identity {
    /// Returns the step for these settings.
    #[must_use]
    pub fn new(c: &Clients, s: &Settings) -> Self {
        let mut tags = s.tags.clone();
        tags.insert(names::OWNER.to_owned(), names::mark(s, c.azure.id()));
        let name = names::identity(s);
        Self {
            azure: c.azure.clone(),
            group: s.resource_group.clone(),
            id: c.azure.identity_id(&s.resource_group, &name),
            name,
            location: s.location.clone(),
            tags,
        }
    }

    fn body(&self) -> Value {
        json!({ "location": self.location, "tags": self.tags })
    }

    fn parse(&self, body: &Value) -> Option<UserAssignedIdentity> {
        let text = |name: &str| body["properties"][name].as_str().map(str::to_owned);
        Some(UserAssignedIdentity {
            id: self.id.clone(),
            name: self.name.clone(),
            client_id: text("clientId")?,
            object_id: text("principalId")?,
        })
    }

    async fn read(&self) -> Result<Option<Value>, StepError> {
        let found = self.azure.arm().get(&self.id, API).await;
        found.context(format!("read managed identity {}", self.name))
    }

    /// Returns whether the identity has the mark of this environment.
    fn is_marked(&self, body: &Value) -> bool {
        tags::get(&tags::of(body), names::OWNER) == self.tags.get(names::OWNER)
    }

    /// Returns the reason not to use the identity: its other users could read the vault.
    fn ownership_conflict(&self, cx: &Context, body: &Value) -> Option<String> {
        (!cx.owned() && !self.is_marked(body)).then(|| {
            format!(
                "managed identity {} exists and is not this environment's, so other workloads may use it; set \
                 identity_name to another name",
                self.name
            )
        })
    }

    /// Returns the drift of an owned identity that no other party overrides.
    fn drift(&self, cx: &Context, body: &Value) -> Vec<Change> {
        policy_overrides::unexplained(cx, &self.title(), self.differences(cx, body), NOTHING_REQUIRED)
    }

    fn differences(&self, cx: &Context, body: &Value) -> Vec<Change> {
        if cx.owned() { tags::differences(body, &self.tags) } else { Vec::new() }
    }

    /// Waits until the identity has its ids.
    async fn wait_until_visible(&self, cx: &Context) -> Result<UserAssignedIdentity, StepError> {
        let wait = Wait::new("the identity to be created", Duration::from_secs(2), Duration::from_secs(120));
        let what = format!("read managed identity {}", self.name);
        let request = || self.azure.arm().get(&self.id, API);
        operation::poll_until(cx, wait, &what, request, |body: Option<Value>| {
            Ok(match body.and_then(|body| self.parse(&body)) {
                Some(identity) => Poll::Ready(identity),
                None => Poll::not_yet("not visible yet"),
            })
        })
        .await
    }
}

impl Resource for Identity {
    const NAMES: &'static [NameSetting] = &[NameSetting {
        setting: "identity_name",
        key: "name",
        get: |s, _| names::identity(s),
        set: |s, name| s.identity_name = name,
        recorded: |past| past.read_output::<UserAssignedIdentity>().map(|identity| identity.name),
        fixed: true,
        optional: false,
    }];

    fn resource(&self) -> ResourceSpec {
        ResourceSpec::new("managed identity", &self.name)
            .of_type(KIND)
            .with_id(self.id.clone())
            .listed_in_group(false)
            .needs(RIGHTS)
            .judged_by_policy("managed identity", self.body())
    }
}

impl Step for Identity {
    type Input = Group;
    type Output = UserAssignedIdentity;

    fn title(&self) -> String {
        format!("managed identity {}", self.name)
    }

    fn planned_name(&self) -> Option<Value> {
        Some(json!({ "name": self.name }))
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(600)
    }

    fn typical_duration(&self) -> Duration {
        Duration::from_secs(2)
    }

    async fn check(&self, cx: &Context, _: &Group) -> Result<Check<UserAssignedIdentity>, StepError> {
        let Some(body) = self.read().await? else { return Ok(Check::Missing) };
        if let Some(why) = self.ownership_conflict(cx, &body) {
            return Ok(Check::NotOwned { why });
        }
        let changes = self.drift(cx, &body);
        Ok(match self.parse(&body) {
            Some(identity) if changes.is_empty() => Check::InSync(identity),
            Some(_) => Check::Drifted { changes },
            None => Check::InProgress,
        })
    }

    async fn apply(&self, cx: &Context, _: &Group) -> Result<UserAssignedIdentity, StepError> {
        let body = match self.read().await? {
            None => self.body(),
            Some(body) if self.drift(cx, &body).is_empty() => return self.wait_until_visible(cx).await,
            Some(body) => json!({ "location": body["location"], "tags": tags::merged(&body, &self.tags) }),
        };
        let what = format!("create managed identity {}", self.name);
        let put =
            || async { self.azure.arm().put(&self.id, API, &body, Condition::None).await.track_write(cx) };
        let write_result = operation::retry_while_busy(cx, &what, put).await?;
        let resource = self.title();
        let written = Written {
            resource: &resource,
            group: &self.group,
            is_in_group: true,
            is_required: NOTHING_REQUIRED,
            write_result: &write_result,
        };
        policy_overrides::record(cx, &self.azure, written, |answer| self.differences(cx, answer)).await?;
        match write_result.value().and_then(|body| self.parse(body)) {
            Some(identity) => Ok(identity),
            None => self.wait_until_visible(cx).await,
        }
    }

    /// Only an identity with the mark of this environment was created by an interrupted attempt.
    async fn recover(&self, _: &Context, _: &Group) -> Result<Option<UserAssignedIdentity>, StepError> {
        Ok(self.read().await?.filter(|body| self.is_marked(body)).and_then(|body| self.parse(&body)))
    }

    /// Deletes the identity, and with it its federated credentials.
    async fn undo(&self, _: &Context, identity: UserAssignedIdentity) -> Result<UndoOutcome, StepError> {
        let what = format!("delete managed identity {}", identity.name);
        let arm = self.azure.arm();
        if arm.get(&identity.id, API).await.context(&what)?.is_none() {
            return Ok(UndoOutcome::AlreadyDeleted);
        }
        arm.delete(&identity.id, API).await.context(&what)?;
        Ok(UndoOutcome::Deleted)
    }
}
