//! The Homebrew formula, from its template and the checksums of a release.

use crate::{Error, checksums, names};

/// The template: the only text of the formula.
const TEMPLATE: &str = include_str!("../landfall.rb");

/// Returns the formula of a release. `list` holds its checksums.
///
/// # Errors
/// The list lacks an archive, or the template has a placeholder of another name.
pub fn fill(repository: &str, version: &str, list: &str) -> Result<String, Error> {
    let mut text = TEMPLATE.replace("@REPOSITORY@", repository).replace("@VERSION@", version);
    for target in names::TARGETS {
        let file = names::archive(target.triple);
        let sum = checksums::find(list, &file).ok_or_else(|| {
            Error::new("fill the formula", format!("{} lacks {file}", names::CHECKSUMS))
                .hint("the formula needs the archives of all targets")
        })?;
        text = text
            .replace(&format!("@URL {}@", target.triple), &names::download(repository, version, &file))
            .replace(&format!("@SHA256 {}@", target.triple), sum);
    }
    match text.lines().find(|line| line.contains('@')) {
        Some(line) => Err(Error::new("fill the formula", format!("no value for {}", line.trim()))),
        None => Ok(text),
    }
}
