//! The TXT records in which an order is validated, and what prevents their validation.

use super::{Acme, caa};
use crate::settings::Settings;
use landfall_cloud::{
    ApiError,
    acme::{NameServers, Server},
    arm::{Record, SubscriptionClient, Zone, dns::relative},
};
use std::collections::BTreeMap;

/// The maximum number of names in one certificate (Let's Encrypt, profile classic).
pub const NAMES_MAX: usize = 100;

/// The label of the records.
const LABEL: &str = "_acme-challenge";

/// The names of a certificate and the record of each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// The names, as ordered.
    pub(crate) names: Vec<String>,
    /// The record of each name.
    pub(crate) validations: Vec<Validation>,
    /// The obstacles to the order.
    pub(crate) obstacles: Vec<Obstacle>,
    /// Effects that a person should know.
    pub(crate) notes: Vec<String>,
    zones: Vec<(Zone, Vec<Record>)>,
}

/// The record in which a name is validated.
#[derive(Clone, Debug)]
pub(crate) struct Validation {
    /// The name, `example.com` or `*.example.com`.
    pub(crate) name: String,
    /// The zone of the record.
    pub(crate) zone: Zone,
    /// The record's name relative to the zone.
    pub(crate) record: String,
}

impl Validation {
    /// Returns the whole name of the record.
    pub(crate) fn fqdn(&self) -> String {
        format!("{}.{}", self.record, self.zone.name)
    }
}

/// A reason why an order would fail, with its remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Obstacle {
    /// Its code, by which a diagnosis knows it.
    pub(crate) code: Option<&'static str>,
    /// True if a setting is wrong, rather than the cloud.
    pub(crate) is_input: bool,
    /// The reason.
    pub(crate) why: String,
    /// The remedy.
    pub(crate) fix: String,
}

impl Obstacle {
    pub(super) fn refused(why: String, fix: impl Into<String>) -> Self {
        Self { code: None, is_input: false, why, fix: fix.into() }
    }

    pub(super) fn input(why: String, fix: impl Into<String>) -> Self {
        Self { code: None, is_input: true, why, fix: fix.into() }
    }

    pub(super) fn code(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }
}

/// The settings from which the plan follows.
#[derive(Clone)]
pub(crate) struct Planner {
    azure: SubscriptionClient,
    name_servers: NameServers,
    domain: String,
    hosts: Vec<String>,
    names: Vec<String>,
    zone: Option<String>,
    group: Option<String>,
}

impl Planner {
    pub(crate) fn new(
        azure: &SubscriptionClient,
        name_servers: NameServers,
        acme: &Acme,
        s: &Settings,
    ) -> Self {
        Self {
            azure: azure.clone(),
            name_servers,
            domain: s.domain.clone(),
            hosts: s.hosts(),
            names: acme.names.clone(),
            zone: s.dns.zone.clone(),
            group: s.dns.resource_group.clone(),
        }
    }

    /// Returns the zone and its resource group, as far as the settings choose them.
    pub(super) fn chosen_zone(&self) -> (Option<String>, Option<String>) {
        (self.zone.clone(), self.group.clone())
    }

    /// Returns the desired names: the given ones, or the domain, its wildcard, and every host that they do not cover.
    pub(crate) fn names(&self) -> Vec<String> {
        desired_names(&self.names, &self.domain, &self.hosts)
    }

