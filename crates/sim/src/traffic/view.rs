//! A snapshot of the gateways: sockets, listeners, certificates, routes and backends.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use rustls::sign::CertifiedKey;
use serde_json::Value;

use super::backend::{self, BackendKind, BackendRequest, Backends};
use super::host::Host;
use super::spec::{GATEWAYS, ROUTES, RouteFilter, Spec};
use super::table::{RequestHead, RouteSource, Table};
use super::{filter, kept_certificate};
use crate::aks::object::{list, name, namespace, number, selects_plain, text};
use crate::key_pair;
use crate::kubernetes::store::Store;
use crate::state::CloudState;

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
            let mut ports = BTreeMap::<u16, Vec<Arc<Listener>>>::new();
            for listener in list(gateway, "/spec/listeners") {
                let Some(read) = listener_of(store, gateway, listener, routes) else { continue };
                ports.entry(read.port).or_default().push(Arc::new(read));
            }
            for (port, listeners) in ports {
                let gateway_port = self.gateway_ports.entry((address, port)).or_insert_with(|| GatewayPort {
                    is_healthy: is_healthy(service, address, port, &listeners, backends),
                    listeners: Vec::new(),
                    backends: Arc::clone(backends),
                });
                gateway_port.listeners.extend(listeners);
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

/// Returns whether the load balancer's health probe of a port succeeds. Only 200 counts.
///
/// Without annotations the port's `appProtocol` selects the probe: http and https request `/` of the port
/// itself, all others only connect. Envoy responds to `/` with 404 or a redirect, unless a route without a
/// hostname leads to a backend.
/// <https://cloud-provider-azure.sigs.k8s.io/topics/loadbalancer/#custom-load-balancer-health-probe>
fn is_healthy(
    service: &Value,
    address: Ipv4Addr,
    port: u16,
    listeners: &[Arc<Listener>],
    backends: &Backends,
) -> bool {
    let annotation = |what: &str| {
        let key = format!("service.beta.kubernetes.io/port_{port}_health-probe_{what}");
        service["metadata"]["annotations"][key].as_str().unwrap_or_default()
    };
    let own = list(service, "/spec/ports").iter().find(|known| number(known, "/port") == Some(port.into()));
    let protocol = match annotation("protocol") {
        "" => own.map_or("", |own| text(own, "/appProtocol")),
        chosen => chosen,
    };
    let protocol = protocol.to_ascii_lowercase();
    if !["http", "https"].contains(&protocol.as_str()) {
        return true;
    }
    let path = match annotation("request-path") {
        "" => "/",
        path => path,
    };
    let probed = annotation("port");
    if probed.is_empty() || probed == port.to_string() {
        return probe_listeners(&protocol, address, path, listeners, backends);
    }
    (protocol.as_str(), probed, path) == ("http", READY.0, READY.1)
}

/// Returns whether the listeners answer a probe with 200. The load balancer knows no hostname: it sends the
/// address as the host, and no server name.
fn probe_listeners(
    protocol: &str,
    address: Ipv4Addr,
    path: &str,
    listeners: &[Arc<Listener>],
    backends: &Backends,
) -> bool {
    let host = address.to_string();
    let speaks = |listener: &Listener| listener.certificate.is_some() == (protocol == "https");
    let Some(listener) = listeners.iter().find(|listener| listener.host == Host::Any && speaks(listener))
    else {
        return false;
    };
    let headers = http::HeaderMap::new();
    let head = RequestHead { host: &host, path, query: &[], method: "GET", headers: &headers };
    let Some(route_match) = listener.table.find(&head) else { return false };
    if route_match.rule.filters.iter().any(|filter| filter.request_redirect.is_some()) {
        return false;
    }
    let mut weighted = route_match.rule.backend_refs.iter().filter(|backend| backend.weight > 0).peekable();
    weighted.peek().is_some()
        && weighted.all(|backend| {
            let filters: Vec<&RouteFilter> =
                route_match.rule.filters.iter().chain(&backend.filters).collect();
            let (host, path) = filter::rewrite(&filters, &host, path, &route_match.prefix);
            let request = BackendRequest {
                scheme: protocol,
                host: &host,
                method: "GET",
                path: &path,
                query: None,
                headers: &headers,
                body: &[],
            };
            backend::find(backends, route_match, backend)
                .is_some_and(|workload| backend::respond(workload, &request).status == StatusCode::OK)
        })
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
    let kept = kept_certificate::find(store, gateway, text(reference, "/name"));
    let secret = kept.or_else(|| store.get("secrets", place, text(reference, "/name")))?;
    let part = |key: &str| STANDARD.decode(secret["data"][key].as_str()?).ok();
    key_pair::load(&part("tls.crt")?, &part("tls.key")?).ok()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aks::fixture::{ClusterFixture, gateway, http, https};
    use crate::traffic::tests::data_plane::{ECHO, TLS_SECRET, apply, tls_secret};
    use serde_json::json;

    /// Returns whether the ports 80 and 443 of a gateway are healthy, with these annotations.
    fn health(annotations: Value, hostname: Option<&str>, path: &str) -> [bool; 2] {
        let mut cluster = ClusterFixture::running();
        cluster.request("secrets", tls_secret("shop.test"));
        apply(&mut cluster, ECHO);
        let mut object = gateway(json!([http(), https(TLS_SECRET)]));
        object["spec"]["infrastructure"]["annotations"] = annotations;
        object["spec"]["listeners"][1]["hostname"] = json!(hostname);
        cluster.request(GATEWAYS, object);
        let route = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {
                "parentRefs": [{"name": "web"}],
                "rules": [{
                    "matches": [{"path": {"type": "PathPrefix", "value": path}}],
                    "backendRefs": [{"name": "echo", "port": 80}],
                }],
            },
        });
        cluster.request(ROUTES, route);
        cluster.advance(120.0);
        let mut view = View::default();
        view.add_cluster(&cluster.store);
        [80, 443].map(|port| {
            let mut ports = view.gateway_ports.iter().filter(|((_, known), _)| *known == port);
            ports.next().expect("the port is served").1.is_healthy
        })
    }

    fn probe(port: u16, what: &str) -> String {
        format!("service.beta.kubernetes.io/port_{port}_health-probe_{what}")
    }

    #[test]
    fn the_defaults_of_the_class_cover_port_80_only() {
        let name = Some("till.shop.test");
        assert_eq!(health(json!({}), name, "/pay"), [true, false]);
        let ready = json!({
            probe(443, "port"): "15021", probe(443, "protocol"): "http",
            probe(443, "request-path"): "/healthz/ready",
        });
        assert_eq!(health(ready, name, "/pay"), [true, true]);
        assert_eq!(health(json!({probe(443, "protocol"): "tcp"}), name, "/pay"), [true, true]);
        // Envoy's readiness has no TLS.
        let encrypted = json!({probe(443, "port"): "15021", probe(443, "request-path"): "/healthz/ready"});
        assert_eq!(health(encrypted, name, "/pay"), [true, false]);
    }

    #[test]
    fn a_probe_of_the_port_itself_needs_a_route_that_answers_200_without_a_hostname() {
        assert_eq!(health(json!({}), None, "/"), [true, true]);
        assert_eq!(health(json!({}), None, "/pay"), [true, false], "Envoy answers 404");
        assert_eq!(health(json!({}), Some("till.shop.test"), "/"), [true, false], "no server name");
        let own_path = json!({probe(443, "request-path"): "/pay"});
        assert_eq!(health(own_path, None, "/pay"), [true, true]);
        let own_port = json!({probe(443, "port"): "443", probe(443, "request-path"): "/pay"});
        assert_eq!(health(own_port, None, "/pay"), [true, true]);
    }
}
