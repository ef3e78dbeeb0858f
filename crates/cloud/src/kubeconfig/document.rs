//! A parsed kubeconfig: its contents, and the contents after a change.

use serde_json::{Map, Value, json};

use super::encoding::split_mark;
use super::{Added, CURRENT, KubeconfigError, SECTIONS, sign_in_program};
use crate::yaml;

/// A parsed kubeconfig: a mapping, with nothing lost.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Document(Value);

/// The three entries to add, each as it stands in its list.
pub(super) struct Entries {
    pub cluster: String,
    pub user: String,
    pub context: String,
    items: [Value; 3],
}

impl Entries {
    /// Returns section, name and entry, in the order of the sections.
    pub fn each(&self) -> [(&'static str, &str, &Value); 3] {
        let names = [&self.cluster, &self.context, &self.user];
        [0, 1, 2].map(|n| (SECTIONS[n], names[n].as_str(), &self.items[n]))
    }
}

impl Document {
    /// Parses a text; an empty text is an empty mapping.
    pub fn parse(text: &str) -> Result<Document, KubeconfigError> {
        let value = yaml::read(split_mark(text).1)
            .map_err(|mistake| KubeconfigError::Unreadable { line: mistake.line, why: mistake.message })?;
        let why = |why: &str| KubeconfigError::Unreadable { line: None, why: why.to_owned() };
        match value {
            Value::Null => Ok(Document(Value::Object(Map::new()))),
            Value::Object(ref fields) => {
                let is_list = |section: &&str| {
                    fields.get(*section).is_none_or(|list| list.is_null() || list.is_array())
                };
                let is_text = |current: &Value| current.is_null() || current.is_string();
                match SECTIONS.iter().find(|section| !is_list(section)) {
                    Some(section) => Err(why(&format!("{section} is not a list"))),
                    // It would be lost when landfall's value replaces it.
                    None if !fields.get(CURRENT).is_none_or(is_text) => {
                        Err(why(&format!("{CURRENT} is not a string")))
                    }
                    None => Ok(Document(value)),
                }
            }
            _ => Err(why("it is not a mapping")),
        }
    }

    pub fn value(&self) -> &Value {
        &self.0
    }

    fn fields(&mut self) -> &mut Map<String, Value> {
        self.0.as_object_mut().expect("parse lets mappings only through")
    }

    /// Returns whether the text was empty.
    pub fn is_nothing(&self) -> bool {
        self.0.as_object().is_some_and(Map::is_empty)
    }

    /// Returns whether the document contains nothing but what every kubeconfig has.
    pub fn is_skeleton(&self) -> bool {
        let empty = |value: &Value| match value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            _ => false,
        };
        let fields = self.0.as_object().into_iter().flatten();
        fields.into_iter().all(|(key, value)| matches!(key.as_str(), "apiVersion" | "kind") || empty(value))
    }

    /// Returns the text if parsing it yields this document.
    pub fn is_written_as(&self, text: &str) -> Option<String> {
        (Document::parse(text).ok()?.0 == self.0).then(|| text.to_owned())
    }

    /// Starts an empty document with what every kubeconfig has.
    pub fn begin(&mut self) {
        self.0 = json!({"apiVersion": "v1", "kind": "Config", "preferences": {}});
    }

    pub fn current_context(&self) -> Option<&str> {
        self.0[CURRENT].as_str()
    }

    /// Returns the index of an entry in its list.
    pub fn place(&self, section: &str, name: &str) -> Option<usize> {
        self.0[section].as_array()?.iter().position(|item| item["name"] == name)
    }

    fn find(&self, section: &str, name: &str) -> Option<&Value> {
        self.place(section, name).map(|place| &self.0[section][place])
    }

    /// Returns the target of a context: the cluster and the user, without their names.
    pub fn resolve(&self, context: &str) -> Option<(&Value, &Value)> {
        let context = &self.find("contexts", context)?["context"];
        let cluster = self.find("clusters", context["cluster"].as_str()?)?;
        let user = self.find("users", context["user"].as_str()?)?;
        Some((&cluster["cluster"], &user["user"]))
    }

