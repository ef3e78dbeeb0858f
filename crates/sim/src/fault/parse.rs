//! The text that arms a fault.

use http::Method;

use super::armed::{Armed, Faults};
use super::catalog::{names, table};
use super::variants::Fault;

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

impl Faults {
    /// Parses the texts of faults to arm.
    ///
    /// # Errors
    /// A text names no known fault.
    pub fn read(texts: &[String]) -> Result<Self, UnknownFault> {
        let armed = texts.iter().map(|text| Armed::read(text)).collect::<Result<_, _>>()?;
        Ok(Self { armed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{SimTime, Speed, Timing};
    use crate::request::Request;

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
