//! Look-ups at a chosen name server, and at public resolvers.
//!
//! Resource Manager answers before its name servers know a record, so only the servers show what a validation finds.
//! The system's resolver may show another world: a private zone, or an old answer.

use crate::{Endpoints, resolve};
use futures::future::join_all;
use hickory_resolver::{
    Resolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::rr::{RData, RecordType},
};
use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

/// Public resolvers, where no other addresses are configured: of Cloudflare, Google and Quad9.
const PUBLIC_RESOLVERS: [Ipv4Addr; 3] =
    [Ipv4Addr::new(1, 1, 1, 1), Ipv4Addr::new(8, 8, 8, 8), Ipv4Addr::new(9, 9, 9, 9)];

/// The timeout of one query, in real time: name servers keep real time.
const QUERY_TIME_MAX: Duration = Duration::from_secs(4);

/// A failed look-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookupError {
    /// The server is not responsible for the zone.
    NotResponsible,
    /// No answer.
    Unreachable(String),
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotResponsible => f.write_str("it does not serve the zone"),
            Self::Unreachable(why) => write!(f, "no answer: {why}"),
        }
    }
}

/// The client of name servers.
#[derive(Clone, Debug)]
pub struct NameServers {
    known: BTreeMap<String, SocketAddr>,
}

impl NameServers {
    pub(super) fn new(endpoints: &Endpoints) -> Self {
        Self { known: endpoints.name_servers.clone() }
    }

    /// Asks one name server for the TXT values of a name, without recursion. No record is an empty list.
    ///
    /// # Errors
    /// See [`LookupError`].
    pub async fn txt_values(&self, server: &str, name: &str) -> Result<Vec<String>, LookupError> {
        let server = normal(server);
        let addresses = match self.known.get(&server) {
            Some(address) => vec![*address],
            None => self.addresses(&server).await?,
        };
        let mut last = LookupError::Unreachable(format!("{server} has no address"));
        for address in addresses {
            match ask(&[address], name, RecordType::TXT, false).await {
                Ok(found) => {
                    return Ok(found
                        .into_iter()
                        .filter_map(|data| match data {
                            RData::TXT(text) => Some(
                                text.txt_data
                                    .iter()
                                    .map(|part| String::from_utf8_lossy(part))
                                    .collect::<String>(),
                            ),
                            _ => None,
                        })
                        .collect());
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Returns the name servers to which the public DNS delegates a zone, in lower case; empty if none.
    ///
    /// # Errors
    /// See [`LookupError`].
    pub async fn delegation(&self, zone: &str) -> Result<Vec<String>, LookupError> {
        let found = self.public(zone, RecordType::NS).await?;
        Ok(found
            .into_iter()
            .filter_map(|data| match data {
                RData::NS(server) => Some(normal(&server.to_string())),
                _ => None,
            })
            .collect())
    }

    /// Returns the CAA records at a name in the public DNS: tag and value.
    ///
    /// # Errors
    /// See [`LookupError`].
    pub async fn caa(&self, name: &str) -> Result<Vec<(String, String)>, LookupError> {
        let found = self.public(name, RecordType::CAA).await?;
        Ok(found
            .into_iter()
            .filter_map(|data| match data {
                RData::CAA(caa) => {
                    let text = String::from_utf8_lossy(&caa.value).into_owned();
                    Some((caa.tag.to_string(), text))
                }
                _ => None,
            })
            .collect())
    }

    /// Asks the public resolvers one after the other. The configured servers take their place, if there are any.
    async fn public(&self, name: &str, kind: RecordType) -> Result<Vec<RData>, LookupError> {
        let resolvers: Vec<SocketAddr> = match self.known.is_empty() {
            true => PUBLIC_RESOLVERS.iter().map(|ip| SocketAddr::from((*ip, 53))).collect(),
            false => self.known.values().copied().collect(),
        };
        let asked = resolvers.iter().map(|resolver| async move { ask(&[*resolver], name, kind, true).await });
        let mut answers = join_all(asked).await;
        answers.sort_by_key(|answer| match answer {
            Ok(found) if !found.is_empty() => 0,
            Ok(_) => 1,
            Err(LookupError::NotResponsible) => 2,
            Err(LookupError::Unreachable(_)) => 3,
        });
        answers.into_iter().next().unwrap_or(Err(LookupError::NotResponsible))
    }

    async fn addresses(&self, host: &str) -> Result<Vec<SocketAddr>, LookupError> {
        let unreachable = |why: String| LookupError::Unreachable(why);
        let system = resolve::addresses(host).await;
        let found = system.map_err(|error| unreachable(error.to_string()))?;
        let mut addresses: Vec<SocketAddr> = found.iter().map(|one| SocketAddr::new(one.ip(), 53)).collect();
        // Many networks have no route for IPv6.
        addresses.sort_by_key(|address| matches!(address.ip(), IpAddr::V6(_)));
        addresses.dedup();
        Ok(addresses)
    }
}

/// Sends one query, over UDP and, if that fails, over TCP.
async fn ask(
    servers: &[SocketAddr],
    name: &str,
    kind: RecordType,
    recursive: bool,
) -> Result<Vec<RData>, LookupError> {
    let unreachable = |error: NetError| LookupError::Unreachable(error.to_string());
    let servers = servers.iter().map(|address| {
        let at_port = |mut connection: ConnectionConfig| {
            connection.port = address.port();
            connection
        };
        let connections = vec![at_port(ConnectionConfig::udp()), at_port(ConnectionConfig::tcp())];
        NameServerConfig::new(address.ip(), true, connections)
    });
    let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
    let mut builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default());
    let options: &mut ResolverOpts = builder.options_mut();
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.attempts = 1;
    options.timeout = QUERY_TIME_MAX;
    options.try_tcp_on_error = true;
    options.recursion_desired = recursive;
    let resolver = builder.build().map_err(unreachable)?;
    let absolute = format!("{}.", name.trim_end_matches('.'));
    match resolver.lookup(absolute, kind).await {
        Ok(lookup) => Ok(lookup.answers().iter().map(|record| record.data.clone()).collect()),
        Err(error) if error.is_no_records_found() || error.is_nx_domain() => Ok(Vec::new()),
        Err(NetError::Dns(DnsError::ResponseCode(_))) => Err(LookupError::NotResponsible),
        Err(error) => Err(unreachable(error)),
    }
}

fn normal(server: &str) -> String {
    server.trim_end_matches('.').to_ascii_lowercase()
}
