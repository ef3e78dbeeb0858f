//! Traces and metrics at a collector: a receiver of the test, and a real one if it is there.

use crate::environment::TestEnvironment;
use opentelemetry_proto::tonic::{
    collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use prost::Message as _;
use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A collector on a port of its own, for the life of the process.
struct Collector {
    endpoint: String,
    received: Arc<Mutex<Received>>,
}

#[derive(Default)]
struct Received {
    spans: Vec<Span>,
    metrics: BTreeSet<String>,
    services: BTreeSet<String>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Received::default()));
        let sink = received.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let sink = sink.clone();
                thread::spawn(move || serve(&stream.unwrap(), &sink));
            }
        });
        Self { endpoint, received }
    }

    /// Returns an environment whose telemetry arrives here.
    fn environment(&self) -> TestEnvironment {
        TestEnvironment::instant()
            .with("OTEL_EXPORTER_OTLP_ENDPOINT", &self.endpoint)
            .with("TRACEPARENT", PARENT)
    }

    fn spans(&self) -> Vec<Span> {
        self.received.lock().unwrap().spans.clone()
    }
}

/// Reads the requests of one connection until it closes.
fn serve(stream: &TcpStream, sink: &Mutex<Received>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or_default() == 0 {
                return;
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_ascii_lowercase()),
            }
        }
        let length = lines.iter().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body).unwrap();
        receive(&lines[0], &body, &mut sink.lock().unwrap());
        let mut writer = stream;
        writer
            .write_all(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n",
            )
            .unwrap();
    }
}

fn receive(line: &str, body: &[u8], received: &mut Received) {
    if line.starts_with("post /v1/traces ") {
        for resource in ExportTraceServiceRequest::decode(body).unwrap().resource_spans {
            let attributes = resource.resource.unwrap_or_default().attributes;
            received.services.extend(text(&attributes, "service.name"));
            received.spans.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
    } else {
        assert!(line.starts_with("post /v1/metrics "), "{line}");
        let request = ExportMetricsServiceRequest::decode(body).unwrap();
        let scopes = request.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
        received.metrics.extend(scopes.flat_map(|scope| scope.metrics).map(|metric| metric.name));
    }
}

fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        other => Some(format!("{other:?}")),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no span {name}"))
}

#[test]
fn a_run_is_one_trace_of_steps_waits_and_requests() {
    let collector = Collector::start();
    let env = collector.environment();
    let output = env.expect(0, &["up", "--format", "json"]);
    let summary: serde_json::Value = serde_json::from_str(output.stdout.lines().last().unwrap()).unwrap();
    let spans = collector.spans();
    let root = named(&spans, "landfall up");
    assert_eq!(
        (hex(&root.trace_id), hex(&root.parent_span_id)),
        (PARENT[3..35].into(), PARENT[36..52].into())
    );
    assert_eq!(text(&root.attributes, "process.exit.code").as_deref(), Some("0"));
    assert!(spans.iter().all(|span| span.trace_id == root.trace_id));

    let steps: Vec<&Span> = spans.iter().filter(|span| span.name.starts_with("step ")).collect();
    let finished = env.journal().iter().filter(|line| line["entry"] == "finished").count();
    assert_eq!(steps.len(), finished);
    assert!(steps.iter().all(|step| step.parent_span_id == root.span_id));
    let created =
        steps.iter().filter(|step| text(&step.attributes, "landfall.outcome").as_deref() == Some("created"));
    assert!(created.count() > 5);

    let wait = named(&spans, "wait tls-secret");
    assert_eq!(wait.parent_span_id, named(&spans, "step tls-secret").span_id);

    let requests: Vec<&Span> = spans.iter().filter(|span| span.kind == SpanKind::Client as i32).collect();
    assert_eq!(requests.len() as u64, summary["requests"].as_u64().unwrap(), "one span for each attempt");
    let cluster = named(&spans, "step cluster");
    let put = requests.iter().find(|span| {
        let is_cluster = |url: String| url.ends_with("/managedClusters/aks-istio-gateway-demo");
        span.name == "PUT" && text(&span.attributes, "url.full").is_some_and(is_cluster)
    });
    let put = put.unwrap();
    assert_eq!(put.parent_span_id, cluster.span_id);
    assert_eq!(text(&put.attributes, "http.response.status_code").as_deref(), Some("201"));
    assert_eq!(
        text(&put.attributes, "azure.resource_provider.namespace").as_deref(),
        Some("Microsoft.ContainerService")
    );
    let logged = env.request_log();
    let is_put = |line: &&serde_json::Value| {
        line["method"] == "PUT"
            && line["path"].as_str().unwrap().ends_with("/managedClusters/aks-istio-gateway-demo")
    };
    let sent = format!("00-{}-{}-01", hex(&put.trace_id), hex(&put.span_id));
    assert_eq!(logged.iter().find(is_put).unwrap()["traceparent"], sent.as_str(), "Azure gets the span's id");

    let received = collector.received.lock().unwrap();
    assert_eq!(received.services, BTreeSet::from(["landfall".to_owned()]));
    for name in ["landfall.step.duration", "landfall.run.duration", "http.client.request.duration"] {
        assert!(received.metrics.contains(name), "{:?}", received.metrics);
    }
}

