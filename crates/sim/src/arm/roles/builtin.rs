//! The built-in roles, with the published actions of each (RBAC built-in roles).

use serde_json::{Value, json};

use super::store::Right;

/// The role Owner.
pub const OWNER: &str = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635";

/// The role Contributor.
pub const CONTRIBUTOR: &str = "b24988ac-6180-42a0-ab88-20f7382dd24c";

/// A built-in role.
#[derive(Debug)]
pub struct Role {
    /// The GUID, the same in every tenant.
    pub id: &'static str,
    /// The name.
    pub name: &'static str,
    /// The description.
    pub description: &'static str,
    /// The allowed actions of the control plane.
    pub actions: &'static [&'static str],
    /// The excluded actions of the control plane.
    pub not_actions: &'static [&'static str],
    /// The allowed actions of the data plane.
    pub data_actions: &'static [&'static str],
}

impl Role {
    /// Returns whether the role grants that right.
    pub fn gives(&self, right: Right<'_>) -> bool {
        let any = |patterns: &[&str], action: &str| patterns.iter().any(|pattern| matches(pattern, action));
        match right {
            Right::Action(action) => any(self.actions, action) && !any(self.not_actions, action),
            Right::Data(action) => any(self.data_actions, action),
        }
    }

    /// Returns the body of the definition at the scope of a subscription.
    pub fn body(&self, subscription: &str) -> Value {
        json!({
            "properties": {
                "roleName": self.name,
                "type": "BuiltInRole",
                "description": self.description,
                "assignableScopes": ["/"],
                "permissions": [{
                    "actions": self.actions,
                    "notActions": self.not_actions,
                    "dataActions": self.data_actions,
                    "notDataActions": [],
                }],
                "createdOn": "2016-02-02T21:55:09.000Z",
                "updatedOn": "2024-01-02T16:00:00.000Z",
                "createdBy": null,
                "updatedBy": null,
            },
            "id": definition_id(subscription, self.id),
            "type": "Microsoft.Authorization/roleDefinitions",
            "name": self.id,
        })
    }
}

/// Returns the id of a definition at the scope of a subscription.
pub fn definition_id(subscription: &str, role: &str) -> String {
    format!("/subscriptions/{subscription}/providers/Microsoft.Authorization/roleDefinitions/{role}")
}

/// Returns the built-in role with that GUID.
pub fn by_id(id: &str) -> Option<&'static Role> {
    BUILTIN.iter().find(|role| role.id.eq_ignore_ascii_case(id))
}

