//! Checks of a folder of the user's own manifests, read before the first request.

use crate::settings::config_error::{ConfigError, Sourced};
use landfall_cloud::kubernetes::manifest::{Manifest, read_folder};
use std::{path::Path, sync::Arc};

/// Parses every document of the folder; each invalid one is an error with file, document and line.
pub fn folder(given: &Sourced<String>, path: &Path) -> Result<Arc<Vec<Manifest>>, Vec<ConfigError>> {
    if !path.is_dir() {
        let hint = "use a folder with .yaml files, or omit it for the built-in manifests";
        return Err(vec![given.wrong(format!("{} is not a folder", path.display())).hint(hint)]);
    }
    let manifests = read_folder(path).map_err(|errors| {
        let messages = errors.iter().map(|error| {
            let hint = error.hint.unwrap_or("fix the document; no manifest is applied until then");
            given.wrong(error.to_string()).hint(hint)
        });
        messages.collect::<Vec<ConfigError>>()
    })?;
    match manifests.is_empty() {
        true => Err(vec![
            given
                .wrong(format!("{} contains no manifest", path.display()))
                .hint("manifests are files that end with .yaml, .yml or .json"),
        ]),
        false => Ok(Arc::new(manifests)),
    }
}
