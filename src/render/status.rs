//! Output of the recorded state of an environment: a text page and a JSON document.

use super::{expiry, json, style::Styler, summary::Summary, text};
use jiff::Timestamp;
use landfall_engine::{EnvironmentKey, JournalState, StepInfo, StepState, StepStatus};
use landfall_steps::expiry::days_left;
use serde_json::{Value, json};

/// The content of a status.
pub struct Status<'a> {
    /// The environment.
    pub key: &'a EnvironmentKey,
    /// The steps, in order.
    pub steps: &'a [StepInfo],
    /// Their recorded state.
    pub journal_state: &'a JournalState,
    /// The summary of their outputs.
    pub facts: &'a Summary,
    /// The time.
    pub now: Timestamp,
}

fn state(step_state: Option<&StepState>) -> &'static str {
    match step_state.map(|step_state| step_state.state) {
        None | Some(StepStatus::NotStarted) => "never",
        Some(StepStatus::InProgress) => "underway",
        Some(StepStatus::Failed) => "failed",
        Some(StepStatus::Ready) => "ready",
    }
}

/// Returns the steps to show. A disabled one is shown only if its resource is owned, which `down` deletes.
fn shown<'a>(status: &Status<'a>) -> Vec<&'a StepInfo> {
    let owned =
        |step: &StepInfo| status.journal_state.step_state(step.id).is_some_and(|step_state| step_state.owned);
    status.steps.iter().filter(|step| step.enabled || owned(step)).collect()
}

