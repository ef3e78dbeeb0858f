//! Faults of vaults and certificates: taken names, late DNS registration, and roles that are not effective
//! yet.

use serde_json::{Value, json};

use super::delay;
use super::row::{Injection, Kind, RequestContext, Row};
use super::variants::Fault;
use crate::arm::roles;
use crate::arm::vaults::test_hooks;
use crate::delays::DelaySubject;
use crate::entra;
use crate::state::CloudState;
use crate::vault;

const fn row(
    fault: Fault,
    name: &'static str,
    place: (&'static str, &'static str),
    what: &'static str,
    client: &'static str,
    heals: bool,
    injection: fn(&mut CloudState, &RequestContext<'_>) -> bool,
) -> Row {
    let (method, path) = place;
    Row {
        fault,
        name,
        kind: Kind::StateChange,
        method,
        path,
        what,
        client,
        heals,
        injection: Injection::Before(injection),
    }
}

/// The rows of this topic.
pub(super) const ROWS: &[Row] = &[
    row(
        Fault::VaultSoftDeleted,
        "vault-soft-deleted",
        ("", "/microsoft.keyvault/vaults/"),
        "a vault of that name was deleted in this group: 409 `ConflictError` until it is recovered or purged",
        "recovers it, and grants the roles again",
        true,
        soft_deleted,
    ),
    row(
        Fault::VaultTaken,
        "vault-taken",
        ("", "/microsoft.keyvault/vaults/"),
        "a vault of another tenant has the name: 409 `VaultAlreadyExists`",
        "reports that another name is required",
        false,
        taken,
    ),
    row(
        Fault::VaultUnresolved,
        "vault-unresolved",
        ("", ".vault."),
        "the vault's name does not resolve for 120 s of cloud time; here its connections break",
        "retries for a few minutes",
        true,
        unresolved,
    ),
    row(
        Fault::ForbiddenYet,
        "forbidden-yet",
        ("", ".vault."),
        "the vault does not know of the caller's role for 300 s of cloud time: 403 `ForbiddenByRbac`",
        "repeats what was refused for as long as propagation may take",
        true,
        not_effective_yet,
    ),
    row(
        Fault::CertificateSoftDeleted,
        "certificate-soft-deleted",
        ("", "/certificates/"),
        "another client has deleted the certificate of that name: 404, and 409 \
         `ObjectIsDeletedButRecoverable` for an import",
        "recovers it, then imports its own as a new version",
        true,
        certificate,
    ),
];

fn soft_deleted(state: &mut CloudState, context: &RequestContext<'_>) -> bool {
    let (Some(name), Some(group)) = (context.after("vaults"), context.after("resourceGroups")) else {
        return false;
    };
    let Some(known) = state.groups.get(&group.to_lowercase()).filter(|group| group.deleted_at.is_none())
    else {
        return false;
    };
    // The vault counts as owned: it has the tags of the request, or those of its group.
    let body = context.request.json::<Value>().unwrap_or_default();
    let tags = if body["tags"].is_object() { body["tags"].clone() } else { json!(known.tags) };
    let requested_location = body["location"].as_str().map(|text| text.replace(' ', "").to_lowercase());
    let location = requested_location.unwrap_or_else(|| known.location.clone());
    let group = known.name.clone();
    test_hooks::create_soft_deleted(state, &name, &group, &location, &tags, context.now)
}

fn taken(state: &mut CloudState, context: &RequestContext<'_>) -> bool {
    let Some(name) = context.after("vaults").filter(|name| state.vaults.is_free(name)) else { return false };
    state.vaults.reserve_name(&name);
    true
}

/// Returns the lower-case name of the vault in a data plane request.
fn vault_of(context: &RequestContext<'_>) -> Option<String> {
    let (name, rest) = context.request.host.split_once('.')?;
    rest.starts_with("vault.").then(|| name.to_ascii_lowercase())
}

fn unresolved(state: &mut CloudState, context: &RequestContext<'_>) -> bool {
    let Some(name) = vault_of(context).filter(|name| state.vaults.id_of(name, context.now).is_some()) else {
        return false;
    };
    state.delays.hold(DelaySubject::VaultName(name), delay::VAULT_NAME, context.now, context.timing);
    true
}

fn not_effective_yet(state: &mut CloudState, context: &RequestContext<'_>) -> bool {
    let id = vault_of(context).and_then(|name| state.vaults.id_of(&name, context.now));
    let caller = entra::bearer(state, context.request, &state.vault_audience(), context.now);
    let (Some(id), Ok(caller)) = (id, caller) else { return false };
    let from = context.timing.delayed_until(context.now, delay::GRANT);
    let postponed = roles::test_hooks::delay_grants(state, &caller.object_id, &id, context.now, from);
    for name in &postponed {
        let subject = DelaySubject::Grant(name.to_ascii_lowercase());
        state.delays.hold(subject, delay::GRANT, context.now, context.timing);
    }
    !postponed.is_empty()
}

fn certificate(state: &mut CloudState, context: &RequestContext<'_>) -> bool {
    let (Some(vault), Some(name)) = (vault_of(context), context.after("certificates")) else { return false };
    vault::fault_hooks::soft_delete_certificate(state, &vault, &name, context.now)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::arm;
    use super::*;
    use crate::clock::{Speed, Timing};
    use crate::request::{Delivery, Reply};
    use crate::test_cloud::{TestCloud, code};
    use crate::vault::material::tests::fixture;
    use http::Method;

    const READ: &str = "/certificates/c?api-version=7.4";

    fn put(cloud: &mut TestCloud, mode: Option<&str>) -> Reply {
        let mut body = cloud.vault_body();
        if let Some(mode) = mode {
            body["properties"]["createMode"] = json!(mode);
        }
        cloud.arm(Method::PUT, &TestCloud::vault_path("kv-demo"), Some(&body))
    }

    fn read(cloud: &mut TestCloud) -> Reply {
        cloud.vault("kv-demo", Method::GET, READ, None)
    }

    #[test]
    fn a_vault_deleted_before_the_first_check_can_be_recovered() {
        let mut cloud = TestCloud::new();
        arm(&mut cloud, "vault-soft-deleted");
        assert_eq!(cloud.arm(Method::GET, &TestCloud::vault_path("kv-demo"), None).status, 404);
        let reply = put(&mut cloud, None);
        assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (409, "ConflictError"));
        let deleted =
            "/providers/Microsoft.KeyVault/locations/eastus/deletedVaults/kv-demo?api-version=2026-02-01";
        assert_eq!(cloud.arm(Method::GET, deleted, None).status, 200);
        assert_eq!(put(&mut cloud, Some("recover")).status, 200);
        cloud.advance(21.0);
        let exists = cloud.arm(Method::GET, &TestCloud::vault_path("kv-demo"), None).value();
        assert_eq!(exists["properties"]["provisioningState"], "Succeeded");
        assert_eq!(exists["properties"]["enableRbacAuthorization"], true);
    }

    #[test]
    fn a_foreign_vault_can_have_the_name() {
        let mut cloud = TestCloud::new();
        arm(&mut cloud, "vault-taken");
        let reply = put(&mut cloud, None);
        assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (409, "VaultAlreadyExists"));
        let none = cloud.arm(
            Method::GET,
            "/providers/Microsoft.KeyVault/deletedVaults?api-version=2026-02-01",
            None,
        );
        assert_eq!(none.value()["value"], json!([]));
    }

    #[test]
    fn a_name_may_not_resolve_for_two_minutes() {
        let mut cloud = TestCloud::new();
        cloud.make_vault("kv-demo");
        arm(&mut cloud, "vault-unresolved");
        assert_eq!(read(&mut cloud).delivery, Delivery::Cut);
        cloud.advance(119.0);
        assert_eq!(read(&mut cloud).delivery, Delivery::Cut);
        cloud.advance(1.0);
        assert_eq!(read(&mut cloud).status, 403);
    }

    #[test]
    fn a_vault_can_ignore_a_role_for_some_time() {
        let mut cloud = TestCloud::new();
        cloud.make_vault("kv-demo");
        arm(&mut cloud, "forbidden-yet");
        assert_eq!(read(&mut cloud).status, 403);
        assert_eq!(cloud.state.faults.armed.len(), 1, "who has no role has none to lose");
        cloud.make_officer("kv-demo");
        let refused = read(&mut cloud);
        assert_eq!(refused.value()["error"]["innererror"]["code"], "ForbiddenByRbac");
        cloud.advance(299.0);
        assert_eq!(read(&mut cloud).status, 403);
        cloud.advance(1.0);
        assert_eq!(read(&mut cloud).status, 404);
        cloud.timing = Timing::new(Speed::Instant);
        arm(&mut cloud, "forbidden-yet");
        let uses_polls = [403, 403, 403, 404];
        assert_eq!(uses_polls.map(|_| read(&mut cloud).status.as_u16()), uses_polls);
    }

    #[test]
    fn a_deleted_certificate_reserves_its_name() {
        for was_imported in [true, false] {
            let mut cloud = TestCloud::new();
            cloud.make_vault("kv-demo");
            cloud.make_officer("kv-demo");
            let body = json!({ "value": fixture("ec.pfx"), "pwd": "correct-horse" });
            let import = "/certificates/c/import?api-version=7.4";
            if was_imported {
                assert_eq!(cloud.vault("kv-demo", Method::POST, import, Some(&body)).status, 200);
            }
            arm(&mut cloud, "certificate-soft-deleted");
            assert_eq!(code(&read(&mut cloud)), "CertificateNotFound");
            let refused = cloud.vault("kv-demo", Method::POST, import, Some(&body));
            assert_eq!(refused.status, 409);
            assert_eq!(refused.value()["error"]["innererror"]["code"], "ObjectIsDeletedButRecoverable");
            let recover = "/deletedcertificates/c/recover?api-version=7.4";
            assert_eq!(cloud.vault("kv-demo", Method::POST, recover, None).status, 200);
            cloud.advance(6.0);
            assert_eq!(
                cloud.vault("kv-demo", Method::POST, import, Some(&body)).status,
                200,
                "{was_imported}"
            );
        }
    }
}
