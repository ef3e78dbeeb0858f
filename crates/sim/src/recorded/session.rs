//! Replay of one recording against a new simulated cloud.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use serde_json::{Value, json};

use super::compare::Comparison;
use super::names::{Names, REGION};
use super::row::Row;
use crate::arm::{id, newest_version};
use crate::clock::SimTime;
use crate::entra;
use crate::request::{Reply, Request};
use crate::state::DOMAIN;
use crate::test_cloud::TestCloud;

/// The parts of a vault's data plane that the simulated cloud does not have.
const FOREIGN_IN_VAULT: [&str; 3] = ["/certificates/issuers", "/certificates/restore", "/certificates/contacts"];
/// The role of a principal that may do everything in a vault.
const VAULT_ADMINISTRATOR: &str = "00482a5a-887f-4fb3-b363-3b7fe8e74483";

/// The results of a replay.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) compared: Vec<Comparison>,
    /// Requests of other resource types, by type.
    pub(super) foreign: BTreeMap<String, usize>,
    /// Requests that cannot be sent, by reason.
    pub(super) left_out: BTreeMap<&'static str, usize>,
}

/// A simulated cloud with the names of a recording.
struct Session {
    cloud: TestCloud,
    names: Names,
    /// The tags of the groups that exist before the recording, by lower-case path.
    tags: BTreeMap<String, Value>,
    time: Option<SimTime>,
    written: BTreeSet<String>,
    outcome: Outcome,
}

/// Replays the rows of one recording.
pub(super) fn replay(rows: &[Row]) -> Outcome {
    let mut cloud = TestCloud::new();
    let offered = offered_versions(&mut cloud);
    let names = Names::of(rows, &cloud.state, &offered);
    features_of(rows).iter().for_each(|feature| drop(cloud.state.features.restore(feature)));
    let (tags, written, outcome) = (group_tags(rows), BTreeSet::new(), Outcome::default());
    let mut session = Session { cloud, names, tags, time: None, written, outcome };
    rows.iter().for_each(|row| session.play(row));
    session.outcome
}

impl Session {
    fn play(&mut self, row: &Row) {
        if let (Some(before), Some(now)) = (self.time, row.time()) {
            self.cloud.advance(now.since(before).as_secs_f64());
        }
        self.time = row.time().or(self.time);
        if row.is_poll() {
            *self.outcome.left_out.entry("polls of operations").or_default() += 1;
            return self.end_operations();
        }
        let url = row.url();
        let (host, path) = (url.host_str().unwrap_or_default(), self.names.text(url.path()));
        let path = located(&path);
        if let Some(foreign) = foreign_type(&row.method(), host, &path) {
            *self.outcome.foreign.entry(foreign).or_default() += 1;
            return;
        }
        if row.body["x5c"].is_array() || is_page(&url) {
            *self.outcome.left_out.entry("shortened bodies and pages of others").or_default() += 1;
            return;
        }
        let reply = match host.strip_suffix(".vault.azure.net") {
            Some(vault) => self.ask_vault(row, vault, &path),
            None => self.ask_arm(row, &path),
        };
        if row.status.is_some_and(|status| status < 400) && reply.status.is_success() && !reply.body.is_empty() {
            self.names.learn(&row.answer, &reply.value());
        }
        let groups = &self.cloud.state.groups;
        let is_own = |resource: &Value| {
            let within = [&resource["properties"]["vaultId"], &resource["id"]].into_iter().find_map(Value::as_str);
            let group = id::part(within.unwrap_or_default(), "resourceGroups");
            group.is_none_or(|group| groups.contains_key(&group.to_lowercase()))
        };
        match Comparison::of(row, &reply, is_own) {
            Some(comparison) => self.outcome.compared.push(comparison),
            None => *self.outcome.left_out.entry("withheld answers (sent)").or_default() += 1,
        }
    }

    fn ask_arm(&mut self, row: &Row, path: &str) -> Reply {
        self.ensure_group(path);
        let url = row.url();
        let mut target = format!("{path}?");
        for (name, value) in url.query_pairs() {
            let value = match name.eq_ignore_ascii_case("api-version") {
                true => newest_version(&row.method(), path).unwrap_or(&value).to_owned(),
                false => self.names.text(&value),
            };
            let pair = url::form_urlencoded::Serializer::new(String::new()).append_pair(&name, &value).finish();
            target = format!("{target}{pair}&");
        }
        let target = target.trim_end_matches(['&', '?']).to_owned();
        if row.status == Some(200) && [Method::GET, Method::DELETE].contains(&row.method()) {
            self.create_earlier_vault(row, path);
        }
        self.written.insert(id::key(path));
        let request = self.cloud.request(row.method(), &target);
        let request = if row.body.is_null() { request } else { request.with_json(&self.names.body(&row.body)) };
        self.cloud.send(&request)
    }

