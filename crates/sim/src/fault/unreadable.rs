//! Writes that take effect and whose success is unreadable: a page, half a document, an address of another
//! server, a redirect.

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};

use super::row::{Injection, Kind, RequestContext, Row};
use super::transport::writes;
use super::variants::Fault;
use crate::request::Reply;
use crate::state::CloudState;

/// The page of a proxy in place of the service's answer.
const PAGE: &str =
    "<html>\r\n<head><title>Sign in to the network</title></head>\r\n<body></body>\r\n</html>\r\n";
/// The rest of an answer whose body broke off.
const HALF: &str = "{\"id\":\"/subscri";
/// A server other than the requested one.
const FOREIGN_ORIGIN: &str = "https://management.elsewhere.example";
const ASYNC_OPERATION: HeaderName = HeaderName::from_static("azure-asyncoperation");

const fn row(
    fault: Fault,
    name: &'static str,
    what: &'static str,
    injection: fn(&mut CloudState, &RequestContext<'_>, &mut Reply) -> bool,
) -> Row {
    Row {
        fault,
        name,
        kind: Kind::Transport,
        method: "PUT",
        path: "management.",
        what,
        client: "counts the write as accepted and its resource as its own; looks at what there is on the next run",
        heals: true,
        injection: Injection::After(injection),
    }
}

/// The rows of the topic.
pub(super) const ROWS: &[Row] = &[
    row(
        Fault::AnswerPage,
        "answer-page",
        "the write takes effect; its success has the HTML page of a proxy as its body",
        |_, context, reply| {
            body(context, reply, |reply| {
                reply.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
                reply.body = PAGE.into();
            })
        },
    ),
    row(
        Fault::AnswerHalf,
        "answer-half",
        "the write takes effect; its success has half a JSON document as its body, delivered whole",
        |_, context, reply| {
            body(context, reply, |reply| {
                let half = reply.body.slice(..reply.body.len() / 2);
                reply.body = if half.is_empty() { HALF.into() } else { half };
            })
        },
    ),
    row(
        Fault::AnswerForeign,
        "answer-foreign",
        "the write takes effect; the address of its operation leads to another server",
        |_, context, reply| accepted(context, reply) && redirect_operation_url(reply),
    ),
    row(
        Fault::AnswerMoved,
        "answer-moved",
        "the write takes effect; the answer is 303 with an address and without a body",
        |_, context, reply| {
            body(context, reply, |reply| {
                reply.status = StatusCode::SEE_OTHER;
                reply.headers.remove(&ASYNC_OPERATION);
                reply.headers.insert(LOCATION, HeaderValue::from_static("/moved"));
                reply.body = bytes::Bytes::new();
            })
        },
    ),
];

/// Returns whether the request was a write, and the answer's status is a success.
fn accepted(context: &RequestContext<'_>, reply: &Reply) -> bool {
    writes(context.request) && reply.status.is_success() && reply.stream.is_none()
}

/// Changes an answer that may have a body.
fn body(context: &RequestContext<'_>, reply: &mut Reply, change: fn(&mut Reply)) -> bool {
    let may = accepted(context, reply) && reply.status != StatusCode::NO_CONTENT;
    if may {
        change(reply);
    }
    may
}

fn redirect_operation_url(reply: &mut Reply) -> bool {
    let mut led = false;
    for name in [ASYNC_OPERATION, LOCATION] {
        let Some(address) = reply.headers.get(&name).and_then(|value| value.to_str().ok()) else { continue };
        let path = address.split_once("://").map_or(address, |(_, rest)| rest);
        let path = path.find('/').map_or("/", |at| &path[at..]);
        if let Ok(value) = HeaderValue::from_str(&format!("{FOREIGN_ORIGIN}{path}")) {
            reply.headers.insert(name, value);
            led = true;
        }
    }
    led
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixture::{arm, exists, group, network, network_body, put_cluster};
    use crate::test_cloud::TestCloud;

    #[test]
    fn a_write_takes_effect_though_its_success_cannot_be_read() {
        for (fault, status) in [("answer-page", 201), ("answer-half", 201), ("answer-moved", 303)] {
            let mut cloud = TestCloud::new();
            arm(&mut cloud, fault);
            let at = group(&cloud, "web");
            let reply = cloud.put(&at, &json!({ "location": "eastus" }));
            assert_eq!((reply.status.as_u16(), reply.value()), (status, serde_json::Value::Null), "{fault}");
            assert!(exists(&cloud, "web") && cloud.state.faults.armed.is_empty(), "{fault}");
        }
    }

    #[test]
    fn an_operation_url_on_another_server_is_valid_on_its_own_server() {
        let mut cloud = TestCloud::new();
        arm(&mut cloud, "answer-foreign");
        let reply = put_cluster(&mut cloud);
        let operation_url = reply.headers["azure-asyncoperation"].to_str().unwrap();
        assert!(
            operation_url.starts_with("https://management.elsewhere.example/subscriptions/"),
            "{operation_url}"
        );
        assert_eq!(reply.status, 201);
    }

    #[test]
    fn a_read_and_a_refusal_and_an_answer_without_an_operation_leave_the_fault_armed() {
        for fault in ["answer-page@", "answer-half@", "answer-foreign@", "answer-moved@"] {
            let mut cloud = TestCloud::new();
            arm(&mut cloud, fault);
            let (at, body) = (network(&cloud), network_body());
            assert_eq!(cloud.get(&at).status, 404, "{fault}");
            let nowhere = group(&cloud, "web");
            assert!(!cloud.put(&nowhere, &json!({ "location": "nowhere" })).status.is_success(), "{fault}");
            assert_eq!(cloud.state.faults.armed.len(), 1, "{fault}");
            assert!(cloud.put(&at, &body).status.as_u16() < 400, "{fault}");
            assert!(cloud.state.faults.armed.is_empty(), "{fault}");
        }
    }
}
