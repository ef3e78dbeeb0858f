use http::Method;

use crate::blob::AUDIENCE;
use crate::entra;
use crate::request::{Delivery, Reply, Request};
use crate::state::DOMAIN;
use crate::test_cloud::TestCloud;
use serde_json::json;

const ONE: &str = "11111111-1111-4111-8111-111111111111";
const TWO: &str = "22222222-2222-4222-8222-222222222222";
const BLOB: &str = "/landfall/default/journal.jsonl";

fn contributor(cloud: &mut TestCloud) {
    let role = "ba92f5b4-2d11-453d-a403-e96b0029c9fe";
    let scope = cloud.in_group("Microsoft.Storage/storageAccounts/acct");
    let path = format!(
        "{scope}/providers/Microsoft.Authorization/roleAssignments/33333333-3333-4333-8333-333333333333?api-version=2022-04-01"
    );
    let definition = cloud.path(&format!("/providers/Microsoft.Authorization/roleDefinitions/{role}"));
    let owner = cloud.state.directory.owner().object_id.clone();
    let body = json!({ "properties": { "roleDefinitionId": definition, "principalId": owner, "principalType": "ServicePrincipal" } });
    assert_eq!(cloud.put(&path, &body).status, 201);
    cloud.advance(61.0);
}

/// Creates a cloud with an account, a container, a role, and an empty blob.
fn with_blob() -> TestCloud {
    let mut cloud = TestCloud::new();
    let account = cloud.in_group("Microsoft.Storage/storageAccounts/acct?api-version=2024-01-01");
    let body = json!({ "location": "eastus", "kind": "StorageV2", "sku": { "name": "Standard_LRS" }, "properties": {} });
    let accepted = cloud.put(&account, &body);
    assert_eq!((accepted.status.as_u16(), accepted.body.len()), (202, 0));
    assert!(accepted.headers.contains_key("location"));
    assert_eq!(
        send(&mut cloud, Method::GET, BLOB, &[]).delivery,
        Delivery::Cut,
        "its name does not resolve yet"
    );
    cloud.advance(18.0);
    let container = cloud.in_group(
        "Microsoft.Storage/storageAccounts/acct/blobServices/default/containers/landfall?api-version=2024-01-01",
    );
    assert_eq!(cloud.put(&container, &json!({})).status, 201);
    let create = [("x-ms-blob-type", "AppendBlob"), ("if-none-match", "*")];
    assert_eq!(code(&send(&mut cloud, Method::PUT, BLOB, &create)), "AuthorizationPermissionMismatch");
    contributor(&mut cloud);
    assert_eq!(send(&mut cloud, Method::PUT, BLOB, &create).status, 201);
    assert_eq!(code(&send(&mut cloud, Method::PUT, BLOB, &create)), "BlobAlreadyExists");
    cloud
}

