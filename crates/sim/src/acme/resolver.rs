//! The resolver of the CAs: it follows delegations and aliases from server to server (RFC 1034 §5.3.3).
//!
//! The registrar of every topmost zone delegates to the name servers of that zone. A zone below another one is found
//! only if the upper one delegates to it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::clock::SimTime;
use crate::dns_server::message::{Message, rcode};
use crate::dns_server::record::{Record, kind};
use crate::dns_server::wire::name_in;
use crate::dns_server::{self, NameServers};
use crate::state::CloudState;

/// The timeout of a question in real time.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The maximum number of responses that one look-up follows.
const STEPS_MAX: usize = 16;

/// A way to ask a name server.
pub(crate) trait AskNameServer: Sync {
    /// Asks a server; `None` if there is no response in time.
    fn ask(&self, server: &str, query: &Message) -> impl Future<Output = Option<Message>> + Send;
}

/// Asks over UDP, and over TCP after a truncated response.
pub(crate) struct OverSockets<'a>(pub(crate) &'a NameServers);

impl AskNameServer for OverSockets<'_> {
    async fn ask(&self, server: &str, query: &Message) -> Option<Message> {
        let address = *self.0.get(server)?;
        let bytes = query.encode();
        let response = timeout(TIMEOUT, over_udp(address, &bytes, query)).await.ok()??;
        match response.truncated {
            true => timeout(TIMEOUT, over_tcp(address, &bytes)).await.ok()?,
            false => Some(response),
        }
    }
}

async fn over_udp(address: SocketAddr, bytes: &[u8], query: &Message) -> Option<Message> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.ok()?;
    socket.connect(address).await.ok()?;
    socket.send(bytes).await.ok()?;
    let mut buffer = [0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await.ok()?;
        let response = Message::decode(&buffer[..length]);
        if let Some(response) = response
            && response.is_response
            && response.id == query.id
            && response.question == query.question
        {
            return Some(response);
        }
    }
}

async fn over_tcp(address: SocketAddr, bytes: &[u8]) -> Option<Message> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_u16(u16::try_from(bytes.len()).ok()?).await.ok()?;
    stream.write_all(bytes).await.ok()?;
    let mut response = vec![0; usize::from(stream.read_u16().await.ok()?)];
    stream.read_exact(&mut response).await.ok()?;
    Message::decode(&response)
}

impl AskNameServer for CloudState {
    async fn ask(&self, server: &str, query: &Message) -> Option<Message> {
        let now = query.edns.and_then(|edns| edns.as_of).map_or_else(|| self.now(), SimTime);
        Message::decode(&dns_server::respond(self, server, &query.encode(), now)?.tcp())
    }
}

/// The failure of a look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LookupError {
    NoName,
    ServerFailure,
    Refused,
    TimedOut,
    TooLong,
}

impl LookupError {
    /// Returns the detail of the problem document, with the words of Boulder.
    pub(super) fn detail(self, kind: &str, name: &str) -> String {
        match self {
            Self::NoName => format!(
                "DNS problem: NXDOMAIN looking up {kind} for {name} - check that a DNS record exists for this domain"
            ),
            Self::ServerFailure => format!(
                "DNS problem: SERVFAIL looking up {kind} for {name} - the domain's nameservers may be malfunctioning"
            ),
            Self::Refused => format!("DNS problem: REFUSED looking up {kind} for {name}"),
            Self::TimedOut => format!("DNS problem: query timed out looking up {kind} for {name}"),
            Self::TooLong => format!("DNS problem: too many redirections looking up {kind} for {name}"),
        }
    }
}

/// A resolver of one look-up time and one place in the network.
pub(super) struct Resolver<'a, A> {
    pub(super) network: &'a A,
    /// The zones with their name servers.
    pub(super) zones: &'a [(String, Vec<String>)],
    /// The time of the questions.
    pub(super) at: SimTime,
    /// The place: it decides which of several servers is asked first.
    pub(super) place: usize,
}

impl<A: AskNameServer> Resolver<'_, A> {
    /// Returns the records of a name and a type; none if the name has no such records.
    ///
    /// # Errors
    /// [`LookupError`].
    pub(super) async fn lookup(&self, name: &str, kind: u16) -> Result<Vec<Record>, LookupError> {
        let mut name = name.to_ascii_lowercase();
        let mut servers = self.registered(&name)?;
        for step in 0..STEPS_MAX {
            let id = u16::try_from(step).unwrap_or(0) + 1;
            let response = self.ask_one_of(&servers, &Message::query(id, &name, kind, self.at.0)).await?;
            let (target, found) = follow(&response, &name, kind);
            if !found.is_empty() {
                return Ok(found);
            }
            let referred: Vec<String> = response
                .authority
                .iter()
                .filter(|record| record.kind == kind::NS && !response.authoritative)
                .filter_map(|record| name_in(&record.data).map(|name| name.to_ascii_lowercase()))
                .collect();
            let is_final = response.authority.iter().any(|record| record.kind == kind::SOA);
            match response.rcode {
                rcode::NAME_ERROR => return Err(LookupError::NoName),
                _ if is_final => return Ok(Vec::new()),
                _ if !referred.is_empty() => servers = referred,
                _ if target != name => {
                    servers = self.registered(&target)?;
                    name = target;
                }
                _ => return Ok(Vec::new()),
            }
        }
        Err(LookupError::TooLong)
    }

    /// Returns the servers of the topmost zone of a name, to which its registrar delegates.
    fn registered(&self, name: &str) -> Result<Vec<String>, LookupError> {
        let covers =
            |zone: &str| name == zone || name.strip_suffix(zone).is_some_and(|rest| rest.ends_with('.'));
        let covering = self.zones.iter().filter(|(zone, _)| covers(zone));
        let topmost = covering.min_by_key(|(zone, _)| zone.len());
        topmost.map(|(_, servers)| servers.clone()).ok_or(LookupError::NoName)
    }

    /// Asks the servers one after another until one knows the answer.
    async fn ask_one_of(&self, servers: &[String], query: &Message) -> Result<Message, LookupError> {
        let mut error = LookupError::TimedOut;
        for nth in 0..servers.len() {
            let server = &servers[(self.place + nth) % servers.len()];
            match self.network.ask(server, query).await {
                None => {}
                Some(response) => match response.rcode {
                    rcode::NO_ERROR | rcode::NAME_ERROR => return Ok(response),
                    rcode::REFUSED => error = LookupError::Refused,
                    _ => error = LookupError::ServerFailure,
                },
            }
        }
        Err(error)
    }
}

/// Follows the aliases inside a response; returns the last name and its records.
fn follow(response: &Message, name: &str, kind: u16) -> (String, Vec<Record>) {
    let mut name = name.to_owned();
    for _ in 0..STEPS_MAX {
        let own = |record: &&Record| record.name.eq_ignore_ascii_case(&name);
        let found: Vec<Record> =
            response.answers.iter().filter(own).filter(|record| record.kind == kind).cloned().collect();
        if !found.is_empty() {
            return (name, found);
        }
        let alias = response.answers.iter().filter(own).find(|record| record.kind == kind::CNAME);
        match alias.and_then(|record| name_in(&record.data)) {
            Some(target) => name = target.to_ascii_lowercase(),
            None => break,
        }
    }
    (name, Vec::new())
}
