//! The renewal of a certificate without a state folder: whether it is due, and the few steps that renew it.
//!
//! A scheduled job may start on a new machine each time. All that it needs to know is in the vault: the certificate,
//! its tags, and the tags of the account key.

use crate::{
    Clients,
    certificate::{Certificate, acme, renewal::backstop},
    cluster_ready,
    error_context::ErrorContext,
    expiry,
    graph::Records,
    key_vault::{KeyVault, Vault},
    names,
    settings::{Renewal, Settings},
};
use jiff::{SignedDuration, Timestamp};
use landfall_cloud::{ReadyCluster, acme::certificate_id, arm::SubscriptionClient, vault::StoredCertificate};
use landfall_engine::{Check, Context, Graph, Kind, Leftover, Step, StepError, UndoOutcome};
use std::{collections::BTreeMap, time::Duration};

/// Days before expiry from which a self-signed certificate is renewed, if the settings name none.
const SELF_SIGNED_DAYS: i64 = 30;

/// The delays after failures in a row; the last one repeats.
const BACKOFF: [SignedDuration; 4] = [
    SignedDuration::from_mins(1),
    SignedDuration::from_mins(10),
    SignedDuration::from_mins(100),
    SignedDuration::from_hours(24),
];

/// The tags of the account key with the failures of renewals.
const FAILURES: &str = "renew-failures";
const NEXT_ATTEMPT: &str = "renew-not-before";

/// The state of a certificate with regard to its renewal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewalState {
    /// True if it is to be renewed now.
    pub is_due: bool,
    /// The time from which it is due.
    pub due_at: Timestamp,
    /// The reason for that time.
    pub reason: String,
    /// The end of its validity.
    pub not_after: Timestamp,
    /// The remaining whole days.
    pub days_left: i64,
    /// The time before which no attempt is made, after failures.
    pub not_before: Option<Timestamp>,
    /// The failures in a row.
    pub failures: usize,
    /// True if the environment has a cluster that serves the certificate.
    pub has_cluster: bool,
}

/// Reads the certificate and decides whether it is due. Sends only reads.
///
/// # Errors
/// Fails if the vault or the certificate does not exist, is not owned, or comes from a PFX file.
pub async fn renewal_state(c: &Clients, s: &Settings, now: Timestamp) -> Result<RenewalState, StepError> {
    let (vault, stored) = held(c, s).await?;
    let mark = names::mark(s, c.azure.id());
    let is_owned = stored.tags.get(names::OWNER) == Some(&mark);
    let acme = s.certificate.acme.as_ref();
    let self_signed = crate::certificate::is_self_signed(&stored);
    if let (None, None, true, Some(directory)) =
        (acme, &s.certificate.given, is_owned, stored.tags.get(acme::DIRECTORY_TAG))
    {
        return Err(StepError::new(Kind::Input, format!("renew certificate {}", s.certificate.name))
            .cause(format!("the ACME server {directory} issued it, and certificate.issuer is not \"acme\""))
            .hint("add --issuer acme, or certificate.issuer = \"acme\" to landfall.toml")
            .leftover(Leftover::Nothing));
    }
    if s.certificate.given.is_some() || !is_owned || (acme.is_none() && !self_signed) {
        return Err(StepError::new(Kind::Input, format!("renew certificate {}", s.certificate.name))
            .cause(match is_owned {
                true => "it comes from a PFX file, and only its owner can replace it".to_owned(),
                false => format!("landfall did not create the certificate in {}", vault.name),
            })
            .hint("pass the new certificate as a PFX file: landfall rotate --pfx FILE")
            .leftover(Leftover::Nothing));
    }
    let (due_at, reason) = match acme {
        Some(acme) => due_by_acme(c, acme, &mark, &stored).await,
        None => due_by_days(s, &stored),
    };
    let tags = failure_tags(c, s, &vault).await?;
    let not_before = tags.get(NEXT_ATTEMPT).and_then(|text| text.parse::<Timestamp>().ok());
    let cluster = c.azure.cluster(&s.resource_group, &s.cluster.name).await;
    let has_cluster = cluster
        .is_ok_and(|body| body.is_some_and(|body| cluster_ready::found(&body, &s.cluster.name).is_some()));
    Ok(RenewalState {
        is_due: due_at <= now,
        due_at,
        reason,
        not_after: stored.not_after,
        days_left: expiry::days_left(stored.not_after, now),
        not_before: not_before.filter(|at| *at > now),
        failures: tags.get(FAILURES).and_then(|text| text.parse().ok()).unwrap_or_default(),
        has_cluster,
    })
}

