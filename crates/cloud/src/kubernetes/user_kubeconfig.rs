//! One context of the user's own kubeconfig files, as kubectl would use it.
//!
//! The result is a kubeconfig of its own: files that it names are read, and a sign-in program is run. Both is only for the
//! user's files: a kubeconfig that a server sends may do neither.
//! <https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/>

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::into_api_error::invalid_kubeconfig;
use crate::error::ApiError;
use crate::kubeconfig;
use crate::secret::Secret;
use crate::yaml;

/// The keys that name a file, and the keys that hold its content instead.
const FILES: [(&str, &str); 3] = [
    ("certificate-authority", "certificate-authority-data"),
    ("client-certificate", "client-certificate-data"),
    ("client-key", "client-key-data"),
];

/// A named entry of a kubeconfig, and the folder of its file.
struct Entry {
    value: Value,
    folder: PathBuf,
}

/// Returns a context of these files with everything that it needs; `None` is the current context. As with kubectl, the
/// first file that has an entry wins, and paths are relative to the file that names them.
///
/// # Errors
/// `SignIn` if there is no such context, if a file cannot be read, or if the sign-in program fails. No error contains a
/// part of a credential.
pub fn user_context(files: &[PathBuf], context: Option<&str>) -> Result<Secret<String>, ApiError> {
    let mut documents = Vec::new();
    for path in files {
        let read = kubeconfig::read(path).map_err(|error| refused(&format!("{error}")))?;
        let Some(content) = read else { continue };
        let document = yaml::read(&content.text).map_err(|parse| {
            let line = parse.line.map(|line| format!(" (line {line})")).unwrap_or_default();
            // A message of the parser may quote a credential.
            refused(&format!("{} cannot be read as YAML{line}", path.display()))
        })?;
        documents.push((document, path.parent().unwrap_or(Path::new("")).to_owned()));
    }
    if documents.is_empty() {
        let shown: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
        return Err(refused(&format!("{} does not exist", shown.join(", "))));
    }
    let current = || {
        let named = |document: &Value| {
            document["current-context"].as_str().filter(|name| !name.is_empty()).map(str::to_owned)
        };
        documents.iter().find_map(|(document, _)| named(document))
    };
    let name =
        context.map(str::to_owned).or_else(current).ok_or_else(|| refused("it has no current context"))?;
    let find = |list: &str, item: &str, name: &str| {
        documents.iter().find_map(|(document, folder)| {
            let entries = document[list].as_array()?;
            let found = entries.iter().find(|entry| entry["name"] == name)?;
            Some(Entry { value: found[item].clone(), folder: folder.clone() })
        })
    };
    let context = find("contexts", "context", &name)
        .ok_or_else(|| refused(&format!("it has no context \"{name}\"")))?
        .value;
    let named = |list: &str, item: &str| {
        let wanted = context[item].as_str().unwrap_or_default();
        find(list, item, wanted)
            .ok_or_else(|| refused(&format!("the {item} of context \"{name}\" is missing")))
    };
    let cluster = complete(named("clusters", "cluster")?)?;
    let user = match context["user"].as_str() {
        Some(_) => signed_in(complete(named("users", "user")?)?)?,
        None => json!({}),
    };
    let whole = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{ "name": "c", "cluster": cluster }],
        "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "c" } }],
        "users": [{ "name": "c", "user": user }],
    });
    Ok(Secret::new(whole.to_string()))
}

fn refused(why: &str) -> ApiError {
    let mut error = invalid_kubeconfig(why, None);
    error.message = format!("use the kubeconfig of the management cluster: {why}");
    error
}

/// Replaces the files that an entry names by their contents.
fn complete(entry: Entry) -> Result<Value, ApiError> {
    let Entry { mut value, folder } = entry;
    let Some(fields) = value.as_object_mut() else { return Ok(value) };
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read(&path).map_err(|error| refused(&format!("{} cannot be read: {error}", path.display())))
    };
    for (file, data) in FILES {
        if let Some(Value::String(name)) = fields.shift_remove(file)
            && !fields.contains_key(data)
        {
            fields.insert(data.to_owned(), BASE64_STANDARD.encode(read(&name)?).into());
        }
    }
    if let Some(Value::String(name)) = fields.shift_remove("tokenFile") {
        // As with client-go, the file wins over a token.
        let token = String::from_utf8_lossy(&read(&name)?).trim().to_owned();
        fields.insert("token".to_owned(), token.into());
    }
    Ok(value)
}

