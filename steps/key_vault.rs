//! The key vault, with role-based access; an owned soft-deleted one is recovered.

use crate::{
    Clients,
    error_context::{ErrorContext, TrackWrite},
    graph::Records,
    names, operation,
    other_vaults::OtherVaults,
    policy_overrides::{self, Written},
    read_only,
    resource_group::Group,
    resource_spec::{KEY_VAULT, NameSetting, Resource, ResourceSpec, Right},
    settings::{Settings, Teardown},
    tags::{self, Tags},
};
use landfall_cloud::{
    ApiError, ApiErrorKind,
    arm::{State, SubscriptionClient, WriteResult},
    environment_description::VaultRef,
};
use landfall_engine::{
    Change, Check, Context, Kind, Leftover, Poll, RecordOf, Step, StepError, UndoOutcome, Wait,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

const RBAC_FIELD: &str = "properties.enableRbacAuthorization";

const RIGHTS: &[Right] = &[Right { act: "create key vaults", action: "Microsoft.KeyVault/vaults/write" }];

/// Ensures that the vault exists.
pub struct KeyVault {
    azure: SubscriptionClient,
    group: String,
    location: String,
    /// The tags of an owned vault, with landfall's mark.
    tags: Tags,
    name: String,
    other_vaults: OtherVaults,
    purge: bool,
    record: RecordOf<Vault>,
    group_record: RecordOf<Group>,
}

/// The retention of a deleted vault.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retention {
    /// True under purge protection: the retention cannot end early.
    pub protected: bool,
    /// The retention in days, according to its body.
    pub days: Option<i64>,
}

impl Retention {
    pub(crate) fn of(body: &Value) -> Self {
        let properties = &body["properties"];
        Self {
            protected: properties["enablePurgeProtection"].as_bool().unwrap_or_default(),
            days: properties["softDeleteRetentionInDays"].as_i64(),
        }
    }
}

/// The existing vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vault {
    /// Its resource id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The URI of its data plane.
    pub uri: String,
    /// The tenant whose identities it trusts.
    pub tenant: String,
}

impl Vault {
    /// Returns the reference for a diagnosis.
    #[must_use]
    pub fn reference(&self) -> VaultRef {
        VaultRef { name: self.name.clone(), uri: self.uri.clone(), tenant: self.tenant.clone() }
    }
}

impl KeyVault {
    /// Returns the step for these settings.
    #[must_use]
    pub fn new(c: &Clients, s: &Settings, teardown: &Teardown, records: &Records) -> Self {
        let mut tags = s.tags.clone();
        tags.insert(names::OWNER.to_owned(), names::mark(s, c.azure.id()));
        Self {
            azure: c.azure.clone(),
            group: s.resource_group.clone(),
            location: s.location.clone(),
            tags,
            name: names::vault(s, c.azure.id()),
            other_vaults: OtherVaults::new(c, s),
            purge: teardown.purge,
            record: records.vault,
            group_record: records.group,
        }
    }

    async fn read(&self) -> Result<Option<Value>, StepError> {
        let found = self.azure.vault(&self.group, &self.name).await;
        found.context(format!("read key vault {}", self.name))
    }

    pub(crate) fn parse(body: &Value) -> Option<Vault> {
        Some(Vault {
            id: body["id"].as_str()?.to_owned(),
            name: body["name"].as_str()?.to_owned(),
            uri: body["properties"]["vaultUri"].as_str()?.to_owned(),
            tenant: body["properties"]["tenantId"].as_str()?.to_owned(),
        })
    }

    async fn body(&self) -> Result<Value, StepError> {
        let caller = self.azure.arm().identity().await.context("identify the signed-in identity")?;
        Ok(json!({
            "location": self.location,
            "tags": self.tags,
            "properties": {
                "tenantId": caller.tenant,
                "sku": { "name": "standard", "family": "A" },
                "accessPolicies": [],
                "enableRbacAuthorization": true,
                "enableSoftDelete": true,
                "softDeleteRetentionInDays": 90,
                "networkAcls": { "bypass": "AzureServices", "defaultAction": "Allow" },
            },
        }))
    }

