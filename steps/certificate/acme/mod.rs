//! A certificate by ACME: an order that is validated by TXT records in the zone, and signed for a key in the vault.
//!
//! It needs only the vault and the zone, so it runs while the cluster is created. The progress is in the ticket:
//!
//! | saved before | so that the next run |
//! |---|---|
//! | the signing request | adopts the pending one |
//! | the first TXT value | removes it, whatever happens |
//! | the validation (the order's address) | reads the order instead of placing another one |
//! | the merge (the leaf's thumbprint) | knows the version as its own |

mod account;
mod caa;
mod order;
mod plan;
mod propagation;
mod request;
mod settings;
mod tags;
mod ticket;
mod txt;

pub use plan::NAMES_MAX;
pub(crate) use plan::{Obstacle, Plan, Planner};
pub use settings::{Acme, AcmeDirectory, KeyPlace, Propagation};
pub use tags::RenewalProgress;
pub(crate) use tags::settings_of;

use super::{Certificate, Replaced};
use crate::{
    error_context::{ErrorContext, TrackWrite},
    key_vault::Vault,
    names,
};
use landfall_cloud::{
    ApiError,
    acme::{LocalKey, Server},
    arm::SubscriptionClient,
    certificate::{Leaf, Material, chain_digest},
    vault::{self, StoredCertificate},
};
use landfall_engine::{Context, Kind, Leftover, StepError, StepState};
use order::Purpose;
use std::collections::BTreeMap;
use ticket::OrderTicket;
use tokio::sync::Mutex;
use txt::TxtWriter;
use url::Url;

/// The tag with the directory, as the settings name it.
pub(crate) const DIRECTORY_TAG: &str = "landfall-acme";
/// The tag with the profile.
pub(crate) const PROFILE_TAG: &str = "landfall-acme-profile";

/// The settings and clients of an issuance, besides the step.
#[derive(Clone)]
pub(super) struct Issuer {
    pub(super) acme: std::sync::Arc<Acme>,
    pub(super) client: landfall_cloud::acme::Acme,
    pub(super) planner: Planner,
}

impl Issuer {
    /// Returns the address of the directory.
    pub(super) fn directory(&self) -> &Url {
        directory_url(&self.acme, &self.client)
    }
}

/// Returns the address of the directory that the settings name.
pub(crate) fn directory_url<'a>(acme: &'a Acme, client: &'a landfall_cloud::acme::Acme) -> &'a Url {
    match &acme.directory {
        AcmeDirectory::Production => client.production(),
        AcmeDirectory::Staging => client.staging(),
        AcmeDirectory::Url(url) => url,
    }
}

/// Reads the authorities of a private server, which its account key's secret contains.
///
/// # Errors
/// Returns the error of the request.
pub(crate) async fn recorded_root(
    vault: &vault::Vault,
    directory: &AcmeDirectory,
) -> Result<Option<String>, ApiError> {
    let AcmeDirectory::Url(url) = directory else { return Ok(None) };
    let secret = vault.secret(&account::secret_name(url.as_str())).await?;
    Ok(secret.and_then(|secret| account::root(&secret.value)))
}

/// One issuance.
struct Issuance<'a> {
    cx: &'a Context,
    step: &'a Certificate,
    acme: &'a Acme,
    acme_client: &'a landfall_cloud::acme::Acme,
    vault: &'a Vault,
    client: vault::Vault,
    azure: &'a SubscriptionClient,
    planner: &'a Planner,
    mark: &'a str,
    /// The tags of the version that is being renewed, if they keep the progress; with that version.
    progress_tags: Option<(String, Mutex<BTreeMap<String, String>>)>,
    /// The leaf of the replaced certificate, DER, if the same directory issued it.
    replaces: Option<Vec<u8>>,
    /// True if whatever is pending under the name is owned: the vault is, or the certificate.
    is_vault_content_owned: bool,
}

impl Issuance<'_> {
    fn writer(&self) -> TxtWriter<'_> {
        TxtWriter { azure: self.azure, mark: self.mark }
    }

    /// Saves the progress: in the journal, and for a renewal in the tags of the renewed version too.
    async fn save(&self, ticket: &OrderTicket) -> Result<(), StepError> {
        self.cx.save_ticket(ticket)?;
        let Some((version, written)) = &self.progress_tags else { return Ok(()) };
        let mut written = written.lock().await;
        let before = RenewalProgress::of(&written);
        let mut after = before.clone();
        after.take(ticket);
        // The next run may remove a value again. So its removal alone is not worth a request.
        let is_known = after.values.is_subset(&before.values);
        if is_known && (&after.order, after.not_before) == (&before.order, before.not_before) {
            return Ok(());
        }
        let mut tags = written.clone();
        after.write(&mut tags);
        let what = format!("write the tags of certificate {}", self.step.name);
        let name = &self.step.name;
        self.granted(&what, || async { self.client.set_certificate_tags(name, version, &tags).await })
            .await?;
        *written = tags;
        Ok(())
    }
}

