//! The directory of a server and its metadata (RFC 8555 §7.1.1, RFC 9773 §3, draft-aaron-acme-profiles).

use super::{error, transport::AcmeTransport};
use crate::{ApiError, ApiErrorKind, Clock, http_client::HttpClient};
use serde::Deserialize;
use std::collections::BTreeMap;
use url::Url;

/// The directory of a server.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Directory {
    #[serde(deserialize_with = "url")]
    pub(super) new_nonce: Url,
    #[serde(deserialize_with = "url")]
    pub(super) new_account: Url,
    /// The address of renewal information, without an id.
    #[serde(default)]
    pub(super) renewal_info: Option<String>,
    #[serde(default)]
    meta: Meta,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Meta {
    terms_of_service: Option<String>,
    caa_identities: Vec<String>,
    external_account_required: bool,
    profiles: BTreeMap<String, serde_json::Value>,
}

impl Directory {
    /// Returns the address of the terms of service; a registration agrees to them.
    #[must_use]
    pub fn terms_of_service(&self) -> Option<&str> {
        self.meta.terms_of_service.as_deref()
    }

    /// Returns the names under which CAA records allow this authority.
    #[must_use]
    pub fn caa_identities(&self) -> &[String] {
        &self.meta.caa_identities
    }

    /// Returns whether a registration needs an external account binding.
    #[must_use]
    pub fn needs_external_account(&self) -> bool {
        self.meta.external_account_required
    }

    /// Returns the names of the profiles; empty if the server has none.
    #[must_use]
    pub fn profiles(&self) -> Vec<&str> {
        self.meta.profiles.keys().map(String::as_str).collect()
    }

    /// Returns whether the server suggests renewal times.
    #[must_use]
    pub fn has_renewal_info(&self) -> bool {
        self.renewal_info.is_some()
    }
}

fn url<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Url, D::Error> {
    Url::parse(&String::deserialize(from)?).map_err(serde::de::Error::custom)
}

/// An ACME server with its directory.
#[derive(Clone)]
pub struct Server {
    pub(super) transport: AcmeTransport,
    pub(super) url: Url,
    directory: Directory,
}

impl Server {
    pub(super) async fn open(client: HttpClient, url: &Url, clock: &Clock) -> Result<Self, ApiError> {
        let transport = AcmeTransport::new(client, clock);
        let (status, body) = transport.get(url).await?;
        if status >= 400 {
            return Err(error::unusable(&transport.last()));
        }
        let directory = serde_json::from_slice(&body).map_err(|error| {
            ApiError::new(ApiErrorKind::Protocol, format!("{url} is not the directory of an ACME server"))
                .with_code("NotADirectory")
                .with_request("GET", url.path())
                .with_remedy("set certificate.acme.directory to the address of the directory itself")
                .with_source(error)
        })?;
        Ok(Self { transport, url: url.clone(), directory })
    }

    /// Returns the directory.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Returns the address of the directory.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }
}
