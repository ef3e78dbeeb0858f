//! The location of a resource.

use serde_json::Value;

use super::{Location, Resource, ResourceType};
use crate::arm::Call;
use crate::arm::error::ArmError;
use crate::state::CloudState;

/// Returns the location of a PUT. The subscription must offer a region, which cannot change.
///
/// # Errors
/// 400 without a region or for an unavailable one, 409 for a change.
pub(super) fn of_put(
    declared: &ResourceType,
    state: &CloudState,
    call: &Call<'_>,
    existing: Option<&Resource>,
    given: &Value,
) -> Result<String, ArmError> {
    match declared.location {
        Location::None => return Ok(String::new()),
        Location::Global => return Ok("global".to_owned()),
        Location::Region => {}
    }
    let wanted = given["location"].as_str().unwrap_or_default().replace(' ', "").to_ascii_lowercase();
    if wanted.is_empty() {
        let why = "The location property is required for this definition.";
        return Err(ArmError::gateway(400, "LocationRequired", why));
    }
    if !state.locations.contains(&wanted) {
        let why = format!(
            "The provided location '{wanted}' is not available for resource type '{}'. List of available regions for the \
             resource type is '{}'.",
            declared.kind,
            state.locations.join(",")
        );
        return Err(ArmError::gateway(400, "LocationNotAvailableForResourceType", why));
    }
    let Some(existing) = existing.filter(|existing| existing.location != wanted) else { return Ok(wanted) };
    let why = format!(
        "The resource '{}' already exists in location '{}' in resource group '{}'. A resource with the same name cannot \
         be created in location '{wanted}'. Please select a new resource name.",
        existing.name(),
        existing.location,
        call.param("group")
    );
    Err(ArmError::gateway(409, "InvalidResourceLocation", why))
}