/// Runs the sign-in program of a user, and returns the user with the credential that it prints.
/// <https://kubernetes.io/docs/reference/config-api/client-authentication.v1/>
fn signed_in(mut user: Value) -> Result<Value, ApiError> {
    let exec = user["exec"].take();
    let Some(program) = exec["command"].as_str() else {
        if let Some(fields) = user.as_object_mut() {
            fields.shift_remove("exec");
        }
        return Ok(user);
    };
    let texts = |list: &Value| -> Vec<String> {
        list.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
    };
    let variables = exec["env"].as_array().into_iter().flatten().filter_map(|variable| {
        Some((variable["name"].as_str()?.to_owned(), variable["value"].as_str()?.to_owned()))
    });
    let info = json!({ "apiVersion": exec["apiVersion"], "kind": "ExecCredential", "spec": { "interactive": false } });
    let output = Command::new(program)
        .args(texts(&exec["args"]))
        .envs(variables)
        .env("KUBERNETES_EXEC_INFO", info.to_string())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| refused(&format!("the sign-in program {program} does not run: {error}")))?;
    if !output.status.success() {
        return Err(refused(&format!("the sign-in program {program} failed ({})", output.status)));
    }
    let credential: Value = serde_json::from_slice(&output.stdout)
        .map_err(|_| refused(&format!("the sign-in program {program} printed no ExecCredential")))?;
    let status = &credential["status"];
    let encoded = |key: &str| status[key].as_str().map(|pem| BASE64_STANDARD.encode(pem));
    let mut signed = json!({});
    if let Some(token) = status["token"].as_str() {
        signed["token"] = token.into();
    }
    if let (Some(certificate), Some(key)) = (encoded("clientCertificateData"), encoded("clientKeyData")) {
        signed["client-certificate-data"] = certificate.into();
        signed["client-key-data"] = key.into();
    }
    match signed.as_object().is_some_and(serde_json::Map::is_empty) {
        true => Err(refused(&format!("the sign-in program {program} printed no credential"))),
        false => Ok(signed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(files: &[(&str, &str)], name: Option<&str>) -> Result<Value, String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let paths: Vec<PathBuf> = files
            .iter()
            .filter(|(name, _)| name.ends_with("yaml"))
            .map(|(name, _)| folder.path().join(name))
            .collect();
        let found = user_context(&paths, name).map_err(|error| error.message.clone())?;
        Ok(serde_json::from_str(found.expose()).unwrap())
    }

    const FIRST: &str = "current-context: one\ncontexts: [{name: one, context: {cluster: one, user: one}}]\n\
                         clusters: [{name: one, cluster: {server: 'https://a:1', certificate-authority: ca.crt}}]\n\
                         users: [{name: one, user: {tokenFile: token}}]\n";

    #[test]
    fn files_are_read_from_the_folder_of_the_kubeconfig() {
        let files = [("config.yaml", FIRST), ("ca.crt", "pem"), ("token", " secret\n")];
        let found = context(&files, None).unwrap();
        assert_eq!(found["users"][0]["user"], json!({ "token": "secret" }));
        let cluster = json!({ "server": "https://a:1", "certificate-authority-data": "cGVt" });
        assert_eq!(found["clusters"][0]["cluster"], cluster);
        let missing = context(&files[..2], None).unwrap_err();
        assert!(missing.contains("token") && missing.contains("management cluster"), "{missing}");
    }

    #[test]
    fn a_context_of_a_later_file_is_found_and_an_unknown_one_is_refused() {
        let second = FIRST.replace("one", "two").replace("tokenFile: token", "token: t");
        let files = [("a.yaml", FIRST), ("b.yaml", second.as_str()), ("ca.crt", "pem")];
        let found = context(&files, Some("two")).unwrap();
        assert_eq!(found["users"][0]["user"]["token"], "t");
        assert!(context(&files, Some("three")).unwrap_err().contains("no context \"three\""));
        assert!(context(&[], None).unwrap_err().contains("does not exist"));
    }

    #[cfg(unix)]
    #[test]
    fn a_sign_in_program_gives_the_token() {
        let user = |script: &str| {
            format!(
                "current-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
                 clusters: [{{name: c, cluster: {{server: 'https://a:1'}}}}]\nusers: [{{name: u, user: {{exec: {{\
                 apiVersion: client.authentication.k8s.io/v1, command: sh, args: ['-c', '{script}'], \
                 env: [{{name: MINE, value: t}}]}}}}}}]\n"
            )
        };
        let prints = user("printf \"{\\\"status\\\":{\\\"token\\\":\\\"$MINE\\\"}}\"");
        let found = context(&[("a.yaml", &prints)], None).unwrap();
        assert_eq!(found["users"][0]["user"], json!({ "token": "t" }));
        for (script, expected) in [("exit 3", "failed"), ("echo no", "printed no ExecCredential")] {
            let refused = context(&[("a.yaml", &user(script))], None).unwrap_err();
            assert!(refused.contains(expected), "{refused}");
        }
    }
}
