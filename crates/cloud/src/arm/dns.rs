//! DNS zones and their A record sets.

use super::{Condition, SubscriptionClient, WriteResult};
use crate::error::ApiError;
use serde_json::{Value, json};
use std::{collections::BTreeMap, net::Ipv4Addr};

/// The newest stable api-version of DNS zones.
pub const API: &str = "2018-05-01";

/// A zone of the subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// Its resource id.
    pub id: String,
    /// Its name, `example.com`.
    pub name: String,
}

impl Zone {
    /// Returns the zone's resource group, from its id.
    #[must_use]
    pub fn resource_group(&self) -> &str {
        let mut segments = self.id.split('/');
        segments.find(|segment| segment.eq_ignore_ascii_case("resourcegroups"));
        segments.next().unwrap_or_default()
    }
}

/// An A record set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The name relative to the zone, `@` for the zone itself.
    pub name: String,
    /// All its addresses.
    pub addresses: Vec<String>,
    /// The time to live, in seconds.
    pub ttl: u64,
    /// The metadata that its owner set.
    pub metadata: BTreeMap<String, String>,
    /// Its version, for `If-Match`.
    pub etag: String,
}

impl Record {
    fn from_body(body: &Value) -> Option<Self> {
        let properties = &body["properties"];
        let addresses = properties["ARecords"].as_array();
        Some(Self {
            name: body["name"].as_str()?.to_owned(),
            addresses: addresses
                .into_iter()
                .flatten()
                .filter_map(|a| a["ipv4Address"].as_str().map(str::to_owned))
                .collect(),
            ttl: properties["TTL"].as_u64().unwrap_or_default(),
            metadata: serde_json::from_value(properties["metadata"].clone()).unwrap_or_default(),
            etag: body["etag"].as_str().unwrap_or_default().to_owned(),
        })
    }
}

impl SubscriptionClient {
    /// Lists the zones of the whole subscription. Several may have the same name, in different groups.
    ///
    /// # Errors
    /// Returns the error of the request.
    pub async fn zones(&self) -> Result<Vec<Zone>, ApiError> {
        let listed = self.arm().list(&self.path("/providers/Microsoft.Network/dnszones"), API, &[]).await?;
        let zone = |body: &Value| {
            Some(Zone { id: body["id"].as_str()?.to_owned(), name: body["name"].as_str()?.to_owned() })
        };
        Ok(listed.iter().filter_map(zone).collect())
    }

    /// Lists the A record sets of a zone.
    ///
    /// # Errors
    /// Returns the error of the request.
    pub async fn records(&self, zone: &Zone) -> Result<Vec<Record>, ApiError> {
        let listed = self.arm().list(&format!("{}/A", zone.id), API, &[]).await?;
        Ok(listed.iter().filter_map(Record::from_body).collect())
    }

    /// Creates or replaces a record set with all its addresses.
    /// <https://learn.microsoft.com/rest/api/dns/record-sets/create-or-update>
    ///
    /// # Errors
    /// 412 if the precondition failed.
    pub async fn put_record(
        &self,
        zone_id: &str,
        name: &str,
        addresses: &[Ipv4Addr],
        ttl: u64,
        metadata: &BTreeMap<String, String>,
        condition: Condition,
    ) -> Result<WriteResult, ApiError> {
        let body = json!({ "properties": {
            "TTL": ttl,
            "ARecords": addresses.iter().map(|one| json!({ "ipv4Address": one.to_string() })).collect::<Vec<_>>(),
            "metadata": metadata,
        }});
        self.arm().put(&format!("{zone_id}/A/{name}"), API, &body, condition).await
    }

    /// Deletes a record set; a missing one is no error.
    /// <https://learn.microsoft.com/rest/api/dns/record-sets/delete>
    ///
    /// # Errors
    /// 412 if the precondition failed.
    pub async fn delete_record(
        &self,
        zone_id: &str,
        name: &str,
        condition: Condition,
    ) -> Result<WriteResult, ApiError> {
        self.arm().delete_if(&format!("{zone_id}/A/{name}"), API, condition).await
    }
}

/// Returns a host's name relative to a zone, `@` for the zone itself, or `None` if it is not below the zone.
#[must_use]
pub fn relative(host: &str, zone: &str) -> Option<String> {
    let (host, zone) = (host.to_ascii_lowercase(), zone.to_ascii_lowercase());
    if host == zone {
        return Some("@".to_owned());
    }
    host.strip_suffix(&zone)?.strip_suffix('.').map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_below_a_zone_only_at_a_dot() {
        assert_eq!(relative("echo.demo.example.com", "example.com").as_deref(), Some("echo.demo"));
        assert_eq!(relative("Example.com", "example.com").as_deref(), Some("@"));
        assert_eq!(relative("notexample.com", "example.com"), None);
    }
}
