//! The only sign-in program that a cluster's kubeconfig may name: `kubelogin`, as AKS writes it for clusters with
//! Entra integration.

use serde_json::Value;

/// The options of `kubelogin get-token` that AKS sets. None of them names a file or a server.
const OPTIONS: [&str; 5] = ["--environment", "--server-id", "--client-id", "--tenant-id", "--login"];
/// The fields of an exec entry that start nothing else and pass nothing else on.
const FIELDS: [&str; 7] =
    ["apiVersion", "args", "command", "env", "installHint", "interactiveMode", "provideClusterInfo"];

/// Returns whether an exec entry is the one of AKS: it starts `kubelogin` from the user's path, without any other
/// option, variable or field.
pub(super) fn is_of_aks(exec: &Value) -> bool {
    let Some(fields) = exec.as_object() else { return false };
    let is_known = fields.keys().all(|key| FIELDS.contains(&key.as_str()));
    let no_variables = exec["env"].is_null() || exec["env"].as_array().is_some_and(Vec::is_empty);
    let version = exec["apiVersion"].as_str().unwrap_or_default();
    is_known
        && no_variables
        && exec["command"] == "kubelogin"
        && version.starts_with("client.authentication.k8s.io/")
        && exec["args"].as_array().is_some_and(|args| are_of_aks(args))
}

fn are_of_aks(args: &[Value]) -> bool {
    let texts: Vec<&str> = args.iter().filter_map(Value::as_str).collect();
    let [first, pairs @ ..] = texts.as_slice() else { return false };
    let is_plain = |value: &str| value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let is_option = |pair: &[&str]| match pair {
        [option, value] => OPTIONS.contains(option) && is_plain(value) && !value.starts_with('-'),
        _ => false,
    };
    texts.len() == args.len() && *first == "get-token" && pairs.chunks(2).all(is_option)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of_aks() -> Value {
        json!({
            "apiVersion": "client.authentication.k8s.io/v1beta1", "command": "kubelogin", "env": null,
            "args": ["get-token", "--environment", "AzurePublicCloud", "--login", "devicecode", "--server-id",
                "6dae42f8-4368-4678-94ff-3960e28e3630"],
            "interactiveMode": "IfAvailable", "provideClusterInfo": false,
        })
    }

    #[test]
    fn only_the_program_of_aks_is_accepted_and_only_with_its_own_options() {
        assert!(is_of_aks(&of_aks()));
        for (field, value) in [
            ("command", json!("/tmp/kubelogin")),
            ("command", json!("sh")),
            ("env", json!([{ "name": "AZURE_AUTHORITY_HOST", "value": "https://evil.example" }])),
            ("args", json!(["get-token", "--client-certificate", "cert"])),
            ("args", json!(["get-token", "--login", "/etc/passwd"])),
            ("args", json!(["convert-kubeconfig", "--login", "devicecode"])),
            ("args", json!(["get-token", "--login"])),
            ("args", json!([])),
            ("apiVersion", json!("v1")),
            ("other", json!(1)),
        ] {
            let mut exec = of_aks();
            exec[field] = value.clone();
            assert!(!is_of_aks(&exec), "{field} = {value}");
        }
        assert!(!is_of_aks(&json!("kubelogin")));
    }
}
