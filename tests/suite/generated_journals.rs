//! Journals that no run wrote: of many environments, and with names that an attacker chose.

use crate::environment::TestEnvironment;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// The steps of a generated run with their typical durations in seconds.
const STEPS: [(&str, u64); 9] = [
    ("preflight", 2),
    ("resource-group", 2),
    ("network", 6),
    ("key-vault", 14),
    ("certificate", 40),
    ("cluster-ready", 280),
    ("istio", 45),
    ("gateways", 35),
    ("dns", 2),
];

/// The causes of generated failures: step, code, cause, remedy.
const CAUSES: [(&str, &str, &str, &str); 3] = [
    (
        "cluster-ready",
        "QuotaExceeded",
        "quota exceeded for Standard DSv5 Family vCPUs in westeurope (need 16, limit 10)",
        "request a quota increase, or set nodes_max = 2 under [cluster] in landfall.toml",
    ),
    (
        "cluster-ready",
        "AllocationFailed",
        "the region has no capacity for Standard_D4s_v5",
        "choose another node_size, or run again later",
    ),
    (
        "certificate",
        "ForbiddenByRbac",
        "the role assignment did not take effect within 10 minutes",
        "run landfall up again; it resumes",
    ),
];

/// A generator of reproducible numbers.
struct Numbers(u64);

impl Numbers {
    /// Returns a number below the bound.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// The lines of a journal.
struct Lines {
    text: String,
    began: Timestamp,
}

impl Lines {
    fn open(environment: &str, began: Timestamp) -> Self {
        let mut lines = Self { text: String::new(), began };
        lines.add(
            0,
            json!({
                "entry": "opened", "format": 1, "command": "up", "landfall": "0.1.0",
                "environment": { "cloud": "azure", "subscription": "00000000-0000-0000-0000-000000000001", "environment": environment },
            }),
        );
        lines
    }

    fn add(&mut self, ms: u64, mut line: Value) {
        let at = self.began + SignedDuration::from_millis(ms.try_into().unwrap());
        line["at"] = format!("{at:.3}").into();
        self.text.push_str(&format!("{line}\n"));
    }

    fn write(self, env: &TestEnvironment, environment: &str) {
        env.write(&format!(".landfall/{environment}/journal.jsonl"), self.text);
    }
}

/// Writes the journals of so many environments: most are ready, some failed, few were killed or interrupted.
pub fn write_fleet(env: &TestEnvironment, count: u64) {
    let mut numbers = Numbers(7);
    let began: Timestamp = "2026-11-23T09:00:00Z".parse().unwrap();
    for n in 0..count {
        let name = format!("shop-{}-{:03}", ["eu", "us", "ap"][(n % 3) as usize], n + 1);
        let began = began + SignedDuration::from_secs((n / 20 * 60).try_into().unwrap());
        let outcome = numbers.below(100);
        let cause = (outcome < 10).then(|| CAUSES[[0, 0, 0, 0, 0, 1, 1, 1, 2, 2][outcome as usize]]);
        // Few environments are much slower than the others.
        let slowness = if numbers.below(20) == 0 { 160 } else { 100 };
        environment(&mut numbers, &name, began, cause, slowness, outcome).write(env, &name);
    }
}

fn environment(
    numbers: &mut Numbers,
    name: &str,
    began: Timestamp,
    cause: Option<(&str, &str, &str, &str)>,
    slowness: u64,
    outcome: u64,
) -> Lines {
    let mut lines = Lines::open(name, began);
    let (mut now, mut requests) = (0, 0);
    for (step, typical) in STEPS {
        let took = typical * 10 * (80 + numbers.below(50)) * slowness / 100;
        let sent = 3 + numbers.below(20);
        requests += sent;
        let retries = match numbers.below(12) {
            0 => json!([{ "because": "HTTP 429", "count": 1 + numbers.below(3) }]),
            _ => json!([]),
        };
        let activity = json!({ "elapsed_ms": took, "requests": sent, "retries": retries });
        lines.add(now + 5, json!({ "entry": "started", "step": step, "attempt": 1, "making": true }));
        if step == "gateways" && (10..12).contains(&outcome) {
            // The process was killed.
            return lines;
        }
        now += took;
        if let Some((_, code, why, hint)) = cause.filter(|(at, ..)| *at == step) {
            let error = json!({
                "kind": "refused", "message": format!("create {step} of {name}"), "code": code, "causes": [why],
                "hint": hint, "residue": "nothing",
            });
            lines.add(now, json!({ "entry": "failed", "step": step, "error": error, "activity": activity }));
            lines.add(now + 3, closed("failed", now, requests));
            return lines;
        }
        let finished = json!({ "entry": "finished", "step": step, "how": "created", "output": null, "activity": activity });
        lines.add(now, finished);
    }
    lines.add(now + 3, closed(if outcome == 12 { "interrupted" } else { "ready" }, now, requests));
    lines
}

fn closed(outcome: &str, elapsed_ms: u64, requests: u64) -> Value {
    let path = json!([{ "step": "cluster-ready", "cloud_ms": elapsed_ms * 9 / 10 }]);
    json!({
        "entry": "closed", "outcome": outcome,
        "summary": { "elapsed_ms": elapsed_ms, "critical_path_ms": elapsed_ms * 9 / 10, "critical_path": path, "requests": requests },
    })
}

/// Writes a journal with this text in every name, message and reason.
pub fn write_injected(env: &TestEnvironment, folder: &str, text: &str) {
    let mut lines = Lines::open(text, "2026-11-23T09:00:00Z".parse().unwrap());
    let activity = json!({
        "elapsed_ms": 40, "requests": 2, "retries": [{ "because": text, "count": 1 }],
        "waits": [{ "what": text, "start_ms": 1, "elapsed_ms": 20 }],
    });
    lines.add(
        5,
        json!({ "entry": "finished", "step": text, "how": "created", "output": text, "activity": activity }),
    );
    let gateways = json!({
        "applied": { "cluster_uid": text, "objects": [{ "api_version": "v1", "kind": "HTTPRoute", "namespace": text, "name": text, "uid": text }] },
        "gateways": [{ "name": text, "address": text, "hosts": [text] }],
    });
    lines.add(50, json!({ "entry": "finished", "step": "gateways", "how": "created", "output": gateways }));
    let error = json!({
        "kind": "failed", "message": text, "code": text, "causes": [text, text], "hint": text,
        "residue": "unknown", "request_id": text,
    });
    lines.add(60, json!({ "entry": "failed", "step": "dns", "error": error }));
    let summary = json!({
        "elapsed_ms": 60, "critical_path_ms": 40, "critical_path": [{ "step": text, "cloud_ms": 40 }],
        "blocked": [{ "step": text, "by": text }],
    });
    lines.add(61, json!({ "entry": "closed", "outcome": "failed", "summary": summary }));
    lines.write(env, folder);
}
