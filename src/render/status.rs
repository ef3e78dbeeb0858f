//! Output of the recorded state of an environment: a text page and a JSON document.

use super::{expiry, json, paint::Paint, summary::Facts, words};
use jiff::Timestamp;
use landfall_engine::{EnvironmentKey, Memory, Past, State, StepInfo};
use landfall_steps::expiry::days_left;
use serde_json::{Value, json};

/// The content of a status.
pub struct Status<'a> {
    /// The environment.
    pub key: &'a EnvironmentKey,
    /// The steps, in order.
    pub steps: &'a [StepInfo],
    /// Their recorded state.
    pub memory: &'a Memory,
    /// The summary of their outputs.
    pub facts: &'a Facts,
    /// The time.
    pub now: Timestamp,
}

fn state(past: Option<&Past>) -> &'static str {
    match past.map(|past| past.state) {
        None | Some(State::Never) => "never",
        Some(State::Underway) => "underway",
        Some(State::Failed) => "failed",
        Some(State::Ready) => "ready",
    }
}

/// Returns the steps to show. A disabled one is shown only if its resource is owned, which `down` deletes.
fn shown<'a>(status: &Status<'a>) -> Vec<&'a StepInfo> {
    let owned = |step: &StepInfo| status.memory.past(step.id).is_some_and(|past| past.ours);
    status.steps.iter().filter(|step| step.enabled || owned(step)).collect()
}

/// Returns the JSON document.
pub fn document(status: &Status<'_>) -> Value {
    let steps = shown(status).into_iter().map(|step| {
        let past = status.memory.past(step.id);
        let mut document = json!({
            "step": step.id,
            "title": step.title,
            "state": state(past),
            "ours": past.is_some_and(|past| past.ours),
            "how": json::how(past.and_then(|past| past.how)),
            "finished_at": past.and_then(|past| past.finished_at.clone()),
            "error": past.and_then(|past| past.error.as_ref()).map(|error| json!({
                "code": error.code, "message": error.message, "causes": error.causes, "hint": error.hint,
                "residue": words::residue(error.residue), "request_id": error.request_id,
            })),
        });
        if !step.enabled {
            document["enabled"] = false.into();
        }
        document
    });
    let certificate = status.facts.certificate.as_ref().map(|certificate| {
        json!({
            "thumbprint": certificate.thumbprint_sha1,
            "not_after": certificate.not_after.to_string(),
            "expires_in_days": days_left(certificate.not_after, status.now),
            "version": certificate.version,
            "names": certificate.names,
            "secret_id": certificate.secret_id,
            "self_signed": certificate.self_signed,
        })
    });
    let known = |id: &str| status.steps.iter().any(|step| step.id == id);
    let left_behind = status.memory.0.iter().filter(|(step, past)| past.ours && !known(step));
    let left_behind =
        left_behind.map(|(step, past)| json!({ "step": step, "output": past.output, "named": past.named }));
    let domain = &status.facts.domain;
    let records = status.facts.dns.records.iter();
    let records = records.map(|(host, address)| json!({ "name": host, "address": address }));
    json!({
        "environment": status.key.environment,
        "cloud": status.key.cloud,
        "subscription": status.key.subscription,
        "domain": domain,
        "steps": steps.collect::<Vec<_>>(),
        "left_behind": left_behind.collect::<Vec<_>>(),
        "certificate": certificate,
        "gateways": json::gateways(status.facts),
        "dns": {
            "managed": status.facts.dns.managed,
            "zone": status.facts.dns.zone,
            "records": records.collect::<Vec<_>>(),
        },
    })
}

