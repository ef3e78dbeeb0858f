//! The journal in append blobs of a storage account, and the gate that lets no change pass without it.
//!
//! An environment has the blobs `PREFIX/ENVIRONMENT/journal.jsonl`, `journal-2.jsonl` and so on: the parts of its
//! journal. The codes of the service are translated here, and nowhere else.

use futures::future::BoxFuture;
use landfall_cloud::{
    ApiError, ApiErrorKind, SendStatus, WriteGate,
    blob::{BlobContainer, BlobItem},
};
use landfall_engine::{Journal, LEASE, PartContent, RemoteStore, StoreError, StoreErrorKind, StoreResult};
use std::{
    collections::BTreeMap,
    error::Error,
    sync::{Arc, Weak},
    time::Duration,
};

/// The metadata with the place that a journal was moved to.
const MOVED: &str = "landfall_moved_to";
/// The metadata with the summary of a journal.
const SUMMARY: &str = "landfall_summary";
/// The role that the person or the job needs.
const ROLE: &str = "Storage Blob Data Contributor";

/// The journal of one environment in a container.
#[derive(Debug, Clone)]
pub struct BlobJournalStore {
    container: BlobContainer,
    /// The path of the environment in the container.
    path: String,
}

/// An environment with a journal in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEnvironment {
    /// The name.
    pub name: String,
    /// The length of the journal in bytes.
    pub bytes: u64,
    /// The time of the last line, as the service writes it.
    pub modified: String,
    /// True if a process holds the lease.
    pub leased: bool,
    /// The place that the journal was moved to.
    pub moved_to: Option<String>,
    /// The summary that the last run has left; it applies to the length that it names.
    pub summary: Option<String>,
}

impl BlobJournalStore {
    /// Returns the journal of an environment below a prefix; an empty prefix is the container itself.
    #[must_use]
    pub fn new(container: BlobContainer, prefix: &str, environment: &str) -> Self {
        let path = match prefix {
            "" => environment.to_owned(),
            prefix => format!("{prefix}/{environment}"),
        };
        Self { container, path }
    }

    /// Lists the environments below a prefix, by name.
    ///
    /// # Errors
    /// The error of the request, in the words of [`StoreError`].
    pub async fn list(container: &BlobContainer, prefix: &str) -> Result<Vec<StoredEnvironment>, StoreError> {
        let below = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let listed = container.list(&below).await;
        let listed = listed.map_err(|error| store_error("list the environments", &error))?;
        // The last part of a journal says everything; the names sort by their number.
        let mut environments: BTreeMap<String, (u32, StoredEnvironment)> = BTreeMap::new();
        for item in listed {
            let Some((name, part)) = parsed_name(&item.name, &below) else { continue };
            let known = environments.get(&name).map_or(0, |(known, _)| *known);
            // A part that follows one that is not sealed is the leftover of a crash.
            let follows =
                known == 0 || environments.get(&name).is_some_and(|(_, one)| one.bytes == 0) || part > known;
            if follows {
                environments.insert(name.clone(), (part, stored(name, &item)));
            }
        }
        Ok(environments.into_values().map(|(_, one)| one).collect())
    }

    fn blob(&self, part: u32) -> String {
        match part {
            1 => format!("{}/journal.jsonl", self.path),
            part => format!("{}/journal-{part}.jsonl", self.path),
        }
    }
}

fn stored(name: String, item: &BlobItem) -> StoredEnvironment {
    StoredEnvironment {
        name,
        bytes: item.bytes,
        modified: item.modified.clone(),
        leased: matches!(item.lease_state.as_str(), "leased" | "breaking"),
        moved_to: item.metadata.get(MOVED).cloned(),
        summary: item.metadata.get(SUMMARY).cloned(),
    }
}

/// Returns the environment and the part of a blob's name.
fn parsed_name(blob: &str, below: &str) -> Option<(String, u32)> {
    let (environment, file) = blob.strip_prefix(below)?.split_once('/')?;
    let number = file.strip_prefix("journal")?.strip_suffix(".jsonl")?;
    let part = match number {
        "" => 1,
        number => number.strip_prefix('-')?.parse().ok()?,
    };
    Some((environment.to_owned(), part))
}

