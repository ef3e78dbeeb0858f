//! Edits of the user's kubeconfig: adding a cluster, and removing it again.
//!
//! The file belongs to the user. The contents are parsed to decide, but changed as text. The edit adds three
//! list entries and sets `current-context`; every other byte stays, comments and order included. After each
//! change the new text is parsed and compared with the change of the parsed file. If a file cannot be edited
//! like this, the parsed file is serialized, with every key it had.
//! <https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/>

mod document;
pub(crate) mod emit;
mod encoding;
mod file;
mod flow;
mod lock;
mod sign_in_program;
mod text;
mod write_in_place;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use document::{Document, Entries};
pub(crate) use encoding::decode;
use encoding::split_mark;
pub use file::{
    Content, LockedFile, Locking, abandoned_lock, check_writable, has_leftovers, open_to_others, path, read,
};
pub use lock::Holder;
use text::Text;

/// The three lists of a kubeconfig.
const SECTIONS: [&str; 3] = ["clusters", "contexts", "users"];
/// The key that names the current context.
const CURRENT: &str = "current-context";

/// A kubeconfig that contains the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The new text of the whole file. It contains credentials.
    pub text: String,
    /// The data that a later removal needs.
    pub added: Added,
}

/// The additions to a kubeconfig. They contain names and no credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Added {
    /// The name of the context.
    pub context: String,
    /// The name of the cluster entry.
    pub cluster: String,
    /// The name of the user entry.
    pub user: String,
    /// The context that was current before, if there was one.
    pub previous_current_context: Option<String>,
    /// The replaced lines, by key; `None` if there was none: `clusters: []`, `current-context: other`.
    #[serde(default)]
    #[serde(rename = "gave_way")]
    pub replaced_lines: Vec<(String, Option<String>)>,
    /// True if the last line had no line end and got one.
    #[serde(default)]
    pub line_ended: bool,
    /// True if there was no file, or an empty one.
    #[serde(default)]
    pub made: bool,
    /// True if there was no file. An existing file is never removed.
    #[serde(default)]
    pub created: bool,
    /// True if the context that was current before already had no entry.
    #[serde(default)]
    pub dangling: bool,
}

