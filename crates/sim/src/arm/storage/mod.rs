//! Storage accounts and their blob containers (Storage Resource Provider REST API). The data plane is
//! [`blob`](crate::blob).
//!
//! An account's name is a label in DNS, so it is unique in all of Azure. The containers of an account are data of the
//! blob service, which Resource Manager shows under `blobServices/default/containers`.

mod blob_service;
pub(crate) mod provider;
pub mod store;

use http::Method;
use serde_json::{Value, json};

use crate::arm::error::ArmError;
use crate::arm::operation::Style;
use crate::arm::resource_type::{Draft, Hooks, Properties, Resource, ResourceType, Write};
use crate::arm::versions::STORAGE as VERSIONS;
use crate::arm::{Call, id};
use crate::blob::store::{Container, is_container_name};
use crate::clock::SimTime;
use crate::durations::{STORAGE_ACCOUNT_PUT, STORAGE_RETRY_AFTER};
use crate::request::Reply;
use crate::state::{CloudState, DOMAIN};

const CONTAINERS: &str = "Microsoft.Storage/storageAccounts/blobServices/containers";
const CONTAINERS_PATH: &str = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Storage/storageAccounts/{account}/blobServices/default/containers";
const CONTAINER_PATH: &str = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Storage/storageAccounts/{account}/blobServices/default/containers/{container}";
const NAME_PATH: &str = "/subscriptions/{subscription}/providers/Microsoft.Storage/checkNameAvailability";

/// The type of accounts.
pub const ACCOUNT: ResourceType = ResourceType {
    versions: VERSIONS,
    check_name,
    properties,
    read_only: &["primaryEndpoints", "primaryLocation", "creationTime", "statusOfPrimary"],
    put: Write::operation("CreateStorageAccount", Style::Location, STORAGE_ACCOUNT_PUT, STORAGE_RETRY_AFTER),
    answers_creation_with_202: true,
    hooks: Hooks { prepare, deleted, ..Hooks::NONE },
    ..ResourceType::new("Microsoft.Storage/storageAccounts")
};

fn is_name(name: &str) -> bool {
    let allowed = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    (3..=24).contains(&name.len()) && name.chars().all(allowed)
}

fn invalid_name(name: &str) -> String {
    format!(
        "{name} is not a valid storage account name. Storage account name must be between 3 and 24 characters in length and \
         use numbers and lower-case letters only."
    )
}

fn check_name(name: &str) -> Result<(), ArmError> {
    match is_name(name) {
        true => Ok(()),
        false => Err(ArmError::new(400, "AccountNameInvalid", invalid_name(name))),
    }
}

/// Adds the defaults of the service.
fn properties(mut given: Properties) -> Result<Properties, ArmError> {
    let defaults = [
        ("supportsHttpsTrafficOnly", json!(true)),
        ("minimumTlsVersion", json!("TLS1_0")),
        ("allowBlobPublicAccess", json!(false)),
        ("accessTier", json!("Hot")),
        ("encryption", json!({ "keySource": "Microsoft.Storage" })),
        ("networkAcls", json!({ "bypass": "AzureServices", "defaultAction": "Allow" })),
    ];
    for (name, value) in defaults {
        given.entry(name).or_insert(value);
    }
    Ok(given)
}

fn prepare(state: &mut CloudState, call: &Call<'_>, draft: &mut Draft) -> Result<(), ArmError> {
    let name = draft.desired.name().to_owned();
    let taken = state
        .tracked
        .of_kind(ACCOUNT.kind)
        .any(|one| one.name() == name && !id::same(&one.id, &draft.desired.id));
    if taken {
        let why = format!("The storage account named {name} is already taken.");
        return Err(ArmError::new(409, "StorageAccountAlreadyTaken", why));
    }
    for field in ["sku", "kind"] {
        let given = match field {
            "sku" => draft.body["sku"]["name"].as_str(),
            _ => draft.body["kind"].as_str(),
        };
        let stored = draft.existing.as_ref().and_then(|existing| existing.fields.get(field).cloned());
        let value = match (given, stored) {
            (Some(name), _) if field == "sku" => json!({ "name": name, "tier": tier(name) }),
            (Some(kind), _) => json!(kind),
            (None, Some(stored)) => stored,
            (None, None) => {
                let why = format!("The value for one of the properties is required: account.{field}.");
                return Err(ArmError::new(400, "AccountPropertyIsRequired", why));
            }
        };
        draft.desired.fields.insert(field.to_owned(), value);
    }
    let port = state.port;
    let blob = format!("https://{name}.blob.{DOMAIN}:{port}/");
    let properties = &mut draft.desired.properties;
    properties.insert("primaryEndpoints".to_owned(), json!({ "blob": blob }));
    properties.insert("primaryLocation".to_owned(), json!(draft.desired.location));
    properties.insert("statusOfPrimary".to_owned(), json!("available"));
    let created = draft.existing.as_ref().map_or(call.now, |existing| existing.created);
    properties.insert("creationTime".to_owned(), json!(created.rfc3339()));
    state.storage.add(&name);
    Ok(())
}