    /// Creates the group of a path, which the recordings leave out.
    fn ensure_group(&mut self, path: &str) {
        let Some(group) = id::part(path, "resourceGroups") else { return };
        if !self.cloud.state.groups.contains_key(&group.to_lowercase()) {
            let now = self.cloud.now;
            let tags = self.tags.get(&group.to_lowercase()).cloned().unwrap_or_default();
            self.cloud.state.add_group(group, REGION, &tags, None, now);
        }
    }

    /// Creates the vault of a path if it existed before the recording.
    fn create_earlier_vault(&mut self, row: &Row, path: &str) {
        let is_vault = path.to_ascii_lowercase().contains("/providers/microsoft.keyvault/vaults/")
            && path.split('/').filter(|part| !part.is_empty()).count() == 8;
        if is_vault && !self.written.contains(&id::key(path)) {
            self.create_vault(path, &row.answer);
        }
    }

    /// Creates a vault with the properties of an answer.
    fn create_vault(&mut self, path: &str, shown: &Value) {
        let mut properties = self.names.body(&shown["properties"]);
        if !properties.is_object() {
            let tenant = &self.cloud.state.directory.tenant;
            properties = json!({ "tenantId": tenant, "sku": { "family": "A", "name": "standard" }, "softDeleteRetentionInDays": 7 });
        }
        let body = json!({ "location": REGION, "tags": shown["tags"], "properties": properties });
        let version = newest_version(&Method::PUT, path).expect("vaults can be written");
        let reply = self.cloud.put(&format!("{path}?api-version={version}"), &body);
        assert!(reply.status.is_success(), "{reply:?}");
        self.written.insert(id::key(path));
        self.cloud.advance(120.0);
    }

    fn ask_vault(&mut self, row: &Row, vault: &str, path: &str) -> Reply {
        if self.cloud.state.vaults.reachable(&vault.to_ascii_lowercase(), self.cloud.now).is_none() {
            let at = self.cloud.path(&format!("/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/{vault}"));
            self.create_vault(&at, &Value::Null);
        }
        self.permit(vault);
        if !path.ends_with("/pending") || row.answer["status"] == "completed" {
            self.end_certificate_operations(vault);
        }
        let url = row.url();
        let size = url.query_pairs().find(|(name, _)| name == "maxresults");
        let paging = size.map_or_else(String::new, |(name, value)| format!("&{name}={value}"));
        let newest = crate::vault::newest_version();
        let target = format!("{path}?api-version={newest}{paging}");
        let request = Request::new(row.method(), &format!("{vault}.vault.{DOMAIN}"), &target);
        // A client learns from the first refusal where to get a token.
        if row.status == Some(401) {
            return self.cloud.send(&request);
        }
        let owner = self.cloud.state.directory.owner().object_id.clone();
        let audience = self.cloud.state.vault_audience();
        let token = entra::token_for(&self.cloud.state, &owner, &audience, self.cloud.now);
        let request = request.with_header("authorization", &format!("Bearer {token}"));
        let mut body = self.names.body(&row.body);
        let is_unknown = body["value"].as_str().is_some_and(|value| value.ends_with("AAAA"));
        if is_unknown && path.ends_with("/import") {
            let policy = &body["policy"];
            body["value"] = Value::from(certificate(policy, self.cloud.now));
            body["pwd"] = Value::Null;
        }
        self.cloud.send(&if body.is_null() { request } else { request.with_json(&body) })
    }

    /// Advances the clock until no certificate is being created in a vault.
    fn end_certificate_operations(&mut self, vault: &str) {
        let found = self.cloud.state.vaults.reachable(&vault.to_ascii_lowercase(), self.cloud.now);
        let due = found.and_then(|vault| vault.certificates.pending.values().filter_map(|one| one.due()).max());
        if let Some(due) = due.filter(|due| *due > self.cloud.now) {
            self.cloud.now = due;
            self.cloud.advance(1.0);
        }
    }

    /// Gives the caller a role in a vault: the newest api-version creates vaults without access policies.
    fn permit(&mut self, vault: &str) {
        let found = self.cloud.state.vaults.reachable(&vault.to_ascii_lowercase(), self.cloud.now);
        let Some(id) = found.map(|vault| vault.id().to_owned()) else { return };
        if !self.written.insert(format!("role in {vault}")) {
            return;
        }
        let owner = self.cloud.state.directory.owner().object_id.clone();
        let name = self.cloud.state.uuid("vault-role");
        let at = format!("{id}/providers/Microsoft.Authorization/roleAssignments/{name}?api-version=2022-04-01");
        let role = self.cloud.path(&format!("/providers/Microsoft.Authorization/roleDefinitions/{VAULT_ADMINISTRATOR}"));
        let body = json!({ "properties": { "roleDefinitionId": role, "principalId": owner } });
        let reply = self.cloud.put(&at, &body);
        assert!(reply.status.is_success(), "{reply:?}");
        self.cloud.state.roles.assignments.values_mut().for_each(|assignment| assignment.effective = SimTime(0));
    }

