//! User-assigned managed identities and their federated credentials.
//! <https://learn.microsoft.com/rest/api/managedidentity/federated-identity-credentials>

use super::SubscriptionClient;
use crate::error::ApiError;
use serde_json::{Value, json};

/// The api-version of identities and credentials.
pub const API: &str = "2024-11-30";
/// The type of identities.
pub const KIND: &str = "Microsoft.ManagedIdentity/userAssignedIdentities";
/// The audience of a token that is exchanged for one of an identity.
pub const AUDIENCE: &str = "api://AzureADTokenExchange";

/// A federated credential: the token for which the identity is granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FederatedCredential {
    /// Its resource id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The issuer of the token, compared letter by letter.
    pub issuer: String,
    /// The subject of the token, `system:serviceaccount:<namespace>:<name>` for a pod.
    pub subject: String,
    /// The only audience of the token.
    pub audience: String,
}

impl FederatedCredential {
    fn from_body(body: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let properties = &body["properties"];
        Some(Self {
            id: body["id"].as_str()?.to_owned(),
            name: text(&body["name"]),
            issuer: text(&properties["issuer"]),
            subject: text(&properties["subject"]),
            audience: text(&properties["audiences"][0]),
        })
    }

    /// Returns whether a token with these claims is exchanged.
    #[must_use]
    pub fn trusts(&self, issuer: &str, subject: &str) -> bool {
        self.issuer == issuer && self.subject == subject && self.audience == AUDIENCE
    }
}

impl SubscriptionClient {
    /// Returns the id of a user-assigned identity.
    #[must_use]
    pub fn identity_id(&self, group: &str, name: &str) -> String {
        self.resource(group, KIND, name)
    }

    /// Lists the federated credentials of an identity.
    ///
    /// # Errors
    /// `NotFound` without the identity; else the error of the request.
    pub async fn federated_credentials(&self, identity: &str) -> Result<Vec<FederatedCredential>, ApiError> {
        let listed = self.arm().list(&format!("{identity}/federatedIdentityCredentials"), API, &[]).await?;
        Ok(listed.iter().filter_map(FederatedCredential::from_body).collect())
    }
}

/// Returns the body of a credential that trusts the tokens of a service account.
#[must_use]
pub fn credential_body(issuer: &str, subject: &str) -> Value {
    json!({ "properties": { "issuer": issuer, "subject": subject, "audiences": [AUDIENCE] } })
}