    /// Returns whether a deleted vault was owned: it had the same id, and the journal or its tags prove it.
    /// Vaults of earlier versions have the settings' tags without the mark.
    pub(crate) fn was_owned(&self, cx: &Context, deleted: &Value) -> bool {
        let properties = &deleted["properties"];
        let id = properties["vaultId"].as_str().unwrap_or_default();
        let is_same_id = id.eq_ignore_ascii_case(&self.azure.vault_id(&self.group, &self.name));
        let tags = tags::of(properties);
        let marked = match tags::get(&tags, names::OWNER) {
            Some(mark) => self.tags.get(names::OWNER) == Some(mark),
            None => {
                let mut settings_tags = self.tags.iter().filter(|(key, _)| *key != names::OWNER).peekable();
                settings_tags.peek().is_some()
                    && settings_tags.all(|(key, value)| tags::get(&tags, key) == Some(value))
            }
        };
        // The preflight asks too, so this is not always the step's own context.
        let recorded = cx
            .output_of(self.record)
            .is_some_and(|vault| vault.id.eq_ignore_ascii_case(id) && cx.owns(self.record));
        is_same_id && (marked || recorded)
    }

    /// Recovers the vault if the name belongs to an owned vault that is deleted but recoverable. If the name
    /// belongs to a foreign vault, the person must choose another one.
    async fn recover_deleted(
        &self,
        cx: &Context,
        mut body: Value,
        refused: ApiError,
    ) -> Result<(), StepError> {
        let what = format!("create key vault {}", self.name);
        let deleted = self.azure.deleted_vault(&self.location, &self.name).await.context(&what)?;
        if !deleted.as_ref().is_some_and(|deleted| self.was_owned(cx, deleted)) {
            let suggested = names::another_vault(&self.name);
            let mut hint = format!("set key_vault.name to another name; {suggested} is a candidate");
            if let Some(deleted) = &deleted {
                hint += ". A deleted vault of this name, not owned by landfall, is recoverable: recover it yourself";
                hint += &match retained_until(deleted) {
                    Some(until) => format!(" (purge protection retains it until {until})"),
                    None => format!(
                        ", or, if its contents are not needed, purge it: az keyvault purge --name {} --location {}",
                        self.name, self.location
                    ),
                };
            }
            let taken: Result<(), ApiError> = Err(refused);
            return taken
                .context(&what)
                .map_err(|error| StepError { kind: Kind::Foreign, ..error }.hint(hint));
        }
        cx.note("recovering it from soft delete");
        body["properties"]["createMode"] = json!("recover");
        self.put(cx, &body).await?.context(&what)?;
        Ok(())
    }

    /// Puts the vault. The caller handles a name that is taken.
    async fn put(&self, cx: &Context, body: &Value) -> Result<Result<WriteResult, ApiError>, StepError> {
        let what = format!("create key vault {}", self.name);
        operation::retry_while_busy(cx, &what, || async {
            match self.azure.put_vault(&self.group, &self.name, body).await.track_write(cx) {
                Err(refused) if is_name_taken(&refused) => Ok(Err(refused)),
                put => put.map(Ok),
            }
        })
        .await
    }

    /// Waits until a deletion in progress has ended, and returns what exists then.
    async fn wait_until_deleted(&self, cx: &Context) -> Result<Option<Value>, StepError> {
        let wait = Wait::new("the vault to be deleted", Duration::from_secs(14), Duration::from_secs(300));
        let what = format!("read key vault {}", self.name);
        operation::poll_until(
            cx,
            wait,
            &what,
            || self.azure.vault(&self.group, &self.name),
            |body| {
                Ok(match body {
                    Some(body) if State::of(&body) == State::Deleting => Poll::not_yet("Deleting"),
                    body => Poll::Ready(body),
                })
            },
        )
        .await
    }

    /// Returns the drift that no other party overrides.
    fn drift(&self, cx: &Context, body: &Value) -> Vec<Change> {
        policy_overrides::unexplained(cx, &self.resource_name(), self.differences(cx, body), is_required)
    }

    /// Records the fields in which the answer to a write differs from the request.
    async fn record_overrides(&self, cx: &Context, write_result: &WriteResult) -> Result<(), StepError> {
        let resource = self.resource_name();
        let written =
            Written { resource: &resource, group: &self.group, is_in_group: true, is_required, write_result };
        policy_overrides::record(cx, &self.azure, written, |answer| self.differences(cx, answer)).await
    }

    /// Returns the vault for display.
    fn resource_name(&self) -> String {
        format!("key vault {}", self.name)
    }

    /// Returns the differences; the tags of a vault that was only found belong to its owner.
    fn differences(&self, cx: &Context, body: &Value) -> Vec<Change> {
        let mut changes = if cx.owned() { tags::differences(body, &self.tags) } else { Vec::new() };
        if !uses_rbac(body) {
            changes.push(Change { field: RBAC_FIELD.to_owned(), is: json!(false), wanted: json!(true) });
        }
        changes
    }