    /// Advances the clock until no operation runs.
    fn end_operations(&mut self) {
        let last = self.cloud.state.operations.values().map(|operation| operation.ends).max();
        if let Some(last) = last.filter(|last| *last > self.cloud.now) {
            self.cloud.now = last;
            self.cloud.advance(1.0);
        }
    }
}

/// Returns the tags of the groups that a recording reads, by lower-case name.
fn group_tags(rows: &[Row]) -> BTreeMap<String, Value> {
    let groups = rows.iter().filter(|row| row.answer["type"] == "Microsoft.Resources/resourceGroups");
    groups
        .filter_map(|row| Some((row.answer["name"].as_str()?.to_lowercase(), row.answer["tags"].clone())))
        .collect()
}

/// Returns the preview features that a recording registers, as `Namespace/Name`.
fn features_of(rows: &[Row]) -> Vec<String> {
    let paths = rows.iter().map(|row| row.url().path().to_owned());
    let named = paths.filter_map(|path| {
        let (_, rest) = path.split_once("/Microsoft.Features/providers/")?;
        let (namespace, rest) = rest.split_once("/features/")?;
        Some(format!("{namespace}/{}", rest.split('/').next()?))
    });
    named.collect()
}

/// Returns a path whose region is that of the simulated cloud.
fn located(path: &str) -> String {
    let mut segments: Vec<&str> = path.split('/').collect();
    if let Some(at) = segments.iter().position(|segment| *segment == "locations")
        && let Some(region) = segments.get_mut(at + 1)
    {
        *region = REGION;
    }
    segments.join("/")
}

/// Returns whether a request asks for a later page, whose token only Azure knows.
fn is_page(url: &url::Url) -> bool {
    url.query_pairs().any(|(name, _)| name.to_ascii_lowercase().contains("skiptoken"))
}

/// Returns the type of a request if the simulated cloud does not have it.
fn foreign_type(method: &Method, host: &str, path: &str) -> Option<String> {
    let lower = path.to_ascii_lowercase();
    if host.ends_with(".vault.azure.net") {
        let collection = lower.trim_start_matches('/').split('/').next().unwrap_or_default().to_owned();
        let is_foreign = FOREIGN_IN_VAULT.iter().any(|part| lower.starts_with(part))
            || lower.ends_with("/backup")
            || !(collection.ends_with("certificates") || (*method == Method::GET && ["keys", "secrets"].contains(&collection.as_str())));
        return is_foreign.then(|| format!("vault: {method} {}", lower.trim_start_matches('/').split('/').take(2).collect::<Vec<_>>().join("/")));
    }
    // Nothing of landfall writes role definitions.
    let is_custom_role = *method != Method::GET && lower.contains("/roledefinitions/");
    let known = [Method::GET, Method::PUT, Method::DELETE, Method::POST];
    if !is_custom_role && known.iter().any(|method| newest_version(method, path).is_some()) {
        return None;
    }
    let kind = path.rsplit_once("/providers/").map_or(path, |(_, kind)| kind);
    let mut parts = kind.split('/');
    let namespace = parts.next().unwrap_or_default();
    let types: Vec<&str> = parts.step_by(2).collect();
    Some(format!("{namespace}/{}", types.join("/")))
}

/// Returns a certificate of our own in the form that a policy asks for, in the place of a shortened one.
fn certificate(policy: &Value, now: SimTime) -> String {
    let mut policy = if policy.is_object() { policy.clone() } else { json!({}) };
    if !policy["x509_props"].is_object() {
        policy["x509_props"] = json!({ "subject": "CN=recorded" });
    }
    crate::vault::certificate_of(&policy, now)
}

/// Returns the minor versions of Kubernetes with their newest patch, from the default one down.
fn offered_versions(cloud: &mut TestCloud) -> Vec<(String, String)> {
    let at = cloud.path(&format!(
        "/providers/Microsoft.ContainerService/locations/{REGION}/kubernetesVersions?api-version=2026-06-01"
    ));
    let listed = cloud.get(&at).value();
    let mut versions = Vec::new();
    for one in listed["values"].as_array().into_iter().flatten().rev() {
        if versions.is_empty() && one["isDefault"] != true {
            continue;
        }
        let newest = one["patchVersions"].as_object().and_then(|patches| patches.keys().last());
        let newest = newest.expect("every version has a patch");
        versions.push((one["version"].as_str().unwrap_or_default().to_owned(), newest.clone()));
    }
    versions
}
