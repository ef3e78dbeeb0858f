//! Armed faults: the text that arms a fault, and the request into which it is injected.

use http::Method;
use serde::{Deserialize, Serialize};

use super::{Fault, names, table, transport};
use crate::clock::{SimTime, Timing};
use crate::request::Request;

/// An armed fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Armed {
    /// The fault.
    pub fault: Fault,
    /// The method of matching requests; any if empty.
    pub method: String,
    /// The part of host and path of matching requests, lower case; any if empty.
    pub path: String,
    /// The number of matching requests that pass before the first injection.
    #[serde(default)]
    pub skip: u32,
    /// The remaining number of injections.
    pub left: u32,
    /// The time until which a throttled request is refused again.
    until: Option<SimTime>,
}

/// The error of a text without a known fault.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("arm the fault '{text}': no fault is called '{name}'; there are {}", names())]
pub struct UnknownFault {
    /// The whole text.
    pub text: String,
    /// The name in it.
    pub name: String,
}

impl Armed {
    /// Arms a fault once, at its place in the table, for the first matching request.
    pub fn new(fault: Fault) -> Self {
        let row = fault.row();
        let (method, path) = (row.method.to_owned(), row.path.to_ascii_lowercase());
        Self { fault, method, path, skip: 0, left: 1, until: None }
    }

    /// Parses `name[@METHOD path-part][#n][*times]`; `name:n` is short for `name#n`. Counting starts at 1.
    ///
    /// An explicit empty place, `name@#n`, matches every request to any host.
    ///
    /// # Errors
    /// No fault has that name.
    pub fn read(text: &str) -> Result<Self, UnknownFault> {
        let (mut rest, mut times, mut nth) = (text.trim(), 1, 1);
        // The path of a wildcard record contains a star, so only a mark before a number counts.
        while let Some((head, mark, number)) = split_number(rest) {
            match mark {
                '*' => times = number,
                _ => nth = number,
            }
            rest = head;
        }
        let (name, place) = rest.split_once('@').map_or((rest, None), |(name, place)| (name, Some(place)));
        let short = name.split_once(':').and_then(|(name, number)| Some((name, number.trim().parse().ok()?)));
        let (name, nth) =
            short.map_or((name.trim(), nth), |(name, number): (&str, u32)| (name.trim(), number));
        let row = table().find(|row| row.name == name);
        let row = row.ok_or_else(|| UnknownFault { text: text.to_owned(), name: name.to_owned() })?;
        let mut armed = Self { skip: nth.saturating_sub(1), left: times, ..Self::new(row.fault) };
        if let Some((method, path)) = place.map(|place| parse_place(place.trim())) {
            armed.method = method.to_ascii_uppercase();
            armed.path = path.to_ascii_lowercase();
        }
        Ok(armed)
    }

    fn matches(&self, request: &Request) -> bool {
        let place = format!("{}{}", request.host, request.path).to_ascii_lowercase();
        (self.method.is_empty() || request.method.as_str() == self.method) && place.contains(&self.path)
    }

    fn is_throttling(&self, now: SimTime) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Returns whether the fault can be injected into this request. Counts a matching request that must pass.
    fn is_due(&mut self, request: &Request, now: SimTime) -> bool {
        if !self.matches(request) {
            return false;
        }
        if self.is_throttling(now) {
            return true;
        }
        if self.left == 0 || self.skip > 0 {
            self.skip = self.skip.saturating_sub(1);
            return false;
        }
        true
    }

    fn is_exhausted(&self, now: SimTime) -> bool {
        self.left == 0 && !self.is_throttling(now)
    }
}

/// Splits `…*3` or `…#3` at the mark.
fn split_number(text: &str) -> Option<(&str, char, u32)> {
    let at = text.rfind(['*', '#'])?;
    let (head, tail) = text.split_at(at);
    let mark = tail.chars().next()?;
    let number = tail[mark.len_utf8()..].trim().parse().ok()?;
    Some((head, mark, number))
}

/// Splits a place into method and path; each is empty if any matches.
fn parse_place(place: &str) -> (&str, &str) {
    let is_verb =
        |word: &str| word.parse::<Method>().is_ok() && word.chars().all(|letter| letter.is_ascii_uppercase());
    match place.split_once(' ') {
        Some((method, path)) => (method, path.trim()),
        None if is_verb(place) => (place, ""),
        None => ("", place),
    }
}

/// The armed faults.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Faults {
    /// The faults in their injection order.
    pub armed: Vec<Armed>,
}

