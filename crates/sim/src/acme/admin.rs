//! The part of the admin API about the CAs.

use serde_json::{Map, Value, json};

use super::ca::CaName;
use crate::state::CloudState;

/// Returns the settings of the CAs and what they have.
pub(crate) fn view(state: &CloudState) -> Value {
    let each = CaName::ALL.into_iter().map(|ca| {
        let server = state.acme.get(ca);
        let bindings: Vec<&String> = server.settings.bindings.keys().collect();
        let mut settings = json!(server.settings);
        // The keys are secret; the key ids are not.
        settings["bindings"] = json!(bindings);
        let view = json!({
            "directory": format!("{}/directory", state.origin(ca.host())),
            "root": format!("{}/root.pem", state.origin(ca.host())),
            "settings": settings,
            "paused": server.paused,
            "accounts": server.accounts.len(),
            "orders": server.orders.len(),
            "certificates": server.certificates.len(),
        });
        (ca.name().to_owned(), view)
    });
    Value::Object(each.collect::<Map<_, _>>())
}

/// Changes the settings or the paused names of a CA.
///
/// # Errors
/// The text says what is wrong.
pub(crate) fn change(state: &mut CloudState, body: &Value) -> Result<(), String> {
    let ca = body["ca"].as_str().and_then(CaName::named);
    let ca = ca.ok_or("\"ca\" must be production or staging")?;
    let server = state.acme.get_mut(ca);
    let mut settings = json!(server.settings);
    for (name, value) in body["settings"].as_object().into_iter().flatten() {
        settings[name] = value.clone();
    }
    let settings =
        serde_json::from_value(settings).map_err(|error| format!("failed to read the settings: {error}"))?;
    let paused = body.get("paused").map(|paused| serde_json::from_value(paused.clone()));
    let paused = paused.transpose().map_err(|error| format!("failed to read the paused names: {error}"))?;
    server.settings = settings;
    if let Some(paused) = paused {
        server.paused = paused;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_cloud::TestCloud;

    #[test]
    fn settings_are_changed_by_name_and_keys_are_not_shown() {
        let mut cloud = TestCloud::new();
        let body = json!({
            "ca": "staging", "paused": ["x.example.com"],
            "settings": { "bad_nonce_percent": 0, "bindings": { "kid-1": "c2VjcmV0" } },
        });
        change(&mut cloud.state, &body).unwrap();
        let view = view(&cloud.state);
        assert_eq!(view["staging"]["settings"]["bad_nonce_percent"], 0);
        assert_eq!(view["staging"]["settings"]["bindings"], json!(["kid-1"]));
        assert_eq!(view["staging"]["paused"], json!(["x.example.com"]));
        assert_eq!(view["production"]["settings"]["bad_nonce_percent"], 5);
        for wrong in [json!({}), json!({ "ca": "staging", "settings": { "unknown": 1 } })] {
            assert!(change(&mut cloud.state, &wrong).is_err());
        }
    }
}
