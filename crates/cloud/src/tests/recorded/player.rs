//! A transport that answers every request with one recorded answer, and the clients above it.

use super::Row;
use crate::{
    ArmClient, Credential, Endpoints, RequestCounter, ResponseBody, Secret, SignIn, SignInFacts, Transport,
    TransportError, Vaults, arm::SubscriptionClient,
};
use async_trait::async_trait;
use azure_core::Bytes;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

const TENANT: &str = "11111111-1111-1111-1111-111111111111";

/// The clients of a cloud that returns the answer set last.
pub(super) struct Player {
    answers: Arc<Answers>,
    pub(super) arm: ArmClient,
    pub(super) vaults: Vaults,
}

#[derive(Debug, Default)]
struct Answers(Mutex<Answer>);

/// The current answer, and the one to every request after the first.
#[derive(Debug, Default)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    then: Option<(u16, Value)>,
    urls: Vec<String>,
}

impl Player {
    pub(super) fn new() -> Self {
        let answers: Arc<Answers> = Arc::default();
        let mut endpoints = Endpoints::public();
        endpoints.transport = Some(answers.clone());
        endpoints.time_scale = f64::INFINITY;
        let (client_id, secret) = ("app".to_owned(), Secret::from("secret".to_owned()));
        let sign_in = SignIn::ServicePrincipal { tenant: TENANT.to_owned(), client_id, secret };
        let counter = RequestCounter::new();
        let credential = Credential::new(&sign_in, &SignInFacts::default(), &endpoints, &counter);
        let credential = credential.expect("a credential needs no network");
        let arm = ArmClient::new(&endpoints, &credential, &counter, "c0ffee00-0000-4000-8000-000000000001");
        let vaults = Vaults::new(&endpoints, &credential, &counter);
        let (arm, vaults) =
            (arm.expect("a client needs no network"), vaults.expect("vaults need none either"));
        Self { answers, arm, vaults }
    }

    /// Returns the typed client of the subscription in a row.
    pub(super) fn subscription(&self, row: &Row) -> SubscriptionClient {
        let id = row.uri.path().split('/').nth(2).unwrap_or_default();
        SubscriptionClient::new(self.arm.clone(), id)
    }

    /// Answers every request with a row.
    pub(super) fn set(&self, row: &Row) {
        self.set_with(row, None);
    }

    /// Answers the first request with a row, and every later one with `then`.
    pub(super) fn set_then(&self, row: &Row, then: (u16, Value)) {
        self.set_with(row, Some(then));
    }

    fn set_with(&self, row: &Row, then: Option<(u16, Value)>) {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let headers = row.headers.iter().flatten().map(|(name, value)| (name.clone(), text(value)));
        *self.answers.0.lock().expect("no test panics while it holds the answer") = Answer {
            status: row.status.expect("only rows with an answer are played"),
            headers: headers.collect(),
            body: if row.answer.is_null() { String::new() } else { row.answer.to_string() },
            then,
            urls: Vec::new(),
        };
    }

    /// Returns the URLs of the requests since the answer was set, without those for tokens.
    pub(super) fn urls(&self) -> Vec<String> {
        self.answers.0.lock().expect("no test panics while it holds the answer").urls.clone()
    }
}

#[async_trait]
impl Transport for Answers {
    async fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<ResponseBody>, TransportError> {
        let host = request.uri().host().unwrap_or_default();
        let (status, headers, body) = if host == "login.microsoftonline.com" {
            (200, Vec::new(), token().to_string())
        } else if host.ends_with(".vault.azure.net") && !request.headers().contains_key("authorization") {
            let challenge = format!(
                "Bearer authorization=\"https://login.microsoftonline.com/{TENANT}\", resource=\"https://vault.azure.net\""
            );
            (401, vec![("www-authenticate".to_owned(), challenge)], String::new())
        } else {
            let mut answer = self.0.lock().expect("no test panics while it holds the answer");
            answer.urls.push(request.uri().to_string());
            match (&answer.then, answer.urls.len()) {
                (Some((status, body)), 2..) => (*status, Vec::new(), body.to_string()),
                _ => (answer.status, answer.headers.clone(), answer.body.clone()),
            }
        };
        let mut response = http::Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(name, value);
        }
        let body = stream::iter([Ok(Bytes::from(body))]).boxed();
        Ok(response.body(body).expect("a recorded answer has valid headers"))
    }
}

fn token() -> Value {
    let claims = json!({ "oid": "me", "tid": TENANT, "idtyp": "app", "appid": "app" });
    let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()));
    json!({ "token_type": "Bearer", "expires_in": 3600, "access_token": token })
}
