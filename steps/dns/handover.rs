//! The handover of records between landfall and ExternalDNS. A record stays in the zone all the time: only its owner
//! changes.
//!
//! ExternalDNS skips a record without its registry, so the registry is written first, and landfall's mark goes after that. In
//! the other direction the mark comes first.

use super::{Dns, TTL, conflicts::ZoneContent, registry};
use crate::{
    error_context::{ErrorContext, TrackWrite},
    names, operation,
    operator::external_dns::{self, RunningExternalDns},
    settings::Publisher,
};
use landfall_cloud::{
    ApiError, ApiErrorKind,
    arm::{Condition, Record, TxtSet, Zone, dns::relative},
    kubernetes::Kind,
};
use landfall_engine::{Change, Context, Poll, StepError, Wait};
use serde_json::{Value, json};
use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};

/// The time until ExternalDNS has published: two intervals of its loop, and the delay of its role.
const PUBLISHED_MAX: Duration = Duration::from_secs(900);

/// The owners of the registry in our zone.
pub(super) struct Owners {
    by_space: BTreeMap<String, String>,
}

impl Owners {
    /// Returns the owner ids.
    pub(super) fn ids(&self) -> Vec<String> {
        self.by_space.values().cloned().collect()
    }
}

impl Dns {
    /// Returns the recorded owner ids of our ExternalDNS.
    pub(super) fn owners(&self, cx: &Context) -> Owners {
        let running = cx.output_of(self.records.external_dns);
        Owners { by_space: running.map(|running| running.owners).unwrap_or_default() }
    }

