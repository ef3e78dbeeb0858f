//! Faults of the records in the zone.

use super::{Case, case};
use serde_json::json;

pub const CASES: &[Case] = &[
    case!("a record leads elsewhere", "DNS_RECORD_WRONG", "203.0.113.9", h => {
        let id = format!("{}/A/echo", h.zone());
        let mut record = h.fixture.get(&id).await;
        record["properties"]["ARecords"] = json!([{ "ipv4Address": "203.0.113.9" }]);
        h.fixture.put(&id, record).await;
    }),
    case!("a record is gone", "DNS_RECORD_MISSING", "no A record httpbin", h => {
        h.fixture.delete(&format!("{}/A/httpbin", h.zone())).await;
    }),
    case!("the zone is gone", "DNS_ZONE_MISSING", "404", h => {
        h.fixture.delete(&h.zone()).await;
    }),
];
