//! TXT record sets, several writers of which may share one name.

use super::{Condition, SubscriptionClient, WriteResult, dns::API};
use crate::error::ApiError;
use serde_json::{Value, json};

/// A TXT record set as read, with the properties that landfall does not know.
#[derive(Clone, Debug, PartialEq)]
pub struct TxtSet {
    properties: Value,
    /// Its version, for `If-Match`.
    pub etag: String,
}

impl TxtSet {
    /// Returns an empty set with the metadata of its owner. A short time to live keeps a wrong value short.
    #[must_use]
    pub fn new(metadata: &Value) -> Self {
        Self { properties: json!({ "TTL": 60, "TXTRecords": [], "metadata": metadata }), etag: String::new() }
    }

    fn from_body(body: &Value) -> Self {
        Self {
            properties: body["properties"].clone(),
            etag: body["etag"].as_str().unwrap_or_default().to_owned(),
        }
    }

    /// Returns the values: the strings of each record, joined.
    #[must_use]
    pub fn values(&self) -> Vec<String> {
        let records = self.properties["TXTRecords"].as_array().into_iter().flatten();
        records.map(text).collect()
    }

    /// Returns an entry of its metadata.
    #[must_use]
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.properties["metadata"][key].as_str()
    }

    /// Returns the set with further values; the existing ones stay.
    #[must_use]
    pub fn with(&self, values: &[&str]) -> Self {
        let mut set = self.clone();
        let mut records = set.properties["TXTRecords"].as_array().cloned().unwrap_or_default();
        for value in values {
            if !records.iter().any(|record| text(record) == *value) {
                records.push(json!({ "value": [value] }));
            }
        }
        set.properties["TXTRecords"] = records.into();
        set
    }

    /// Returns the set without some values; the others stay as they are.
    #[must_use]
    pub fn without(&self, values: &[&str]) -> Self {
        let mut set = self.clone();
        if let Some(records) = set.properties["TXTRecords"].as_array_mut() {
            records.retain(|record| !values.contains(&text(record).as_str()));
        }
        set
    }

    fn body(&self) -> Value {
        let mut properties = serde_json::Map::new();
        for key in ["TTL", "TXTRecords", "metadata"] {
            if let Some(value) = self.properties.get(key).filter(|value| !value.is_null()) {
                properties.insert(key.to_owned(), value.clone());
            }
        }
        json!({ "properties": properties })
    }
}

fn text(record: &Value) -> String {
    record["value"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

impl SubscriptionClient {
    /// Reads a TXT record set; `None` if there is none. `name` is relative to the zone.
    ///
    /// # Errors
    /// Returns the error of the request.
    pub async fn txt_set(&self, zone_id: &str, name: &str) -> Result<Option<TxtSet>, ApiError> {
        let body = self.arm().get(&format!("{zone_id}/TXT/{name}"), API).await?;
        Ok(body.as_ref().map(TxtSet::from_body))
    }

    /// Creates or replaces a TXT record set; a PUT replaces all its records.
    /// <https://learn.microsoft.com/rest/api/dns/record-sets/create-or-update>
    ///
    /// # Errors
    /// 412 if the precondition failed.
    pub async fn put_txt_set(
        &self,
        zone_id: &str,
        name: &str,
        set: &TxtSet,
        condition: Condition,
    ) -> Result<WriteResult, ApiError> {
        self.arm().put(&format!("{zone_id}/TXT/{name}"), API, &set.body(), condition).await
    }

    /// Deletes a TXT record set; a missing one is no error.
    ///
    /// # Errors
    /// 412 if the precondition failed.
    pub async fn delete_txt_set(
        &self,
        zone_id: &str,
        name: &str,
        condition: Condition,
    ) -> Result<WriteResult, ApiError> {
        self.arm().delete_if(&format!("{zone_id}/TXT/{name}"), API, condition).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_added_and_removed_without_touching_others() {
        let body = json!({ "etag": "e", "properties": {
            "fqdn": "x.", "TTL": 300, "TXTRecords": [{ "value": ["the", "irs"] }], "metadata": { "team": "web" } } });
        let set = TxtSet::from_body(&body).with(&["one", "two", "one"]);
        assert_eq!(set.values(), ["theirs", "one", "two"]);
        let rest = set.without(&["one", "two"]);
        assert_eq!(
            rest.body(),
            json!({ "properties": {
            "TTL": 300, "TXTRecords": [{ "value": ["the", "irs"] }], "metadata": { "team": "web" } } })
        );
        assert_eq!((set.metadata("team"), set.metadata("landfall")), (Some("web"), None));
    }
}
