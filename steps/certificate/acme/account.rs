//! The account of a server, kept in the vault: its key is a secret, and its address a tag. A lost key means a
//! new account, which CAA records and renewal information do not know.

use super::{Issuance, ticket};
use crate::{
    error_context::{ErrorContext, TrackWrite},
    names, operation,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use landfall_cloud::{
    ApiError, Secret,
    acme::{Account, AccountKey, Server},
    vault::StoredSecret,
};
use landfall_engine::{Kind, Leftover, Poll, StepError, Wait};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, time::Duration};

/// The field of the secret's value with the authorities of a private server.
const ROOT: &str = "root";
/// The tag with the directory.
const DIRECTORY: &str = "acme-directory";
/// The tag with the account's address.
const ADDRESS: &str = "acme-account";

/// Returns the name of the secret for a directory.
pub(super) fn secret_name(directory: &str) -> String {
    let hex: String =
        Sha256::digest(directory.as_bytes())[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("acme-account-{hex}")
}

impl Issuance<'_> {
    /// Opens the account of a server; registers it if that was never done. The key is in the vault before the server
    /// knows it, so that a crash in between loses no account.
    pub(super) async fn account(&self, server: &Server, directory: &str) -> Result<Account, StepError> {
        let name = secret_name(directory);
        let stored = match self.secret(&name).await? {
            Some(stored) => stored,
            None => self.create_key(&name, directory).await?,
        };
        if self.acme.root != root(&stored.value) && directory == self.acme.directory.to_string() {
            self.keep_root(&name, directory, &stored).await?;
        }
        let key = parse(&stored.value).ok_or_else(|| {
            StepError::new(Kind::Failed, format!("read the account key in secret {name}"))
                .cause("its value is not the account key that landfall stores")
                .hint(format!(
                    "delete secret {name} from key vault {}, which loses the account",
                    self.vault.name
                ))
                .leftover(Leftover::Nothing)
        })?;
        let known = stored.tags.get(ADDRESS).and_then(|text| ticket::address(server.url(), text));
        let address = match known {
            Some(address) => address.to_string(),
            None => self.register(server, &key, &name, stored.tags).await?,
        };
        let what = format!("open the account at {directory}");
        let opened = self.settled(|| async { server.account(&key, &address).await }).await?;
        opened.context(what)
    }

    /// Registers the key again, for a server that no longer knows the account.
    pub(super) async fn register_again(
        &self,
        server: &Server,
        directory: &str,
    ) -> Result<Account, StepError> {
        let name = secret_name(directory);
        if let Some(mut stored) = self.secret(&name).await? {
            stored.tags.remove(ADDRESS);
            let what = format!("write the tags of secret {name}");
            self.granted(&what, || async { self.client.set_secret_tags(&name, &stored.tags).await }).await?;
        }
        self.account(server, directory).await
    }

    async fn register(
        &self,
        server: &Server,
        key: &AccountKey,
        name: &str,
        mut tags: BTreeMap<String, String>,
    ) -> Result<String, StepError> {
        let registration = &self.acme.registration;
        let what = format!("register an account at {}", server.url().host_str().unwrap_or_default());
        if server.directory().needs_external_account() && registration.external.is_none() {
            return Err(StepError::new(Kind::Input, what)
                .cause("the authority requires an external account binding")
                .hint("set certificate.acme.eab_kid (ACME_EAB_KID) and ACME_EAB_KEY to the values that the authority gives you")
                .leftover(Leftover::Nothing));
        }
        self.cx.note("registering an account with the authority, which agrees to its terms of service");
        let registered = self.settled(|| async { server.register(key, registration).await }).await?;
        let address = match registered {
            Ok(address) => address,
            Err(error) => return Err(self.refused(error, &what)?),
        };
        tags.insert(ADDRESS.to_owned(), ticket::stored(server.url(), &address));
        let what = format!("write the tags of secret {name}");
        self.granted(&what, || async { self.client.set_secret_tags(name, &tags).await }).await?;
        Ok(address)
    }

    /// Keeps the authorities of the server beside the key, for a renewal without settings.
    async fn keep_root(&self, name: &str, directory: &str, stored: &StoredSecret) -> Result<(), StepError> {
        let what = format!("store the authorities of {directory} in {}", self.vault.name);
        let Ok(mut content) = serde_json::from_str::<Value>(stored.value.expose()) else { return Ok(()) };
        content[ROOT] = json!(self.acme.root);
        let value = Secret::new(content.to_string());
        let write = || async { self.client.set_secret(name, &value, "application/json", &stored.tags).await };
        self.granted(&what, write).await
    }

    /// Returns the address of the registered account; `None` if there is none yet.
    pub(super) async fn registered(
        &self,
        server: &Server,
        directory: &str,
    ) -> Result<Option<String>, StepError> {
        let stored = self.secret(&secret_name(directory)).await?;
        let known = stored.and_then(|stored| ticket::address(server.url(), stored.tags.get(ADDRESS)?));
        Ok(known.map(String::from))
    }

    async fn secret(&self, name: &str) -> Result<Option<StoredSecret>, StepError> {
        let what = format!("read secret {name} in {}", self.vault.name);
        self.granted(&what, || async { self.client.secret(name).await }).await
    }

    async fn create_key(&self, name: &str, directory: &str) -> Result<StoredSecret, StepError> {
        let what = format!("store the account key in {}", self.vault.name);
        let key = AccountKey::generate().context(&what)?;
        let mut content = json!({ "directory": directory, "key_pkcs8": URL_SAFE_NO_PAD.encode(key.pkcs8()) });
        if let Some(root) = self.acme.root.as_ref().filter(|_| directory == self.acme.directory.to_string()) {
            content[ROOT] = json!(root);
        }
        let value = Secret::new(content.to_string());
        let tags = BTreeMap::from([
            (names::OWNER.to_owned(), self.mark.to_owned()),
            (DIRECTORY.to_owned(), directory.chars().take(256).collect()),
        ]);
        let set = self
            .granted(&what, || async {
                match self
                    .client
                    .set_secret(name, &value, "application/json", &tags)
                    .await
                    .track_write(self.cx)
                {
                    Err(error) if error.is("ObjectIsDeletedButRecoverable") => Ok(false),
                    set => set.map(|()| true),
                }
            })
            .await?;
        if !set {
            self.cx.note("recovering the account key from soft delete");
            self.granted(&what, || async { self.client.recover_secret(name).await }).await?;
        }
        // The newest version counts: another run may have stored a key at the same time.
        let wait =
            Wait::new("the account key to be readable", Duration::from_secs(5), Duration::from_secs(300));
        self.cx
            .wait_until(wait, async || match self.client.secret(name).await {
                Ok(Some(stored)) => Ok(Poll::Ready(stored)),
                Ok(None) => Ok(Poll::not_yet("being stored")),
                Err(error) if operation::is_transient(&error) => Ok(operation::no_response(&error, None)),
                Err(error) => Err(error).context(&what),
            })
            .await
    }

    /// Retries a call of the vault until the caller's role has reached it.
    pub(super) async fn granted<T, F>(
        &self,
        what: &str,
        call: impl Fn() -> F + Send + Sync,
    ) -> Result<T, StepError>
    where
        F: Future<Output = Result<T, ApiError>> + Send,
    {
        self.step.retry_until_granted(self.cx, what, call).await
    }
}

fn parse(value: &Secret<String>) -> Option<AccountKey> {
    let read: Value = serde_json::from_str(value.expose()).ok()?;
    let key = URL_SAFE_NO_PAD.decode(read["key_pkcs8"].as_str()?).ok()?;
    Some(AccountKey::from_pkcs8(key))
}

/// Returns the authorities of a private server from the value of its secret.
pub(super) fn root(value: &Secret<String>) -> Option<String> {
    let read: Value = serde_json::from_str(value.expose()).ok()?;
    read[ROOT].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_directory_has_its_own_secret() {
        assert_ne!(secret_name("production"), secret_name("staging"));
        let name = secret_name("https://ca.example/directory");
        assert!(name.len() == 21 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{name}");
    }
}
