//! The name servers of the simulated Azure DNS: authoritative servers over UDP and TCP on 127.0.0.1.
//!
//! Azure spreads its zones over sets of four servers. Every server has a port of its own for both protocols, so that
//! each can have its own content: a write arrives at each of them after a delay of its own ([`crate::arm::dns`]).
//! `dig @127.0.0.1 -p PORT NAME TXT` asks one of them.

mod lookup;
pub(crate) mod message;
pub(crate) mod published;
pub(crate) mod rdata;
pub(crate) mod record;
pub(crate) mod server_names;
pub(crate) mod sockets;
#[cfg(test)]
mod tests;
pub(crate) mod wire;

use message::{Message, rcode};

use crate::arm::dns::publication;
use crate::clock::SimTime;
use crate::state::CloudState;

pub use server_names::NameServers;

/// Answers a message to a server at `now`, or at the earlier time that the message names. `None` for a message that
/// deserves no answer: one without an id, or a response.
pub(crate) fn respond(state: &CloudState, server: &str, bytes: &[u8], now: SimTime) -> Option<Response> {
    let Some(query) = Message::decode(bytes) else {
        let malformed = Message { id: Message::id_of(bytes)?, ..Message::default() };
        return Some(Response::to(&malformed, Message::response_to(&malformed, rcode::FORMAT_ERROR)));
    };
    if query.is_response {
        return None;
    }
    let as_of = query.edns.and_then(|edns| edns.as_of).map_or(now, |at| now.min(SimTime(at)));
    if state.publication.is_down(server, as_of) {
        return Some(Response::to(&query, Message::response_to(&query, rcode::SERVER_FAILURE)));
    }
    let zones = publication::published(state, server, as_of);
    Some(Response::to(&query, lookup::answer(&zones, &query)))
}

/// A response and the size that its client accepts over UDP.
pub(crate) struct Response {
    pub(crate) message: Message,
    udp_limit: usize,
}

impl Response {
    /// A UDP response has at most 512 bytes, or what EDNS offers, up to a size that no network fragments.
    fn to(query: &Message, message: Message) -> Self {
        let offered = query.edns.map_or(512, |edns| edns.udp_size);
        Self { message, udp_limit: usize::from(offered.clamp(512, 1232)) }
    }

    /// Returns the bytes for UDP.
    pub(crate) fn udp(&self) -> Vec<u8> {
        self.message.encode_within(self.udp_limit)
    }

    /// Returns the bytes for TCP, without their length.
    pub(crate) fn tcp(&self) -> Vec<u8> {
        self.message.encode_within(usize::from(u16::MAX))
    }
}
