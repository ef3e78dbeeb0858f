//! Output of a successful run: the gateways, the DNS records to enter, and the next commands.

use super::{expiry, style::Styler, text};
use jiff::Timestamp;
use landfall_cloud::{AddressMap, arm::dns::relative};
use landfall_engine::{Outcome, Report};
pub use landfall_steps::Summary;
use landfall_steps::{CertificateSummary, GatewaySummary};

/// The context for the output.
#[derive(Clone, Copy)]
pub struct OutputContext<'a> {
    /// The command line of landfall.
    pub program: &'a str,
    /// A caution before the suggested requests, if necessary.
    pub caution: Option<&'a str>,
    /// True if the cloud takes time at all, so that the overhead can be compared with it.
    pub takes_time: bool,
    /// The address overrides of the gateways.
    pub address_map: &'a AddressMap,
    /// The time at which expiries are evaluated.
    pub now: Timestamp,
}

/// Returns the text after a successful run.
pub fn text(
    facts: &Summary,
    report: &Report,
    requests: u64,
    output_context: OutputContext<'_>,
    style: Styler,
) -> String {
    let program = output_context.program;
    let mut parts = vec![headline("Ready", report, requests, output_context.takes_time, style)];
    parts.push(self::facts(facts));
    parts.extend(expiry::warning(facts.certificate.as_ref(), program, output_context.now, style));
    if let Some(example_requests) = example_requests(facts, output_context.address_map) {
        let caution = output_context.caution.map(|caution| format!("\n{caution}")).unwrap_or_default();
        parts.push(format!("Try it:{caution}\n{example_requests}"));
    }
    parts.push(format!(
        "Verify:       {program} verify\nLive status:  {program} status --live\nTear down:    {program} down"
    ));
    parts.join("\n\n")
}

/// Returns the warnings of a run, one paragraph each; `None` if there is none.
pub fn warnings(report: &Report, style: Styler) -> Option<String> {
    let paragraph = |(_, warning): &(String, String)| {
        style.warn(&text::wrap("", &format!("Warning: {warning}"), text::COLUMNS))
    };
    let all: Vec<String> = report.warnings.iter().map(paragraph).collect();
    (!all.is_empty()).then(|| all.join("\n"))
}

/// Returns gateways, certificate and DNS names; empty if there are none yet.
pub fn facts(facts: &Summary) -> String {
    let mut rows = gateways(facts);
    rows.extend(facts.certificate.as_ref().map(certificate));
    if !facts.dns.records.is_empty() {
        rows.push(dns(facts));
    }
    rows.extend(facts.kubeconfig.as_ref().map(|(file, context)| {
        let (first, rest) = (label("kubeconfig", true), label("", false));
        format!("{first}{}\n{rest}context {context}", file.display())
    }));
    rows.join("\n")
}

/// Returns the first line: the result, the duration, and the number of requests.
pub fn headline(word: &str, report: &Report, requests: u64, takes_time: bool, style: Styler) -> String {
    let all = report.found + report.created + report.changed;
    let counted = [(report.created, "created"), (report.changed, "changed"), (report.found, "found")];
    let counted = counted.iter().filter(|(number, _)| *number > 0);
    let counted: Vec<String> = counted.map(|(number, how)| format!("{number} {how}")).collect();
    let ready = style.good(&format!("{word} in {}", text::duration(report.elapsed)));
    let steps = text::count(all as usize, "step");
    let first = format!("{ready} · {steps}: {} · {requests} requests", counted.join(", "));
    match ideal(report).filter(|_| takes_time) {
        Some(ideal) => format!("{first}\n{ideal}"),
        None => first,
    }
}

/// Returns the overhead beyond the cloud's own time; `None` if nothing was created or updated.
fn ideal(report: &Report) -> Option<String> {
    let (ideal, took) = (report.critical_path.as_secs_f64(), report.elapsed.as_secs_f64());
    if report.created + report.changed == 0 || ideal < 0.1 || report.outcome != Outcome::Ready {
        return None;
    }
    let overhead = ((took / ideal - 1.0) * 100.0).max(0.0);
    let ideal = text::duration(report.critical_path);
    Some(format!("The cloud needed {ideal} of it; overhead {overhead:.0} %."))
}

/// Returns the first column of a row.
pub fn label(name: &str, first: bool) -> String {
    text::pad(&format!("  {}", if first { name } else { "" }), 20)
}

