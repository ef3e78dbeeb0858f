//! Access to the token endpoint and to the vaults for the Secrets Store provider on a node: with claims and client
//! ids instead of tokens.

use x509_parser::parse_x509_certificate;

use super::access::{self, DataOperation};
use super::certificate_store;
use super::error::VaultError;
use super::firewall::{self, ClientLocation};
use crate::aks::{TokenExchange, TokenExchangeError, VaultObject, VaultReadError, VaultReader};
use crate::arm::{identities, roles};
use crate::clock::SimTime;
use crate::entra::{Assertion, Caller, federation};
use crate::state::CloudState;

/// The vaults, roles and directory of the simulated cloud.
pub(crate) struct NodeVaultReader<'a>(pub(crate) &'a CloudState);

impl VaultReader for NodeVaultReader<'_> {
    fn exchange(&self, at: SimTime, wanted: TokenExchange<'_>) -> Result<(), TokenExchangeError> {
        let TokenExchange { tenant, client_id, issuer, subject, audience } = wanted;
        let presented = Assertion { issuer, subject, audience };
        federation::exchange(self.0, tenant, client_id, presented, at).map_err(|(status, body)| {
            let url = format!("{}/{tenant}/oauth2/v2.0/token", self.0.origin("login"));
            TokenExchangeError { url, status, body: body.to_string() }
        })
    }

    fn quiet_until(&self) -> Option<SimTime> {
        self.0.quiet_until
    }

    fn read(
        &self,
        at: SimTime,
        vault: &str,
        client_id: &str,
        object_type: &str,
        name: &str,
        version: Option<&str>,
    ) -> Result<VaultObject, VaultReadError> {
        let state = self.0;
        let unknown =
            |code: &str, status: u16, body: String| VaultReadError { status, code: code.to_owned(), body };
        let vault = state
            .vaults
            .reachable(&vault.to_ascii_lowercase(), at)
            .ok_or_else(|| unknown("", 0, format!("lookup {}: no such host", state.vault_uri(vault))))?;
        let principal = state.directory.by_client_id(client_id).ok_or_else(|| {
            unknown(
                "invalid_request",
                400,
                r#"{"error":"invalid_request","error_description":"Identity not found"}"#.to_owned(),
            )
        })?;
        let caller = Caller {
            object_id: principal.object_id.clone(),
            tenant: state.directory.tenant.clone(),
            app_id: principal.client_id.clone(),
            is_user: false,
            name: principal.name.clone(),
        };
        let collection = match object_type {
            "secret" => "secrets",
            "key" => "keys",
            _ => "certificates",
        };
        let refused = |error: VaultError| unknown(error.code, error.status, error.body().to_string());
        firewall::decide(vault, &caller, ClientLocation::Node).map_err(refused)?;
        access::decide(state, vault, &caller, DataOperation::Get, collection, Some(name), at)
            .map_err(refused)?;
        let version = version.filter(|version| !version.is_empty());
        certificate_store::read(vault, "", collection, name, version).map_err(refused)?;
        let (_, found) = certificate_store::find(vault, collection, name, version).map_err(refused)?;
        let (content_type, value) = match collection {
            "secrets" => (found.material.content_type.clone(), found.material.secret.clone().into_bytes()),
            "keys" => (String::new(), public_key(found.material.leaf())),
            _ => (String::new(), found.material.leaf().to_vec()),
        };
        Ok(VaultObject { version: found.id.clone(), content_type, value })
    }

    fn grant_due(&self, after: SimTime) -> Option<SimTime> {
        let due = [roles::grant_due(self.0, after), identities::credential_due(self.0, after)];
        due.into_iter().flatten().min()
    }
}

/// Returns the `SubjectPublicKeyInfo` of a certificate in DER.
fn public_key(leaf: &[u8]) -> Vec<u8> {
    parse_x509_certificate(leaf).map(|(_, parsed)| parsed.public_key().raw.to_vec()).unwrap_or_default()
}