/// Returns the time that the server suggests, else the point of the lifetime. A certificate of another issuer than the
/// settings name is due at once.
async fn due_by_acme(
    c: &Clients,
    settings: &acme::Acme,
    mark: &str,
    stored: &StoredCertificate,
) -> (Timestamp, String) {
    let directory = settings.directory.to_string();
    if stored.tags.get(acme::DIRECTORY_TAG) != Some(&directory) {
        return (Timestamp::UNIX_EPOCH, format!("the ACME server {directory} has not issued it"));
    }
    let share = backstop(stored.not_before, stored.not_after);
    let by_lifetime = |why: &str| (share, format!("two thirds of its lifetime{why}"));
    let url = acme::directory_url(settings, &c.acme);
    let window = async {
        let server = c.acme.open(url, settings.root.as_deref()).await?;
        server.renewal_window(&stored.cer).await
    };
    match window.await {
        Ok(Some(window)) => {
            let id = certificate_id(&stored.cer).unwrap_or_default();
            let at = window.point(&format!("{id}|{mark}"));
            let why = window.explanation.map(|page| format!(", see {page}")).unwrap_or_default();
            (at, format!("the server suggests {} to {}{why}", day(window.start), day(window.end)))
        }
        Ok(None) => by_lifetime(""),
        Err(error) => by_lifetime(&format!(" (the server's suggestion is not readable: {})", error.message)),
    }
}

fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

fn due_by_days(s: &Settings, stored: &StoredCertificate) -> (Timestamp, String) {
    let days = match s.certificate.renewal {
        Some(Renewal::WhenLeft(days)) => days,
        _ => SELF_SIGNED_DAYS,
    };
    let left = SignedDuration::from_hours(24 * days);
    (stored.not_after.checked_sub(left).unwrap_or(stored.not_before), format!("{days} days before its end"))
}

async fn held(c: &Clients, s: &Settings) -> Result<(Vault, StoredCertificate), StepError> {
    let name = names::vault(s, c.azure.id());
    let what = format!("renew certificate {}", s.certificate.name);
    let body = c.azure.vault(&s.resource_group, &name).await.context(&what)?;
    let missing = |why: String| {
        StepError::new(Kind::Input, what.clone())
            .cause(why)
            .hint("create the environment first: landfall up; or correct key_vault.name, resource_group and certificate.name")
            .leftover(Leftover::Nothing)
    };
    let vault = body.as_ref().and_then(KeyVault::parse);
    let vault =
        vault.ok_or_else(|| missing(format!("there is no key vault {name} in {}", s.resource_group)))?;
    let client = c.vaults.at(&vault.uri).context(&what)?;
    let stored = client.certificate(&s.certificate.name).await.context(&what)?;
    let stored = stored
        .ok_or_else(|| missing(format!("key vault {name} has no certificate {}", s.certificate.name)))?;
    Ok((vault, stored))
}

async fn failure_tags(
    c: &Clients,
    s: &Settings,
    vault: &Vault,
) -> Result<BTreeMap<String, String>, StepError> {
    let Some(acme) = &s.certificate.acme else { return Ok(BTreeMap::new()) };
    let what = format!("read the account key in {}", vault.name);
    let client = c.vaults.at(&vault.uri).context(&what)?;
    let secret = client.secret(&acme::account_secret(acme)).await.context(&what)?;
    Ok(secret.map(|secret| secret.tags).unwrap_or_default())
}

