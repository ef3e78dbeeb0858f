//! Foreign resources: created before the first run, and expected unchanged after the last.

use crate::{conditions::Scenario, environment::Environment};
use landfall_cloud::arm::{self, Condition};
use serde_json::{Value, json};
use std::fs;

/// The kubeconfig of a user who works with another cluster, with a comment.
const KUBECONFIG: &str = "\
# the cluster at work; do not touch
apiVersion: v1
kind: Config
current-context: work
clusters:
- name: work
  cluster: {server: https://work.example.org}
contexts:
- name: work
  context: {cluster: work, user: me}   # namespace comes from the shell
users:
- name: me
  user: {token: planted-work-token}
";

/// The foreign resources.
pub struct ForeignResources {
    ids: Vec<(String, &'static str, Value)>,
    kubeconfig: String,
}

impl ForeignResources {
    /// Creates a zone with a record in a group of its own, a network there, and a kubeconfig.
    pub async fn create(env: &Environment) -> Self {
        Self::create_in(env, Scenario { shared_group: false, zone: true, acme: false }).await
    }

    /// Creates the foreign resources that the scenario specifies.
    pub async fn create_in(env: &Environment, scenario: Scenario) -> Self {
        let (azure, names) = (env.clients().azure, "/resourceGroups/rg-platform");
        let zone = format!("{names}/providers/Microsoft.Network/dnszones/{}", crate::settings::DOMAIN);
        let network = format!("{names}/providers/Microsoft.Network/virtualNetworks/vnet-theirs");
        let space = json!({ "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] } });
        let record = json!({ "TTL": 60, "ARecords": [{ "ipv4Address": "203.0.113.9" }] });
        let group = format!("/resourceGroups/{}", crate::settings::GROUP);
        let neighbour = format!("{group}/providers/Microsoft.Network/virtualNetworks/vnet-beside");
        let resources = [
            (
                scenario.shared_group,
                group,
                arm::group::API,
                json!({ "location": "eastus", "tags": { "Team": "web" } }),
            ),
            (
                scenario.shared_group,
                neighbour,
                arm::network::API,
                json!({ "location": "eastus", "properties": space }),
            ),
            (
                true,
                names.to_owned(),
                arm::group::API,
                json!({ "location": "eastus", "tags": { "Team": "platform" } }),
            ),
            (scenario.zone, zone.clone(), arm::dns::API, json!({ "location": "global" })),
            (scenario.zone, format!("{zone}/A/www"), arm::dns::API, json!({ "properties": record })),
            (true, network, arm::network::API, json!({ "location": "eastus", "properties": space })),
        ];
        let mut ids = Vec::new();
        for (_, rest, api, body) in resources.into_iter().filter(|(wanted, ..)| *wanted) {
            let id = azure.path(&rest);
            azure.arm().put(&id, api, &body, Condition::None).await.unwrap();
            let there = loop {
                let there = azure.arm().get(&id, api).await.unwrap().unwrap();
                if matches!(arm::State::of(&there), arm::State::Succeeded) {
                    break there;
                }
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            };
            ids.push((id, api, there));
        }
        fs::write(&env.settings.kubeconfig, KUBECONFIG).unwrap();
        Self { ids, kubeconfig: KUBECONFIG.to_owned() }
    }

    /// Returns the changed foreign resources; `own_context_expected` if our own context must still be in their
    /// kubeconfig.
    pub async fn changed(&self, env: &Environment, own_context_expected: bool) -> Vec<String> {
        let azure = env.clients().azure;
        let mut changed = Vec::new();
        for (id, api, was) in &self.ids {
            let is = azure.arm().get(id, api).await.unwrap();
            // A zone counts its records, including the owned ones.
            let pure = |mut value: Value| {
                value["properties"]["numberOfRecordSets"] = Value::Null;
                value
            };
            if is.clone().map(pure) != Some(pure(was.clone())) {
                changed.push(format!("{id}\n  was {was}\n  is  {}", is.unwrap_or_default()));
            }
        }
        let is = fs::read_to_string(&env.settings.kubeconfig).unwrap_or_default();
        let whole = if own_context_expected {
            is.contains("planted-work-token") && is.contains("# the cluster at work")
        } else {
            is == self.kubeconfig
        };
        if !whole {
            changed.push(format!("the kubeconfig:\n{is}"));
        }
        changed
    }
}
