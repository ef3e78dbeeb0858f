//! Fuzz target: responses of an API server, with any bytes under any status. Reads of objects, lists,
//! statuses and watches never panic and end in bounded time. Comparison and evaluation of any objects never
//! panic.
//!
//! The first part of an input selects the request, the others are the responses. `differences` compares the
//! bodies of two parts; `connect` reads its body as a kubeconfig.

use crate::{
    fake_server::Server,
    script::{Message, message, parts},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use landfall_cloud::{
    ApiError, RequestCounter, Secret,
    kubernetes::{Cluster, DynamicObject, Force, Kind, Selection, differences, readiness},
};
use serde_json::{Value, json};
use std::{sync::OnceLock, time::Duration};
use tokio::{runtime::Runtime, time::timeout};

/// The maximum number of states that a watch delivers.
const STATES_MAX: usize = 64;
/// The timeout, far above the duration of any script.
const TIME_MAX: Duration = Duration::from_secs(30);

fn client() -> &'static (Runtime, Cluster) {
    static CLIENT: OnceLock<(Runtime, Cluster)> = OnceLock::new();
    CLIENT.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime can be made");
        let server = Server::get();
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {
                "server": server.origin("api"), "certificate-authority-data": STANDARD.encode(&server.authority),
            }}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
        });
        let kubeconfig = Secret::new(kubeconfig.to_string());
        let cluster = runtime.block_on(Cluster::connect(&kubeconfig, None, &RequestCounter::new(), f64::INFINITY));
        (runtime, cluster.expect("our own kubeconfig is right"))
    })
}

/// Checks one request and its responses.
pub fn check(data: &[u8]) {
    let parts = parts(data);
    let input = message(parts[0]);
    let answers: Vec<_> = parts[1..].iter().map(|part| message(part)).collect();
    let word = input.first.trim();
    if word == "differences" {
        return compared(&answers);
    }
    let (runtime, cluster) = client();
    let server = Server::get();
    server.play(&answers, &server.origin("api"), false);
    let ended = runtime.block_on(async {
        timeout(TIME_MAX, async {
            match word {
                "connect" => connect(input.body).await,
                word => request(cluster, word, input.body).await,
            }
        })
        .await
    });
    if let Err(error) = ended.expect("there is an end") {
        assert!(!error.message.is_empty() && !error.to_string().is_empty(), "{error:?}");
    }
}

async fn connect(kubeconfig: &[u8]) -> Result<(), ApiError> {
    // A kubeconfig may name files, and reads from a device may never end.
    let text = String::from_utf8_lossy(kubeconfig).replace('/', "_");
    Cluster::connect(&Secret::new(text), None, &RequestCounter::new(), f64::INFINITY).await.map(drop)
}

async fn request(cluster: &Cluster, word: &str, body: &[u8]) -> Result<(), ApiError> {
    let kind = &Kind::GATEWAY;
    match word {
        "list" => {
            cluster.list(kind, None, Some("app=demo")).await.map(|all| all.iter().for_each(check_fields))
        }
        "uid" => cluster.uid().await.map(drop),
        "delete" => cluster.delete(kind, Some("demo"), "web", Some("u-1")).await.map(drop),
        "apply" => match serde_json::from_slice::<DynamicObject>(body) {
            Ok(object) => cluster.apply(kind, &object, Force::No).await.map(|created| check_fields(&created)),
            Err(_) => Ok(()),
        },
        "kind" => match serde_json::from_slice::<DynamicObject>(body) {
            Ok(object) => cluster.kind_of(&object).await.map(drop),
            Err(_) => Ok(()),
        },
        "watch" => {
            let mut states = 0;
            let condition = |objects: &[DynamicObject]| {
                objects.iter().for_each(check_fields);
                states += 1;
                (states >= STATES_MAX).then_some(())
            };
            cluster.watch_until(kind, Some("demo"), Selection::Name("web"), condition).await
        }
        _ => cluster.get(kind, Some("demo"), "web").await.map(|object| object.iter().for_each(check_fields)),
    }
}

fn check_fields(object: &DynamicObject) {
    let _ = (readiness::gateway(object), readiness::deployment(object), readiness::gateway_class(object));
    let _ = (readiness::route(object, "web"), readiness::route_since(object, "web"));
    let _ = (
        readiness::gateway_since(object),
        readiness::deployment_since(object),
        readiness::changed_at(object),
    );
}

fn compared(answers: &[Message<'_>]) {
    let bodies: Vec<Value> = answers.iter().filter_map(|one| serde_json::from_slice(one.body).ok()).collect();
    let [wanted, live, ..] = bodies.as_slice() else { return };
    for (wanted, live) in [(wanted, live), (live, wanted)] {
        let _ = (differences(wanted, live), differences(live, live));
    }
    for body in &bodies {
        if let Ok(object) = serde_json::from_value::<DynamicObject>(body.clone()) {
            check_fields(&object);
        }
    }
}