/// Returns the text page; `program` is the command line of landfall.
pub fn text(status: &Status<'_>, program: &str, paint: Paint) -> String {
    let widest = status.steps.iter().map(|step| step.id.len()).max().unwrap_or(0);
    let row = |step: &StepInfo| {
        let past = status.memory.past(step.id);
        let name = words::name(step.id);
        let (glyph, detail) = match past {
            _ if !step.enabled => {
                (paint.dim("·"), "switched off, and created earlier; down deletes it".to_owned())
            }
            Some(past) if past.state == State::Ready => {
                let how = past.how.map(words::how).unwrap_or_default();
                let when = past.finished_at.as_deref().map(minutes).unwrap_or_default();
                (paint.good("✓"), format!("{how:<8} {when}  {}", words::subject(&step.title, &name)))
            }
            Some(past) if past.state == State::Failed => {
                let error = past.error.as_ref();
                let why =
                    error.map(|error| format!("failed to {}", error.message)).unwrap_or("failed".into());
                (paint.bad("✗"), why)
            }
            Some(past) if past.state == State::Underway => {
                (paint.busy("~"), format!("in progress, attempt {}", past.attempts))
            }
            _ => (paint.dim("·"), "not started".to_owned()),
        };
        words::cut(&format!(" {glyph} {name:<widest$}  {detail}"), 80).trim_end().to_owned()
    };
    let rows: Vec<String> = self::shown(status).into_iter().map(row).collect();
    let mut parts =
        vec![heading(status, "From the journal; the cloud was not queried.", paint), rows.join("\n")];
    let shown = super::summary::facts(status.facts);
    if !shown.is_empty() {
        parts.push(shown);
    }
    parts.extend(expiry::warning(status.facts.certificate.as_ref(), program, status.now, paint));
    let strangers = super::going::strangers(status.steps, status.memory);
    if !strangers.is_empty() {
        parts.push(format!(
            "Created by landfall, but this version has no such step:\n{}",
            strangers.join("\n")
        ));
    }
    let mut enabled = status.steps.iter().filter(|step| step.enabled);
    let ready = enabled.all(|step| state(status.memory.past(step.id)) == "ready");
    if !ready {
        parts.push(format!("Resume: {program} up"));
    }
    parts.join("\n\n")
}

/// Returns the first lines: the environment and the source of the data.
pub fn heading(status: &Status<'_>, source: &str, paint: Paint) -> String {
    let EnvironmentKey { cloud, subscription, environment } = status.key;
    let cloud = if cloud == "sim" { "simulated cloud" } else { "Azure" };
    let first = paint.strong(&format!("landfall status · {environment} · {cloud}"));
    let where_from =
        if subscription.is_empty() { String::new() } else { format!("Subscription {subscription}.\n") };
    format!("{first}\n{where_from}{source}")
}

