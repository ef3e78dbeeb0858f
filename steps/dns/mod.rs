//! DNS records: A records in a zone of the subscription, or the table to enter by hand.

mod conflicts;
mod handover;
mod registry;
mod zone;

pub(crate) use conflicts::{Conflict, ZoneContent};
pub(crate) use zone::{FoundZone, ZoneSearch};

use crate::{
    Clients, Clusters,
    error_context::{ErrorContext, TrackWrite},
    gateways::ProgrammedGateways,
    graph::Records,
    manifests::Manifests,
    names, operation,
    resource_spec::{Listed, LockScope, NameSetting, Resource, ResourceSpec, Resources},
    settings::{Publisher, Settings},
};
pub(crate) use landfall_cloud::arm::dns::relative;
use landfall_cloud::{
    ApiError, ApiErrorKind,
    arm::{Condition, Record, SubscriptionClient, WriteResult, Zone},
};
use landfall_engine::{
    Change, Check, Context, Kind, Leftover, Poll, Step, StepError, StepState, UndoOutcome, Wait,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{collections::BTreeMap, net::Ipv4Addr, sync::Mutex, time::Duration};

/// The time to live of a record, in seconds.
const TTL: u64 = 300;

/// The note that no zone can be listed.
pub(crate) const UNREADABLE: &str = "the signed-in identity may not list the DNS zones of this subscription; create the records \
                          yourself, or set dns.resource_group (DNS_ZONE_RG)";

/// Publishes the gateways' addresses.
pub struct Dns {
    azure: SubscriptionClient,
    mark: String,
    domain: String,
    zone: Option<String>,
    search: ZoneSearch,
    publisher: Publisher,
    /// The namespace and the name of the route of each host.
    routes: BTreeMap<String, (String, String)>,
    clusters: Clusters,
    records: Records,
    resources: Resources,
}

/// The host names and their addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The zone's resource id and name; `None` if landfall manages no zone.
    pub zone: Option<PublishedZone>,
    /// Every host with its address; those outside the zone are entered by hand.
    pub records: Vec<(String, String)>,
    /// True if the signed-in identity may not list the zones.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unreadable: bool,
}

impl Published {
    fn unmanaged(records: Vec<(String, String)>, unreadable: bool) -> Self {
        Self { zone: None, records, unreadable }
    }

    /// Returns the zone.
    pub(crate) fn zone(&self) -> Option<Zone> {
        let of = |zone: &PublishedZone| Zone {
            id: zone.id.clone(),
            name: zone.name.clone(),
            name_servers: Vec::new(),
        };
        self.zone.as_ref().map(of)
    }
}

/// The zone of the records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedZone {
    /// Its resource id.
    pub id: String,
    /// Its name.
    pub name: String,
}

impl Dns {
    /// Returns the step for these settings.
    #[must_use]
    pub fn new(c: &Clients, s: &Settings, resources: &Resources) -> Self {
        Self {
            publisher: s.dns.publish,
            routes: Manifests::new(s).routes(),
            clusters: c.clusters.clone(),
            records: resources.records,
            resources: resources.clone(),
            azure: c.azure.clone(),
            mark: names::mark(s, c.azure.id()),
            domain: s.domain.clone(),
            zone: s.dns.zone.clone(),
            search: ZoneSearch::new(&c.azure, s),
        }
    }

    /// Returns the zone of existing records; `None` if there is none. Zones that cannot be listed are an error:
    /// they may contain our records.
    async fn find_zone(&self) -> Result<Option<Zone>, StepError> {
        match self.search.find().await.context(self.search.what())? {
            FoundZone::Zone(zone) => Ok(Some(zone)),
            FoundZone::None => Ok(None),
            FoundZone::Unreadable => Err(StepError::new(Kind::Refused, self.search.what())
                .cause("the signed-in identity may not list the DNS zones of this subscription")
                .hint("ask for the role Reader, or set dns.resource_group (DNS_ZONE_RG) to a group that you may read")
                .leftover(Leftover::Nothing)),
            FoundZone::Wrong(error) => Err(error),
        }
    }

    async fn records(&self, zone: &Zone) -> Result<Vec<Record>, StepError> {
        self.azure.records(zone).await.context(format!("list the records of {}", zone.name))
    }

