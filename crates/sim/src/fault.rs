//! What goes wrong on purpose: one enum of faults, one table saying where each bites.
//!
//! A fault is armed by a text, `name[@METHOD path-part][*times]`: `throttled@PUT virtualNetworks*2` refuses the
//! next two writes of virtual networks. Without a place it bites where the table says; without a number, once.

use http::Method;
use serde::{Deserialize, Serialize};

use crate::arm;
use crate::arm::error::ArmError;
use crate::arm::operation::with_retry_after;
use crate::clock::{Moment, Timing};
use crate::request::{Delivery, Reply, Request};
use crate::world::World;

/// Something that can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// 429 with `Retry-After`; asking again too early renews the wait.
    Throttled,
    /// 429 that does not say for how long.
    ThrottledSilently,
    /// 500 before the request had any effect.
    ServerError,
    /// 503 before the request had any effect, with a body that is no JSON.
    Unavailable,
    /// The connection breaks before the request had any effect.
    ResetBefore,
    /// The request takes effect and the connection breaks before the answer.
    ResetAfter,
    /// The answer takes half a minute of cloud time.
    Slow,
    /// 401 in the middle: the token has run out.
    TokenExpired,
}

/// One row of the table.
#[derive(Debug)]
pub struct Row {
    /// The fault.
    pub fault: Fault,
    /// What it is called in texts.
    pub name: &'static str,
    /// The verb it bites unless told otherwise; any when empty.
    pub method: &'static str,
    /// The part of host and path it bites unless told otherwise; any when empty.
    pub path: &'static str,
    /// What happens, for people.
    pub what: &'static str,
}

const fn row(
    fault: Fault,
    name: &'static str,
    method: &'static str,
    path: &'static str,
    what: &'static str,
) -> Row {
    Row { fault, name, method, path, what }
}

/// Every fault: its name, where it bites by itself, what happens.
pub const TABLE: &[Row] = &[
    row(
        Fault::Throttled,
        "throttled",
        "",
        "management.",
        "429 with Retry-After; asking again too early renews the wait",
    ),
    row(Fault::ThrottledSilently, "throttled-silently", "", "management.", "429 without Retry-After"),
    row(Fault::ServerError, "server-error", "", "management.", "500 before the request had any effect"),
    row(
        Fault::Unavailable,
        "unavailable",
        "",
        "management.",
        "503 with an HTML body before the request had any effect",
    ),
    row(
        Fault::ResetBefore,
        "reset-before",
        "",
        "management.",
        "the connection breaks before the request had any effect",
    ),
    row(
        Fault::ResetAfter,
        "reset-after",
        "PUT",
        "management.",
        "the request takes effect, the connection breaks before the answer",
    ),
    row(Fault::Slow, "slow", "", "management.", "the answer takes 30 s of cloud time"),
    row(
        Fault::TokenExpired,
        "token-expired",
        "GET",
        "management.",
        "401 ExpiredAuthenticationToken in the middle",
    ),
];

/// How long a throttled caller is told to wait, in cloud seconds.
const RETRY_AFTER: f64 = 5.0;
/// How long a slow answer takes, in cloud seconds.
const SLOW: f64 = 30.0;

/// A fault that is armed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Armed {
    /// What goes wrong.
    pub fault: Fault,
    /// The verb it bites; any when empty.
    pub method: String,
    /// The part of host and path it bites, lower case; any when empty.
    pub path: String,
    /// How many times more.
    pub left: u32,
    /// Until when an early caller of a throttled place is refused again.
    until: Option<Moment>,
}

/// Why a text arms nothing.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("arm the fault '{text}': no fault is called '{name}'; there are {}", names())]
pub struct UnknownFault {
    /// The whole text.
    pub text: String,
    /// The name in it.
    pub name: String,
}

fn names() -> String {
    TABLE.iter().map(|row| row.name).collect::<Vec<_>>().join(", ")
}

impl Armed {
    /// Reads `name[@METHOD path-part][*times]`.
    ///
    /// # Errors
    /// When no fault has that name.
    pub fn read(text: &str) -> Result<Self, UnknownFault> {
        // A wildcard record has a star in its path, so only a star before a number counts.
        let counted = text.rsplit_once('*').and_then(|(rest, times)| Some((rest, times.parse().ok()?)));
        let (rest, left) = counted.unwrap_or((text, 1));
        let (name, place) = rest.split_once('@').unwrap_or((rest, ""));
        let name = name.trim();
        let row = TABLE.iter().find(|row| row.name == name);
        let row = row.ok_or_else(|| UnknownFault { text: text.to_owned(), name: name.to_owned() })?;
        let place = place.trim();
        let (method, path) = match place.split_once(' ') {
            _ if place.is_empty() => (row.method, row.path),
            Some((method, path)) => (method, path.trim()),
            None if place.parse::<Method>().is_ok()
                && place.chars().all(|letter| letter.is_ascii_uppercase()) =>
            {
                (place, "")
            }
            None => ("", place),
        };
        let (method, path) = (method.to_ascii_uppercase(), path.to_ascii_lowercase());
        Ok(Self { fault: row.fault, method, path, left, until: None })
    }

