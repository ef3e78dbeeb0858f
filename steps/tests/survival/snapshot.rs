//! A snapshot of one instant: the simulated cloud, and every file of landfall. A killed process leaves
//! exactly this.

use crate::{
    environment::Environment,
    transport::{ObservedTransport, Side},
};
use landfall_engine::{Damage, Journal, OpenError};
use landfall_sim::{clock::SimTime, state::CloudState};
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
pub struct Snapshot {
    /// The name of the instant, for people.
    pub label: String,
    /// The number of requests that had taken effect.
    pub requests: usize,
    pub sim: Arc<CloudState>,
    pub at: SimTime,
    /// The home folder in the paths of the files.
    home: Arc<str>,
    files: Files,
}

/// The distinct snapshots of a run, and the number of its instants.
pub struct Recording {
    pub snapshots: Vec<Snapshot>,
    /// The number of instants: before and after each request, before and after each journal entry.
    pub instants: usize,
}

/// The state at one side of a request.
struct Capture {
    label: String,
    requests: usize,
    sim: Arc<CloudState>,
    fingerprint: u64,
    at: SimTime,
    files: Files,
}

/// Records a snapshot at each request through a transport.
pub struct Recorder {
    captures: Arc<Mutex<Vec<Capture>>>,
    /// The files before the first request.
    before: Files,
}

impl Recorder {
    pub fn on(env: &Environment, transport: &ObservedTransport) -> Self {
        let captures = Arc::new(Mutex::new(Vec::<Capture>::new()));
        let (sink, sim, home) = (captures.clone(), env.sim.clone(), env.home.path().to_owned());
        let mut last: Option<(u64, Arc<CloudState>)> = None;
        transport.observe(Box::new(move |side, number, name| {
            let (fingerprint, at) = sim.read(|sim| (fingerprint(sim), sim.now()));
            let same = last.as_ref().filter(|(known, _)| *known == fingerprint).map(|(_, sim)| sim.clone());
            let sim = same.unwrap_or_else(|| Arc::new(sim.read(CloudState::clone)));
            last = Some((fingerprint, sim.clone()));
            let (word, requests) = match side {
                Side::Before => ("before", number - 1),
                Side::After => ("after", number),
            };
            let label = format!("{word} request {number}, {name}");
            let capture = Capture { label, requests, sim, fingerprint, at, files: files(&home) };
            sink.lock().unwrap().push(capture);
        }));
        Self { captures, before: files(env.home.path()) }
    }

    /// Returns the distinct snapshots: instants without a difference share one. Between two requests the
    /// journal may have grown by several entries; each of them is an instant.
    pub fn record(self, env: &Environment) -> Recording {
        let mut captures = std::mem::take(&mut *self.captures.lock().unwrap());
        let end = captures.last().expect("a run sends requests");
        let end = Capture {
            label: "at the end".to_owned(),
            requests: end.requests,
            sim: Arc::new(env.sim.read(CloudState::clone)),
            fingerprint: env.sim.read(fingerprint),
            at: env.sim.read(CloudState::now),
            files: files(env.home.path()),
        };
        captures.push(end);
        let (mut snapshots, mut seen, mut instants): (Vec<Snapshot>, Option<u64>, usize) =
            (Vec::new(), None, 0);
        let mut before = self.before;
        let home: Arc<str> = env.home.path().to_str().unwrap().into();
        for capture in captures {
            let (from, to) = (journal(&before).len(), journal(&capture.files).len());
            let ends: Vec<usize> =
                entries(journal(&capture.files)).filter(|end| *end > from && *end < to).collect();
            instants += 1 + 2 * ends.len();
            // Other changes in between may have happened before or after each entry.
            let grows = |name: &str| name == JOURNAL || name == LENGTH;
            let others =
                |files: &Files| files.iter().filter(|(name, _)| !grows(name)).cloned().collect::<Files>();
            let mut other_files = vec![others(&before), others(&capture.files)];
            other_files.dedup();
            for (others, length) in
                ends.iter().flat_map(|end| other_files.iter().map(move |others| (others, *end)))
            {
                // The kubeconfig is written once its ticket is on disk, never before.
                if *others != other_files[0] && !has_ticket(&journal(&capture.files)[from..length]) {
                    continue;
                }
                let mut files = others.clone();
                let written = &journal(&capture.files)[..length];
                files.push((JOURNAL.to_owned(), written.to_vec()));
                files.push((LENGTH.to_owned(), length_of(written)));
                let label = format!("{}, {} bytes into the journal", capture.label, length);
                push(&mut snapshots, &mut seen, &capture, label, files, &home);
            }
            let files = capture.files.clone();
            push(&mut snapshots, &mut seen, &capture, capture.label.clone(), files, &home);
            before = capture.files;
        }
        Recording { snapshots, instants }
    }
}

fn push(
    snapshots: &mut Vec<Snapshot>,
    seen: &mut Option<u64>,
    capture: &Capture,
    label: String,
    files: Files,
    home: &Arc<str>,
) {
    let mut hasher = DefaultHasher::new();
    (capture.fingerprint, &files).hash(&mut hasher);
    if seen.replace(hasher.finish()) == Some(hasher.finish()) {
        return;
    }
    let (sim, at) = (capture.sim.clone(), capture.at);
    snapshots.push(Snapshot { label, requests: capture.requests, sim, at, files, home: home.clone() });
}

impl Snapshot {
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
    pub fn write_files(&self, home: &Path) {
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
            reseal_journal(&home.join("state"));
        }
    }
}

fn journal(files: &Files) -> &[u8] {
    files.iter().find(|(name, _)| name == JOURNAL).map_or(&[], |(_, content)| content)
}

/// Reseals a journal after a change of the home folder's name. It must have no other damage.
fn reseal_journal(state: &Path) {
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
fn fingerprint(sim: &CloudState) -> u64 {
    let mut hasher = DefaultHasher::new();
    serde_json::to_vec(sim).unwrap().hash(&mut hasher);
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