    /// Repeats the PUT of the existing vault with role-based access: that repairs a failed one, and a
    /// disabled setting.
    async fn repair(&self, cx: &Context, mut body: Value) -> Result<(), StepError> {
        body["properties"]["enableRbacAuthorization"] = json!(true);
        if cx.owned() {
            body["tags"] = json!(tags::merged(&body, &self.tags));
        }
        let body = read_only::without(body, read_only::KEY_VAULT);
        let put = self.put(cx, &body).await?.context(format!("update key vault {}", self.name))?;
        self.record_overrides(cx, &put).await
    }

    async fn wait_until_ready(&self, cx: &Context) -> Result<(Vault, Value), StepError> {
        let wait = Wait::new(
            "the vault's DNS name to be published",
            Duration::from_secs(14),
            Duration::from_secs(300),
        );
        let what = format!("create key vault {}", self.name);
        operation::poll_until(
            cx,
            wait,
            &what,
            || self.azure.vault(&self.group, &self.name),
            |body: Option<Value>| {
                Ok(match body.as_ref().map(State::of) {
                    Some(State::Succeeded) => match body.and_then(|body| Some((Self::parse(&body)?, body))) {
                        Some(ready) => Poll::Ready(ready),
                        None => Poll::not_yet("without an address"),
                    },
                    Some(State::Running(state)) => Poll::not_yet(operation::display_state(&state)),
                    Some(state) => {
                        return Err(StepError::new(Kind::Failed, what.clone())
                            .cause(format!("the vault is {state:?}"))
                            .hint("run again: landfall repairs a failed vault by sending its request again")
                            .leftover(Leftover::Something));
                    }
                    None => Poll::not_yet("not visible yet"),
                })
            },
        )
        .await
    }
}

impl Resource for KeyVault {
    const NAMES: &'static [NameSetting] = &[NameSetting {
        setting: "key_vault.name",
        key: "name",
        get: names::vault,
        set: |s, name| s.key_vault = name,
        recorded: |past| past.read_output::<Vault>().map(|vault| vault.name),
        fixed: true,
        optional: false,
    }];

    fn resource(&self) -> ResourceSpec {
        let body = json!({ "location": self.location, "tags": self.tags, "properties": {
            "sku": { "name": "standard", "family": "A" }, "enableRbacAuthorization": true, "enableSoftDelete": true,
            "networkAcls": { "bypass": "AzureServices", "defaultAction": "Allow" },
        }});
        ResourceSpec::new("key vault", &self.name)
            .of_type(KEY_VAULT)
            .with_id(self.azure.vault_id(&self.group, &self.name))
            .listed_in_group(true)
            .needs(RIGHTS)
            .judged_by_policy("key vault", body)
    }
}

impl Step for KeyVault {
    type Input = Group;
    type Output = Vault;

    fn title(&self) -> String {
        format!("key vault {} in {}", self.name, self.location)
    }

    fn planned_name(&self) -> Option<Value> {
        Some(json!({ "name": self.name }))
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(900)
    }

    fn typical_duration(&self) -> Duration {
        Duration::from_secs(14)
    }

    async fn check(&self, cx: &Context, _: &Group) -> Result<Check<Vault>, StepError> {
        let found = self.azure.recent_vault(&self.group, &self.name).await;
        let Some(body) = found.context(format!("read key vault {}", self.name))? else {
            if !cx.owned() && !cx.owns(self.group_record) {
                self.other_vaults.note(cx, &self.group, &self.name).await;
            }
            return Ok(Check::Missing);
        };
        match State::of(&body) {
            State::Running(_) => return Ok(Check::InProgress),
            State::Failed => return Ok(Check::Failed { why: format!("key vault {} is Failed", self.name) }),
            State::Canceled => {
                return Ok(Check::Failed { why: format!("key vault {} is Canceled", self.name) });
            }
            State::Deleting => return Ok(Check::Missing),
            State::Succeeded => {}
        }
        let by_role = uses_rbac(&body);
        let changes = self.drift(cx, &body);
        Ok(match Self::parse(&body) {
            Some(vault) if changes.is_empty() => Check::InSync(vault),
            // A switch of another team's vault to roles would lock out its users at once.
            Some(_) if !by_role && !cx.owned() => Check::NotOwned {
                why: format!(
                    "key vault {} uses access policies and is not owned by landfall; switch it to role-based \
                     access, or set key_vault.name to another name",
                    self.name
                ),
            },
            Some(_) => Check::Drifted { changes },
            None => Check::InProgress,
        })
    }

