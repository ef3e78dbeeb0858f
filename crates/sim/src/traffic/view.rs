//! A snapshot of the gateways: sockets, listeners, certificates, routes and backends.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use serde_json::Value;

use super::host::Host;
use super::spec::Spec;
use super::table::{RouteSource, Table};
use crate::aks::object::{list, name, namespace, number, selects_plain, text};
use crate::kubernetes::store::Store;
use crate::state::CloudState;

pub(super) const GATEWAYS: &str = "gateways.gateway.networking.k8s.io";
pub(super) const ROUTES: &str = "httproutes.gateway.networking.k8s.io";
const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";
/// The port and path of Envoy's readiness probe.
const READY: (&str, &str) = ("15021", "/healthz/ready");

/// The snapshot of all gateways.
#[derive(Debug, Default)]
pub(crate) struct View {
    /// The sockets by address and port.
    pub gateway_ports: BTreeMap<(Ipv4Addr, u16), GatewayPort>,
}

/// One port of a gateway's address.
#[derive(Debug)]
pub(crate) struct GatewayPort {
    /// True if the load balancer's health probe succeeds; if not, connections hang.
    pub is_healthy: bool,
    pub listeners: Vec<Arc<Listener>>,
    /// The backends of the routes.
    pub backends: Arc<Backends>,
}

/// A programmed listener.
#[derive(Debug)]
pub(crate) struct Listener {
    pub host: Host,
    pub port: u16,
    /// The certificate; `None` without TLS.
    pub certificate: Option<Arc<CertifiedKey>>,
    pub table: Table,
}

/// The workloads of a cluster, by namespace, name and port of their Service.
pub(crate) type Backends = BTreeMap<(String, String, u16), BackendKind>;

/// The workload behind a Service port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BackendKind {
    /// go-httpbin.
    Httpbin,
    /// http-echo with its fixed text.
    Echo(String),
    /// Another workload, which responds with its name.
    Named(String),
    /// No pod is ready.
    Unavailable,
}

impl View {
    /// Takes a snapshot of the state.
    pub fn of(state: &CloudState) -> Self {
        let mut view = Self::default();
        for store in state.clusters.running() {
            view.add_cluster(store);
        }
        view
    }

    /// Adds the gateways of a cluster.
    pub(super) fn add_cluster(&mut self, store: &Store) {
        let backends = Arc::new(backends(store));
        let routes = store.list(ROUTES, None);
        for gateway in store.list(GATEWAYS, None) {
            self.add_gateway(store, gateway, &routes, &backends);
        }
    }

    fn add_gateway(&mut self, store: &Store, gateway: &Value, routes: &[&Value], backends: &Arc<Backends>) {
        let Some(service) = serving(store, gateway) else { return };
        let ingress = list(service, "/status/loadBalancer/ingress");
        let addresses = ingress.iter().filter_map(|one| text(one, "/ip").parse::<Ipv4Addr>().ok());
        for address in addresses.filter(Ipv4Addr::is_loopback) {
            for listener in list(gateway, "/spec/listeners") {
                let Some(read) = listener_of(store, gateway, listener, routes) else { continue };
                let is_healthy = is_healthy(service, read.port);
                let gateway_port = self.gateway_ports.entry((address, read.port)).or_insert_with(|| {
                    GatewayPort { is_healthy, listeners: Vec::new(), backends: Arc::clone(backends) }
                });
                gateway_port.listeners.push(Arc::new(read));
            }
        }
    }
}

/// Returns the Service of a gateway that has a ready pod.
fn serving<'a>(store: &'a Store, gateway: &Value) -> Option<&'a Value> {
    let mut services = store.list("services", Some(namespace(gateway))).into_iter();
    let service = services.find(|service| {
        text(service, "/spec/type") == "LoadBalancer"
            && service["spec"]["selector"][GATEWAY_NAME] == name(gateway)
    })?;
    ready_pods(store, namespace(service), &service["spec"]["selector"]).next().map(|_| service)
}

fn ready_pods<'a>(store: &'a Store, space: &str, selector: &'a Value) -> impl Iterator<Item = &'a Value> {
    let is_ready = |pod: &&Value| {
        let conditions = list(pod, "/status/conditions").iter();
        conditions.into_iter().any(|one| text(one, "/type") == "Ready" && text(one, "/status") == "True")
    };
    let pods = store.list("pods", Some(space)).into_iter();
    pods.filter(move |pod| selects_plain(selector, pod)).filter(is_ready)
}

/// Returns whether the load balancer's health probe of a port succeeds. Only 200 counts, and on `/` Envoy
/// responds with 404 or a redirect.
///
/// Without annotations the port's `appProtocol` selects the probe: http and https request `/`, all others
/// only connect.
/// <https://cloud-provider-azure.sigs.k8s.io/topics/loadbalancer/#custom-load-balancer-health-probe>
fn is_healthy(service: &Value, port: u16) -> bool {
    let annotation = |what: &str| {
        let key = format!("service.beta.kubernetes.io/port_{port}_health-probe_{what}");
        service["metadata"]["annotations"][key].as_str().unwrap_or_default().to_ascii_lowercase()
    };
    let own = list(service, "/spec/ports").iter().find(|known| number(known, "/port") == Some(port.into()));
    let protocol = match annotation("protocol").as_str() {
        "" => own.map_or("", |own| text(own, "/appProtocol")).to_ascii_lowercase(),
        chosen => chosen.to_owned(),
    };
    match protocol.as_str() {
        "http" | "https" => {
            let (probed, path) = (annotation("port"), annotation("request-path"));
            probed == READY.0 && path == READY.1 && protocol == "http"
        }
        _ => true,
    }
}