    /// Returns whether landfall's mark is on a record, so that it is owned.
    fn is_owned(&self, record: &Record) -> bool {
        record.metadata.get(names::OWNER) == Some(&self.mark)
    }

    async fn put(&self, cx: &Context, zone: &Zone, host: &str, address: &str) -> Result<(), StepError> {
        let what = format!("publish {host}");
        let wrong = || StepError::new(Kind::Failed, what.clone()).leftover(Leftover::Nothing);
        let parsed: Ipv4Addr =
            address.parse().map_err(|_| wrong().cause(format!("{address} is not an IPv4 address")))?;
        let name = relative(host, &zone.name)
            .ok_or_else(|| wrong().cause(format!("{host} is not below {}", zone.name)))?;
        let metadata = BTreeMap::from([(names::OWNER.to_owned(), self.mark.clone())]);
        let wait = Wait::new("the record to stay unchanged", Duration::from_secs(1), Duration::from_secs(60));
        cx.wait_until(wait, async || {
            let sets = match self.azure.record_sets(zone).await {
                Err(error) if operation::is_transient(&error) => {
                    return Ok(operation::no_response(&error, None));
                }
                listed => listed.context(&what)?,
            };
            let content = ZoneContent { zone, sets: &sets, mark: &self.mark, owners: &[] };
            let hosts = [(host.to_owned(), Some(address.to_owned()))];
            if let Some(conflict) = content.conflicts(&hosts).into_iter().next() {
                return Err(refused(conflict));
            }
            let condition = match content.record(host) {
                // A foreign record with the owned address has the same effect; its TTL is the owner's
                // decision.
                Some(record)
                    if record.addresses == [address] && (record.ttl == TTL || !content.is_owned(record)) =>
                {
                    return Ok(Poll::Ready(()));
                }
                Some(record) => Condition::IfMatch(record.etag.clone()),
                None => Condition::IfNoneMatch,
            };
            let put = self.azure.put_record(&zone.id, &name, &[parsed], TTL, &metadata, condition).await;
            match put.track_write(cx) {
                // Another writer changed it between the read and the write: read again.
                Err(error) if error.kind == ApiErrorKind::Precondition => {
                    Ok(Poll::not_yet("it was changed concurrently"))
                }
                Err(error) if operation::is_transient(&error) => Ok(operation::no_response(&error, None)),
                put => put.context(&what).map(|_| Poll::Ready(())),
            }
        })
        .await
    }

    /// Deletes a record if it is owned, contains the owned address, and still has the version that was read.
    /// `None` if it is not owned, or no longer; otherwise whether it existed.
    async fn delete(
        &self,
        cx: &Context,
        zone: &Zone,
        host: &str,
        address: &str,
        found: Option<Record>,
    ) -> Result<Option<bool>, StepError> {
        let what = format!("delete {host}");
        let wait = Wait::new("the record to stay unchanged", Duration::from_secs(1), Duration::from_secs(60));
        let found = Mutex::new(Some(found));
        cx.wait_until(wait, async || {
            let first = found.lock().expect("nothing panics while it is held").take();
            let record = match (first, relative(host, &zone.name)) {
                (Some(found), _) => found,
                (None, name) => {
                    let name = name.unwrap_or_default();
                    self.records(zone).await?.into_iter().find(|record| record.is_named(&name))
                }
            };
            let Some(record) = record else { return Ok(Poll::Ready(Some(false))) };
            let owned = self.is_owned(&record) || cx.adopted();
            if !owned || !record.addresses.iter().any(|one| one == address) {
                return Ok(Poll::Ready(None));
            }
            let condition = Condition::IfMatch(record.etag.clone());
            if record.addresses.len() > 1 {
                // The addresses that others added stay; the owned one would lead to a released address.
                return match self.release_record(zone, &record, address, condition).await {
                    Err(error) if error.kind == ApiErrorKind::Precondition => {
                        Ok(Poll::not_yet("it was changed concurrently"))
                    }
                    put => put.context(&what).map(|_| Poll::Ready(None)),
                };
            }
            match self.azure.delete_record(&zone.id, &record.name, condition).await {
                Err(error) if error.kind == ApiErrorKind::Precondition => {
                    Ok(Poll::not_yet("it was changed concurrently"))
                }
                deleted => deleted.context(&what).map(|_| Poll::Ready(Some(true))),
            }
        })
        .await
    }

