//! The key vault, with role-based access; our own soft-deleted one is brought back.

use crate::{
    clouds::Clouds,
    doing::Doing,
    names, operation,
    resource_group::Group,
    settings::{Settings, Teardown},
};
use landfall_cloud::{
    ApiError,
    arm::{Azure, State},
};
use landfall_engine::{Change, Check, Context, Kind, Look, Residue, Step, StepError, Undone, Wait};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

/// Brings the vault about.
pub struct KeyVault {
    azure: Azure,
    group: String,
    location: String,
    tags: BTreeMap<String, String>,
    name: String,
    purge: bool,
}

/// The vault that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vault {
    /// Its resource id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Where its data plane answers.
    pub uri: String,
    /// The tenant whose identities it trusts.
    pub tenant: String,
}

impl KeyVault {
    /// Returns the step for these settings.
    #[must_use]
    pub fn new(c: &Clouds, s: &Settings, teardown: &Teardown) -> Self {
        Self {
            azure: c.azure.clone(),
            group: s.resource_group.clone(),
            location: s.location.clone(),
            tags: s.tags.clone(),
            name: names::vault(s, c.azure.id()),
            purge: teardown.purge,
        }
    }

    async fn look(&self) -> Result<Option<Value>, StepError> {
        let found = self.azure.vault(&self.group, &self.name).await;
        found.doing(format!("look at key vault {}", self.name))
    }

    fn found(body: &Value) -> Option<Vault> {
        Some(Vault {
            id: body["id"].as_str()?.to_owned(),
            name: body["name"].as_str()?.to_owned(),
            uri: body["properties"]["vaultUri"].as_str()?.to_owned(),
            tenant: body["properties"]["tenantId"].as_str()?.to_owned(),
        })
    }

    async fn body(&self) -> Result<Value, StepError> {
        let caller = self.azure.arm().identity().await.doing("learn who is signed in")?;
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

    /// The name is taken by a vault that is not in this group. When it is our own, deleted but
    /// recoverable, it comes back; a stranger's name needs another one from the person.
    async fn recover(&self, cx: &Context, mut body: Value, refused: ApiError) -> Result<(), StepError> {
        let what = format!("create key vault {}", self.name);
        let deleted = self.azure.deleted_vault(&self.location, &self.name).await.doing(&what)?;
        let was = deleted.as_ref().and_then(|d| d["properties"]["vaultId"].as_str()).unwrap_or_default();
        if !was.eq_ignore_ascii_case(&self.azure.vault_id(&self.group, &self.name)) {
            let suggested = names::another_vault(&self.name);
            let hint = format!("set key_vault.name to another name; {suggested} is a candidate");
            let taken: Result<(), ApiError> = Err(refused);
            return taken.doing(&what).map_err(|error| StepError { kind: Kind::Foreign, ..error }.hint(hint));
        }
        cx.note("recovering it from soft delete");
        body["properties"]["createMode"] = json!("recover");
        self.azure.put_vault(&self.group, &self.name, &body).await.doing(&what)?;
        Ok(())
    }

    async fn wait_until_ready(&self, cx: &Context) -> Result<Vault, StepError> {
        let wait =
            Wait::new("the vault's name to be published", Duration::from_secs(14), Duration::from_secs(300));
        let what = format!("create key vault {}", self.name);
        cx.wait_until(wait, async || {
            let body = self.look().await?;
            Ok(match body.as_ref().map(State::of) {
                Some(State::Succeeded) => match body.as_ref().and_then(Self::found) {
                    Some(vault) => Look::There(vault),
                    None => Look::not_yet("without an address"),
                },
                Some(State::Running(state)) => Look::not_yet(operation::in_words(&state)),
                Some(state) => {
                    return Err(StepError::new(Kind::Failed, what.clone())
                        .cause(format!("the vault is {state:?}"))
                        .residue(Residue::Something));
                }
                None => Look::not_yet("not visible yet"),
            })
        })
        .await
    }
}

impl Step for KeyVault {
    type Input = Group;
    type Output = Vault;

    fn title(&self) -> String {
        format!("key vault {} in {}", self.name, self.location)
    }

    fn named(&self) -> Option<Value> {
        Some(json!({ "name": self.name }))
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(900)
    }

    fn usual(&self) -> Duration {
        Duration::from_secs(14)
    }

    async fn check(&self, cx: &Context, _: &Group) -> Result<Check<Vault>, StepError> {
        let Some(body) = self.look().await? else { return Ok(Check::Missing) };
        match State::of(&body) {
            State::Running(_) => return Ok(Check::Underway),
            State::Failed => return Ok(Check::Broken { why: format!("key vault {} is Failed", self.name) }),
            State::Canceled => {
                return Ok(Check::Broken { why: format!("key vault {} is Canceled", self.name) });
            }
            State::Deleting => return Ok(Check::Missing),
            State::Succeeded => {}
        }
        let by_role = body["properties"]["enableRbacAuthorization"].as_bool().unwrap_or_default();
        Ok(match Self::found(&body) {
            Some(vault) if by_role => Check::Ready(vault),
            // Switching another team's vault to roles would lock its users out at once.
            Some(_) if !cx.ours() => Check::Foreign {
                why: format!(
                    "key vault {} uses access policies and is not ours; switch it to role-based access, or set \
                     key_vault.name to another name",
                    self.name
                ),
            },
            Some(_) => Check::Differs {
                changes: vec![Change {
                    field: "properties.enableRbacAuthorization".to_owned(),
                    is: json!(false),
                    wanted: json!(true),
                }],
            },
            None => Check::Underway,
        })
    }

    async fn apply(&self, cx: &Context, _: &Group) -> Result<Vault, StepError> {
        let what = format!("create key vault {}", self.name);
        match self.look().await? {
            Some(body) if matches!(State::of(&body), State::Running(_)) => {}
            Some(mut body) if body["properties"]["enableRbacAuthorization"] != json!(true) => {
                body["properties"]["enableRbacAuthorization"] = json!(true);
                self.azure.put_vault(&self.group, &self.name, &body).await.doing(&what)?;
            }
            Some(_) => {}
            None => {
                let body = self.body().await?;
                match self.azure.put_vault(&self.group, &self.name, &body).await {
                    Err(refused) if name_is_taken(&refused) => self.recover(cx, body, refused).await?,
                    put => {
                        put.doing(&what)?;
                    }
                }
            }
        }
        self.wait_until_ready(cx).await
    }

    async fn undo(&self, cx: &Context, vault: Vault) -> Result<Undone, StepError> {
        let what = format!("delete key vault {}", vault.name);
        let there = self.look().await?.is_some();
        if there {
            self.azure.delete_vault(&self.group, &vault.name).await.doing(&what)?;
        }
        if self.purge && self.azure.deleted_vault(&self.location, &vault.name).await.doing(&what)?.is_some() {
            let what = format!("purge key vault {}", vault.name);
            let begun = self.azure.purge_vault(&self.location, &vault.name).await.doing(&what)?;
            let wait = Wait::new("the vault to be purged", Duration::from_secs(20), Duration::from_secs(300));
            operation::finish(cx, self.azure.arm(), begun, wait, &what).await?;
            return Ok(Undone::Deleted);
        }
        Ok(if there { Undone::Deleted } else { Undone::AlreadyGone })
    }
}

fn name_is_taken(error: &ApiError) -> bool {
    matches!(error.code.as_deref(), Some("ConflictError" | "VaultAlreadyExists"))
}
