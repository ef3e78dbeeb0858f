//! The preview of `down`: what it deletes and what it keeps, with the reasons, before the question.

use super::{escape, style::Styler, text};
use jiff::Timestamp;
use landfall_engine::{JournalState, StepInfo};
use landfall_steps::{Resources, Retention, TeardownInventory, TeardownPreconditions};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The data of the preview.
pub struct TeardownPreview<'a> {
    /// The declarations of the steps' resources.
    pub resources: &'a Resources,
    /// The steps, dependencies first.
    pub steps: &'a [StepInfo],
    /// The recorded state; resources to adopt count as owned.
    pub journal_state: &'a JournalState,
    /// The steps that are owned only by adoption.
    pub adopted: &'a [String],
    /// The reason for each step whose resource is kept.
    pub kept: BTreeMap<String, String>,
    /// The survey of the cloud.
    pub preconditions: &'a TeardownPreconditions,
    /// The owned resources to delete; see [`TeardownPreview::with_inventories`].
    pub owned: TeardownInventory,
    /// The resources to adopt and delete.
    pub adopted_resources: TeardownInventory,
    /// True if the vault is purged too.
    pub purge: bool,
}

impl TeardownPreview<'_> {
    fn is_owned(&self, step: &str) -> bool {
        self.journal_state.step_state(step).is_some_and(|step_state| step_state.owned)
    }

    /// Returns the steps whose resources are deleted: owned, not kept, and the group only without foreign
    /// contents.
    pub fn steps(&self) -> Vec<&str> {
        let is_deleted = |step: &&str| {
            self.is_owned(step)
                && self.resources.is_deletable(step)
                && !self.kept.contains_key(*step)
                && (*step != self.resources.group_step() || self.preconditions.in_group.is_empty())
        };
        self.steps.iter().map(|step| step.id).filter(is_deleted).collect()
    }

    /// Fills in the resources to delete; the steps were wired with the recorded names.
    pub fn with_inventories(self) -> Self {
        let inventory = |adopted: bool| {
            let mut deletions = self.steps();
            deletions.retain(|step| self.adopted.iter().any(|one| one == step) == adopted);
            self.resources.inventory(self.journal_state, &deletions)
        };
        let (owned, adopted_resources) = (inventory(false), inventory(true));
        Self { owned, adopted_resources, ..self }
    }

    /// Returns the text, with at most eighty columns.
    pub fn text(&self, style: Styler) -> String {
        let lines =
            |inventory: &TeardownInventory| deletions(inventory, self.purge, &self.preconditions.vault);
        let (owned, adopted) = (lines(&self.owned), lines(&self.adopted_resources));
        let mut parts = Vec::new();
        let unfinished = self.unfinished();
        if owned.is_empty() && adopted.is_empty() && unfinished.is_empty() {
            parts.push("Nothing will be deleted.".to_owned());
        }
        let mut part = |heading: String, lines: Vec<String>| {
            if !lines.is_empty() {
                parts.push(format!("{heading}\n{}", lines.join("\n")));
            }
        };
        part(style.strong("Will be deleted"), owned);
        part(style.warn("Will also be deleted (--adopt), though landfall only found it"), adopted);
        part(style.strong("Will be deleted, as far as it was created"), unfinished);
        part(
            style.warn("Networks peered with the deleted one; their peering becomes Disconnected"),
            self.peered(),
        );
        part(
            style.strong("Will be kept"),
            self.kept_resources().into_iter().map(|(what, why)| kept_line(&what, &why)).collect(),
        );
        let locks = self.preconditions.locks.iter().map(|locked| hanging_line(&self.lock(locked)));
        part(style.bad("Locked"), locks.collect());
        let unknown_steps = unknown_steps(self.steps, self.journal_state);
        part(
            style.warn("Will be kept, though landfall created it: this version of landfall has no step that can delete it"),
            unknown_steps,
        );
        let unseen = self.preconditions.unseen.iter().map(|one| hanging_line(one));
        part(style.warn("Not checked"), unseen.collect());
        parts.join("\n\n")
    }

    /// Returns the networks that lose their peering.
    fn peered(&self) -> Vec<String> {
        match self.steps().contains(&self.resources.network_step()) {
            true => self.preconditions.peered.iter().map(|name| hanging_line(name)).collect(),
            false => Vec::new(),
        }
    }

    /// Returns the resources that a run left unfinished: only their names are known.
    fn unfinished(&self) -> Vec<String> {
        let deletions = self.steps();
        let is_unfinished = |step: &&StepInfo| {
            !self.resources.is_identified(step.id, self.journal_state) && deletions.contains(&step.id)
        };
        self.steps
            .iter()
            .rev()
            .filter(is_unfinished)
            .map(|step| format!("  {}", self.subject(step.id)))
            .collect()
    }

    /// Returns the kept resources, each with the reason.
    fn kept_resources(&self) -> Vec<(String, String)> {
        let mut kept_resources: Vec<(String, String)> = Vec::new();
        // The records are deleted, and their zone is not.
        if self.steps().contains(&self.resources.dns_step())
            && let Some(zone) = self.owned.zone.as_ref().or(self.adopted_resources.zone.as_ref())
        {
            kept_resources.push((format!("zone {zone}"), "found".to_owned()));
        }
        let kept = |step: &&StepInfo| {
            self.resources.is_deletable(step.id) && self.kept.contains_key(step.id) && self.is_owned(step.id)
        };
        for step in self.steps.iter().rev().filter(kept) {
            kept_resources.push((self.subject(step.id), self.kept[step.id].clone()));
        }
        let group = self.resources.group_step();
        if self.is_owned(group) && !self.kept.contains_key(group) && !self.preconditions.in_group.is_empty() {
            let why = format!("it contains foreign resources: {}", self.preconditions.in_group.join(", "));
            kept_resources.push((self.subject(group), why));
        }
        for step in self.found() {
            kept_resources.push((self.subject(step), "found".to_owned()));
        }
        kept_resources
    }

    /// Returns the found resources without an owned parent: those with one are deleted with it.
    fn found(&self) -> Vec<&str> {
        let mut owned: Vec<&str> = Vec::new();
        let mut found = Vec::new();
        for step in self.steps {
            let Some(step_state) = self.journal_state.step_state(step.id) else { continue };
            let below = step.after.iter().any(|source| owned.contains(source));
            if self.resources.is_deletable(step.id) && (step_state.owned || below) {
                owned.push(step.id);
            } else if step_state.output.is_some() && !step.after.is_empty() {
                // The steps before all others only check and have no resource to keep.
                found.push(step.id);
            }
        }
        found
    }

    fn lock(&self, locked: &landfall_steps::Locked) -> String {
        let subjects: Vec<String> = locked.steps.iter().map(|step| self.subject(step)).collect();
        format!("{}: {}", text::list(&subjects), lock(locked))
    }

    /// Returns a step's resource in display form: `key vault kv-demo`.
    fn subject(&self, step: &str) -> String {
        let Some(info) = self.steps.iter().find(|info| info.id == step) else { return text::name(step) };
        let name = text::name(step);
        match info.title.to_lowercase().contains(&name) {
            true => info.title.clone(),
            false => format!("{name} {}", info.title),
        }
    }

    /// Returns the same as JSON.
    pub fn json(&self) -> Value {
        let is_deleted = self.steps().into_iter().rev().map(|step| {
            let adopted = self.adopted.iter().any(|one| one == step);
            json!({ "step": step, "what": self.subject(step), "adopted": adopted })
        });
        let deletes_network = self.steps().contains(&self.resources.network_step());
        let kept_resources =
            self.kept_resources().into_iter().map(|(what, why)| json!({ "what": what, "why": why }));
        let locks = self.preconditions.locks.iter().map(|locked| {
            let lock = &locked.lock;
            json!({
                "id": lock.id, "name": lock.name, "scope": lock.scope, "level": lock.level, "notes": lock.notes,
                "steps": locked.steps,
            })
        });
        json!({
            "goes": is_deleted.collect::<Vec<_>>(), "stays": kept_resources.collect::<Vec<_>>(), "locks": locks.collect::<Vec<_>>(),
            "unseen": self.preconditions.unseen,
            "peered": if deletes_network { self.preconditions.peered.clone() } else { Vec::new() },
        })
    }
}