    /// Removes the owned address and the mark from a record to which others have added addresses.
    async fn release_record(
        &self,
        zone: &Zone,
        record: &Record,
        address: &str,
        condition: Condition,
    ) -> Result<WriteResult, ApiError> {
        let other_addresses = record.addresses.iter().filter(|one| *one != address);
        let other_addresses: Vec<Ipv4Addr> = other_addresses.filter_map(|one| one.parse().ok()).collect();
        let mut metadata = record.metadata.clone();
        metadata.remove(names::OWNER);
        self.azure
            .put_record(&zone.id, &record.name, &other_addresses, record.ttl, &metadata, condition)
            .await
    }
}

impl Resource for Dns {
    const NAMES: &'static [NameSetting] = &[
        NameSetting {
            setting: "domain",
            key: "domain",
            get: |s, _| s.domain.clone(),
            set: |s, domain| s.domain = domain.unwrap_or_default(),
            recorded: |_| None,
            fixed: false,
            optional: false,
        },
        NameSetting {
            setting: "dns.zone",
            key: "zone",
            get: |s, _| s.dns.zone.clone().unwrap_or_default(),
            set: |s, zone| s.dns.zone = zone,
            recorded: |_| None,
            fixed: false,
            optional: true,
        },
    ];

    fn resource(&self) -> ResourceSpec {
        let zone = |past: &StepState| past.read_output::<Published>()?.zone;
        ResourceSpec::new("DNS records", format!("below {}", self.domain))
            .listed(|past| {
                let published = past.read_output::<Published>()?;
                let zone = published.zone?.name;
                let hosts = published.records.into_iter().map(|(host, _)| host);
                let hosts = hosts.filter(|host| relative(host, &zone).is_some()).collect();
                Some(Listed::Records { zone, hosts })
            })
            .locked_at(move |past| {
                let scopes = |zone: PublishedZone| {
                    let records = format!("{}/a", zone.id);
                    vec![LockScope::At(zone.id), LockScope::Below(records)]
                };
                zone(past).map(scopes).unwrap_or_default()
            })
            // Only the cloud shows the owner of a record.
            .with_found_parts(|_| true)
    }
}

fn has_zone(published: &Published) -> bool {
    published.zone.is_some()
}

impl Step for Dns {
    type Input = (ProgrammedGateways, ());
    type Output = Published;

    fn title(&self) -> String {
        format!("names below {}", self.domain)
    }

    fn planned_name(&self) -> Option<Value> {
        Some(json!({ "domain": self.domain, "zone": self.zone }))
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(300)
    }

    fn typical_duration(&self) -> Duration {
        Duration::from_secs(2)
    }

