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
    Options, Speed, admin_api,
    clock::{SimTime, Timing},
    entra,
    request::{Reply, Request},
    request_log::{RequestLog, RequestRecord},
    state::{CloudState, DOMAIN},
};
use serde_json::{Value, json};
use std::sync::OnceLock;

/// The maximum number of requests per input.
const REQUESTS_MAX: usize = 16;
/// The maximum number of awaited changes after the last request.
const CHANGES_MAX: usize = 64;

/// An initial state with resources, and the token of its cluster.
struct Start {
    state: CloudState,
    now: SimTime,
    uid: String,
    token: String,
}

/// A simulated cloud under test.
struct Cloud {
    state: CloudState,
    now: SimTime,
    timing: Timing,
    request_log: RequestLog,
    admin_api: admin_api::AdminApi,
    _folder: tempfile::TempDir,
}

impl Cloud {
    fn new(state: CloudState, now: SimTime) -> Self {
        let folder = crate::folder();
        let request_log = RequestLog::open(&folder.path().join("ledger.jsonl")).expect("the folder is ours");
        let (timing, admin_api) =
            (Timing::new(Speed::Times(1.0)), admin_api::AdminApi::in_process(String::new()));
        Self { state, now, timing, request_log, admin_api, _folder: folder }
    }

    fn pass(&mut self, seconds: f64) {
        self.now = self.timing.after(self.now, seconds);
        self.state.advance_to(self.now, &self.timing);
    }

    fn send(&mut self, request: Request) -> Reply {
        self.state.advance_to(self.now, &self.timing);
        if admin_api::is_admin(&request) {
            let input = admin_api::AdminCall { request: &request, now: self.now, timing: &self.timing };
            return self.admin_api.serve(&mut self.state, &self.request_log, &input);
        }
        let request = Request { number: self.request_log.next_number(), ..request };
        let reply = self.state.handle(&request, self.now, &self.timing);
        self.state.advance_to(self.now, &self.timing);
        let by = entra::signer(&self.state, &request).unwrap_or_default();
        let line = RequestRecord::of(&request, &reply, by, self.now);
        self.request_log.append(line).expect("the folder is ours");
        reply
    }

    fn owner_token(&self, audience: &str) -> String {
        let owner = self.state.directory.owner().object_id.clone();
        format!("Bearer {}", entra::token_for(&self.state, &owner, audience, self.now))
    }

    fn arm(&mut self, method: Method, path: &str, body: &Value) -> Value {
        let target = format!("/subscriptions/{}{path}", self.state.subscription);
        let token = self.owner_token(&self.state.arm_audience());
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
    let start = START.get_or_init(create_start);
    let mut cloud = Cloud::new(start.state.clone(), start.now);
    let mut streams = Vec::new();
    for part in parts(data).into_iter().take(REQUESTS_MAX) {
        let input = message(part);
        if let Some(seconds) = input.first.strip_prefix("advance ") {
            cloud.pass(seconds.trim().parse::<u32>().map_or(1.0, f64::from));
        } else if let Some(request) = request(&cloud, start, &input) {
            let reply = cloud.send(request);
            streams.extend(reply.stream);
        }
        for stream in &mut streams {
            let _ = (stream.poll(&cloud.state, cloud.now), stream.deadline());
        }
    }
    check_round_trip(&cloud.state);
    for _ in 0..CHANGES_MAX {
        let Some(due) = cloud.state.next_due() else { break };
        cloud.now = cloud.now.max(due);
        cloud.state.advance_to(cloud.now, &cloud.timing);
        for stream in &mut streams {
            let _ = stream.poll(&cloud.state, cloud.now);
        }
    }
    check_round_trip(&cloud.state);
}

fn request(cloud: &Cloud, start: &Start, input: &Message<'_>) -> Option<Request> {
    let filled = |text: &str| {
        text.replace("{sub}", &cloud.state.subscription)
            .replace("{tenant}", &cloud.state.directory.tenant)
            .replace("{uid}", &start.uid)
    };
    let mut parts = input.first.splitn(3, ' ');
    let method: Method = parts.next()?.parse().ok()?;
    let host = format!("{}.{DOMAIN}", parts.next()?);
    let target = filled(parts.next()?);
    // A server accepts no other targets either.
    target.parse::<http::Uri>().ok()?;
    let mut request = Request::new(method, &host, &target);
    let audience =
        if host.contains("vault") { cloud.state.vault_audience() } else { cloud.state.arm_audience() };
    let kubernetes = target.starts_with("/kubernetes/");
    let token = if kubernetes { format!("Bearer {}", start.token) } else { cloud.owner_token(&audience) };
    request = request.with_header("authorization", &token);
    for (name, value) in &input.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&filled(value))) {
            request.headers.insert(name, value);
        }
    }
    request.body = match std::str::from_utf8(input.body) {
        Ok(text) => Bytes::from(filled(text)),
        Err(_) => Bytes::copy_from_slice(input.body),
    };
    Some(request)
}

