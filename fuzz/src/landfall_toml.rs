//! Fuzz target: the settings file, with any bytes. Reading it never panics, and every error has a place, a
//! message and a remedy.

use crate::settings::{
    Asked, Purpose,
    layers::{Environment, Flags},
    load,
    mistake::{Mistake, Place},
    reading,
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
        let mut mistakes = Vec::new();
        let reading = reading::parse("landfall.toml", text, &mut mistakes);
        let lines = text.lines().count().max(1) + 1;
        mistakes.iter().for_each(|mistake| complete(mistake, lines, true));
        assert!(reading.lines.values().all(|line| (1..=lines).contains(line)), "{:?}", reading.lines);
    }
    FOLDER.with_borrow_mut(|folder| {
        let dir = folder.get_or_insert_with(crate::folder).path();
        let config = dir.join("landfall.toml");
        fs::write(&config, data).expect("the folder is ours");
        let lines = data.split(|byte| *byte == b'\n').count() + 1;
        for purpose in [Purpose::Make, Purpose::Remember] {
            match loaded(&config, purpose) {
                Ok(()) => {}
                Err(mistakes) => {
                    assert!(!mistakes.is_empty(), "refused without a reason");
                    mistakes.iter().for_each(|mistake| complete(mistake, lines, false));
                }
            }
        }
    });
}

fn loaded(config: &Path, purpose: Purpose) -> Result<(), Vec<Mistake>> {
    let (flags, environment) = (Flags::new(), Environment::default());
    let asked = Asked {
        flags: &flags,
        environment: &environment,
        config: Some(config),
        name: "fuzz",
        state_dir: Path::new("state"),
        purpose,
        now: "2027-01-01T00:00:00Z".parse().expect("a constant"),
        ask: &|_| None,
    };
    let wished = load(&asked)?;
    let settings = &wished.settings;
    assert!(
        !settings.domain.is_empty() && !settings.location.is_empty() && !settings.resource_group.is_empty()
    );
    assert!(settings.network.address_space.contains(&settings.network.subnet_prefix));
    Ok(())
}

fn complete(mistake: &Mistake, lines: usize, in_text: bool) {
    assert!(!mistake.message.is_empty() && !mistake.hint.is_empty(), "{mistake:?}");
    assert!(!mistake.place.to_string().is_empty());
    match &mistake.place {
        Place::File { line: Some(line), .. } => assert!((1..=lines).contains(line), "{mistake:?}"),
        Place::File { line: None, .. } => assert!(!in_text, "no line: {mistake:?}"),
        Place::Default => panic!("a default is nobody's mistake: {mistake:?}"),
        Place::Flag(_) | Place::Environment(_) => assert!(!in_text, "{mistake:?}"),
    }
}
