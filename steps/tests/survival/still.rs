//! A snapshot of one instant: the simulated cloud, and every file of landfall. A killed process leaves
//! exactly this.

use crate::{
    carrier::{Inside, Side},
    environment::Environment,
};
use landfall_engine::{Damage, Journal, OpenError};
use landfall_sim::{clock::Moment, world::World};
use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
    sync::{Arc, Mutex},
};

/// The files below a folder: path and content.
type Files = Vec<(String, Vec<u8>)>;

/// The journal, which only grows.
const JOURNAL: &str = "state/journal.jsonl";
/// The file with the journal's length.
const LENGTH: &str = "state/journal.length";

/// A snapshot of one instant.
#[derive(Clone)]
pub struct Still {
    /// The name of the instant, for people.
    pub label: String,
    /// The number of requests that had taken effect.
    pub requests: usize,
    pub world: Arc<World>,
    pub at: Moment,
    /// The home folder in the paths of the files.
    home: Arc<str>,
    files: Files,
}

/// The distinct snapshots of a run, and the number of its instants.
pub struct Film {
    pub stills: Vec<Still>,
    /// The number of instants: before and after each request, before and after each journal entry.
    pub instants: usize,
}

/// The state at one side of a request.
struct Glance {
    label: String,
    requests: usize,
    world: Arc<World>,
    fingerprint: u64,
    at: Moment,
    files: Files,
}

/// Records a snapshot at each request through a carrier.
pub struct Camera {
    glances: Arc<Mutex<Vec<Glance>>>,
    /// The files before the first request.
    before: Files,
}

impl Camera {
    pub fn on(here: &Environment, carrier: &Inside) -> Self {
        let glances = Arc::new(Mutex::new(Vec::<Glance>::new()));
        let (taken, world, home) = (glances.clone(), here.world.clone(), here.home.path().to_owned());
        let mut last: Option<(u64, Arc<World>)> = None;
        carrier.show(Box::new(move |side, number, name| {
            let (fingerprint, at) = world.read(|world| (fingerprint(world), world.now()));
            let same =
                last.as_ref().filter(|(known, _)| *known == fingerprint).map(|(_, world)| world.clone());
            let world = same.unwrap_or_else(|| Arc::new(world.read(World::clone)));
            last = Some((fingerprint, world.clone()));
            let (word, requests) = match side {
                Side::Before => ("before", number - 1),
                Side::After => ("after", number),
            };
            let label = format!("{word} request {number}, {name}");
            let glance = Glance { label, requests, world, fingerprint, at, files: files(&home) };
            taken.lock().unwrap().push(glance);
        }));
        Self { glances, before: files(here.home.path()) }
    }

    /// Returns the distinct snapshots: instants without a difference share one. Between two requests the
    /// journal may have grown by several entries; each of them is an instant.
    pub fn film(self, here: &Environment) -> Film {
        let mut glances = std::mem::take(&mut *self.glances.lock().unwrap());
        let end = glances.last().expect("a run sends requests");
        let end = Glance {
            label: "at the end".to_owned(),
            requests: end.requests,
            world: Arc::new(here.world.read(World::clone)),
            fingerprint: here.world.read(fingerprint),
            at: here.world.read(World::now),
            files: files(here.home.path()),
        };
        glances.push(end);
        let (mut stills, mut seen, mut instants): (Vec<Still>, Option<u64>, usize) = (Vec::new(), None, 0);
        let mut before = self.before;
        let home: Arc<str> = here.home.path().to_str().unwrap().into();
        for glance in glances {
            let (from, to) = (journal(&before).len(), journal(&glance.files).len());
            let ends: Vec<usize> =
                entries(journal(&glance.files)).filter(|end| *end > from && *end < to).collect();
            instants += 1 + 2 * ends.len();
            // Other changes in between may have happened before or after each entry.
            let grows = |name: &str| name == JOURNAL || name == LENGTH;
            let others =
                |files: &Files| files.iter().filter(|(name, _)| !grows(name)).cloned().collect::<Files>();
            let mut around = vec![others(&before), others(&glance.files)];
            around.dedup();
            for (others, length) in
                ends.iter().flat_map(|end| around.iter().map(move |others| (others, *end)))
            {
                // The kubeconfig is written once its ticket is on disk, never before.
                if *others != around[0] && !has_ticket(&journal(&glance.files)[from..length]) {
                    continue;
                }
                let mut files = others.clone();
                let written = &journal(&glance.files)[..length];
                files.push((JOURNAL.to_owned(), written.to_vec()));
                files.push((LENGTH.to_owned(), length_of(written)));
                let label = format!("{}, {} bytes into the journal", glance.label, length);
                push(&mut stills, &mut seen, &glance, label, files, &home);
            }
            let files = glance.files.clone();
            push(&mut stills, &mut seen, &glance, glance.label.clone(), files, &home);
            before = glance.files;
        }
        Film { stills, instants }
    }
}

