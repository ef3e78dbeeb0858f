//! The topology: where traffic goes, how the certificate gets there, and on what both run.

use super::{diagram, html::Html, page};
use crate::render::{summary::Summary, text};
use landfall_steps::{Route, Rule, Topology};

/// Writes the section; nothing if nothing is recorded. `is_deleted` is true if the run deleted what it shows.
pub fn section(html: &mut Html, topology: &Topology, facts: &Summary, is_deleted: bool) {
    let has_platform = topology.group.is_some() || topology.cluster.is_some();
    if facts.gateways.is_empty() && facts.certificate.is_none() && !has_platform {
        return;
    }
    let remark = match is_deleted {
        true => "As recorded before this run, which deleted it",
        false => "As recorded at the end of this run; the cloud was not queried",
    };
    page::section(html, "topology", "Topology", remark);
    if !facts.gateways.is_empty() {
        html.raw("<h3>Traffic</h3>\n");
        diagram::draw(html, topology, facts);
        table(html, topology, facts);
    }
    certificate(html, topology, facts);
    platform(html, topology, facts);
    html.raw("</section>\n");
}

/// Writes every host with its gateway, its routes and their backends.
fn table(html: &mut Html, topology: &Topology, facts: &Summary) {
    html.raw("<table class=\"cards\"><thead><tr><th scope=\"col\">Host</th><th scope=\"col\">Gateway</th>");
    html.raw(
        "<th scope=\"col\">Address</th><th scope=\"col\">Routes and backends</th></tr></thead>\n<tbody>\n",
    );
    for gateway in &facts.gateways {
        for host in &gateway.hosts {
            html.raw("<tr>").element("th", &[("scope", "row")], host);
            html.element("td", &[("data-label", "Gateway")], &gateway.name);
            html.raw("<td data-label=\"Address\">").element("code", &[], &gateway.address).raw("</td>");
            html.raw("<td data-label=\"Routes\">");
            let routes = topology.routes.as_deref().unwrap_or_default().iter();
            let here =
                routes.filter(|route| route.gateways.contains(&gateway.name) && route.hosts.contains(host));
            html.raw("<ul class=\"plain\">");
            for route in here {
                self::route(html, route);
            }
            html.raw("</ul></td></tr>\n");
        }
    }
    html.raw("</tbody></table>\n");
    if topology.routes.is_none() {
        html.raw("<p class=\"remark\">");
        html.text(format!(
            "Applied routes: {}. Their rules are not shown: the manifests differ from those that were applied.",
            text::list(&topology.route_names)
        ));
        html.raw("</p>\n");
    }
}

fn route(html: &mut Html, route: &Route) {
    for rule in &route.rules {
        html.raw("<li>").element("strong", &[], &route.name);
        if !rule.matches.is_empty() {
            html.text(format!(" ({})", rule.matches.join(", ")));
        }
        html.raw(" → ").text(target(rule)).raw("</li>");
    }
}

/// Returns the target of a rule as text: `echo-v1 90 %, echo-v2 10 %`.
pub fn target(rule: &Rule) -> String {
    if rule.redirects {
        return "redirect".to_owned();
    }
    let shares = shares(rule);
    let backends = rule.backends.iter().zip(shares).map(|((name, _), share)| match share {
        Some(share) => format!("{name} {share} %"),
        None => name.clone(),
    });
    backends.collect::<Vec<_>>().join(", ")
}

/// Returns the share of each backend in percent; `None` for a single one.
fn shares(rule: &Rule) -> Vec<Option<u64>> {
    // Without a weight it is 1.
    let weights: Vec<u64> = rule.backends.iter().map(|(_, weight)| weight.unwrap_or(1)).collect();
    let whole: u64 = weights.iter().sum();
    let share = |weight: &u64| (weights.len() > 1).then(|| (weight * 100 + whole / 2) / whole.max(1));
    weights.iter().map(share).collect()
}

/// Writes the path of the certificate from the vault to the gateways.
fn certificate(html: &mut Html, topology: &Topology, facts: &Summary) {
    let Some(certificate) = &facts.certificate else { return };
    let kind = match &certificate.acme {
        Some(directory) => format!("ACME, {directory}"),
        None if certificate.self_signed => "self-signed".to_owned(),
        None => "imported".to_owned(),
    };
    let gateways: Vec<String> = facts.gateways.iter().map(|gateway| gateway.name.clone()).collect();
    html.raw("<h3>Certificate path</h3>\n<ol class=\"chain\">");
    let mut link = |kind: &str, name: &str| {
        html.raw("<li><span class=\"kind\">").text(kind).raw("</span>").element("strong", &[], name);
        html.raw("</li>");
    };
    if let Some(vault) = &topology.vault {
        link("key vault", vault);
    }
    let name = topology.certificate.as_deref().unwrap_or("certificate");
    link("certificate", name);
    for (kind, name) in &topology.tls_objects {
        link(kind, name);
    }
    for secret in &topology.tls_secrets {
        link("Secret", secret);
    }
    if !gateways.is_empty() {
        link("gateways", &text::list(&gateways));
    }
    html.raw("</ol>\n<dl class=\"facts\">");
    let rows = [
        ("Issuer", kind),
        ("Names", certificate.names.join(", ")),
        ("Valid until", certificate.not_after.strftime("%Y-%m-%d").to_string()),
        ("SHA-1", certificate.thumbprint_sha1.to_uppercase()),
        ("Vault version", certificate.version.clone()),
    ];
    for (name, value) in rows {
        html.raw("<div>").element("dt", &[], name).element("dd", &[], value).raw("</div>");
    }
    html.raw("</dl>\n");
}

/// Writes what the environment runs on.
fn platform(html: &mut Html, topology: &Topology, facts: &Summary) {
    let group = topology.group.as_ref().map(|(name, location)| format!("{name} in {location}"));
    let cluster = topology.cluster.as_ref().map(|(name, version)| match version {
        Some(version) => format!("{name}, Kubernetes {version}"),
        None => name.clone(),
    });
    let network = topology.network.as_ref().map(|(name, range)| format!("{name}, subnet {range}"));
    let dns = match (&facts.dns.zone, facts.dns.records.is_empty()) {
        (Some(zone), _) => Some(format!("{} in zone {zone}", text::count(facts.dns.records.len(), "record"))),
        (None, false) => {
            let records = facts.dns.records.iter().map(|(host, address)| format!("{host} A {address}"));
            Some(format!("no zone in this subscription; create {}", records.collect::<Vec<_>>().join(", ")))
        }
        (None, true) => None,
    };
    let context = facts.kubeconfig.as_ref().map(|(_, context)| context.clone());
    let rows = [
        ("Resource group", group),
        ("Network", network),
        ("Cluster", cluster),
        ("DNS", dns),
        ("kubectl context", context),
    ];
    html.raw("<h3>Platform</h3>\n<dl class=\"facts\">");
    for (name, value) in rows.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        html.raw("<div>").element("dt", &[], name).element("dd", &[], value).raw("</div>");
    }
    html.raw("</dl>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_become_percentages() {
        let rule = |backends: &[(&str, Option<u64>)]| Rule {
            matches: Vec::new(),
            backends: backends.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect(),
            redirects: false,
        };
        assert_eq!(target(&rule(&[("v1", Some(9)), ("v2", Some(1))])), "v1 90 %, v2 10 %");
        assert_eq!(target(&rule(&[("v1", Some(5))])), "v1");
        assert_eq!(target(&rule(&[("v1", Some(0)), ("v2", Some(0))])), "v1 0 %, v2 0 %");
    }
}
