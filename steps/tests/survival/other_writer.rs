//! Another program that changes the same kubeconfig during a run, as kubectl does. It takes `<file>.lock` and
//! fails at once if that exists, reads, adds or removes its own context, writes in place, and removes the
//! lock.

use crate::environment::Environment;
use fastrand::Rng;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

/// The context that it adds first and keeps.
const KEPT: &str = "their-kept";
/// The context that it adds and removes again.
const TEMPORARY: &str = "their-passing";

/// The writer; its clones are the same one.
#[derive(Clone)]
pub struct OtherWriter(Arc<Mutex<State>>);

struct State {
    file: PathBuf,
    rng: Rng,
    /// True if it stopped in the middle of a change, with the lock held.
    holds_lock: bool,
    /// True if it left: later requests do not wake it.
    left: bool,
    /// Its contexts in the file.
    contexts: BTreeSet<&'static str>,
}

impl OtherWriter {
    /// Returns a writer to the kubeconfig of an environment.
    pub fn new(env: &Environment, seed: u64) -> Self {
        let (file, rng) = (env.settings.kubeconfig.clone(), Rng::with_seed(seed));
        Self(Arc::new(Mutex::new(State {
            file,
            rng,
            holds_lock: false,
            left: false,
            contexts: BTreeSet::new(),
        })))
    }

    /// Starts its changes between the requests of the next run; with `slowly`, some changes take several
    /// requests.
    pub fn join(&self, env: &Environment, slowly: bool) {
        let state = self.0.clone();
        {
            let mut state = state.lock().unwrap();
            state.left = false;
            // It acts only between requests, and a run that waits for its lock may send none.
            if !slowly {
                state.release();
            }
        }
        env.transport.observe(Box::new(move |_, _, _| state.lock().unwrap().act(slowly)));
    }

    /// Completes its current change, reports which of its entries were lost or left locked, and removes its
    /// contexts.
    pub fn leave(&self) -> Vec<String> {
        let mut state = self.0.lock().unwrap();
        state.release();
        let text = state.read();
        let mut lost = Vec::new();
        for name in [KEPT, TEMPORARY] {
            let there = entries(name).into_iter().filter(|(_, item)| text.contains(item)).count();
            if there != if state.contexts.contains(name) { 3 } else { 0 } {
                lost.push(format!("{there} of 3 entries of another program's {name} are in:\n{text}"));
            }
        }
        let adjacent_files: Vec<String> = state.adjacent_files();
        if !adjacent_files.is_empty() {
            lost.push(format!("left beside the kubeconfig: {adjacent_files:?}"));
        }
        let without = [KEPT, TEMPORARY].into_iter().fold(text, |text, name| without(&text, name));
        fs::write(&state.file, without).unwrap();
        state.contexts.clear();
        state.left = true;
        lost
    }
}

impl State {
    fn act(&mut self, slowly: bool) {
        if self.left {
            return;
        }
        if self.holds_lock {
            if self.rng.u8(0..4) == 0 {
                self.release();
            }
        } else if self.rng.u8(0..6) == 0 && self.lock() {
            self.holds_lock = true;
            if !(slowly && self.rng.bool()) {
                self.release();
            }
        }
    }

    fn release(&mut self) {
        if std::mem::take(&mut self.holds_lock) {
            self.change();
            fs::remove_file(lock_of(&self.file)).unwrap();
        }
    }

    fn lock(&self) -> bool {
        fs::OpenOptions::new().write(true).create_new(true).open(lock_of(&self.file)).is_ok()
    }

    fn read(&self) -> String {
        fs::read_to_string(&self.file).unwrap()
    }

    fn change(&mut self) {
        let text = self.read();
        let changed = if self.contexts.insert(KEPT) {
            with(&text, KEPT)
        } else if self.contexts.insert(TEMPORARY) {
            with(&text, TEMPORARY)
        } else {
            self.contexts.remove(TEMPORARY);
            without(&text, TEMPORARY)
        };
        fs::write(&self.file, changed).unwrap();
    }

    /// Returns the files beside the kubeconfig that belong to a change.
    fn adjacent_files(&self) -> Vec<String> {
        let folder = fs::read_dir(self.file.parent().unwrap()).unwrap();
        let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".lock") || name.contains(".landfall")).collect()
    }
}

fn lock_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

/// Returns the three entries of a context: the list, and the lines in it.
fn entries(name: &str) -> [(&'static str, String); 3] {
    [
        ("clusters", format!("- name: {name}\n  cluster: {{server: https://{name}.example.org}}\n")),
        ("contexts", format!("- name: {name}\n  context: {{cluster: {name}, user: {name}}}\n")),
        ("users", format!("- name: {name}\n  user: {{token: of-{name}}}\n")),
    ]
}

fn with(text: &str, name: &str) -> String {
    entries(name).into_iter().fold(text.to_owned(), |text, (list, item)| {
        let head = format!("{list}:\n");
        assert!(text.contains(&head), "no {list} in {text}");
        text.replacen(&head, &format!("{head}{item}"), 1)
    })
}

fn without(text: &str, name: &str) -> String {
    entries(name).into_iter().fold(text.to_owned(), |text, (_, item)| text.replacen(&item, "", 1))
}

/// Creates what a landfall process leaves beside a kubeconfig if it is killed during a change: its lock, its
/// marker and half of a new text.
pub fn write_killed_leftovers(file: &Path) {
    let adjacent_files = |end: &str| {
        let name = format!(".{}.landfall{end}", file.file_name().unwrap().to_str().unwrap());
        file.with_file_name(name)
    };
    fs::write(adjacent_files(""), "").unwrap();
    fs::hard_link(adjacent_files(""), lock_of(file)).unwrap();
    fs::write(adjacent_files(".new"), "users:\n- name: half").unwrap();
}