fn push(
    stills: &mut Vec<Still>,
    seen: &mut Option<u64>,
    glance: &Glance,
    label: String,
    files: Files,
    home: &Arc<str>,
) {
    let mut hasher = DefaultHasher::new();
    (glance.fingerprint, &files).hash(&mut hasher);
    if seen.replace(hasher.finish()) == Some(hasher.finish()) {
        return;
    }
    let (world, at) = (glance.world.clone(), glance.at);
    stills.push(Still { label, requests: glance.requests, world, at, files, home: home.clone() });
}

impl Still {
    /// Returns the last entries of the journal, for people.
    pub fn last_entries(&self) -> String {
        let journal = String::from_utf8_lossy(journal(&self.files)).into_owned();
        let entries: Vec<&str> = journal.lines().rev().take(3).collect();
        entries.into_iter().rev().collect::<Vec<_>>().join(" ")
    }

    /// Returns whether the process may have been changing the kubeconfig: it had started, and not undone it.
    pub fn may_hold_kubeconfig(&self) -> bool {
        let journal = String::from_utf8_lossy(journal(&self.files)).into_owned();
        let of_it = |line: &&str| line.contains("\"step\":\"kubeconfig\"");
        journal.lines().rev().find(of_it).is_some_and(|last| !last.contains("\"undone\""))
    }

    /// Writes the files to a folder.
    pub fn lay_out(&self, home: &Path) {
        for (name, content) in &self.files {
            let path = home.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let moved = match str::from_utf8(content) {
                Ok(text) => text.replace(&*self.home, home.to_str().unwrap()).into_bytes(),
                Err(_) => content.clone(),
            };
            fs::write(path, moved).unwrap();
        }
        if home.join(JOURNAL).exists() {
            seal_moved(&home.join("state"));
        }
    }
}

fn journal(files: &Files) -> &[u8] {
    files.iter().find(|(name, _)| name == JOURNAL).map_or(&[], |(_, content)| content)
}

/// Reseals a journal after a change of the home folder's name. It must have no other damage.
fn seal_moved(state: &Path) {
    if let Some(accepted) = Journal::accept(state, "0.1.0").unwrap() {
        let damage = accepted.damage;
        let moved = matches!(&damage, OpenError::Damaged { how: Damage::Altered { .. }, .. });
        assert!(moved, "{damage}");
        fs::remove_file(accepted.kept).unwrap();
    }
}

/// Returns the length file of a journal whose last line was just written.
fn length_of(journal: &[u8]) -> Vec<u8> {
    let last = journal.split_inclusive(|byte| *byte == b'\n').next_back().unwrap_or_default();
    let last: serde_json::Value = serde_json::from_slice(last).unwrap();
    let (seq, sum) = (last["seq"].as_u64().unwrap(), last["sum"].as_str().unwrap());
    let record = format!("{seq} {} {sum}", journal.len());
    // The two records alternate, each with its content twice; the other one would contain an older state.
    let record = format!("{:<127}\n", format!("{record} = {record}"));
    let blank = format!("{:<127}\n", "");
    let both = if seq % 2 == 0 { record + &blank } else { blank + &record };
    both.into_bytes()
}

/// Returns the ends of the entries, each the length of the journal after it.
fn entries(journal: &[u8]) -> impl Iterator<Item = usize> {
    journal.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1)
}

/// Returns whether these entries contain the ticket that is saved before the kubeconfig is written.
fn has_ticket(entries: &[u8]) -> bool {
    str::from_utf8(entries)
        .unwrap()
        .lines()
        .any(|line| line.contains("\"ticket\"") && line.contains("\"kubeconfig\""))
}

/// Returns a fingerprint of the simulated cloud without its clock.
fn fingerprint(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    serde_json::to_vec(world).unwrap().hash(&mut hasher);
    hasher.finish()
}

fn files(home: &Path) -> Files {
    let mut files = Vec::new();
    let mut folders = vec![home.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                let name = entry.path().strip_prefix(home).unwrap().to_str().unwrap().to_owned();
                files.push((name, fs::read(entry.path()).unwrap()));
            }
        }
    }
    files.sort();
    files
}