/// Formats a time with minute precision.
fn minutes(at: &str) -> String {
    match at.parse::<jiff::Timestamp>() {
        Ok(at) => at.strftime("%Y-%m-%d %H:%MZ").to_string(),
        Err(_) => at.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::{fixture, summary};
    use landfall_engine::How;

    fn memory() -> Memory {
        let mut memory = Memory::default();
        let mut remember = |step: &str, state, how, ours| {
            let mut past = Past::default();
            past.state = state;
            past.how = how;
            past.ours = ours;
            past.attempts = 2;
            past.finished_at = how.map(|_| "2026-11-23T09:31:02.114Z".to_owned());
            past.error = (state == State::Failed).then(fixture::error);
            memory.0.insert(step.to_owned(), past);
        };
        remember("preflight", State::Ready, Some(How::Found), false);
        remember("resource-group", State::Ready, Some(How::Created), true);
        remember("certificate", State::Underway, None, true);
        remember("cluster-ready", State::Failed, None, false);
        memory
    }

    fn shown(show: impl Fn(&Status<'_>) -> String) -> String {
        let key = EnvironmentKey {
            cloud: "sim".into(),
            subscription: "00000000-0000-0000-0000-000000000001".into(),
            environment: "default".into(),
        };
        let (steps, memory, facts) = (fixture::steps(), memory(), summary::tests::facts());
        let now = "2027-11-15T12:00:00Z".parse().unwrap();
        show(&Status { key: &key, steps: &steps[..6], memory: &memory, facts: &facts, now })
    }

    #[test]
    fn the_page() {
        insta::assert_snapshot!(shown(|status| text(status, "landfall", Paint::PLAIN)), @"
        landfall status · default · simulated cloud
        Subscription 00000000-0000-0000-0000-000000000001.
        From the journal; the cloud was not queried.

         ✓ preflight       found    2026-11-23 09:31Z  14 checks
         ✓ resource group  created  2026-11-23 09:31Z  rg-aks-istio-gateway-demo
         · key vault       not started
         ~ certificate     in progress, attempt 2
         ✗ cluster ready   failed to create cluster aks-istio-gateway-demo
         · istio           not started

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

        The certificate expires in 7 days, on 2027-11-23.
        Replace it: landfall rotate

        Resume: landfall up
        ");
    }

    #[test]
    fn a_disabled_step_is_shown_only_if_its_resource_is_owned() {
        let disabled = |owned: bool| {
            shown(|status| {
                let (mut steps, mut memory) = (status.steps.to_vec(), status.memory.clone());
                steps[2].enabled = false;
                memory.0.entry("key-vault".into()).or_default().ours = owned;
                text(&Status { steps: &steps, memory: &memory, ..*status }, "landfall", Paint::PLAIN)
            })
        };
        let line = "key vault       switched off, and created earlier; down deletes it";
        assert!(disabled(true).contains(line), "{}", disabled(true));
        assert!(!disabled(false).contains("key vault"), "{}", disabled(false));
    }

    #[test]
    fn the_document() {
        let document = shown(|status| {
            let mut document = super::document(status);
            document["steps"].as_array_mut().unwrap().retain(|step| step["step"] != "preflight");
            serde_json::to_string_pretty(&document).unwrap()
        });
        insta::assert_snapshot!(document, @r#"
        {
          "environment": "default",
          "cloud": "sim",
          "subscription": "00000000-0000-0000-0000-000000000001",
          "domain": "demo.example.com",
          "steps": [
            {
              "step": "resource-group",
              "title": "resource group rg-aks-istio-gateway-demo",
              "state": "ready",
              "ours": true,
              "how": "created",
              "finished_at": "2026-11-23T09:31:02.114Z",
              "error": null
            },
            {
              "step": "key-vault",
              "title": "key vault kv-aks-istio-6743 in eastus",
              "state": "never",
              "ours": false,
              "how": null,
              "finished_at": null,
              "error": null
            },
            {
              "step": "certificate",
              "title": "certificate gateway-tls-cert",
              "state": "underway",
              "ours": true,
              "how": null,
              "finished_at": null,
              "error": null
            },
            {
              "step": "cluster-ready",
              "title": "cluster aks-istio-gateway-demo",
              "state": "failed",
              "ours": false,
              "how": null,
              "finished_at": null,
              "error": {
                "code": "QuotaExceeded",
                "message": "create cluster aks-istio-gateway-demo",
                "causes": [
                  "quota exceeded for Standard DSv5 Family vCPUs in eastus (need 16, limit 10)",
                  "PUT /subscriptions/…/managedClusters/aks-istio-gateway-demo returned 409 QuotaExceeded"
                ],
                "hint": "set nodes_max = 2 under [cluster] in landfall.toml, or request a quota increase: https://aka.ms/quota",
                "residue": "nothing",
                "request_id": "7a1c0b7e-0000-4000-8000-000000000001"
              }
            },
            {
              "step": "istio",
              "title": "gateway class approuting-istio",
              "state": "never",
              "ours": false,
              "how": null,
              "finished_at": null,
              "error": null
            }
          ],
          "left_behind": [],
          "certificate": {
            "thumbprint": "5e3a0123456789abcdef0123456789abcdef9a10",
            "not_after": "2027-11-23T00:00:00Z",
            "expires_in_days": 7,
            "version": "0123456789abcdef0123456789abcdef",
            "names": [
              "demo.example.com",
              "*.demo.example.com"
            ],
            "secret_id": "https://kv-demo.vault.azure.net/secrets/gateway-tls-cert/0123",
            "self_signed": true
          },
          "gateways": {
            "httpbin-gateway": "127.0.0.11",
            "echo-gateway": "127.0.0.12"
          },
          "dns": {
            "managed": false,
            "zone": null,
            "records": [
              {
                "name": "httpbin.demo.example.com",
                "address": "127.0.0.11"
              },
              {
                "name": "echo.demo.example.com",
                "address": "127.0.0.12"
              },
              {
                "name": "echo-headers.demo.example.com",
                "address": "127.0.0.12"
              },
              {
                "name": "app.demo.example.com",
                "address": "127.0.0.12"
              }
            ]
          }
        }
        "#);
    }
}
