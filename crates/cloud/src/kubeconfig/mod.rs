//! The user's kubeconfig: putting a cluster in, and taking it out again.
//!
//! The file belongs to the user. What is in it is parsed to decide, but changed as text: three list entries are put in
//! and `current-context` is turned, and every other byte stays, comments and order included. After each change the new
//! text is parsed and compared with the change made to the parsed file; when a file is written in a way that cannot be
//! edited so (JSON, say), the parsed file is written out anew, with every key it had.
//! <https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/>

mod document;
mod emit;
mod encoding;
mod file;
mod flow;
mod in_place;
mod lock;
mod text;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use document::{Document, Entries};
use encoding::split_mark;
pub use file::{
    Content, LockedFile, Locking, abandoned_lock, check_writable, has_leftovers, open_to_others, path, read,
};
pub use lock::Holder;
use text::Text;

/// The three lists of a kubeconfig.
const SECTIONS: [&str; 3] = ["clusters", "contexts", "users"];
/// The key that says which context is used.
const CURRENT: &str = "current-context";

/// A kubeconfig with the cluster in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The new text of the whole file. It holds credentials.
    pub text: String,
    /// What is needed to take it out again.
    pub added: Added,
}

/// What was put into a kubeconfig. It holds names and no credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Added {
    /// Name of the context.
    pub context: String,
    /// Name of the cluster entry.
    pub cluster: String,
    /// Name of the user entry.
    pub user: String,
    /// The context that was current before, if there was one.
    pub previous_current_context: Option<String>,
    /// The lines that had to give way, by key; `None` where there was none: `clusters: []`, `current-context: other`.
    #[serde(default)]
    pub gave_way: Vec<(String, Option<String>)>,
    /// Whether the last line had no end and was given one.
    #[serde(default)]
    pub line_ended: bool,
    /// Whether there was no file, or nothing in it.
    #[serde(default)]
    pub made: bool,
    /// Whether there was no file. A file that was there is never removed.
    #[serde(default)]
    pub created: bool,
    /// Whether the context that was current before had no entry already.
    #[serde(default)]
    pub dangling: bool,
}

/// Why a kubeconfig cannot be changed. The message fits after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// A file is not YAML, or not a kubeconfig.
    #[error("read the kubeconfig{}: {why}", at(*.line))]
    Unreadable {
        /// The line, from 1, when it is known.
        line: Option<u64>,
        /// What does not fit.
        why: String,
    },
    /// The kubeconfig that the cluster hands out lacks something.
    #[error("use the kubeconfig of the cluster: it has no {what}")]
    Incomplete {
        /// What it lacks.
        what: &'static str,
    },
    /// The kubeconfig that the cluster hands out names a file of this machine, or a program to run.
    #[error(
        "use the kubeconfig of the cluster: its {key} leads out of it, to a file or a program of this machine"
    )]
    Outside {
        /// The key.
        key: &'static str,
    },
    /// The change cannot be written so that reading it gives the same.
    #[error("write the kubeconfig: it contains text that would change when it is read back")]
    Unwritable,
    /// The file cannot be read or written.
    #[error("{act} {}", .path.display())]
    Io {
        /// What was done to it: "write".
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

/// Puts the current context of `from_cluster` into a kubeconfig under the name `context`, and makes it the current one.
///
/// Entries of that context that are there already are replaced; what the user set in the context itself, such as a
/// namespace, stays. A cluster or user entry that another context uses is left alone: ours gets another name.
///
/// # Errors
/// When one of the two texts is no kubeconfig.
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
        gave_way: Vec::new(),
        line_ended: false,
        made,
        created: existing.is_none(),
        dangling: previous.is_some_and(|previous| wanted.place("contexts", previous).is_none()),
    };
    if made {
        wanted.begin();
        wanted.put_in(&entries);
        // What stood there, if anything, are comments: they stay in front. An anchor or a tag would become ours.
        let mut text = Text::new(before);
        if !text.is_preface() {
            return Err(KubeconfigError::Unwritable);
        }
        added.line_ended = text.end_line();
        text.append(&emit::block(wanted.value()));
        return Ok(Merged { text: mark.to_owned() + &checked(text.finish(), &wanted)?, added });
    }
    let edited = edited(before, &entries, &mut added);
    wanted.put_in(&entries);
    let text = match edited.and_then(|text| wanted.is_written_as(&text)) {
        Some(text) => text,
        None => {
            added.gave_way.clear();
            added.line_ended = false;
            rewritten(before, &wanted)?
        }
    };
    Ok(Merged { text: mark.to_owned() + &text, added })
}

