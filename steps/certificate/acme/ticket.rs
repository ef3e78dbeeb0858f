//! The progress of an order, saved before each request that it must survive.

use super::super::Replaced;
use jiff::Timestamp;
use landfall_engine::Change;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

/// The progress. It contains no secret: keys stay in the vault or in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct OrderTicket {
    /// The directory, as the settings name it.
    pub(super) directory: String,
    /// The profile of the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) profile: Option<String>,
    /// The ordered names.
    pub(super) names: Vec<String>,
    /// The certificate that the new one replaces. Together with `imports` it is the record of a replacement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) replaces: Option<Replaced>,
    /// The thumbprint of the issued leaf, from before its merge on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) imports: Option<String>,
    /// True from before the creation of a signing request on: a pending one with these names is owned.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) requests: bool,
    /// The id of the pending operation in the vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) request_id: Option<String>,
    /// The order of the certificate.
    #[serde(default)]
    pub(super) order: Progress,
    /// The order of the trial.
    #[serde(default)]
    pub(super) trial: Progress,
    /// True if a trial order has succeeded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) rehearsed: bool,
    /// The time before which the server refuses, with its reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) not_before: Option<(Timestamp, String)>,
}

/// The progress of one order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// The order's address; relative to the directory if it has the same origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) url: Option<String>,
    /// The TXT values in zones, from before their writes until they are removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) values: Vec<TxtValue>,
}

/// A TXT value of a challenge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TxtValue {
    /// The resource id of the zone.
    pub(super) zone: String,
    /// The record's name relative to the zone.
    pub(super) record: String,
    /// The value.
    pub(super) value: String,
}

impl OrderTicket {
    /// Returns whether something of the order is left in a zone or in the vault.
    pub(super) fn has_leftovers(&self) -> bool {
        !self.order.values.is_empty() || !self.trial.values.is_empty()
    }

    /// Returns the leftovers as a change of the resource.
    pub(in super::super) fn change(&self) -> Change {
        let values = self.order.values.iter().chain(&self.trial.values);
        let mut records: Vec<&str> = values.map(|value| value.record.as_str()).collect();
        records.dedup();
        Change { field: "challenge records".to_owned(), is: json!(records), wanted: Value::Null }
    }

    /// Returns whether it belongs to an order of the same content.
    pub(super) fn is_for(&self, directory: &str, profile: Option<&str>, names: &[String]) -> bool {
        self.directory == directory && self.profile.as_deref() == profile && self.names == names
    }
}

/// Returns an address as it is stored: its path, if it has the origin of the directory. The origin comes from the
/// settings then.
pub(super) fn stored(directory: &Url, address: &str) -> String {
    match Url::parse(address) {
        Ok(url) if url.origin() == directory.origin() => match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        },
        _ => address.to_owned(),
    }
}

/// Returns the address that was stored.
pub(super) fn address(directory: &Url, stored: &str) -> Option<Url> {
    directory.join(stored).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_its_origin_only_if_it_is_another_one() {
        let directory: Url = "https://ca.example:14000/dir".parse().unwrap();
        assert_eq!(stored(&directory, "https://ca.example:14000/order/7"), "/order/7");
        let moved: Url = "https://ca.example:15000/dir".parse().unwrap();
        assert_eq!(address(&moved, "/order/7").unwrap().as_str(), "https://ca.example:15000/order/7");
        let other = "https://orders.example/7";
        assert_eq!(address(&moved, &stored(&directory, other)).unwrap().as_str(), other);
    }

    #[test]
    fn a_ticket_before_the_merge_is_the_record_of_a_replacement() {
        let replaces = Replaced { thumbprint: "ab".into(), not_after: Timestamp::UNIX_EPOCH };
        let ticket =
            OrderTicket { replaces: Some(replaces), imports: Some("cd".into()), ..OrderTicket::default() };
        let json = serde_json::to_value(&ticket).unwrap();
        let read: super::super::super::ReplacementTicket = serde_json::from_value(json).unwrap();
        assert_eq!(read.imports, "cd");
        let json = serde_json::to_value(OrderTicket::default()).unwrap();
        assert!(serde_json::from_value::<super::super::super::ReplacementTicket>(json).is_err());
    }
}
