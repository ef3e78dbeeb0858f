//! Every target on a stable toolchain: its whole corpus, then seeded mutations of it.
//!
//! `LANDFALL_FUZZ=100000` sets the number of mutations, `LANDFALL_FUZZ_SEED=n` their seed. A failure writes
//! its input to `artifacts/<target>/`, as cargo-fuzz does, and `LANDFALL_FUZZ_INPUT=file` replays a single
//! one.

use landfall_fuzz::{TARGETS, mutation};
use std::{env, fs, panic, path::PathBuf, time::Instant};

/// The default number of mutations.
const INPUTS: u64 = 100;

fn number(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn folder(kind: &str, target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(kind).join(target)
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let read = fs::read_dir(folder("corpus", target)).expect("every target has a corpus");
    let mut paths: Vec<PathBuf> = read.map(|entry| entry.expect("it can be listed").path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("it can be read")).collect()
}

fn run(name: &str) {
    let (_, check) = TARGETS.iter().find(|(known, _)| *known == name).expect("it is a target");
    if let Ok(path) = env::var("LANDFALL_FUZZ_INPUT") {
        return check(&fs::read(path).expect("the input can be read"));
    }
    let (inputs, seed) = (number("LANDFALL_FUZZ", INPUTS), number("LANDFALL_FUZZ_SEED", 1));
    let corpus = corpus(name);
    assert!(!corpus.is_empty(), "{name} has an empty corpus");
    let began = Instant::now();
    let mutated = (0..inputs).map(|number| mutation::input(&corpus, seed, number));
    for (number, input) in corpus.iter().cloned().chain(mutated).enumerate() {
        if let Err(panicked) = panic::catch_unwind(|| check(&input)) {
            let folder = folder("artifacts", name);
            let path = folder.join(format!("seed-{seed}-{number}"));
            fs::create_dir_all(&folder)
                .and_then(|()| fs::write(&path, &input))
                .expect("the input can be kept");
            eprintln!("{name}, seed {seed}, input {number}: kept in {}", path.display());
            panic::resume_unwind(panicked);
        }
    }
    println!("{name}: {} and {inputs} inputs of seed {seed} in {:?}", corpus.len(), began.elapsed());
}

macro_rules! targets {
    ($($name:ident),*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name));
        })*

        #[test]
        fn no_target_is_left_out() {
            assert_eq!(TARGETS.map(|(name, _)| name), [$(stringify!($name)),*]);
        }
    };
}

targets!(journal, landfall_toml, pfx, kubeconfig, manifest, arm, cluster, front_door);
