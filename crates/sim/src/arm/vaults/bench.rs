//! A world to ask questions of: requests in, replies out, time by hand.

use http::Method;
use serde_json::{Value, json};

use crate::arm;
use crate::clock::{Moment, Speed, Timing};
use crate::entra;
use crate::options::Options;
use crate::request::{Reply, Request};
use crate::vault;
use crate::world::World;

/// The api-version that the tests use unless they are about it.
const KEY_VAULT: &str = "2026-02-01";

/// One world, one clock.
pub(crate) struct Bench {
    pub(crate) world: World,
    pub(crate) now: Moment,
    pub(crate) timing: Timing,
    requests: u64,
}

impl Bench {
    /// A world of 23 November 2026 with the group `rg` in `eastus` and every provider registered.
    pub(crate) fn new() -> Self {
        let now = Moment(1_795_421_700_000);
        let options = Options { unregistered: Vec::new(), ..Options::default() };
        let mut world = World::new(&options, 7, now);
        world.port = 20_443;
        world.add_group("rg", "eastus", &json!({}), None, now);
        Self { world, now, timing: Timing::new(Speed::Times(60.0)), requests: 0 }
    }

    /// Lets cloud time pass.
    pub(crate) fn wait(&mut self, cloud_seconds: f64) {
        self.now = self.timing.after(self.now, cloud_seconds);
        self.world.settle(self.now, &self.timing);
    }

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
        let target = format!("/subscriptions/{}{path}", self.world.subscription);
        let token = entra::token_for(&self.world, &self.owner(), &self.world.arm_audience(), self.now);
        let mut request = Request::new(method, "management.landfall.localhost", &target)
            .with_header("authorization", &format!("Bearer {token}"));
        for (name, value) in headers {
            request = request.with_header(name, value);
        }
        if let Some(body) = body {
            request = request.with_json(body);
        }
        self.requests += 1;
        request.number = self.requests;
        self.world.settle(self.now, &self.timing);
        arm::serve(&mut self.world, &request, self.now, &self.timing)
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
        let mut request = Request::new(method, &format!("{vault}.vault.landfall.localhost"), target);
        if let Some(token) = token {
            request = request.with_header("authorization", &format!("Bearer {token}"));
        }
        if let Some(body) = body {
            request = request.with_json(body);
        }
        self.world.settle(self.now, &self.timing);
        vault::serve(&mut self.world, vault, &request, self.now, &self.timing)
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
        self.wait(15.0);
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
        self.wait(61.0);
    }
}

/// The code of an error, in whichever shape.
pub(crate) fn code(reply: &Reply) -> String {
    let body = reply.value();
    body["error"]["code"].as_str().or(body["code"].as_str()).unwrap_or_default().to_owned()
}
