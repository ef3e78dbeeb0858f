//! The volumes of a pod as files: ConfigMaps, Secrets, the fields of the pod and the tokens of its service account.
//!
//! Every other volume is an empty folder.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path};

use serde_json::{Value, json};

use super::variables;
use crate::aks::object::{list, namespace, text};
use crate::clock::SimTime;
use crate::kubernetes::Store;

/// The default lifetime of a token in seconds.
const TOKEN_LIFETIME: i64 = 3_600;
/// The mode of files without one.
const MODE: u32 = 0o644;

/// A file of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    pub content: Vec<u8>,
    pub mode: u32,
}

/// A volume: its files, by their path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Volume {
    pub name: String,
    pub files: BTreeMap<String, File>,
}

/// The volumes of a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Volumes {
    pub all: Vec<Volume>,
    /// The time at which the tokens are renewed, if there are any.
    pub renew_at: Option<SimTime>,
}

impl Volumes {
    /// Reads the volumes of a pod, and issues its tokens.
    ///
    /// # Errors
    /// The kubelet's message about a missing object.
    pub fn of(store: &mut Store, pod: &Value, now: SimTime) -> Result<Self, String> {
        let mut volumes = Self::default();
        for volume in list(pod, "/spec/volumes") {
            let mut files = BTreeMap::new();
            for source in ["configMap", "secret", "downwardAPI"] {
                if let Some(source_spec) = volume.get(source) {
                    let mode = mode(&source_spec["defaultMode"]).unwrap_or(MODE);
                    files.extend(source_files(store, pod, source, source_spec, mode)?);
                }
            }
            let mode = mode(&volume["projected"]["defaultMode"]).unwrap_or(MODE);
            for part in list(volume, "/projected/sources") {
                for source in ["configMap", "secret", "downwardAPI"] {
                    if let Some(source_spec) = part.get(source) {
                        files.extend(source_files(store, pod, source, source_spec, mode)?);
                    }
                }
                if let Some(wanted) = part.get("serviceAccountToken") {
                    let (token, renew_at) = token(store, pod, wanted, now)?;
                    let file = File { content: token.into_bytes(), mode };
                    files.insert(text(wanted, "/path").to_owned(), file);
                    volumes.renew_at = Some(volumes.renew_at.map_or(renew_at, |known| known.min(renew_at)));
                }
            }
            files.retain(|path, _| is_inside(path));
            volumes.all.push(Volume { name: text(volume, "/name").to_owned(), files });
        }
        Ok(volumes)
    }

    /// Writes the volumes below a folder. A file changes in one step, as the kubelet's do.
    ///
    /// # Errors
    /// The error of the file system.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        for volume in &self.all {
            let root = folder.join(&volume.name);
            fs::create_dir_all(&root)?;
            for (path, file) in &volume.files {
                let path = root.join(path);
                if fs::read(&path).is_ok_and(|content| content == file.content) {
                    continue;
                }
                fs::create_dir_all(path.parent().unwrap_or(&root))?;
                let new = root.join("..new");
                fs::write(&new, &file.content)?;
                fs::set_permissions(&new, fs::Permissions::from_mode(file.mode))?;
                fs::rename(&new, &path)?;
            }
        }
        Ok(())
    }
}

/// Returns whether a path stays below its volume.
fn is_inside(path: &str) -> bool {
    !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

fn mode(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|mode| u32::try_from(mode).ok())
}

fn source_files(
    store: &Store,
    pod: &Value,
    source: &str,
    spec: &Value,
    default_mode: u32,
) -> Result<BTreeMap<String, File>, String> {
    if source == "downwardAPI" {
        let mut files = BTreeMap::new();
        for item in list(spec, "/items") {
            let content = match item.get("resourceFieldRef") {
                Some(reference) => variables::resource_value(pod, &Value::Null, reference)?,
                None => variables::field_value(pod, text(item, "/fieldRef/fieldPath"))?,
            };
            let mode = mode(&item["mode"]).unwrap_or(default_mode);
            files.insert(text(item, "/path").to_owned(), File { content: content.into_bytes(), mode });
        }
        return Ok(files);
    }
    let entries = match source {
        "secret" => variables::secret(store, pod, spec)?,
        _ => variables::config_map(store, pod, spec)?,
    };
    let mut entries = entries.unwrap_or_default();
    let items = list(spec, "/items");
    if items.is_empty() {
        let file = |content| File { content, mode: default_mode };
        return Ok(entries.into_iter().map(|(key, content)| (key, file(content))).collect());
    }
    let mut files = BTreeMap::new();
    for item in items {
        let key = text(item, "/key");
        match entries.remove(key) {
            Some(content) => {
                let mode = mode(&item["mode"]).unwrap_or(default_mode);
                files.insert(text(item, "/path").to_owned(), File { content, mode });
            }
            None if spec["optional"] == json!(true) => {}
            None => return Err(format!("references non-existent {source} key: {key}")),
        }
    }
    Ok(files)
}

