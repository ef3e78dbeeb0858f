//! A remote store in memory, with leases that follow the clock of the runtime, and faults at each append.

use landfall_engine::{LEASE, PartContent, RemoteStore, StoreError, StoreErrorKind, StoreResult};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// The fault of one append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The process stops before the append takes effect.
    StopBefore,
    /// The process stops after it took effect.
    StopAfter,
    /// It takes effect, and the answer is lost.
    AnswerLost,
    /// It has no effect, and the service is busy.
    Busy,
    /// The lease has expired in between.
    Expired,
    /// The lease has expired, and another process holds it.
    Taken,
}

#[derive(Debug, Default)]
struct Part {
    bytes: Vec<u8>,
    appends: u32,
    sealed: bool,
    moved_to: Option<String>,
    summary: Option<String>,
    lease: Option<Lease>,
}

#[derive(Debug, Clone)]
struct Lease {
    id: String,
    until: Instant,
    ending: Option<Instant>,
}

impl Lease {
    fn is_held(&self) -> bool {
        Instant::now() < self.ending.unwrap_or(self.until)
    }
}

#[derive(Debug, Default)]
struct State {
    parts: Vec<Part>,
    appends: usize,
    fault: Option<(usize, Fault)>,
    requests: usize,
    latency: Duration,
}

/// The store. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
    stopped: Arc<Notify>,
}

fn refused<T>(kind: StoreErrorKind) -> Result<T, StoreError> {
    Err(StoreError::new(kind, format!("{kind:?}")))
}

impl MemoryStore {
    /// Lets a fault happen at the append with that number, counted from 1 from now on.
    pub fn fault(&self, append: usize, fault: Fault) {
        let mut state = self.state.lock().unwrap();
        (state.appends, state.fault) = (0, Some((append, fault)));
    }

    /// Returns the summary of a part.
    pub fn summary(&self, part: usize) -> Option<String> {
        self.state.lock().unwrap().parts[part - 1].summary.clone()
    }

    /// Lets every append take that long.
    pub fn slow(&self, latency: Duration) {
        self.state.lock().unwrap().latency = latency;
    }

    /// Waits until a fault has stopped the process.
    pub async fn stopped(&self) {
        self.stopped.notified().await;
    }

    /// Returns the number of appends since the last fault was set.
    pub fn appends(&self) -> usize {
        self.state.lock().unwrap().appends
    }

    /// Returns the text of the last part.
    pub fn text(&self) -> String {
        let state = self.state.lock().unwrap();
        String::from_utf8(state.parts.last().map(|part| part.bytes.clone()).unwrap_or_default()).unwrap()
    }

    /// Returns the text of a part.
    pub fn part_text(&self, part: usize) -> String {
        String::from_utf8(self.state.lock().unwrap().parts[part - 1].bytes.clone()).unwrap()
    }

    /// Returns the number of parts, and the number of sealed ones.
    pub fn parts(&self) -> (usize, usize) {
        let state = self.state.lock().unwrap();
        (state.parts.len(), state.parts.iter().filter(|part| part.sealed).count())
    }

    /// Changes the text of the last part, like a program that ignores leases.
    pub fn write(&self, text: &str) {
        self.state.lock().unwrap().parts.last_mut().unwrap().bytes.extend_from_slice(text.as_bytes());
    }

    fn with<T>(
        &self,
        part: u32,
        act: impl FnOnce(&mut Part) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut state = self.state.lock().unwrap();
        state.requests += 1;
        match state.parts.get_mut(part as usize - 1) {
            Some(part) => act(part),
            None => refused(StoreErrorKind::NotFound),
        }
    }

    async fn try_append(&self, part: u32, at: u64, lease: &str, bytes: Vec<u8>) -> Result<u32, StoreError> {
        let (fault, latency) = {
            let mut state = self.state.lock().unwrap();
            state.appends += 1;
            let due = state.fault.filter(|(append, _)| *append == state.appends);
            if due.is_some() {
                state.fault = None;
            }
            (due.map(|(_, fault)| fault), state.latency)
        };
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        match fault {
            Some(Fault::StopBefore) => return self.stop().await,
            Some(Fault::Busy) => return refused(StoreErrorKind::Unavailable),
            Some(Fault::Expired) => self.with(part, |part| {
                part.lease.as_mut().unwrap().until = Instant::now();
                Ok(())
            })?,
            Some(Fault::Taken) => self.with(part, |part| {
                let until = Instant::now() + LEASE;
                part.lease = Some(Lease { id: "another".into(), until, ending: None });
                Ok(())
            })?,
            _ => {}
        }
        let appended = self.with(part, |part| {
            part.check(lease)?;
            if part.bytes.len() as u64 != at {
                return refused(StoreErrorKind::WrongPosition);
            }
            if part.sealed {
                return refused(StoreErrorKind::Sealed);
            }
            part.bytes.extend_from_slice(&bytes);
            part.appends += 1;
            Ok(part.appends)
        });
        match fault {
            Some(Fault::StopAfter) => self.stop().await,
            Some(Fault::AnswerLost) => refused(StoreErrorKind::NoAnswer),
            _ => appended,
        }
    }

