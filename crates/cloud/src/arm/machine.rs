//! The VM sizes of a region.

use super::SubscriptionClient;
use crate::error::ApiError;
use serde_json::Value;

/// The api-version of Compute's resource SKUs.
pub const API: &str = "2021-07-01";

/// A VM size in one region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineSize {
    /// `Standard_D4s_v5`; compared without case.
    pub name: String,
    /// The VM family whose cores the quota counts, `standardDSv5Family`.
    pub family: String,
    /// Its cores; `None` if the list does not contain them.
    pub cores: Option<u64>,
    /// The reason why the subscription may not use it in this region: `NotAvailableForSubscription`,
    /// `QuotaId`.
    pub restriction: Option<String>,
}

impl MachineSize {
    fn from_body(body: &Value) -> Option<Self> {
        if body["resourceType"] != "virtualMachines" {
            return None;
        }
        let capability = |name: &str| {
            let all = body["capabilities"].as_array()?;
            all.iter().find(|one| one["name"] == name)?["value"].as_str()?.parse().ok()
        };
        // A zone restriction does not restrict the region itself.
        let restrictions = body["restrictions"].as_array().into_iter().flatten();
        let mut regional = restrictions.filter(|one| one["type"] == "Location");
        Some(Self {
            name: body["name"].as_str()?.to_owned(),
            family: body["family"].as_str().unwrap_or_default().to_owned(),
            cores: capability("vCPUs"),
            restriction: regional
                .next()
                .map(|one| one["reasonCode"].as_str().unwrap_or("restricted").to_owned()),
        })
    }
}

impl SubscriptionClient {
    /// Lists the VM sizes of a region, including restricted ones.
    /// <https://learn.microsoft.com/rest/api/compute/resource-skus/list>
    ///
    /// # Errors
    /// Returns the error of the request.
    pub async fn machine_sizes(&self, location: &str) -> Result<Vec<MachineSize>, ApiError> {
        let filter = format!("location eq '{location}'");
        let listed = self
            .arm()
            .list(&self.path("/providers/Microsoft.Compute/skus"), API, &[("$filter", &filter)])
            .await?;
        Ok(listed.iter().filter_map(MachineSize::from_body).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn size(restrictions: &Value) -> MachineSize {
        let body = json!({
            "resourceType": "virtualMachines", "name": "Standard_D4s_v5", "family": "standardDSv5Family",
            "capabilities": [{ "name": "vCPUs", "value": "4" }], "restrictions": restrictions,
        });
        MachineSize::from_body(&body).unwrap()
    }

    #[test]
    fn a_zone_restriction_does_not_restrict_the_region() {
        assert_eq!(size(&json!([])).cores, Some(4));
        let zones = json!([{ "type": "Zone", "reasonCode": "NotAvailableForSubscription" }]);
        assert_eq!(size(&zones).restriction, None);
        let region = json!([{ "type": "Location", "reasonCode": "QuotaId" }]);
        assert_eq!(size(&region).restriction.as_deref(), Some("QuotaId"));
        assert_eq!(MachineSize::from_body(&json!({ "resourceType": "disks", "name": "P10" })), None);
    }
}
