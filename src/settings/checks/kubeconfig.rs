//! The user's kubeconfig: what is there can be added to, and this shows before anything is made.

use crate::settings::mistake::{Given, Mistake};
use landfall_cloud::kubeconfig;
use std::{fs, io, path::Path};

/// The largest kubeconfig that is read. Real ones have some kilobytes; etcd itself takes no object above 1.5 MB.
const SIZE_MAX: u64 = 4 * 1024 * 1024;

/// Checks the file at `path`; one that is not there will be made.
pub fn file(given: &Given<String>, path: &Path) -> Result<(), Mistake> {
    let shown = path.display();
    let wrong = |why: String, hint: &str| Err(given.wrong(format!("{shown} {why}")).hint(hint));
    let another = "set kubeconfig (KUBECONFIG) to another file; one that is not there yet is made";
    let known = match fs::metadata(path) {
        Ok(known) => known,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return wrong(format!("cannot be looked at: {error}"), another),
    };
    if !known.is_file() {
        // A device or a pipe would be waited on for ever, or replaced by a file.
        return wrong("is not a file".to_owned(), another);
    }
    if known.len() > SIZE_MAX {
        return wrong(format!("has {} MB and is no kubeconfig", known.len() / 1_000_000), another);
    }
    if known.permissions().readonly() {
        return wrong("is read-only".to_owned(), "allow writing to it, or set kubeconfig to another file");
    }
    match fs::read_to_string(path).map(|text| kubeconfig::check(&text)) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => wrong(
            format!("cannot be added to: failed to {error}"),
            "mend the file, or set kubeconfig to another one",
        ),
        Err(error) => wrong(format!("cannot be read: {error}"), another),
    }
}