/// Translates an error of the service; `doing` fits after "failed to".
fn store_error(doing: &str, error: &ApiError) -> StoreError {
    let code = error.code.as_deref().unwrap_or_default();
    let kind = match code {
        "LeaseAlreadyPresent" | "LeaseIsBreakingAndCannotBeAcquired" => StoreErrorKind::LeaseHeld,
        "LeaseIsBrokenAndCannotBeRenewed" | "LeaseIsBreakingAndCannotBeChanged" => {
            StoreErrorKind::LeaseBroken
        }
        // An expired lease has both of the last two codes, depending on the implementation.
        "LeaseIdMissing"
        | "LeaseIdMismatchWithBlobOperation"
        | "LeaseIdMismatchWithLeaseOperation"
        | "LeaseNotPresentWithBlobOperation"
        | "LeaseLost" => StoreErrorKind::LeaseLost,
        "LeaseNotPresentWithLeaseOperation" => StoreErrorKind::NoLease,
        "AppendPositionConditionNotMet" => StoreErrorKind::WrongPosition,
        "BlobAlreadyExists" => StoreErrorKind::Exists,
        "BlobIsSealed" => StoreErrorKind::Sealed,
        "BlockCountExceedsLimit" => StoreErrorKind::Full,
        "BlobNotFound" => StoreErrorKind::NotFound,
        _ => of_kind(error),
    };
    let mut store_error = StoreError::new(kind, doing);
    store_error.hint = hint(error);
    store_error.cause = Some(Arc::new(Described::of(error)));
    store_error
}

fn of_kind(error: &ApiError) -> StoreErrorKind {
    match error.kind {
        ApiErrorKind::Forbidden | ApiErrorKind::SignIn => StoreErrorKind::Forbidden,
        // A new token may be accepted.
        ApiErrorKind::Unauthorized => StoreErrorKind::Unavailable,
        ApiErrorKind::Throttled => StoreErrorKind::Unavailable,
        ApiErrorKind::Unavailable if error.status == Some(503) => StoreErrorKind::Unavailable,
        ApiErrorKind::Unavailable => StoreErrorKind::NoAnswer,
        ApiErrorKind::Transport if error.code.is_some() => StoreErrorKind::Other,
        ApiErrorKind::Transport if error.sent == SendStatus::Never => StoreErrorKind::Unavailable,
        ApiErrorKind::Transport => StoreErrorKind::NoAnswer,
        _ => StoreErrorKind::Other,
    }
}

fn hint(error: &ApiError) -> Option<String> {
    match (error.kind, error.code.as_deref()) {
        (_, Some("ContainerNotFound")) => {
            Some("create the container with `landfall state init`, or correct [state]".to_owned())
        }
        (_, Some("NameNotResolved")) => Some(
            "check the account's name in [state]; `landfall state init` creates a missing account".to_owned(),
        ),
        (ApiErrorKind::Forbidden, Some("AuthorizationFailure")) => Some(
            "the network rules of the storage account refuse this machine: admit its address there"
                .to_owned(),
        ),
        (ApiErrorKind::Forbidden, _) => Some(format!(
            "the signed-in identity needs the role {ROLE} at the container: `landfall state init` grants it, or an \
             owner of the account does; a new role takes effect within minutes"
        )),
        _ => error.remedy.clone(),
    }
}

/// The text of an [`ApiError`], which is not `Sync` with its source.
#[derive(Debug)]
struct Described {
    text: String,
    cause: Option<Box<Described>>,
}

impl Described {
    fn of(error: &ApiError) -> Self {
        let causes = error.causes().into_iter().rev();
        let cause = causes.fold(None, |below, text| Some(Box::new(Self { text, cause: below })));
        Self { text: error.to_string(), cause }
    }
}

impl std::fmt::Display for Described {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Described {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

/// Runs one request and translates its error.
macro_rules! request {
    ($self:ident, $doing:literal, $part:expr, |$blob:ident| $request:expr) => {
        Box::pin(async move {
            let $blob = $self.blob($part);
            let sent = $request;
            sent.map_err(|error| {
                store_error(&format!(concat!($doing, " {}"), $self.container.address(&$blob)), &error)
            })
        })
    };
}

impl RemoteStore for BlobJournalStore {
    fn address(&self, part: u32) -> String {
        self.container.address(&self.blob(part))
    }

    fn read(&self, part: u32, from: u64) -> StoreResult<'_, Option<PartContent>> {
        request!(self, "read", part, |blob| {
            let read = self.container.read(&blob, from).await;
            read.map(|content| {
                content.map(|content| PartContent {
                    moved_to: content.metadata.get(MOVED).cloned(),
                    bytes: content.bytes,
                    sealed: content.sealed,
                    leased: content.leased,
                })
            })
        })
    }

    fn create(&self, part: u32) -> StoreResult<'_, ()> {
        request!(self, "create", part, |blob| self.container.create(&blob).await)
    }

    fn clear<'a>(&'a self, part: u32, lease: &'a str) -> StoreResult<'a, ()> {
        request!(self, "empty", part, |blob| self.container.clear(&blob, lease).await)
    }

    fn acquire<'a>(&'a self, part: u32, lease: &'a str) -> StoreResult<'a, ()> {
        request!(self, "acquire the lease of", part, |blob| self.container.acquire(&blob, lease, LEASE).await)
    }