    async fn stop<T>(&self) -> T {
        self.stopped.notify_one();
        std::future::pending().await
    }
}

impl Part {
    fn check(&self, id: &str) -> Result<(), StoreError> {
        match &self.lease {
            Some(lease) if lease.is_held() && lease.id == id => Ok(()),
            _ => refused(StoreErrorKind::LeaseLost),
        }
    }
}

impl RemoteStore for MemoryStore {
    fn address(&self, part: u32) -> String {
        format!("memory/journal-{part}")
    }

    fn read(&self, part: u32, from: u64) -> StoreResult<'_, Option<PartContent>> {
        Box::pin(async move {
            let read = self.with(part, |part| {
                Ok(PartContent {
                    bytes: part.bytes.get(from as usize..).unwrap_or_default().to_vec(),
                    sealed: part.sealed,
                    moved_to: part.moved_to.clone(),
                    leased: part.lease.as_ref().is_some_and(Lease::is_held),
                })
            });
            match read {
                Err(error) if error.kind == StoreErrorKind::NotFound => Ok(None),
                read => read.map(Some),
            }
        })
    }

    fn create(&self, part: u32) -> StoreResult<'_, ()> {
        Box::pin(async move {
            let mut state = self.state.lock().unwrap();
            if state.parts.len() >= part as usize {
                return refused(StoreErrorKind::Exists);
            }
            state.parts.push(Part::default());
            Ok(())
        })
    }

    fn clear<'a>(&'a self, part: u32, lease: &'a str) -> StoreResult<'a, ()> {
        Box::pin(async move {
            self.with(part, |part| {
                part.check(lease)?;
                (part.bytes, part.appends) = (Vec::new(), 0);
                Ok(())
            })
        })
    }

    fn acquire<'a>(&'a self, part: u32, lease: &'a str) -> StoreResult<'a, ()> {
        Box::pin(async move {
            self.with(part, |part| {
                if part.lease.as_ref().is_some_and(|held| held.is_held() && held.id != lease) {
                    return refused(StoreErrorKind::LeaseHeld);
                }
                let until = Instant::now() + LEASE;
                part.lease = Some(Lease { id: lease.to_owned(), until, ending: None });
                Ok(())
            })
        })
    }

    fn change<'a>(&'a self, part: u32, lease: &'a str, new: &'a str) -> StoreResult<'a, ()> {
        Box::pin(async move {
            self.with(part, |part| {
                part.check(lease)?;
                part.lease.as_mut().unwrap().id = new.to_owned();
                Ok(())
            })
        })
    }

    fn renew<'a>(&'a self, part: u32, lease: &'a str) -> StoreResult<'a, ()> {
        Box::pin(async move {
            self.with(part, |part| match part.lease.as_mut().filter(|held| held.id == lease) {
                None => refused(StoreErrorKind::LeaseLost),
                Some(held) if held.ending.is_some() => refused(StoreErrorKind::LeaseBroken),
                Some(held) => {
                    held.until = Instant::now() + LEASE;
                    Ok(())
                }
            })
        })
    }

    fn release<'a>(&'a self, part: u32, lease: &'a str) -> StoreResult<'a, ()> {
        Box::pin(async move {
            self.with(part, |part| {
                if part.lease.as_ref().is_none_or(|held| held.id != lease) {
                    return refused(StoreErrorKind::LeaseLost);
                }
                part.lease = None;
                Ok(())
            })
        })
    }

    fn break_lease(&self, part: u32, period: Duration) -> StoreResult<'_, Duration> {
        Box::pin(async move {
            self.with(part, |part| match part.lease.as_mut() {
                None => refused(StoreErrorKind::NoLease),
                Some(held) => {
                    held.ending = Some(Instant::now() + period);
                    Ok(period)
                }
            })
        })
    }

    fn append<'a>(&'a self, part: u32, at: u64, lease: &'a str, bytes: Vec<u8>) -> StoreResult<'a, u32> {
        Box::pin(self.try_append(part, at, lease, bytes))
    }

    fn seal<'a>(&'a self, part: u32, lease: &'a str) -> StoreResult<'a, ()> {
        Box::pin(async move {
            self.with(part, |part| {
                part.check(lease)?;
                part.sealed = true;
                Ok(())
            })
        })
    }

    fn mark_moved<'a>(&'a self, part: u32, lease: &'a str, to: Option<&'a str>) -> StoreResult<'a, ()> {
        Box::pin(async move {
            self.with(part, |part| {
                part.check(lease)?;
                part.moved_to = to.map(str::to_owned);
                Ok(())
            })
        })
    }

    fn set_summary<'a>(&'a self, part: u32, lease: &'a str, text: &'a str) -> StoreResult<'a, ()> {
        Box::pin(async move {
            self.with(part, |part| {
                part.check(lease)?;
                part.summary = Some(text.to_owned());
                Ok(())
            })
        })
    }
}