fn listener_of(store: &Store, gateway: &Value, listener: &Value, routes: &[&Value]) -> Option<Listener> {
    let own_name = text(listener, "/name");
    let status =
        list(gateway, "/status/listeners").iter().find(|status| text(status, "/name") == own_name)?;
    let holds = |kind: &str| {
        let conditions = list(status, "/conditions").iter();
        conditions.into_iter().any(|one| text(one, "/type") == kind && text(one, "/status") == "True")
    };
    if !holds("Programmed") {
        return None;
    }
    let port = u16::try_from(number(listener, "/port")?).ok()?;
    let host = Host::read(text(listener, "/hostname"));
    let certificate = match text(listener, "/protocol") {
        "HTTP" => None,
        "HTTPS" => Some(certificate(store, gateway, listener)?),
        _ => return None,
    };
    let sources =
        routes.iter().filter(|route| accepts_route(gateway, listener, route)).map(|route| RouteSource {
            created: text(route, "/metadata/creationTimestamp"),
            namespace: namespace(route),
            name: name(route),
            spec: serde_json::from_value::<Spec>(route["spec"].clone()).unwrap_or_default(),
        });
    let table = Table::of(&host, sources.collect());
    Some(Listener { host, port, certificate, table })
}

/// Returns whether the controller has accepted the route for this gateway, through a reference to this
/// listener or to all. The table checks the hostnames.
fn accepts_route(gateway: &Value, listener: &Value, route: &Value) -> bool {
    list(route, "/status/parents").iter().any(|parent| {
        let reference = &parent["parentRef"];
        let place = reference["namespace"].as_str().unwrap_or_else(|| namespace(route));
        let accepted = list(parent, "/conditions")
            .iter()
            .any(|one| text(one, "/type") == "Accepted" && text(one, "/status") == "True");
        let (section, port) = (text(reference, "/sectionName"), number(reference, "/port"));
        let is_namespace_allowed = match text(listener, "/allowedRoutes/namespaces/from") {
            "All" | "Selector" => true,
            _ => namespace(route) == namespace(gateway),
        };
        accepted
            && is_namespace_allowed
            && text(reference, "/name") == name(gateway)
            && place == namespace(gateway)
            && (section.is_empty() || section == text(listener, "/name"))
            && (port.is_none() || port == number(listener, "/port"))
    })
}

fn certificate(store: &Store, gateway: &Value, listener: &Value) -> Option<Arc<CertifiedKey>> {
    let reference = list(listener, "/tls/certificateRefs").first()?;
    let place = reference["namespace"].as_str().unwrap_or_else(|| namespace(gateway));
    let secret = store.get("secrets", place, text(reference, "/name"))?;
    let part = |key: &str| STANDARD.decode(secret["data"][key].as_str()?).ok();
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(&part("tls.crt")?).flatten().collect();
    let key = PrivateKeyDer::from_pem_slice(&part("tls.key")?).ok()?;
    let key = aws_lc_rs::sign::any_supported_type(&key).ok()?;
    (!chain.is_empty()).then(|| Arc::new(CertifiedKey::new(chain, key)))
}

fn backends(store: &Store) -> Backends {
    let mut backends = Backends::new();
    for service in store.list("services", None) {
        let backend_kind = backend_kind(store, service);
        for port in list(service, "/spec/ports") {
            if let Some(port) = number(port, "/port").and_then(|port| u16::try_from(port).ok()) {
                let key = (namespace(service).to_owned(), name(service).to_owned(), port);
                backends.insert(key, backend_kind.clone());
            }
        }
    }
    backends
}

/// Returns the workload of a Service, derived from its pods.
fn backend_kind(store: &Store, service: &Value) -> BackendKind {
    let selector = &service["spec"]["selector"];
    let pod = match selector.as_object() {
        Some(pairs) if !pairs.is_empty() => ready_pods(store, namespace(service), selector).next(),
        _ => None,
    };
    let Some(container) = pod.and_then(|pod| list(pod, "/spec/containers").first()) else {
        return BackendKind::Unavailable;
    };
    let image = text(container, "/image");
    let echo_text = list(container, "/args").iter().find_map(|one| one.as_str()?.strip_prefix("-text="));
    match (image, echo_text) {
        (image, _) if image.contains("httpbin") => BackendKind::Httpbin,
        (image, Some(echo_text)) if image.contains("http-echo") => BackendKind::Echo(echo_text.to_owned()),
        _ => BackendKind::Named(name(service).to_owned()),
    }
}
