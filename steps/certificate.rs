//! The certificate in the vault: imported when it is new, by thumbprint.

use crate::{
    clouds::Clouds,
    doing::{Doing, Written},
    key_vault::Vault,
    names, operation,
    settings::Settings,
};
use jiff::{Timestamp, ToSpan};
use landfall_cloud::{
    ApiError, ApiErrorKind, Sent,
    arm::Azure,
    certificate::{Leaf, Material},
    vault::{Stored, Vaults},
};
use landfall_engine::{Change, Check, Context, Kind, Look, Residue, Step, StepError, Undone, Wait};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Days that a self-signed certificate is valid.
const SELF_SIGNED_DAYS: u32 = 365;

/// Brings the certificate into the vault.
pub struct Certificate {
    azure: Azure,
    group: String,
    vaults: Vaults,
    name: String,
    mark: String,
    domain: String,
    hosts: Vec<String>,
    given: Option<Arc<Material>>,
}

/// The certificate that the vault holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldCertificate {
    /// Its name in the vault.
    pub name: String,
    /// SHA-1 of the leaf, 40 lower-case hex digits: what Key Vault calls x5t.
    pub thumbprint: String,
    /// The vault's version, 32 hex digits.
    pub version: String,
    /// Where the private key and the chain are read.
    pub secret_id: String,
    /// The end of its validity.
    pub not_after: Timestamp,
    /// Every DNS name it covers.
    pub names: Vec<String>,
    /// Whether it vouches for itself.
    pub self_signed: bool,
}

impl Certificate {
    /// Returns the step for these settings.
    #[must_use]
    pub fn new(c: &Clouds, s: &Settings) -> Self {
        Self {
            azure: c.azure.clone(),
            group: s.resource_group.clone(),
            vaults: c.vaults.clone(),
            name: s.certificate.name.clone(),
            mark: names::mark(s, c.azure.id()),
            domain: s.domain.clone(),
            hosts: s.hosts(),
            given: s.certificate.given.clone(),
        }
    }

    fn held(&self, stored: &Stored) -> HeldCertificate {
        let leaf = Leaf::from_der(&stored.cer).ok();
        HeldCertificate {
            name: self.name.clone(),
            thumbprint: stored.thumbprint_sha1_hex.clone(),
            version: stored.version.clone(),
            secret_id: stored.secret_id.clone(),
            not_after: stored.not_after,
            names: stored.names.clone(),
            self_signed: leaf.is_some_and(|leaf| leaf.issuer == leaf.subject),
        }
    }

    /// Looks into the vault. A grant takes minutes to reach it, and the only proof that it has is
    /// the call itself: a refusal by role is not final until the bound has passed.
    async fn look(&self, cx: &Context, vault: &Vault) -> Result<Option<Stored>, StepError> {
        let what = format!("look at certificate {} in {}", self.name, vault.name);
        self.once_granted(cx, &what, || async { self.vaults.at(&vault.uri)?.certificate(&self.name).await })
            .await
    }

    async fn once_granted<T, F>(
        &self,
        cx: &Context,
        what: &str,
        call: impl Fn() -> F + Send + Sync,
    ) -> Result<T, StepError>
    where
        F: Future<Output = Result<T, ApiError>> + Send,
    {
        // Ten minutes are documented, and a half more is for clocks and caches.
        let wait = Wait::new("the grant to take effect", Duration::from_secs(60), Duration::from_secs(900));
        cx.wait_until(wait, async || match call().await {
            Err(error) if error.inner_code.as_deref() == Some("ForbiddenByRbac") => {
                cx.retrying("ForbiddenByRbac", Duration::ZERO);
                Ok(Look::not_yet("waiting for the grant to take effect, mostly within 5 min, at most 10"))
            }
            // A vault's name may be known to us before our resolver knows it.
            Err(error) if error.kind == ApiErrorKind::Transport && !error.is("UntrustedCertificate") => {
                Ok(Look::not_yet(format!("cannot reach the vault: {}", error.message)))
            }
            Err(error) if operation::passes(&error) => Ok(operation::unanswered(&error, None)),
            answered => Ok(Look::There(answered.doing(what)?)),
        })
        .await
    }

    /// Tells whether what bears these tags is ours to replace: by the mark, or because the whole vault is ours.
    fn is_ours(&self, cx: &Context, tags: &BTreeMap<String, String>) -> bool {
        tags.get(names::OWNER) == Some(&self.mark) || cx.is_ours("key-vault")
    }

    /// Tells the same of a version that is there; one from before there were marks is remembered by its thumbprint.
    fn made(&self, cx: &Context, stored: &Stored) -> bool {
        let remembered = cx.output::<HeldCertificate>("certificate").filter(|_| cx.is_ours("certificate"));
        self.is_ours(cx, &stored.tags)
            || remembered.is_some_and(|held| held.thumbprint == stored.thumbprint_sha1_hex)
    }

