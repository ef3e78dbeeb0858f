//! Checks of the vault's end: the add-on's configuration, and access to the version in the vault.

use super::{Finding, RotationContext, SelfRecovery};
use landfall_cloud::{ApiError, vault::CertificateVersion};
use serde_json::Value;

const ADD_ON: &str = "azureKeyvaultSecretsProvider";

/// Checks the add-on as Resource Manager shows it. Without it nothing is mounted.
pub(crate) fn add_on(cluster: &Value) -> Option<Finding> {
    let name = cluster["name"].as_str().unwrap_or_default();
    let add_on = &cluster["properties"]["addonProfiles"][ADD_ON];
    if add_on["enabled"].as_bool() != Some(true) {
        let finding = Finding::new(
            "ADD_ON_OFF",
            format!("the Secrets Store add-on of cluster {name} is disabled"),
            "run landfall up: it enables the add-on",
        );
        return Some(
            finding
                .evidence(format!("addonProfiles.{ADD_ON}.enabled is {}", add_on["enabled"]))
                .self_recovery(SelfRecovery::Never),
        );
    }
    None
}

/// Checks the add-on's rotation. Without it the mounted content never changes.
pub(crate) fn rotation(cluster: &Value) -> Option<Finding> {
    let name = cluster["name"].as_str().unwrap_or_default();
    // The values of the configuration are strings.
    let rotation = &cluster["properties"]["addonProfiles"][ADD_ON]["config"]["enableSecretRotation"];
    if rotation.as_str().is_some_and(|text| text.eq_ignore_ascii_case("true")) {
        return None;
    }
    let group = cluster["id"].as_str().and_then(|id| id.split('/').nth(4)).unwrap_or("GROUP");
    let finding = Finding::new(
        "ROTATION_OFF",
        format!("rotation is disabled in the Secrets Store add-on of cluster {name}"),
        format!(
            "run landfall up: it enables rotation; or az aks addon update -g {group} -n {name} --addon \
             azure-keyvault-secrets-provider --enable-secret-rotation"
        ),
    );
    Some(
        finding
            .evidence(format!("addonProfiles.{ADD_ON}.config.enableSecretRotation is {rotation}"))
            .self_recovery(SelfRecovery::Never),
    )
}

/// Reads the version from the vault.
pub(super) async fn version(context: &RotationContext<'_>) -> Result<Option<CertificateVersion>, Finding> {
    let response = async { context.vaults.at(&context.vault.uri)?.versions(&context.certificate.name).await };
    evaluate_versions(&response.await, context)
}

/// Evaluates the vault's response to the list of versions. A refusal for landfall says nothing about the
/// driver's access, unless the vault's firewall refused.
pub(crate) fn evaluate_versions(
    response: &Result<Vec<CertificateVersion>, ApiError>,
    context: &RotationContext<'_>,
) -> Result<Option<CertificateVersion>, Finding> {
    let versions = match response {
        Ok(versions) => versions,
        Err(error) if error.inner_code.as_deref().is_some_and(is_network_refusal) => {
            return Err(firewall(context).evidence(response_text(error)));
        }
        Err(_) => return Ok(None),
    };
    let version = versions.iter().find(|version| version.version == context.certificate.version);
    match version {
        Some(version) if !version.enabled => Err(disabled(context)),
        version => Ok(version.cloned()),
    }
}

/// Returns whether an inner code is a refusal of the client's network location.
fn is_network_refusal(code: &str) -> bool {
    matches!(code, "ForbiddenByFirewall" | "ForbiddenByConnection")
}

/// Returns the finding for a disabled version.
pub(super) fn disabled(context: &RotationContext<'_>) -> Finding {
    let (name, version, vault) =
        (&context.certificate.name, &context.certificate.version, &context.vault.name);
    Finding::new(
        "CERTIFICATE_DISABLED",
        format!("certificate {name} is disabled in {vault}, so the vault does not return it"),
        format!(
            "enable it: az keyvault certificate set-attributes --vault-name {vault} --name {name} --enabled true"
        ),
    )
    .evidence(format!("version {version} has enabled = false"))
    .self_recovery(SelfRecovery::Never)
}

/// Returns the finding for a vault firewall that blocks the nodes.
pub(super) fn firewall(context: &RotationContext<'_>) -> Finding {
    let vault = &context.vault.name;
    let finding = Finding::new(
        "VAULT_FIREWALL",
        format!("the firewall of {vault} blocks the cluster's nodes"),
        format!(
            "allow the nodes' subnet, which needs the service endpoint Microsoft.KeyVault: az keyvault \
             network-rule add --name {vault} --subnet SUBNET_ID; or create a private endpoint for the vault"
        ),
    );
    let Some(properties) = context.vault_body.map(|body| &body["properties"]) else { return finding };
    let access = properties["publicNetworkAccess"].as_str().unwrap_or("Enabled");
    let default = properties["networkAcls"]["defaultAction"].as_str().unwrap_or("Allow");
    finding.evidence(format!("publicNetworkAccess is {access}, networkAcls.defaultAction is {default}"))
}

fn response_text(error: &ApiError) -> String {
    let code = error.inner_code.as_deref().unwrap_or_default();
    format!("{} {} returned {} {code}", error.method, error.url, error.status.unwrap_or_default())
}
