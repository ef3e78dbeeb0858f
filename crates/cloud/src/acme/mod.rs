//! The client of an ACME server (RFC 8555), its renewal information (RFC 9773), and the look-ups of DNS validation.
//!
//! `instant-acme` signs the requests and parses orders. This module adds what it lacks:
//!
//! * a registration with a key that is already stored, with contact and external account binding (`account`, `jws`);
//! * `Retry-After` of every answer, and problems from answers that are no JSON (`transport`, `error`);
//! * the metadata of the directory (`directory`), and renewal information (`renewal`).
//!
//! Nothing here waits: the caller polls, because only it knows the bound.

mod account;
mod directory;
mod error;
mod jws;
mod name_servers;
mod order;
mod renewal;
mod signing_request;
mod transport;

pub use account::{Account, AccountKey, ExternalAccount, Registration};
pub use directory::{Directory, Server};
pub use name_servers::{LookupError, NameServers};
pub use order::{Authorization, Order, OrderStatus};
pub use renewal::{RenewalWindow, certificate_id};
pub use signing_request::{LocalKey, SigningRequest};

use crate::{ApiError, Clock, Endpoints, RequestCounter, Roots, http_client::HttpClient, resolve};
use url::Url;

/// The size limit of an answer, in decoded bytes. A chain has some kilobytes.
const RESPONSE_BYTES_MAX: usize = 1024 * 1024;

/// The ACME servers that a cloud knows, and the DNS in which they validate.
#[derive(Clone)]
pub struct Acme {
    endpoints: Endpoints,
    request_counter: RequestCounter,
}

impl Acme {
    /// Returns the servers of `endpoints`.
    #[must_use]
    pub fn new(endpoints: &Endpoints, request_counter: &RequestCounter) -> Self {
        Self { endpoints: endpoints.clone(), request_counter: request_counter.clone() }
    }

    /// Returns the directory of the default server.
    #[must_use]
    pub fn production(&self) -> &Url {
        &self.endpoints.acme_directory
    }

    /// Returns the directory of the server for trial orders.
    #[must_use]
    pub fn staging(&self) -> &Url {
        &self.endpoints.acme_staging
    }

    /// Returns the authorities to which the certificates of the default server lead.
    #[must_use]
    pub fn certificate_roots(&self) -> &Roots {
        &self.endpoints.acme_roots
    }

    /// Returns the clock of the cloud.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.endpoints.clock
    }

    /// Returns the client of the name servers.
    #[must_use]
    pub fn name_servers(&self) -> NameServers {
        NameServers::new(&self.endpoints)
    }

    /// Reads the directory of a server. `root` is a PEM with the only authorities that may vouch for the server itself.
    ///
    /// # Errors
    /// Returns the error of the request, and `NotADirectory` if the answer is no ACME directory.
    pub async fn open(&self, directory: &Url, root: Option<&str>) -> Result<Server, ApiError> {
        let mut endpoints = self.endpoints.clone();
        if let Some(root) = root {
            endpoints.roots = Roots::Only(vec![root.to_owned()]);
        }
        let is_local = resolve::is_loopback_host(directory);
        let client = HttpClient::for_server(&endpoints, is_local, &self.request_counter)?
            .with_response_limit(RESPONSE_BYTES_MAX);
        Server::open(client, directory, &self.endpoints.clock).await
    }
}