/// Returns the text of a lock: `locked by keep (CanNotDelete) at vnet-demo: "until the audit"`.
pub fn lock(locked: &landfall_steps::Locked) -> String {
    let lock = &locked.lock;
    let at = lock.scope.rsplit('/').next().unwrap_or_default();
    let notes =
        lock.notes.as_ref().map(|notes| format!(": \"{}\"", escape::inline(notes))).unwrap_or_default();
    format!("locked by {} ({}) at {at}{notes}", lock.name, lock.level)
}

/// Returns the line about the vault.
fn vault_line(purge: bool, retention: &Retention) -> String {
    let days = retention.days.unwrap_or(90);
    match (purge, retention.protected) {
        (true, true) => format!(
            "    (purge protection is on: --purge cannot end the retention of {days} days, until {})",
            retained_until(days)
        ),
        (true, false) => "    (the vault is purged too: nothing in it can be recovered)".to_owned(),
        (false, true) => format!("    (the vault can be recovered for {days} days; purge protection is on)"),
        (false, false) => format!("    (the vault can be recovered for {days} days; --purge ends that)"),
    }
}

/// Returns the date on which a vault that is deleted now is purged.
fn retained_until(days: i64) -> String {
    let span = jiff::SignedDuration::from_hours(days.saturating_mul(24));
    let until = Timestamp::now().saturating_add(span).unwrap_or(Timestamp::MAX);
    until.strftime("%Y-%m-%d").to_string()
}