    fn change<'a>(&'a self, part: u32, lease: &'a str, new: &'a str) -> StoreResult<'a, ()> {
        request!(self, "take over the lease of", part, |blob| self.container.change(&blob, lease, new).await)
    }

    fn renew<'a>(&'a self, part: u32, lease: &'a str) -> StoreResult<'a, ()> {
        request!(self, "renew the lease of", part, |blob| self.container.renew(&blob, lease).await)
    }

    fn release<'a>(&'a self, part: u32, lease: &'a str) -> StoreResult<'a, ()> {
        request!(self, "release the lease of", part, |blob| self.container.release(&blob, lease).await)
    }

    fn break_lease(&self, part: u32, period: Duration) -> StoreResult<'_, Duration> {
        request!(self, "end the lease of", part, |blob| self.container.break_lease(&blob, period).await)
    }

    fn append<'a>(&'a self, part: u32, at: u64, lease: &'a str, bytes: Vec<u8>) -> StoreResult<'a, u32> {
        request!(self, "write", part, |blob| self.container.append(&blob, at, lease, bytes).await)
    }

    fn seal<'a>(&'a self, part: u32, lease: &'a str) -> StoreResult<'a, ()> {
        request!(self, "seal", part, |blob| self.container.seal(&blob, lease).await)
    }

    fn mark_moved<'a>(&'a self, part: u32, lease: &'a str, to: Option<&'a str>) -> StoreResult<'a, ()> {
        request!(self, "mark", part, |blob| {
            let metadata: Vec<(&str, &str)> = to.map(|to| (MOVED, to)).into_iter().collect();
            self.container.set_metadata(&blob, lease, &metadata).await
        })
    }

    fn set_summary<'a>(&'a self, part: u32, lease: &'a str, text: &'a str) -> StoreResult<'a, ()> {
        request!(self, "summarize", part, |blob| {
            self.container.set_metadata(&blob, lease, &[(SUMMARY, text)]).await
        })
    }
}

/// Lets a change pass when its record is durable and the journal is certainly this process's.
///
/// The clients hold the gate, so the gate does not keep the journal open: after its end nothing passes.
#[derive(Debug)]
pub struct JournalGate(Weak<Journal>);

impl JournalGate {
    /// Returns the gate of a journal.
    #[must_use]
    pub fn new(journal: &Arc<Journal>) -> Self {
        Self(Arc::downgrade(journal))
    }
}

impl WriteGate for JournalGate {
    fn pass(&self) -> BoxFuture<'_, Result<(), Box<dyn Error + Send + Sync>>> {
        Box::pin(async {
            let journal = self.0.upgrade().ok_or("the journal is closed")?;
            Ok(journal.permit().await?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_its_environment_and_its_part() {
        assert_eq!(parsed_name("a/prod/journal.jsonl", "a/"), Some(("prod".to_owned(), 1)));
        assert_eq!(parsed_name("prod/journal-12.jsonl", ""), Some(("prod".to_owned(), 12)));
        for other in ["a/prod/notes.txt", "b/prod/journal.jsonl", "a/journal.jsonl", "a/p/journal-x.jsonl"] {
            assert_eq!(parsed_name(other, "a/"), None, "{other}");
        }
    }

    #[test]
    fn both_codes_of_an_expired_lease_mean_that_it_is_lost() {
        for code in ["LeaseLost", "LeaseNotPresentWithBlobOperation"] {
            let error = ApiError::new(ApiErrorKind::Precondition, "…").with_status(412).with_code(code);
            assert_eq!(store_error("write", &error).kind, StoreErrorKind::LeaseLost);
        }
    }

    #[test]
    fn an_append_without_an_answer_may_have_taken_effect() {
        let kind = |error: ApiError| store_error("write", &error).kind;
        let lost = ApiError::new(ApiErrorKind::Transport, "…").with_sent(SendStatus::Unknown);
        assert_eq!(kind(lost), StoreErrorKind::NoAnswer);
        let busy = ApiError::new(ApiErrorKind::Unavailable, "…").with_status(503).with_code("ServerBusy");
        assert_eq!(kind(busy), StoreErrorKind::Unavailable);
        let failed = ApiError::new(ApiErrorKind::Unavailable, "…").with_status(500);
        assert_eq!(kind(failed), StoreErrorKind::NoAnswer);
        let refused = ApiError::new(ApiErrorKind::Forbidden, "…").with_status(403);
        let refused = store_error("write", &refused);
        assert_eq!(refused.kind, StoreErrorKind::Forbidden);
        assert!(refused.hint.is_some_and(|hint| hint.contains(ROLE)));
    }
}
