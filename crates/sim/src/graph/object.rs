//! Principals in the format of Graph.

use serde_json::{Value, json};

use crate::entra::{Principal, PrincipalKind};

/// Returns the body of a user or a service principal.
pub(super) fn body(principal: &Principal, tenant: &str) -> Value {
    match principal.kind {
        PrincipalKind::User => json!({
            "businessPhones": [],
            "displayName": principal.name,
            "givenName": null,
            "jobTitle": null,
            "mail": null,
            "mobilePhone": null,
            "officeLocation": null,
            "preferredLanguage": null,
            "surname": null,
            "userPrincipalName": principal.sign_in_name,
            "id": principal.object_id,
        }),
        PrincipalKind::ServicePrincipal => {
            let resource = principal.resource_id.as_deref();
            let names = resource.map_or_else(Vec::new, |resource| vec!["isExplicit=True", resource]);
            json!({
                "id": principal.object_id,
                "deletedDateTime": null,
                "accountEnabled": true,
                "alternativeNames": names,
                "appDisplayName": resource.is_none().then_some(&principal.name),
                "appId": principal.client_id,
                "appOwnerOrganizationId": resource.is_none().then_some(tenant),
                "appRoleAssignmentRequired": false,
                "displayName": principal.name,
                "servicePrincipalNames": [principal.client_id],
                "servicePrincipalType": if resource.is_some() { "ManagedIdentity" } else { "Application" },
                "tags": [],
            })
        }
    }
}

/// Adds the `@odata.type`, as in lists of mixed types.
pub(super) fn typed(principal: &Principal, mut body: Value) -> Value {
    body["@odata.type"] = json!(match principal.kind {
        PrincipalKind::User => "#microsoft.graph.user",
        PrincipalKind::ServicePrincipal => "#microsoft.graph.servicePrincipal",
    });
    body
}
