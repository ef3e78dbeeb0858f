//! The state folder of the simulated cloud: its state, its CA, its request log, and the lock against a second
//! server.

mod changes;

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use self::changes::{ChangeFile, WrittenState};
use crate::migration::{self, FORMAT};
use crate::registration::{self, Holder};
use crate::state::CloudState;
use serde_json::Value;

/// An error of opening or serving the simulated cloud.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// Another process serves it.
    #[error("open the simulated cloud in {}: {} holds it", path.display(),
            holder.as_ref().map_or_else(|| "another process".to_owned(), Holder::to_string))]
    Busy {
        /// The folder.
        path: PathBuf,
        /// The process that holds the lock, if it has written its name already.
        holder: Option<Holder>,
    },
    /// A newer version created it.
    #[error("open the simulated cloud in {}: it has format {format}, this version reads {FORMAT}", path.display())]
    Newer {
        /// The folder.
        path: PathBuf,
        /// The format version of the state.
        format: u64,
    },
    /// The state file is malformed.
    #[error("read the simulated cloud in {}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The parse error.
        source: serde_json::Error,
    },
    /// A file system error.
    #[error("use {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
    /// No port of the range is free.
    #[error("bind a port of 127.0.0.1 between 20000 and 29999")]
    Port(#[source] io::Error),
    /// The requested port is not free.
    #[error("bind port {port} of 127.0.0.1")]
    PortTaken {
        /// The port.
        port: u16,
        /// The error.
        source: io::Error,
    },
    /// The certificates cannot be generated.
    #[error("create the simulated cloud's certificates")]
    Certificates(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Unknown fault.
    #[error(transparent)]
    Fault(#[from] crate::fault::UnknownFault),
}

impl SimError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn certificates(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Certificates(Box::new(error))
    }
}

/// The field of the state file with the number of its complete write; the changes after it have the same number.
const NUMBER: &str = "changes";

fn read_if_there(path: &Path) -> Result<Option<String>, SimError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SimError::io(path)(source)),
    }
}

/// The folder of an open simulated cloud, locked.
#[derive(Debug)]
pub struct Persistence {
    folder: PathBuf,
    /// The content of the files, to write only changes.
    written: WrittenState,
    changes: ChangeFile,
    lock: File,
}

impl Persistence {
    /// Opens the folder, creates it if it is missing, and locks it.
    ///
    /// # Errors
    /// [`SimError::Busy`] if another process holds the lock; [`SimError::Io`].
    pub fn open(folder: &Path) -> Result<Self, SimError> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(SimError::io(folder))?;
        let path = folder.join("world.lock");
        let mut options = OpenOptions::new();
        let lock = options
            .create(true)
            .write(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(SimError::io(&path))?;
        match lock.try_lock() {
            Ok(()) => {
                let (folder, written) = (folder.to_owned(), WrittenState::default());
                let changes = ChangeFile::new(folder.join("world.changes"), 0);
                Ok(Self { folder, written, changes, lock })
            }
            Err(TryLockError::WouldBlock) => {
                Err(SimError::Busy { holder: Holder::read(&path), path: folder.to_owned() })
            }
            Err(TryLockError::Error(source)) => Err(SimError::Io { path, source }),
        }
    }

    /// Writes the holder to the lock file, and removes the registration of a killed server.
    ///
    /// # Errors
    /// [`SimError::Io`].
    pub fn write_holder(&mut self, holder: &Holder) -> Result<(), SimError> {
        registration::withdraw(&self.folder);
        let text = serde_json::to_vec(holder).expect("plain values serialise");
        let path = self.path("world.lock");
        let written = self.lock.set_len(0).and_then(|()| self.lock.write_all(&text));
        written.map_err(SimError::io(&path))
    }

    /// Returns the path of a file in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Reads the state; `None` if there is none yet.
    ///
    /// # Errors
    /// [`SimError::Newer`], [`SimError::Corrupt`], [`SimError::Io`].
    pub fn read(&mut self) -> Result<Option<CloudState>, SimError> {
        let path = self.path("world.json");
        let Some(text) = read_if_there(&path)? else { return Ok(None) };
        let corrupt = |source| SimError::Corrupt { path: path.clone(), source };
        let mut value: Value = serde_json::from_str(&text).map_err(corrupt)?;
        let format = value["format"].as_u64().unwrap_or(0);
        if format > u64::from(FORMAT) {
            return Err(SimError::Newer { path: self.folder.clone(), format });
        }
        self.changes.number = value[NUMBER].as_u64().unwrap_or(0);
        if let Some(text) = read_if_there(self.changes.path())? {
            let corrupt = |source| SimError::Corrupt { path: self.changes.path().to_owned(), source };
            changes::apply(&text, self.changes.number, &mut value).map_err(corrupt)?;
        }
        migration::migrate(&mut value);
        let mut state: CloudState = serde_json::from_value(value).map_err(corrupt)?;
        state.format = FORMAT;
        self.write_whole(&mut state)?;
        Ok(Some(state))
    }

