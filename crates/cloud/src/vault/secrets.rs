//! Secrets of a vault.
//! <https://learn.microsoft.com/rest/api/keyvault/secrets/>

use super::{Vault, absent};
use crate::{ApiError, Secret, SendStatus, error::from_sdk};
use azure_security_keyvault_secrets::models::{SetSecretParameters, UpdateSecretPropertiesParameters};
use std::collections::BTreeMap;

/// A secret as the vault stores it.
#[derive(Clone)]
pub struct StoredSecret {
    /// Its value.
    pub value: Secret<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

impl Vault {
    /// Returns the newest version of a secret; `None` if none has this name.
    pub async fn secret(&self, name: &str) -> Result<Option<StoredSecret>, ApiError> {
        let path = format!("/secrets/{name}");
        let failed = |error| from_sdk(error, "GET", &path);
        let response = match self.secrets.get_secret(name, None).await {
            Ok(response) => response,
            Err(error) => return absent(failed(error)),
        };
        let read = response.into_model().map_err(failed)?;
        Ok(Some(StoredSecret {
            value: Secret::new(read.value.unwrap_or_default()),
            tags: read.tags.unwrap_or_default().into_iter().collect(),
        }))
    }

    /// Sets a secret, which creates a new version.
    ///
    /// # Errors
    /// 409 `ObjectIsDeletedButRecoverable` if a deleted secret has the name.
    pub async fn set_secret(
        &self,
        name: &str,
        value: &Secret<String>,
        content_type: &str,
        tags: &BTreeMap<String, String>,
    ) -> Result<(), ApiError> {
        let path = format!("/secrets/{name}");
        let failed = |error| from_sdk(error, "PUT", &path);
        let body = SetSecretParameters {
            value: Some(value.expose().clone()),
            content_type: Some(content_type.to_owned()),
            tags: Some(tags.clone().into_iter().collect()),
            ..SetSecretParameters::default()
        };
        let body = body.try_into().map_err(|error| failed(error).with_sent(SendStatus::Never))?;
        self.secrets.set_secret(name, body, None).await.map(drop).map_err(failed)
    }

    /// Replaces the tags of the newest version of a secret.
    pub async fn set_secret_tags(&self, name: &str, tags: &BTreeMap<String, String>) -> Result<(), ApiError> {
        let path = format!("/secrets/{name}");
        let failed = |error| from_sdk(error, "PATCH", &path);
        let body = UpdateSecretPropertiesParameters {
            tags: Some(tags.clone().into_iter().collect()),
            ..UpdateSecretPropertiesParameters::default()
        };
        let body = body.try_into().map_err(|error| failed(error).with_sent(SendStatus::Never))?;
        self.secrets.update_secret_properties(name, body, None).await.map(drop).map_err(failed)
    }

    /// Deletes a secret; returns whether there was one.
    pub async fn delete_secret(&self, name: &str) -> Result<bool, ApiError> {
        let path = format!("/secrets/{name}");
        match self.secrets.delete_secret(name, None).await {
            Ok(_) => Ok(true),
            Err(error) => absent(from_sdk(error, "DELETE", &path)).map(|none: Option<()>| none.is_some()),
        }
    }

    /// Starts the recovery of a deleted secret, which ends when [`secret`](Self::secret) finds it.
    pub async fn recover_secret(&self, name: &str) -> Result<(), ApiError> {
        let path = format!("/deletedsecrets/{name}/recover");
        let response = self.secrets.recover_deleted_secret(name, None).await;
        response.map(drop).map_err(|error| from_sdk(error, "POST", &path))
    }
}