/// Puts entries into a text by the smallest edit; notes what had to give way.
fn edited(before: &str, entries: &Entries, added: &mut Added) -> Option<String> {
    if let Some(open) = flow::document(before) {
        let mut text = before.to_owned();
        flow::put_in(&mut text, open, entries, &mut added.gave_way)?;
        return Some(text);
    }
    let mut text = Text::new(before);
    added.line_ended = text.end_line();
    text.put_in(entries, &mut added.gave_way)?;
    Some(text.finish())
}

/// Takes out what [`merge`] has put in; `None` when nothing is left of a file that was created for it.
///
/// When nobody else has changed the file, it is what it was before, byte for byte. The current context is turned back
/// only if it is still ours, and to one that still has its entry.
///
/// # Errors
/// When the text is no kubeconfig any more.
pub fn remove(existing: &str, added: &Added) -> Result<Option<String>, KubeconfigError> {
    let (mark, existing) = split_mark(existing);
    let mut wanted = Document::parse(existing)?;
    let current = former_current(&wanted, added);
    let mut gave_way: Vec<(&str, Option<&str>)> =
        added.gave_way.iter().map(|(key, line)| (key.as_str(), line.as_deref())).collect();
    gave_way.retain(|(key, _)| *key != CURRENT);
    gave_way.push((CURRENT, current.as_deref()));
    let restored = gave_way.iter().map(|(key, line)| {
        let value = line.map(Document::parse).transpose()?.and_then(|line| line.value().get(*key).cloned());
        Ok((*key, value))
    });
    let restored: Vec<(&str, Option<Value>)> = restored.collect::<Result<_, KubeconfigError>>()?;
    if let Some(open) = flow::document(existing) {
        let mut text = existing.to_owned();
        let edited = flow::take_out(&mut text, open, &wanted, added, &gave_way);
        wanted.take_out(added, &restored);
        return match edited.and_then(|()| wanted.is_written_as(&text)) {
            Some(text) => Ok(Some(mark.to_owned() + &text)),
            None => rewritten(existing, &wanted).map(|text| Some(mark.to_owned() + &text)),
        };
    }
    let mut text = Text::new(existing);
    let edited = text.take_out(&wanted, added, &gave_way);
    wanted.take_out(added, &restored);
    if added.made && wanted.is_skeleton() {
        let left = edited.map(|()| text.without_skeleton(added.line_ended)).unwrap_or_default();
        let left = mark.to_owned() + &left;
        return Ok(Some(left).filter(|left| !(left.is_empty() && added.created)));
    }
    let edited = edited.and_then(|()| {
        if added.line_ended {
            text.unend_line();
        }
        wanted.is_written_as(&text.finish())
    });
    match edited {
        Some(text) => Ok(Some(mark.to_owned() + &text)),
        None => rewritten(existing, &wanted).map(|text| Some(mark.to_owned() + &text)),
    }
}

/// Returns the line of the context that was current before, unless its entry was removed since.
fn former_current(document: &Document, added: &Added) -> Option<String> {
    let previous = added.previous_current_context.as_deref();
    let is_there = previous.is_none_or(|previous| {
        added.dangling || (previous != added.context && document.place("contexts", previous).is_some())
    });
    let line = match added.gave_way.iter().find(|(key, _)| key == CURRENT) {
        Some((_, line)) => line.clone(),
        None => previous.map(|previous| format!("{CURRENT}: {}", emit::scalar(&Value::from(previous)))),
    };
    line.filter(|_| is_there)
}

/// Tells whether a text is a kubeconfig that something can be added to; nothing at all is one.
///
/// # Errors
/// `Unreadable`, with what does not fit; `Unwritable` when adding would change what others have in it.
pub fn check(existing: &str) -> Result<(), KubeconfigError> {
    const PROBE: &str = "current-context: landfall-probe\n\
        clusters: [{name: landfall-probe, cluster: {server: 'https://probe.invalid'}}]\n\
        contexts: [{name: landfall-probe, context: {cluster: landfall-probe, user: landfall-probe}}]\n\
        users: [{name: landfall-probe, user: {}}]\n";
    merge(Some(existing), PROBE, "landfall-probe").map(|_| ())
}

/// Tells whether a kubeconfig has a context of this name, wherever that leads.
pub fn has_context(existing: Option<&str>, context: &str) -> bool {
    let document = existing.and_then(|text| Document::parse(text).ok());
    document.is_some_and(|document| document.place("contexts", context).is_some())
}

/// Tells whether merging would change what a kubeconfig says about the cluster: the context is missing, or leads to
/// another server or signs in otherwise. Which context is current does not count, nor does a namespace set in it.
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

/// Writes a document out anew, in the style nearest to what was there.
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