impl Certificate {
    /// Orders the certificate and stores it in the vault.
    pub(super) async fn issue(
        &self,
        cx: &Context,
        vault: &Vault,
        issuer: &Issuer,
        stored: Option<&StoredCertificate>,
    ) -> Result<StoredCertificate, StepError> {
        let acme = &*issuer.acme;
        let what = format!("order certificate {}", self.name);
        let directory = acme.directory.to_string();
        let same_directory = |stored: &&StoredCertificate| stored.tags.get(DIRECTORY_TAG) == Some(&directory);
        let issuance = Issuance {
            cx,
            step: self,
            acme,
            acme_client: &issuer.client,
            vault,
            client: self.vaults.at(&vault.uri).context(&what)?,
            azure: &self.azure,
            planner: &issuer.planner,
            mark: &self.mark,
            progress_tags: stored
                .filter(|_| self.progress_in_tags)
                .map(|stored| (stored.version.clone(), Mutex::new(stored.tags.clone()))),
            replaces: stored.filter(same_directory).map(|stored| stored.cer.clone()),
            is_vault_content_owned: cx.owns(self.records.vault)
                || stored.is_some_and(|stored| self.is_owned(cx, &stored.tags)),
        };
        let known = cx.ticket::<OrderTicket>();
        let same =
            known.as_ref().filter(|known| known.is_for(&directory, acme.profile.as_deref(), &known.names));
        if let Some((until, why)) = same.and_then(|known| known.not_before.as_ref())
            && *until > self.clock.now()
        {
            return Err(order::too_early(&what, *until, why));
        }
        let mut plan = issuer.planner.plan().await.context(&what)?;
        let mut ticket = match known {
            Some(known) if known.is_for(&directory, acme.profile.as_deref(), &plan.names) => known,
            known => {
                if let Some(mut other) = known {
                    issuance.clean(&mut other).await?;
                    issuance.forget_request(&other).await?;
                }
                OrderTicket {
                    directory: directory.clone(),
                    profile: acme.profile.clone(),
                    names: plan.names.clone(),
                    ..OrderTicket::default()
                }
            }
        };
        if let Some(stored) = stored.filter(|_| ticket.order.url.is_none()) {
            RenewalProgress::of(&stored.tags).resume(&mut ticket, &plan);
        }
        ticket.not_before = None;
        ticket.replaces = stored.map(|stored| Replaced {
            thumbprint: stored.thumbprint_sha1_hex.clone(),
            not_after: stored.not_after,
        });
        let server = issuance.open(issuer.directory(), acme.root.as_deref(), &what).await?;
        if ticket.order.url.is_none() {
            let account = issuance.registered(&server, &directory).await?.unwrap_or_default();
            issuer.planner.check(&mut plan, &server, Some(&account)).await;
            check_profile(acme, &server, &mut plan);
        }
        for note in &plan.notes {
            cx.note(note.clone());
        }
        if let Some(refused) = refusal(&plan.obstacles, &what) {
            return Err(refused);
        }
        let has_production = stored.as_ref().is_some_and(same_directory);
        if acme.rehearse && !has_production && !ticket.rehearsed {
            issuance.rehearse(&plan, &mut ticket).await?;
        }
        issuance.issue_for_key(&server, &plan, &mut ticket).await
    }

    /// Removes what an interrupted renewal left in the zones. Its progress is in the tags of the certificate, so a vault
    /// that is gone or refuses leaves nothing to find.
    pub(super) async fn remove_renewal_leftovers(
        &self,
        cx: &Context,
        vault: &Vault,
    ) -> Result<(), StepError> {
        let Some(issuer) = &self.issuer else { return Ok(()) };
        let what = format!("read the progress of a renewal in {}", vault.name);
        if self.azure.vault(&self.group, &vault.name).await.context(&what)?.is_none() {
            return Ok(());
        }
        let client = self.vaults.at(&vault.uri).context(&what)?;
        let stored = match client.certificate(&self.name).await {
            Ok(stored) => stored.filter(|stored| self.is_owned(cx, &stored.tags)),
            Err(error) => {
                cx.note(format!("the progress of a renewal is not readable: {}", error.message));
                None
            }
        };
        let progress = stored.map(|stored| RenewalProgress::of(&stored.tags)).unwrap_or_default();
        if progress.values.is_empty() {
            return Ok(());
        }
        let plan = issuer.planner.plan().await.context(&what)?;
        let mut ticket = OrderTicket::default();
        progress.resume(&mut ticket, &plan);
        TxtWriter { azure: &self.azure, mark: &self.mark }.remove(cx, &ticket.order.values).await
    }

