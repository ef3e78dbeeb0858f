//! Manifests: YAML files with the objects to apply.
//!
//! The parser reports all mistakes at once, each with file, document and line, before any request. Values are
//! filled in after parsing, as data, so that no value can change the structure of a document.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use kube_core::DynamicObject;
use serde_json::Value;

use super::confidential::{self, Confidential};
use super::{exported, string_type_check};
use crate::{text_file, yaml};

/// The maximum size of a manifest file. A bundle of all definitions of a large operator has about 4 MB.
const SIZE_MAX: u64 = 16_000_000;
/// The API group of kustomizations, which kubectl renders and the cluster does not know.
const KUSTOMIZE: &str = "kustomize.config.k8s.io/";
/// The maximum depth of lists in lists.
const LISTS_MAX: usize = 8;

/// Returns an object as a YAML document, in the style of kubectl.
#[must_use]
pub fn to_yaml(object: &Value) -> String {
    crate::kubeconfig::emit::block(object)
}

/// One object of a manifest file, with its position.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Name of the file.
    pub file: String,
    /// The number of the document in the file, from 1. Empty documents are not counted.
    pub document: usize,
    /// The line on which the document begins, from 1.
    pub line: usize,
    /// The object, without the values of a Secret: see [`Manifest::complete`].
    pub object: DynamicObject,
    /// The values of a Secret.
    pub confidential: Confidential,
    /// The paths of removed fields that only the server sets: the object was exported from a cluster.
    pub stripped: Vec<String>,
}

impl Manifest {
    /// Returns the object with the values of a Secret, to send and compare. It must not be printed.
    #[must_use]
    pub fn complete(&self) -> DynamicObject {
        self.confidential.complete(&self.object)
    }

    fn set(&mut self, mut object: DynamicObject) {
        self.confidential = Confidential::take(&mut object);
        self.object = object;
    }
}