    /// What is wrong with a stranger's certificate under our name, and what to do.
    fn strange(&self, vault: &Vault, fault: &str) -> String {
        format!(
            "certificate {} in {} is somebody else's and {fault}; set certificate.name to another name",
            self.name, vault.name
        )
    }

    /// Judges what is there. A stranger's that fits is used; one that does not is never written over.
    fn judge(&self, cx: &Context, vault: &Vault, stored: &Stored) -> Check<HeldCertificate> {
        match self.fits(stored) {
            Check::Differs { changes } if !self.made(cx, stored) => {
                let faults: Vec<String> = changes.iter().map(ToString::to_string).collect();
                Check::Foreign { why: self.strange(vault, &format!("does not fit ({})", faults.join(", "))) }
            }
            judged => judged,
        }
    }

    fn fits(&self, stored: &Stored) -> Check<HeldCertificate> {
        let held = self.held(stored);
        let leaf = Leaf::from_der(&stored.cer).ok();
        if let Some(given) = &self.given {
            let wanted = &given.leaf().thumbprint_sha1;
            if held.thumbprint.eq_ignore_ascii_case(wanted) {
                return Check::Ready(held);
            }
            return differs("thumbprint", &held.thumbprint, wanted);
        }
        if held.not_after <= Timestamp::now() {
            return differs("valid until", &held.not_after.to_string(), "in the future");
        }
        let uncovered: Vec<&String> =
            self.hosts.iter().filter(|host| !leaf.as_ref().is_some_and(|leaf| leaf.covers(host))).collect();
        if let Some(host) = uncovered.first() {
            return differs("names", &held.names.join(", "), host);
        }
        Check::Ready(held)
    }

    /// The user's certificate, or one made now. Making an RSA key takes a while of a processor.
    async fn material(&self) -> Result<Arc<Material>, StepError> {
        if let Some(given) = &self.given {
            return Ok(given.clone());
        }
        let domain = self.domain.clone();
        let made =
            tokio::task::spawn_blocking(move || Material::self_signed(&domain, SELF_SIGNED_DAYS)).await;
        let what = "make a self-signed certificate";
        let bug = |cause: String| StepError::new(Kind::Bug, what).cause(cause).residue(Residue::Nothing);
        made.map_err(|error| bug(error.to_string()))?.map(Arc::new).map_err(|error| bug(error.to_string()))
    }

    async fn import(&self, cx: &Context, vault: &Vault, material: &Material) -> Result<Stored, StepError> {
        let what = format!("import certificate {} into {}", self.name, vault.name);
        let client = self.vaults.at(&vault.uri).doing(&what)?;
        let mut recovered = false;
        // An import whose answer was lost may have arrived, and a second one would make a second version.
        let unsure = AtomicBool::new(false);
        let tags = BTreeMap::from([(names::OWNER.to_owned(), self.mark.clone())]);
        loop {
            let imported = self
                .once_granted(cx, &what, || async {
                    if unsure.load(Ordering::Relaxed)
                        && let Some(stored) = client.certificate(&self.name).await?
                        && stored.thumbprint_sha1_hex.eq_ignore_ascii_case(&material.leaf().thumbprint_sha1)
                    {
                        return Ok(Some(stored));
                    }
                    let (pfx, password) = (material.pfx().expose(), material.password().expose());
                    match client.import_with(&self.name, pfx, password, &tags).await.written(cx) {
                        Err(error) if is_soft_deleted(&error) && !recovered => Ok(None),
                        Err(error) => {
                            unsure.fetch_or(error.sent == Sent::Unknown, Ordering::Relaxed);
                            Err(error)
                        }
                        Ok(stored) => Ok(Some(stored)),
                    }
                })
                .await?;
            if let Some(stored) = imported {
                return Ok(stored);
            }
            self.may_bring_back(cx, vault).await?;
            cx.note("recovering it from soft delete");
            client.recover_certificate(&self.name).await.doing(&what)?;
            recovered = true;
            let back = self.wait_until_recovered(cx, vault).await?;
            if !self.made(cx, &back) {
                return Err(self.not_ours(vault, &what));
            }
            // What comes back may be what was to be imported.
            unsure.store(true, Ordering::Relaxed);
        }
    }

    /// The name is held by a certificate that was deleted. It comes back only when it is ours.
    async fn may_bring_back(&self, cx: &Context, vault: &Vault) -> Result<(), StepError> {
        let what = format!("look for deleted certificate {} in {}", self.name, vault.name);
        let client = self.vaults.at(&vault.uri).doing(&what)?;
        let deleted =
            self.once_granted(cx, &what, || async { client.deleted_certificate(&self.name).await }).await?;
        match deleted {
            Some(deleted) if !self.is_ours(cx, &deleted.tags) => Err(self.not_ours(vault, &what)),
            _ => Ok(()),
        }
    }

    fn not_ours(&self, vault: &Vault, what: &str) -> StepError {
        StepError::new(Kind::Foreign, what)
            .cause(format!("{} holds a deleted certificate of that name, which is somebody else's", vault.name))
            .hint(format!(
                "set certificate.name to another name; or, if nobody needs it, purge it: az keyvault certificate purge \
                 --vault-name {} --name {}",
                vault.name, self.name
            ))
            .residue(Residue::Nothing)
    }