    /// Removes what an interrupted order left in zones and vault, whatever the settings are now.
    pub(super) async fn remove_leftovers(
        &self,
        cx: &Context,
        step_state: &StepState,
    ) -> Result<(), StepError> {
        let Some(ticket) = leftovers(step_state) else { return Ok(()) };
        let writer = TxtWriter { azure: &self.azure, mark: &self.mark };
        for progress in [&ticket.order, &ticket.trial] {
            writer.remove(cx, &progress.values).await?;
        }
        Ok(())
    }
}

impl Certificate {
    /// Deletes the account keys of this environment from a vault that stays. They can be recovered for its retention
    /// period.
    pub(super) async fn delete_account_secrets(&self, cx: &Context, vault: &Vault) -> Result<(), StepError> {
        let Some(issuer) = &self.issuer else { return Ok(()) };
        let what = format!("delete the account key from {}", vault.name);
        let client = self.vaults.at(&vault.uri).context(&what)?;
        for directory in [issuer.acme.directory.to_string(), AcmeDirectory::Staging.to_string()] {
            let name = account::secret_name(&directory);
            let found = self.retry_until_granted(cx, &what, || async { client.secret(&name).await }).await?;
            if found.is_some_and(|found| found.tags.get(names::OWNER) == Some(&self.mark)) {
                self.retry_until_granted(cx, &what, || async { client.delete_secret(&name).await }).await?;
            }
        }
        Ok(())
    }
}

/// Returns the ticket of an order that left values in zones.
pub(super) fn leftovers(step_state: &StepState) -> Option<OrderTicket> {
    let ticket: OrderTicket = serde_json::from_value(step_state.ticket.clone()?).ok()?;
    ticket.has_leftovers().then_some(ticket)
}

