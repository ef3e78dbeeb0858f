//! Changes that the API server refuses: detected before the first write, or made by a recreation of the
//! object.

use super::{is_managed, uid_of};
use crate::{error_context::ErrorContext, manifests::name_of, operation, settings::ObjectName};
use landfall_cloud::{
    ApiError,
    kubernetes::{Cluster, Difference, DynamicObject, Kind, manifest::Manifest},
};
use landfall_engine::{Change, Context, Kind as ErrorKind, Leftover, Poll, StepError, Wait};
use serde_json::{Value, json};
use std::time::Duration;

/// The messages with which the API server refuses a change of a field, from the validation of each kind.
const REFUSALS: [&str; 6] = [
    "immutable",
    "may not change once set",
    "cannot change roleRef",
    "updates to statefulset spec for fields other than",
    "pod updates may not change fields other than",
    "spec is forbidden after creation",
];

/// An object whose immutable field differs.
#[derive(Debug, Clone)]
pub(super) struct ImmutableChange {
    kind: String,
    pub(super) name: ObjectName,
    uid: String,
    differences: Vec<Difference>,
    /// True if landfall never applied the object.
    foreign: bool,
}

impl ImmutableChange {
    /// Wraps the differences of immutable fields; `None` if there are none.
    pub(super) fn of(
        kind: &Kind,
        manifest: &Manifest,
        live: &DynamicObject,
        differences: Vec<Difference>,
    ) -> Option<Self> {
        let (kind, name) = (kind.kind.to_string(), name_of(manifest));
        let foreign = !is_managed(live);
        (!differences.is_empty()).then(|| Self {
            kind,
            name,
            uid: uid_of(live).to_owned(),
            differences,
            foreign,
        })
    }

    /// Describes the interruption that its recreation causes.
    pub(super) fn interruption(&self) -> Change {
        let short = self.name.to_string();
        let short = short.rsplit('/').next().unwrap_or_default();
        Change {
            field: format!("{} {short}: interruption", self.kind),
            is: Value::Null,
            wanted: json!("deleted and recreated, down until it is ready"),
        }
    }
}

/// Returns the refusal of these changes; `None` if there are none.
pub(super) fn refusal(all: &[ImmutableChange]) -> Option<StepError> {
    let named = match all {
        [] => return None,
        [one] => one.name.to_string(),
        many => format!("{} objects", many.len()),
    };
    let causes = all.iter().flat_map(|one| {
        one.differences.iter().map(move |(path, is, wanted)| {
            let field = path.trim_start_matches('.');
            format!("{}: {field} is immutable: {is} → {wanted}", one.name)
        })
    });
    let error = StepError::new(ErrorKind::Refused, format!("update {named} in place"))
        .code("ImmutableField")
        .leftover(Leftover::Nothing);
    let mut hint = replace_hint(all.iter().map(|one| &one.name));
    if all.iter().any(|one| one.foreign) {
        hint += "; to keep what another tool applied, set manifests (MANIFESTS_DIR) to the folder that it applied";
    }
    Some(causes.fold(error, StepError::cause).hint(hint))
}

fn replace_hint<'a>(names: impl Iterator<Item = &'a ObjectName>) -> String {
    let flags: Vec<String> = names.map(|name| format!("--replace {name}")).collect();
    format!(
        "set the field back in the manifest, or let up delete and recreate the object, which interrupts it: {}",
        flags.join(" ")
    )
}

/// Returns whether the API server refused an apply because a field is immutable: a rule of a custom resource,
/// or a change since the check.
pub(super) fn is_refused(error: &ApiError) -> bool {
    let texts = || error.details.iter().map(|(_, text)| text.as_str()).chain([error.message.as_str()]);
    error.status == Some(422) && texts().any(|text| REFUSALS.iter().any(|phrase| text.contains(phrase)))
}

/// Adds the hint to such a refusal.
pub(super) fn with_replace_hint(mut error: StepError, name: &ObjectName) -> StepError {
    error.kind = ErrorKind::Refused;
    error.code("ImmutableField").hint(replace_hint(std::iter::once(name)))
}

/// Deletes an object before its recreation, and waits until it is gone.
pub(super) async fn delete(
    cx: &Context,
    api: &Cluster,
    kind: &Kind,
    live: &DynamicObject,
) -> Result<(), StepError> {
    let (name, uid) = (live.metadata.name.as_deref().unwrap_or_default(), uid_of(live));
    let space = super::namespace(kind, live);
    let what = format!("delete {} {name} to recreate it", kind.kind);
    cx.note(format!(
        "{} {name}: deleting and recreating it, as --replace asks; it is down until it is ready",
        kind.kind
    ));
    api.delete(kind, space, name, Some(uid)).await.context(&what)?;
    let wait = Wait::new("the object to be deleted", Duration::from_secs(5), Duration::from_secs(300));
    cx.wait_until(wait, async || match api.get(kind, space, name).await {
        Ok(Some(current)) if uid_of(&current) == uid => Ok(Poll::not_yet("its finalizers hold it")),
        Ok(_) => Ok(Poll::Ready(())),
        Err(error) if operation::is_transient(&error) => Ok(operation::no_response(&error, None)),
        Err(error) => Err(error).context(&what),
    })
    .await
}

/// Returns whether the list contains the object of a manifest, unchanged since the comparison.
pub(super) fn is_among(all: &[ImmutableChange], manifest: &Manifest, live: &DynamicObject) -> bool {
    let name = name_of(manifest);
    all.iter().any(|one| one.name == name && one.uid == uid_of(live))
}
