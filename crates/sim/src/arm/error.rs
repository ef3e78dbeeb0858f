//! Errors of Resource Manager and the providers: one type, three body shapes.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::request::Reply;

/// The shape of an error body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    /// `{"error":{…}}`, the common one (Resource Provider Contract, common-api-details).
    #[default]
    Wrapped,
    /// `{"code","message"}`, as Azure DNS writes it.
    Bare,
    /// `{"code","details","message","subcode"}` without an envelope, as the AKS provider writes it.
    Aks,
}

/// An ARM error, ready to become a reply.
#[derive(Debug, Clone)]
pub struct ArmError {
    /// The HTTP status.
    pub status: u16,
    /// The error code of Azure, such as `ResourceGroupNotFound`.
    pub code: String,
    /// The error message of Azure.
    pub message: String,
    /// The target of the error, if the service names it.
    pub target: Option<Box<str>>,
    /// Nested errors, each `{code, message, target}`.
    pub details: Vec<Value>,
    /// The shape of the body.
    pub shape: Shape,
    /// AKS's `subcode`.
    pub subcode: Option<Box<str>>,
    /// True if Resource Manager itself responds and not the provider; adds `x-ms-failure-cause: gateway`.
    pub gateway: bool,
    /// Additional headers, such as `WWW-Authenticate` or `Retry-After`.
    pub headers: Option<Box<HeaderMap>>,
}

impl ArmError {
    /// Creates a provider error in the common shape.
    pub fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
            target: None,
            details: Vec::new(),
            shape: Shape::Wrapped,
            subcode: None,
            gateway: false,
            headers: None,
        }
    }

    /// Creates an error of Resource Manager itself.
    pub fn gateway(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { gateway: true, ..Self::new(status, code, message) }
    }

    /// Creates an error of the AKS provider, which has no envelope.
    pub fn aks(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { shape: Shape::Aks, ..Self::new(status, code, message) }
    }

    /// Creates an error of Azure DNS, which has no envelope either.
    pub fn bare(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { shape: Shape::Bare, ..Self::new(status, code, message) }
    }

    /// Returns the error with that target.
    #[must_use]
    pub fn with_target(mut self, target: impl Into<String>) -> Self {
        self.target = Some(target.into().into());
        self
    }

    /// Returns the error with one more nested error.
    #[must_use]
    pub fn with_detail(mut self, code: &str, message: impl Into<String>) -> Self {
        self.details.push(json!({ "code": code, "message": message.into() }));
        self
    }

    /// Returns the error with AKS's subcode.
    #[must_use]
    pub fn with_subcode(mut self, subcode: &str) -> Self {
        self.subcode = Some(subcode.into());
        self
    }

    /// Returns the error with one more header; an invalid header value is dropped.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            let headers = self.headers.get_or_insert_default();
            headers.insert(HeaderName::from_static(name), value);
        }
        self
    }

    /// Creates the 404 of a resource whose group exists. `kind` is the full type
    /// (`Microsoft.KeyVault/vaults`).
    pub fn resource_not_found(kind: &str, name: &str, group: &str) -> Self {
        Self::gateway(
            404,
            "ResourceNotFound",
            format!(
                "The Resource '{kind}/{name}' under resource group '{group}' was not found. For more details please \
                 go to https://aka.ms/ARMResourceNotFoundFix"
            ),
        )
    }

    /// Creates the 404 of a resource group.
    pub fn group_not_found(group: &str) -> Self {
        Self::gateway(404, "ResourceGroupNotFound", format!("Resource group '{group}' could not be found."))
    }

    /// Creates the 404 of the parent of a nested resource.
    pub fn parent_not_found(name: &str) -> Self {
        let why = format!(
            "Can not perform requested operation on nested resource. Parent resource '{name}' not found."
        );
        Self::gateway(404, "ParentResourceNotFound", why)
    }

    /// Creates the 400 of a body that is not JSON or does not match the schema.
    pub fn invalid_body(why: &str) -> Self {
        Self::gateway(
            400,
            "InvalidRequestContent",
            format!("The request content was invalid and could not be deserialized: '{why}'."),
        )
    }

    /// Creates the 412 of an etag mismatch; `header` is `If-Match` or `If-None-Match`.
    pub fn precondition(header: &str, condition: &str) -> Self {
        Self::new(
            412,
            "PreconditionFailed",
            format!("The condition '{condition}' in the {header} header was not satisfied."),
        )
    }

    /// Returns the error object without an envelope.
    pub fn object(&self) -> Value {
        let mut object = json!({ "code": self.code, "message": self.message });
        if let Some(target) = &self.target {
            object["target"] = json!(target);
        }
        if self.shape == Shape::Aks {
            object["details"] = if self.details.is_empty() { Value::Null } else { json!(self.details) };
            object["subcode"] = json!(self.subcode.as_deref().unwrap_or_default());
        } else if !self.details.is_empty() {
            object["details"] = json!(self.details);
        }
        object
    }

    /// Converts the error to the reply.
    pub fn into_reply(self) -> Reply {
        let body = match self.shape {
            Shape::Wrapped => json!({ "error": self.object() }),
            Shape::Bare | Shape::Aks => self.object(),
        };
        let mut reply = Reply::json(self.status, &body);
        if self.gateway {
            reply = reply.with_header("x-ms-failure-cause", "gateway");
        }
        reply.headers.extend(self.headers.into_iter().flat_map(|headers| *headers));
        reply
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_common_shape_has_an_envelope() {
        let wrapped = ArmError::group_not_found("rg").into_reply();
        assert_eq!(wrapped.value()["error"]["code"], "ResourceGroupNotFound");
        assert_eq!(wrapped.headers["x-ms-failure-cause"], "gateway");
        let aks = ArmError::aks(409, "EtagMismatch", "busy").with_subcode("Put").into_reply();
        assert_eq!(
            aks.value(),
            json!({"code": "EtagMismatch", "message": "busy", "details": null, "subcode": "Put"})
        );
        assert!(aks.headers.get("x-ms-failure-cause").is_none());
        let dns = ArmError::bare(404, "NotFound", "no").into_reply();
        assert_eq!(dns.value(), json!({"code": "NotFound", "message": "no"}));
    }
}