/// Returns whether an action matches a pattern in which `*` stands for any text.
fn matches(pattern: &str, action: &str) -> bool {
    let (pattern, action) = (pattern.to_ascii_lowercase(), action.to_ascii_lowercase());
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = action.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

const CLUSTER_READS: &[&str] = &[
    "Microsoft.Authorization/*/read",
    "Microsoft.Resources/subscriptions/resourceGroups/read",
    "Microsoft.Resources/deployments/*",
    "Microsoft.ContainerService/managedClusters/listClusterUserCredential/action",
];
/// The data actions on blobs below their containers.
const BLOB_READ: &str = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read";
const VAULT_READS: &[&str] = &[
    "Microsoft.Authorization/*/read",
    "Microsoft.Resources/subscriptions/resourceGroups/read",
    "Microsoft.KeyVault/checkNameAvailability/read",
    "Microsoft.KeyVault/deletedVaults/read",
    "Microsoft.KeyVault/locations/*/read",
    "Microsoft.KeyVault/vaults/*/read",
    "Microsoft.KeyVault/operations/read",
];

macro_rules! role {
    ($id:expr, $name:expr, $description:expr, $actions:expr, $not:expr, $data:expr) => {
        Role {
            id: $id,
            name: $name,
            description: $description,
            actions: $actions,
            not_actions: $not,
            data_actions: $data,
        }
    };
}

/// The built-in roles that landfall's deployments use, and the general ones.
pub const BUILTIN: &[Role] = &[
    role!(
        OWNER,
        "Owner",
        "Grants full access to manage all resources, including the ability to assign roles in Azure RBAC.",
        &["*"],
        &[],
        &[]
    ),
    role!(
        CONTRIBUTOR,
        "Contributor",
        "Grants full access to manage all resources, but does not allow you to assign roles in Azure RBAC.",
        &["*"],
        &[
            "Microsoft.Authorization/*/Delete",
            "Microsoft.Authorization/*/Write",
            "Microsoft.Authorization/elevateAccess/Action"
        ],
        &[]
    ),
    role!(
        "acdd72a7-3385-48ef-bd42-f606fba81ae7",
        "Reader",
        "View all resources, but does not allow you to make any changes.",
        &["*/read"],
        &[],
        &[]
    ),
    role!(
        "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
        "User Access Administrator",
        "Lets you manage user access to Azure resources.",
        &["*/read", "Microsoft.Authorization/*"],
        &[],
        &[]
    ),
    role!(
        "f58310d9-a9f6-439a-9e8d-f62e7b41a168",
        "Role Based Access Control Administrator",
        "Manage access to Azure resources by assigning roles using Azure RBAC.",
        &[
            "Microsoft.Authorization/roleAssignments/write",
            "Microsoft.Authorization/roleAssignments/delete",
            "*/read"
        ],
        &[],
        &[]
    ),
    role!(
        "00482a5a-887f-4fb3-b363-3b7fe8e74483",
        "Key Vault Administrator",
        "Perform all data plane operations on a key vault and all objects in it.",
        VAULT_READS,
        &[],
        &["Microsoft.KeyVault/vaults/*"]
    ),
    role!(
        "21090545-7ca7-4776-b22c-e363652d74d2",
        "Key Vault Reader",
        "Read metadata of key vaults and its certificates, keys, and secrets.",
        VAULT_READS,
        &[],
        &["Microsoft.KeyVault/vaults/*/read", "Microsoft.KeyVault/vaults/secrets/readMetadata/action"]
    ),
    role!(
        "a4417e6f-fecd-4de8-b567-7b0420556985",
        "Key Vault Certificates Officer",
        "Perform any action on the certificates of a key vault, except manage permissions.",
        VAULT_READS,
        &[],
        &[
            "Microsoft.KeyVault/vaults/certificatecas/*",
            "Microsoft.KeyVault/vaults/certificates/*",
            "Microsoft.KeyVault/vaults/certificatecontacts/write"
        ]
    ),
    role!(
        "db79e9a7-68ee-4b58-9aeb-b90e7c24fcba",
        "Key Vault Certificate User",
        "Read certificate contents including secret and key portion.",
        &[],
        &[],
        &[
            "Microsoft.KeyVault/vaults/certificates/read",
            "Microsoft.KeyVault/vaults/secrets/getSecret/action",
            "Microsoft.KeyVault/vaults/secrets/readMetadata/action",
            "Microsoft.KeyVault/vaults/keys/read"
        ]
    ),
    role!(
        "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
        "Key Vault Secrets Officer",
        "Perform any action on the secrets of a key vault, except manage permissions.",
        VAULT_READS,
        &[],
        &["Microsoft.KeyVault/vaults/secrets/*"]
    ),
    role!(
        "4633458b-17de-408a-b874-0445c86b69e6",
        "Key Vault Secrets User",
        "Read secret contents including secret portion of a certificate with private key.",
        &[],
        &[],
        &[
            "Microsoft.KeyVault/vaults/secrets/getSecret/action",
            "Microsoft.KeyVault/vaults/secrets/readMetadata/action"
        ]
    ),
    role!(
        "a68e7c17-0ab2-4c09-9a58-125dae29748c",
        "Key Vault Purge Operator",
        "Allows permanent deletion of soft-deleted vaults.",
        &[
            "Microsoft.KeyVault/locations/deletedVaults/read",
            "Microsoft.KeyVault/locations/deletedVaults/purge/action",
            "Microsoft.KeyVault/deletedVaults/read"
        ],
        &[],
        &[]
    ),
    role!(
        "8b54135c-b56d-4d72-a534-26097cfdc8d8",
        "Key Vault Data Access Administrator",
        "Manage access to Azure Key Vault by adding or removing role assignments for the Key Vault roles.",
        &[
            "Microsoft.Authorization/roleAssignments/write",
            "Microsoft.Authorization/roleAssignments/delete",
            "Microsoft.Authorization/*/read",
            "Microsoft.KeyVault/vaults/*/read"
        ],
        &[],
        &[]
    ),
    role!(
        "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
        "Storage Blob Data Contributor",
        "Allows for read, write and delete access to Azure Storage blob containers and data.",
        &[
            "Microsoft.Storage/storageAccounts/blobServices/containers/delete",
            "Microsoft.Storage/storageAccounts/blobServices/containers/read",
            "Microsoft.Storage/storageAccounts/blobServices/containers/write",
            "Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action"
        ],
        &[],
        &[
            "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/delete",
            BLOB_READ,
            "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write",
            "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/move/action",
            "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/add/action"
        ]
    ),
    role!(
        "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
        "Storage Blob Data Reader",
        "Allows for read access to Azure Storage blob containers and data.",
        &[
            "Microsoft.Storage/storageAccounts/blobServices/containers/read",
            "Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action"
        ],
        &[],
        &[BLOB_READ]
    ),
    role!(
        "4d97b98b-1d4f-4787-a291-c67834d212e7",
        "Network Contributor",
        "Lets you manage networks, but not access to them.",
        &[
            "Microsoft.Authorization/*/read",
            "Microsoft.Network/*",
            "Microsoft.Resources/deployments/*",
            "Microsoft.Resources/subscriptions/resourceGroups/read"
        ],
        &[],
        &[]
    ),
    role!(
        "f1a07417-d97a-45cb-824c-7a7467783830",
        "Managed Identity Operator",
        "Read and Assign User Assigned Identity.",
        &[
            "Microsoft.ManagedIdentity/userAssignedIdentities/*/read",
            "Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action",
            "Microsoft.Authorization/*/read"
        ],
        &[],
        &[]
    ),
    role!(
        "befefa01-2a29-4197-83a8-272ff33ce314",
        "DNS Zone Contributor",
        "Lets you manage DNS zones and record sets in Azure DNS, but does not let you control who has access to them.",
        &[
            "Microsoft.Authorization/*/read",
            "Microsoft.Network/dnsZones/*",
            "Microsoft.Resources/deployments/*",
            "Microsoft.Resources/subscriptions/resourceGroups/read"
        ],
        &[],
        &[]
    ),
    role!(
        "b1ff04bb-8a4e-4dc4-8eb5-8693973ce19b",
        "Azure Kubernetes Service RBAC Cluster Admin",
        "Lets you manage all resources in the cluster.",
        CLUSTER_READS,
        &[],
        &["Microsoft.ContainerService/managedClusters/*"]
    ),
    role!(
        "7f6c6a51-bcf8-42ba-9220-52d62157d7db",
        "Azure Kubernetes Service RBAC Reader",
        "Allows read-only access to see most objects in a namespace. It does not allow viewing roles or role bindings. \
         This role does not allow viewing Secrets.",
        CLUSTER_READS,
        &[],
        &[
            "Microsoft.ContainerService/managedClusters/apps/*/read",
            "Microsoft.ContainerService/managedClusters/autoscaling/horizontalpodautoscalers/read",
            "Microsoft.ContainerService/managedClusters/configmaps/read",
            "Microsoft.ContainerService/managedClusters/endpoints/read",
            "Microsoft.ContainerService/managedClusters/events/read",
            "Microsoft.ContainerService/managedClusters/namespaces/read",
            "Microsoft.ContainerService/managedClusters/pods/read",
            "Microsoft.ContainerService/managedClusters/policy/poddisruptionbudgets/read",
            "Microsoft.ContainerService/managedClusters/serviceaccounts/read",
            "Microsoft.ContainerService/managedClusters/services/read"
        ]
    ),
    role!(
        "4abbcc35-e782-43d8-92c5-2d3f1bd2253f",
        "Azure Kubernetes Service Cluster User Role",
        "List cluster user credential action.",
        &[
            "Microsoft.ContainerService/managedClusters/listClusterUserCredential/action",
            "Microsoft.ContainerService/managedClusters/read"
        ],
        &[],
        &[]
    ),
    role!(
        "0ab0b1a8-8aac-4efd-b8c2-3ee1fb270be8",
        "Azure Kubernetes Service Cluster Admin Role",
        "List cluster admin credential action.",
        &[
            "Microsoft.ContainerService/managedClusters/listClusterAdminCredential/action",
            "Microsoft.ContainerService/managedClusters/accessProfiles/listCredential/action",
            "Microsoft.ContainerService/managedClusters/read",
            "Microsoft.ContainerService/managedClusters/runcommand/action"
        ],
        &[],
        &[]
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text_and_case_does_not_matter() {
        assert!(matches("*/read", "Microsoft.Network/virtualNetworks/read"));
        assert!(matches("Microsoft.Authorization/*/Write", "microsoft.authorization/roleassignments/write"));
        assert!(!matches("Microsoft.KeyVault/vaults/*", "Microsoft.KeyVault/deletedVaults/read"));
        assert!(!matches("Microsoft.KeyVault/vaults/read", "Microsoft.KeyVault/vaults/read2"));
    }

    #[test]
    fn a_contributor_changes_everything_but_roles_and_reads_no_secret() {
        let contributor = by_id("B24988AC-6180-42a0-ab88-20f7382dd24c").unwrap();
        assert!(contributor.gives(Right::Action("Microsoft.KeyVault/vaults/write")));
        assert!(!contributor.gives(Right::Action("Microsoft.Authorization/roleAssignments/write")));
        assert!(!contributor.gives(Right::Data("Microsoft.KeyVault/vaults/secrets/getSecret/action")));
    }
}