    /// Converts the entries of another kubeconfig's current context for this one.
    pub fn entries_from(&self, other: &Document, context: &str) -> Result<Entries, KubeconfigError> {
        let lacks = |what| KubeconfigError::Incomplete { what };
        let current = other.current_context().ok_or_else(|| lacks("current context"))?;
        let found = other.find("contexts", current).ok_or_else(|| lacks("entry of its current context"))?;
        let named = |key: &str| found["context"][key].as_str().unwrap_or_default();
        let cluster = other.find("clusters", named("cluster")).ok_or_else(|| lacks("cluster"))?;
        let user = other.find("users", named("user")).ok_or_else(|| lacks("user"))?;

        if let Some(key) = outside(cluster, user) {
            return Err(KubeconfigError::Outside { key });
        }
        let cluster_name = self.free_name("cluster", named("cluster"), context);
        let user_name = self.free_name("user", named("user"), context);
        let mut inner = match self.find("contexts", context) {
            Some(known) => known["context"].as_object().cloned().unwrap_or_default(),
            None => found["context"].as_object().cloned().unwrap_or_default(),
        };
        inner.insert("cluster".to_owned(), cluster_name.clone().into());
        inner.insert("user".to_owned(), user_name.clone().into());
        let mut items = [cluster.clone(), found.clone(), user.clone()];
        items[0]["name"] = cluster_name.clone().into();
        items[1]["name"] = context.into();
        items[1]["context"] = inner.into();
        items[2]["name"] = user_name.clone().into();
        Ok(Entries { cluster: cluster_name, user: user_name, context: context.to_owned(), items })
    }

    /// Finds a name for a cluster or user entry that no other context uses.
    fn free_name(&self, role: &str, name: &str, context: &str) -> String {
        let contexts = self.0["contexts"].as_array();
        let is_used = |name: &str| {
            let mut others = contexts.into_iter().flatten().filter(|other| other["name"] != context);
            others.any(|other| other["context"][role] == name)
        };
        let names = std::iter::once(name.to_owned())
            .chain(std::iter::once(format!("{name}-{context}")))
            .chain((2..).map(|n| format!("{name}-{context}-{n}")));
        names.into_iter().find(|name| !is_used(name)).expect("the names do not end and the contexts do")
    }

    /// Adds entries, replaces those of the same names, and sets their context as current.
    pub fn insert_entries(&mut self, entries: &Entries) {
        for (section, name, item) in entries.each() {
            let place = self.place(section, name);
            let list = self.fields().entry(section).or_insert(Value::Null);
            if list.is_null() {
                *list = json!([]);
            }
            match (place, list.as_array_mut()) {
                (Some(place), Some(list)) => list[place] = item.clone(),
                (None, Some(list)) => list.push(item.clone()),
                (_, None) => {}
            }
        }
        let context = entries.context.clone();
        self.fields().insert(CURRENT.to_owned(), context.into());
    }

    /// Removes entries. `restored` contains the former values of replaced keys, the current context among
    /// them.
    pub fn remove_entries(&mut self, added: &Added, restored: &[(&str, Option<Value>)]) {
        let replaced_lines =
            |key: &str| restored.iter().find(|(known, _)| *known == key).map(|(_, value)| value.clone());
        for (section, name) in added.names() {
            let Some(list) = self.fields().get_mut(section).and_then(Value::as_array_mut) else { continue };
            list.retain(|item| item["name"] != name);
            if list.is_empty() {
                self.restore(section, replaced_lines(section));
            }
        }
        if self.current_context() == Some(added.context.as_str()) {
            self.restore(CURRENT, Some(replaced_lines(CURRENT).flatten()));
        }
    }

    /// Restores the value of a key: `None` is unknown, so it changes nothing; `Some(None)` means the key did
    /// not exist.
    fn restore(&mut self, key: &str, before: Option<Option<Value>>) {
        match before {
            Some(Some(value)) => {
                self.fields().insert(key.to_owned(), value);
            }
            Some(None) => {
                self.fields().shift_remove(key);
            }
            None => {}
        }
    }
}

/// Returns the key by which a cluster or a user refers outside the kubeconfig: to a file of this machine, or
/// to a program.
///
/// A cluster's kubeconfig is self-contained. A path in it would send a file of this machine to the server. The one
/// program that it may name is the sign-in of AKS, which the user's kubectl starts, and landfall never does.
fn outside(cluster: &Value, user: &Value) -> Option<&'static str> {
    const CLUSTER: [&str; 1] = ["certificate-authority"];
    const USER: [&str; 5] = ["client-certificate", "client-key", "tokenFile", "exec", "auth-provider"];
    let is_set =
        |value: &Value, key: &str| value.get(key).is_some_and(|value| !value.is_null() && value != "");
    let of_cluster = CLUSTER.into_iter().find(|key| is_set(&cluster["cluster"], key));
    let is_outside = |key: &&str| {
        is_set(&user["user"], key) && !(*key == "exec" && sign_in_program::is_of_aks(&user["user"]["exec"]))
    };
    of_cluster.or_else(|| USER.into_iter().find(is_outside))
}

impl Added {
    /// Returns section and name of each added entry.
    pub(super) fn names(&self) -> [(&'static str, &str); 3] {
        [(SECTIONS[0], &self.cluster), (SECTIONS[1], &self.context), (SECTIONS[2], &self.user)]
    }
}