    /// Writes the changes since the last write. The complete state is written first, and when the changes have become
    /// many.
    ///
    /// # Errors
    /// [`SimError::Io`].
    pub fn write(&mut self, state: &mut CloudState) -> Result<(), SimError> {
        if self.changes.is_full() || self.changes.number == 0 {
            return self.write_whole(state);
        }
        let changes = self.written.update(state).map_err(|error| self.unwritable(error))?;
        let Some(changes) = changes else { return Ok(()) };
        let written = self.changes.append(|out| self.written.write_line(&changes, out));
        written.map_err(SimError::io(self.changes.path()))
    }

    /// Writes the complete state atomically.
    ///
    /// # Errors
    /// [`SimError::Io`].
    pub fn write_whole(&mut self, state: &mut CloudState) -> Result<(), SimError> {
        let number = self.changes.number + 1;
        let mut text = format!("{{\"{NUMBER}\":{number},").into_bytes();
        let whole = serde_json::to_vec(state).map_err(|error| self.unwritable(error))?;
        text.extend(&whole[1..]);
        self.replace("world.json", &text)?;
        self.changes = ChangeFile::new(self.changes.path().to_owned(), number);
        self.written.record(state).map_err(|error| self.unwritable(error))
    }

    fn unwritable(&self, error: serde_json::Error) -> SimError {
        SimError::Io { path: self.path("world.json"), source: error.into() }
    }

    /// Writes a file of the folder atomically, readable only by its owner.
    ///
    /// # Errors
    /// [`SimError::Io`].
    pub fn replace(&self, name: &str, text: &[u8]) -> Result<(), SimError> {
        let (path, new) = (self.path(name), self.path(&format!("{name}.new")));
        let mut options = OpenOptions::new();
        let mut file = options
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)
            .map_err(SimError::io(&new))?;
        file.write_all(text).map_err(SimError::io(&new))?;
        fs::rename(&new, &path).map_err(SimError::io(&path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aks::mark_nodes_unready;
    use crate::arm::clusters::fault_hooks;
    use crate::clock::{SimTime, Speed, Timing};

    /// A folder with the state after an `up`, which has a cluster.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let packed: &[u8] = include_bytes!("../tests/fixtures/world-format-1.json.gz");
        let mut state = Vec::new();
        io::Read::read_to_end(&mut flate2::read::GzDecoder::new(packed), &mut state).unwrap();
        fs::write(folder.path().join("world.json"), state).unwrap();
        folder
    }

    /// Returns the state that a new process would read, without a change of the folder.
    fn reopened(folder: &Path) -> Value {
        let copy = tempfile::tempdir().unwrap();
        for name in ["world.json", "world.changes"] {
            if let Ok(text) = fs::read(folder.join(name)) {
                fs::write(copy.path().join(name), text).unwrap();
            }
        }
        let state = Persistence::open(copy.path()).unwrap().read().unwrap().unwrap();
        serde_json::to_value(state).unwrap()
    }

    #[test]
    fn every_write_can_be_read_again_and_a_cut_one_is_undone() {
        let folder = folder();
        let mut persistence = Persistence::open(folder.path()).unwrap();
        let mut state = persistence.read().unwrap().unwrap();
        let path = folder.path().join("world.changes");
        persistence.write(&mut state).unwrap();
        assert!(!path.exists(), "nothing changed");
        let timing = Timing::new(Speed::Times(1.0));
        let uid = serde_json::to_value(&state).unwrap()["clusters"]["all"]
            .as_object()
            .unwrap()
            .values()
            .next()
            .unwrap()["resource"]["properties"]["resourceUID"]
            .as_str()
            .unwrap()
            .to_owned();
        let mut before = Value::Null;
        let (mut complete, mut size) = (0, 0);
        for day in 1..4 {
            before = serde_json::to_value(&state).unwrap();
            size = fs::metadata(&path).map_or(0, |file| file.len());
            let now = SimTime(1_798_761_600_000).plus_ms(day * 86_400_000);
            state.advance_to(now, &timing);
            state.add_group(&format!("rg-{day}"), "eastus", &Value::Null, None, now);
            mark_nodes_unready(fault_hooks::store_mut(&mut state, &uid).unwrap(), now);
            persistence.write(&mut state).unwrap();
            assert_eq!(reopened(folder.path()), serde_json::to_value(&state).unwrap(), "day {day}");
            complete += usize::from(fs::read(&path).unwrap().ends_with(b"\n"));
        }
        assert_eq!(complete, 3);
        let whole = fs::metadata(folder.path().join("world.json")).unwrap().len();
        let changes = fs::metadata(&path).unwrap().len();
        assert!(changes < whole, "{changes} bytes of changes, {whole} in total");
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(changes - 1).unwrap();
        assert_eq!(reopened(folder.path()), before);
        file.set_len(size / 2).unwrap();
        reopened(folder.path());
        persistence.write_whole(&mut state).unwrap();
        assert_eq!(
            reopened(folder.path()),
            serde_json::to_value(&state).unwrap(),
            "older changes count no more"
        );
    }
}