    /// Returns the owner id and the route of a host that ExternalDNS publishes; `None` for a host that landfall publishes.
    fn publication<'a>(&'a self, owners: &'a Owners, zone: &Zone, host: &str) -> Option<(&'a str, String)> {
        registry::name(&relative(host, &zone.name)?)?;
        let (space, route) = self.routes.get(host)?;
        let owner = owners.by_space.get(space)?;
        Some((owner, format!("{space}/{route}")))
    }

    /// Lists the records that ExternalDNS does not publish yet.
    pub(super) fn unpublished(
        &self,
        owners: &Owners,
        content: &ZoneContent<'_>,
        hosts: &[(String, String)],
    ) -> Vec<Change> {
        let change = |(host, address): &(String, String)| {
            let (owner, _) = self.publication(owners, content.zone, host)?;
            let record = content.record(host);
            let is_registered = registered(content.sets, content.zone, host).as_deref() == Some(owner);
            match record {
                None => Some((host.clone(), Value::Null, json!([address]))),
                Some(record) if content.is_marked(record) && !is_registered => {
                    Some((format!("{host}: publisher"), json!("landfall"), json!("ExternalDNS")))
                }
                Some(record) if record.addresses != [address.clone()] => {
                    Some((host.clone(), json!(record.addresses), json!([address])))
                }
                Some(_) => None,
            }
        };
        let changes = hosts.iter().filter_map(change);
        changes.map(|(field, is, wanted)| Change { field, is, wanted }).collect()
    }

    /// Returns whether ExternalDNS publishes a host.
    pub(super) fn is_published_by_operator(&self, owners: &Owners, zone: &Zone, host: &str) -> bool {
        self.publication(owners, zone, host).is_some()
    }

    /// Hands our records over to ExternalDNS, and waits until it has published the others.
    pub(super) async fn hand_over(
        &self,
        cx: &Context,
        owners: &Owners,
        zone: &Zone,
        hosts: &[(String, String)],
    ) -> Result<(), StepError> {
        let wait = Wait::new("ExternalDNS to publish the records", Duration::from_secs(20), PUBLISHED_MAX);
        let ids = owners.ids();
        let waited = cx.wait_until(wait, async || {
            let sets = match self.azure.record_sets(zone).await {
                Err(error) if operation::is_transient(&error) => {
                    return Ok(operation::no_response(&error, None));
                }
                listed => listed.context(format!("list the records of {}", zone.name))?,
            };
            let content = ZoneContent { zone, sets: &sets, mark: &self.mark, owners: &ids };
            for (host, _) in hosts {
                let Some((owner, route)) = self.publication(owners, zone, host) else { continue };
                let Some(record) = content.record(host).filter(|record| content.is_marked(record)) else {
                    continue;
                };
                match self.give(cx, zone, record, owner, &route).await {
                    Err(error) if error.kind == ApiErrorKind::Precondition => {
                        return Ok(Poll::not_yet("a record was changed concurrently"));
                    }
                    Err(error) if operation::is_transient(&error) => {
                        return Ok(operation::no_response(&error, None));
                    }
                    given => given.context(format!("hand {host} over to ExternalDNS"))?,
                }
            }
            let outstanding = self.unpublished(owners, &content, hosts);
            let names: Vec<&str> = outstanding.iter().map(|change| change.field.as_str()).collect();
            Ok(if names.is_empty() {
                Poll::Ready(())
            } else {
                Poll::not_yet(format!("not published: {}", names.join(", ")))
            })
        });
        waited.await.map_err(|error| {
            error.hint("the events of the pod of ExternalDNS show why it publishes nothing (landfall doctor)")
        })
    }

    /// Writes the registry of a record, then removes our mark.
    async fn give(
        &self,
        cx: &Context,
        zone: &Zone,
        record: &Record,
        owner: &str,
        route: &str,
    ) -> Result<(), ApiError> {
        let Some(name) = registry::name(&record.name) else { return Ok(()) };
        let found = self.azure.txt_set(&zone.id, &name).await?;
        let condition =
            found.as_ref().map_or(Condition::IfNoneMatch, |set| Condition::IfMatch(set.etag.clone()));
        let set = found.unwrap_or_else(|| TxtSet::new(&json!({})));
        // A registry of an earlier cluster would name two owners.
        let earlier: Vec<String> = set
            .values()
            .into_iter()
            .filter(|text| registry::owner_in(text).is_some_and(|is| is != owner))
            .collect();
        let earlier: Vec<&str> = earlier.iter().map(String::as_str).collect();
        let text = registry::text(owner, route);
        let set = set.without(&earlier).with(&[&text]);
        self.azure.put_txt_set(&zone.id, &name, &set, condition).await.track_write(cx)?;
        let mut metadata = record.metadata.clone();
        metadata.remove(names::OWNER);
        self.put_as_it_is(cx, zone, record, &metadata).await
    }

    /// Returns whether our ExternalDNS has published one of these hosts.
    pub(super) fn has_published(
        &self,
        owners: &Owners,
        content: &ZoneContent<'_>,
        hosts: &[(String, String)],
    ) -> bool {
        self.publisher == Publisher::Operator
            && hosts.iter().any(|(host, _)| is_registered(owners, content, host))
    }

    /// Lists the records that ExternalDNS published, and that landfall takes back.
    pub(super) fn to_take_back(
        &self,
        owners: &Owners,
        content: &ZoneContent<'_>,
        hosts: &[(String, String)],
    ) -> Vec<Change> {
        let theirs = hosts.iter().filter(|(host, _)| is_registered(owners, content, host));
        theirs
            .map(|(host, _)| Change {
                field: format!("{host}: publisher"),
                is: json!("ExternalDNS"),
                wanted: json!("landfall"),
            })
            .collect()
    }

    /// Takes the records back from ExternalDNS, which is stopped first: our mark comes before its registry goes. Records
    /// of other hosts, which follow from routes without a host name, are deleted.
    pub(super) async fn take_back(
        &self,
        cx: &Context,
        owners: &Owners,
        zone: &Zone,
        hosts: &[(String, String)],
    ) -> Result<(), StepError> {
        let wait =
            Wait::new("the records to stay unchanged", Duration::from_secs(2), Duration::from_secs(60));
        let ids = owners.ids();
        if ids.is_empty() {
            return Ok(());
        }
        if let Some(running) = cx.output_of(self.records.external_dns) {
            self.stop_external_dns(cx, &running).await?;
        }
        cx.wait_until(wait, async || {
            let sets = match self.azure.record_sets(zone).await {
                Err(error) if operation::is_transient(&error) => {
                    return Ok(operation::no_response(&error, None));
                }
                listed => listed.context(format!("list the records of {}", zone.name))?,
            };
            let content = ZoneContent { zone, sets: &sets, mark: &self.mark, owners: &ids };
            for (host, _) in hosts {
                let is_theirs = registered(&sets, zone, host).is_some_and(|owner| ids.contains(&owner));
                let Some(record) = content.record(host).filter(|_| is_theirs) else { continue };
                let taken = async {
                    let mut metadata = record.metadata.clone();
                    metadata.insert(names::OWNER.to_owned(), self.mark.clone());
                    self.put_as_it_is(cx, zone, record, &metadata).await?;
                    self.remove_registry(cx, zone, &record.name, &ids).await
                };
                match taken.await {
                    Err(error) if error.kind == ApiErrorKind::Precondition => {
                        return Ok(Poll::not_yet("a record was changed concurrently"));
                    }
                    Err(error) if operation::is_transient(&error) => {
                        return Ok(operation::no_response(&error, None));
                    }
                    taken => taken.context(format!("take {host} back from ExternalDNS"))?,
                }
            }
            Ok(Poll::Ready(()))
        })
        .await?;
        self.delete_published(cx, &ids, zone).await.map(drop)
    }

    /// Writes a record again with other metadata.
    async fn put_as_it_is(
        &self,
        cx: &Context,
        zone: &Zone,
        record: &Record,
        metadata: &BTreeMap<String, String>,
    ) -> Result<(), ApiError> {
        let addresses: Vec<Ipv4Addr> = record.addresses.iter().filter_map(|one| one.parse().ok()).collect();
        let ttl = if record.ttl == 0 { TTL } else { record.ttl };
        let condition = Condition::IfMatch(record.etag.clone());
        let put = self.azure.put_record(&zone.id, &record.name, &addresses, ttl, metadata, condition).await;
        put.track_write(cx).map(drop)
    }

    /// Removes the registry of these owners beside a record.
    async fn remove_registry(
        &self,
        cx: &Context,
        zone: &Zone,
        record: &str,
        owners: &[String],
    ) -> Result<(), ApiError> {
        let Some(name) = registry::name(record) else { return Ok(()) };
        let Some(set) = self.azure.txt_set(&zone.id, &name).await? else { return Ok(()) };
        let values = set.values();
        let is_theirs =
            |text: &&String| registry::owner_in(text).is_some_and(|is| owners.iter().any(|own| own == is));
        let theirs: Vec<&str> = values.iter().filter(is_theirs).map(String::as_str).collect();
        let condition = Condition::IfMatch(set.etag.clone());
        match theirs.len() == values.len() {
            true => self.azure.delete_txt_set(&zone.id, &name, condition).await.track_write(cx).map(drop),
            false => {
                let rest = set.without(&theirs);
                self.azure.put_txt_set(&zone.id, &name, &rest, condition).await.track_write(cx).map(drop)
            }
        }
    }

    /// Stops our ExternalDNS, which would publish the records again as long as the routes exist.
    pub(super) async fn stop_external_dns(
        &self,
        cx: &Context,
        running: &RunningExternalDns,
    ) -> Result<(), StepError> {
        crate::objects::undo(cx, &self.clusters, &self.resources, &running.applied).await?;
        let Some(cluster) = cx.output_of(self.records.cluster) else { return Ok(()) };
        let Ok(session) = self.clusters.open(&cluster).await else { return Ok(()) };
        let wait = Wait::new("the end of ExternalDNS", Duration::from_secs(5), Duration::from_secs(120));
        cx.wait_until(wait, async || {
            for space in running.owners.keys() {
                let name = external_dns::deployment_name(space);
                match session.api.get(&Kind::DEPLOYMENT, Some(space), &name).await {
                    Err(error) if operation::is_transient(&error) => {
                        return Ok(operation::no_response(&error, None));
                    }
                    found => {
                        if found.context(format!("read Deployment {name}"))?.is_some() {
                            return Ok(Poll::not_yet(format!("Deployment {name} still exists")));
                        }
                    }
                }
            }
            Ok(Poll::Ready(()))
        })
        .await
    }

    /// Deletes the records that ExternalDNS published, with their registry. Returns their number.
    pub(super) async fn delete_published(
        &self,
        cx: &Context,
        owners: &[String],
        zone: &Zone,
    ) -> Result<usize, StepError> {
        let what = format!("list the records of {}", zone.name);
        let sets = self.azure.record_sets(zone).await.context(&what)?;
        let is_theirs = |set: &&Record| {
            let owner = registry::owner(&sets, &set.name.to_ascii_lowercase());
            set.kind == "A" && owner.is_some_and(|owner| owners.contains(&owner))
        };
        let mut deleted = 0;
        for record in sets.iter().filter(is_theirs) {
            let what = format!("delete record {} of zone {}", record.name, zone.name);
            let condition = Condition::IfMatch(record.etag.clone());
            self.azure.delete_record(&zone.id, &record.name, condition).await.context(&what)?;
            self.remove_registry(cx, zone, &record.name, owners).await.context(&what)?;
            deleted += 1;
        }
        Ok(deleted)
    }
}

/// Returns whether the registry of a host names our ExternalDNS.
fn is_registered(owners: &Owners, content: &ZoneContent<'_>, host: &str) -> bool {
    let owner = registered(content.sets, content.zone, host);
    owner.is_some_and(|owner| owners.by_space.values().any(|own| *own == owner))
}

/// Returns the owner in the registry of a host.
fn registered(sets: &[Record], zone: &Zone, host: &str) -> Option<String> {
    registry::owner(sets, &relative(host, &zone.name)?)
}
