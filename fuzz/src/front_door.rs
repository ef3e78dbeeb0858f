//! Fuzz target: any requests to the simulated cloud. No handler and no stream panics, the state can be
//! written and read back, and time can always advance.
//!
//! Each part of an input is a request: `METHOD host target`, headers, body. `{sub}`, `{tenant}` and `{uid}`
//! are placeholders for the subscription, the tenant and the cluster. A request without `authorization` is
//! signed in as the owner. `advance N` advances the clock by N seconds.

use crate::script::{Message, message, parts};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use landfall_sim::{
    Options, Speed,
    clock::{Moment, Timing},
    control, entra,
    ledger::{Ledger, Line},
    request::{Reply, Request},
    world::{DOMAIN, World},
};
use serde_json::{Value, json};
use std::sync::OnceLock;

/// The maximum number of requests per input.
const REQUESTS_MAX: usize = 16;
/// The maximum number of awaited changes after the last request.
const CHANGES_MAX: usize = 64;

/// An initial state with resources, and the token of its cluster.
struct Start {
    world: World,
    now: Moment,
    uid: String,
    token: String,
}

/// A simulated cloud under test.
struct Cloud {
    world: World,
    now: Moment,
    timing: Timing,
    ledger: Ledger,
    machinery: control::Machinery,
    _folder: tempfile::TempDir,
}

impl Cloud {
    fn new(world: World, now: Moment) -> Self {
        let folder = crate::folder();
        let ledger = Ledger::open(&folder.path().join("ledger.jsonl")).expect("the folder is ours");
        let (timing, machinery) = (Timing::new(Speed::Times(1.0)), control::Machinery::alone(String::new()));
        Self { world, now, timing, ledger, machinery, _folder: folder }
    }

    fn pass(&mut self, seconds: f64) {
        self.now = self.timing.after(self.now, seconds);
        self.world.settle(self.now, &self.timing);
    }

    fn send(&mut self, request: Request) -> Reply {
        self.world.settle(self.now, &self.timing);
        if control::is_control(&request) {
            let asked = control::Asked { request: &request, now: self.now, timing: &self.timing };
            return self.machinery.serve(&mut self.world, &self.ledger, &asked);
        }
        let request = Request { number: self.ledger.next_number(), ..request };
        let reply = self.world.handle(&request, self.now, &self.timing);
        self.world.settle(self.now, &self.timing);
        let by = entra::signer(&self.world, &request).unwrap_or_default();
        let line = Line::of(&request, &reply, by, self.now);
        self.ledger.append(line).expect("the folder is ours");
        reply
    }

    fn owners_token(&self, audience: &str) -> String {
        let owner = self.world.directory.owner().object_id.clone();
        format!("Bearer {}", entra::token_for(&self.world, &owner, audience, self.now))
    }

    fn arm(&mut self, method: Method, path: &str, body: &Value) -> Value {
        let target = format!("/subscriptions/{}{path}", self.world.subscription);
        let token = self.owners_token(&self.world.arm_audience());
        let request = Request::new(method, &format!("management.{DOMAIN}"), &target)
            .with_header("authorization", &token)
            .with_json(body);
        let reply = self.send(request);
        assert!(reply.status.is_success(), "{path}: {reply:?}");
        serde_json::from_slice(&reply.body).unwrap_or_default()
    }
}

/// Checks some requests.
pub fn check(data: &[u8]) {
    static START: OnceLock<Start> = OnceLock::new();
    let start = START.get_or_init(begin);
    let mut cloud = Cloud::new(start.world.clone(), start.now);
    let mut streams = Vec::new();
    for part in parts(data).into_iter().take(REQUESTS_MAX) {
        let asked = message(part);
        if let Some(seconds) = asked.first.strip_prefix("advance ") {
            cloud.pass(seconds.trim().parse::<u32>().map_or(1.0, f64::from));
        } else if let Some(request) = request(&cloud, start, &asked) {
            let reply = cloud.send(request);
            streams.extend(reply.stream);
        }
        for stream in &mut streams {
            let _ = (stream.poll(&cloud.world, cloud.now), stream.deadline());
        }
    }
    kept(&cloud.world);
    for _ in 0..CHANGES_MAX {
        let Some(due) = cloud.world.next_due() else { break };
        cloud.now = cloud.now.max(due);
        cloud.world.settle(cloud.now, &cloud.timing);
        for stream in &mut streams {
            let _ = stream.poll(&cloud.world, cloud.now);
        }
    }
    kept(&cloud.world);
}

fn request(cloud: &Cloud, start: &Start, asked: &Message<'_>) -> Option<Request> {
    let filled = |text: &str| {
        text.replace("{sub}", &cloud.world.subscription)
            .replace("{tenant}", &cloud.world.directory.tenant)
            .replace("{uid}", &start.uid)
    };
    let mut words = asked.first.splitn(3, ' ');
    let method: Method = words.next()?.parse().ok()?;
    let host = format!("{}.{DOMAIN}", words.next()?);
    let target = filled(words.next()?);
    // A server accepts no other targets either.
    target.parse::<http::Uri>().ok()?;
    let mut request = Request::new(method, &host, &target);
    let audience =
        if host.contains("vault") { cloud.world.vault_audience() } else { cloud.world.arm_audience() };
    let kubernetes = target.starts_with("/kubernetes/");
    let token = if kubernetes { format!("Bearer {}", start.token) } else { cloud.owners_token(&audience) };
    request = request.with_header("authorization", &token);
    for (name, value) in &asked.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&filled(value))) {
            request.headers.insert(name, value);
        }
    }
    request.body = match std::str::from_utf8(asked.body) {
        Ok(text) => Bytes::from(filled(text)),
        Err(_) => Bytes::copy_from_slice(asked.body),
    };
    Some(request)
}

