//! `landfall state init`: creates or checks the storage account of journals.

use crate::{
    cli_context::CliContext,
    exit::Exit,
    failure::Failure,
    render::stream,
    run::{self, store},
    settings::{LoadedConfig, Mode, checks::state::StateConfig, flags::SettingFlags},
    target::{self, Connection, Gateways, Target},
};
use landfall_cloud::{
    ApiError, ApiErrorKind,
    arm::{Progress, Role, WriteResult},
    blob::BlobContainer,
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use url::{Host, Url};

/// The timeout of the creation of an account, in cloud time.
const ACCOUNT_TIMEOUT: Duration = Duration::from_secs(600);
/// The timeout of a role assignment's effect, in cloud time.
const ROLE_TIMEOUT: Duration = Duration::from_secs(600);
/// The interval of polls, in cloud time.
const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// The interval of messages during a wait, in real time.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The days for which deleted blobs and containers can be restored.
const KEPT_DAYS: u64 = 14;

/// What `state init` takes.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Resource group of the storage account. Choose another one than the environment's, which `down` deletes
    #[arg(long, value_name = "NAME", default_value = "rg-landfall-state")]
    state_group: String,
    #[command(flatten)]
    setting_flags: SettingFlags,
}

/// Runs it.
pub async fn run(cli_context: &CliContext, args: &Args) -> Result<Exit, Failure> {
    let config = cli_context.load_config(&args.setting_flags, Mode::Inspect)?;
    let state = store::state_config(&config, "prepare a storage account")?;
    if args.state_group.eq_ignore_ascii_case(&config.settings.resource_group) {
        return Err(Failure::new(Exit::Input, "prepare a storage account in the environment's own group")
            .cause("`landfall down` deletes that group, or keeps it because of the account")
            .hint("choose another one with --state-group"));
    }
    let allowed = cli_context.allowed(&config.place)?;
    let (environment, gateways) = (&cli_context.environment, Gateways::WithoutTraffic);
    let connection =
        target::prepare(allowed, environment, &cli_context.sign_ins, &config.folder, gateways).await?;
    let prepared = account_of(state, &connection);
    let (container, account) = match (connection.container(state), prepared) {
        (Ok(container), Ok(account)) => (container, account),
        (Err(failure), _) | (_, Err(failure)) => {
            connection.close().await;
            return Err(failure);
        }
    };
    let Some(account) = account else {
        // An emulator has no resource manager.
        let result = in_emulator(cli_context, state, &container).await;
        connection.close().await;
        return result;
    };
    let target = connection.into_target(None).await?;
    cli_context.say(&run::heading(cli_context, "state init", &target));
    let init =
        Init { cli_context, config: &config, state, target: &target, group: &args.state_group, account };
    let result = init.run(&container).await;
    target.close().await;
    result
}

/// Returns the name of the storage account; `None` for an emulator, which has it in its path.
fn account_of(state: &StateConfig, connection: &Connection) -> Result<Option<String>, Failure> {
    let url: Url = connection.account(state)?;
    Ok(match url.host() {
        Some(Host::Domain(host)) => host.split('.').next().map(str::to_owned),
        _ => None,
    })
}

async fn in_emulator(
    cli_context: &CliContext,
    state: &StateConfig,
    container: &BlobContainer,
) -> Result<Exit, Failure> {
    let created = container.create_container().await;
    let created = created.map_err(|error| Failure::of_api("create the container", &error))?;
    done(cli_context, state, created);
    Ok(Exit::Success)
}

fn done(cli_context: &CliContext, state: &StateConfig, created: bool) {
    let container = &state.container;
    if cli_context.is_json() {
        stream::out().json(&json!({ "container": container, "created": created }));
    }
    let how = if created { "was created" } else { "exists" };
    cli_context.say(&format!(
        "The container {container} {how}; this identity can use it. Move an existing journal with `{} state push`.",
        cli_context.program()
    ));
}

/// One preparation of an account.
struct Init<'a> {
    cli_context: &'a CliContext,
    config: &'a LoadedConfig,
    state: &'a StateConfig,
    target: &'a Target,
    group: &'a str,
    account: String,
}