    async fn check(&self, cx: &Context, (input, ()): &Self::Input) -> Result<Check<Published>, StepError> {
        let wanted = wanted(input);
        if self.publisher == Publisher::Table {
            cx.note("dns.publish is \"table\"; create the records yourself");
            return Ok(Check::InSync(Published::unmanaged(wanted, false)));
        }
        let zone = match self.search.find().await.context(self.search.what())? {
            FoundZone::Zone(zone) => zone,
            FoundZone::Wrong(error) => return Ok(Check::Refused { error }),
            FoundZone::None => {
                cx.note("no zone in this subscription; create the records yourself");
                return Ok(Check::InSync(Published::unmanaged(wanted, false)));
            }
            // The records in the recorded zone stay recorded.
            FoundZone::Unreadable if let Some(last) = cx.last_output::<Published>().filter(has_zone) => {
                cx.note(UNREADABLE);
                return Ok(Check::InSync(last));
            }
            FoundZone::Unreadable => {
                cx.note(UNREADABLE);
                return Ok(Check::InSync(Published::unmanaged(wanted, true)));
            }
        };
        let sets =
            self.azure.record_sets(&zone).await.context(format!("list the records of {}", zone.name))?;
        let owners = self.owners(cx);
        let ids = owners.ids();
        let content = ZoneContent { zone: &zone, sets: &sets, mark: &self.mark, owners: &ids };
        let hosts: Vec<_> =
            wanted.iter().map(|(host, address)| (host.clone(), Some(address.clone()))).collect();
        if let Some(conflict) = content.conflicts(&hosts).into_iter().next() {
            return Ok(Check::Refused { error: refused(conflict) });
        }
        let outside: Vec<&str> = wanted
            .iter()
            .filter(|(host, _)| relative(host, &zone.name).is_none())
            .map(|(host, _)| host.as_str())
            .collect();
        if !outside.is_empty() {
            cx.note(format!(
                "outside zone {}; create the records yourself: {}",
                zone.name,
                outside.join(", ")
            ));
        }
        let mut changes = match self.publisher {
            Publisher::Operator => self.unpublished(&owners, &content, &wanted),
            _ => self.to_take_back(&owners, &content, &wanted),
        };
        let is_own = |host: &str| {
            let by_operator = || self.is_published_by_operator(&owners, &zone, host);
            relative(host, &zone.name).is_some() && !(self.publisher == Publisher::Operator && by_operator())
        };
        for (host, address) in wanted.iter().filter(|(host, _)| is_own(host)) {
            match content.record(host) {
                Some(record) if record.addresses == [address.clone()] => {}
                record => changes.push(Change {
                    field: host.clone(),
                    is: record.map_or(Value::Null, |record| json!(record.addresses)),
                    wanted: json!([address]),
                }),
            }
        }
        // The created records are owned even if some exist already: the mark identifies each.
        // So are those of the operator, which can be first.
        let missing = changes.iter().any(|change| change.is.is_null())
            || cx.last_output::<Published>().is_none() && self.has_published(&owners, &content, &wanted);
        Ok(match changes.is_empty() {
            _ if missing => Check::Missing,
            true => Check::InSync(published(zone, wanted)),
            false => Check::Drifted { changes },
        })
    }

    async fn apply(&self, cx: &Context, (input, ()): &Self::Input) -> Result<Published, StepError> {
        let wanted = wanted(input);
        let zone = match self.search.find().await.context(self.search.what())? {
            FoundZone::Zone(zone) => zone,
            FoundZone::Wrong(error) => return Err(error),
            FoundZone::None => return Ok(Published::unmanaged(wanted, false)),
            FoundZone::Unreadable => {
                let last = cx.last_output::<Published>().filter(has_zone);
                return Ok(last.unwrap_or_else(|| Published::unmanaged(wanted, true)));
            }
        };
        let owners = self.owners(cx);
        let by_operator = |host: &str| {
            self.publisher == Publisher::Operator && self.is_published_by_operator(&owners, &zone, host)
        };
        match self.publisher {
            Publisher::Operator => self.hand_over(cx, &owners, &zone, &wanted).await?,
            _ => self.take_back(cx, &owners, &zone, &wanted).await?,
        }
        let hosts =
            wanted.iter().filter(|(host, _)| relative(host, &zone.name).is_some() && !by_operator(host));
        let puts = hosts.map(|(host, address)| self.put(cx, &zone, host, address));
        // Each request runs to its end: a cancelled one could not report its leftover.
        futures::future::join_all(puts).await.into_iter().collect::<Result<(), _>>()?;
        Ok(published(zone, wanted))
    }

    /// In a partly published set, the marked records are owned, also if the other names are foreign.
    async fn recover(&self, _: &Context, (input, ()): &Self::Input) -> Result<Option<Published>, StepError> {
        let Some(zone) = self.find_zone().await? else { return Ok(None) };
        let existing_records = match self.azure.records(&zone).await {
            Err(error) if error.kind == ApiErrorKind::NotFound => return Ok(None),
            listed => listed.context(format!("list the records of {}", zone.name))?,
        };
        let owned = |host: &str| {
            let name = relative(host, &zone.name);
            existing_records.iter().find(|record| {
                name.as_ref().is_some_and(|name| record.is_named(name)) && self.is_owned(record)
            })
        };
        let created = wanted(input).into_iter();
        let created: Vec<_> = created.filter(|(host, _)| owned(host).is_some()).collect();
        Ok((!created.is_empty()).then(|| published(zone, created)))
    }

