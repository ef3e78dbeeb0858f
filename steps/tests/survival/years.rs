//! Years of renewals in seconds: the clock jumps from one due time to the next.

use crate::{
    acme::{STEPS, by_acme},
    environment::{Environment, START_TIME, fresh, home, replayable, report_text},
    foreign_resources::ForeignResources,
};
use jiff::{SignedDuration, Timestamp};
use landfall_cloud::arm::{self, Condition};
use landfall_engine::{Graph, Outcome, Report, up};
use landfall_sim::{Speed, state::CloudState};
use landfall_steps::{
    Clients, RenewalTarget, deployment,
    settings::{Settings, Teardown},
};
use serde_json::json;
use std::{path::Path, sync::Arc, time::Duration};

/// The profiles, and the whole days of their certificates.
const PROFILES: [(&str, i64); 3] = [("classic", 90), ("tlsserver", 45), ("shortlived", 6)];

/// The figures of some years.
#[derive(Debug, Default)]
struct Figures {
    renewals: usize,
    /// The seconds in which the newest version in the vault was expired.
    expired_seconds: i64,
    /// The orders that no limit counts.
    exempt: usize,
    orders: usize,
}

/// One environment, and its next due time.
struct Renewing {
    settings: Settings,
    due_at: Timestamp,
}

fn settings_of(env: &Environment, number: usize, domain: String, profile: &str) -> Settings {
    let mut settings = env.settings.clone();
    let mut acme = (**settings.certificate.acme.as_ref().unwrap()).clone();
    acme.profile = Some(profile.to_owned());
    settings.certificate.acme = Some(Arc::new(acme));
    settings.environment = format!("env-{number}");
    settings.certificate.name = format!("cert-{number}");
    settings.domain = domain;
    settings
}

async fn run(env: &Environment, clients: &Clients, graph: &Graph, folder: &Path, command: &str) -> Report {
    let (run, _events) = env.open_in(&folder.join(command), command, clients).await;
    up(graph, &run).await.unwrap()
}

/// Orders the first certificate of an environment.
async fn first(env: &Environment, settings: &Settings) {
    let (clients, folder) = (env.clients(), home());
    let (mut graph, _) = deployment(&clients, settings, &Teardown::default());
    graph.only(&STEPS);
    let report = run(env, &clients, &graph, folder.path(), "up").await;
    assert_eq!(report.outcome, Outcome::Ready, "{}", report_text(&report));
}

/// Jumps to the next due time, and renews the certificate as a process without settings and state does.
async fn renew_next(
    env: &Environment,
    all: &mut [Renewing],
    until: Timestamp,
    figures: &mut Figures,
) -> bool {
    let next = all.iter_mut().min_by_key(|one| one.due_at).expect("an environment");
    if next.due_at >= until {
        return false;
    }
    let clients = env.clients();
    let wait = next.due_at.duration_since(clients.clock().now());
    tokio::time::advance(Duration::try_from(wait).unwrap_or_default()).await;
    let target = RenewalTarget::find(&clients, &next.settings).await.unwrap();
    let state = target.state(&clients).await;
    assert!(state.is_due, "{state:?} at {}", clients.clock().now());
    let folder = home();
    let report = run(env, &clients, &target.graph(&clients, false), folder.path(), "renew").await;
    assert_eq!(report.outcome, Outcome::Ready, "{}", report_text(&report));
    figures.renewals += 1;
    let done = clients.clock().now();
    figures.expired_seconds += done.duration_since(state.not_after).as_secs().max(0);
    let state = RenewalTarget::find(&clients, &next.settings).await.unwrap().state(&clients).await;
    assert!(!state.is_due && state.not_after > done);
    next.due_at = state.due_at;
    true
}

fn count_orders(env: &Environment, figures: &mut Figures) {
    let sim = serde_json::to_value(env.sim.read(CloudState::clone)).unwrap();
    let orders = sim["acme"]["production"]["orders"].as_object().unwrap();
    figures.orders = orders.len();
    figures.exempt = orders.values().filter(|order| order["exempt"] == true).count();
    assert_eq!(sim["acme"]["production"]["accounts"].as_object().unwrap().len(), 1);
    assert!(!sim["dns"].to_string().contains("_acme-challenge"), "a TXT record is left");
}

/// Lets environments of a profile renew for some days.
fn years(profile: &str, environments: usize, days: i64) -> Figures {
    replayable(1, async {
        let mut env = Environment::new(fresh(), START_TIME, Speed::Instant);
        by_acme(&mut env);
        ForeignResources::create(&env).await;
        let group = env.clients().azure.path("/resourceGroups/rg-zones");
        let zones = ["one.example", "two.example"];
        let arm = env.clients().azure.arm().clone();
        arm.put(&group, arm::group::API, &json!({ "location": "eastus" }), Condition::None).await.unwrap();
        for zone in zones {
            let id = format!("{group}/providers/Microsoft.Network/dnszones/{zone}");
            arm.put(&id, arm::dns::API, &json!({ "location": "global" }), Condition::None).await.unwrap();
        }
        let (mut all, mut figures) = (Vec::new(), Figures::default());
        for number in 0..environments {
            let domain = format!("env-{number}.{}", zones[number % 2]);
            let mut settings = settings_of(&env, number, domain, profile);
            first(&env, &settings).await;
            settings.certificate.acme = None;
            settings.certificate.given = None;
            let clients = env.clients();
            let state = RenewalTarget::find(&clients, &settings).await.unwrap().state(&clients).await;
            all.push(Renewing { settings, due_at: state.due_at });
        }
        let until = env.clock().now() + SignedDuration::from_hours(24 * days);
        while renew_next(&env, &mut all, until, &mut figures).await {}
        count_orders(&env, &mut figures);
        figures
    })
}

fn env_number(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

/// The profile of six days renews for a shorter time, unless `LANDFALL_RENEWAL_DAYS` says otherwise.
#[test]
fn one_environment_of_each_profile_renews_for_two_years() {
    for (profile, lifetime) in PROFILES {
        let began = std::time::Instant::now();
        let days = env_number("LANDFALL_RENEWAL_DAYS", if lifetime < 10 { 120 } else { 730 });
        let figures = years(profile, 1, days as i64);
        println!("{profile}, {days} days: {figures:?} in {:.1} s", began.elapsed().as_secs_f64());
        assert_eq!(figures.expired_seconds, 0);
        let share = if lifetime < 10 { 2.0 } else { 1.5 };
        let expected = days as f64 / (lifetime as f64 / share);
        assert!((figures.renewals as f64 - expected).abs() < expected / 5.0 + 1.0, "{figures:?}");
        assert_eq!(figures.exempt, figures.renewals, "each is in its window");
    }
}

/// `LANDFALL_RENEWAL_DAYS=730` lets them renew for two years, which takes long; `LANDFALL_RENEWAL_PROFILE` chooses another
/// profile.
#[test]
fn sixty_environments_on_one_account_reach_no_limit() {
    let days = env_number("LANDFALL_RENEWAL_DAYS", 4);
    let wanted = std::env::var("LANDFALL_RENEWAL_PROFILE").unwrap_or_else(|_| "shortlived".to_owned());
    let began = std::time::Instant::now();
    let figures = years(&wanted, 60, days as i64);
    println!("{wanted}, 60 environments, {days} days: {figures:?} in {:.1} s", began.elapsed().as_secs_f64());
    assert_eq!(figures.expired_seconds, 0);
    assert_eq!((figures.exempt, figures.orders), (figures.renewals, figures.renewals + 60));
}
