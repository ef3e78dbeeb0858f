//! What the tests of vaults and clusters ask a world for again and again.

use http::Method;
use serde_json::{Value, json};

use crate::entra;
use crate::request::{Reply, Request};
use crate::test_cloud::TestCloud;
use crate::world::DOMAIN;

/// The api-version that the tests use unless they are about it.
const KEY_VAULT: &str = "2026-02-01";

impl TestCloud {
    fn owner(&self) -> String {
        self.world.directory.owner().object_id.clone()
    }

    /// Asks Resource Manager as the owner; `path` is below the subscription and has its api-version.
    pub(crate) fn arm(&mut self, method: Method, path: &str, body: Option<&Value>) -> Reply {
        self.arm_with(method, path, body, &[])
    }

    /// The same with headers.
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

    /// Asks a vault as the owner.
    pub(crate) fn vault(&mut self, vault: &str, method: Method, target: &str, body: Option<&Value>) -> Reply {
        let token = entra::token_for(&self.world, &self.owner(), &self.world.vault_audience(), self.now);
        self.vault_with(vault, method, target, body, Some(&token))
    }

    /// Asks a vault with that token, or none.
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

    /// The body of a vault that asks role assignments.
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

    /// Where a vault of `rg` is.
    pub(crate) fn vault_path(name: &str) -> String {
        format!("/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/{name}?api-version={KEY_VAULT}")
    }

    /// Makes a vault and waits until it is there.
    pub(crate) fn make_vault(&mut self, name: &str) {
        let body = self.vault_body();
        let made = self.arm(Method::PUT, &Self::vault_path(name), Some(&body));
        assert_eq!(made.status, 200, "{made:?}");
        self.pass(15.0);
    }

    /// Gives a built-in role and waits until it counts.
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

    /// Makes the owner an officer of certificates in a vault of `rg`, effective at once.
    pub(crate) fn make_officer(&mut self, vault: &str) {
        let owner = self.owner();
        let scope = format!("/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/{vault}");
        self.grant(&scope, "a4417e6f-fecd-4de8-b567-7b0420556985", &owner);
        self.pass(61.0);
    }
}
