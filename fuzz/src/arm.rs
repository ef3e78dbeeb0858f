//! Fuzz target: responses of Resource Manager, Key Vault and the sign-in, with any bytes under any status.
//! Parsing never panics, ends in bounded time, and returns either a value or an error with a message.
//!
//! The first part of an input selects the request (its body is the stored operation of `poll`); the others
//! are the responses. `ORIGIN` in them is the server's own address.

use crate::{
    fake_server::{DOMAIN, Server},
    script::{message, parts},
};
use landfall_cloud::{
    ApiError, ArmClient, Credential, Endpoints, RequestCounter, Roots, SignIn, SignInFacts, Vaults,
    arm::{Condition, Operation, Progress, ResourceId, WriteResult},
};
use serde_json::json;
use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};
use tokio::{runtime::Runtime, time::timeout};

/// The requested path.
const PATH: &str = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/v";
const API: &str = "2025-07-01";
/// The maximum number of polls per operation.
const POLLS_MAX: u32 = 8;
/// The timeout, far above the duration of any script with shortened delays.
const TIME_MAX: Duration = Duration::from_secs(30);
/// The longest accepted delay: `landfall_cloud::retry::RETRY_AFTER_MAX`.
const WAIT_MAX: Duration = landfall_cloud::retry::RETRY_AFTER_MAX;

struct Clients {
    runtime: Runtime,
    arm: ArmClient,
    vaults: Vaults,
}

fn clients() -> &'static Clients {
    static CLIENTS: OnceLock<Clients> = OnceLock::new();
    CLIENTS.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let (arm, vaults) = create_clients();
        Clients { runtime: runtime.expect("a runtime can be made"), arm, vaults }
    })
}

/// Creates clients that have no token yet.
fn create_clients() -> (ArmClient, Vaults) {
    let server = Server::get();
    let at = |host| server.origin(host).parse().expect("a valid address");
    let endpoints = Endpoints {
        login: at("login"),
        arm: at("management"),
        arm_audience: format!("https://management.{DOMAIN}"),
        vault_suffix: format!("vault.{DOMAIN}"),
        vault_audience: format!("https://vault.{DOMAIN}"),
        roots: Roots::Only(vec![server.authority.clone()]),
        time_scale: f64::INFINITY,
        transport: None,
        ..Endpoints::public()
    };
    let request_counter = RequestCounter::new();
    let sign_in = SignIn::ServicePrincipal {
        tenant: "11111111-1111-1111-1111-111111111111".to_owned(),
        client_id: "app".to_owned(),
        secret: "s3cret".to_owned().into(),
    };
    let credential = Credential::new(&sign_in, &SignInFacts::default(), &endpoints, &request_counter)
        .expect("valid endpoints");
    let correlation = "c0ffee00-0000-4000-8000-000000000001";
    let arm =
        ArmClient::new(&endpoints, &credential, &request_counter, correlation).expect("valid endpoints");
    (arm, Vaults::new(&endpoints, &credential, &request_counter).expect("valid endpoints"))
}

/// Checks one request and its responses.
pub fn check(data: &[u8]) {
    let parts = parts(data);
    let input = message(parts[0]);
    let answers: Vec<_> = parts[1..].iter().map(|part| message(part)).collect();
    for one in &answers {
        let text = String::from_utf8_lossy(one.body);
        ids(text.lines().next().unwrap_or_default(), &input.first);
    }
    let clients = clients();
    let word = input.first.trim();
    let server = Server::get();
    let host = if word.starts_with("vault") { "kv.vault" } else { "management" };
    server.play(&answers, &server.origin(host), word == "identity");
    let began = Instant::now();
    let ended = clients.runtime.block_on(async {
        timeout(TIME_MAX, async {
            match word.strip_prefix("vault-") {
                Some(word) => vault(&clients.vaults, word).await,
                None => request(&clients.arm, word, input.body).await,
            }
        })
        .await
    });
    let ended = ended.unwrap_or_else(|_| panic!("no end after {:?}", began.elapsed()));
    if let Err(error) = ended {
        check_error(&error);
    }
}

async fn request(arm: &ArmClient, word: &str, body: &[u8]) -> Result<(), ApiError> {
    let desired = json!({"location": "eastus"});
    match word {
        "list" => arm.list(PATH, API, &[("$filter", "a eq 'b'")]).await.map(drop),
        "put" => follow(arm, arm.put(PATH, API, &desired, Condition::None).await?).await,
        "post" => follow(arm, arm.post(PATH, API, Some(&desired)).await?).await,
        "delete" => follow(arm, arm.delete(PATH, API).await?).await,
        "poll" => match serde_json::from_slice::<Operation>(body) {
            Ok(operation) => arm.poll(&operation).await.map(drop),
            Err(_) => Ok(()),
        },
        "identity" => create_clients().0.identity().await.map(drop),
        _ => arm.get(PATH, API).await.map(drop),
    }
}

/// Polls an operation as a later process would: from its stored form.
async fn follow(arm: &ArmClient, write_result: WriteResult) -> Result<(), ApiError> {
    let WriteResult::Accepted { operation, .. } = write_result else { return Ok(()) };
    let stored = serde_json::to_value(&operation).expect("an operation can be stored");
    let operation: Operation = serde_json::from_value(stored).expect("a stored operation is read back");
    assert!(operation.path_and_query.starts_with('/') && !operation.path_and_query.starts_with("//"));
    for _ in 0..POLLS_MAX {
        match arm.poll(&operation).await? {
            Progress::Running { not_before, .. } => assert!(not_before.is_none_or(|wait| wait <= WAIT_MAX)),
            Progress::Succeeded { .. } | Progress::Expired => return Ok(()),
        }
    }
    Ok(())
}

async fn vault(vaults: &Vaults, word: &str) -> Result<(), ApiError> {
    let vault = vaults.at(&Server::get().origin("kv.vault"))?;
    match word {
        "import" => vault.import("site", b"pfx", "password").await.map(drop),
        "versions" => vault.versions("site").await.map(drop),
        "deleted" => vault.deleted_certificate("site").await.map(drop),
        "delete" => vault.delete_certificate("site").await.map(drop),
        "recover" => vault.recover_certificate("site").await,
        _ => vault.certificate("site").await.map(drop),
    }
}

fn check_error(error: &ApiError) {
    assert!(!error.message.is_empty() && !error.to_string().is_empty(), "{error:?}");
    assert!(error.retry_after.is_none_or(|wait| wait <= WAIT_MAX), "{error:?}");
    let mut cause = std::error::Error::source(error);
    while let Some(known) = cause {
        assert!(known.to_string().len() < 1 << 20);
        cause = known.source();
    }
}

fn ids(one: &str, other: &str) {
    let (id, uppercase) = (ResourceId::new(one), ResourceId::new(one.to_ascii_uppercase()));
    assert!(id == uppercase && id.is_within(one));
    let other = ResourceId::new(other);
    let (forth, back) = (id == other, other == id);
    assert_eq!(forth, back);
    assert!(id.join("below").is_within(one) && id.join("below").name() == "below");
    assert!(one.contains(id.name()));
    let _ = (id.subscription(), id.resource_group());
}
