//! The connection to the proxy of the environment variables, before the first request.

use crate::{
    exit::Exit,
    failure::Failure,
    settings::{
        checks::proxy::{self, Proxy},
        sources::Environment,
    },
};
use landfall_cloud::Endpoints;
use std::time::Duration;
use tokio::{net::TcpStream, time::timeout};

/// The timeout of the connection to a proxy, in real time.
const PROXY_TIME_MAX: Duration = Duration::from_secs(10);

/// Refuses a proxy that cannot be reached. Every request would fail with it, the sign-in first.
pub async fn check(environment: &Environment, endpoints: &Endpoints) -> Result<(), Failure> {
    let proxy = proxy::https(environment).map_err(|error| Failure::of_config_errors(vec![error]))?;
    let uses = |proxy: &Proxy| {
        !endpoints.is_loopback() && proxy.applies_to(endpoints.login.host_str().unwrap_or_default())
    };
    let Some(proxy) = proxy.filter(uses) else { return Ok(()) };
    let connected = TcpStream::connect((proxy.host.as_str(), proxy.port));
    let cause = match timeout(PROXY_TIME_MAX, connected).await {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no response within {} s", PROXY_TIME_MAX.as_secs()),
    };
    let Proxy { variable, host, port, .. } = proxy;
    Err(Failure::new(Exit::Input, format!("reach the proxy {host}:{port} of {variable}"))
        .cause(cause)
        .hint(format!("correct {variable} or unset it; NO_PROXY lists the hosts that need no proxy")))
}