/// Returns the lines of the deletions.
fn deletions(inventory: &TeardownInventory, purge: bool, retention: &Retention) -> Vec<String> {
    let mut lines = Vec::new();
    let line = |text: String| text::wrap("  ", &text, 80);
    if !inventory.objects.is_empty() {
        let kinds: Vec<String> =
            inventory.objects.iter().map(|(kind, number)| text::count(*number, kind)).collect();
        let number = text::count(inventory.objects.values().sum(), "object");
        lines.push(format!("  {number} in cluster {}:", inventory.cluster));
        lines.push(text::wrap("    ", &kinds.join(", "), 80));
    }
    if let Some(zone) = inventory.zone.as_ref().filter(|_| !inventory.hosts.is_empty()) {
        let number = text::count(inventory.hosts.len(), "DNS record");
        lines.push(format!("  {number} in {zone}:"));
        lines.push(text::wrap("    ", &inventory.hosts.join(", "), 80));
    }
    if let Some((file, context)) = &inventory.context {
        lines.push(format!("  kubeconfig {}:", file.display()));
        lines.push(text::wrap("    ", &format!("context, cluster and user {context}"), 80));
    }
    if inventory.roles > 0 {
        lines.push(line(format!("{} on resources that are kept", text::count(inventory.roles, "role"))));
    }
    if let Some(certificate) = &inventory.certificate {
        lines.push(line(format!("certificate {certificate}, in a vault that is kept")));
    }
    let contained_resources = inventory.in_group.iter().map(|resource| &resource.text);
    match &inventory.group {
        Some(group) => {
            lines.push(line(format!("resource group {group}")));
            lines.extend(contained_resources.enumerate().map(|(at, resource)| {
                format!("    {} {resource}", if at == 0 { "and in it:" } else { "          " })
            }));
        }
        None => lines.extend(contained_resources.map(|resource| line(resource.clone()))),
    }
    if inventory.in_group.iter().any(|resource| resource.recoverable) {
        lines.push(text::wrap("    ", vault_line(purge, retention).trim_start(), 80));
    }
    lines
}

/// Returns a list entry; further lines are indented below the first.
fn hanging_line(text: &str) -> String {
    text::wrap("  ", text, 78).replace("\n  ", "\n    ")
}

fn kept_line(what: &str, why: &str) -> String {
    match why {
        "found" => hanging_line(&format!("{what} (found)")),
        why => hanging_line(&format!("{what}: {why}")),
    }
}

/// Returns the owned resources of steps that this version does not know.
pub fn unknown_steps(steps: &[StepInfo], journal_state: &JournalState) -> Vec<String> {
    let known = |id: &str| steps.iter().any(|step| step.id == id);
    let owned = journal_state.0.iter().filter(|(step, step_state)| step_state.owned && !known(step));
    owned
        .map(|(step, step_state)| {
            unknown_step(step, step_state.output.as_ref().or(step_state.planned_name.as_ref()))
        })
        .collect()
}

