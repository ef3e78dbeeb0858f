//! The other vaults of a found group: a script or a person may have stored the certificate in one of them.

use crate::{Clients, settings::Settings};
use landfall_cloud::{arm::SubscriptionClient, vault::Vaults};
use landfall_engine::Context;
use serde_json::Value;
use std::time::Duration;

/// The timeout of one vault's answer, in real time: a vault in a private network does not answer.
const RESPONSE_TIME_MAX: Duration = Duration::from_secs(10);

/// The maximum number of vaults that are queried.
const VAULTS_MAX: usize = 20;

/// Finds the vaults that have the certificate already.
pub(crate) struct OtherVaults {
    azure: SubscriptionClient,
    vaults: Vaults,
    certificate: String,
}

impl OtherVaults {
    /// Returns the search for these settings.
    pub(crate) fn new(c: &Clients, s: &Settings) -> Self {
        let certificate = s.certificate.name.clone();
        Self { azure: c.azure.clone(), vaults: c.vaults.clone(), certificate }
    }

    /// Notes each vault of a group, except `own`, that has the certificate, or that cannot be read. A second vault
    /// beside it is rarely wanted.
    pub(crate) async fn note(&self, cx: &Context, group: &str, own: &str) {
        let Ok(found) = self.azure.vaults_in(group).await else { return };
        let text =
            |vault: &Value, field: &str| vault.pointer(field).and_then(Value::as_str).map(str::to_owned);
        let named = |vault| Some((text(vault, "/name")?, text(vault, "/properties/vaultUri")?));
        let others = found.iter().filter_map(named).filter(|(name, _)| name != own).take(VAULTS_MAX);
        // All at the same time, because each may need the whole timeout.
        let results = others.map(|(name, uri)| async move { (name, self.has_certificate(&uri).await) });
        for (name, has_certificate) in futures::future::join_all(results).await {
            let certificate = &self.certificate;
            let setting = format!("set key_vault.name = \"{name}\" (KEYVAULT_NAME)");
            match has_certificate {
                Some(true) => cx.note(format!(
                    "key vault {name} in this group already has certificate {certificate}: {setting} to use it"
                )),
                Some(false) => {}
                None => cx.note(format!(
                    "key vault {name} is in this group and cannot be read: if it has certificate {certificate}, \
                     {setting} to use it"
                )),
            }
        }
    }

    /// Returns whether a vault has the certificate; `None` if it cannot be read.
    async fn has_certificate(&self, uri: &str) -> Option<bool> {
        let vault = self.vaults.at(uri).ok()?;
        let held = tokio::time::timeout(RESPONSE_TIME_MAX, vault.certificate(&self.certificate)).await;
        held.ok()?.ok().map(|held| held.is_some())
    }
}
