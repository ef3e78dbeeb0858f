//! The lease of this process, and the task that renews it.
//!
//! The renewal has a task of its own, so that no busy step can delay it. The lease counts as held until ten seconds
//! before its end, measured from the start of the last successful renewal. `Instant` stands still while a Linux
//! machine is suspended, so the wall clock is compared too: after a jump the lease must be renewed first.

use super::store::{LEASE, RemoteStore, StoreErrorKind};
use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};

/// The interval of renewals.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(20);
/// The interval of attempts after a failed renewal.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);
/// The timeout of one renewal.
const RENEWAL_TIMEOUT: Duration = Duration::from_secs(10);
/// The time before its end from which the lease counts as expired.
const MARGIN: Duration = Duration::from_secs(10);
/// The advance of the wall clock over the other one after which the lease counts as expired.
const CLOCK_JUMP: Duration = Duration::from_secs(5);
/// The longest wait of a writer for the renewal of an expired lease.
const RENEWAL_WAIT: Duration = Duration::from_secs(60);

/// The state of the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LeaseState {
    /// It is renewed regularly.
    Held,
    /// A person has ended it with a period, in which appends still work.
    Ending,
    /// It is lost.
    Lost,
}

/// The lease of this process.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) id: String,
    /// The part that carries it.
    part: Mutex<u32>,
    /// The start of the last successful renewal, by both clocks.
    renewed: Mutex<(Instant, SystemTime)>,
    state: watch::Sender<LeaseState>,
    /// Wakes the renewal.
    wake: Notify,
    /// Counts the attempts to renew.
    attempts: watch::Sender<u64>,
}

impl Lease {
    /// Returns the lease that was acquired on a part by a request that began at `began`.
    pub(super) fn new(id: String, part: u32, began: (Instant, SystemTime)) -> Self {
        Self {
            id,
            part: Mutex::new(part),
            renewed: Mutex::new(began),
            state: watch::channel(LeaseState::Held).0,
            wake: Notify::new(),
            attempts: watch::channel(0).0,
        }
    }

    /// Returns the current time by both clocks.
    pub(super) fn now() -> (Instant, SystemTime) {
        (Instant::now(), SystemTime::now())
    }

    /// Returns the part that carries the lease.
    pub(super) fn part(&self) -> u32 {
        *self.part.lock().expect("nothing panics while it is held")
    }

    /// Records that the lease is on another part now.
    pub(super) fn move_to(&self, part: u32, began: (Instant, SystemTime)) {
        *self.part.lock().expect("nothing panics while it is held") = part;
        self.record_renewal(began);
    }

    /// Returns whether the lease is certainly held now.
    pub(super) fn is_current(&self) -> bool {
        let (instant, wall) = *self.renewed.lock().expect("nothing panics while it is held");
        let elapsed = instant.elapsed();
        let by_wall = SystemTime::now().duration_since(wall).unwrap_or_default();
        let jumped = by_wall > elapsed + CLOCK_JUMP;
        self.state() == LeaseState::Held && elapsed < LEASE - MARGIN && !jumped
    }

    pub(super) fn state(&self) -> LeaseState {
        *self.state.borrow()
    }

    /// Waits until the lease is ending or lost.
    pub(super) async fn ended(&self) {
        let mut state = self.state.subscribe();
        // The sender is a field of self, so the channel cannot close during the call.
        let _ = state.wait_for(|state| *state != LeaseState::Held).await;
    }

    /// Waits until the lease is certainly held; returns whether it is.
    pub(super) async fn wait_current(&self) -> bool {
        let mut attempts = self.attempts.subscribe();
        let renewed = async {
            while !self.is_current() {
                if self.state() != LeaseState::Held {
                    return false;
                }
                attempts.mark_unchanged();
                self.wake.notify_one();
                let _ = attempts.changed().await;
            }
            true
        };
        timeout(RENEWAL_WAIT, renewed).await.unwrap_or(false)
    }

    /// Renews the lease once; returns whether it is held. A lost answer counts as not held.
    pub(super) async fn renew_once(&self, store: &dyn RemoteStore) -> bool {
        let began = Self::now();
        let answer = timeout(RENEWAL_TIMEOUT, store.renew(self.part(), &self.id)).await;
        let held = match answer {
            Ok(Ok(())) => {
                self.record_renewal(began);
                true
            }
            Ok(Err(error)) => {
                match error.kind {
                    StoreErrorKind::LeaseBroken => self.raise(LeaseState::Ending),
                    StoreErrorKind::LeaseLost | StoreErrorKind::LeaseHeld | StoreErrorKind::NotFound => {
                        self.raise(LeaseState::Lost);
                    }
                    _ => {}
                }
                false
            }
            Err(_) => false,
        };
        self.attempts.send_modify(|attempts| *attempts += 1);
        held
    }

    /// Marks the lease as lost.
    pub(super) fn lose(&self) {
        self.raise(LeaseState::Lost);
        self.attempts.send_modify(|attempts| *attempts += 1);
    }

    fn record_renewal(&self, began: (Instant, SystemTime)) {
        *self.renewed.lock().expect("nothing panics while it is held") = began;
    }

    fn raise(&self, to: LeaseState) {
        self.state.send_if_modified(|state| {
            let rises = *state != to && *state != LeaseState::Lost;
            if rises {
                *state = to;
            }
            rises
        });
    }
}

/// Renews a lease until it ends.
pub(super) async fn keep(lease: Arc<Lease>, store: Arc<dyn RemoteStore>) {
    let mut pause = RENEWAL_INTERVAL;
    while lease.state() == LeaseState::Held {
        tokio::select! {
            () = sleep(pause) => {}
            () = lease.wake.notified() => {}
        }
        pause = if lease.renew_once(&*store).await { RENEWAL_INTERVAL } else { RETRY_INTERVAL };
    }
}
