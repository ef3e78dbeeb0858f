//! DNS zones and their record sets.

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
    /// Its name servers, in lower case without the trailing dot; empty if it was not read.
    pub name_servers: Vec<String>,
}

impl Zone {
    fn from_body(body: &Value) -> Option<Self> {
        let servers = body["properties"]["nameServers"].as_array().into_iter().flatten();
        let servers = servers.filter_map(Value::as_str);
        Some(Self {
            id: body["id"].as_str()?.to_owned(),
            name: body["name"].as_str()?.to_owned(),
            name_servers: servers.map(|name| name.trim_end_matches('.').to_ascii_lowercase()).collect(),
        })
    }

    /// Returns the zone's resource group, from its id.
    #[must_use]
    pub fn resource_group(&self) -> &str {
        let mut segments = self.id.split('/');
        segments.find(|segment| segment.eq_ignore_ascii_case("resourcegroups"));
        segments.next().unwrap_or_default()
    }
}

/// A record set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The name relative to the zone, `@` for the zone itself.
    pub name: String,
    /// The type, such as `A` or `CNAME`.
    pub kind: String,
    /// All addresses of an A record.
    pub addresses: Vec<String>,
    /// The content for people: addresses, targets, name servers, texts, or the resource that an alias follows.
    pub values: Vec<String>,
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
        let kind = body["type"].as_str().and_then(|kind| kind.rsplit('/').next()).unwrap_or_default();
        Some(Self {
            name: body["name"].as_str()?.to_owned(),
            kind: kind.to_owned(),
            addresses: listed(properties, "ARecords", "ipv4Address"),
            values: values(properties),
            ttl: properties["TTL"].as_u64().unwrap_or_default(),
            metadata: serde_json::from_value(properties["metadata"].clone()).unwrap_or_default(),
            etag: body["etag"].as_str().unwrap_or_default().to_owned(),
        })
    }

    /// Returns whether it has this name relative to the zone. DNS names know no case.
    #[must_use]
    pub fn is_named(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

fn listed(properties: &Value, list: &str, field: &str) -> Vec<String> {
    let records = properties[list].as_array().into_iter().flatten();
    records.filter_map(|record| record[field].as_str().map(str::to_owned)).collect()
}

/// Returns the content of a record set for people.
/// <https://learn.microsoft.com/rest/api/dns/record-sets/get#recordset>
fn values(properties: &Value) -> Vec<String> {
    let lists = [("ARecords", "ipv4Address"), ("AAAARecords", "ipv6Address"), ("NSRecords", "nsdname")];
    let mut values: Vec<String> =
        lists.iter().flat_map(|(list, field)| listed(properties, list, field)).collect();
    values.extend(properties["CNAMERecord"]["cname"].as_str().map(str::to_owned));
    let texts = properties["TXTRecords"].as_array().into_iter().flatten();
    values.extend(texts.filter_map(|record| {
        let parts = record["value"].as_array()?.iter().filter_map(Value::as_str);
        Some(parts.collect::<String>())
    }));
    let authorities = properties["caaRecords"].as_array().into_iter().flatten();
    values.extend(authorities.filter_map(|record| {
        Some(format!("{} {} \"{}\"", record["flags"], record["tag"].as_str()?, record["value"].as_str()?))
    }));
    let target = properties["targetResource"]["id"].as_str();
    values.extend(target.map(|id| format!("an alias of {}", id.rsplit('/').next().unwrap_or(id))));
    values
}

impl SubscriptionClient {
    /// Lists the zones of the whole subscription. Several may have the same name, in different groups.
    ///
    /// # Errors
    /// Returns the error of the request.
    pub async fn zones(&self) -> Result<Vec<Zone>, ApiError> {
        let listed = self.arm().list(&self.path("/providers/Microsoft.Network/dnszones"), API, &[]).await?;
        Ok(listed.iter().filter_map(Zone::from_body).collect())
    }

    /// Lists the zones of a resource group; a right at the group is enough.
    /// <https://learn.microsoft.com/rest/api/dns/zones/list-by-resource-group>
    ///
    /// # Errors
    /// 404 `ResourceGroupNotFound` if there is no such group.
    pub async fn zones_in(&self, group: &str) -> Result<Vec<Zone>, ApiError> {
        let path = format!("{}/providers/Microsoft.Network/dnszones", self.group_id(group));
        let listed = self.arm().list(&path, API, &[]).await?;
        Ok(listed.iter().filter_map(Zone::from_body).collect())
    }

    /// Lists the A record sets of a zone.
    ///
    /// # Errors
    /// Returns the error of the request.
    pub async fn records(&self, zone: &Zone) -> Result<Vec<Record>, ApiError> {
        let listed = self.arm().list(&format!("{}/A", zone.id), API, &[]).await?;
        Ok(listed.iter().filter_map(Record::from_body).collect())
    }

    /// Lists the record sets of all types of a zone.
    /// <https://learn.microsoft.com/rest/api/dns/record-sets/list-by-dns-zone>
    ///
    /// # Errors
    /// Returns the error of the request.
    pub async fn record_sets(&self, zone: &Zone) -> Result<Vec<Record>, ApiError> {
        let listed = self.arm().list(&format!("{}/recordsets", zone.id), API, &[]).await?;
        Ok(listed.iter().filter_map(Record::from_body).collect())
    }

    /// Creates or replaces an A record set with all its addresses.
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

    /// Deletes an A record set; a missing one is no error.
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

    #[test]
    fn the_content_of_each_type_is_readable() {
        let content = |kind: &str, properties: Value| {
            let body = json!({ "name": "Echo", "type": format!("Microsoft.Network/dnszones/{kind}"), "properties": properties });
            Record::from_body(&body).unwrap().values.join(", ")
        };
        let address = json!({ "ARecords": [{ "ipv4Address": "203.0.113.9" }], "targetResource": {} });
        assert_eq!(content("A", address), "203.0.113.9");
        assert_eq!(content("CNAME", json!({ "CNAMERecord": { "cname": "a.example.net" } })), "a.example.net");
        assert_eq!(content("TXT", json!({ "TXTRecords": [{ "value": ["v=", "1"] }] })), "v=1");
        let alias = json!({ "targetResource": { "id": "/subscriptions/s/publicIPAddresses/pip-web" } });
        assert_eq!(content("A", alias), "an alias of pip-web");
        assert_eq!(content("SRV", json!({})), "");
    }
}