/// Returns the step and its recorded resource, as in the journal.
pub fn unknown_step(step: &str, recorded: Option<&Value>) -> String {
    let recorded = recorded.map_or("the journal has no more about it".to_owned(), Value::to_string);
    text::wrap("  ", &format!("{}: {recorded}", text::name(step)), 80)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixture;
    use landfall_cloud::arm::Lock;
    use landfall_engine::StepState;
    use landfall_steps::{ListedResource, Locked};

    fn inventory() -> TeardownInventory {
        let kinds = [("Gateway", 2), ("HTTPRoute", 6), ("ConfigMap", 1)];
        TeardownInventory {
            objects: kinds.map(|(kind, number)| (kind.to_owned(), number)).into(),
            cluster: "aks-demo".into(),
            hosts: ["app", "echo", "httpbin"].map(|label| format!("{label}.demo.example.com")).into(),
            zone: Some("demo.example.com".into()),
            context: Some(("/home/me/.kube/config".into(), "aks-demo".into())),
            in_group: in_group(&["cluster aks-demo", "network vnet-demo", "key vault kv-demo"]),
            group: Some("rg-demo".into()),
            ..TeardownInventory::default()
        }
    }

    fn in_group(texts: &[&str]) -> Vec<ListedResource> {
        let listed = |text: &&str| ListedResource {
            text: (*text).to_owned(),
            recoverable: text.starts_with("key vault"),
        };
        texts.iter().map(listed).collect()
    }

    fn journal_state(owned: &[&str], found: &[&str]) -> JournalState {
        let mut journal_state = JournalState::default();
        for step in owned.iter().chain(found) {
            let mut step_state = StepState::default();
            step_state.owned = owned.contains(step);
            step_state.output = Some(Value::Null);
            journal_state.0.insert((*step).to_owned(), step_state);
        }
        journal_state
    }

    fn shown(
        journal_state: &JournalState,
        preconditions: &TeardownPreconditions,
        kept: &[(&str, &str)],
        adopted: &[String],
    ) -> String {
        let kept = kept.iter().map(|(step, why)| ((*step).to_owned(), (*why).to_owned())).collect();
        let (owned, adopted_resources) = match adopted.is_empty() {
            true => (inventory(), TeardownInventory::default()),
            false => (TeardownInventory::default(), inventory()),
        };
        let steps = fixture::steps();
        let resources = &Resources::default();
        let deletions = TeardownPreview {
            resources,
            steps: &steps,
            journal_state,
            adopted,
            kept,
            preconditions,
            owned,
            adopted_resources,
            purge: false,
        };
        let text = deletions.text(Styler::PLAIN);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        text
    }

    #[test]
    fn deletions_are_grouped_by_kind() {
        let journal_state =
            journal_state(&["resource-group", "key-vault", "cluster-ready", "dns"], &["preflight"]);
        insta::assert_snapshot!(shown(&journal_state, &TeardownPreconditions::default(), &[], &[]), @"
        Will be deleted
          9 objects in cluster aks-demo:
            1 ConfigMap, 2 Gateways, 6 HTTPRoutes
          3 DNS records in demo.example.com:
            app.demo.example.com, echo.demo.example.com, httpbin.demo.example.com
          kubeconfig /home/me/.kube/config:
            context, cluster and user aks-demo
          resource group rg-demo
            and in it: cluster aks-demo
                       network vnet-demo
                       key vault kv-demo
            (the vault can be recovered for 90 days; --purge ends that)

        Will be kept
          zone demo.example.com (found)
        ");
    }

    #[test]
    fn in_a_kept_group_each_resource_is_listed() {
        let inventory = TeardownInventory {
            group: None,
            in_group: in_group(&["cluster aks-demo", "subnet snet-aks of vnet-theirs"]),
            roles: 2,
            certificate: Some("gateway-tls-cert".into()),
            ..inventory()
        };
        insta::assert_snapshot!(deletions(&inventory, false, &Retention::default()).join("\n"), @"
        9 objects in cluster aks-demo:
          1 ConfigMap, 2 Gateways, 6 HTTPRoutes
        3 DNS records in demo.example.com:
          app.demo.example.com, echo.demo.example.com, httpbin.demo.example.com
        kubeconfig /home/me/.kube/config:
          context, cluster and user aks-demo
        2 roles on resources that are kept
        certificate gateway-tls-cert, in a vault that is kept
        cluster aks-demo
        subnet snet-aks of vnet-theirs
        ");
    }

    #[test]
    fn kept_resources_have_reasons_and_locks_are_listed() {
        let journal_state =
            journal_state(&["resource-group", "key-vault", "cluster-ready"], &["preflight", "dns"]);
        let scope = "/subscriptions/0f3a/resourceGroups/rg-demo/providers/Microsoft.KeyVault/vaults/kv-demo";
        let lock = Lock {
            id: format!("{scope}/providers/Microsoft.Authorization/locks/audit"),
            name: "audit".into(),
            scope: scope.into(),
            level: "CanNotDelete".into(),
            notes: Some("until the audit".into()),
        };
        let preconditions = TeardownPreconditions {
            locks: vec![Locked { lock, steps: vec!["key-vault".into()] }],
            in_group: vec!["vm-jump".into()],
            unseen: vec![
                "the contents of cluster aks-demo could not be listed and will be deleted with it: it is \
                 stopped"
                    .into(),
            ],
            ..TeardownPreconditions::default()
        };
        let kept = [(
            "cluster-ready",
            "it contains foreign resources: Deployment shop/web, Namespace shop (--with-strangers deletes \
             them too)",
        )];
        insta::assert_snapshot!(shown(&journal_state, &preconditions, &kept, &[]), @r#"
        Will be deleted
          9 objects in cluster aks-demo:
            1 ConfigMap, 2 Gateways, 6 HTTPRoutes
          3 DNS records in demo.example.com:
            app.demo.example.com, echo.demo.example.com, httpbin.demo.example.com
          kubeconfig /home/me/.kube/config:
            context, cluster and user aks-demo
          resource group rg-demo
            and in it: cluster aks-demo
                       network vnet-demo
                       key vault kv-demo
            (the vault can be recovered for 90 days; --purge ends that)

        Will be kept
          cluster ready cluster aks-istio-gateway-demo: it contains foreign resources:
            Deployment shop/web, Namespace shop (--with-strangers deletes them too)
          resource group rg-aks-istio-gateway-demo: it contains foreign resources:
            vm-jump
          DNS 4 records (found)

        Locked
          key vault kv-aks-istio-6743 in eastus: locked by audit (CanNotDelete) at
            kv-demo: "until the audit"

        Not checked
          the contents of cluster aks-demo could not be listed and will be deleted
            with it: it is stopped
        "#);
    }

    #[test]
    fn adopted_resources_have_their_own_heading() {
        let journal_state = journal_state(&["resource-group", "key-vault"], &[]);
        let adopted = ["resource-group".to_owned(), "key-vault".to_owned()];
        insta::assert_snapshot!(shown(&journal_state, &TeardownPreconditions::default(), &[], &adopted), @"
        Will also be deleted (--adopt), though landfall only found it
          9 objects in cluster aks-demo:
            1 ConfigMap, 2 Gateways, 6 HTTPRoutes
          3 DNS records in demo.example.com:
            app.demo.example.com, echo.demo.example.com, httpbin.demo.example.com
          kubeconfig /home/me/.kube/config:
            context, cluster and user aks-demo
          resource group rg-demo
            and in it: cluster aks-demo
                       network vnet-demo
                       key vault kv-demo
            (the vault can be recovered for 90 days; --purge ends that)
        ");
    }

    #[test]
    fn purge_protection_and_peered_networks_are_reported() {
        let journal_state = journal_state(&["resource-group", "network", "key-vault"], &[]);
        let vault = Retention { protected: true, days: Some(30) };
        let preconditions = TeardownPreconditions {
            vault,
            peered: vec!["vnet-hub in rg-hub".into()],
            ..TeardownPreconditions::default()
        };
        let mut steps = fixture::steps();
        let network = StepInfo { id: "network", ..steps[0].clone() };
        steps.push(network);
        let deletions = TeardownPreview {
            resources: &Resources::default(),
            steps: &steps,
            journal_state: &journal_state,
            adopted: &[],
            kept: BTreeMap::new(),
            preconditions: &preconditions,
            owned: inventory(),
            adopted_resources: TeardownInventory::default(),
            purge: true,
        };
        let text = deletions.text(Styler::PLAIN);
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains("--purge cannot end the retention of 30 days, until 20"), "{text}");
        assert!(flat.contains("their peering becomes Disconnected vnet-hub in rg-hub"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert_eq!(deletions.json()["peered"], json!(["vnet-hub in rg-hub"]));
    }

    #[test]
    fn resources_of_unknown_steps_are_listed() {
        let mut journal_state = journal_state(&["old-thing"], &[]);
        journal_state.0.get_mut("old-thing").unwrap().output = Some(json!({ "id": "/old/7" }));
        assert_eq!(unknown_steps(&fixture::steps(), &journal_state), ["  old thing: {\"id\":\"/old/7\"}"]);
    }
}
