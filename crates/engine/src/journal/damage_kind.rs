//! Kinds of damage in a journal whose lines can be read.

use std::fmt;

/// The reason why a journal cannot be trusted. Lines are counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// The checksum of a line does not match its content.
    Altered {
        /// The line.
        line: u64,
    },
    /// A line is not at its original position: lines were moved, duplicated or removed.
    Moved {
        /// Its position.
        line: u64,
        /// Its own number.
        was: u64,
    },
    /// A line without a checksum follows lines that have one.
    Unsealed {
        /// The line.
        line: u64,
    },
    /// The last lines are missing, although they were on disk.
    Cut {
        /// The first line that is missing.
        line: u64,
        /// The last line that was on disk.
        last: u64,
    },
    /// A line differs from the one in the length file: the journal is another file.
    Replaced {
        /// The line.
        line: u64,
    },
    /// The length file is missing or unreadable, so that a cut end would go undetected.
    LengthLost,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Altered { line } => {
                write!(f, "line {line} was changed after landfall wrote it: its checksum does not match")
            }
            Self::Moved { line, was } => {
                write!(f, "line {line} was written as line {was}: lines were moved, duplicated or taken out")
            }
            Self::Unsealed { line } => {
                write!(f, "line {line} has no checksum: landfall did not write it")
            }
            Self::Cut { line, last } if line == last => {
                write!(f, "line {line} was on disk and is missing: the end was cut off")
            }
            Self::Cut { line, last } => {
                write!(f, "lines {line} to {last} were on disk and are missing: the end was cut off")
            }
            Self::Replaced { line } => {
                write!(f, "line {line} is not the one that journal.length knows: this is another journal")
            }
            Self::LengthLost => {
                f.write_str("journal.length beside it is gone or unreadable: a cut end would not show")
            }
        }
    }
}
