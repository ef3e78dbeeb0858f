//! The data of the accounts: containers and append blobs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::lease::Lease;
use crate::clock::SimTime;
use crate::request::Reply;

/// The data of all accounts, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Accounts(BTreeMap<String, BTreeMap<String, Container>>);

/// A container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Container {
    pub(crate) etag: String,
    pub(crate) modified: SimTime,
    pub(super) blobs: BTreeMap<String, AppendBlob>,
}

/// An append blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AppendBlob {
    /// The content.
    #[serde(with = "base64_text")]
    pub(super) content: Vec<u8>,
    /// The number of appended blocks.
    pub(super) blocks: u32,
    pub(super) etag: String,
    pub(super) created: SimTime,
    pub(super) modified: SimTime,
    #[serde(default)]
    pub(super) metadata: BTreeMap<String, String>,
    /// True if it takes no more appends.
    #[serde(default)]
    pub(super) sealed: bool,
    #[serde(default)]
    pub(super) lease: Lease,
}

impl AppendBlob {
    /// Adds its ETag and the time of its last change to a response.
    pub(super) fn describe(&self, reply: Reply) -> Reply {
        reply
            .with_header("etag", &format!("\"{}\"", self.etag))
            .with_header("last-modified", &self.modified.http_date())
    }
}

impl Accounts {
    /// Adds an account without data, if it is unknown.
    pub(crate) fn add(&mut self, account: &str) {
        self.0.entry(account.to_owned()).or_default();
    }

    /// Replaces the first occurrence of a text in a blob, as a program that ignores leases does; returns whether there is one.
    pub fn damage(&mut self, account: &str, container: &str, blob: &str, text: &str, by: &str) -> bool {
        let Some(blob) = self.blob_mut(account, container, blob) else { return false };
        let content = String::from_utf8_lossy(&blob.content).into_owned();
        let damaged = content.replacen(text, by, 1);
        blob.content = damaged.clone().into_bytes();
        damaged != content
    }

    /// Removes an account with its data.
    pub(crate) fn remove(&mut self, account: &str) {
        self.0.remove(account);
    }

    /// Returns the containers of an account, by name.
    pub(crate) fn containers(&self, account: &str) -> impl Iterator<Item = (&String, &Container)> {
        self.0.get(account).into_iter().flatten()
    }

    pub(crate) fn container(&self, account: &str, name: &str) -> Option<&Container> {
        self.0.get(account)?.get(name)
    }

    /// Creates a container; returns whether it is new.
    pub(crate) fn create_container(&mut self, account: &str, name: &str, etag: String, now: SimTime) -> bool {
        let containers = self.0.entry(account.to_owned()).or_default();
        let is_new = !containers.contains_key(name);
        containers.entry(name.to_owned()).or_insert_with(|| Container {
            etag,
            modified: now,
            blobs: BTreeMap::new(),
        });
        is_new
    }

    /// Removes a container with its blobs; returns whether there was one.
    pub(crate) fn remove_container(&mut self, account: &str, name: &str) -> bool {
        self.0.get_mut(account).is_some_and(|containers| containers.remove(name).is_some())
    }

    pub(super) fn blob(&self, account: &str, container: &str, name: &str) -> Option<&AppendBlob> {
        self.container(account, container)?.blobs.get(name)
    }

    pub(super) fn blob_mut(&mut self, account: &str, container: &str, name: &str) -> Option<&mut AppendBlob> {
        self.0.get_mut(account)?.get_mut(container)?.blobs.get_mut(name)
    }

    pub(super) fn insert(&mut self, account: &str, container: &str, name: &str, blob: AppendBlob) {
        if let Some(found) = self.0.get_mut(account).and_then(|containers| containers.get_mut(container)) {
            found.blobs.insert(name.to_owned(), blob);
        }
    }

    pub(super) fn remove_blob(&mut self, account: &str, container: &str, name: &str) {
        if let Some(found) = self.0.get_mut(account).and_then(|containers| containers.get_mut(container)) {
            found.blobs.remove(name);
        }
    }

    /// Returns the content of a blob, for tests and for people who look into the state.
    pub fn content(&self, account: &str, container: &str, name: &str) -> Option<&[u8]> {
        self.blob(account, container, name).map(|blob| blob.content.as_slice())
    }
}

/// Returns whether a name is valid for a container: 3 to 63 lower-case letters, digits and single hyphens, with a
/// letter or digit at both ends.
pub(crate) fn is_container_name(name: &str) -> bool {
    let alnum = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    (3..=63).contains(&name.len())
        && name.chars().all(|letter| alnum(letter) || letter == '-')
        && name.starts_with(alnum)
        && name.ends_with(alnum)
        && !name.contains("--")
}

/// Bytes as base64 text.
mod base64_text {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(from)?).map_err(D::Error::custom)
    }
}
