//! Parsing and validation of query parameters.

use serde_json::{Value, json};

use super::status::{FieldError, StatusError};
use crate::request::Request;

/// The treatment of unknown fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldValidation {
    /// Drops them silently.
    Ignore,
    /// Drops them and adds a warning header.
    Warn,
    /// Refuses the request.
    Strict,
}

/// The parameters of a write.
#[derive(Debug, Clone, PartialEq)]
pub struct WriteOptions {
    /// The field manager; empty if not given.
    pub manager: String,
    /// The `force` parameter; `None` if not given.
    pub force: Option<bool>,
    /// True if nothing is stored.
    pub dry_run: bool,
    /// The treatment of unknown fields.
    pub validation: FieldValidation,
}

/// The parameters of a list or watch.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ListOptions {
    /// True for a watch.
    pub watch: bool,
    /// The label selector.
    pub labels: String,
    /// The field selector.
    pub fields: String,
    /// The maximum number of items per page; 0 for all.
    pub limit: usize,
    /// The continue token.
    pub next: String,
    /// The requested resource version; `None` if not given.
    pub revision: Option<u64>,
    /// The match mode of the resource version: `Exact`, `NotOlderThan` or empty.
    pub matching: String,
    /// True if bookmarks are allowed.
    pub bookmarks: bool,
    /// True if a watch starts with the existing objects; `None` if not given.
    pub initial_events: Option<bool>,
    /// The timeout of a watch in seconds.
    pub timeout_seconds: Option<u64>,
}

pub(super) fn flag(request: &Request, name: &str) -> Result<Option<bool>, StatusError> {
    match text(request, name) {
        "" => Ok(None),
        "true" | "1" | "True" | "t" => Ok(Some(true)),
        "false" | "0" | "False" | "f" => Ok(Some(false)),
        other => Err(StatusError::bad_request(format!(
            "strconv.ParseBool: parsing {other:?}: invalid syntax (parameter {name})"
        ))),
    }
}

pub(super) fn number(request: &Request, name: &str) -> Result<Option<u64>, StatusError> {
    let text = text(request, name);
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        StatusError::bad_request(format!(
            "strconv.ParseUint: parsing {text:?}: invalid syntax (parameter {name})"
        ))
    })
}

/// Returns the maximum number of items; a negative number stands for all.
fn limit(request: &Request) -> Result<usize, StatusError> {
    match text(request, "limit") {
        "" => Ok(0),
        text => match text.parse::<i64>() {
            Ok(limit) => Ok(usize::try_from(limit).unwrap_or(0)),
            Err(_) => {
                Err(StatusError::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax")))
            }
        },
    }
}

fn text<'r>(request: &'r Request, name: &str) -> &'r str {
    request.query(name).unwrap_or_default()
}

impl WriteOptions {
    /// Parses the parameters of a write.
    ///
    /// # Errors
    /// 400 for malformed values, 422 for values that are not allowed. `operation` (`Create`, `Update`,
    /// `Patch`) selects the name of the options in messages.
    pub fn read(request: &Request, operation: &str) -> Result<Self, StatusError> {
        let kind = format!("{operation}Options");
        let refuse = |error: FieldError| StatusError::invalid(&kind, "meta.k8s.io", "", &[error]);
        let dry_run = match text(request, "dryRun") {
            "" => false,
            "All" => true,
            other => return Err(refuse(FieldError::unsupported("dryRun", &json!([other]), &[json!("All")]))),
        };
        let validation = match text(request, "fieldValidation") {
            "" | "Warn" => FieldValidation::Warn,
            "Ignore" => FieldValidation::Ignore,
            "Strict" => FieldValidation::Strict,
            other => {
                let choices = [json!(""), json!("Ignore"), json!("Strict"), json!("Warn")];
                return Err(refuse(FieldError::unsupported("fieldValidation", &json!(other), &choices)));
            }
        };
        let manager = text(request, "fieldManager").to_owned();
        if manager.len() > 128 {
            return Err(refuse(FieldError::too_long("fieldManager", 128)));
        }
        if !manager.chars().all(|c| !c.is_control()) {
            return Err(refuse(FieldError::invalid(
                "fieldManager",
                &json!(manager),
                "should not contain control characters",
            )));
        }
        Ok(Self { manager, force: flag(request, "force")?, dry_run, validation })
    }

    /// Returns the field manager, by default the first word of the user agent.
    pub fn manager_or_agent(&self, request: &Request) -> String {
        if !self.manager.is_empty() {
            return self.manager.clone();
        }
        let agent = request.header("user-agent").and_then(|agent| agent.split('/').next());
        agent.filter(|agent| !agent.is_empty()).unwrap_or("unknown").to_owned()
    }
}

impl ListOptions {
    /// Parses the parameters of a list or watch.
    ///
    /// # Errors
    /// 400 for malformed values, 422 for invalid combinations.
    pub fn read(request: &Request) -> Result<Self, StatusError> {
        let revision = number(request, "resourceVersion").map_err(|_| {
            let value = Value::from(text(request, "resourceVersion"));
            StatusError::bad_request(format!(
                "invalid resource version: resourceVersion: Invalid value: {value}: strconv.ParseUint: parsing {value}: invalid syntax"
            ))
        })?;
        let options = Self {
            watch: flag(request, "watch")?.unwrap_or(false),
            labels: text(request, "labelSelector").to_owned(),
            fields: text(request, "fieldSelector").to_owned(),
            limit: limit(request)?,
            next: text(request, "continue").to_owned(),
            revision,
            matching: text(request, "resourceVersionMatch").to_owned(),
            bookmarks: flag(request, "allowWatchBookmarks")?.unwrap_or(false),
            initial_events: flag(request, "sendInitialEvents")?,
            timeout_seconds: number(request, "timeoutSeconds")?,
        };
        let errors = options.field_errors();
        if errors.is_empty() {
            Ok(options)
        } else {
            Err(StatusError::invalid("ListOptions", "meta.k8s.io", "", &errors))
        }
    }

    fn field_errors(&self) -> Vec<FieldError> {
        let forbidden = |field: &str, why: &str| vec![FieldError::forbidden(field, why)];
        let matching = self.matching.as_str();
        if !matches!(matching, "" | "Exact" | "NotOlderThan") {
            let choices = [json!("Exact"), json!("NotOlderThan")];
            return vec![FieldError::unsupported("resourceVersionMatch", &json!(matching), &choices)];
        }
        if self.watch {
            return match (self.initial_events, matching) {
                (Some(_), "NotOlderThan") | (None, "") => Vec::new(),
                (Some(_), "") => {
                    let why = "resourceVersionMatch is required when sendInitialEvents is set";
                    forbidden("resourceVersionMatch", why)
                }
                (Some(_), _) => {
                    let choices = [json!("NotOlderThan")];
                    vec![FieldError::unsupported("resourceVersionMatch", &json!(matching), &choices)]
                }
                (None, _) => forbidden(
                    "resourceVersionMatch",
                    "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
                ),
            };
        }
        if self.initial_events.is_some() {
            return forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list");
        }
        if matching.is_empty() {
            return Vec::new();
        }
        match (self.revision, self.next.is_empty()) {
            (_, false) => forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden when continue is provided",
            ),
            (None, _) => forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            ),
            (Some(0), _) if matching == "Exact" => {
                let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
                forbidden("resourceVersionMatch", why)
            }
            _ => Vec::new(),
        }
    }
}