/// Returns the JSON document.
pub fn document(status: &Status<'_>) -> Value {
    let steps = shown(status).into_iter().map(|step| {
        let step_state = status.journal_state.step_state(step.id);
        let mut document = json!({
            "step": step.id,
            "title": step.title,
            "state": state(step_state),
            "ours": step_state.is_some_and(|step_state| step_state.owned),
            "how": json::how(step_state.and_then(|step_state| step_state.how)),
            "finished_at": step_state.and_then(|step_state| step_state.finished_at.clone()),
            "error": step_state.and_then(|step_state| step_state.error.as_ref()).map(|error| json!({
                "code": error.code, "message": error.message, "causes": error.causes, "hint": error.hint,
                "residue": text::leftover(error.leftover), "request_id": error.request_id,
            })),
        });
        if !step.enabled {
            document["enabled"] = false.into();
        }
        document
    });
    let certificate = status.facts.certificate.as_ref().map(|certificate| {
        let mut shown = json!({
            "thumbprint": certificate.thumbprint_sha1,
            "not_after": certificate.not_after.to_string(),
            "expires_in_days": days_left(certificate.not_after, status.now),
            "version": certificate.version,
            "names": certificate.names,
            "secret_id": certificate.secret_id,
            "self_signed": certificate.self_signed,
        });
        if let Some(directory) = &certificate.acme {
            shown["acme"] = directory.clone().into();
        }
        shown
    });
    let known = |id: &str| status.steps.iter().any(|step| step.id == id);
    let left_behind =
        status.journal_state.0.iter().filter(|(step, step_state)| step_state.owned && !known(step));
    let left_behind =
        left_behind.map(|(step, step_state)| json!({ "step": step, "output": step_state.output, "named": step_state.planned_name }));
    let domain = &status.facts.domain;
    let dns = &status.facts.dns;
    let records = dns.records.iter().chain(&dns.outside);
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
pub fn text(status: &Status<'_>, program: &str, style: Styler) -> String {
    let widest = status.steps.iter().map(|step| step.id.len()).max().unwrap_or(0);
    let row = |step: &StepInfo| {
        let step_state = status.journal_state.step_state(step.id);
        let name = text::name(step.id);
        let (glyph, detail) = match step_state {
            _ if !step.enabled => {
                (style.dim("·"), "switched off, and created earlier; down deletes it".to_owned())
            }
            Some(step_state) if step_state.state == StepStatus::Ready => {
                let how = step_state.how.map(text::how).unwrap_or_default();
                let when = step_state.finished_at.as_deref().map(minutes).unwrap_or_default();
                (style.good("✓"), format!("{how:<8} {when}  {}", text::subject(&step.title, &name)))
            }
            Some(step_state) if step_state.state == StepStatus::Failed => {
                let error = step_state.error.as_ref();
                let why =
                    error.map(|error| format!("failed to {}", error.message)).unwrap_or("failed".into());
                (style.bad("✗"), why)
            }
            Some(step_state) if step_state.state == StepStatus::InProgress => {
                (style.busy("~"), format!("in progress, attempt {}", step_state.attempts))
            }
            _ => (style.dim("·"), "not started".to_owned()),
        };
        text::cut(&format!(" {glyph} {name:<widest$}  {detail}"), 80).trim_end().to_owned()
    };
    let rows: Vec<String> = self::shown(status).into_iter().map(row).collect();
    let mut parts =
        vec![heading(status, "From the journal; the cloud was not queried.", style), rows.join("\n")];
    let shown = super::summary::facts(status.facts);
    if !shown.is_empty() {
        parts.push(shown);
    }
    parts.extend(expiry::warning(status.facts.certificate.as_ref(), program, status.now, style));
    let unknown_steps = super::teardown_preview::unknown_steps(status.steps, status.journal_state);
    if !unknown_steps.is_empty() {
        parts.push(format!(
            "Created by landfall, but this version of landfall has no step for it:\n{}",
            unknown_steps.join("\n")
        ));
    }
    let mut enabled = status.steps.iter().filter(|step| step.enabled);
    let ready = enabled.all(|step| state(status.journal_state.step_state(step.id)) == "ready");
    if !ready {
        parts.push(format!("Resume: {program} up"));
    }
    parts.join("\n\n")
}

/// Returns the first lines: the environment and the source of the data.
pub fn heading(status: &Status<'_>, source: &str, style: Styler) -> String {
    let EnvironmentKey { cloud, subscription, environment } = status.key;
    let cloud = if cloud == "sim" { "simulated cloud" } else { "Azure" };
    let first = style.strong(&format!("landfall status · {environment} · {cloud}"));
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

    fn journal_state() -> JournalState {
        let mut journal_state = JournalState::default();
        let mut record = |step: &str, state, how, owned| {
            let mut step_state = StepState::default();
            step_state.state = state;
            step_state.how = how;
            step_state.owned = owned;
            step_state.attempts = 2;
            step_state.finished_at = how.map(|_| "2026-11-23T09:31:02.114Z".to_owned());
            step_state.error = (state == StepStatus::Failed).then(fixture::error);
            journal_state.0.insert(step.to_owned(), step_state);
        };
        record("preflight", StepStatus::Ready, Some(How::Found), false);
        record("resource-group", StepStatus::Ready, Some(How::Created), true);
        record("certificate", StepStatus::InProgress, None, true);
        record("cluster-ready", StepStatus::Failed, None, false);
        journal_state
    }

    fn shown(show: impl Fn(&Status<'_>) -> String) -> String {
        let key = EnvironmentKey {
            cloud: "sim".into(),
            subscription: "00000000-0000-0000-0000-000000000001".into(),
            environment: "default".into(),
        };
        let (steps, journal_state, facts) = (fixture::steps(), journal_state(), summary::tests::facts());
        let now = "2027-11-15T12:00:00Z".parse().unwrap();
        show(&Status { key: &key, steps: &steps[..6], journal_state: &journal_state, facts: &facts, now })
    }

    #[test]
    fn the_page() {
        insta::assert_snapshot!(shown(|status| text(status, "landfall", Styler::PLAIN)), @"
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
                let (mut steps, mut journal_state) = (status.steps.to_vec(), status.journal_state.clone());
                steps[2].enabled = false;
                journal_state.0.entry("key-vault".into()).or_default().owned = owned;
                text(
                    &Status { steps: &steps, journal_state: &journal_state, ..*status },
                    "landfall",
                    Styler::PLAIN,
                )
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
