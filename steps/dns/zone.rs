//! The zone of the records, as the settings select it.

use crate::settings::Settings;
use landfall_cloud::{
    ApiError, ApiErrorKind,
    arm::{SubscriptionClient, Zone, dns::relative},
};
use landfall_engine::{Kind, Leftover, StepError};

/// Finds the zone: the configured one, or the nearest one above the domain.
#[derive(Clone)]
pub(crate) struct ZoneSearch {
    azure: SubscriptionClient,
    domain: String,
    zone: Option<String>,
    group: Option<String>,
}

/// The result of a search.
pub(crate) enum FoundZone {
    /// The zone.
    Zone(Zone),
    /// The subscription has no zone above the domain, and the settings name none.
    None,
    /// The signed-in identity may not list the zones, and the settings name none.
    Unreadable,
    /// No zone matches the settings.
    Wrong(StepError),
}

impl ZoneSearch {
    pub(crate) fn new(azure: &SubscriptionClient, s: &Settings) -> Self {
        Self {
            azure: azure.clone(),
            domain: s.domain.clone(),
            zone: s.dns.zone.clone(),
            group: s.dns.resource_group.clone(),
        }
    }

    /// Returns the operation that fails without a zone, as a fragment that fits after "failed to".
    pub(crate) fn what(&self) -> String {
        format!("find the DNS zone of {}", self.domain)
    }

    /// Returns whether the settings name a zone or its group.
    pub(crate) fn is_configured(&self) -> bool {
        self.zone.is_some() || self.group.is_some()
    }

    /// Returns whether the settings select this zone, as far as its id and name show it.
    pub(crate) fn selects(&self, zone: &Zone) -> bool {
        let same = |setting: &Option<String>, is: &str| {
            setting.as_ref().is_none_or(|setting| setting.eq_ignore_ascii_case(is))
        };
        same(&self.zone, &zone.name) && same(&self.group, zone.resource_group())
    }

    /// Lists the zones and selects one.
    ///
    /// # Errors
    /// Returns the error of the request. A refusal is an error only if the settings name a zone or its group.
    pub(crate) async fn find(&self) -> Result<FoundZone, ApiError> {
        let zones = match &self.group {
            Some(group) => match self.azure.zones_in(group).await {
                Err(error) if error.kind == ApiErrorKind::NotFound => {
                    return Ok(FoundZone::Wrong(self.wrong_group(group, "does not exist").await));
                }
                zones => zones,
            },
            None => self.azure.zones().await,
        };
        let mut matching = match zones {
            Ok(zones) => self.matching(zones),
            Err(error) if error.kind == ApiErrorKind::Forbidden && !self.is_configured() => {
                return Ok(FoundZone::Unreadable);
            }
            Err(error) => return Err(error),
        };
        // Without a group, several zones can have the name.
        let groups: Vec<String> = matching.iter().map(|zone| zone.resource_group().to_owned()).collect();
        let Some(zone) = matching.pop() else { return self.no_zone().await };
        Ok(match groups.len() {
            1 => FoundZone::Zone(zone),
            count => FoundZone::Wrong(
                self.wrong()
                    .cause(format!("{count} zones are called {}, in {}", zone.name, groups.join(", ")))
                    .hint("select one with dns.resource_group (DNS_ZONE_RG)"),
            ),
        })
    }

    /// Returns the zones of the configured name, else those of the longest name above the domain.
    fn matching(&self, mut zones: Vec<Zone>) -> Vec<Zone> {
        match &self.zone {
            Some(wanted) => zones.retain(|zone| zone.name.eq_ignore_ascii_case(wanted)),
            None => {
                zones.retain(|zone| relative(&self.domain, &zone.name).is_some());
                let longest = zones.iter().map(|zone| zone.name.len()).max().unwrap_or_default();
                zones.retain(|zone| zone.name.len() == longest);
            }
        }
        zones
    }

    async fn no_zone(&self) -> Result<FoundZone, ApiError> {
        let lacks = match &self.zone {
            Some(zone) => format!("has no zone {zone}"),
            None => format!("has no zone for {}", self.domain),
        };
        if let Some(group) = &self.group {
            return Ok(FoundZone::Wrong(self.wrong_group(group, &lacks).await));
        }
        if self.zone.is_none() {
            return Ok(FoundZone::None);
        }
        let other = Self { zone: None, ..self.clone() };
        let other = other.matching(self.azure.zones().await?).pop();
        let hint = match other {
            Some(zone) => format!("set dns.zone (DNS_ZONE_NAME) to {}, or omit it", zone.name),
            None => "create it, or omit dns.zone (DNS_ZONE_NAME) to get the records as a table".to_owned(),
        };
        Ok(FoundZone::Wrong(self.wrong().cause(format!("the subscription {lacks}")).hint(hint)))
    }

    /// Returns the error for a wrong group, with the groups that have such a zone.
    async fn wrong_group(&self, group: &str, why: &str) -> StepError {
        let error = self.wrong().cause(format!("resource group {group} {why}"));
        // The groups only improve the message: without a right to list them, it stays without.
        let found = self.matching(self.azure.zones().await.unwrap_or_default());
        let groups: Vec<&str> = found.iter().map(Zone::resource_group).collect();
        let Some(zone) = found.first() else {
            return error.hint(
                "set dns.resource_group (DNS_ZONE_RG) to the group of the zone, or omit it to get the records as a table",
            );
        };
        error
            .cause(format!("zone {} is in resource group {}", zone.name, groups.join(", ")))
            .hint(format!("set dns.resource_group (DNS_ZONE_RG) to {}, or omit it", groups.join(" or ")))
    }

    fn wrong(&self) -> StepError {
        StepError::new(Kind::Input, self.what()).leftover(Leftover::Nothing)
    }
}
