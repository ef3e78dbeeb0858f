//! The account: its key, its registration, and the orders that it places (RFC 8555 §7.3, §7.4).

use super::{Order, Server, error, jws::Signer, order};
use crate::{ApiError, Secret, header_text::HeaderText};
use azure_core::http::{
    Method, Request,
    headers::{HeaderName, Headers},
};
use instant_acme::{Identifier, Key, NewOrder};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde_json::json;
use url::Url;

/// The attempts of a registration that the server refuses for its nonce.
const NONCE_TRIES_MAX: u32 = 6;

const NONCE: HeaderName = HeaderName::from_static("replay-nonce");
const LOCATION: HeaderName = HeaderName::from_static("location");
const CONTENT_TYPE: HeaderName = HeaderName::from_static("content-type");

/// The private key of an account, PKCS#8 in DER: ECDSA P-256.
#[derive(Clone)]
pub struct AccountKey(Secret<Vec<u8>>);

impl AccountKey {
    /// Generates a key.
    ///
    /// # Errors
    /// Fails if the system has no randomness.
    pub fn generate() -> Result<Self, ApiError> {
        let made = Key::generate_pkcs8().map_err(|_| error::invalid("generate an account key"))?;
        Ok(Self(Secret::new(made.1.secret_pkcs8_der().to_vec())))
    }

    /// Wraps a stored key.
    #[must_use]
    pub fn from_pkcs8(der: Vec<u8>) -> Self {
        Self(Secret::new(der))
    }

    /// Returns the key itself, for the vault.
    #[must_use]
    pub fn pkcs8(&self) -> &[u8] {
        self.0.expose()
    }
}

/// The binding of an account to one that the authority knows (RFC 8555 §7.3.4).
#[derive(Clone)]
pub struct ExternalAccount {
    /// The key id that the authority gave.
    pub kid: String,
    /// The MAC key that the authority gave, decoded.
    pub key: Secret<Vec<u8>>,
}

/// The content of a registration.
#[derive(Clone, Default)]
pub struct Registration {
    /// The address for messages of the authority, without `mailto:`.
    pub email: Option<String>,
    /// The binding, if the authority requires one.
    pub external: Option<ExternalAccount>,
}

/// A registered account.
#[derive(Clone)]
pub struct Account {
    server: Server,
    inner: instant_acme::Account,
}

impl Server {
    /// Registers a key, or finds the account that it has; returns the account's address. A registration agrees to the
    /// terms of service.
    ///
    /// # Errors
    /// Returns the problem of the server.
    pub async fn register(&self, key: &AccountKey, registration: &Registration) -> Result<String, ApiError> {
        let signer = Signer::new(key)?;
        let url = self.directory().new_account.clone();
        let mut payload = json!({ "termsOfServiceAgreed": true });
        if let Some(email) = &registration.email {
            payload["contact"] = json!([format!("mailto:{email}")]);
        }
        let mut nonce = self.nonce().await?;
        for tries in 1.. {
            let body = signer.registration(payload.clone(), registration.external.as_ref(), &nonce, &url)?;
            let mut request = Request::new(url.clone(), Method::Post);
            request.insert_header(CONTENT_TYPE, "application/jose+json");
            request.set_body(body);
            let (status, headers, body) = self
                .transport
                .send(request)
                .await
                .map_err(|error| crate::error::from_sdk(error, "POST", url.path()))?;
            if status < 400 {
                let address = headers.text(&LOCATION).map(str::to_owned);
                return address.ok_or_else(|| error::unusable(&self.transport.last()));
            }
            let body = error::problem_body(status, body);
            let problem =
                serde_json::from_slice(&body).map_err(|_| error::unusable(&self.transport.last()))?;
            let refused = error::from_problem(&problem, &self.transport.last());
            if !refused.is("badNonce") || tries >= NONCE_TRIES_MAX {
                return Err(refused);
            }
            nonce = match new_nonce(&headers) {
                Some(nonce) => nonce,
                None => self.nonce().await?,
            };
        }
        unreachable!("the loop returns")
    }

    async fn nonce(&self) -> Result<String, ApiError> {
        let url = self.directory().new_nonce.clone();
        let request = Request::new(url.clone(), Method::Head);
        let (_, headers, _) = self
            .transport
            .send(request)
            .await
            .map_err(|error| crate::error::from_sdk(error, "HEAD", url.path()))?;
        new_nonce(&headers).ok_or_else(|| error::unusable(&self.transport.last()))
    }

    /// Opens a registered account.
    ///
    /// # Errors
    /// Returns the error of the request for the directory, or that the key is none.
    pub async fn account(&self, key: &AccountKey, address: &str) -> Result<Account, ApiError> {
        let key = PrivatePkcs8KeyDer::from(key.pkcs8().to_vec());
        let builder = instant_acme::Account::builder_with_http(Box::new(self.transport.clone()));
        let opened = builder.from_parts(address.to_owned(), key, self.url.to_string()).await;
        let inner = opened.map_err(|error| self.transport.error(error))?;
        Ok(Account { server: self.clone(), inner })
    }
}

fn new_nonce(headers: &Headers) -> Option<String> {
    headers.text(&NONCE).map(str::to_owned)
}

impl Account {
    /// Returns the server of the account.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Returns the address of the account.
    #[must_use]
    pub fn address(&self) -> &str {
        self.inner.id()
    }

    /// Places an order. `replaces` is the certificate that the new one replaces (RFC 9773 §5); it is left out if the
    /// server has no renewal information.
    ///
    /// # Errors
    /// Returns the problem of the server.
    pub async fn new_order(
        &self,
        names: &[String],
        profile: Option<&str>,
        replaces: Option<&[u8]>,
    ) -> Result<Order, ApiError> {
        let identifiers: Vec<Identifier> = names.iter().cloned().map(Identifier::Dns).collect();
        let mut order = NewOrder::new(&identifiers);
        if let Some(profile) = profile {
            order = order.profile(profile);
        }
        let leaf = replaces.filter(|_| self.server.directory().has_renewal_info());
        let leaf = leaf.map(|leaf| CertificateDer::from(leaf.to_vec()));
        if let Some(id) =
            leaf.as_ref().and_then(|leaf| instant_acme::CertificateIdentifier::try_from(leaf).ok())
        {
            order = order.replaces(id.into_owned());
        }
        let placed = self.inner.new_order(&order).await;
        let placed = placed.map_err(|error| self.server.transport.error(error))?;
        Ok(order::Order::new(placed, self.server.transport.clone()))
    }

    /// Reads an order.
    ///
    /// # Errors
    /// 404 if the server has forgotten it.
    pub async fn order(&self, url: &Url) -> Result<Order, ApiError> {
        let read = self.inner.order(url.to_string()).await;
        let read = read.map_err(|error| self.server.transport.error(error))?;
        Ok(order::Order::new(read, self.server.transport.clone()))
    }
}