impl Init<'_> {
    async fn run(&self, container: &BlobContainer) -> Result<Exit, Failure> {
        let azure = &self.target.clients.azure;
        let (group, account, name) = (self.group, self.account.as_str(), self.state.container.as_str());
        let doing = format!("create the storage account {account} in {group}");
        match azure.storage_account(group, account).await.map_err(|error| Failure::of_api(&doing, &error))? {
            Some(existing) => {
                self.check(&existing);
                self.check_protection().await?;
            }
            None => {
                self.create(&doing).await?;
                self.protect().await?;
            }
        }
        let doing = format!("create the container {name}");
        let existing = azure.blob_container(group, account, name).await;
        let is_new = existing.map_err(|error| Failure::of_api(&doing, &error))?.is_none();
        if is_new {
            let put = azure.put_blob_container(group, account, name).await;
            put.map_err(|error| Failure::of_api(&doing, &error))?;
        }
        self.grant().await?;
        self.wait_for_role(container).await?;
        done(self.cli_context, self.state, is_new);
        Ok(Exit::Success)
    }

    /// Warns about a setting that is weaker than landfall's own.
    fn check(&self, existing: &Value) {
        let properties = &existing["properties"];
        let mut weak = Vec::new();
        if properties["allowSharedKeyAccess"] != false {
            weak.push("accepts shared keys (allowSharedKeyAccess)");
        }
        if properties["allowBlobPublicAccess"] == true {
            weak.push("allows public access to blobs (allowBlobPublicAccess)");
        }
        if properties["supportsHttpsTrafficOnly"] != true {
            weak.push("accepts requests without TLS (supportsHttpsTrafficOnly)");
        }
        self.cli_context.say(&format!("The storage account {} exists.", self.account));
        for weak in weak {
            self.cli_context
                .warn(&format!("the storage account {} {weak}; landfall does not change it.", self.account));
        }
    }

    /// Switches on what restores a journal that someone deletes or overwrites.
    async fn protect(&self) -> Result<(), Failure> {
        let kept = json!({ "enabled": true, "days": KEPT_DAYS });
        let properties = json!({
            "isVersioningEnabled": true, "deleteRetentionPolicy": kept, "containerDeleteRetentionPolicy": kept,
        });
        let put = self.target.clients.azure.put_blob_service(self.group, &self.account, &properties).await;
        let doing = format!("protect the blobs of the storage account {} from deletion", self.account);
        put.map_err(|error| Failure::of_api(&doing, &error))
    }

    /// Warns about blobs and containers that cannot be restored.
    async fn check_protection(&self) -> Result<(), Failure> {
        let (group, account) = (self.group, &self.account);
        let read = self.target.clients.azure.blob_service(group, account).await;
        let doing = format!("read the protection of the storage account {account}");
        let service = read.map_err(|error| Failure::of_api(&doing, &error))?.unwrap_or_default();
        let weak = unprotected(&service["properties"]);
        if !weak.is_empty() {
            self.cli_context.warn(&format!(
                "the storage account {account} {}; landfall does not change it. `az storage account \
                 blob-service-properties update --resource-group {group} --account-name {account} \
                 --enable-versioning true --enable-delete-retention true --delete-retention-days {KEPT_DAYS} \
                 --enable-container-delete-retention true --container-delete-retention-days {KEPT_DAYS}` does.",
                weak.join(", ")
            ));
        }
        Ok(())
    }

    async fn create(&self, doing: &str) -> Result<(), Failure> {
        let azure = &self.target.clients.azure;
        let refuse = |error: ApiError| Failure::of_api(doing, &error);
        if let Some(why) = azure.storage_name_taken(&self.account).await.map_err(refuse)? {
            return Err(Failure::new(Exit::Input, doing).cause(why).hint(
                "choose another name in [state]; or name its resource group with --state-group, if it is yours",
            ));
        }
        let settings = &self.config.settings;
        if azure.group(self.group).await.map_err(refuse)?.is_none() {
            azure.put_group(self.group, &settings.location, &settings.tags).await.map_err(refuse)?;
        }
        let body = json!({
            "location": settings.location, "kind": "StorageV2", "sku": { "name": "Standard_LRS" },
            "tags": settings.tags,
            "properties": {
                "allowSharedKeyAccess": false, "allowBlobPublicAccess": false, "supportsHttpsTrafficOnly": true,
                "minimumTlsVersion": "TLS1_2", "defaultToOAuthAuthentication": true,
            },
        });
        let put = azure.put_storage_account(self.group, &self.account, &body).await.map_err(refuse)?;
        if let WriteResult::Accepted { operation, .. } = put {
            self.wait("the storage account", ACCOUNT_TIMEOUT, doing, async || {
                match azure.arm().poll(&operation).await.map_err(refuse)? {
                    Progress::Running { .. } => Ok(false),
                    Progress::Succeeded { .. } | Progress::Expired => {
                        let body = azure.storage_account(self.group, &self.account).await.map_err(refuse)?;
                        Ok(body.is_some_and(|body| body["properties"]["provisioningState"] == "Succeeded"))
                    }
                }
            })
            .await?;
        }
        self.cli_context.say(&format!("The storage account {} was created.", self.account));
        Ok(())
    }

    /// Grants the role to this identity, at the container.
    async fn grant(&self) -> Result<(), Failure> {
        let azure = &self.target.clients.azure;
        let role = Role::BLOB_CONTRIBUTOR;
        let account = azure.storage_account_id(self.group, &self.account);
        let scope = format!("{account}/blobServices/default/containers/{}", self.state.container);
        let doing = format!("grant {} at the container {}", role.name, self.state.container);
        let identity = azure.arm().identity().await;
        let identity = identity.map_err(|error| Failure::of_api("sign in to Azure", &error))?;
        match azure.grant(&scope, &identity.object_id, identity.kind.as_str(), role).await {
            Err(error) if !error.is("RoleAssignmentExists") => Err(Failure::of_api(&doing, &error)),
            _ => Ok(()),
        }
    }

    /// Waits until the role has its effect, by the real request.
    async fn wait_for_role(&self, container: &BlobContainer) -> Result<(), Failure> {
        let doing = format!("use the container {}", self.state.container);
        self.wait("the role at the container", ROLE_TIMEOUT, &doing, async || {
            match container.list("").await {
                Ok(_) => Ok(true),
                Err(error) if matches!(error.kind, ApiErrorKind::Forbidden | ApiErrorKind::Transport) => {
                    Ok(false)
                }
                Err(error) => Err(Failure::of_api(&doing, &error)),
            }
        })
        .await
    }

    /// Polls until a condition holds.
    async fn wait(
        &self,
        what: &str,
        limit: Duration,
        doing: &str,
        mut poll: impl AsyncFnMut() -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let time_scale = self.target.time_scale;
        let (deadline, mut reported) = (Instant::now() + time_scale.poll_timeout(limit), Instant::now());
        while !poll().await? {
            if Instant::now() >= deadline {
                let waited = format!("{what} was not ready after {} s", limit.as_secs());
                return Err(Failure::new(Exit::Failed, doing).cause(waited).hint("run the command again"));
            }
            if reported.elapsed() >= HEARTBEAT {
                self.cli_context.say(&format!("Waiting for {what}."));
                reported = Instant::now();
            }
            sleep(time_scale.real(POLL_INTERVAL).max(Duration::from_millis(5))).await;
        }
        Ok(())
    }
}

