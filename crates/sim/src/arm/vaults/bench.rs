//! Fixtures for the tests of vaults and clusters.

use http::Method;
use serde_json::{Value, json};

use crate::entra;
use crate::request::{Reply, Request};
use crate::test_cloud::TestCloud;
use crate::world::DOMAIN;

/// The api-version in tests that do not select one.
const KEY_VAULT: &str = "2026-02-01";

impl TestCloud {
    fn owner(&self) -> String {
        self.world.directory.owner().object_id.clone()
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
        let token = entra::token_for(&self.world, &self.owner(), &self.world.vault_audience(), self.now);
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
                "tenantId": self.world.directory.tenant,
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
        let made = self.arm(Method::PUT, &Self::vault_path(name), Some(&body));
        assert_eq!(made.status, 200, "{made:?}");
        self.pass(15.0);
    }

    /// Assigns a built-in role and waits until it is effective.
    pub(crate) fn grant(&mut self, scope: &str, role: &str, principal: &str) {
        let path =
            format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{}?api-version=2022-04-01", {
                self.world.uuid("test-assignment")
            });
        let body = json!({"properties": {
            "roleDefinitionId": format!("/providers/Microsoft.Authorization/roleDefinitions/{role}"),
            "principalId": principal,
            "principalType": "ServicePrincipal",
        }});
        let made = self.arm(Method::PUT, &path, Some(&body));
        assert_eq!(made.status, 201, "{made:?}");
    }

    /// Assigns the certificates officer role to the owner in a vault of `rg`, effective at once.
    pub(crate) fn make_officer(&mut self, vault: &str) {
        let owner = self.owner();
        let scope = format!("/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/{vault}");
        self.grant(&scope, "a4417e6f-fecd-4de8-b567-7b0420556985", &owner);
        self.pass(61.0);
    }
}
