//! The drawing of the traffic: hosts, gateways, routes and backends in four columns, with their edges.
//!
//! The table below it has the same content as text, for narrow windows and for screen readers.

use super::{html::Html, routing::target};
use crate::render::summary::Summary;
use landfall_steps::{Route, Topology};

/// The height of a box, and the space below it.
const BOX: usize = 42;
const GAP: usize = 14;
/// The space above the boxes, for the headings.
const TOP: usize = 58;
/// The left edge and the width of each column.
const HOSTS: (usize, usize) = (0, 262);
const GATEWAYS: (usize, usize) = (332, 188);
const ROUTES: (usize, usize) = (580, 196);
const SERVICES: (usize, usize) = (846, 150);
/// The width of the drawing, and the left edge of the cluster's frame.
const WIDTH: usize = 1020;
const CLUSTER: usize = 308;

/// A box of a column.
struct Node {
    name: String,
    remark: String,
    /// The top edge.
    y: usize,
}

impl Node {
    fn new(name: &str, remark: &str) -> Self {
        Self { name: name.to_owned(), remark: remark.to_owned(), y: 0 }
    }

    fn middle(&self) -> usize {
        self.y + BOX / 2
    }
}

/// An edge: the indexes of its ends.
type Edge = (usize, usize);

/// Writes the drawing.
pub fn draw(html: &mut Html, topology: &Topology, facts: &Summary) {
    let mut hosts: Vec<Node> = Vec::new();
    let mut gateways: Vec<Node> = Vec::new();
    let mut to_gateways: Vec<Edge> = Vec::new();
    for gateway in &facts.gateways {
        for host in &gateway.hosts {
            to_gateways.push((hosts.len(), gateways.len()));
            hosts.push(Node::new(host, ""));
        }
        gateways.push(Node::new(&gateway.name, &gateway.address));
    }
    let known: Vec<&Route> = sorted(topology.routes.as_deref().unwrap_or_default(), &gateways);
    let mut routes: Vec<Node> = known.iter().map(|route| Node::new(&route.name, &remark(route))).collect();
    if topology.routes.is_none() {
        routes.extend(topology.route_names.iter().map(|name| Node::new(name, "")));
    }
    let mut services: Vec<Node> = topology.services.iter().map(|name| Node::new(name, "Service")).collect();
    let (to_routes, to_services) = edges(&known, &gateways, &services);
    let rows = hosts.len().max(gateways.len()).max(routes.len()).max(services.len());
    for column in [&mut hosts, &mut gateways, &mut routes, &mut services] {
        spread(column, rows);
    }
    let height = TOP + rows * (BOX + GAP) + 6;
    let (width, h) = (WIDTH.to_string(), height.to_string());
    let label =
        "Traffic from hosts over gateways and routes to backends; the table below has the same content";
    html.open(
        "svg",
        &[
            ("class", "diagram"),
            ("viewBox", &format!("0 0 {width} {h}")),
            ("role", "img"),
            ("aria-label", label),
        ],
    );
    let cluster = topology.cluster.as_ref().map_or("cluster", |(name, _)| name);
    frame(html, cluster, height);
    let headings = [(HOSTS, "Host"), (GATEWAYS, "Gateway"), (ROUTES, "Route"), (SERVICES, "Backend")];
    for ((x, _), heading) in headings {
        html.element("text", &[("class", "heading"), ("x", &x.to_string()), ("y", "46")], heading);
    }
    lines(html, &to_gateways, (&hosts, HOSTS), (&gateways, GATEWAYS));
    lines(html, &to_routes, (&gateways, GATEWAYS), (&routes, ROUTES));
    lines(html, &to_services, (&routes, ROUTES), (&services, SERVICES));
    for (nodes, column, class) in [
        (&hosts, HOSTS, "node host"),
        (&gateways, GATEWAYS, "node gateway"),
        (&routes, ROUTES, "node"),
        (&services, SERVICES, "node"),
    ] {
        nodes.iter().for_each(|node| self::node(html, node, column, class));
    }
    html.close("svg").raw("\n");
}

/// Returns the routes in the order of their gateways, so that edges do not cross.
fn sorted<'a>(routes: &'a [Route], gateways: &[Node]) -> Vec<&'a Route> {
    let place = |route: &Route| gateways.iter().position(|node| route.gateways.contains(&node.name));
    let mut routes: Vec<&Route> = routes.iter().collect();
    routes.sort_by_key(|route| place(route));
    routes
}