fn gateways(facts: &Summary) -> Vec<String> {
    let address = facts.gateways.iter().map(|gateway| gateway.address.len()).max().unwrap_or(0);
    let row = |gateway: &GatewaySummary| {
        let hosts = gateway.hosts.iter().enumerate().map(|(at, host)| {
            let shown = if at == 0 { gateway.address.as_str() } else { "" };
            format!("{}{}  https://{host}", label(&gateway.name, at == 0), text::pad(shown, address))
        });
        hosts.collect::<Vec<_>>().join("\n")
    };
    facts.gateways.iter().map(row).collect()
}

fn certificate(certificate: &CertificateSummary) -> String {
    let kind = match &certificate.acme {
        Some(directory) => format!("by ACME ({directory}), "),
        None if certificate.self_signed => "self-signed, ".to_owned(),
        None => String::new(),
    };
    let names = format!("{kind}{}", text::list(&certificate.names));
    let until = certificate.not_after.strftime("%Y-%m-%d");
    format!(
        "{}\n{}SHA-1 {}\n{}valid until {until}",
        text::wrap(&label("certificate", true), &names, text::COLUMNS),
        label("", false),
        certificate.thumbprint_sha1.to_uppercase(),
        label("", false),
    )
}

fn dns(facts: &Summary) -> String {
    let dns = &facts.dns;
    let (first, rest) = (label("DNS", true), label("", false));
    let Some(zone) = dns.zone.as_ref().filter(|_| dns.managed) else {
        let headline = match dns.unreadable {
            true => "the DNS zones cannot be listed; create".to_owned(),
            false => format!("no zone {} in this subscription; create", facts.domain),
        };
        let below = format!(".{}", facts.domain);
        let short = |host: &str| host.strip_suffix(&below).unwrap_or(host).to_owned();
        return format!("{first}{headline}{}", table(&dns.records, short));
    };
    // DNS forms request a record's name relative to the zone.
    let short = |host: &str| relative(host, zone).unwrap_or_else(|| host.to_owned());
    let headline = format!("{} in zone {zone}", text::count(dns.records.len(), "record"));
    let managed = format!("{first}{headline}{}", table(&dns.records, short));
    match dns.outside.is_empty() {
        true => managed,
        false => {
            format!("{managed}\n{rest}outside zone {zone}; create{}", table(&dns.outside, str::to_owned))
        }
    }
}

/// Returns the lines of records, each with its own line break.
fn table(records: &[(String, String)], name: impl Fn(&str) -> String) -> String {
    let rows: Vec<(String, &String)> = records.iter().map(|(host, address)| (name(host), address)).collect();
    let widest = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let indent = label("", false);
    rows.iter().map(|(name, address)| format!("\n{indent}  {name:<widest$}  A  {address}")).collect()
}

/// Returns test commands that use addresses, so that they work before the DNS names do.
fn example_requests(facts: &Summary, address_map: &AddressMap) -> Option<String> {
    let trust = match &facts.certificate {
        Some(certificate) if certificate.self_signed => "-k ",
        _ => "",
    };
    let mut commands = Vec::new();
    for gateway in &facts.gateways {
        let address = &gateway.address;
        for host in &gateway.hosts {
            let (extra, path) = shown_best_by(host);
            commands.push(format!(
                "  curl {trust}{} \\\n       {extra}https://{host}{path}",
                way(address_map, host, address, 443)
            ));
        }
    }
    let first = facts.gateways.first().and_then(|gateway| Some((gateway.hosts.first()?, &gateway.address)));
    if let Some((host, address)) = first {
        let way = way(address_map, host, address, 80);
        commands.push(format!("  curl -I {way} \\\n       http://{host}/"));
    }
    (!commands.is_empty()).then(|| commands.join("\n"))
}

/// Returns the curl flag with a host's address, or with the socket that overrides a port of it.
fn way(address_map: &AddressMap, host: &str, address: &str, port: u16) -> String {
    match address.parse().ok().and_then(|address| address_map.override_for(address, port)) {
        Some(socket) => format!("--connect-to {host}:{port}:{}:{}", socket.ip(), socket.port()),
        None => format!("--resolve {host}:{port}:{address}"),
    }
}

