//! Fixtures for the tests of vaults and clusters.

use http::Method;
use serde_json::{Value, json};

use crate::entra;
use crate::request::{Reply, Request};
use crate::state::DOMAIN;
use crate::test_cloud::TestCloud;

/// The api-version in tests that do not select one.
const KEY_VAULT: &str = "2026-02-01";

impl TestCloud {
    fn owner(&self) -> String {
        self.state.directory.owner().object_id.clone()
    }

    /// Sends a request to Resource Manager as the owner; `path` is below the subscription and includes its
    /// api-version.
    pub(crate) fn arm(&mut self, method: Method, path: &str, body: Option<&Value>) -> Reply {
        self.arm_with(method, path, body, &[])
    }

    /// Like `arm`, with additional headers.
    pub(crate) fn arm_with(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&'static str, &str)],
    ) -> Reply {
        let mut request = self.request(method, &self.path(path));
        for (name, value) in headers {
            request = request.with_header(name, value);
        }
        if let Some(body) = body {
            request = request.with_json(body);
        }
        self.send(&request)
    }

    /// Sends a request to a vault as the owner.
    pub(crate) fn vault(&mut self, vault: &str, method: Method, target: &str, body: Option<&Value>) -> Reply {
        let token = entra::token_for(&self.state, &self.owner(), &self.state.vault_audience(), self.now);
        self.vault_with(vault, method, target, body, Some(&token))
    }

    /// Sends a request to a vault with that token, or none.
    pub(crate) fn vault_with(
        &mut self,
        vault: &str,
        method: Method,
        target: &str,
        body: Option<&Value>,
        token: Option<&str>,
    ) -> Reply {
        let mut request = Request::new(method, &format!("{vault}.vault.{DOMAIN}"), target);
        if let Some(token) = token {
            request = request.with_header("authorization", &format!("Bearer {token}"));
        }
        if let Some(body) = body {
            request = request.with_json(body);
        }
        self.send(&request)
    }

    /// Returns the body of a vault with RBAC authorization.
    pub(crate) fn vault_body(&self) -> Value {
        json!({
            "location": "eastus",
            "tags": {"Environment": "Demo"},
            "properties": {
                "tenantId": self.state.directory.tenant,
                "sku": {"family": "A", "name": "standard"},
                "accessPolicies": [],
                "enableRbacAuthorization": true,
            },
        })
    }

    /// Returns the path of a vault in `rg`.
    pub(crate) fn vault_path(name: &str) -> String {
        format!("/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/{name}?api-version={KEY_VAULT}")
    }

    /// Creates a vault and waits until it exists.
    pub(crate) fn make_vault(&mut self, name: &str) {
        let body = self.vault_body();
        let created = self.arm(Method::PUT, &Self::vault_path(name), Some(&body));
        assert_eq!(created.status, 200, "{created:?}");
        self.advance(15.0);
    }

    /// Assigns a built-in role and waits until it is effective.
    pub(crate) fn grant(&mut self, scope: &str, role: &str, principal: &str) {
        let path =
            format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{}?api-version=2022-04-01", {
                self.state.uuid("test-assignment")
            });
        let body = json!({"properties": {
            "roleDefinitionId": format!("/providers/Microsoft.Authorization/roleDefinitions/{role}"),
            "principalId": principal,
            "principalType": "ServicePrincipal",
        }});
        let created = self.arm(Method::PUT, &path, Some(&body));
        assert_eq!(created.status, 201, "{created:?}");
    }

    /// Assigns the certificates officer role to the owner in a vault of `rg`, effective at once.
    pub(crate) fn make_officer(&mut self, vault: &str) {
        let owner = self.owner();
        let scope = format!("/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/{vault}");
        self.grant(&scope, "a4417e6f-fecd-4de8-b567-7b0420556985", &owner);
        self.advance(61.0);
    }
}