    fn is_at(&self, request: &Request) -> bool {
        let place = format!("{}{}", request.host, request.path).to_ascii_lowercase();
        (self.method.is_empty() || request.method.as_str() == self.method) && place.contains(&self.path)
    }

    /// Whether it bites now; takes one bite if it does.
    fn bites(&mut self, request: &Request, now: Moment, timing: &Timing) -> bool {
        if !self.is_at(request) {
            return false;
        }
        let early = self.until.is_some_and(|until| now < until);
        if !early && self.left == 0 {
            return false;
        }
        if !early {
            self.left -= 1;
        }
        self.until = (self.fault == Fault::Throttled).then(|| timing.after(now, RETRY_AFTER));
        true
    }

    fn is_spent(&self, now: Moment) -> bool {
        self.left == 0 && self.until.is_none_or(|until| until <= now)
    }
}

/// The faults that are armed in a world.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Faults {
    /// In the order in which they bite.
    pub armed: Vec<Armed>,
}

impl Faults {
    /// Reads the texts of faults to be armed.
    ///
    /// # Errors
    /// When one names no fault.
    pub fn read(texts: &[String]) -> Result<Self, UnknownFault> {
        let armed = texts.iter().map(|text| Armed::read(text)).collect::<Result<_, _>>()?;
        Ok(Self { armed })
    }

    /// Takes the first fault that bites this request.
    pub fn bite(&mut self, request: &Request, now: Moment, timing: &Timing) -> Option<Fault> {
        self.armed.retain(|armed| !armed.is_spent(now));
        let bitten =
            self.armed.iter_mut().find_map(|armed| armed.bites(request, now, timing).then_some(armed.fault));
        self.armed.retain(|armed| !armed.is_spent(now));
        bitten
    }
}

impl Fault {
    /// Returns what is answered in place of the service, for the faults that keep a request from any effect.
    pub fn instead(self, world: &World, request: &Request, now: Moment, timing: &Timing) -> Option<Reply> {
        let throttled = || {
            let why = "The request is being throttled as the limit has been reached for operation type. For more \
                       information, see - https://aka.ms/arm-throttling";
            ArmError::gateway(429, "TooManyRequests", why).into_reply()
        };
        Some(match self {
            Self::Throttled => with_retry_after(throttled(), timing, Some(RETRY_AFTER)),
            Self::ThrottledSilently => throttled(),
            Self::ServerError => {
                ArmError::gateway(500, "InternalServerError", "Encountered internal server error.")
                    .into_reply()
            }
            Self::Unavailable => {
                let page = "<html><head><title>503 Service Unavailable</title></head><body></body></html>";
                Reply::bytes(503, "text/html", page)
            }
            Self::ResetBefore => Reply { delivery: Delivery::Cut, ..Reply::empty(503) },
            Self::TokenExpired => arm::expired(world, request, now),
            Self::ResetAfter | Self::Slow => return None,
        })
    }

    /// Spoils the answer of a request that took effect.
    pub fn spoil(self, reply: &mut Reply) {
        match self {
            Self::ResetAfter => reply.delivery = Delivery::Cut,
            Self::Slow => reply.latency += SLOW,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Speed;

    fn put(path: &str) -> Request {
        Request::new(Method::PUT, "management.landfall.localhost", path)
    }

    #[test]
    fn a_text_names_the_fault_the_place_and_how_often() {
        let armed = Armed::read("throttled@PUT virtualNetworks*2").unwrap();
        assert_eq!((armed.fault, armed.left), (Fault::Throttled, 2));
        assert_eq!((armed.method.as_str(), armed.path.as_str()), ("PUT", "virtualnetworks"));
        let armed = Armed::read("slow@/A/*.demo").unwrap();
        assert_eq!((armed.path.as_str(), armed.left), ("/a/*.demo", 1));
        assert_eq!(Armed::read("reset-after").unwrap().method, "PUT");
        assert!(Armed::read("gremlins*3").unwrap_err().to_string().contains("reset-before"));
    }

    #[test]
    fn a_fault_bites_its_place_as_often_as_it_was_told() {
        let timing = Timing::new(Speed::Times(60.0));
        let mut faults = Faults { armed: vec![Armed::read("server-error@PUT vaults*2").unwrap()] };
        assert_eq!(faults.bite(&put("/x/virtualNetworks/v"), Moment(0), &timing), None);
        assert_eq!(faults.bite(&put("/x/Vaults/v"), Moment(0), &timing), Some(Fault::ServerError));
        assert_eq!(faults.bite(&put("/x/vaults/v"), Moment(0), &timing), Some(Fault::ServerError));
        assert_eq!(faults.bite(&put("/x/vaults/v"), Moment(0), &timing), None);
        assert!(faults.armed.is_empty());
    }

    #[test]
    fn asking_a_throttled_place_too_early_renews_the_wait() {
        let timing = Timing::new(Speed::Times(1.0));
        let mut faults = Faults { armed: vec![Armed::read("throttled").unwrap()] };
        assert!(faults.bite(&put("/x"), Moment(0), &timing).is_some());
        assert!(faults.bite(&put("/x"), Moment(4_000), &timing).is_some());
        assert!(faults.bite(&put("/x"), Moment(8_000), &timing).is_some());
        assert!(faults.bite(&put("/x"), Moment(13_000), &timing).is_none());
    }
}