/// Issues a token of the pod's service account; returns it with the time of its renewal, at four fifths of its lifetime.
fn token(store: &mut Store, pod: &Value, wanted: &Value, now: SimTime) -> Result<(String, SimTime), String> {
    let account = match text(pod, "/spec/serviceAccountName") {
        "" => "default",
        account => account,
    };
    let Some(found) = store.get("serviceaccounts", namespace(pod), account).cloned() else {
        return Err(format!("failed to fetch token: serviceaccounts {account:?} not found"));
    };
    let seconds = wanted["expirationSeconds"].as_i64().unwrap_or(TOKEN_LIFETIME);
    let audience = match text(wanted, "/audience") {
        "" => store.token_issuer.url().to_owned(),
        audience => audience.to_owned(),
    };
    let token = store.token_issuer.token(&found, &[audience], now, seconds);
    let token = token.ok_or_else(|| "failed to fetch token: no key to sign it".to_owned())?;
    Ok((token, now.plus_ms(seconds.saturating_mul(800))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_become_files_with_their_modes() {
        let (mut store, at) = (Store::new("test"), SimTime(1_795_421_700_000));
        let config =
            json!({"metadata": {"name": "conf", "namespace": "default"}, "data": {"a": "1", "b": "2"}});
        store.put("configmaps", config, "test", at);
        store.put(
            "serviceaccounts",
            json!({"metadata": {"name": "default", "namespace": "default"}}),
            "test",
            at,
        );
        let pod = json!({
            "metadata": {"name": "p", "namespace": "default"},
            "spec": {"volumes": [
                {"name": "all", "configMap": {"name": "conf", "defaultMode": 0o400}},
                {"name": "some", "configMap": {"name": "conf", "items": [
                    {"key": "b", "path": "sub/b.txt"}, {"key": "a", "path": "../outside"},
                ]}},
                {"name": "scratch", "emptyDir": {}},
                {"name": "own", "projected": {"sources": [
                    {"serviceAccountToken": {"audience": "api://x", "expirationSeconds": 1000, "path": "token"}},
                    {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
                ]}},
            ]},
        });
        let volumes = Volumes::of(&mut store, &pod, at).expect("all is there");
        assert_eq!(volumes.renew_at, Some(at.plus_ms(800_000)));
        let folder = tempfile::tempdir().expect("a folder");
        volumes.write(folder.path()).expect("it is written");
        let read = |path: &str| fs::read_to_string(folder.path().join(path)).ok();
        assert_eq!(read("all/a").as_deref(), Some("1"));
        let mode = fs::metadata(folder.path().join("all/a")).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o400);
        assert_eq!(read("some/sub/b.txt").as_deref(), Some("2"));
        assert!(!folder.path().join("outside").exists());
        assert!(folder.path().join("scratch").is_dir());
        assert_eq!(read("own/name").as_deref(), Some("p"));
        let first = read("own/token").expect("a token");
        assert!(store.token_issuer.has_signed(&first));
        let later = Volumes::of(&mut store, &pod, at.plus_ms(800_000)).expect("all is there");
        later.write(folder.path()).expect("it is written");
        assert_ne!(read("own/token"), Some(first), "a renewed token replaces it");
    }

    #[test]
    fn a_missing_object_or_key_is_an_error_unless_it_is_optional() {
        let mut store = Store::new("test");
        store.put("secrets", json!({"metadata": {"name": "s", "namespace": "default"}}), "test", SimTime(0));
        let mut with = |volume: Value| {
            let pod =
                json!({"metadata": {"name": "p", "namespace": "default"}, "spec": {"volumes": [volume]}});
            Volumes::of(&mut store, &pod, SimTime(0))
        };
        assert_eq!(
            with(json!({"name": "v", "secret": {"secretName": "no"}})),
            Err("secret \"no\" not found".into())
        );
        assert!(with(json!({"name": "v", "secret": {"secretName": "no", "optional": true}})).is_ok());
        let why = "references non-existent secret key: k";
        let items = json!([{"key": "k", "path": "k"}]);
        assert_eq!(
            with(json!({"name": "v", "secret": {"secretName": "s", "items": items}})),
            Err(why.into())
        );
    }
}