/// A mistake in a manifest, with its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestError {
    /// The name of the file, or of the folder if the folder cannot be read.
    pub file: String,
    /// The number of the document in the file, from 1.
    pub document: Option<usize>,
    /// The line in the file, from 1.
    pub line: Option<usize>,
    /// The mistake, as a lowercase fragment. Without a line it begins with a verb: `cannot be read`.
    pub message: String,
    /// The remedy, if it is a special one.
    pub hint: Option<&'static str>,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if self.line.is_none() && self.document.is_none() {
            return write!(f, " {}", self.message);
        }
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(document) = self.document {
            write!(f, " (document {document})")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for ManifestError {}

/// Reads the `.yaml`, `.yml` and `.json` files of a folder in the order of their names. Subfolders and hidden
/// files are skipped.
///
/// # Errors
/// Every mistake of every file, among them an object that occurs twice.
pub fn read_folder(folder: &Path) -> Result<Vec<Manifest>, Vec<ManifestError>> {
    let mut manifests = Vec::new();
    let mut errors = Vec::new();
    for name in file_names(folder).map_err(|error| vec![error])? {
        let read = text_file::read(&folder.join(&name), SIZE_MAX);
        let parsed = read
            .map_err(|cause| vec![broken(&name, None, None, cause.to_string())])
            .and_then(|text| parse(&name, &text));
        match parsed {
            Ok(parsed) => manifests.extend(parsed),
            Err(found) => errors.extend(found),
        }
    }
    errors.extend(repeated(&manifests));
    if errors.is_empty() { Ok(manifests) } else { Err(errors) }
}

fn file_names(folder: &Path) -> Result<Vec<String>, ManifestError> {
    let unreadable = |cause: std::io::Error| {
        broken(&folder.display().to_string(), None, None, format!("cannot be read: {cause}"))
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let named = [".yaml", ".yml", ".json"].iter().any(|end| name.ends_with(end));
        if named && !name.starts_with('.') && !entry.path().is_dir() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Finds objects that occur twice: the second would silently win.
fn repeated(manifests: &[Manifest]) -> Vec<ManifestError> {
    let mut first: HashMap<(String, String, String), &Manifest> = HashMap::new();
    let mut errors = Vec::new();
    for manifest in manifests {
        let Some(types) = &manifest.object.types else { continue };
        let group = types.api_version.rsplit_once('/').map_or("", |(group, _)| group);
        let place = manifest.object.metadata.namespace.as_deref().unwrap_or_default();
        let name = manifest.object.metadata.name.clone().unwrap_or_default();
        let key = (format!("{}.{group}", types.kind), place.to_owned(), name.clone());
        if let Some(first) = first.get(&key) {
            let message =
                format!("{} {name} is already defined in {}:{}", types.kind, first.file, first.line);
            errors.push(broken(&manifest.file, Some(manifest.document), Some(manifest.line), message));
        } else {
            first.insert(key, manifest);
        }
    }
    errors
}

/// Parses the documents of one file. A document of `kind: List`, or of a typed list such as `ConfigMapList`,
/// counts as the objects in it.
///
/// # Errors
/// Every mistake: at most one YAML error per document, and all missing fields of its objects.
pub fn parse(file: &str, text: &str) -> Result<Vec<Manifest>, Vec<ManifestError>> {
    let mut manifests = Vec::new();
    let mut errors = Vec::new();
    let mut number = 0;
    for document in documents(&with_line_feeds(text)) {
        match yaml::read_manifest(&document.text) {
            Ok(Value::Null) => continue,
            Ok(value) if is_kustomization(file, &value) => {
                number += 1;
                errors.push(kustomization(file));
            }
            Ok(value) => {
                number += 1;
                let at = |message| broken(file, Some(number), Some(document.content_line), message);
                let objects = unlist(value, LISTS_MAX).unwrap_or_else(|message| {
                    errors.push(at(message));
                    Vec::new()
                });
                for mut object in objects {
                    let stripped = exported::strip(&mut object);
                    match object_of(object) {
                        Ok(mut object) => manifests.push(Manifest {
                            file: file.to_owned(),
                            document: number,
                            line: document.content_line,
                            confidential: Confidential::take(&mut object),
                            object,
                            stripped,
                        }),
                        Err(messages) => errors.extend(messages.into_iter().map(at)),
                    }
                }
            }
            Err(mistake) => {
                number += 1;
                let line = mistake.line.and_then(|line| usize::try_from(line).ok()).unwrap_or(1).max(1);
                errors.push(broken(
                    file,
                    Some(number),
                    Some(document.first_line + line - 1),
                    // An unparseable document has no kind yet.
                    match document.text.contains("Secret") {
                        true => confidential::without_quotes(&mistake.message),
                        false => mistake.message,
                    },
                ));
            }
        }
    }
    if errors.is_empty() { Ok(manifests) } else { Err(errors) }
}

/// Replaces the other two line ends of YAML, CR LF and a lone CR, as a parser does (YAML 1.2.2 §5.4).
fn with_line_feeds(text: &str) -> Cow<'_, str> {
    match text.contains('\r') {
        true => Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n")),
        false => Cow::Borrowed(text),
    }
}

/// Returns whether a document is the input of kustomize. A kustomization needs neither apiVersion nor kind.
fn is_kustomization(file: &str, value: &Value) -> bool {
    match value["apiVersion"].as_str() {
        Some(api_version) => api_version.starts_with(KUSTOMIZE),
        None => matches!(file, "kustomization.yaml" | "kustomization.yml"),
    }
}

fn kustomization(file: &str) -> ManifestError {
    let hint =
        "render it with `kubectl kustomize FOLDER > rendered.yaml`, and use a folder with only that file";
    let message = "is not a manifest but the input of kustomize".to_owned();
    ManifestError { hint: Some(hint), ..broken(file, None, None, message) }
}

fn broken(file: &str, document: Option<usize>, line: Option<usize>, message: String) -> ManifestError {
    ManifestError { file: file.to_owned(), document, line, message, hint: None }
}

/// The text of one document.
#[derive(Default)]
struct Document {
    text: String,
    /// The line of the file on which the text begins, from 1.
    first_line: usize,
    /// The first line with content.
    content_line: usize,
    /// True if it contains a directive.
    directives: bool,
    /// True if it contains a marker, or a line with content that is not a directive.
    has_content: bool,
}

/// Splits a file at its document markers.
///
/// YAML forbids a marker at the beginning of a line anywhere but between documents, also inside quotes and
/// blocks (YAML 1.2.2 §9.1.4). So this needs no parser, and a mistake in one document does not hide the
/// others.
fn documents(text: &str) -> Vec<Document> {
    let mut documents: Vec<Document> = Vec::new();
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let marker = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        // Directives belong to the document that the next marker opens.
        let only_directives = documents.last().is_some_and(|open| open.directives && !open.has_content);
        if documents.is_empty() || (marker && !only_directives) {
            documents.push(Document { text: String::new(), first_line: index + 1, ..Document::default() });
        }
        let open = documents.last_mut().expect("the first line opened a document");
        open.text.push_str(line);
        let content = if marker { line[3..].trim() } else { line };
        open.directives |= line.starts_with('%');
        open.has_content |= says_something(line) && !line.starts_with('%');
        if open.content_line == 0 && says_something(content) && !content.starts_with('%') {
            open.content_line = index + 1;
        }
    }
    for document in &mut documents {
        document.content_line = document.content_line.max(document.first_line);
    }
    documents
}

fn says_something(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#')
}

/// Returns the objects of a list, or the object itself. Items of a typed list may omit their types.
fn unlist(value: Value, depth: usize) -> Result<Vec<Value>, String> {
    let kind = value["kind"].as_str().unwrap_or_default();
    let Some(item_kind) = kind.strip_suffix("List") else { return Ok(vec![value]) };
    if !item_kind.is_empty() && value.get("items").is_none() {
        // The name of a kind may end with List.
        return Ok(vec![value]);
    }
    let types = [("apiVersion", value["apiVersion"].clone()), ("kind", Value::from(item_kind))];
    let items = match value.get("items") {
        Some(Value::Array(items)) => items.clone(),
        Some(Value::Null) => Vec::new(),
        Some(_) => return Err("items is not a list".to_owned()),
        None => return Err("items is missing".to_owned()),
    };
    let Some(depth) = depth.checked_sub(1) else {
        return Err(format!("more than {LISTS_MAX} lists contain each other"));
    };
    let mut objects = Vec::new();
    for mut item in items {
        if let Some(fields) = item.as_object_mut().filter(|_| !item_kind.is_empty()) {
            for (name, value) in &types {
                fields.entry(*name).or_insert_with(|| value.clone());
            }
        }
        objects.extend(unlist(item, depth)?);
    }
    Ok(objects)
}

/// Checks the fields that every object must have.
fn object_of(value: Value) -> Result<DynamicObject, Vec<String>> {
    if !value.is_object() {
        return Err(vec!["a manifest is a mapping with apiVersion, kind and metadata".to_owned()]);
    }
    let mut messages = Vec::new();
    for pointer in ["/apiVersion", "/kind", "/metadata/name"] {
        let field = pointer[1..].replace('/', ".");
        match value.pointer(pointer) {
            Some(Value::String(text)) if !text.is_empty() => {}
            Some(Value::String(_)) | None => messages.push(format!("{field} is missing")),
            Some(_) => messages.push(format!("{field} is not a string")),
        }
    }
    messages.extend(string_type_check::check(&value));
    if !messages.is_empty() {
        return Err(messages);
    }
    let object: DynamicObject = serde_json::from_value(value.clone()).map_err(|cause| {
        let message = format!("metadata is invalid: {cause}");
        vec![if value["kind"] == "Secret" { confidential::without_quotes(&message) } else { message }]
    })?;
    // The type drops unknown fields, so the server could not reject a misspelt one.
    let kept = serde_json::to_value(&object.metadata).unwrap_or_default();
    let written = value["metadata"].as_object().into_iter().flatten();
    let lost: Vec<String> = written
        .filter(|(key, value)| !value.is_null() && kept.get(key.as_str()).is_none())
        .map(|(key, _)| format!("metadata has no field {key}"))
        .collect();
    if lost.is_empty() { Ok(object) } else { Err(lost) }
}

/// Replaces a placeholder by a value, in strings only: keys, numbers and the structure stay.
///
/// Returns the number of changed strings.
pub fn fill(manifests: &mut [Manifest], placeholder: &str, value: &str) -> usize {
    let mut changed = 0;
    for manifest in manifests {
        if manifest.confidential != Confidential::default() {
            let mut whole = manifest.complete();
            changed += fill_object(&mut whole, placeholder, value);
            manifest.set(whole);
        } else {
            changed += fill_object(&mut manifest.object, placeholder, value);
        }
    }
    changed
}

fn fill_object(object: &mut DynamicObject, placeholder: &str, value: &str) -> usize {
    let mut changed = 0;
    fill_value(&mut object.data, placeholder, value, &mut changed);
    let before = changed;
    let mut metadata = serde_json::to_value(&object.metadata).expect("metadata read from YAML is JSON");
    fill_value(&mut metadata, placeholder, value, &mut changed);
    if changed != before {
        object.metadata = serde_json::from_value(metadata).expect("replaced text leaves the shape alone");
    }
    changed
}

fn fill_value(value: &mut Value, placeholder: &str, with: &str, changed: &mut usize) {
    match value {
        Value::String(text) if text.contains(placeholder) => {
            *text = text.replace(placeholder, with);
            *changed += 1;
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill_value(item, placeholder, with, changed)),
        Value::Object(fields) => {
            fields.values_mut().for_each(|field| fill_value(field, placeholder, with, changed));
        }
        _ => {}
    }
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
