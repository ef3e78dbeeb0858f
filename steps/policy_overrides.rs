//! Fields that another party overrides: an Azure policy with the effect modify, or tag inheritance.
//!
//! The answer to a write shows the override. The journal records it with the step's output, and the field is no
//! drift until its value or the setting changes; the field is then written once more.
//! <https://learn.microsoft.com/azure/governance/policy/concepts/effect-modify>

use crate::tags;
use landfall_cloud::arm::{ModifyPolicy, SubscriptionClient, WriteResult};
use landfall_engine::{Change, Context, Kind, Leftover, Override, StepError};
use serde_json::Value;

/// The code of an error: another party overrides a value that landfall requires.
const REQUIRED_OVERRIDDEN: &str = "RequiredValueOverridden";

/// Returns whether landfall cannot work with another value of the field.
pub(crate) type IsRequired = fn(&Change) -> bool;

/// The [`IsRequired`] of a resource without required fields.
pub(crate) const NOTHING_REQUIRED: IsRequired = |_| false;

/// Returns the differences that no known override explains. The explained ones stay recorded. No override explains
/// a required field.
pub(crate) fn unexplained(
    cx: &Context,
    resource: &str,
    changes: Vec<Change>,
    is_required: IsRequired,
) -> Vec<Change> {
    let mut known = cx.overrides();
    known.retain(|one| !is_required(&one.change));
    let is_known = |change: &Change| known.iter().any(|one| one.change == *change);
    let open: Vec<Change> = changes.iter().filter(|change| !is_known(change)).cloned().collect();
    let kept: Vec<Override> = known.into_iter().filter(|one| changes.contains(&one.change)).collect();
    if !kept.is_empty() {
        cx.note(describe_kept(resource, &kept));
    }
    cx.set_overrides(kept);
    open
}

/// The write whose answer is compared with the request.
pub(crate) struct Written<'a> {
    /// The resource for display: `key vault kv-demo`.
    pub(crate) resource: &'a str,
    /// The resource group, where the policies are looked up.
    pub(crate) group: &'a str,
    /// True for a resource in the group, which may inherit the group's tags.
    pub(crate) is_in_group: bool,
    /// The fields without which the run cannot go on.
    pub(crate) is_required: IsRequired,
    /// The answer; without the resource in it there is nothing to compare.
    pub(crate) write_result: &'a WriteResult,
}

/// Records the differences between the request and its answer as overrides, with a warning that names the likely
/// cause. A field that the answer omits, except for a tag, is not compared.
///
/// # Errors
/// `Refused` if a required field differs. Also fails if the journal cannot be written.
pub(crate) async fn record(
    cx: &Context,
    azure: &SubscriptionClient,
    written: Written<'_>,
    differences: impl FnOnce(&Value) -> Vec<Change>,
) -> Result<(), StepError> {
    let Some(answer) = written.write_result.value() else { return Ok(()) };
    let mut changes = differences(answer);
    changes.retain(|change| !change.is.is_null() || change.field.starts_with(TAGS));
    if changes.is_empty() {
        cx.set_overrides(Vec::new());
        return Ok(());
    }
    // The search for the cause takes time, in which the process may die.
    if let WriteResult::Accepted { operation, .. } = written.write_result {
        cx.save_ticket(operation)?;
    }
    // The names of the policies are a help; without the right to read them the cause stays a guess.
    let policies = azure.modify_policies(written.group).await.unwrap_or_default();
    let may_inherit = written.is_in_group && changes.iter().any(|change| change.field.starts_with(TAGS));
    let group = match may_inherit {
        true => azure.group(written.group).await.ok().flatten().unwrap_or_default(),
        false => Value::Null,
    };
    let of_group = tags::of(&group);
    let with_cause = |change: Change| {
        let inherited = change.field.strip_prefix(TAGS).and_then(|name| tags::get(&of_group, name));
        let inherited = inherited.is_some_and(|value| change.is == value.as_str());
        let cause = cause(&change, &policies, inherited, written.group);
        Override { change, cause }
    };
    let overrides: Vec<Override> = changes.into_iter().map(with_cause).collect();
    let required: Vec<Override> =
        overrides.iter().filter(|one| (written.is_required)(&one.change)).cloned().collect();
    if !required.is_empty() {
        return Err(required_overridden(&written, &required));
    }
    cx.warn(describe_kept(written.resource, &overrides));
    cx.set_overrides(overrides);
    Ok(())
}

/// The prefix of a tag in [`Change::field`].
const TAGS: &str = "tags.";

fn cause(change: &Change, policies: &[ModifyPolicy], inherited: bool, group: &str) -> String {
    let named: Vec<&str> = policies
        .iter()
        .filter(|policy| policy.writes(&change.field))
        .map(|policy| policy.assignment.as_str())
        .collect();
    match (named.as_slice(), change.field.starts_with(TAGS)) {
        ([one], _) => format!("Azure Policy assignment {one} (effect modify)"),
        ([_, ..], _) => format!("Azure Policy assignments {} (effect modify)", named.join(", ")),
        ([], true) if inherited => {
            format!("an Azure policy that inherits tags from resource group {group} (effect modify)")
        }
        ([], true) => "an Azure policy (effect modify), or tag inheritance".to_owned(),
        ([], false) => "an Azure policy (effect modify)".to_owned(),
    }
}

/// Returns the sentence about overrides that stay.
fn describe_kept(resource: &str, overrides: &[Override]) -> String {
    let described = describe(resource, overrides);
    format!("{described}; landfall does not write it again until a value changes")
}

/// Returns the sentence about a resource: `resource group rg: tags.Environment is Production, not Demo, probably
/// because of …`.
fn describe(resource: &str, overrides: &[Override]) -> String {
    let mut clauses: Vec<String> = Vec::new();
    for (at, one) in overrides.iter().enumerate() {
        if overrides[..at].iter().any(|earlier| earlier.cause == one.cause) {
            continue;
        }
        let same = overrides.iter().filter(|other| other.cause == one.cause);
        let fields: Vec<String> = same.map(|other| field(&other.change)).collect();
        clauses.push(format!("{}, probably because of {}", fields.join(", "), one.cause));
    }
    format!("{resource}: {}", clauses.join("; "))
}

fn required_overridden(written: &Written<'_>, required: &[Override]) -> StepError {
    StepError::new(Kind::Refused, format!("set the required fields of {}", written.resource))
        .code(REQUIRED_OVERRIDDEN)
        .cause(describe(written.resource, required))
        .hint(format!(
            "landfall requires the value: let the owner of the policy exempt resource group {} (az policy exemption \
             create), then run again",
            written.group
        ))
        .leftover(Leftover::Something)
}

fn field(change: &Change) -> String {
    let text = |value: &Value| match value {
        Value::Null => "missing".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    format!("{} is {}, not {}", change.field, text(&change.is), text(&change.wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_sentence_groups_the_fields_by_their_cause() {
        let one = |field: &str, is: Value, cause: &str| Override {
            change: Change { field: field.to_owned(), is, wanted: json!("Demo") },
            cause: cause.to_owned(),
        };
        let all = [one("tags.A", json!("x"), "p"), one("f", json!(1), "q"), one("tags.B", Value::Null, "p")];
        assert_eq!(
            describe("key vault kv", &all),
            "key vault kv: tags.A is x, not Demo, tags.B is missing, not Demo, probably because of p; f is 1, not \
             Demo, probably because of q"
        );
    }
}