/// The reason why a kubeconfig cannot be changed. The message fits after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// A file is not YAML, or not a kubeconfig.
    #[error("read the kubeconfig{}: {why}", at(*.line))]
    Unreadable {
        /// The line, from 1, if it is known.
        line: Option<u64>,
        /// The part that does not fit.
        why: String,
    },
    /// The cluster's kubeconfig lacks something.
    #[error("use the kubeconfig of the cluster: it has no {what}")]
    Incomplete {
        /// The missing part.
        what: &'static str,
    },
    /// The cluster's kubeconfig names a file of this machine, or a program to run.
    #[error(
        "use the kubeconfig of the cluster: its {key} leads out of it, to a file or a program of this machine"
    )]
    Outside {
        /// The key.
        key: &'static str,
    },
    /// The change cannot be written so that parsing it yields the same.
    #[error("write the kubeconfig: it contains text that would change when it is read back")]
    Unwritable,
    /// The file cannot be read or written.
    #[error("{act} {}", .path.display())]
    Io {
        /// The file operation: "write".
        act: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

fn at(line: Option<u64>) -> String {
    line.map(|line| format!(" at line {line}")).unwrap_or_default()
}

/// Adds the current context of `from_cluster` to a kubeconfig under the name `context`, and sets it as
/// current.
///
/// Existing entries of that context are replaced; the user's settings in the context itself, such as a
/// namespace, stay. A cluster or user entry that another context uses stays: the added one gets another name.
///
/// ```
/// use landfall_cloud::kubeconfig::{merge, remove};
/// let cluster = "
/// apiVersion: v1
/// kind: Config
/// clusters: [{name: aks, cluster: {server: 'https://aks.example.com'}}]
/// users: [{name: admin, user: {token: secret}}]
/// contexts: [{name: aks, context: {cluster: aks, user: admin}}]
/// current-context: aks
/// ";
/// let mine = "apiVersion: v1\nkind: Config\ncurrent-context: other\n";
/// let merged = merge(Some(mine), cluster, "aks-demo")?;
/// assert!(merged.text.contains("current-context: aks-demo"));
/// assert_eq!(remove(&merged.text, &merged.added)?.as_deref(), Some(mine));
/// # Ok::<(), landfall_cloud::kubeconfig::KubeconfigError>(())
/// ```
///
/// # Errors
/// Fails if one of the two texts is not a kubeconfig.
pub fn merge(existing: Option<&str>, from_cluster: &str, context: &str) -> Result<Merged, KubeconfigError> {
    let (mark, before) = split_mark(existing.unwrap_or_default());
    let mut wanted = Document::parse(before)?;
    let made = wanted.is_nothing() && flow::document(before).is_none();
    let entries = wanted.entries_from(&Document::parse(from_cluster)?, context)?;
    let previous = wanted.current_context().filter(|current| !current.is_empty() && *current != context);
    let mut added = Added {
        context: context.to_owned(),
        cluster: entries.cluster.clone(),
        user: entries.user.clone(),
        previous_current_context: previous.map(str::to_owned),
        replaced_lines: Vec::new(),
        line_ended: false,
        made,
        created: existing.is_none(),
        dangling: previous.is_some_and(|previous| wanted.place("contexts", previous).is_none()),
    };
    if made {
        wanted.begin();
        wanted.insert_entries(&entries);
        // The existing text, if any, is comments: they stay in front. An anchor or a tag would apply to the
        // added text.
        let mut text = Text::new(before);
        if !text.is_preface() {
            return Err(KubeconfigError::Unwritable);
        }
        added.line_ended = text.end_line();
        text.append(&emit::block(wanted.value()));
        return Ok(Merged { text: mark.to_owned() + &checked(text.finish(), &wanted)?, added });
    }
    let edited = edited(before, &entries, &mut added);
    wanted.insert_entries(&entries);
    let text = match edited.and_then(|text| wanted.is_written_as(&text)) {
        Some(text) => text,
        None => {
            added.replaced_lines.clear();
            added.line_ended = false;
            rewritten(before, &wanted)?
        }
    };
    Ok(Merged { text: mark.to_owned() + &text, added })
}

/// Adds entries to a text by the smallest edit; records the replaced lines.
fn edited(before: &str, entries: &Entries, added: &mut Added) -> Option<String> {
    if let Some(open) = flow::document(before) {
        let mut text = before.to_owned();
        flow::insert_entries(&mut text, open, entries, &mut added.replaced_lines)?;
        return Some(text);
    }
    let mut text = Text::new(before);
    added.line_ended = text.end_line();
    text.insert_entries(entries, &mut added.replaced_lines)?;
    Some(text.finish())
}

/// Removes what [`merge`] added; `None` if nothing is left of a file that was created for it.
///
/// If no other program changed the file, the result equals the former file byte for byte. The current context
/// is restored only if it is still the added one, and only to a context that still has its entry.
///
/// # Errors
/// Fails if the text is no longer a kubeconfig.
pub fn remove(existing: &str, added: &Added) -> Result<Option<String>, KubeconfigError> {
    let (mark, existing) = split_mark(existing);
    let mut wanted = Document::parse(existing)?;
    let current = former_current(&wanted, added);
    let mut replaced_lines: Vec<(&str, Option<&str>)> =
        added.replaced_lines.iter().map(|(key, line)| (key.as_str(), line.as_deref())).collect();
    replaced_lines.retain(|(key, _)| *key != CURRENT);
    replaced_lines.push((CURRENT, current.as_deref()));
    let restored = replaced_lines.iter().map(|(key, line)| {
        let value = line.map(parse_entry).transpose()?.and_then(|line| line.value().get(*key).cloned());
        Ok((*key, value))
    });
    let restored: Vec<(&str, Option<Value>)> = restored.collect::<Result<_, KubeconfigError>>()?;
    if let Some(open) = flow::document(existing) {
        let mut text = existing.to_owned();
        let edited = flow::remove_entries(&mut text, open, &wanted, added, &replaced_lines);
        wanted.remove_entries(added, &restored);
        return match edited.and_then(|()| wanted.is_written_as(&text)) {
            Some(text) => Ok(Some(mark.to_owned() + &text)),
            None => rewritten(existing, &wanted).map(|text| Some(mark.to_owned() + &text)),
        };
    }
    let mut text = Text::new(existing);
    let edited = text.remove_entries(&wanted, added, &replaced_lines);
    wanted.remove_entries(added, &restored);
    if added.made && wanted.is_skeleton() {
        let left = edited.map(|()| text.without_skeleton(added.line_ended)).unwrap_or_default();
        let left = mark.to_owned() + &left;
        return Ok(Some(left).filter(|left| !(left.is_empty() && added.created)));
    }
    let edited = edited.and_then(|()| {
        if added.line_ended {
            text.remove_line_end();
        }
        wanted.is_written_as(&text.finish())
    });
    match edited {
        Some(text) => Ok(Some(mark.to_owned() + &text)),
        None => rewritten(existing, &wanted).map(|text| Some(mark.to_owned() + &text)),
    }
}

/// Parses a replaced line. An entry of a flow mapping, such as `"users":null`, is valid only between braces.
fn parse_entry(line: &str) -> Result<Document, KubeconfigError> {
    Document::parse(line).or_else(|error| Document::parse(&format!("{{{line}\n}}")).map_err(|_| error))
}

/// Returns the line of the former current context, unless its entry was removed since.
fn former_current(document: &Document, added: &Added) -> Option<String> {
    let previous = added.previous_current_context.as_deref();
    let is_there = previous.is_none_or(|previous| {
        added.dangling || (previous != added.context && document.place("contexts", previous).is_some())
    });
    let line = match added.replaced_lines.iter().find(|(key, _)| key == CURRENT) {
        Some((_, line)) => line.clone(),
        None => previous.map(|previous| format!("{CURRENT}: {}", emit::scalar(&Value::from(previous)))),
    };
    line.filter(|_| is_there)
}

/// Checks that a text is a kubeconfig that accepts additions; an empty text is one.
///
/// # Errors
/// `Unreadable`, with the part that does not fit; `Unwritable` if the addition would change foreign contents.
pub fn check(existing: &str) -> Result<(), KubeconfigError> {
    const PROBE: &str = "current-context: landfall-probe\n\
        clusters: [{name: landfall-probe, cluster: {server: 'https://probe.invalid'}}]\n\
        contexts: [{name: landfall-probe, context: {cluster: landfall-probe, user: landfall-probe}}]\n\
        users: [{name: landfall-probe, user: {}}]\n";
    merge(Some(existing), PROBE, "landfall-probe").map(|_| ())
}

/// Returns whether a kubeconfig has a context of this name, whatever its target.
pub fn has_context(existing: Option<&str>, context: &str) -> bool {
    let document = existing.and_then(|text| Document::parse(text).ok());
    document.is_some_and(|document| document.place("contexts", context).is_some())
}

/// Returns whether a merge would change what a kubeconfig defines for the cluster: the context is missing,
/// leads to another server or signs in otherwise. The choice of the current context does not count, nor does
/// a namespace set in it.
pub fn differs(existing: Option<&str>, from_cluster: &str, context: &str) -> bool {
    let parse = |text: &str| Document::parse(text).ok();
    match (parse(existing.unwrap_or_default()), parse(from_cluster)) {
        (Some(existing), Some(from_cluster)) => {
            let wanted = from_cluster.current_context().and_then(|current| from_cluster.resolve(current));
            wanted.is_none() || existing.resolve(context) != wanted
        }
        _ => true,
    }
}

/// Serializes a document in the style nearest to the existing one.
fn rewritten(before: &str, wanted: &Document) -> Result<String, KubeconfigError> {
    let text = if before.trim_start().starts_with('{') {
        format!("{:#}\n", wanted.value())
    } else {
        emit::block(wanted.value())
    };
    checked(text, wanted)
}

fn checked(text: String, wanted: &Document) -> Result<String, KubeconfigError> {
    wanted.is_written_as(&text).ok_or(KubeconfigError::Unwritable)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
