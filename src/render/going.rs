//! The preview of `down`: what it deletes and what it keeps, with the reasons, before the question.

use super::{escape, paint::Paint, words};
use jiff::Timestamp;
use landfall_engine::{Memory, StepInfo};
use landfall_steps::{Holdings, Resources, Retention, Survey};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The data of the preview.
pub struct Going<'a> {
    /// What the steps own.
    pub resources: &'a Resources,
    /// The steps, dependencies first.
    pub steps: &'a [StepInfo],
    /// The recorded state; resources to adopt count as owned.
    pub memory: &'a Memory,
    /// The steps that are owned only by adoption.
    pub adopted: &'a [String],
    /// The reason for each step whose resource is kept.
    pub kept: BTreeMap<String, String>,
    /// The survey of the cloud.
    pub survey: &'a Survey,
    /// The owned resources to delete; see [`Going::weigh`].
    pub ours: Holdings,
    /// The resources to adopt and delete.
    pub theirs: Holdings,
    /// True if the vault is purged too.
    pub purge: bool,
}

impl Going<'_> {
    fn is_ours(&self, step: &str) -> bool {
        self.memory.past(step).is_some_and(|past| past.ours)
    }

    /// Returns the steps whose resources are deleted: owned, not kept, and the group only without foreign
    /// contents.
    pub fn steps(&self) -> Vec<&str> {
        let goes = |step: &&str| {
            self.is_ours(step)
                && self.resources.is_deletable(step)
                && !self.kept.contains_key(*step)
                && (*step != self.resources.group_step() || self.survey.in_group.is_empty())
        };
        self.steps.iter().map(|step| step.id).filter(goes).collect()
    }

    /// Fills in the resources to delete; the steps were wired with the recorded names.
    pub fn weigh(self) -> Self {
        let held = |adopted: bool| {
            let mut going = self.steps();
            going.retain(|step| self.adopted.iter().any(|one| one == step) == adopted);
            self.resources.holdings(self.memory, &going)
        };
        let (ours, theirs) = (held(false), held(true));
        Self { ours, theirs, ..self }
    }

    /// Returns the text, with at most eighty columns.
    pub fn text(&self, paint: Paint) -> String {
        let lines = |held: &Holdings| going(held, self.purge, &self.survey.vault);
        let (ours, adopted) = (lines(&self.ours), lines(&self.theirs));
        let mut parts = Vec::new();
        let unfinished = self.unfinished();
        if ours.is_empty() && adopted.is_empty() && unfinished.is_empty() {
            parts.push("Nothing will be deleted.".to_owned());
        }
        let mut part = |heading: String, lines: Vec<String>| {
            if !lines.is_empty() {
                parts.push(format!("{heading}\n{}", lines.join("\n")));
            }
        };
        part(paint.strong("Will be deleted"), ours);
        part(paint.warn("Will also be deleted (--adopt), though landfall only found it"), adopted);
        part(paint.strong("Will be deleted, as far as it was created"), unfinished);
        part(paint.warn("Peered with the network that goes; their side is disconnected"), self.peered());
        part(
            paint.strong("Will be kept"),
            self.stays().into_iter().map(|(what, why)| stay(&what, &why)).collect(),
        );
        let locks = self.survey.locks.iter().map(|locked| hanging(&self.lock(locked)));
        part(paint.bad("Locked"), locks.collect());
        let strangers = strangers(self.steps, self.memory);
        part(
            paint.warn("Will be kept, though landfall created it: this version has no such step"),
            strangers,
        );
        let unseen = self.survey.unseen.iter().map(|one| hanging(one));
        part(paint.warn("Not checked"), unseen.collect());
        parts.join("\n\n")
    }

    /// Returns the networks that lose their peering.
    fn peered(&self) -> Vec<String> {
        match self.steps().contains(&self.resources.network_step()) {
            true => self.survey.peered.iter().map(|name| hanging(name)).collect(),
            false => Vec::new(),
        }
    }

    /// Returns the resources that a run left unfinished: only their names are known.
    fn unfinished(&self) -> Vec<String> {
        let going = self.steps();
        let begun = |step: &&StepInfo| {
            !self.resources.is_identified(step.id, self.memory) && going.contains(&step.id)
        };
        self.steps.iter().rev().filter(begun).map(|step| format!("  {}", self.subject(step.id))).collect()
    }

    /// Returns the kept resources, each with the reason.
    fn stays(&self) -> Vec<(String, String)> {
        let mut stays: Vec<(String, String)> = Vec::new();
        // The records are deleted, and their zone is not.
        if self.steps().contains(&self.resources.dns_step())
            && let Some(zone) = self.ours.zone.as_ref().or(self.theirs.zone.as_ref())
        {
            stays.push((format!("zone {zone}"), "found".to_owned()));
        }
        let kept = |step: &&StepInfo| {
            self.resources.is_deletable(step.id) && self.kept.contains_key(step.id) && self.is_ours(step.id)
        };
        for step in self.steps.iter().rev().filter(kept) {
            stays.push((self.subject(step.id), self.kept[step.id].clone()));
        }
        let group = self.resources.group_step();
        if self.is_ours(group) && !self.kept.contains_key(group) && !self.survey.in_group.is_empty() {
            let why = format!("it contains foreign resources: {}", self.survey.in_group.join(", "));
            stays.push((self.subject(group), why));
        }
        for step in self.found() {
            stays.push((self.subject(step), "found".to_owned()));
        }
        stays
    }

    /// Returns the found resources without an owned parent: those with one are deleted with it.
    fn found(&self) -> Vec<&str> {
        let mut ours: Vec<&str> = Vec::new();
        let mut found = Vec::new();
        for step in self.steps {
            let Some(past) = self.memory.past(step.id) else { continue };
            let below = step.after.iter().any(|source| ours.contains(source));
            if self.resources.is_deletable(step.id) && (past.ours || below) {
                ours.push(step.id);
            } else if past.output.is_some() && !step.after.is_empty() {
                // The steps before all others only check and have no resource to keep.
                found.push(step.id);
            }
        }
        found
    }

    fn lock(&self, locked: &landfall_steps::Locked) -> String {
        let subjects: Vec<String> = locked.steps.iter().map(|step| self.subject(step)).collect();
        format!("{}: {}", words::list(&subjects), lock(locked))
    }

    /// Returns a step's resource in display form: `key vault kv-demo`.
    fn subject(&self, step: &str) -> String {
        let Some(info) = self.steps.iter().find(|info| info.id == step) else { return words::name(step) };
        let name = words::name(step);
        match info.title.to_lowercase().contains(&name) {
            true => info.title.clone(),
            false => format!("{name} {}", info.title),
        }
    }

    /// Returns the same as JSON.
    pub fn json(&self) -> Value {
        let goes = self.steps().into_iter().rev().map(|step| {
            let adopted = self.adopted.iter().any(|one| one == step);
            json!({ "step": step, "what": self.subject(step), "adopted": adopted })
        });
        let goes_network = self.steps().contains(&self.resources.network_step());
        let stays = self.stays().into_iter().map(|(what, why)| json!({ "what": what, "why": why }));
        let locks = self.survey.locks.iter().map(|locked| {
            let lock = &locked.lock;
            json!({
                "id": lock.id, "name": lock.name, "scope": lock.scope, "level": lock.level, "notes": lock.notes,
                "steps": locked.steps,
            })
        });
        json!({
            "goes": goes.collect::<Vec<_>>(), "stays": stays.collect::<Vec<_>>(), "locks": locks.collect::<Vec<_>>(),
            "unseen": self.survey.unseen,
            "peered": if goes_network { self.survey.peered.clone() } else { Vec::new() },
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
fn going(held: &Holdings, purge: bool, retention: &Retention) -> Vec<String> {
    let mut lines = Vec::new();
    let line = |text: String| words::wrap("  ", &text, 80);
    if !held.objects.is_empty() {
        let kinds: Vec<String> =
            held.objects.iter().map(|(kind, number)| words::count(*number, kind)).collect();
        let number = words::count(held.objects.values().sum(), "object");
        lines.push(format!("  {number} in cluster {}:", held.cluster));
        lines.push(words::wrap("    ", &kinds.join(", "), 80));
    }
    if let Some(zone) = held.zone.as_ref().filter(|_| !held.hosts.is_empty()) {
        let number = words::count(held.hosts.len(), "DNS record");
        lines.push(format!("  {number} in {zone}:"));
        lines.push(words::wrap("    ", &held.hosts.join(", "), 80));
    }
    if let Some((file, context)) = &held.context {
        lines.push(format!("  kubeconfig {}:", file.display()));
        lines.push(words::wrap("    ", &format!("context, cluster and user {context}"), 80));
    }
    if held.roles > 0 {
        lines.push(line(format!("{} on resources that are kept", words::count(held.roles, "role"))));
    }
    if let Some(certificate) = &held.certificate {
        lines.push(line(format!("certificate {certificate}, in a vault that is kept")));
    }
    let things = held.in_group.iter().map(|resource| &resource.text);
    match &held.group {
        Some(group) => {
            lines.push(line(format!("resource group {group}")));
            lines.extend(things.enumerate().map(|(at, thing)| {
                format!("    {} {thing}", if at == 0 { "and in it:" } else { "          " })
            }));
        }
        None => lines.extend(things.map(|thing| line(thing.clone()))),
    }
    if held.in_group.iter().any(|resource| resource.recoverable) {
        lines.push(words::wrap("    ", vault_line(purge, retention).trim_start(), 80));
    }
    lines
}

/// Returns a list entry; further lines are indented below the first.
fn hanging(text: &str) -> String {
    words::wrap("  ", text, 78).replace("\n  ", "\n    ")
}

fn stay(what: &str, why: &str) -> String {
    match why {
        "found" => hanging(&format!("{what} (found)")),
        why => hanging(&format!("{what}: {why}")),
    }
}

/// Returns the owned resources of steps that this version does not know.
pub fn strangers(steps: &[StepInfo], memory: &Memory) -> Vec<String> {
    let known = |id: &str| steps.iter().any(|step| step.id == id);
    let ours = memory.0.iter().filter(|(step, past)| past.ours && !known(step));
    ours.map(|(step, past)| stranger(step, past.output.as_ref().or(past.named.as_ref()))).collect()
}

/// Returns the step and its recorded resource, as in the journal.
pub fn stranger(step: &str, told: Option<&Value>) -> String {
    let told = told.map_or("the journal has no more about it".to_owned(), Value::to_string);
    words::wrap("  ", &format!("{}: {told}", words::name(step)), 80)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixture;
    use landfall_cloud::arm::Lock;
    use landfall_engine::Past;
    use landfall_steps::{ListedResource, Locked};

    fn held() -> Holdings {
        let kinds = [("Gateway", 2), ("HTTPRoute", 6), ("ConfigMap", 1)];
        Holdings {
            objects: kinds.map(|(kind, number)| (kind.to_owned(), number)).into(),
            cluster: "aks-demo".into(),
            hosts: ["app", "echo", "httpbin"].map(|label| format!("{label}.demo.example.com")).into(),
            zone: Some("demo.example.com".into()),
            context: Some(("/home/me/.kube/config".into(), "aks-demo".into())),
            in_group: in_group(&["cluster aks-demo", "network vnet-demo", "key vault kv-demo"]),
            group: Some("rg-demo".into()),
            ..Holdings::default()
        }
    }

    fn in_group(texts: &[&str]) -> Vec<ListedResource> {
        let listed = |text: &&str| ListedResource {
            text: (*text).to_owned(),
            recoverable: text.starts_with("key vault"),
        };
        texts.iter().map(listed).collect()
    }

    fn memory(ours: &[&str], found: &[&str]) -> Memory {
        let mut memory = Memory::default();
        for step in ours.iter().chain(found) {
            let mut past = Past::default();
            past.ours = ours.contains(step);
            past.output = Some(Value::Null);
            memory.0.insert((*step).to_owned(), past);
        }
        memory
    }

    fn shown(memory: &Memory, survey: &Survey, kept: &[(&str, &str)], adopted: &[String]) -> String {
        let kept = kept.iter().map(|(step, why)| ((*step).to_owned(), (*why).to_owned())).collect();
        let (ours, theirs) = match adopted.is_empty() {
            true => (held(), Holdings::default()),
            false => (Holdings::default(), held()),
        };
        let steps = fixture::steps();
        let resources = &Resources::default();
        let going =
            Going { resources, steps: &steps, memory, adopted, kept, survey, ours, theirs, purge: false };
        let text = going.text(Paint::PLAIN);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        text
    }

    #[test]
    fn what_will_go_is_grouped_as_a_person_thinks_of_it() {
        let memory = memory(&["resource-group", "key-vault", "cluster-ready", "dns"], &["preflight"]);
        insta::assert_snapshot!(shown(&memory, &Survey::default(), &[], &[]), @"
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
    fn in_a_group_that_stays_each_thing_is_named_by_itself() {
        let held = Holdings {
            group: None,
            in_group: in_group(&["cluster aks-demo", "subnet snet-aks of vnet-theirs"]),
            roles: 2,
            certificate: Some("gateway-tls-cert".into()),
            ..held()
        };
        insta::assert_snapshot!(going(&held, false, &Retention::default()).join("\n"), @"
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
    fn what_stays_says_why_and_locks_are_named() {
        let memory = memory(&["resource-group", "key-vault", "cluster-ready"], &["preflight", "dns"]);
        let scope = "/subscriptions/0f3a/resourceGroups/rg-demo/providers/Microsoft.KeyVault/vaults/kv-demo";
        let lock = Lock {
            id: format!("{scope}/providers/Microsoft.Authorization/locks/audit"),
            name: "audit".into(),
            scope: scope.into(),
            level: "CanNotDelete".into(),
            notes: Some("until the audit".into()),
        };
        let survey = Survey {
            locks: vec![Locked { lock, steps: vec!["key-vault".into()] }],
            in_group: vec!["vm-jump".into()],
            unseen: vec![
                "the contents of cluster aks-demo could not be listed and will be deleted with it: it is \
                 stopped"
                    .into(),
            ],
            ..Survey::default()
        };
        let kept = [(
            "cluster-ready",
            "it contains foreign resources: Deployment shop/web, Namespace shop (--with-strangers deletes \
             them too)",
        )];
        insta::assert_snapshot!(shown(&memory, &survey, &kept, &[]), @r#"
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
    fn what_was_only_found_has_a_heading_of_its_own() {
        let memory = memory(&["resource-group", "key-vault"], &[]);
        let adopted = ["resource-group".to_owned(), "key-vault".to_owned()];
        insta::assert_snapshot!(shown(&memory, &Survey::default(), &[], &adopted), @"
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
    fn purge_protection_and_peered_networks_are_announced() {
        let memory = memory(&["resource-group", "network", "key-vault"], &[]);
        let vault = Retention { protected: true, days: Some(30) };
        let survey = Survey { vault, peered: vec!["vnet-hub in rg-hub".into()], ..Survey::default() };
        let mut steps = fixture::steps();
        let network = StepInfo { id: "network", ..steps[0].clone() };
        steps.push(network);
        let going = Going {
            resources: &Resources::default(),
            steps: &steps,
            memory: &memory,
            adopted: &[],
            kept: BTreeMap::new(),
            survey: &survey,
            ours: held(),
            theirs: Holdings::default(),
            purge: true,
        };
        let text = going.text(Paint::PLAIN);
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains("--purge cannot end the retention of 30 days, until 20"), "{text}");
        assert!(flat.contains("their side is disconnected vnet-hub in rg-hub"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert_eq!(going.json()["peered"], json!(["vnet-hub in rg-hub"]));
    }

    #[test]
    fn what_this_version_has_no_step_for_is_told() {
        let mut memory = memory(&["old-thing"], &[]);
        memory.0.get_mut("old-thing").unwrap().output = Some(json!({ "id": "/old/7" }));
        assert_eq!(strangers(&fixture::steps(), &memory), ["  old thing: {\"id\":\"/old/7\"}"]);
    }
}
