//! Resource providers and preview features of a subscription.

use super::{SubscriptionClient, WriteResult};
use crate::error::ApiError;
use serde_json::Value;

/// The api-version of resource providers.
pub const API: &str = "2024-11-01";
/// The api-version of preview features.
pub const FEATURES_API: &str = "2021-07-01";

/// The state of a provider's or a feature's registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registration {
    /// Usable.
    Registered,
    /// In progress, with the service's state: `Registering`, `Pending`.
    InProgress(String),
    /// Not requested, or removed.
    Absent,
}

impl Registration {
    fn parse(word: &str) -> Self {
        match word {
            "Registered" => Self::Registered,
            "Registering" | "Pending" => Self::InProgress(word.to_owned()),
            _ => Self::Absent,
        }
    }
}

impl SubscriptionClient {
    /// Lists every provider with its registration, in one request.
    ///
    /// # Errors
    /// Returns the error of the request.
    pub async fn providers(&self) -> Result<Vec<(String, Registration)>, ApiError> {
        let listed = self.arm().list(&self.path("/providers"), API, &[]).await?;
        let provider = |body: &Value| {
            let state = body["registrationState"].as_str().unwrap_or_default();
            Some((body["namespace"].as_str()?.to_owned(), Registration::parse(state)))
        };
        Ok(listed.iter().filter_map(provider).collect())
    }

    /// Requests a provider's registration. It propagates within minutes.
    ///
    /// # Errors
    /// 403 without the right to register.
    pub async fn register_provider(&self, namespace: &str) -> Result<WriteResult, ApiError> {
        self.arm().post(&self.path(&format!("/providers/{namespace}/register")), API, None).await
    }

    /// Reads a preview feature's registration. `None` if the service does not know the flag: either it never
    /// existed, or its feature is generally available.
    ///
    /// # Errors
    /// Returns the error of the request.
    pub async fn feature(&self, namespace: &str, name: &str) -> Result<Option<Registration>, ApiError> {
        let response = self.arm().get(&self.feature_path(namespace, name), FEATURES_API).await?;
        Ok(response.map(|f| Registration::parse(f["properties"]["state"].as_str().unwrap_or_default())))
    }

    /// Requests a preview feature.
    ///
    /// # Errors
    /// 404 if the service does not know the flag.
    pub async fn register_feature(&self, namespace: &str, name: &str) -> Result<WriteResult, ApiError> {
        let path = format!("{}/register", self.feature_path(namespace, name));
        self.arm().post(&path, FEATURES_API, None).await
    }

    fn feature_path(&self, namespace: &str, name: &str) -> String {
        self.path(&format!("/providers/Microsoft.Features/providers/{namespace}/features/{name}"))
    }
}
