//! The state folder of the simulated cloud: its state, its CA, its request log, and the lock against a second
//! server.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::registration::{self, Holder};
use crate::state::{CloudState, FORMAT};

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

/// The folder of an open simulated cloud, locked.
#[derive(Debug)]
pub struct Persistence {
    folder: PathBuf,
    /// The content of the state file, to skip writes without changes.
    written: Vec<u8>,
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
            Ok(()) => Ok(Self { folder: folder.to_owned(), written: Vec::new(), lock }),
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
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(SimError::Io { path, source }),
        };
        let corrupt = |source| SimError::Corrupt { path: path.clone(), source };
        let value: serde_json::Value = serde_json::from_slice(&text).map_err(corrupt)?;
        let format = value["format"].as_u64().unwrap_or(0);
        if format > u64::from(FORMAT) {
            return Err(SimError::Newer { path: self.folder.clone(), format });
        }
        let state = serde_json::from_value(value).map_err(corrupt)?;
        self.written = text;
        Ok(Some(state))
    }

    /// Writes the state atomically, if it differs from the file.
    ///
    /// # Errors
    /// [`SimError::Io`].
    pub fn write(&mut self, state: &CloudState) -> Result<(), SimError> {
        let path = self.path("world.json");
        let text = serde_json::to_vec(state)
            .map_err(|error| SimError::Io { path: path.clone(), source: error.into() })?;
        if text == self.written {
            return Ok(());
        }
        self.replace("world.json", &text)?;
        self.written = text;
        Ok(())
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
