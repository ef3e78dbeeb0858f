//! Fuzz target: the settings file, with any bytes. Reading it never panics, and every error has a place, a
//! message and a remedy.

use crate::settings::{
    LoadInput, Mode,
    config_error::{ConfigError, Place},
    load, parse,
    sources::{Environment, Flags},
};
use std::{cell::RefCell, fs, path::Path};

thread_local! {
    static FOLDER: RefCell<Option<tempfile::TempDir>> = const { RefCell::new(None) };
}

/// Checks one settings file: its text alone, then everything that is read from it.
pub fn check(data: &[u8]) {
    // A file may name others, and reads from a device may never end.
    if [&b"/dev"[..], b"/proc", b"/sys"].iter().any(|path| data.windows(path.len()).any(|part| part == *path))
    {
        return;
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let mut config_errors = Vec::new();
        let parse = parse::parse("landfall.toml", text, &mut config_errors);
        // A lone carriage return counts as the end of a line too.
        let lines = text.matches(['\n', '\r']).count() + 2;
        config_errors.iter().for_each(|config_error| complete(config_error, lines, true));
        assert!(parse.lines.values().all(|line| (1..=lines).contains(line)), "{:?}", parse.lines);
    }
    FOLDER.with_borrow_mut(|folder| {
        let dir = folder.get_or_insert_with(crate::folder).path();
        let config = dir.join("landfall.toml");
        fs::write(&config, data).expect("the folder is ours");
        let lines = data.split(|byte| matches!(byte, b'\n' | b'\r')).count() + 1;
        for mode in [Mode::Apply, Mode::Inspect] {
            match loaded(&config, mode) {
                Ok(()) => {}
                Err(config_errors) => {
                    assert!(!config_errors.is_empty(), "refused without a reason");
                    config_errors.iter().for_each(|config_error| complete(config_error, lines, false));
                }
            }
        }
    });
}

fn loaded(config: &Path, mode: Mode) -> Result<(), Vec<ConfigError>> {
    let (flags, environment) = (Flags::new(), Environment::default());
    let input = LoadInput {
        flags: &flags,
        environment: &environment,
        config: Some(config),
        name: "fuzz",
        state_dir: Path::new("state"),
        mode,
        now: "2027-01-01T00:00:00Z".parse().expect("a constant"),
        ask: &|_| None,
    };
    let loaded_config = load(&input)?;
    let settings = &loaded_config.settings;
    assert!(
        !settings.domain.is_empty() && !settings.location.is_empty() && !settings.resource_group.is_empty()
    );
    assert!(settings.network.address_space.contains(&settings.network.subnet_prefix));
    Ok(())
}

fn complete(config_error: &ConfigError, lines: usize, in_text: bool) {
    assert!(!config_error.message.is_empty() && !config_error.hint.is_empty(), "{config_error:?}");
    assert!(!config_error.place.to_string().is_empty());
    match &config_error.place {
        Place::File { line: Some(line), .. } => assert!((1..=lines).contains(line), "{config_error:?}"),
        Place::File { line: None, .. } => assert!(!in_text, "no line: {config_error:?}"),
        Place::Default => panic!("a default is nobody's mistake: {config_error:?}"),
        Place::Flag(_) | Place::Environment(_) => assert!(!in_text, "{config_error:?}"),
    }
}