impl Issuance<'_> {
    async fn open(&self, url: &Url, root: Option<&str>, what: &str) -> Result<Server, StepError> {
        let opened = self.settled(|| async { self.acme_client.open(url, root).await }).await?;
        opened.context(format!("{what}: read the directory {url}"))
    }

    async fn clean(&self, ticket: &mut OrderTicket) -> Result<(), StepError> {
        self.remove_values(ticket, Purpose::Certificate).await?;
        self.remove_values(ticket, Purpose::TrialOrder).await
    }

    /// Runs the whole order at the staging server first, so that a mistake does not spend the limits of the real one.
    async fn rehearse(&self, plan: &Plan, ticket: &mut OrderTicket) -> Result<(), StepError> {
        self.cx.note("rehearsing the order at the staging server");
        let url = self.acme_client.staging();
        let server = self.open(url, None, "rehearse the order").await?;
        let directory = AcmeDirectory::Staging.to_string();
        let account = self.account(&server, &directory).await?;
        let key = local_key(&ticket.names).await?;
        self.run_order(&account, plan, ticket, Purpose::TrialOrder, &key.csr).await?;
        ticket.rehearsed = true;
        ticket.trial = ticket::Progress::default();
        self.save(ticket).await
    }

    /// Runs the order for the key at its place, and stores the certificate.
    async fn issue_for_key(
        &self,
        server: &Server,
        plan: &Plan,
        ticket: &mut OrderTicket,
    ) -> Result<StoredCertificate, StepError> {
        let directory = self.acme.directory.to_string();
        let mut account = self.account(server, &directory).await?;
        let tags = tags::of_order(self.acme, self.planner, self.mark);
        if self.acme.key == KeyPlace::Local {
            let key = local_key(&ticket.names).await?;
            let chain = self.run_order(&account, plan, ticket, Purpose::Certificate, &key.csr).await?;
            return self.import(ticket, &key, &chain, &tags).await;
        }
        let pending = self.pending_request(ticket, &tags).await?;
        let request = request::readable(&pending.csr)?;
        let what = format!("store certificate {}", self.step.name);
        let chain = match self.run_order(&account, plan, ticket, Purpose::Certificate, &pending.csr).await {
            Err(error) if error.code.as_deref() == Some("accountDoesNotExist") => {
                account = self.register_again(server, &directory).await?;
                self.run_order(&account, plan, ticket, Purpose::Certificate, &pending.csr).await?
            }
            chain => chain?,
        };
        if !request.has_key_of(&chain[0]) {
            ticket.order.url = None;
            self.save(ticket).await?;
            return Err(request::wrong_key(&what));
        }
        self.merge(ticket, &chain, tags, &what).await
    }

    /// Completes the pending request with the chain. A merge whose answer was lost may have arrived.
    async fn merge(
        &self,
        ticket: &mut OrderTicket,
        chain: &[Vec<u8>],
        mut tags: BTreeMap<String, String>,
        what: &str,
    ) -> Result<StoredCertificate, StepError> {
        let name = &self.step.name;
        let leaf = Leaf::from_der(&chain[0]).map_err(|error| unreadable(what, &error.to_string()))?;
        tags.insert(names::CHAIN.to_owned(), chain_digest(chain[1..].iter().map(Vec::as_slice).collect()));
        ticket.imports = Some(leaf.thumbprint_sha1.clone());
        self.cx.save_ticket(ticket)?;
        self.granted(what, || async {
            match self.client.merge(name, chain, &tags).await.track_write(self.cx) {
                Err(error) if error.is("PendingCertificateNotFound") => {
                    match self.client.certificate(name).await? {
                        Some(stored) if stored.thumbprint_sha1_hex == leaf.thumbprint_sha1 => Ok(stored),
                        _ => Err(error),
                    }
                }
                merged => merged,
            }
        })
        .await
    }

    /// Imports a certificate whose key was created here. Without the key the certificate is useless, so an order that an
    /// interrupted run finished is ordered again.
    async fn import(
        &self,
        ticket: &mut OrderTicket,
        key: &LocalKey,
        chain: &[Vec<u8>],
        tags: &BTreeMap<String, String>,
    ) -> Result<StoredCertificate, StepError> {
        let what = format!("import certificate {}", self.step.name);
        let request = request::readable(&key.csr)?;
        if !request.has_key_of(&chain[0]) {
            ticket.order.url = None;
            self.save(ticket).await?;
            return Err(StepError::new(Kind::Failed, what)
                .cause("the order belongs to an interrupted run, whose key is lost")
                .hint("run again, which orders again")
                .leftover(Leftover::Nothing));
        }
        let material = Material::of_key(key, chain).map_err(|error| unreadable(&what, &error.to_string()))?;
        ticket.imports = Some(material.leaf().thumbprint_sha1.clone());
        self.cx.save_ticket(ticket)?;
        self.step.import_with(self.cx, self.vault, &material, tags).await
    }
}

/// Generates a key, which takes some processor time.
async fn local_key(names: &[String]) -> Result<LocalKey, StepError> {
    let names = names.to_vec();
    let made = tokio::task::spawn_blocking(move || LocalKey::generate(&names)).await;
    let what = "create a key";
    made.map_err(|error| StepError::new(Kind::Bug, what).cause(error.to_string()))?.context(what)
}

fn unreadable(what: &str, why: &str) -> StepError {
    StepError::new(Kind::Failed, what).cause(why).leftover(Leftover::Something)
}

/// Adds the obstacle that the server does not offer the profile.
pub(crate) fn check_profile(acme: &Acme, server: &Server, plan: &mut Plan) {
    let offered = server.directory().profiles();
    if let Some(profile) = acme.profile.as_deref().filter(|profile| !offered.contains(profile)) {
        let (why, fix) = match offered.is_empty() {
            true => (
                format!("the server offers no profiles, and certificate.acme.profile is \"{profile}\""),
                "omit certificate.acme.profile".to_owned(),
            ),
            false => (
                format!("the server does not offer the profile \"{profile}\""),
                format!("set certificate.acme.profile to one of {}", offered.join(", ")),
            ),
        };
        plan.obstacles.push(Obstacle { code: Some("invalidProfile"), is_input: true, why, fix });
    }
}

/// Returns the error of all obstacles.
fn refusal(obstacles: &[Obstacle], what: &str) -> Option<StepError> {
    let first = obstacles.first()?;
    let kind = if obstacles.iter().all(|one| one.is_input) { Kind::Input } else { Kind::Refused };
    let error = StepError::new(kind, what).leftover(Leftover::Nothing);
    let error = match first.code {
        Some(code) => error.code(code),
        None => error,
    };
    Some(match obstacles {
        [one] => error.cause(one.why.clone()).hint(one.fix.clone()),
        all => all
            .iter()
            .fold(error, |error, one| error.cause(format!("{}; {}", one.why, one.fix)))
            .hint(first.fix.clone()),
    })
}