    /// Reads the zones and finds the record of each name.
    ///
    /// # Errors
    /// Returns the error of the request.
    pub(crate) async fn plan(&self) -> Result<Plan, ApiError> {
        let listed = match &self.group {
            Some(group) => self.azure.zones_in(group).await?,
            None => self.azure.zones().await?,
        };
        let mut reader = ZoneReader { planner: self, listed, read: BTreeMap::new(), obstacles: Vec::new() };
        let mut names = self.names();
        let mut notes = Vec::new();
        let mut validations = reader.validations(&names).await?;
        let wildcard_fails = validations.len() < names.len() && self.names.is_empty();
        if wildcard_fails && !self.hosts.is_empty() {
            // The record of the wildcard may be another party's, while those of the hosts are not.
            let first = std::mem::take(&mut reader.obstacles);
            let of_hosts = reader.validations(&self.hosts).await?;
            if reader.obstacles.is_empty() {
                notes.extend(first.iter().map(|one| format!("no wildcard certificate: {}", one.why)));
                (names, validations) = (self.hosts.clone(), of_hosts);
            } else {
                reader.obstacles = first;
            }
        }
        let mut obstacles = reader.obstacles;
        if names.len() > NAMES_MAX {
            obstacles.push(Obstacle::input(
                format!(
                    "the certificate would have {} names, and at most {NAMES_MAX} are possible",
                    names.len()
                ),
                "set certificate.acme.names to fewer names; a wildcard covers all hosts of one level",
            ));
        }
        let zones: Vec<(Zone, Vec<Record>)> = reader.read.into_values().collect();
        notes.extend(validations.iter().filter_map(|one| hidden_by(one, &zones)));
        notes.sort();
        notes.dedup();
        Ok(Plan { names, validations, obstacles, notes, zones })
    }

    /// Adds what only the public DNS and the server know: whether the zones are delegated, and whether CAA records allow
    /// the authority. `account` is the address of the account, empty if there is none yet, `None` if it is not known.
    pub(crate) async fn check(&self, plan: &mut Plan, server: &Server, account: Option<&str>) {
        let mut used: Vec<&Zone> = plan.validations.iter().map(|one| &one.zone).collect();
        used.sort_by(|one, other| one.id.cmp(&other.id));
        used.dedup_by(|one, other| one.id == other.id);
        let mut found = Vec::new();
        for zone in used {
            match self.name_servers.delegation(&zone.name).await {
                Ok(delegated) => found.extend(not_delegated(zone, &delegated)),
                Err(error) => {
                    plan.notes.push(format!("the delegation of {} is not known: {error}", zone.name))
                }
            }
        }
        for validation in &plan.validations {
            let identities = server.directory().caa_identities();
            let name = &validation.name;
            found.extend(caa::check(&self.name_servers, name, &plan.zones, identities, account).await);
        }
        plan.obstacles.extend(found);
        plan.obstacles.dedup();
    }
}

/// Returns the names to order; see [`Planner::names`].
pub(crate) fn desired_names(names: &[String], domain: &str, hosts: &[String]) -> Vec<String> {
    if !names.is_empty() {
        return names.to_vec();
    }
    let wildcard = format!("*.{domain}");
    let is_covered = |host: &String| {
        host == domain
            || *host == wildcard
            || host.split_once('.').is_some_and(|(_, parent)| parent == domain)
    };
    let others: Vec<String> = hosts.iter().filter(|host| !is_covered(host)).cloned().collect();
    let mut all = vec![domain.to_owned(), wildcard];
    all.extend(others);
    all
}

/// The zones that were read so far.
struct ZoneReader<'a> {
    planner: &'a Planner,
    listed: Vec<Zone>,
    read: BTreeMap<String, (Zone, Vec<Record>)>,
    obstacles: Vec<Obstacle>,
}