fn deleted(state: &mut CloudState, account: &Resource) {
    state.storage.remove(account.name());
    state.blob_services.remove(account.name());
}

fn tier(sku: &str) -> &str {
    sku.split('_').next().unwrap_or("Standard")
}

/// Returns the account of that name, if its creation has ended; on Azure its name resolves from then on.
pub(crate) fn reachable<'a>(state: &'a CloudState, name: &str, now: SimTime) -> Option<&'a Resource> {
    let mut accounts = state.tracked.of_kind(ACCOUNT.kind);
    accounts.find(|one| one.name() == name && (one.busy_until(now).is_none() || one.progress() == UPDATING))
}

const UPDATING: crate::arm::resource_type::Progress = crate::arm::resource_type::Progress::Updating;

fn account<'a>(state: &'a CloudState, call: &Call<'_>) -> Result<&'a Resource, ArmError> {
    let (name, group) = (call.param("account"), call.param("group"));
    let found = state.tracked.of_kind(ACCOUNT.kind).find(|one| {
        one.name().eq_ignore_ascii_case(name)
            && id::part(&one.id, "resourceGroups").is_some_and(|own| own.eq_ignore_ascii_case(group))
    });
    found.ok_or_else(|| ArmError::resource_not_found(ACCOUNT.kind, name, group))
}

fn container_body(account: &Resource, name: &str, container: &Container) -> Value {
    json!({
        "id": format!("{}/blobServices/default/containers/{name}", account.id),
        "name": name,
        "type": CONTAINERS,
        "etag": format!("\"{}\"", container.etag),
        "properties": {
            "publicAccess": "None", "leaseStatus": "Unlocked", "leaseState": "Available",
            "lastModifiedTime": container.modified.rfc3339(), "hasLegalHold": false, "hasImmutabilityPolicy": false,
        },
    })
}

fn container_not_found() -> ArmError {
    ArmError::new(404, "ContainerNotFound", "The specified container does not exist.")
}

fn list_containers(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let account = account(state, call)?;
    let containers = state.storage.containers(account.name());
    let value: Vec<Value> =
        containers.map(|(name, container)| container_body(account, name, container)).collect();
    Ok(Reply::json(200, &json!({ "value": value })))
}

fn get_container(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let account = account(state, call)?;
    let name = call.param("container").to_owned();
    let container = state.storage.container(account.name(), &name).ok_or_else(container_not_found)?;
    Ok(Reply::json(200, &container_body(account, &name, container)))
}

/// Creates a container; 200 if it exists.
fn put_container(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let account = account(state, call)?.clone();
    let name = call.param("container").to_owned();
    if !is_container_name(&name) {
        let why = "The specified resource name contains invalid characters, or is too short or too long.";
        return Err(ArmError::new(400, "InvalidResourceName", why));
    }
    let etag = format!("0x{}", &state.hex("container-etag")[..15].to_ascii_uppercase());
    let created = state.storage.create_container(account.name(), &name, etag, call.now);
    let container = state.storage.container(account.name(), &name).ok_or_else(container_not_found)?;
    Ok(Reply::json(if created { 201 } else { 200 }, &container_body(&account, &name, container)))
}

fn delete_container(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let account = account(state, call)?.name().to_owned();
    let deleted = state.storage.remove_container(&account, call.param("container"));
    Ok(Reply::empty(if deleted { 200 } else { 204 }))
}

fn check_availability(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    debug_assert_eq!(call.request.method, Method::POST);
    let body = call.body()?;
    let name = body["name"].as_str().unwrap_or_default();
    let taken = state.tracked.of_kind(ACCOUNT.kind).any(|one| one.name() == name);
    let answer = match (is_name(name), taken) {
        (false, _) => json!({
            "nameAvailable": false, "reason": "AccountNameInvalid", "message": invalid_name(name),
        }),
        (true, true) => json!({
            "nameAvailable": false, "reason": "AlreadyExists",
            "message": format!("The storage account named {name} is already taken."),
        }),
        (true, false) => json!({ "nameAvailable": true }),
    };
    Ok(Reply::json(200, &answer))
}
