//! Parsing of a SecretProviderClass, as in the Azure provider.

use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Spanned;

use crate::aks::object::text;

/// The parameters of a class: vault, identity and objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Class {
    pub vault: String,
    pub tenant: String,
    pub identity: Identity,
    pub objects: Vec<ObjectSpec>,
}

/// The identity of the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Identity {
    /// A managed identity of the node's scale set, by client id; empty if the class has none.
    Node(String),
    /// A workload identity of the pod's ServiceAccount, by client id.
    Workload(String),
    /// A service principal; the volume must reference its Secret.
    Principal,
}

/// An object to fetch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ObjectSpec {
    pub object_name: String,
    pub object_alias: String,
    pub object_version: String,
    pub object_type: String,
    pub object_format: String,
    pub object_encoding: String,
}

impl ObjectSpec {
    /// Returns the name of its file.
    pub fn file(&self) -> &str {
        if self.object_alias.is_empty() { &self.object_name } else { &self.object_alias }
    }

    /// Returns the requested version; `None` for the current one.
    pub fn version(&self) -> Option<&str> {
        match self.object_version.as_str() {
            "" | "latest" => None,
            version => Some(version),
        }
    }
}

/// The structure of `parameters.objects`. The items must be strings, but only the provider checks this.
#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    array: Vec<Spanned<Value>>,
}

/// Parses a class.
///
/// # Errors
/// The provider's error message.
pub(super) fn read(class: &Value) -> Result<Class, String> {
    let parameter = |name: &str| text(class, &format!("/spec/parameters/{name}")).trim().to_owned();
    let is_true = |name: &str| parameter(name).eq_ignore_ascii_case("true");
    let vault = parameter("keyvaultName");
    if vault.is_empty() {
        return Err("keyvaultName is not set".into());
    }
    let tenant = ["tenantId", "tenantID"].map(parameter).into_iter().find(|tenant| !tenant.is_empty());
    let Some(tenant) = tenant else { return Err("tenantId is not set".into()) };
    if is_true("useVMManagedIdentity") && is_true("usePodIdentity") {
        return Err("cannot enable both pod identity and user-assigned managed identity".into());
    }
    let identity = if is_true("useVMManagedIdentity") || is_true("usePodIdentity") {
        Identity::Node(parameter("userAssignedIdentityID"))
    } else if !parameter("clientID").is_empty() {
        Identity::Workload(parameter("clientID"))
    } else {
        Identity::Principal
    };
    let objects = text(class, "/spec/parameters/objects");
    if objects.trim().is_empty() {
        return Err("objects is not set".into());
    }
    Ok(Class { vault, tenant, identity, objects: read_objects(objects)? })
}

fn read_objects(yaml: &str) -> Result<Vec<ObjectSpec>, String> {
    let listed: Listed = serde_saphyr::from_str(yaml)
        .map_err(|error| unmarshal_error(&format!("yaml: {}", one_line(&error))))?;
    let mut wanted = Vec::new();
    for (index, item) in listed.array.iter().enumerate() {
        let item = match &item.value {
            Value::String(item) => item.clone(),
            Value::Null => String::new(),
            Value::Object(_) => return Err(not_a_string(item.referenced.line(), "!!map")),
            Value::Array(_) => return Err(not_a_string(item.referenced.line(), "!!seq")),
            scalar => scalar.to_string(),
        };
        let object: ObjectSpec = serde_saphyr::from_str(&item).map_err(|error| {
            format!(
                "unmarshal failed for keyVaultObjects at index {index}, error: yaml: {}",
                one_line(&error)
            )
        })?;
        wanted.push(object);
    }
    Ok(wanted)
}

/// Returns the error message of Go's YAML parser for an item of the wrong type.
fn not_a_string(line: u64, is: &str) -> String {
    unmarshal_error(&format!(
        "yaml: unmarshal errors:\n  line {line}: cannot unmarshal {is} into []string elements"
    ))
}

fn unmarshal_error(why: &str) -> String {
    format!("failed to yaml unmarshal objects, error: {why}")
}

fn one_line(error: &impl std::fmt::Display) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn class(objects: &str) -> Value {
        json!({"spec": {"provider": "azure", "parameters": {
            "keyvaultName": "kv-demo", "tenantId": "t", "useVMManagedIdentity": "true",
            "userAssignedIdentityID": "client", "objects": objects,
        }}})
    }

    #[test]
    fn items_that_are_strings_are_read() {
        let read = read(&class(
            "array:\n  - |\n    objectName: tls\n    objectType: secret\n    objectAlias: key\n  - |\n    objectName: tls\n    objectType: cert\n    objectVersion: \"\"\n",
        ))
        .expect("it is sound");
        assert_eq!(read.identity, Identity::Node("client".into()));
        assert_eq!((read.objects[0].file(), read.objects[0].object_type.as_str()), ("key", "secret"));
        assert_eq!((read.objects[1].file(), read.objects[1].version()), ("tls", None));
    }

    #[test]
    fn items_that_are_mappings_are_errors() {
        let error =
            read(&class("array:\n  - objectName: tls\n    objectType: secret\n")).expect_err("mappings");
        assert!(
            error.starts_with("failed to yaml unmarshal objects, error: yaml: unmarshal errors:"),
            "{error}"
        );
        assert!(error.contains("line 2: cannot unmarshal !!map into []string elements"), "{error}");
    }

    #[test]
    fn a_class_without_objects_or_vault_is_an_error() {
        assert_eq!(read(&class("")), Err("objects is not set".into()));
        assert_eq!(read(&json!({"spec": {}})), Err("keyvaultName is not set".into()));
    }
}
