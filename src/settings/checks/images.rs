//! The programs of this machine that stand for images in the simulated cloud.

use crate::settings::{
    config_error::{ConfigError, Place, Sourced},
    sources::Sources,
};
use std::{collections::BTreeMap, path::PathBuf};

/// Parses a list of images and the programs that stand for them.
///
/// A program runs with the user's rights, so a file that landfall found by itself cannot name one.
///
/// # Errors
/// An item is malformed, names no program, or comes from such a file.
pub fn read(
    sources: &Sources<'_>,
    given: &Sourced<String>,
) -> Result<BTreeMap<String, PathBuf>, ConfigError> {
    if matches!(given.place, Place::File { .. }) && !sources.file_is_named() {
        let wrong = "programs for images are not read from a file that was not named";
        return Err(given.wrong(wrong.to_owned()).hint("name the file with --config, or use --sim-image"));
    }
    let pairs = given.value.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    let image = |pair: &str| {
        let wrong = |why: &str| given.wrong(format!("\"{pair}\" {why}"));
        let example = "use REPOSITORY=PROGRAM, such as ghcr.io/acme/landfall=/usr/local/bin/landfall";
        let Some((repository, program)) =
            pair.split_once('=').filter(|(left, right)| !left.is_empty() && !right.is_empty())
        else {
            return Err(wrong("does not name an image and its program").hint(example));
        };
        let tag = repository.rsplit('/').next().is_some_and(|last| last.contains([':', '@']));
        if tag || repository.contains(char::is_whitespace) {
            return Err(
                wrong("does not begin with the repository of an image, without tag and digest").hint(example)
            );
        }
        let program = sources.path(&given.with(program.to_owned()));
        let program = std::path::absolute(&program).unwrap_or(program);
        if !program.is_file() {
            return Err(wrong("names no program of this machine").hint(example));
        }
        Ok((repository.to_owned(), program))
    };
    pairs.map(image).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{
        parse::ParsedFile,
        sources::{Environment, Flags},
    };

    fn images(value: &str, place: Place, named: bool) -> Result<BTreeMap<String, PathBuf>, String> {
        let (flags, environment) = (Flags::new(), [].into_iter().collect::<Environment>());
        let parsed = ParsedFile { named, ..ParsedFile::default() };
        let sources = Sources::new(&flags, &environment, &parsed, Vec::new());
        read(&sources, &Sourced { value: value.into(), key: "sim.images", place })
            .map_err(|error| error.message)
    }

    #[test]
    fn an_image_has_a_program_of_this_machine() {
        let program = std::env::current_exe().unwrap();
        let good = format!("registry.example:5000/team/app={}", program.display());
        let read = images(&good, Place::Flag("sim-image"), false).unwrap();
        assert_eq!(read, [("registry.example:5000/team/app".to_owned(), program.clone())].into());
        let of = |value: &str| images(value, Place::Flag("sim-image"), false).unwrap_err();
        assert_eq!(of("app"), "\"app\" does not name an image and its program");
        assert_eq!(of("app=/nowhere/app"), "\"app=/nowhere/app\" names no program of this machine");
        let tagged = format!("app:1={}", program.display());
        assert!(
            of(&tagged).ends_with("does not begin with the repository of an image, without tag and digest")
        );
    }

    #[test]
    fn a_file_that_was_not_named_starts_no_program() {
        let program = std::env::current_exe().unwrap();
        let value = format!("app={}", program.display());
        let place = || Place::File { file: "landfall.toml".into(), line: Some(2) };
        let refused = images(&value, place(), false).unwrap_err();
        assert_eq!(refused, "programs for images are not read from a file that was not named");
        assert!(images(&value, place(), true).is_ok());
    }
}
