//! The settings of an environment as a pod has them: without secrets, without what belongs to the person's machine, and
//! with the public files that they name beside the list.

use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// The settings that name a public file, which goes beside the list.
const PUBLIC_FILES: [&[&str]; 3] =
    [&["endpoints", "ca_file"], &["state", "ca_file"], &["certificate", "acme", "root"]];
/// The settings that name a file or a folder which the pod must have otherwise.
const OTHER_FILES: [&[&str]; 3] =
    [&["certificate", "pfx"], &["certificate", "acme", "eab_key_file"], &["manifests"]];
/// The settings of the person's machine.
const LOCAL: [&[&str]; 2] = [&["kubeconfig"], &["auth"]];
/// The settings with a secret, and the variables that replace them.
const SECRETS: [(&[&str], &str); 2] = [
    (&["certificate", "password"], "SSL_PFX_PASSWORD"),
    (&["certificate", "acme", "eab_key"], "ACME_EAB_KEY"),
];
/// The files beside a list, by name.
pub type PublicFiles = BTreeMap<String, String>;

/// The conversion of settings for pods.
pub(super) struct Export<'a> {
    /// The folder of the fleet file.
    base: &'a Path,
    /// The variables that come from Secrets.
    given: &'a [&'a str],
    /// The files beside the list.
    pub(super) files: PublicFiles,
    /// What no pod would have.
    pub(super) mistakes: BTreeSet<String>,
}

impl<'a> Export<'a> {
    /// Creates a conversion of settings in a folder; `given` are the variables that come from Secrets.
    pub(super) fn new(base: &'a Path, given: &'a [&'a str]) -> Self {
        Self { base, given, files: BTreeMap::new(), mistakes: BTreeSet::new() }
    }

    /// Returns the settings as a pod reads them.
    pub(super) fn exported(&mut self, table: &Map<String, Value>) -> Map<String, Value> {
        let mut values = table.clone();
        for path in LOCAL {
            remove(&mut values, path);
        }
        for (path, variable) in SECRETS {
            if remove(&mut values, path).is_some() && !self.given.contains(&variable) {
                self.mistakes.insert(format!(
                    "{} is a secret: no manifest contains it, and no Secret gives {variable}",
                    path.join(".")
                ));
            }
        }
        for path in PUBLIC_FILES {
            if let Some(Value::String(name)) = find(&mut values, path) {
                self.add(path, name);
            }
        }
        for path in OTHER_FILES {
            if let Some(Value::String(name)) = find(&mut values, path)
                && !name.starts_with('/')
            {
                self.mistakes.insert(format!(
                    "{} is \"{name}\", relative to the fleet file, which no pod has",
                    path.join(".")
                ));
            }
        }
        values
    }

    /// Puts a public file beside the list, and replaces its path.
    fn add(&mut self, path: &[&str], name: &mut String) {
        let is_text =
            |text: &String| text.contains("-----BEGIN CERTIFICATE-----") && !text.contains("PRIVATE KEY");
        match std::fs::read_to_string(self.base.join(&*name)).ok().filter(is_text) {
            Some(content) => {
                let known =
                    self.files.iter().find(|(_, known)| **known == content).map(|(name, _)| name.clone());
                let file = known.unwrap_or_else(|| format!("authorities-{}.pem", self.files.len() + 1));
                self.files.insert(file.clone(), content);
                *name = file;
            }
            None => {
                let path = path.join(".");
                self.mistakes.insert(format!(
                    "{path} is \"{name}\", which is not a readable file of certificates only"
                ));
            }
        }
    }
}

fn find<'a>(values: &'a mut Map<String, Value>, path: &[&str]) -> Option<&'a mut Value> {
    let (first, rest) = path.split_first()?;
    let value = values.get_mut(*first)?;
    match rest {
        [] => Some(value),
        rest => find(value.as_object_mut()?, rest),
    }
}

fn remove(values: &mut Map<String, Value>, path: &[&str]) -> Option<Value> {
    let (last, tables) = path.split_last()?;
    match tables {
        [] => values.shift_remove(*last),
        tables => find(values, tables)?.as_object_mut()?.shift_remove(*last),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn what_a_pod_cannot_have_is_a_mistake_and_what_it_must_not_have_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), "-----BEGIN CERTIFICATE-----\n").unwrap();
        std::fs::write(
            folder.path().join("key.pem"),
            "-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n",
        )
        .unwrap();
        let export = |values: Value, given: &[&str]| {
            let mut export =
                Export { base: folder.path(), given, files: BTreeMap::new(), mistakes: BTreeSet::new() };
            let values = export.exported(&object(values));
            (Value::Object(values), export.files.len(), export.mistakes.into_iter().collect::<Vec<_>>())
        };
        let (values, files, mistakes) = export(
            json!({
                "auth": "cli", "kubeconfig": "kubeconfig", "domain": "a.example.com", "manifests": "/manifests",
                "endpoints": { "ca_file": "ca.pem" }, "state": { "ca_file": "ca.pem" },
                "certificate": { "password": "planted", "pfx": "/secrets/site.pfx" },
            }),
            &["SSL_PFX_PASSWORD"],
        );
        let expected = json!({
            "domain": "a.example.com", "manifests": "/manifests",
            "endpoints": { "ca_file": "authorities-1.pem" }, "state": { "ca_file": "authorities-1.pem" },
            "certificate": { "pfx": "/secrets/site.pfx" },
        });
        assert_eq!((values, files, mistakes), (expected, 1, Vec::new()));
        let (_, files, mistakes) = export(
            json!({
                "manifests": "manifests", "endpoints": { "ca_file": "key.pem" },
                "certificate": { "password": "planted", "pfx": "site.pfx" },
            }),
            &[],
        );
        assert_eq!((files, mistakes.len()), (0, 4), "{mistakes:?}");
        assert!(mistakes.iter().all(|mistake| !mistake.contains("planted")), "{mistakes:?}");
    }
}