/// Returns the request that demonstrates a host of the built-in manifests.
fn shown_best_by(host: &str) -> (&'static str, &'static str) {
    match host.split('.').next() {
        Some("httpbin") => ("", "/get"),
        Some("echo-headers") => ("-H 'version: v2' ", "/"),
        Some("app") => ("", "/v2"),
        _ => ("", "/"),
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use landfall_steps::DnsSummary;
    use std::{sync::LazyLock, time::Duration};

    fn output_context(program: &str) -> OutputContext<'_> {
        let now = "2026-11-23T09:31:02Z".parse().unwrap();
        static WAYS: LazyLock<AddressMap> = LazyLock::new(AddressMap::default);
        OutputContext { program, caution: None, takes_time: true, address_map: &WAYS, now }
    }

    /// Returns the summary of a run with the built-in manifests.
    pub fn facts() -> Summary {
        let host = |label: &str| format!("{label}.demo.example.com");
        let gateway = |name: &str, address: &str, hosts: &[&str]| GatewaySummary {
            name: name.into(),
            address: address.into(),
            hosts: hosts.iter().map(|label| host(label)).collect(),
        };
        let record = |name: &str, address: &str| (name.to_owned(), address.to_owned());
        Summary {
            domain: "demo.example.com".into(),
            gateways: vec![
                gateway("httpbin-gateway", "127.0.0.11", &["httpbin"]),
                gateway("echo-gateway", "127.0.0.12", &["echo", "echo-headers", "app"]),
            ],
            certificate: Some(CertificateSummary {
                thumbprint_sha1: "5e3a0123456789abcdef0123456789abcdef9a10".into(),
                not_before: None,
                not_after: "2027-11-23T00:00:00Z".parse().unwrap(),
                names: vec!["demo.example.com".into(), "*.demo.example.com".into()],
                version: "0123456789abcdef0123456789abcdef".into(),
                secret_id: "https://kv-demo.vault.azure.net/secrets/gateway-tls-cert/0123".into(),
                self_signed: true,
                acme: None,
                renewable: true,
            }),
            kubeconfig: Some((".landfall/default/kubeconfig".into(), "aks-istio-gateway-demo".into())),
            dns: DnsSummary {
                managed: false,
                zone: None,
                records: vec![
                    record(&host("httpbin"), "127.0.0.11"),
                    record(&host("echo"), "127.0.0.12"),
                    record(&host("echo-headers"), "127.0.0.12"),
                    record(&host("app"), "127.0.0.12"),
                ],
                ..DnsSummary::default()
            },
        }
    }

    /// Returns the report of a run that created nearly everything.
    pub fn report() -> Report {
        Report {
            outcome: Outcome::Ready,
            found: 1,
            created: 16,
            changed: 0,
            failed: 0,
            blocked: 0,
            undone: Vec::new(),
            left_behind: Vec::new(),
            waiting: Vec::new(),
            elapsed: Duration::from_millis(6_900),
            critical_path: Duration::from_millis(6_700),
            errors: Vec::new(),
            warnings: Vec::new(),
        }
    }

    #[test]
    fn a_warning_follows_the_run() {
        let warned = ("cluster".to_owned(), "cluster aks runs 1.37".to_owned());
        let report = Report { warnings: vec![warned], ..report() };
        assert_eq!(warnings(&report, Styler::PLAIN).as_deref(), Some("Warning: cluster aks runs 1.37"));
        assert_eq!(warnings(&self::report(), Styler::PLAIN), None);
    }

    #[test]
    fn output_of_a_successful_up() {
        let text = text(&facts(), &report(), 71, output_context("landfall"), Styler::PLAIN);
        assert!(text.lines().all(|line| text::width(line) <= text::COLUMNS), "{text}");
        insta::assert_snapshot!(text, @r"
        Ready in 6.9 s · 17 steps: 16 created, 1 found · 71 requests
        The cloud needed 6.7 s of it; overhead 3 %.

          httpbin-gateway   127.0.0.11  https://httpbin.demo.example.com
          echo-gateway      127.0.0.12  https://echo.demo.example.com
                                        https://echo-headers.demo.example.com
                                        https://app.demo.example.com
          certificate       self-signed, demo.example.com and *.demo.example.com
                            SHA-1 5E3A0123456789ABCDEF0123456789ABCDEF9A10
                            valid until 2027-11-23
          DNS               no zone demo.example.com in this subscription; create
                              httpbin       A  127.0.0.11
                              echo          A  127.0.0.12
                              echo-headers  A  127.0.0.12
                              app           A  127.0.0.12
          kubeconfig        .landfall/default/kubeconfig
                            context aks-istio-gateway-demo

        Try it:
          curl -k --resolve httpbin.demo.example.com:443:127.0.0.11 \
               https://httpbin.demo.example.com/get
          curl -k --resolve echo.demo.example.com:443:127.0.0.12 \
               https://echo.demo.example.com/
          curl -k --resolve echo-headers.demo.example.com:443:127.0.0.12 \
               -H 'version: v2' https://echo-headers.demo.example.com/
          curl -k --resolve app.demo.example.com:443:127.0.0.12 \
               https://app.demo.example.com/v2
          curl -I --resolve httpbin.demo.example.com:80:127.0.0.11 \
               http://httpbin.demo.example.com/

        Verify:       landfall verify
        Live status:  landfall status --live
        Tear down:    landfall down
        ");
    }

    #[test]
    fn example_requests_use_overridden_ports() {
        let high = "127.0.0.11:30421".parse().unwrap();
        let address_map = AddressMap::new([(("127.0.0.11".parse().unwrap(), 443), high)]);
        let example_requests = example_requests(&facts(), &address_map).unwrap();
        let first = "  curl -k --connect-to httpbin.demo.example.com:443:127.0.0.11:30421 \\\n";
        assert!(example_requests.starts_with(first), "{example_requests}");
        assert!(
            example_requests.contains("--resolve echo.demo.example.com:443:127.0.0.12"),
            "{example_requests}"
        );
    }

    #[test]
    fn output_with_a_managed_zone_and_a_user_certificate() {
        let mut facts = facts();
        facts.dns.managed = true;
        facts.dns.zone = Some("demo.example.com".into());
        facts.certificate.as_mut().unwrap().self_signed = false;
        let found = Report { found: 17, created: 0, ..report() };
        let text = text(&facts, &found, 24, output_context("landfall --environment dev"), Styler::PLAIN);
        insta::assert_snapshot!(text, @r"
        Ready in 6.9 s · 17 steps: 17 found · 24 requests

          httpbin-gateway   127.0.0.11  https://httpbin.demo.example.com
          echo-gateway      127.0.0.12  https://echo.demo.example.com
                                        https://echo-headers.demo.example.com
                                        https://app.demo.example.com
          certificate       demo.example.com and *.demo.example.com
                            SHA-1 5E3A0123456789ABCDEF0123456789ABCDEF9A10
                            valid until 2027-11-23
          DNS               4 records in zone demo.example.com
                              httpbin       A  127.0.0.11
                              echo          A  127.0.0.12
                              echo-headers  A  127.0.0.12
                              app           A  127.0.0.12
          kubeconfig        .landfall/default/kubeconfig
                            context aks-istio-gateway-demo

        Try it:
          curl --resolve httpbin.demo.example.com:443:127.0.0.11 \
               https://httpbin.demo.example.com/get
          curl --resolve echo.demo.example.com:443:127.0.0.12 \
               https://echo.demo.example.com/
          curl --resolve echo-headers.demo.example.com:443:127.0.0.12 \
               -H 'version: v2' https://echo-headers.demo.example.com/
          curl --resolve app.demo.example.com:443:127.0.0.12 \
               https://app.demo.example.com/v2
          curl -I --resolve httpbin.demo.example.com:80:127.0.0.11 \
               http://httpbin.demo.example.com/

        Verify:       landfall --environment dev verify
        Live status:  landfall --environment dev status --live
        Tear down:    landfall --environment dev down
        ");
    }

    #[test]
    fn records_outside_the_zone_are_listed_for_manual_entry() {
        let mut facts = facts();
        facts.dns.managed = true;
        facts.dns.zone = Some("example.com".into());
        facts.dns.records = vec![("example.com".into(), "127.0.0.11".into()), facts.dns.records[0].clone()];
        facts.dns.outside = vec![("www.other.example.org".into(), "127.0.0.11".into())];
        insta::assert_snapshot!(dns(&facts), @r"
          DNS               2 records in zone example.com
                              @             A  127.0.0.11
                              httpbin.demo  A  127.0.0.11
                            outside zone example.com; create
                              www.other.example.org  A  127.0.0.11
        ");
        facts.dns = DnsSummary { unreadable: true, records: facts.dns.outside, ..DnsSummary::default() };
        insta::assert_snapshot!(dns(&facts), @r"
          DNS               the DNS zones cannot be listed; create
                              www.other.example.org  A  127.0.0.11
        ");
    }
}
