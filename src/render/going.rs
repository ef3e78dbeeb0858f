//! What `down` is about to take away, what stays and why: said before anybody is asked.

use super::{paint::Paint, words};
use landfall_engine::{Memory, StepInfo};
use landfall_steps::{Holdings, Survey, holdings, settings::Settings};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Everything that is known before anything is touched.
pub struct Going<'a> {
    /// The steps, sources before those who need them.
    pub steps: &'a [StepInfo],
    /// What is remembered, with what is to be adopted counted as ours.
    pub memory: &'a Memory,
    /// The steps that are ours by adoption alone.
    pub adopted: &'a [String],
    /// What is not taken away by decision, with the reason, by step.
    pub kept: BTreeMap<String, String>,
    /// What was seen in the cloud.
    pub survey: &'a Survey,
    /// The settings with every name as it was made.
    pub settings: &'a Settings,
    /// The subscription's id.
    pub subscription: &'a str,
    /// The vault is purged too.
    pub purge: bool,
}

impl Going<'_> {
    fn is_ours(&self, step: &str) -> bool {
        self.memory.past(step).is_some_and(|past| past.ours)
    }

    /// The steps whose things go: ours, not kept, and the group only when nobody else has anything in it.
    pub fn steps(&self) -> Vec<&str> {
        let goes = |step: &&str| {
            self.is_ours(step)
                && landfall_steps::is_thing(step)
                && !self.kept.contains_key(*step)
                && !(*step == "resource-group" && !self.survey.in_group.is_empty())
        };
        self.steps.iter().map(|step| step.id).filter(goes).collect()
    }

    fn held(&self, adopted: bool) -> Holdings {
        let mut going = self.steps();
        going.retain(|step| self.adopted.iter().any(|one| one == step) == adopted);
        holdings(self.settings, self.memory, self.subscription, &going)
    }

    /// Returns the words; prose of at most eighty columns.
    pub fn text(&self, paint: Paint) -> String {
        let (ours, adopted) = (going(&self.held(false), self.purge), going(&self.held(true), self.purge));
        let mut parts = Vec::new();
        let unfinished = self.unfinished();
        if ours.is_empty() && adopted.is_empty() && unfinished.is_empty() {
            parts.push("Nothing will go.".to_owned());
        }
        let mut part = |heading: String, lines: Vec<String>| {
            if !lines.is_empty() {
                parts.push(format!("{heading}\n{}", lines.join("\n")));
            }
        };
        part(paint.strong("Will go"), ours);
        part(paint.warn("Will go too, by --adopt, though landfall only found it"), adopted);
        part(paint.strong("Will go, as far as it was begun"), unfinished);
        part(paint.strong("Stays"), self.stays().into_iter().map(|(what, why)| stay(&what, &why)).collect());
        let locks = self.survey.locks.iter().map(|locked| words::wrap("  ", &self.lock(locked), 80));
        part(paint.bad("Locked"), locks.collect());
        let strangers = strangers(self.steps, self.memory);
        part(paint.warn("Stays, though landfall made it: this version has no such step"), strangers);
        let unseen = self.survey.unseen.iter().map(|one| words::wrap("  ", one, 80));
        part(paint.warn("Not looked at"), unseen.collect());
        parts.join("\n\n")
    }

    /// What a run was in the middle of: nothing more is known of it than its name.
    fn unfinished(&self) -> Vec<String> {
        let going = self.steps();
        let begun = |step: &&StepInfo| {
            let held = ["resource-group", "network", "cluster", "key-vault"].contains(&step.id);
            let known = held || self.memory.past(step.id).is_some_and(|past| past.output.is_some());
            !known && going.contains(&step.id)
        };
        self.steps.iter().rev().filter(begun).map(|step| format!("  {}", self.subject(step.id))).collect()
    }

    /// What stays, each with the reason.
    fn stays(&self) -> Vec<(String, String)> {
        let mut stays: Vec<(String, String)> = Vec::new();
        let goes = |step: &str| self.steps().contains(&step);
        if goes("dns")
            && let Some(zone) = self.held(false).zone.or(self.held(true).zone)
        {
            stays.push((format!("zone {zone}"), "found".to_owned()));
        }
        let kept = |step: &&StepInfo| self.kept.contains_key(step.id) && self.is_ours(step.id);
        for step in self.steps.iter().rev().filter(kept) {
            stays.push((self.subject(step.id), self.kept[step.id].clone()));
        }
        if self.is_ours("resource-group")
            && !self.kept.contains_key("resource-group")
            && !self.survey.in_group.is_empty()
        {
            let why = format!("it holds what is not ours: {}", self.survey.in_group.join(", "));
            stays.push((self.subject("resource-group"), why));
        }
        for step in self.found() {
            stays.push((self.subject(step), "found".to_owned()));
        }
        stays
    }

    /// What was found and stands on nothing of ours: what stands on something of ours goes with it.
    fn found(&self) -> Vec<&str> {
        let mut ours: Vec<&str> = Vec::new();
        let mut found = Vec::new();
        for step in self.steps {
            let Some(past) = self.memory.past(step.id) else { continue };
            let below = step.after.iter().any(|source| ours.contains(source));
            if landfall_steps::is_thing(step.id) && (past.ours || below) {
                ours.push(step.id);
            } else if past.output.is_some() && !step.after.is_empty() {
                // What comes before everything else is a look around and no thing that could stay.
                found.push(step.id);
            }
        }
        found
    }

    fn lock(&self, locked: &landfall_steps::Locked) -> String {
        let subjects: Vec<String> = locked.steps.iter().map(|step| self.subject(step)).collect();
        format!("{}: {}", words::list(&subjects), lock(locked))
    }

    /// A step's thing as people call it: `key vault kv-demo`.
    fn subject(&self, step: &str) -> String {
        let Some(info) = self.steps.iter().find(|info| info.id == step) else { return words::name(step) };
        let name = words::name(step);
        format!("{name} {}", words::subject(&info.title, &name)).trim_end().to_owned()
    }

    /// Returns the same for a machine.
    pub fn json(&self) -> Value {
        let goes = self.steps().into_iter().rev().map(|step| {
            let adopted = self.adopted.iter().any(|one| one == step);
            json!({ "step": step, "what": self.subject(step), "adopted": adopted })
        });
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
        })
    }
}