    async fn apply(&self, cx: &Context, _: &Group) -> Result<Vault, StepError> {
        match self.wait_until_deleted(cx).await? {
            Some(body) if matches!(State::of(&body), State::Failed | State::Canceled) => {
                self.repair(cx, body).await?;
            }
            Some(_) => {}
            None => {
                let body = self.body().await?;
                match self.put(cx, &body).await? {
                    Ok(put) => self.record_overrides(cx, &put).await?,
                    Err(refused) => self.recover_deleted(cx, body, refused).await?,
                }
            }
        }
        let (vault, body) = self.wait_until_ready(cx).await?;
        if self.drift(cx, &body).is_empty() {
            return Ok(vault);
        }
        // A vault is recovered as it was deleted, whatever the request: without role-based access, if it had
        // none.
        if !uses_rbac(&body) && !cx.owned() {
            return Err(StepError::new(Kind::Foreign, format!("use key vault {}", self.name))
                .cause(format!("key vault {} uses access policies and is not owned by landfall", self.name))
                .hint("switch it to role-based access, or set key_vault.name to another name")
                .leftover(Leftover::Nothing));
        }
        if !uses_rbac(&body) {
            cx.note("switching it to role-based access");
        }
        self.repair(cx, body).await?;
        Ok(self.wait_until_ready(cx).await?.0)
    }

    /// A vault can be named in any state.
    async fn recover(&self, cx: &Context, _: &Group) -> Result<Option<Vault>, StepError> {
        let id = self.azure.vault_id(&self.group, &self.name);
        let text = |body: &Value, key: &str| body["properties"][key].as_str().unwrap_or_default().to_owned();
        let named = |body: Value| Vault {
            id: id.clone(),
            name: self.name.clone(),
            uri: text(&body, "vaultUri"),
            tenant: text(&body, "tenantId"),
        };
        if let Some(body) = self.read().await? {
            return Ok(Some(named(body)));
        }
        // A deleted vault may still need to be purged.
        let deleted = self.azure.deleted_vault(&self.location, &self.name).await;
        let deleted = deleted.context(format!("read deleted key vault {}", self.name))?;
        Ok(deleted.filter(|deleted| self.purge && self.was_owned(cx, deleted)).map(named))
    }

    async fn undo(&self, cx: &Context, vault: Vault) -> Result<UndoOutcome, StepError> {
        let what = format!("delete key vault {}", vault.name);
        let existing = self.read().await?.is_some();
        if existing {
            self.azure.delete_vault(&self.group, &vault.name).await.context(&what)?;
        }
        let deleted = match self.purge {
            true => self.azure.deleted_vault(&self.location, &vault.name).await.context(&what)?,
            false => None,
        };
        if let Some(until) = deleted.as_ref().and_then(retained_until) {
            cx.note(format!("purge protection retains it until {until}; nothing purges it earlier"));
        } else if deleted.is_some() {
            let what = format!("purge key vault {}", vault.name);
            let write_result = self.azure.purge_vault(&self.location, &vault.name).await.context(&what)?;
            let wait = Wait::new("the vault to be purged", Duration::from_secs(20), Duration::from_secs(300));
            operation::finish(cx, self.azure.arm(), write_result, wait, &what).await?;
            let wait = Wait::new("the vault to be purged", Duration::from_secs(20), Duration::from_secs(300));
            let request = || self.azure.deleted_vault(&self.location, &vault.name);
            // Without a record of the operation its end is unknown.
            operation::poll_until(cx, wait, &what, request, |existing| {
                Ok(existing.map_or(Poll::Ready(()), |_| Poll::not_yet("Purging")))
            })
            .await?;
            return Ok(UndoOutcome::Deleted);
        }
        Ok(if existing { UndoOutcome::Deleted } else { UndoOutcome::AlreadyDeleted })
    }
}

/// Returns the date until which purge protection retains a deleted vault; `None` without that protection.
pub(crate) fn retained_until(deleted: &Value) -> Option<String> {
    let properties = &deleted["properties"];
    let protected = properties["purgeProtectionEnabled"].as_bool().unwrap_or_default();
    let until = properties["scheduledPurgeDate"].as_str().unwrap_or("the end of its retention");
    protected.then(|| until.split('T').next().unwrap_or(until).to_owned())
}

/// Every later step reads and writes the vault with roles.
fn is_required(change: &Change) -> bool {
    change.field == RBAC_FIELD
}

fn uses_rbac(body: &Value) -> bool {
    body["properties"]["enableRbacAuthorization"].as_bool().unwrap_or_default()
}

fn is_name_taken(error: &ApiError) -> bool {
    error.kind == ApiErrorKind::Conflict
        && matches!(error.code.as_deref(), Some("ConflictError" | "VaultAlreadyExists"))
}