/// Checks that the state on disk equals the state in memory.
fn kept(world: &World) {
    let written = serde_json::to_vec(world).expect("a world can be written");
    let read: World = serde_json::from_slice(&written).expect("a written world can be read");
    let again = serde_json::to_vec(&read).expect("a world can be written");
    assert!(written == again, "a world is read back otherwise than it was written");
}

/// Creates a group with a network, a vault, a zone and a cluster.
fn begin() -> Start {
    let now = Moment(1_795_421_700_000);
    let mut world = World::new(&Options::default(), 7, now);
    world.port = 20_000;
    world.add_group("rg", "eastus", &Value::Null, None, now);
    let mut cloud = Cloud::new(world, now);
    let group = "/resourceGroups/rg/providers";
    let network = json!({"location": "eastus", "properties": {
        "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
        "subnets": [{"name": "nodes", "properties": {"addressPrefix": "10.0.0.0/22"}}],
    }});
    cloud.arm(
        Method::PUT,
        &format!("{group}/Microsoft.Network/virtualNetworks/vnet?api-version=2025-07-01"),
        &network,
    );
    let zone = json!({"location": "global"});
    cloud.arm(
        Method::PUT,
        &format!("{group}/Microsoft.Network/dnsZones/example.com?api-version=2018-05-01"),
        &zone,
    );
    let vault = json!({"location": "eastus", "properties": {
        "tenantId": cloud.world.directory.tenant, "sku": {"family": "A", "name": "standard"},
        "accessPolicies": [], "enableRbacAuthorization": true,
    }});
    cloud.arm(
        Method::PUT,
        &format!("{group}/Microsoft.KeyVault/vaults/kvfuzz?api-version=2025-05-01"),
        &vault,
    );
    cloud.pass(15.0);
    let officer = json!({"properties": {
        "roleDefinitionId": "/providers/Microsoft.Authorization/roleDefinitions/a4417e6f-fecd-4de8-b567-7b0420556985",
        "principalId": cloud.world.directory.owner().object_id, "principalType": "ServicePrincipal",
    }});
    let role = "0b1f6471-1bf0-4dda-aec3-cb9272f09590?api-version=2022-04-01";
    cloud.arm(Method::PUT, &format!("{group}/Microsoft.Authorization/roleAssignments/{role}"), &officer);
    let at = |rest: &str| {
        format!("{group}/Microsoft.ContainerService/managedClusters/aks{rest}?api-version=2026-06-01")
    };
    let made = cloud.arm(Method::PUT, &at(""), &cluster());
    cloud.pass(400.0);
    let credential = cloud.arm(Method::POST, &at("/listClusterUserCredential"), &Value::Null);
    let kubeconfig = credential["kubeconfigs"][0]["value"].as_str().unwrap_or_default();
    let kubeconfig =
        String::from_utf8(STANDARD.decode(kubeconfig).expect("it is base64")).expect("it is text");
    let after = |key: &str| kubeconfig.split(key).nth(1).and_then(|rest| rest.split_whitespace().next());
    let server = after("server:").expect("it names a server").trim_matches('"').to_owned();
    let uid = server.rsplit('/').find(|part| !part.is_empty()).expect("it ends with the cluster").to_owned();
    let token = after("token:").expect("it has a token").trim_matches('"').to_owned();
    assert!(made["id"].is_string());
    Start { world: cloud.world, now: cloud.now, uid, token }
}

fn cluster() -> Value {
    json!({
        "location": "eastus",
        "identity": {"type": "SystemAssigned"},
        "sku": {"name": "Base", "tier": "Standard"},
        "properties": {
            "kubernetesVersion": "1.34", "dnsPrefix": "demo", "nodeResourceGroup": "rg-nodes",
            "agentPoolProfiles": [{
                "name": "nodepool1", "mode": "System", "type": "VirtualMachineScaleSets", "osType": "Linux",
                "vmSize": "Standard_D4s_v5", "count": 2, "enableAutoScaling": true, "minCount": 1, "maxCount": 3,
            }],
            "networkProfile": {"networkPlugin": "azure", "serviceCidr": "10.1.0.0/16", "dnsServiceIP": "10.1.0.10"},
            "addonProfiles": {"azureKeyvaultSecretsProvider": {
                "enabled": true, "config": {"enableSecretRotation": "true", "rotationPollInterval": "2m"},
            }},
            "ingressProfile": {
                "webAppRouting": {"gatewayAPIImplementations": {"appRoutingIstio": {"mode": "Enabled"}}},
                "gatewayAPI": {"installation": "Standard"},
            },
        },
    })
}