    async fn wait_until_recovered(&self, cx: &Context, vault: &Vault) -> Result<Stored, StepError> {
        let wait =
            Wait::new("the certificate to be recovered", Duration::from_secs(5), Duration::from_secs(300));
        cx.wait_until(wait, async || {
            Ok(match self.look(cx, vault).await? {
                Some(stored) => Look::There(stored),
                None => Look::not_yet("being recovered"),
            })
        })
        .await
    }
}

impl Step for Certificate {
    type Input = (Vault, ());
    type Output = HeldCertificate;

    fn title(&self) -> String {
        match &self.given {
            Some(_) => format!("certificate {}", self.name),
            None => format!("certificate {}, self-signed", self.name),
        }
    }

    fn named(&self) -> Option<Value> {
        Some(json!({ "name": self.name }))
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(1800)
    }

    fn usual(&self) -> Duration {
        Duration::from_secs(62)
    }

    async fn check(
        &self,
        cx: &Context,
        (vault, ()): &Self::Input,
    ) -> Result<Check<HeldCertificate>, StepError> {
        Ok(self.look(cx, vault).await?.map_or(Check::Missing, |stored| self.judge(cx, vault, &stored)))
    }

    async fn apply(&self, cx: &Context, (vault, ()): &Self::Input) -> Result<HeldCertificate, StepError> {
        if let Some(stored) = self.look(cx, vault).await? {
            match self.judge(cx, vault, &stored) {
                Check::Ready(held) => return Ok(held),
                Check::Foreign { why } => {
                    return Err(StepError::new(Kind::Foreign, format!("import certificate {}", self.name))
                        .cause(why)
                        .residue(Residue::Nothing));
                }
                _ => {}
            }
        }
        let material = self.material().await?;
        let stored = self.import(cx, vault, &material).await?;
        Ok(self.held(&stored))
    }

    fn part_of(&self) -> Option<&'static str> {
        Some("key-vault")
    }

    /// In a vault of ours nothing needs to be asked: it goes with the vault, which may be unreachable by now. In
    /// somebody else's it is ours by its mark.
    async fn recover(
        &self,
        cx: &Context,
        (vault, ()): &Self::Input,
    ) -> Result<Option<HeldCertificate>, StepError> {
        if cx.is_ours("key-vault") {
            return Ok(Some(HeldCertificate {
                name: self.name.clone(),
                thumbprint: String::new(),
                version: String::new(),
                secret_id: String::new(),
                not_after: Timestamp::MIN,
                names: Vec::new(),
                self_signed: false,
            }));
        }
        let what = format!("look at key vault {}", vault.name);
        if self.azure.vault(&self.group, &vault.name).await.doing(what)?.is_none() {
            return Ok(None);
        }
        let stored = self.look(cx, vault).await?;
        Ok(stored.filter(|stored| self.made(cx, stored)).map(|stored| self.held(&stored)))
    }

    /// In a vault of ours it goes with the vault. In somebody else's it is deleted by itself, as long as the version
    /// there is the one we imported; that vault keeps what is deleted for a while, as it does for everybody.
    async fn undo(&self, cx: &Context, held: HeldCertificate) -> Result<Undone, StepError> {
        if cx.is_ours("key-vault") {
            return Ok(Undone::GoesWithParent);
        }
        let Some(vault) = cx.output::<Vault>("key-vault") else { return Ok(Undone::AlreadyGone) };
        let what = format!("delete certificate {} from {}", self.name, vault.name);
        if self.azure.vault(&self.group, &vault.name).await.doing(&what)?.is_none() {
            return Ok(Undone::AlreadyGone);
        }
        match self.look(cx, &vault).await? {
            None => return Ok(Undone::AlreadyGone),
            Some(stored) if stored.thumbprint_sha1_hex != held.thumbprint => {
                cx.note("somebody has imported another one in its place, which stays");
                return Ok(Undone::AlreadyGone);
            }
            Some(_) => {}
        }
        let client = self.vaults.at(&vault.uri).doing(&what)?;
        let delete = || async { client.delete_certificate(&self.name).await };
        let deleted = self.once_granted(cx, &what, delete).await?;
        Ok(if deleted { Undone::Deleted } else { Undone::AlreadyGone })
    }
}

impl HeldCertificate {
    /// Tells whether less than `days` of its validity are left.
    #[must_use]
    pub fn expires_within(&self, days: i64) -> bool {
        self.not_after < Timestamp::now().saturating_add((days * 24).hours()).unwrap_or(Timestamp::MAX)
    }
}

fn is_soft_deleted(error: &ApiError) -> bool {
    error.inner_code.as_deref() == Some("ObjectIsDeletedButRecoverable")
}

fn differs(field: &str, is: &str, wanted: &str) -> Check<HeldCertificate> {
    Check::Differs { changes: vec![Change { field: field.to_owned(), is: json!(is), wanted: json!(wanted) }] }
}