impl ZoneReader<'_> {
    async fn validations(&mut self, names: &[String]) -> Result<Vec<Validation>, ApiError> {
        let mut validations = Vec::new();
        for name in names {
            match self.locate(name).await? {
                Ok(validation) => validations.push(validation),
                Err(obstacle) if !self.obstacles.contains(&obstacle) => self.obstacles.push(obstacle),
                Err(_) => {}
            }
        }
        Ok(validations)
    }

    /// Finds the record of a name. A CNAME at exactly this name moves it to its target.
    async fn locate(&mut self, name: &str) -> Result<Result<Validation, Obstacle>, ApiError> {
        let base = name.strip_prefix("*.").unwrap_or(name);
        let mut fqdn = format!("{LABEL}.{base}");
        // A target may have a CNAME again; a loop ends here.
        for _ in 0..4 {
            let zone = match self.zone_of(&fqdn, name).await? {
                Ok(zone) => zone,
                Err(obstacle) => return Ok(Err(obstacle)),
            };
            let record = relative(&fqdn, &zone.name).unwrap_or_default();
            let sets = self.sets(&zone).await?;
            if let Some(set) = sets.iter().find(|set| delegates(set, &record)) {
                let why = format!(
                    "NS record {} of zone {} delegates {fqdn} to {}",
                    set.name,
                    zone.name,
                    set.values.join(", ")
                );
                return Ok(Err(Obstacle::refused(
                    why,
                    format!(
                        "delete the NS record, create the zone {}.{} in this subscription, or set certificate.acme.names to \
                     names outside it",
                        set.name, zone.name
                    ),
                )));
            }
            let alias = sets.iter().find(|set| set.kind == "CNAME" && set.is_named(&record));
            let Some(target) = alias.and_then(|set| set.values.first()) else {
                return Ok(Ok(Validation { name: name.to_owned(), zone, record }));
            };
            fqdn = target.trim_end_matches('.').to_ascii_lowercase();
        }
        let why = format!("the CNAME records of {LABEL}.{base} form a loop");
        Ok(Err(Obstacle::refused(why, "delete one of the CNAME records")))
    }

    /// Returns the zone of the longest name above `fqdn`.
    async fn zone_of(&mut self, fqdn: &str, name: &str) -> Result<Result<Zone, Obstacle>, ApiError> {
        let above = |zone: &&Zone| relative(fqdn, &zone.name).is_some();
        let chosen = self.planner.zone.as_deref();
        let is_chosen = |zone: &&Zone| chosen.is_some_and(|chosen| zone.name.eq_ignore_ascii_case(chosen));
        let mut fitting: Vec<Zone> = self.listed.iter().filter(above).filter(is_chosen).cloned().collect();
        if fitting.is_empty() {
            let longest = self.listed.iter().filter(above).map(|zone| zone.name.len()).max();
            let longest = |zone: &&Zone| Some(zone.name.len()) == longest;
            fitting = self.listed.iter().filter(above).filter(longest).cloned().collect();
        }
        if fitting.len() > 1 {
            let delegated = self.planner.name_servers.delegation(&fitting[0].name).await.unwrap_or_default();
            let served = |zone: &Zone| zone.name_servers.iter().any(|server| delegated.contains(server));
            if fitting.iter().any(served) {
                fitting.retain(served);
            }
        }
        Ok(match fitting.as_slice() {
            [zone] => Ok(zone.clone()),
            [] => Err(no_zone(fqdn, name, &self.planner.domain)),
            several => {
                let groups: Vec<&str> = several.iter().map(Zone::resource_group).collect();
                Err(Obstacle::input(
                    format!(
                        "{} zones are called {}, in {}",
                        several.len(),
                        several[0].name,
                        groups.join(", ")
                    ),
                    "select one with dns.resource_group (DNS_ZONE_RG)",
                ))
            }
        })
    }

    async fn sets(&mut self, zone: &Zone) -> Result<Vec<Record>, ApiError> {
        if let Some((_, sets)) = self.read.get(&zone.id) {
            return Ok(sets.clone());
        }
        let sets = self.planner.azure.record_sets(zone).await?;
        self.read.insert(zone.id.clone(), (zone.clone(), sets.clone()));
        Ok(sets)
    }
}

fn no_zone(fqdn: &str, name: &str, domain: &str) -> Obstacle {
    let own = format!("{LABEL}.{}", name.strip_prefix("*.").unwrap_or(name));
    if fqdn != own {
        return Obstacle::refused(
            format!("CNAME record {own} leads to {fqdn}, which is in no zone of this subscription"),
            "delete the CNAME record, or let it lead into a zone of this subscription",
        )
        .code("NoZone");
    }
    if name.trim_start_matches("*.") == domain {
        return Obstacle::input(
            format!("no zone of this subscription contains {name}, and ACME validates it there"),
            format!(
                "create the zone {domain} or one above it in Azure DNS and delegate it, set domain to a name in a zone, or \
                 set certificate.issuer = \"self-signed\""
            ),
        )
        .code("NoZone");
    }
    Obstacle::input(
        format!("no zone of this subscription contains {name}, and ACME validates it there"),
        format!("remove {name} from certificate.acme.names, or create its zone in Azure DNS"),
    )
    .code("NoZone")
}

/// Returns whether an NS record set delegates a name to other name servers. That of the zone itself delegates none.
fn delegates(set: &Record, name: &str) -> bool {
    let delegated = set.name.to_ascii_lowercase();
    let is_below = || name.strip_suffix(&delegated).is_some_and(|rest| rest.ends_with('.'));
    set.kind == "NS" && delegated != "@" && (name == delegated || is_below())
}

