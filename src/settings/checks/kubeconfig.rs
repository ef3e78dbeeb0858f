//! Checks of the user's kubeconfig, before anything is created: the cluster can be added to it.

use crate::settings::config_error::{ConfigError, Sourced};
use landfall_cloud::kubeconfig::{self, KubeconfigError};
use landfall_steps::kubeconfig::BACKUP;
use std::{fs, io, path::Path};

/// The maximum size of a kubeconfig. Real ones have some kilobytes; etcd itself accepts no object above 1.5
/// MB.
const SIZE_MAX: u64 = 4 * 1024 * 1024;

/// Checks the file at `path`; a missing one will be created. `state` is the environment's state folder.
pub fn file(given: &Sourced<String>, path: &Path, state: &Path) -> Result<(), ConfigError> {
    let shown = path.display();
    let wrong = |why: String, hint: &str| Err(given.wrong(format!("{shown} {why}")).hint(hint));
    let another = "set kubeconfig (KUBECONFIG) to another file; a missing file is created";
    let known = match fs::metadata(path) {
        Ok(known) => known,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return writable(given, path),
        Err(error) => {
            let hint = format!("{}; or {another}", landfall_engine::file_remedy(&error));
            return wrong(format!("cannot be read: {error}"), &hint);
        }
    };
    if !known.is_file() {
        // A device or a pipe would block for ever, or be replaced by a file.
        return wrong("is not a file".to_owned(), another);
    }
    if known.len() > SIZE_MAX {
        return wrong(format!("has {} MB and is not a kubeconfig", known.len() / 1_000_000), another);
    }
    if known.permissions().readonly() {
        return wrong("is read-only".to_owned(), "make it writable, or set kubeconfig to another file");
    }
    // A killed run may have left a half-written text: the next lock of the file restores it.
    if kubeconfig::has_leftovers(path, &state.join(BACKUP)) {
        return writable(given, path);
    }
    let content = match kubeconfig::read(path) {
        Ok(content) => content.unwrap_or_default(),
        Err(KubeconfigError::Unreadable { why, .. }) => {
            return wrong(format!("cannot be read: {why}"), another);
        }
        Err(error) => return wrong(format!("cannot be read: {}", chain(&error)), another),
    };
    if let Err(error) = kubeconfig::check(&content.text) {
        let hint = "fix the file, or set kubeconfig to another one";
        return wrong(format!("cannot be changed: failed to {error}"), hint);
    }
    writable(given, path)
}

/// Checks that the file can be written later, and that no program seems to have abandoned its lock.
fn writable(given: &Sourced<String>, path: &Path) -> Result<(), ConfigError> {
    let shown = path.display();
    if let Err(error) = kubeconfig::check_writable(path) {
        let config_error = given.wrong(format!("{shown} cannot be written: failed to {}", chain(&error)));
        return Err(config_error.hint("make it writable, or set kubeconfig to another file"));
    }
    if let Some(held) = kubeconfig::abandoned_lock(path) {
        let (lock, age) = (held.lock.display(), held.age.unwrap_or_default().as_secs());
        let config_error =
            given.wrong(format!("{shown} is locked by another program: {lock} is {age} s old"));
        return Err(
            config_error.hint(format!("remove {lock} when no kubectl is running; kubectl needs that too"))
        );
    }
    Ok(())
}

/// Returns an error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
