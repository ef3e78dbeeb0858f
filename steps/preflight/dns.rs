//! Check that the DNS zone of the settings exists, and that no record set of it prevents or hides the records of
//! the gateways.

use super::{PreflightCheckId, finding::Finding, queries::QueryResult};
use crate::{
    Clients,
    dns::{Conflict, FoundZone, Published, UNREADABLE, ZoneContent, ZoneSearch},
    gateways::published_hosts,
    graph::Records,
    manifests::Manifests,
    names,
    settings::Settings,
};
use landfall_cloud::{
    ApiError, ApiErrorKind,
    arm::{Record, SubscriptionClient, Zone, dns::relative},
};
use landfall_engine::{Context, StepError};

/// The zone of an environment, and the hosts that get records.
pub(super) struct DnsCheck {
    azure: SubscriptionClient,
    search: ZoneSearch,
    mark: String,
    domain: String,
    hosts: Vec<String>,
}

/// The result of the queries.
pub(super) enum ZoneState {
    /// The zone with its record sets.
    Read(Zone, Vec<Record>),
    /// The settings select no zone.
    Wrong(StepError),
    /// Landfall manages no records, because the zones cannot be listed.
    Unreadable,
    /// Landfall manages no records.
    Unmanaged,
}

impl DnsCheck {
    pub(super) fn new(c: &Clients, s: &Settings, manifests: &Manifests) -> Self {
        Self {
            azure: c.azure.clone(),
            search: ZoneSearch::new(&c.azure, s),
            mark: names::mark(s, c.azure.id()),
            domain: s.domain.clone(),
            hosts: published_hosts(&manifests.gateways),
        }
    }

    /// Reads the zone, unless an earlier run published every host in it: then the step itself checks them.
    pub(super) async fn query(&self, cx: &Context, records: &Records) -> QueryResult<ZoneState> {
        let published = cx.output_of(records.dns).is_some_and(|published| self.is_published(&published));
        let is_needed = !published && (!self.hosts.is_empty() || self.search.is_configured());
        if is_needed { Some(self.read().await) } else { None }
    }

    fn is_published(&self, published: &Published) -> bool {
        let is_recorded = |host: &String| published.records.iter().any(|(known, _)| known == host);
        let as_configured = match published.zone() {
            Some(zone) => self.search.selects(&zone),
            None => !self.search.is_configured(),
        };
        as_configured && self.hosts.iter().all(is_recorded)
    }

    async fn read(&self) -> Result<ZoneState, ApiError> {
        Ok(match self.search.find().await? {
            FoundZone::Zone(zone) => {
                let sets = self.azure.record_sets(&zone).await?;
                ZoneState::Read(zone, sets)
            }
            FoundZone::Wrong(error) => ZoneState::Wrong(error),
            FoundZone::Unreadable => ZoneState::Unreadable,
            FoundZone::None => ZoneState::Unmanaged,
        })
    }

    /// Evaluates the zone, and notes what is no fault.
    pub(super) fn evaluate(&self, cx: &Context, records: &Records, state: ZoneState) -> Vec<Finding> {
        let (zone, sets) = match state {
            ZoneState::Read(zone, sets) => (zone, sets),
            ZoneState::Wrong(error) => return vec![Finding::of_error(PreflightCheckId::Dns, error)],
            ZoneState::Unreadable => {
                cx.note(UNREADABLE);
                return Vec::new();
            }
            ZoneState::Unmanaged => return Vec::new(),
        };
        if !self.hosts.is_empty() && self.hosts.iter().all(|host| relative(host, &zone.name).is_none()) {
            return vec![self.useless_zone(&zone)];
        }
        let gateways = cx.output_of(records.gateways);
        let address = |host: &String| {
            let gateway = gateways.as_ref()?.gateways.iter().find(|gateway| gateway.hosts.contains(host))?;
            Some(gateway.address.clone())
        };
        let hosts: Vec<_> = self.hosts.iter().map(|host| (host.clone(), address(host))).collect();
        let external_dns = cx.output_of(records.external_dns);
        let owners: Vec<String> =
            external_dns.map(|running| running.owners.into_values().collect()).unwrap_or_default();
        let content = ZoneContent { zone: &zone, sets: &sets, mark: &self.mark, owners: &owners };
        for note in content.ipv6_notes(&hosts) {
            cx.note(note);
        }
        content.conflicts(&hosts).into_iter().map(|conflict| finding(conflict, gateways.is_some())).collect()
    }

    fn useless_zone(&self, zone: &Zone) -> Finding {
        Finding::input(PreflightCheckId::Dns, format!("publish records in zone {}", zone.name))
            .cause(format!("no host of the routes is in zone {}: {}", zone.name, self.hosts.join(", ")))
            .fix(format!("set dns.zone (DNS_ZONE_NAME) to a zone above {}, or omit it", self.domain))
    }

    /// Returns the finding that the zone cannot be read.
    pub(super) fn forbidden(&self, error: &ApiError) -> Finding {
        Finding::refused(PreflightCheckId::Dns, self.search.what())
            .code("AuthorizationFailed")
            .cause(error.message.clone())
            .fix("ask for the role DNS Zone Contributor at the resource group of the zone, and set dns.resource_group (DNS_ZONE_RG) to it")
    }
}

/// Returns whether the identity lacks the right to read, so that every later read fails too.
pub(super) fn is_forbidden(error: &ApiError) -> bool {
    error.kind == ApiErrorKind::Forbidden
}

/// Returns the finding of a conflict. While the gateways' addresses are unknown, a record of an existing
/// environment may have the right one: then the step itself decides.
fn finding(conflict: Conflict, has_gateways: bool) -> Finding {
    let finding = Finding::refused(PreflightCheckId::Dns, format!("publish {}", conflict.hosts.join(", ")))
        .cause(conflict.why)
        .fix(conflict.fix);
    match conflict.is_address && !has_gateways {
        true => finding.for_a_new_cluster(),
        false => finding,
    }
}
