//! TXT values in the zones. A record set may belong to several writers: apex and wildcard share one, and so do two
//! environments of one domain. Only the own values are added and removed.

use super::ticket::TxtValue;
use crate::{
    error_context::{ErrorContext, TrackWrite},
    names, operation,
};
use landfall_cloud::{
    ApiError, ApiErrorKind,
    arm::{Condition, SubscriptionClient, TxtSet},
};
use landfall_engine::{Context, Kind, Leftover, Poll, StepError, Wait};
use serde_json::json;
use std::{collections::BTreeMap, time::Duration};

/// The maximum number of records in a record set (Azure DNS limits).
const RECORDS_MAX: usize = 20;

/// The writer of the values of one environment.
pub(super) struct TxtWriter<'a> {
    pub(super) azure: &'a SubscriptionClient,
    pub(super) mark: &'a str,
}

/// The values of one record set.
struct Values<'a> {
    zone: &'a str,
    record: &'a str,
    values: Vec<&'a str>,
}

fn by_record(values: &[TxtValue]) -> Vec<Values<'_>> {
    let mut sets: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for value in values {
        sets.entry((&value.zone, &value.record)).or_default().push(&value.value);
    }
    sets.into_iter().map(|((zone, record), values)| Values { zone, record, values }).collect()
}

impl TxtWriter<'_> {
    /// Adds values.
    pub(super) async fn publish(&self, cx: &Context, values: &[TxtValue]) -> Result<(), StepError> {
        for set in by_record(values) {
            let what = format!("publish TXT record {}", set.record);
            cx.wait_until(unchanged(), async || {
                let found = match self.azure.txt_set(set.zone, set.record).await {
                    Err(error) if operation::is_transient(&error) => {
                        return Ok(operation::no_response(&error, None));
                    }
                    found => found.context(&what)?,
                };
                let (current, condition) = match found {
                    Some(found) => {
                        let condition = Condition::IfMatch(found.etag.clone());
                        (found, condition)
                    }
                    None => (TxtSet::new(&json!({ names::OWNER: self.mark })), Condition::IfNoneMatch),
                };
                let wanted = current.with(&set.values);
                if wanted == current {
                    return Ok(Poll::Ready(()));
                }
                if wanted.values().len() > RECORDS_MAX {
                    return Err(full(&what, &set));
                }
                let put = self.azure.put_txt_set(set.zone, set.record, &wanted, condition).await;
                written(put.track_write(cx).map(drop), &what)
            })
            .await?;
        }
        Ok(())
    }

    /// Removes values, and a record set of ours that is empty then.
    pub(super) async fn remove(&self, cx: &Context, values: &[TxtValue]) -> Result<(), StepError> {
        for set in by_record(values) {
            let what = format!("remove TXT record {}", set.record);
            let removed = cx
                .wait_until(unchanged(), async || {
                    let found = match self.azure.txt_set(set.zone, set.record).await {
                        Err(error) if operation::is_transient(&error) => {
                            return Ok(operation::no_response(&error, None));
                        }
                        found => found.context(&what)?,
                    };
                    let Some(found) = found else { return Ok(Poll::Ready(true)) };
                    let rest = found.without(&set.values);
                    if rest == found && !rest.values().is_empty() {
                        return Ok(Poll::Ready(true));
                    }
                    let condition = Condition::IfMatch(found.etag.clone());
                    let is_owned = found.metadata(names::OWNER) == Some(self.mark);
                    // A set that others created may be empty, and stays.
                    let sent = match rest.values().is_empty() && is_owned {
                        true => self.azure.delete_txt_set(set.zone, set.record, condition).await.map(drop),
                        false if rest == found => return Ok(Poll::Ready(true)),
                        false => {
                            self.azure.put_txt_set(set.zone, set.record, &rest, condition).await.map(drop)
                        }
                    };
                    match sent {
                        // A lock on the zone forbids deletions; the leftover is no failure.
                        Err(error) if error.is("ScopeLocked") => Ok(Poll::Ready(false)),
                        sent => Ok(match written(sent, &what)? {
                            Poll::Ready(()) => Poll::Ready(true),
                            Poll::NotYet { state, not_before } => Poll::NotYet { state, not_before },
                        }),
                    }
                })
                .await?;
            if !removed {
                cx.warn(format!(
                    "a lock keeps the TXT record {}; delete it when the lock is removed",
                    set.record
                ));
            }
        }
        Ok(())
    }

    /// Returns the values that Resource Manager no longer has: another writer removed them.
    pub(super) async fn removed_by_others(&self, values: &[TxtValue]) -> Vec<String> {
        let mut missing = Vec::new();
        for set in by_record(values) {
            let Ok(found) = self.azure.txt_set(set.zone, set.record).await else { continue };
            let present = found.map(|found| found.values()).unwrap_or_default();
            if set.values.iter().any(|value| !present.iter().any(|one| one == value)) {
                missing.push(set.record.to_owned());
            }
        }
        missing
    }
}

fn unchanged() -> Wait {
    Wait::new("the TXT record to stay unchanged", Duration::from_secs(1), Duration::from_secs(120))
}

fn written(sent: Result<(), ApiError>, what: &str) -> Result<Poll<()>, StepError> {
    match sent {
        // Another writer changed it between the read and the write: read again.
        Err(error) if error.kind == ApiErrorKind::Precondition => Ok(Poll::not_yet("it was changed concurrently")),
        Err(error) if operation::is_transient(&error) => Ok(operation::no_response(&error, None)),
        Err(error) if error.kind == ApiErrorKind::Forbidden && error.remedy.is_none() => {
            Err(error).context(what).map_err(|error| {
                error.hint(
                    "ask for the role DNS Zone Contributor at the zone; a new role may need some minutes to take effect",
                )
            })
        }
        sent => sent.context(what).map(Poll::Ready),
    }
}

fn full(what: &str, set: &Values<'_>) -> StepError {
    StepError::new(Kind::Refused, what)
        .cause(format!("TXT record {} has {RECORDS_MAX} values, which is the maximum", set.record))
        .hint("delete values that earlier programs left in it, then run again")
        .leftover(Leftover::Nothing)
}