/// Returns the remark of a route: the conditions or the shares of its only rule, or the number of its rules.
fn remark(route: &Route) -> String {
    match &route.rules[..] {
        rules if !rules.is_empty() && rules.iter().all(|rule| rule.redirects) => "redirects".to_owned(),
        [rule] if rule.matches.is_empty() && rule.backends.len() > 1 => target(rule),
        [rule] if rule.matches.is_empty() => "all paths".to_owned(),
        [rule] => rule.matches.join(", "),
        rules => format!("{} rules", rules.len()),
    }
}

fn edges(routes: &[&Route], gateways: &[Node], services: &[Node]) -> (Vec<Edge>, Vec<Edge>) {
    let place = |nodes: &[Node], name: &str| nodes.iter().position(|node| node.name == name);
    let (mut to_routes, mut to_services): (Vec<Edge>, Vec<Edge>) = Default::default();
    for (index, route) in routes.iter().enumerate() {
        let from = route.gateways.iter().filter_map(|name| place(gateways, name));
        to_routes.extend(from.map(|gateway| (gateway, index)));
        for (name, _) in route.rules.iter().flat_map(|rule| &rule.backends) {
            let edge = place(services, name).map(|service| (index, service));
            to_services.extend(edge.filter(|edge| !to_services.contains(edge)));
        }
    }
    (to_routes, to_services)
}

/// Distributes the boxes of a column over the height.
fn spread(nodes: &mut [Node], rows: usize) {
    let (space, count) = (rows * (BOX + GAP), nodes.len().max(1));
    for (index, node) in nodes.iter_mut().enumerate() {
        node.y = TOP + (2 * index + 1) * space / (2 * count) - (BOX + GAP) / 2 + GAP / 2;
    }
}

fn frame(html: &mut Html, cluster: &str, height: usize) {
    let (x, width, h) = (CLUSTER.to_string(), (WIDTH - CLUSTER - 1).to_string(), (height - 2).to_string());
    html.open(
        "rect",
        &[("class", "frame"), ("x", &x), ("y", "1"), ("width", &width), ("height", &h), ("rx", "10")],
    );
    html.close("rect");
    let right = (WIDTH - 14).to_string();
    html.element(
        "text",
        &[("class", "heading"), ("x", &right), ("y", "20"), ("text-anchor", "end")],
        format!("cluster {cluster}"),
    );
}

fn lines(
    html: &mut Html,
    edges: &[Edge],
    (from, left): (&[Node], (usize, usize)),
    (to, right): (&[Node], (usize, usize)),
) {
    for (start, end) in edges {
        let (Some(start), Some(end)) = (from.get(*start), to.get(*end)) else { continue };
        let (x1, x2) = (left.0 + left.1, right.0);
        let (y1, y2, bend) = (start.middle(), end.middle(), (x1 + x2) / 2);
        html.open(
            "path",
            &[("class", "edge"), ("d", &format!("M{x1} {y1}C{bend} {y1} {bend} {y2} {x2} {y2}"))],
        );
        html.close("path");
    }
}

fn node(html: &mut Html, node: &Node, (x, width): (usize, usize), class: &str) {
    let (left, top, w, h) = (x.to_string(), node.y.to_string(), width.to_string(), BOX.to_string());
    html.open("g", &[("class", class)]).element("title", &[], format!("{} {}", node.name, node.remark));
    html.open("rect", &[("x", &left), ("y", &top), ("width", &w), ("height", &h), ("rx", "7")]).close("rect");
    let text_x = (x + 12).to_string();
    let name_y = (node.y + if node.remark.is_empty() { 26 } else { 18 }).to_string();
    // A character of a name is about 7.3 units wide, and one of a remark 6.4.
    let (name_fits, remark_fits) = ((width - 20) * 10 / 73, (width - 20) * 10 / 64);
    html.element("text", &[("class", "name"), ("x", &text_x), ("y", &name_y)], cut(&node.name, name_fits));
    if !node.remark.is_empty() {
        let remark_y = (node.y + 34).to_string();
        html.element(
            "text",
            &[("class", "remark"), ("x", &text_x), ("y", &remark_y)],
            cut(&node.remark, remark_fits),
        );
    }
    html.close("g");
}

/// Truncates a text to a number of characters.
fn cut(text: &str, characters: usize) -> String {
    match text.chars().count() > characters {
        true => text.chars().take(characters.saturating_sub(1)).chain(['…']).collect(),
        false => text.to_owned(),
    }
}
