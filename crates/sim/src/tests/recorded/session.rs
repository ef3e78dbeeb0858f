//! Replay of one recording against a new simulated cloud.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use serde_json::{Value, json};

use super::classify::{Versions, foreign_type, is_page, located};
use super::compare::Comparison;
use super::names::{Names, REGION};
use super::row::Row;
use super::setup::{certificate, features_of, group_tags, offered_versions};
use crate::arm::{id, routing::accepted_versions};
use crate::clock::SimTime;
use crate::entra;
use crate::request::{Reply, Request};
use crate::state::DOMAIN;
use crate::test_cloud::{self, TestCloud};

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
    versions: Versions,
    /// The tags of the groups that exist before the recording, by lower-case path.
    tags: BTreeMap<String, Value>,
    time: Option<SimTime>,
    written: BTreeSet<String>,
    outcome: Outcome,
}

/// Replays the rows of one recording; `each` sees every reply.
pub(super) fn replay(rows: &[Row], versions: Versions, mut each: impl FnMut(&Row, &Reply)) -> Outcome {
    let mut cloud = TestCloud::new();
    let offered = offered_versions(&mut cloud);
    let names = Names::of(rows, &cloud.state, &offered);
    for feature in features_of(rows) {
        cloud.state.features.restore(&feature);
    }
    let (tags, written, outcome) = (group_tags(rows), BTreeSet::new(), Outcome::default());
    let mut session = Session { cloud, names, versions, tags, time: None, written, outcome };
    rows.iter().for_each(|row| session.play(row, &mut each));
    session.outcome
}

impl Session {
    fn play(&mut self, row: &Row, each: &mut impl FnMut(&Row, &Reply)) {
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
        if row.status.is_some_and(|status| status < 400)
            && reply.status.is_success()
            && !reply.body.is_empty()
        {
            self.names.learn(&row.answer, &reply.value());
        }
        each(row, &reply);
        let groups = &self.cloud.state.groups;
        let is_own = |resource: &Value| {
            let within =
                [&resource["properties"]["vaultId"], &resource["id"]].into_iter().find_map(Value::as_str);
            let group = id::part(within.unwrap_or_default(), "resourceGroups");
            group.is_none_or(|group| groups.contains_key(&group.to_lowercase()))
        };
        match Comparison::of(row, &reply, is_own) {
            Some(comparison) => self.outcome.compared.push(comparison),
            None if reply.status.is_success() => {
                *self.outcome.left_out.entry("withheld answers (accepted here)").or_default() += 1;
            }
            None => {
                *self.outcome.left_out.entry("withheld answers (refused here)").or_default() += 1;
                let code = test_cloud::code(&reply);
                println!("  withheld, here {} {code}: {}", reply.status, row.place());
            }
        }
    }

    fn ask_arm(&mut self, row: &Row, path: &str) -> Reply {
        self.ensure_group(path);
        let url = row.url();
        let mut target = format!("{path}?");
        for (name, value) in url.query_pairs() {
            let value = match name.eq_ignore_ascii_case("api-version") {
                true => {
                    let accepted = accepted_versions(&row.method(), path).unwrap_or_default();
                    self.versions.choose(&value, accepted).to_owned()
                }
                false => self.names.text(&value),
            };
            let pair =
                url::form_urlencoded::Serializer::new(String::new()).append_pair(&name, &value).finish();
            target = format!("{target}{pair}&");
        }
        let target = target.trim_end_matches(['&', '?']).to_owned();
        if row.status == Some(200) && [Method::GET, Method::DELETE].contains(&row.method()) {
            self.create_earlier_vault(row, path);
        }
        self.written.insert(id::key(path));
        let request = self.cloud.request(row.method(), &target);
        let request =
            if row.body.is_null() { request } else { request.with_json(&self.names.body(&row.body)) };
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
            properties = json!({ "tenantId": tenant, "sku": { "family": "A", "name": "standard" }, "softDeleteRetentionInDays": 7, "enableRbacAuthorization": true });
        }
        let body = json!({ "location": REGION, "tags": shown["tags"], "properties": properties });
        let accepted = accepted_versions(&Method::PUT, path).expect("vaults can be written");
        let version = self.versions.choose("2023-02-01", accepted);
        let reply = self.cloud.put(&format!("{path}?api-version={version}"), &body);
        assert!(reply.status.is_success(), "{reply:?}");
        self.written.insert(id::key(path));
        self.cloud.advance(120.0);
    }

    fn ask_vault(&mut self, row: &Row, vault: &str, path: &str) -> Reply {
        if self.cloud.state.vaults.reachable(&vault.to_ascii_lowercase(), self.cloud.now).is_none() {
            let at =
                self.cloud.path(&format!("/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/{vault}"));
            self.create_vault(&at, &Value::Null);
        }
        self.permit(vault);
        if !path.ends_with("/pending") || row.answer["status"] == "completed" {
            self.end_certificate_operations(vault);
        }
        let url = row.url();
        let size = url.query_pairs().find(|(name, _)| name == "maxresults");
        let paging = size.map_or_else(String::new, |(name, value)| format!("&{name}={value}"));
        let recorded = url.query_pairs().find(|(name, _)| name == "api-version");
        let recorded = recorded.map_or_else(String::new, |(_, version)| version.into_owned());
        let version = self.versions.choose(&recorded, crate::vault::serve::accepted_versions());
        let target = format!("{path}?api-version={version}{paging}");
        let request = Request::new(row.method(), &format!("{vault}.vault.{DOMAIN}"), &target);
        // A client learns from the first refusal where to get a token; it sends that request without its body.
        let is_write = [Method::POST, Method::PUT].contains(&row.method());
        if row.status == Some(401) || (row.status.is_none() && is_write && row.body.is_null()) {
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
        let due =
            found.and_then(|vault| vault.certificates.pending.values().filter_map(|one| one.due()).max());
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
        let at =
            format!("{id}/providers/Microsoft.Authorization/roleAssignments/{name}?api-version=2022-04-01");
        let role = self
            .cloud
            .path(&format!("/providers/Microsoft.Authorization/roleDefinitions/{VAULT_ADMINISTRATOR}"));
        let body = json!({ "properties": { "roleDefinitionId": role, "principalId": owner } });
        let reply = self.cloud.put(&at, &body);
        assert!(reply.status.is_success(), "{reply:?}");
        self.cloud
            .state
            .roles
            .assignments
            .values_mut()
            .for_each(|assignment| assignment.effective = SimTime(0));
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