impl Faults {
    /// Parses the texts of faults to arm.
    ///
    /// # Errors
    /// A text names no known fault.
    pub fn read(texts: &[String]) -> Result<Self, UnknownFault> {
        let armed = texts.iter().map(|text| Armed::read(text)).collect::<Result<_, _>>()?;
        Ok(Self { armed })
    }

    /// Returns the faults that can be injected into this request, with their index in the list.
    pub(super) fn matching(&mut self, request: &Request, now: SimTime) -> Vec<(usize, Fault)> {
        self.armed.retain(|armed| !armed.is_exhausted(now));
        let each = self.armed.iter_mut().enumerate();
        each.filter_map(|(at, armed)| armed.is_due(request, now).then_some((at, armed.fault))).collect()
    }

    /// Records the injection of the fault at that index.
    pub(super) fn record_injection(&mut self, at: usize, now: SimTime, timing: &Timing) {
        let Some(armed) = self.armed.get_mut(at) else { return };
        if !armed.is_throttling(now) {
            armed.left = armed.left.saturating_sub(1);
        }
        armed.until = (armed.fault == Fault::Throttled).then(|| timing.after(now, transport::RETRY_AFTER));
        self.armed.retain(|armed| !armed.is_exhausted(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Speed;

    fn put(path: &str) -> Request {
        Request::new(Method::PUT, "management.landfall.localhost", path)
    }

    /// Injects the first matching fault.
    fn injection(faults: &mut Faults, path: &str, now: SimTime, timing: &Timing) -> Option<Fault> {
        let (at, fault) = faults.matching(&put(path), now).first().copied()?;
        faults.record_injection(at, now, timing);
        Some(fault)
    }

    fn armed(text: &str) -> Faults {
        Faults { armed: vec![Armed::read(text).unwrap()] }
    }

    #[test]
    fn a_text_names_the_fault_the_place_and_how_often() {
        let armed = Armed::read("throttled@PUT virtualNetworks*2").unwrap();
        assert_eq!((armed.fault, armed.left, armed.skip), (Fault::Throttled, 2, 0));
        assert_eq!((armed.method.as_str(), armed.path.as_str()), ("PUT", "virtualnetworks"));
        let armed = Armed::read("slow@/A/*.demo").unwrap();
        assert_eq!((armed.path.as_str(), armed.left), ("/a/*.demo", 1));
        assert_eq!(Armed::read("reset-after").unwrap().method, "PUT");
        assert!(Armed::read("gremlins*3").unwrap_err().to_string().contains("reset-before"));
    }

    #[test]
    fn a_text_can_skip_matching_requests() {
        for text in ["slow@PUT /a/*.demo#3*2", "slow@PUT /a/*.demo*2#3", "slow:3@PUT /a/*.demo*2"] {
            let armed = Armed::read(text).unwrap();
            assert_eq!((armed.path.as_str(), armed.skip, armed.left), ("/a/*.demo", 2, 2), "{text}");
        }
        assert_eq!(Armed::read("slow:4").unwrap(), Armed::read("slow#4").unwrap());
        assert_eq!(Armed::read("slow:x").unwrap_err().name, "slow:x");
    }

    #[test]
    fn an_empty_place_is_every_request_to_every_host() {
        let mut faults = armed("stalled-after@#3");
        let hosts = ["login.landfall.localhost", "kv.vault.landfall.localhost", "127.0.0.1"];
        let matching =
            hosts.map(|host| faults.matching(&Request::new(Method::GET, host, "/x"), SimTime(0)).len());
        assert_eq!(matching, [0, 0, 1]);
        assert_eq!(Armed::read("stalled-after").unwrap().method, "PUT", "without a place the table says");
    }

    #[test]
    fn a_fault_is_injected_at_its_place_the_given_number_of_times() {
        let timing = Timing::new(Speed::Times(60.0));
        let mut faults = armed("server-error@PUT vaults#2*2");
        let places = ["/x/virtualNetworks/v", "/x/Vaults/v", "/x/vaults/v", "/x/vaults/v", "/x/vaults/v"];
        let injected = places.map(|path| injection(&mut faults, path, SimTime(0), &timing).is_some());
        assert_eq!(injected, [false, false, true, true, false]);
        assert!(faults.armed.is_empty());
    }

    #[test]
    fn an_early_request_to_a_throttled_place_restarts_the_wait() {
        let timing = Timing::new(Speed::Times(1.0));
        let mut faults = armed("throttled");
        let injected =
            [0, 4_000, 8_000, 13_000].map(|at| injection(&mut faults, "/x", SimTime(at), &timing).is_some());
        assert_eq!(injected, [true, true, true, false]);
    }
}
