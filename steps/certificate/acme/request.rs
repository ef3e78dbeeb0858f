//! The signing request of the certificate: pending in the vault, where its key is created and stays.

use super::{Issuance, ticket::OrderTicket};
use crate::error_context::TrackWrite;
use landfall_cloud::{
    acme::SigningRequest,
    vault::{KeyKind, NewRequest, PendingCertificate},
};
use landfall_engine::{Kind, Leftover, StepError};
use std::collections::BTreeMap;

impl Issuance<'_> {
    /// Returns the pending request for the names: that of an interrupted run, or a new one. One for other names that an
    /// earlier run left is deleted, because it would block the certificate for ever.
    pub(super) async fn pending_request(
        &self,
        ticket: &mut OrderTicket,
        tags: &BTreeMap<String, String>,
    ) -> Result<PendingCertificate, StepError> {
        let name = &self.step.name;
        let what = format!("create a signing request for {name} in {}", self.vault.name);
        let found = self.granted(&what, || async { self.client.pending(name).await }).await?;
        if let Some(pending) = found.filter(PendingCertificate::is_in_progress) {
            let request = SigningRequest::parse(&pending.csr);
            let fits = pending.waits_for_merge()
                && request.as_ref().is_some_and(|request| request.is_for(&ticket.names));
            let is_owned = ticket.request_id.as_deref() == Some(&pending.request_id)
                || (fits && ticket.requests)
                || self.is_vault_content_owned;
            match (fits, is_owned) {
                (true, true) => {
                    ticket.request_id = Some(pending.request_id.clone());
                    self.cx.save_ticket(ticket)?;
                    return Ok(pending);
                }
                (false, true) => {
                    let names = request.map(|request| request.names.join(", ")).unwrap_or_default();
                    self.cx
                        .note(format!("deleting the pending signing request of an earlier run, for {names}"));
                    self.granted(&what, || async { self.client.delete_pending(name).await }).await?;
                }
                (_, false) => return Err(self.foreign(&what, request.as_ref())),
            }
        }
        ticket.requests = true;
        ticket.request_id = None;
        self.cx.save_ticket(ticket)?;
        let request = NewRequest { names: ticket.names.clone(), key: KeyKind::Rsa2048, tags: tags.clone() };
        let created = self
            .granted(&what, || async {
                match self.client.create_request(name, &request).await.track_write(self.cx) {
                    // An earlier attempt, whose answer was lost, has created it.
                    Err(error) if is_pending(&error) => match self.client.pending(name).await? {
                        Some(pending) if pending.is_in_progress() => Ok(Ok(pending)),
                        _ => Err(error),
                    },
                    Err(error) if is_soft_deleted(&error) => Ok(Err(error)),
                    created => created.map(Ok),
                }
            })
            .await?;
        let pending = match created {
            Ok(pending) => pending,
            Err(_) => {
                self.step.recover_deleted(self.cx, self.vault, &what).await?;
                let again =
                    || async { self.client.create_request(name, &request).await.track_write(self.cx) };
                self.granted(&what, again).await?
            }
        };
        ticket.request_id = Some(pending.request_id.clone());
        self.cx.save_ticket(ticket)?;
        Ok(pending)
    }

    fn foreign(&self, what: &str, request: Option<&SigningRequest>) -> StepError {
        let (name, vault) = (&self.step.name, &self.vault.name);
        let names = request.map(|request| request.names.join(", ")).unwrap_or_default();
        StepError::new(Kind::Foreign, what)
            .code("PendingRequestForeign")
            .cause(format!(
                "a signing request that landfall does not own is pending for {name}, for the names {names}; it blocks every \
                 new certificate of this name"
            ))
            .hint(format!(
                "complete it, delete it with az keyvault certificate pending delete --vault-name {vault} --name {name}, or \
                 set certificate.name to another name"
            ))
            .leftover(Leftover::Nothing)
    }

    /// Deletes a pending request that the interrupted run of another intent created.
    pub(super) async fn forget_request(&self, ticket: &OrderTicket) -> Result<(), StepError> {
        let Some(id) = &ticket.request_id else { return Ok(()) };
        let name = &self.step.name;
        let what = format!("delete the pending signing request of {name}");
        let found = self.granted(&what, || async { self.client.pending(name).await }).await?;
        if found.is_some_and(|pending| pending.request_id == *id && pending.is_in_progress()) {
            self.granted(&what, || async { self.client.delete_pending(name).await }).await?;
        }
        Ok(())
    }
}

/// Returns whether a pending operation blocks the name; the code is the same as for other conflicts.
pub(super) fn is_pending(error: &landfall_cloud::ApiError) -> bool {
    error.status == Some(409) && error.message.contains("pending key vault certificate's status")
}

fn is_soft_deleted(error: &landfall_cloud::ApiError) -> bool {
    ["ObjectIsDeletedButRecoverable", "ObjectIsBeingRecovered"].iter().any(|code| error.is(code))
}

/// Converts the result of a parse to an error.
pub(super) fn readable(csr: &[u8]) -> Result<SigningRequest, StepError> {
    SigningRequest::parse(csr).ok_or_else(|| {
        StepError::new(Kind::Failed, "read the signing request of the vault").leftover(Leftover::Something)
    })
}

/// Returns the error that the issued certificate does not fit.
pub(super) fn wrong_key(what: &str) -> StepError {
    StepError::new(Kind::Failed, what)
        .cause("the issued certificate has another key than the pending signing request: another run replaced the request")
        .hint("run again, which orders again")
        .leftover(Leftover::Something)
}
