//! The changes to a cluster: server-side apply, a merge patch of single fields, and deletion.

use kube_core::params::{DeleteParams, Patch, PatchParams, Preconditions, ValidationDirective};
use kube_core::{DynamicObject, Request, TypeMeta};
use serde_json::Value;

use super::client::Cluster;
use super::confidential;
use super::into_api_error;
use super::kind::Kind;
use crate::error::{ApiError, ApiErrorKind};

/// The name under which landfall owns fields.
pub const FIELD_MANAGER: &str = "landfall";

/// The treatment of fields that another manager owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// Take over these fields.
    Yes,
    /// Let the server refuse with a conflict that names managers and fields.
    No,
}

/// The evidence that a server-side apply created its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    /// It created the object: the server answered 201.
    Created,
    /// The object existed before: the server answered 200 to the only request.
    Existed,
    /// An earlier attempt got no answer, so the object may be that attempt's.
    Unknown,
}

impl Cluster {
    /// Applies an object, creates it if it does not exist, and returns the server's version of it.
    ///
    /// The request is a server-side apply with strict field validation. It omits `metadata.managedFields`,
    /// which the server refuses. A namespaced object without a namespace goes to `default`.
    /// <https://kubernetes.io/docs/reference/using-api/server-side-apply/>
    ///
    /// # Errors
    /// `Conflict` names the managers and fields that conflict; `Invalid` names the invalid fields.
    pub async fn apply(
        &self,
        kind: &Kind,
        object: &DynamicObject,
        force: Force,
    ) -> Result<DynamicObject, ApiError> {
        self.create_or_update(kind, object, force).await.map(|(applied, _)| applied)
    }

    /// Like [`Cluster::apply`], and also returns whether the request created the object.
    ///
    /// # Errors
    /// Those of [`Cluster::apply`]. Texts that quote a value of a Secret are withheld.
    pub async fn create_or_update(
        &self,
        kind: &Kind,
        object: &DynamicObject,
        force: Force,
    ) -> Result<(DynamicObject, Creation), ApiError> {
        let request = apply_request(kind, object, force, false)?;
        self.recent_lists.record_write();
        let sent = self.request_sender.send_write(request).await;
        self.recent_lists.record_write();
        match sent {
            Ok((applied, 201, _)) => Ok((applied, Creation::Created)),
            Ok((applied, _, in_doubt)) => {
                Ok((applied, if in_doubt { Creation::Unknown } else { Creation::Existed }))
            }
            Err(error) => Err(confidential::redact(error, &sent_object(kind, object))),
        }
    }

    /// Changes single fields of an existing object, also those of other managers (RFC 7386); `None` if it does not exist.
    ///
    /// # Errors
    /// Any error of the request. A repetition of the same patch changes nothing.
    pub async fn merge_patch(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
        fields: &Value,
    ) -> Result<Option<DynamicObject>, ApiError> {
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let request = Request::new(kind.path(namespace))
            .patch(name, &params, &Patch::Merge(fields))
            .map_err(|cause| into_api_error::invalid_request(name, Box::new(cause)))?;
        match self.request_sender.json(request).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.kind == ApiErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the object that an [`Cluster::apply`] would produce. The server stores nothing (`dryRun=All`), but
    /// requires the right to write.
    /// <https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run>
    ///
    /// # Errors
    /// Those of [`Cluster::apply`].
    pub async fn dry_run_apply(
        &self,
        kind: &Kind,
        object: &DynamicObject,
        force: Force,
    ) -> Result<DynamicObject, ApiError> {
        let request = apply_request(kind, object, force, true)?;
        let applied = self.request_sender.json(request).await;
        applied.map_err(|error| confidential::redact(error, &sent_object(kind, object)))
    }

    /// Deletes an object, in the background; with `uid` only the object of that UID.
    ///
    /// Returns `false` if it did not exist: no object has that name, or another one replaced it. An object
    /// that waits for its finalizers counts as deleted.
    pub async fn delete(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
        uid: Option<&str>,
    ) -> Result<bool, ApiError> {
        let preconditions =
            uid.map(|uid| Preconditions { uid: Some(uid.to_owned()), resource_version: None });
        let params = DeleteParams { preconditions, ..DeleteParams::background() };
        let request = Request::new(kind.path(namespace))
            .delete(name, &params)
            .map_err(|cause| into_api_error::invalid_request(name, Box::new(cause)))?;
        self.recent_lists.record_write();
        let sent = self.request_sender.send_read::<Value>(request).await;
        self.recent_lists.record_write();
        match sent {
            Ok(_) => Ok(true),
            // If an earlier attempt got no answer, that attempt may have deleted it.
            Err((error, in_doubt)) if error.kind == ApiErrorKind::NotFound => Ok(in_doubt),
            Err((error, _)) if uid.is_some() && is_another(&error) => Ok(false),
            Err((error, _)) if is_ending(&error) => Ok(true),
            Err((error, _)) => Err(error),
        }
    }
}

/// Returns the object as it is sent: with the types of its kind, and without `metadata.managedFields`.
fn sent_object(kind: &Kind, object: &DynamicObject) -> DynamicObject {
    let mut sent = object.clone();
    sent.metadata.managed_fields = None;
    sent.types = Some(TypeMeta { api_version: kind.api_version(), kind: kind.kind.to_string() });
    sent
}

fn apply_request(
    kind: &Kind,
    object: &DynamicObject,
    force: Force,
    dry_run: bool,
) -> Result<http::Request<Vec<u8>>, ApiError> {
    let name = object.metadata.name.as_deref();
    let name = name.ok_or_else(|| into_api_error::incomplete("apply an object that has no metadata.name"))?;
    let namespace = object.metadata.namespace.as_deref().unwrap_or("default");
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        field_validation: Some(ValidationDirective::Strict),
        force: force == Force::Yes,
        dry_run,
    };
    Request::new(kind.path(Some(namespace)))
        .patch(name, &params, &Patch::Apply(&sent_object(kind, object)))
        .map_err(|cause| into_api_error::invalid_request(name, Box::new(cause)))
}

/// Returns whether the server found another object under the name. It checks the UID twice, before the deletion
/// and in its storage, with different messages.
pub(super) fn is_another(error: &ApiError) -> bool {
    const MESSAGES: [&str; 2] = ["the UID in the precondition (", "UID in precondition: "];
    error.kind == ApiErrorKind::Conflict && MESSAGES.iter().any(|message| error.message.contains(message))
}

/// Returns whether the deletion had started before: namespaces answer a second one with a conflict.
fn is_ending(error: &ApiError) -> bool {
    error.kind == ApiErrorKind::Conflict && error.message.contains("ensuring all content is removed")
}