/// Names a lock: `locked by keep (CanNotDelete) at vnet-demo: "until the audit"`.
pub fn lock(locked: &landfall_steps::Locked) -> String {
    let lock = &locked.lock;
    let at = lock.scope.rsplit('/').next().unwrap_or_default();
    let notes = lock.notes.as_ref().map(|notes| format!(": \"{notes}\"")).unwrap_or_default();
    format!("locked by {} ({}) at {at}{notes}", lock.name, lock.level)
}

/// The lines of what goes.
fn going(held: &Holdings, purge: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = |text: String| lines.push(words::wrap("  ", &text, 80));
    if !held.objects.is_empty() {
        let kinds: Vec<String> =
            held.objects.iter().map(|(kind, number)| words::count(*number, kind)).collect();
        let number = words::count(held.objects.values().sum(), "object");
        line(format!("{number} in cluster {}: {}", held.cluster, kinds.join(", ")));
    }
    if let Some(zone) = held.zone.as_ref().filter(|_| !held.hosts.is_empty()) {
        let number = words::count(held.hosts.len(), "DNS record");
        line(format!("{number} in {zone}: {}", held.hosts.join(", ")));
    }
    if let Some((file, context)) = &held.context {
        line(format!("kubeconfig {}: context, cluster and user {context}", file.display()));
    }
    if held.roles > 0 {
        line(format!("{} on things that stay", words::count(held.roles, "role")));
    }
    if let Some(certificate) = &held.certificate {
        line(format!("certificate {certificate}, in a vault that stays"));
    }
    let things = things(held);
    match &held.group {
        Some(group) if things.is_empty() => line(format!("resource group {group}")),
        Some(group) => {
            line(format!("resource group {group}"));
            lines.push(words::wrap("    and in it: ", &things.join(", "), 80));
        }
        None => things.into_iter().for_each(line),
    }
    if held.vault.is_some() {
        lines.push(match purge {
            true => "    (the vault is purged too: nothing in it can be recovered)".to_owned(),
            false => "    (the vault can be recovered for 90 days; --purge ends that)".to_owned(),
        });
    }
    lines
}

fn things(held: &Holdings) -> Vec<String> {
    let cluster = held.has_cluster.then(|| format!("cluster {}", held.cluster));
    let network = held.network.as_ref().map(|(network, subnet)| match subnet {
        Some(subnet) => format!("subnet {subnet} of {network}"),
        None => format!("network {network}"),
    });
    let vault = held.vault.as_ref().map(|vault| format!("key vault {vault}"));
    [cluster, network, vault].into_iter().flatten().collect()
}

fn stay(what: &str, why: &str) -> String {
    match why {
        "found" => words::wrap("  ", &format!("{what} (found)"), 80),
        why => words::wrap("  ", &format!("{what}: {why}"), 80),
    }
}

/// Returns what is ours and no step of this version knows.
pub fn strangers(steps: &[StepInfo], memory: &Memory) -> Vec<String> {
    let known = |id: &str| steps.iter().any(|step| step.id == id);
    let ours = memory.0.iter().filter(|(step, past)| past.ours && !known(step));
    ours.map(|(step, past)| stranger(step, past.output.as_ref().or(past.named.as_ref()))).collect()
}

/// Returns the step and what is remembered of its thing, as it stands in the journal.
pub fn stranger(step: &str, told: Option<&Value>) -> String {
    let told = told.map_or("nothing more is remembered of it".to_owned(), Value::to_string);
    words::wrap("  ", &format!("{}: {told}", words::name(step)), 80)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held() -> Holdings {
        let kinds = [("Gateway", 2), ("HTTPRoute", 6), ("ConfigMap", 1)];
        Holdings {
            objects: kinds.map(|(kind, number)| (kind.to_owned(), number)).into(),
            cluster: "aks-demo".into(),
            has_cluster: true,
            hosts: ["app", "echo", "httpbin"].map(|label| format!("{label}.demo.example.com")).into(),
            zone: Some("demo.example.com".into()),
            context: Some(("/home/me/.kube/config".into(), "aks-demo".into())),
            network: Some(("vnet-demo".into(), None)),
            vault: Some("kv-demo".into()),
            group: Some("rg-demo".into()),
            ..Holdings::default()
        }
    }

    #[test]
    fn what_will_go_is_grouped_as_a_person_thinks_of_it() {
        insta::assert_snapshot!(going(&held(), false).join("\n"), @"");
    }

    #[test]
    fn in_a_group_that_stays_each_thing_is_named_by_itself() {
        let joined = Some(("vnet-theirs".to_owned(), Some("snet-aks".to_owned())));
        let held = Holdings {
            group: None,
            network: joined,
            vault: None,
            roles: 2,
            certificate: Some("gateway-tls-cert".into()),
            ..held()
        };
        insta::assert_snapshot!(going(&held, false).join("\n"), @"");
    }
}
