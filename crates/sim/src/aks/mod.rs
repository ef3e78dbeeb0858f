//! What AKS puts into a cluster, and the controllers that keep it moving.

mod facts;

use serde::{Deserialize, Serialize};

pub use facts::{Csi, Facts, VaultObject, VaultRefusal, Vaults};

use crate::clock::{Moment, Timing};
use crate::kubernetes::store::Store;

/// What the controllers of one cluster remember.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Controllers {}

/// Puts into a cluster what AKS puts there.
pub fn boot(
    _store: &mut Store,
    _controllers: &mut Controllers,
    _facts: &Facts,
    _at: Moment,
    _timing: &Timing,
) {
}

/// Lets the controllers do everything that is due up to `upto`.
pub fn settle(
    _store: &mut Store,
    _controllers: &mut Controllers,
    _facts: &Facts,
    _vaults: &dyn Vaults,
    _timing: &Timing,
    _upto: Moment,
) {
}

/// Returns the earliest moment at which something happens by itself.
pub fn next_due(_store: &Store, _controllers: &Controllers) -> Option<Moment> {
    None
}
