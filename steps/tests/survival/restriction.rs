//! A restriction that another party sets for the duration of one run.

use crate::settings;
use fastrand::Rng;
use landfall_sim::{
    InProcess,
    arm::locks::{Level, Lock},
};

/// The name of the lock.
const LOCK: &str = "storm";

/// The restriction of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restriction {
    /// None.
    None,
    /// A read-only lock at the resource group.
    ReadOnlyGroup,
    /// The vault has no public access.
    PrivateVault,
}

impl Restriction {
    /// Draws the restriction of a run; a run in fair weather has none.
    pub fn draw(rng: &mut Rng, stormy: bool) -> Self {
        match rng.u8(0..12) {
            0 if stormy => Self::ReadOnlyGroup,
            1 if stormy => Self::PrivateVault,
            _ => Self::None,
        }
    }

    /// Sets it.
    pub fn set(self, sim: &InProcess) {
        sim.change(|state, _| match self {
            Self::None => {}
            Self::ReadOnlyGroup => {
                let scope =
                    format!("/subscriptions/{}/resourceGroups/{}", state.subscription, settings::GROUP);
                let level = Level::ReadOnly;
                state.locks.set(Lock { name: LOCK.to_owned(), scope, level, notes: None });
            }
            Self::PrivateVault => state.vaults.set_private(settings::VAULT, true),
        })
        .unwrap();
    }

    /// Lifts it again.
    pub fn lift(self, sim: &InProcess) {
        sim.change(|state, _| match self {
            Self::None => {}
            Self::ReadOnlyGroup => state.locks.remove(LOCK),
            Self::PrivateVault => state.vaults.set_private(settings::VAULT, false),
        })
        .unwrap();
    }
}