/// Records the result of an attempt in the tags of the account key, and returns the time of the next attempt after a
/// failure. `not_before` is the time that the server named.
///
/// # Errors
/// Returns the error of the requests.
pub async fn record_attempt(
    c: &Clients,
    s: &Settings,
    succeeded: bool,
    not_before: Option<Timestamp>,
    now: Timestamp,
) -> Result<Option<Timestamp>, StepError> {
    let (vault, _) = held(c, s).await?;
    let mut tags = failure_tags(c, s, &vault).await?;
    let failures = tags.get(FAILURES).and_then(|text| text.parse::<usize>().ok()).unwrap_or_default();
    let next = (!succeeded).then(|| {
        let delay = BACKOFF[failures.min(BACKOFF.len() - 1)];
        let at = now.checked_add(delay).unwrap_or(now);
        not_before.map_or(at, |named| named.max(at))
    });
    let Some(acme) = s.certificate.acme.as_ref().filter(|_| !tags.is_empty()) else { return Ok(next) };
    match next {
        Some(at) => {
            tags.insert(FAILURES.to_owned(), (failures + 1).to_string());
            tags.insert(NEXT_ATTEMPT.to_owned(), at.to_string());
        }
        None if tags.remove(FAILURES).is_none() => return Ok(next),
        None => {
            tags.remove(NEXT_ATTEMPT);
        }
    }
    let what = format!("write the tags of the account key in {}", vault.name);
    let client = c.vaults.at(&vault.uri).context(&what)?;
    client.set_secret_tags(&acme::account_secret(acme), &tags).await.context(&what)?;
    Ok(next)
}

/// Wires the steps of a renewal: the vault and the cluster are only found, and the certificate is replaced.
#[must_use]
pub fn renewal_graph(c: &Clients, s: &Settings, has_cluster: bool) -> Graph {
    let mut settings = s.clone();
    settings.certificate.renewal = Some(Renewal::Now);
    let mut graph = Graph::new();
    let records = Records::default();
    let name = names::vault(s, c.azure.id());
    let vault = graph.add(
        "key-vault",
        FindVault { azure: c.azure.clone(), group: s.resource_group.clone(), name },
        (),
    );
    graph.add("certificate", Certificate::new(c, &settings, &records), (vault, vault.done()));
    let find =
        FindCluster { azure: c.azure.clone(), group: s.resource_group.clone(), name: s.cluster.name.clone() };
    graph.add_optional("cluster-ready", has_cluster, find, ());
    graph
}

/// Finds the vault, and creates none.
struct FindVault {
    azure: SubscriptionClient,
    group: String,
    name: String,
}

impl Step for FindVault {
    type Input = ();
    type Output = Vault;

    fn title(&self) -> String {
        format!("key vault {}", self.name)
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(120)
    }

    async fn check(&self, _: &Context, (): &()) -> Result<Check<Vault>, StepError> {
        let what = format!("find key vault {}", self.name);
        let body = self.azure.vault(&self.group, &self.name).await.context(&what)?;
        found(body.as_ref().and_then(KeyVault::parse), &what)
    }

    async fn apply(&self, _: &Context, (): &()) -> Result<Vault, StepError> {
        Err(missing(&format!("find key vault {}", self.name)))
    }

    async fn undo(&self, _: &Context, _: Vault) -> Result<UndoOutcome, StepError> {
        Ok(UndoOutcome::AlreadyDeleted)
    }
}

/// Finds the cluster, and creates none.
struct FindCluster {
    azure: SubscriptionClient,
    group: String,
    name: String,
}

impl Step for FindCluster {
    type Input = ();
    type Output = ReadyCluster;

    fn title(&self) -> String {
        format!("cluster {}", self.name)
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(120)
    }

    async fn check(&self, _: &Context, (): &()) -> Result<Check<ReadyCluster>, StepError> {
        let what = format!("find cluster {}", self.name);
        let body = self.azure.cluster(&self.group, &self.name).await.context(&what)?;
        found(body.and_then(|body| cluster_ready::found(&body, &self.name)), &what)
    }

    async fn apply(&self, _: &Context, (): &()) -> Result<ReadyCluster, StepError> {
        Err(missing(&format!("find cluster {}", self.name)))
    }

    async fn undo(&self, _: &Context, _: ReadyCluster) -> Result<UndoOutcome, StepError> {
        Ok(UndoOutcome::AlreadyDeleted)
    }
}

fn found<T>(resource: Option<T>, what: &str) -> Result<Check<T>, StepError> {
    Ok(match resource {
        Some(resource) => Check::InSync(resource),
        None => Check::Refused { error: missing(what) },
    })
}

fn missing(what: &str) -> StepError {
    StepError::new(Kind::Failed, what)
        .cause("it does not exist")
        .hint("landfall up creates it")
        .leftover(Leftover::Nothing)
}