    /// Returns the records of the hosts that lead to the gateways, owned or foreign.
    async fn existing(&self, _: &Context, (input, ()): &Self::Input) -> Result<Option<Published>, StepError> {
        let Some(zone) = self.find_zone().await? else { return Ok(None) };
        let existing_records = self.records(&zone).await?;
        let points_to_gateway = |(host, address): &(String, String)| {
            let name = relative(host, &zone.name);
            let of_host = |record: &&Record| name.as_ref().is_some_and(|name| record.is_named(name));
            existing_records.iter().find(of_host).is_some_and(|record| record.addresses.contains(address))
        };
        let found: Vec<_> = wanted(input).into_iter().filter(points_to_gateway).collect();
        Ok((!found.is_empty()).then(|| published(zone, found)))
    }

    /// Records in a zone do; the list of records to enter by hand does not.
    fn outlives_parent(&self, published: &Published) -> bool {
        published.zone.is_some()
    }

    async fn undo(&self, cx: &Context, published: Published) -> Result<UndoOutcome, StepError> {
        // A zone may be newer than the output, and a publication in it may not have finished.
        let zone = match published.zone() {
            Some(zone) => Some(zone),
            // Nothing was published in zones that could not be listed.
            None if published.unreadable => None,
            None => self.find_zone().await?,
        };
        let Some(zone) = zone else { return Ok(UndoOutcome::AlreadyDeleted) };
        let mut existing_records = match self.azure.records(&zone).await {
            Err(error) if error.kind == ApiErrorKind::NotFound => return Ok(UndoOutcome::AlreadyDeleted),
            listed => listed.context(format!("list the records of {}", zone.name))?,
        };
        let mut deleted = 0;
        let external_dns = cx.output_of(self.records.external_dns);
        if let Some(running) = &external_dns {
            self.stop_external_dns(cx, running).await?;
        }
        let owners: Vec<String> =
            external_dns.map(|running| running.owners.into_values().collect()).unwrap_or_default();
        let published_by_operator = match owners.is_empty() {
            true => 0,
            false => self.delete_published(cx, &owners, &zone).await?,
        };
        if published_by_operator > 0 {
            deleted += published_by_operator;
            existing_records =
                self.azure.records(&zone).await.context(format!("list the records of {}", zone.name))?;
        }
        let (mut foreign, mut unmarked) = (Vec::new(), Vec::new());
        for (host, address) in &published.records {
            let Some(name) = relative(host, &zone.name) else { continue };
            let found = existing_records.iter().find(|record| record.is_named(&name)).cloned();
            let is_found = found.as_ref().is_some_and(|record| {
                !self.is_owned(record) && record.addresses.iter().any(|one| one == address)
            });
            match self.delete(cx, &zone, host, address, found).await? {
                Some(true) => deleted += 1,
                Some(false) => {}
                None if is_found => unmarked.push(host.clone()),
                None => foreign.push(host.clone()),
            }
        }
        if !unmarked.is_empty() {
            // They stay recorded: otherwise no later `--adopt` could name them.
            let why = format!("{} were there before, and lead to our addresses", unmarked.join(", "));
            return Ok(UndoOutcome::Kept { why });
        }
        Ok(match (deleted, foreign.is_empty()) {
            (0, false) => UndoOutcome::Kept {
                why: format!("{} no longer contain the gateways' addresses", foreign.join(", ")),
            },
            (0, true) => UndoOutcome::AlreadyDeleted,
            _ => UndoOutcome::Deleted,
        })
    }
}

fn wanted(input: &ProgrammedGateways) -> Vec<(String, String)> {
    let all = input.gateways.iter();
    all.flat_map(|gateway| gateway.hosts.iter().map(|host| (host.clone(), gateway.address.clone()))).collect()
}

fn published(zone: Zone, records: Vec<(String, String)>) -> Published {
    Published { zone: Some(PublishedZone { id: zone.id, name: zone.name }), records, unreadable: false }
}

/// Returns the error of a conflict.
fn refused(conflict: Conflict) -> StepError {
    StepError::new(Kind::Refused, format!("publish {}", conflict.hosts.join(", ")))
        .cause(conflict.why)
        .hint(conflict.fix)
        .leftover(Leftover::Nothing)
}