#[test]
fn a_failed_step_is_an_error_with_its_cause() {
    let collector = Collector::start();
    let env = collector.environment().with("OTEL_SERVICE_NAME", "gateways");
    env.expect(3, &["up", "--sim-fault", "cores-few"]);
    let spans = collector.spans();
    let root = named(&spans, "landfall up");
    let error =
        |span: &Span| span.status.as_ref().is_some_and(|status| status.code == StatusCode::Error as i32);
    assert!(error(root) && text(&root.attributes, "error.type").as_deref() == Some("exit 3"));
    let failed: Vec<&Span> =
        spans.iter().filter(|span| span.name.starts_with("step ") && error(span)).collect();
    assert!(!failed.is_empty());
    assert!(failed.iter().all(|step| !step.status.as_ref().unwrap().message.is_empty()));
    assert!(collector.received.lock().unwrap().services.contains("gateways"));
}

#[test]
fn the_requests_of_a_fleet_are_children_of_the_command() {
    let collector = Collector::start();
    let env = collector.environment();
    env.write(
        "fleet.toml",
        "[defaults]\nresource_group = \"rg-{name}\"\ndomain = \"{name}.example.com\"\n[[environment]]\nname = \"a\"\n\
         [[environment]]\nname = \"b\"\n",
    );
    env.expect(0, &["fleet", "up", "--fault", "throttled@PATCH /kubernetes/*2"]);
    let spans = collector.spans();
    let root = named(&spans, "landfall fleet");
    assert!(spans.iter().all(|span| !span.name.starts_with("step ")));
    let mut requests = spans.iter().filter(|span| span.kind == SpanKind::Client as i32).peekable();
    assert!(requests.peek().is_some());
    assert!(requests.all(|span| span.parent_span_id == root.span_id));
    let received = collector.received.lock().unwrap();
    for name in ["landfall.step.duration", "landfall.retries", "http.client.request.duration"] {
        assert!(received.metrics.contains(name), "{:?}", received.metrics);
    }
}

#[test]
fn no_attribute_has_a_secret() {
    let collector = Collector::start();
    let env = collector.environment();
    env.expect(0, &["up"]);
    let serving = env.state().join("sim/world.json");
    let world = std::fs::read_to_string(serving).unwrap_or_default();
    let spans = format!("{:?}", collector.spans());
    for key in ["secret", "password"] {
        let marker = format!("\"{key}\":\"");
        for part in world.split(&marker).skip(1) {
            let value = part.split('"').next().unwrap_or_default();
            assert!(value.len() < 8 || !spans.contains(value), "a {key} is in a span");
        }
    }
    assert!(!spans.contains("Bearer ") && !spans.contains("sig="));
}

#[test]
fn a_collector_that_is_down_changes_no_result_and_delays_the_end_within_its_bound() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let env =
        TestEnvironment::instant().with("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://127.0.0.1:{port}"));
    let output = env.expect(0, &["up"]);
    assert!(output.stdout.is_empty(), "{}", output.stdout);
    env.expect(10, &["plan", "--detailed-exitcode", "--domain", "other.example.com"]);

    // It accepts connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let env = TestEnvironment::instant().with("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{address}"));
    let started = Instant::now();
    env.expect(0, &["graph"]);
    assert!(started.elapsed() < Duration::from_secs(20), "bounded at 3 s, plus the load of the machine");
}

#[test]
fn variables_that_cannot_be_followed_are_named() {
    let env = TestEnvironment::instant().with("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318");
    let output = env.expect(0, &["graph"]);
    assert!(output.stderr.contains("must be a URL such as http://127.0.0.1:4318"), "{}", output.stderr);
    let disabled = env.with("OTEL_SDK_DISABLED", "true").expect(0, &["graph"]);
    assert!(disabled.stderr.is_empty(), "{}", disabled.stderr);
}

#[test]
fn a_real_collector_accepts_the_telemetry() {
    let Some(rotel) = std::env::var_os("LANDFALL_TEST_ROTEL") else {
        println!("skipped: LANDFALL_TEST_ROTEL does not name the collector rotel-agent");
        return;
    };
    let port = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (http, grpc) = (port(), port());
    let mut collector = Command::new(rotel)
        .args([
            "start",
            "--otlp-http-endpoint",
            &http,
            "--otlp-grpc-endpoint",
            &grpc,
            "--exporter",
            "blackhole",
        ])
        .args(["--debug-log", "traces", "--debug-log", "metrics", "--debug-log-verbosity", "detailed"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let output = collector.stdout.take().unwrap();
    let printed = thread::spawn(move || {
        let lines = BufReader::new(output).lines().map_while(Result::ok);
        lines.fold(String::new(), |all, line| all + &line + "\n")
    });
    let until = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(&http).is_err() {
        assert!(Instant::now() < until, "the collector does not listen");
        thread::sleep(Duration::from_millis(50));
    }
    let env = TestEnvironment::instant().with("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{http}"));
    env.expect(0, &["up"]);
    // It prints what is queued when it is asked to end.
    Command::new("kill").arg(collector.id().to_string()).status().unwrap();
    collector.wait().unwrap();
    let printed = printed.join().unwrap();
    for part in ["step cluster-ready", "landfall up", "landfall.run.duration", "Str(landfall)"] {
        assert!(printed.contains(part), "the collector has no {part}:\n{printed}");
    }
}
