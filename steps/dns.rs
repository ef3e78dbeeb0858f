//! DNS records: A records in a zone of the subscription, or the table to enter by hand.

use crate::{
    Clients,
    error::{ErrorContext, TrackWrite},
    gateways::ProgrammedGateways,
    names, operation,
    resource::{Listed, LockScope, NameSetting, Resource, ResourceSpec},
    settings::Settings,
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

/// Publishes the gateways' addresses.
pub struct Dns {
    azure: SubscriptionClient,
    mark: String,
    domain: String,
    zone: Option<String>,
    group: Option<String>,
}

/// The host names and their addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The zone's resource id and name; `None` if the subscription has no zone for the domain.
    pub zone: Option<PublishedZone>,
    /// Every host with its address.
    pub records: Vec<(String, String)>,
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
    pub fn new(c: &Clients, s: &Settings) -> Self {
        Self {
            azure: c.azure.clone(),
            mark: names::mark(s, c.azure.id()),
            domain: s.domain.clone(),
            zone: s.dns.zone.clone(),
            group: s.dns.resource_group.clone(),
        }
    }

    /// Returns the configured zone, or the nearest one above the hosts in the subscription.
    async fn find_zone(&self) -> Result<Option<Zone>, StepError> {
        let what = format!("find the DNS zone of {}", self.domain);
        let mut zones = self.azure.zones().await.context(&what)?;
        if let Some(group) = &self.group {
            zones.retain(|zone| zone.resource_group().eq_ignore_ascii_case(group));
        }
        let wanted = self.zone.as_deref().unwrap_or(&self.domain);
        let nearest = zones
            .iter()
            .filter(|zone| match self.zone {
                Some(_) => zone.name.eq_ignore_ascii_case(wanted),
                None => relative(wanted, &zone.name).is_some(),
            })
            .max_by_key(|zone| zone.name.len());
        let Some(nearest) = nearest else {
            return match &self.zone {
                None => Ok(None),
                Some(zone) => Err(StepError::new(Kind::Failed, what)
                    .cause(format!("the subscription has no zone {zone}"))
                    .hint("create it, or omit dns.zone (DNS_ZONE_NAME) to get the records as a table")
                    .leftover(Leftover::Nothing)),
            };
        };
        let named = zones.iter().filter(|zone| zone.name.eq_ignore_ascii_case(&nearest.name)).count();
        if named > 1 {
            return Err(StepError::new(Kind::Failed, what)
                .cause(format!("{named} zones are called {}", nearest.name))
                .hint("select one with dns.resource_group (DNS_ZONE_RG)")
                .leftover(Leftover::Nothing));
        }
        Ok(Some(nearest.clone()))
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
            let existing_records = match self.azure.records(zone).await {
                Err(error) if operation::is_transient(&error) => {
                    return Ok(operation::no_response(&error, None));
                }
                listed => listed.context(&what)?.into_iter().find(|record| record.name == name),
            };
            let condition = match existing_records {
                // A foreign record with the owned address has the same effect; its TTL is the owner's
                // decision.
                Some(record)
                    if record.addresses == [address] && (record.ttl == TTL || !self.is_owned(&record)) =>
                {
                    return Ok(Poll::Ready(()));
                }
                Some(record) if self.is_owned(&record) => Condition::IfMatch(record.etag),
                Some(record) => return Err(self.foreign(host, &record)),
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
                    self.records(zone).await?.into_iter().find(|record| Some(&record.name) == name.as_ref())
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

    fn foreign(&self, host: &str, record: &Record) -> StepError {
        StepError::new(Kind::Foreign, format!("publish {host}"))
            .cause(ownership_conflict(host, record))
            .hint("delete the record, or choose another domain")
            .leftover(Leftover::Nothing)
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

impl Step for Dns {
    type Input = ProgrammedGateways;
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

    async fn check(&self, cx: &Context, input: &ProgrammedGateways) -> Result<Check<Published>, StepError> {
        let wanted = wanted(input);
        let Some(zone) = self.find_zone().await? else {
            cx.note("no zone in this subscription; create the records yourself");
            return Ok(Check::InSync(Published { zone: None, records: wanted }));
        };
        let existing_records = self.records(&zone).await?;
        let mut changes = Vec::new();
        for (host, address) in &wanted {
            let Some(name) = relative(host, &zone.name) else { continue };
            match existing_records.iter().find(|record| record.name == name) {
                Some(record) if record.addresses == [address.clone()] => {}
                Some(record) if !self.is_owned(record) => {
                    return Ok(Check::NotOwned { why: ownership_conflict(host, record) });
                }
                record => changes.push(Change {
                    field: host.clone(),
                    is: record.map_or(Value::Null, |record| json!(record.addresses)),
                    wanted: json!([address]),
                }),
            }
        }
        // The created records are owned even if some exist already: the mark identifies each.
        let missing = changes.iter().any(|change| change.is.is_null());
        Ok(match changes.is_empty() {
            true => Check::InSync(published(zone, wanted)),
            false if missing => Check::Missing,
            false => Check::Drifted { changes },
        })
    }

    async fn apply(&self, cx: &Context, input: &ProgrammedGateways) -> Result<Published, StepError> {
        let wanted = wanted(input);
        let Some(zone) = self.find_zone().await? else {
            return Ok(Published { zone: None, records: wanted });
        };
        let hosts = wanted.iter().filter(|(host, _)| relative(host, &zone.name).is_some());
        let puts = hosts.map(|(host, address)| self.put(cx, &zone, host, address));
        // Each request runs to its end: a cancelled one could not report its leftover.
        futures::future::join_all(puts).await.into_iter().collect::<Result<(), _>>()?;
        Ok(published(zone, wanted))
    }

    /// In a partly published set, the marked records are owned, also if the other names are foreign.
    async fn recover(&self, _: &Context, input: &ProgrammedGateways) -> Result<Option<Published>, StepError> {
        let Some(zone) = self.find_zone().await? else { return Ok(None) };
        let existing_records = match self.azure.records(&zone).await {
            Err(error) if error.kind == ApiErrorKind::NotFound => return Ok(None),
            listed => listed.context(format!("list the records of {}", zone.name))?,
        };
        let owned = |host: &str| {
            let name = relative(host, &zone.name);
            existing_records
                .iter()
                .find(|record| Some(&record.name) == name.as_ref() && self.is_owned(record))
        };
        let created = wanted(input).into_iter();
        let created: Vec<_> = created.filter(|(host, _)| owned(host).is_some()).collect();
        Ok((!created.is_empty()).then(|| published(zone, created)))
    }

    /// Returns the records of the hosts that lead to the gateways, owned or foreign.
    async fn existing(
        &self,
        _: &Context,
        input: &ProgrammedGateways,
    ) -> Result<Option<Published>, StepError> {
        let Some(zone) = self.find_zone().await? else { return Ok(None) };
        let existing_records = self.records(&zone).await?;
        let points_to_gateway = |(host, address): &(String, String)| {
            let name = relative(host, &zone.name);
            let of_host = |record: &&Record| Some(&record.name) == name.as_ref();
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
        let zone = match published.zone {
            Some(zone) => Some(Zone { id: zone.id, name: zone.name }),
            None => self.find_zone().await?,
        };
        let Some(zone) = zone else { return Ok(UndoOutcome::AlreadyDeleted) };
        let existing_records = match self.azure.records(&zone).await {
            Err(error) if error.kind == ApiErrorKind::NotFound => return Ok(UndoOutcome::AlreadyDeleted),
            listed => listed.context(format!("list the records of {}", zone.name))?,
        };
        let mut deleted = 0;
        let (mut foreign, mut unmarked) = (Vec::new(), Vec::new());
        for (host, address) in &published.records {
            let Some(name) = relative(host, &zone.name) else { continue };
            let found = existing_records.iter().find(|record| record.name == name).cloned();
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
    Published { zone: Some(PublishedZone { id: zone.id, name: zone.name }), records }
}

fn ownership_conflict(host: &str, record: &Record) -> String {
    format!("{host} is not owned by landfall ({}, no owner mark)", record.addresses.join(", "))
}