fn request(cloud: &TestCloud, method: Method, target: &str, headers: &[(&'static str, &str)]) -> Request {
    let owner = cloud.state.directory.owner().object_id.clone();
    let token = entra::token_for(&cloud.state, &owner, AUDIENCE, cloud.now);
    let mut request = Request::new(method, &format!("acct.blob.{DOMAIN}"), target)
        .with_header("authorization", &format!("Bearer {token}"))
        .with_header("x-ms-version", "2026-04-06");
    for (name, value) in headers {
        request = request.with_header(name, value);
    }
    request
}

fn send(cloud: &mut TestCloud, method: Method, target: &str, headers: &[(&'static str, &str)]) -> Reply {
    let request = request(cloud, method, target, headers);
    cloud.send(&request)
}

fn code(reply: &Reply) -> &str {
    reply.headers.get("x-ms-error-code").map_or("", |code| code.to_str().unwrap())
}

fn append(cloud: &mut TestCloud, at: &str, lease: Option<&str>, text: &str) -> Reply {
    let mut headers = vec![("x-ms-blob-condition-appendpos", at)];
    headers.extend(lease.map(|lease| ("x-ms-lease-id", lease)));
    let mut request = request(cloud, Method::PUT, &format!("{BLOB}?comp=appendblock"), &headers);
    request.body = text.to_owned().into();
    cloud.send(&request)
}

fn lease(cloud: &mut TestCloud, action: &str, id: &str) -> Reply {
    let headers = match action {
        "acquire" => vec![("x-ms-lease-duration", "60"), ("x-ms-proposed-lease-id", id)],
        "break" => vec![("x-ms-lease-break-period", id)],
        _ => vec![("x-ms-lease-id", id)],
    };
    let headers = [vec![("x-ms-lease-action", action)], headers].concat();
    send(cloud, Method::PUT, &format!("{BLOB}?comp=lease"), &headers)
}

#[test]
fn an_append_lands_at_its_position_or_nowhere() {
    let mut cloud = with_blob();
    assert_eq!(lease(&mut cloud, "acquire", ONE).status, 201);
    let first = append(&mut cloud, "0", Some(ONE), "one\n");
    assert_eq!(first.status, 201);
    assert_eq!(first.headers["x-ms-blob-append-offset"], "0");
    assert_eq!(first.headers["x-ms-blob-committed-block-count"], "1");
    assert_eq!(code(&append(&mut cloud, "0", Some(ONE), "one\n")), "AppendPositionConditionNotMet");
    assert_eq!(append(&mut cloud, "4", Some(ONE), "two\n").headers["x-ms-blob-append-offset"], "4");
    let rest = send(&mut cloud, Method::GET, BLOB, &[("x-ms-range", "bytes=4-")]);
    assert_eq!((rest.status.as_u16(), &rest.body[..]), (206, &b"two\n"[..]));
    assert_eq!(code(&send(&mut cloud, Method::GET, BLOB, &[("x-ms-range", "bytes=8-")])), "InvalidRange");
    let head = send(&mut cloud, Method::HEAD, BLOB, &[]);
    assert_eq!(
        (&head.headers["x-ms-lease-state"], &head.headers["content-length"]),
        (&"leased".parse().unwrap(), &"8".parse().unwrap())
    );
    assert_eq!(code(&append(&mut cloud, "99", None, "x")), "LeaseIdMissing", "the lease is checked first");
}

#[test]
fn a_lease_fences_every_other_writer() {
    let mut cloud = with_blob();
    assert_eq!(lease(&mut cloud, "acquire", ONE).status, 201);
    assert_eq!(lease(&mut cloud, "acquire", ONE).status, 201, "the same id again");
    assert_eq!(code(&lease(&mut cloud, "acquire", TWO)), "LeaseAlreadyPresent");
    assert_eq!(code(&append(&mut cloud, "0", None, "x")), "LeaseIdMissing");
    assert_eq!(code(&append(&mut cloud, "0", Some(TWO), "x")), "LeaseIdMismatchWithBlobOperation");
    cloud.advance(59.9);
    assert_eq!(append(&mut cloud, "0", Some(ONE), "x").status, 201);
    cloud.advance(0.1);
    assert_eq!(code(&append(&mut cloud, "1", Some(ONE), "x")), "LeaseLost");
    assert_eq!(lease(&mut cloud, "renew", ONE).status, 200, "no other client took it");
    cloud.advance(60.0);
    assert_eq!(lease(&mut cloud, "acquire", TWO).status, 201);
    assert_eq!(code(&append(&mut cloud, "1", Some(ONE), "x")), "LeaseIdMismatchWithBlobOperation");
    assert_eq!(code(&lease(&mut cloud, "renew", ONE)), "LeaseIdMismatchWithLeaseOperation");
    cloud.advance(60.0);
    assert_eq!(append(&mut cloud, "1", None, "x").status, 201, "a writer without an id is not fenced");
    assert_eq!(code(&lease(&mut cloud, "renew", TWO)), "LeaseIdMismatchWithLeaseOperation");
    assert_eq!(code(&append(&mut cloud, "2", Some(TWO), "x")), "LeaseNotPresentWithBlobOperation");
}

#[test]
fn a_broken_lease_lets_its_holder_finish() {
    let mut cloud = with_blob();
    assert_eq!(code(&lease(&mut cloud, "break", "0")), "LeaseNotPresentWithLeaseOperation");
    lease(&mut cloud, "acquire", ONE);
    let broken = lease(&mut cloud, "break", "30");
    assert_eq!((broken.status.as_u16(), &broken.headers["x-ms-lease-time"]), (202, &"30".parse().unwrap()));
    assert_eq!(code(&lease(&mut cloud, "renew", ONE)), "LeaseIsBrokenAndCannotBeRenewed");
    assert_eq!(append(&mut cloud, "0", Some(ONE), "x").status, 201);
    assert_eq!(code(&lease(&mut cloud, "acquire", TWO)), "LeaseAlreadyPresent");
    cloud.advance(30.0);
    assert_eq!(code(&append(&mut cloud, "1", Some(ONE), "x")), "LeaseNotPresentWithBlobOperation");
    assert_eq!(code(&lease(&mut cloud, "renew", ONE)), "LeaseIsBrokenAndCannotBeRenewed");
    assert_eq!(lease(&mut cloud, "break", "0").status, 202, "again");
    assert_eq!(lease(&mut cloud, "acquire", TWO).status, 201);
    assert_eq!(lease(&mut cloud, "release", TWO).status, 200);
    assert_eq!(code(&lease(&mut cloud, "release", TWO)), "LeaseIdMismatchWithLeaseOperation");
}

#[test]
fn an_id_can_be_changed_and_the_old_one_is_fenced() {
    let mut cloud = with_blob();
    lease(&mut cloud, "acquire", ONE);
    let headers = [("x-ms-lease-action", "change"), ("x-ms-lease-id", ONE), ("x-ms-proposed-lease-id", TWO)];
    for _ in 0..2 {
        assert_eq!(send(&mut cloud, Method::PUT, &format!("{BLOB}?comp=lease"), &headers).status, 200);
    }
    assert_eq!(code(&append(&mut cloud, "0", Some(ONE), "x")), "LeaseIdMismatchWithBlobOperation");
    assert_eq!(append(&mut cloud, "0", Some(TWO), "x").status, 201);
}

#[test]
fn a_sealed_blob_takes_no_appends_and_metadata_is_listed() {
    let mut cloud = with_blob();
    lease(&mut cloud, "acquire", ONE);
    append(&mut cloud, "0", Some(ONE), "x");
    let held = [("x-ms-lease-id", ONE), ("x-ms-meta-landfall_moved", "here & there")];
    assert_eq!(send(&mut cloud, Method::PUT, &format!("{BLOB}?comp=metadata"), &held).status, 200);
    assert_eq!(append(&mut cloud, "1", Some(ONE), "y").status, 201, "metadata does not move the position");
    for _ in 0..2 {
        assert_eq!(send(&mut cloud, Method::PUT, &format!("{BLOB}?comp=seal"), &held[..1]).status, 200);
    }
    assert_eq!(code(&append(&mut cloud, "2", Some(ONE), "z")), "BlobIsSealed");
    let list = "/landfall?restype=container&comp=list&prefix=default/&include=metadata";
    let listed = String::from_utf8(send(&mut cloud, Method::GET, list, &[]).body.to_vec()).unwrap();
    for part in [
        "<Name>default/journal.jsonl</Name>",
        "<LeaseState>leased</LeaseState>",
        "<Content-Length>2</Content-Length>",
        "<Sealed>true</Sealed>",
        "<landfall_moved>here &amp; there</landfall_moved>",
        "<NextMarker></NextMarker>",
    ] {
        assert!(listed.contains(part), "{part}: {listed}");
    }
}

#[test]
fn a_token_of_another_audience_and_an_old_version_are_refused() {
    let mut cloud = with_blob();
    let owner = cloud.state.directory.owner().object_id.clone();
    let token = entra::token_for(&cloud.state, &owner, &cloud.state.arm_audience(), cloud.now);
    let plain = Request::new(Method::GET, &format!("acct.blob.{DOMAIN}"), BLOB);
    let refused = cloud.send(&plain.clone().with_header("authorization", &format!("Bearer {token}")));
    assert_eq!((refused.status.as_u16(), code(&refused)), (401, "InvalidAuthenticationInfo"));
    assert!(
        refused.headers["www-authenticate"]
            .to_str()
            .unwrap()
            .contains("resource_id=https://storage.azure.com")
    );
    assert_eq!(code(&cloud.send(&plain)), "NoAuthenticationInformation");
    let token = entra::token_for(&cloud.state, &owner, &format!("https://acct.blob.{DOMAIN}"), cloud.now);
    let own = plain.with_header("authorization", &format!("Bearer {token}"));
    assert_eq!(code(&cloud.send(&own)), "MissingRequiredHeader", "the token is accepted");
    let old = own.with_header("x-ms-version", "2015-02-21");
    assert_eq!(code(&cloud.send(&old)), "InvalidHeaderValue");
}

#[test]
fn each_fault_acts_on_an_append_only() {
    for (fault, expected) in [
        ("append-busy", "ServerBusy"),
        ("append-forbidden", "AuthorizationPermissionMismatch"),
        ("lease-expired", "LeaseLost"),
        ("lease-broken", "LeaseNotPresentWithBlobOperation"),
        ("lease-taken", "LeaseIdMismatchWithBlobOperation"),
    ] {
        let mut cloud = with_blob();
        cloud.state.arm(crate::fault::Faults::read(&[fault.to_owned()]).unwrap());
        assert_eq!(lease(&mut cloud, "acquire", ONE).status, 201, "{fault}");
        let refused = append(&mut cloud, "0", Some(ONE), "x");
        assert_eq!((code(&refused), refused.fault), (expected, Some(fault)));
        assert!(refused.headers.contains_key("x-ms-request-id"));
    }
    let mut cloud = with_blob();
    cloud.state.arm(crate::fault::Faults::read(&["append-answer-lost".to_owned()]).unwrap());
    lease(&mut cloud, "acquire", ONE);
    assert_eq!(append(&mut cloud, "0", Some(ONE), "x").delivery, Delivery::Cut);
    assert_eq!(code(&append(&mut cloud, "0", Some(ONE), "x")), "AppendPositionConditionNotMet");
}

#[test]
fn an_account_is_unique_and_goes_with_its_group() {
    let mut cloud = with_blob();
    cloud.state.add_group("other", "eastus", &serde_json::Value::Null, None, cloud.now);
    let second = cloud.path(
        "/resourceGroups/other/providers/Microsoft.Storage/storageAccounts/acct?api-version=2024-01-01",
    );
    let body = json!({ "location": "eastus", "kind": "StorageV2", "sku": { "name": "Standard_LRS" } });
    assert_eq!(crate::test_cloud::code(&cloud.put(&second, &body)), "StorageAccountAlreadyTaken");
    let invalid = cloud.in_group("Microsoft.Storage/storageAccounts/Acct-1?api-version=2024-01-01");
    assert_eq!(crate::test_cloud::code(&cloud.put(&invalid, &body)), "AccountNameInvalid");
    let group = cloud.path("/resourceGroups/rg?api-version=2024-11-01");
    assert_eq!(cloud.delete(&group).status, 202);
    cloud.advance(120.0);
    assert_eq!(cloud.state.storage, Default::default());
    assert_eq!(send(&mut cloud, Method::GET, BLOB, &[]).delivery, Delivery::Cut);
}
