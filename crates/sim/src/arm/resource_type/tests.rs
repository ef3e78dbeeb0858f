//! Tests of the handlers, with a type of their own.

use serde_json::json;

use super::{ResourceType, Write};
use crate::arm::error::ArmError;
use crate::test_cloud::{TestCloud, code};

/// A type of the tests, in a namespace that no other type has.
pub(crate) const WIDGETS: ResourceType = ResourceType {
    versions: &["2024-01-01"],
    check_name: |name| match name.len() {
        4.. => Ok(()),
        _ => Err(ArmError::new(400, "InvalidName", "too short")),
    },
    properties: |mut given| {
        given.entry("size").or_insert(json!(1));
        Ok(given)
    },
    put: Write::in_background(10.0),
    delete: Write::in_response(1.0),
    ..ResourceType::new("Contoso.Test/widgets")
};

#[test]
fn a_declared_type_has_the_life_of_a_resource() {
    let mut cloud = TestCloud::new();
    let at = cloud.in_group("Contoso.Test/widgets/gear?api-version=2024-01-01");
    assert_eq!(code(&cloud.get(&at)), "ResourceNotFound");
    let body = json!({ "location": "East US", "tags": { "a": "b" } });
    let created = cloud.put(&at, &body);
    assert_eq!((created.status.as_u16(), &created.value()["properties"]["size"]), (201, &json!(1)));
    assert_eq!(created.value()["properties"]["provisioningState"], "Creating");
    cloud.advance(10.0);
    assert_eq!(cloud.get(&at).value()["properties"]["provisioningState"], "Succeeded");
    let updated = cloud.put(&at, &json!({ "location": "eastus", "properties": { "size": 2 } }));
    assert_eq!((updated.status.as_u16(), &updated.value()["tags"]), (200, &json!({})));
    let all = cloud.path("/providers/Contoso.Test/widgets?api-version=2024-01-01");
    assert_eq!(cloud.get(&all).value()["value"][0]["properties"]["size"], 2);
    assert_eq!(cloud.delete(&at).status, 200);
    assert_eq!(cloud.delete(&at).status, 204);
}

#[test]
fn name_region_and_version_are_checked() {
    let mut cloud = TestCloud::new();
    let mut put = |name: &str, version: &str, location: &str| {
        let at = cloud.in_group(&format!("Contoso.Test/widgets/{name}?api-version={version}"));
        code(&cloud.put(&at, &json!({ "location": location })))
    };
    assert_eq!(put("abc", "2024-01-01", "eastus"), "InvalidName");
    assert_eq!(put("gear", "2020-01-01", "eastus"), "NoRegisteredProviderFound");
    assert_eq!(put("gear", "2024-01-01", "moon"), "LocationNotAvailableForResourceType");
    assert_eq!(put("gear", "2024-01-01", "eastus"), "");
    assert_eq!(put("gear", "2024-01-01", "westeurope"), "InvalidResourceLocation");
}

#[test]
fn a_resource_goes_with_its_group_and_its_namespace_can_be_registered() {
    let mut cloud = TestCloud::new();
    let at = cloud.in_group("Contoso.Test/widgets/gear?api-version=2024-01-01");
    cloud.put(&at, &json!({ "location": "eastus" }));
    let group = cloud.path("/resourceGroups/rg?api-version=2024-11-01");
    assert_eq!(cloud.delete(&group).status, 202);
    cloud.advance(60.0);
    assert!(cloud.state.tracked.is_empty());
    let provider = cloud.path("/providers/contoso.test?api-version=2024-11-01");
    let provider = cloud.get(&provider).value();
    assert_eq!(provider["registrationState"], "Registered");
    assert_eq!(provider["resourceTypes"][0]["resourceType"], "widgets");
    assert_eq!(provider["resourceTypes"][0]["apiVersions"], json!(["2024-01-01"]));
}