/// Compares the delegation in the public DNS with the zone's own name servers.
fn not_delegated(zone: &Zone, delegated: &[String]) -> Option<Obstacle> {
    if zone.name_servers.is_empty() || delegated.iter().any(|server| zone.name_servers.contains(server)) {
        return None;
    }
    let why = match delegated.is_empty() {
        true => {
            format!("the public DNS has no delegation of {}, so no resolver finds its records", zone.name)
        }
        false => format!("the public DNS delegates {} to {}", zone.name, delegated.join(", ")),
    };
    let fix = format!(
        "enter these name servers for {} at its registrar or in the zone above it: {}",
        zone.name,
        zone.name_servers.join(", ")
    );
    Some(Obstacle::refused(why, fix).code("ZoneNotDelegated"))
}

/// Returns a note if the record hides a wildcard address: a name below which a record exists is an existing name.
fn hidden_by(validation: &Validation, zones: &[(Zone, Vec<Record>)]) -> Option<String> {
    let (_, sets) = zones.iter().find(|(zone, _)| zone.id == validation.zone.id)?;
    let host = validation.record.strip_prefix(LABEL)?.strip_prefix('.')?;
    let (_, parent) = host.split_once('.').unwrap_or((host, ""));
    let wildcard = if parent.is_empty() { "*".to_owned() } else { format!("*.{parent}") };
    let has = |name: &str| {
        sets.iter().any(|set| set.is_named(name) && matches!(set.kind.as_str(), "A" | "AAAA" | "CNAME"))
    };
    let is_hidden = has(&wildcard) && !sets.iter().any(|set| set.is_named(host));
    is_hidden.then(|| {
        format!(
            "while {} exists, the wildcard record {wildcard} of zone {} does not answer for {host}.{}",
            validation.fqdn(),
            validation.zone.name,
            validation.zone.name
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(kind: &str, name: &str, value: &str) -> Record {
        Record {
            name: name.to_owned(),
            kind: kind.to_owned(),
            addresses: Vec::new(),
            values: vec![value.to_owned()],
            ttl: 300,
            metadata: BTreeMap::new(),
            etag: String::new(),
        }
    }

    fn zone() -> Zone {
        let name_servers = vec!["ns1-08.azure-dns.com".to_owned(), "ns2-08.azure-dns.net".to_owned()];
        Zone { id: "z".to_owned(), name: "example.com".to_owned(), name_servers }
    }

    #[test]
    fn the_names_are_the_domain_its_wildcard_and_the_hosts_that_they_do_not_cover() {
        let hosts = ["app.example.com", "a.b.example.com", "example.com"].map(str::to_owned);
        assert_eq!(
            desired_names(&[], "example.com", &hosts),
            ["example.com", "*.example.com", "a.b.example.com"]
        );
        let given = vec!["one.example.com".to_owned()];
        assert_eq!(desired_names(&given, "example.com", &hosts), given);
    }

    #[test]
    fn a_zone_that_others_serve_is_an_obstacle() {
        assert_eq!(not_delegated(&zone(), &["ns2-08.azure-dns.net".to_owned()]), None);
        let elsewhere = not_delegated(&zone(), &["ns.registrar.example".to_owned()]).unwrap();
        assert!(elsewhere.why.ends_with("delegates example.com to ns.registrar.example"), "{elsewhere:?}");
        assert!(not_delegated(&zone(), &[]).unwrap().fix.contains("ns1-08.azure-dns.com"));
    }

    #[test]
    fn a_record_below_a_name_hides_the_wildcard_for_it() {
        let validation =
            Validation { name: "demo.example.com".into(), zone: zone(), record: format!("{LABEL}.demo") };
        let hidden = |sets: Vec<Record>| hidden_by(&validation, &[(zone(), sets)]);
        assert!(hidden(vec![set("A", "*", "203.0.113.1")]).is_some());
        assert!(hidden(vec![set("A", "*", "203.0.113.1"), set("A", "demo", "203.0.113.1")]).is_none());
        assert!(hidden(vec![set("A", "other", "203.0.113.1")]).is_none());
    }
}