/// Returns what a blob service does not restore, as clauses.
fn unprotected(properties: &Value) -> Vec<&'static str> {
    let keeps = |policy: &str| {
        let policy = &properties[policy];
        policy["enabled"] == true && policy["days"].as_u64().is_some_and(|days| days >= KEPT_DAYS)
    };
    let clauses = [
        (properties["isVersioningEnabled"] == true, "keeps no versions of blobs"),
        (keeps("deleteRetentionPolicy"), "keeps deleted blobs for less than 14 days"),
        (keeps("containerDeleteRetentionPolicy"), "keeps deleted containers for less than 14 days"),
    ];
    clauses.into_iter().filter_map(|(is_protected, clause)| (!is_protected).then_some(clause)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_restored_is_named() {
        let kept = json!({ "enabled": true, "days": 14 });
        let all = json!({
            "isVersioningEnabled": true, "deleteRetentionPolicy": kept, "containerDeleteRetentionPolicy": kept,
        });
        assert!(unprotected(&all).is_empty());
        let mut short = all.clone();
        short["deleteRetentionPolicy"]["days"] = json!(7);
        assert_eq!(unprotected(&short), ["keeps deleted blobs for less than 14 days"]);
        assert_eq!(unprotected(&Value::Null).len(), 3);
    }
}