/// Checks that the state on disk equals the state in memory.
fn check_round_trip(state: &CloudState) {
    let written = serde_json::to_vec(state).expect("a world can be written");
    let read: CloudState = serde_json::from_slice(&written).expect("a written world can be read");
    let again = serde_json::to_vec(&read).expect("a world can be written");
    assert!(written == again, "a world is read back otherwise than it was written");
}

/// Creates a group with a network, a vault, a zone and a cluster.
fn create_start() -> Start {
    let now = SimTime(1_795_421_700_000);
    let mut state = CloudState::new(&Options::default(), 7, now);
    state.port = 20_000;
    state.add_group("rg", "eastus", &Value::Null, None, now);
    let mut cloud = Cloud::new(state, now);
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
        "tenantId": cloud.state.directory.tenant, "sku": {"family": "A", "name": "standard"},
        "accessPolicies": [], "enableRbacAuthorization": true,
    }});
    cloud.arm(
        Method::PUT,
        &format!("{group}/Microsoft.KeyVault/vaults/kvfuzz?api-version=2025-05-01"),
        &vault,
    );
    cloud.pass(15.0);
    let role_assignment = json!({"properties": {
        "roleDefinitionId": "/providers/Microsoft.Authorization/roleDefinitions/a4417e6f-fecd-4de8-b567-7b0420556985",
        "principalId": cloud.state.directory.owner().object_id, "principalType": "ServicePrincipal",
    }});
    let role = "0b1f6471-1bf0-4dda-aec3-cb9272f09590?api-version=2022-04-01";
    cloud.arm(
        Method::PUT,
        &format!("{group}/Microsoft.Authorization/roleAssignments/{role}"),
        &role_assignment,
    );
    let at = |rest: &str| {
        format!("{group}/Microsoft.ContainerService/managedClusters/aks{rest}?api-version=2026-06-01")
    };
    let created = cloud.arm(Method::PUT, &at(""), &cluster());
    cloud.pass(400.0);
    let credential = cloud.arm(Method::POST, &at("/listClusterUserCredential"), &Value::Null);
    let kubeconfig = credential["kubeconfigs"][0]["value"].as_str().unwrap_or_default();
    let kubeconfig =
        String::from_utf8(STANDARD.decode(kubeconfig).expect("it is base64")).expect("it is text");
    let after = |key: &str| kubeconfig.split(key).nth(1).and_then(|rest| rest.split_whitespace().next());
    let server = after("server:").expect("it names a server").trim_matches('"').to_owned();
    let uid = server.rsplit('/').find(|part| !part.is_empty()).expect("it ends with the cluster").to_owned();
    let token = after("token:").expect("it has a token").trim_matches('"').to_owned();
    assert!(created["id"].is_string());
    Start { state: cloud.state, now: cloud.now, uid, token }
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
