//! The Azure provider: fetches the objects of a class as files.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::class::{Class, Identity, ObjectSpec};
use super::{File, class, pem_conversion, service_account};
use crate::aks::cluster_info::{TokenExchange, TokenExchangeError, VaultObject, VaultReadError};
use crate::aks::object::text;
use crate::aks::reconcile_context::ReconcileContext;

/// The line that azcore prints between the parts of an error.
const RULE: &str = "--------------------------------------------------------------------------------";

/// Fetches every object of a class for a pod. `known` are the files of the last fetch: an unchanged version is
/// not converted again.
///
/// # Errors
/// The error message in the driver's events, from `rpc error:` or `error connecting` on.
pub(super) fn fetch(
    cx: &ReconcileContext<'_>,
    pod: &Value,
    spc: &Value,
    known: &[File],
) -> Result<Vec<File>, String> {
    let provider = text(spc, "/spec/provider");
    if provider != "azure" {
        return Err(format!(
            "error connecting to provider \"{provider}\": provider not found: provider \"{provider}\""
        ));
    }
    let failed =
        |why: String| format!("rpc error: code = Unknown desc = failed to mount objects, error: {why}");
    let class = class::read(spc).map_err(failed)?;
    let mut files: Vec<File> = Vec::new();
    for wanted in &class.objects {
        let file = fetch_one(cx, pod, &class, wanted, known)
            .map_err(|why| {
                format!(
                    "failed to get objectType:{}, objectName:{}, objectVersion:{}: {why}",
                    wanted.object_type, wanted.object_name, wanted.object_version
                )
            })
            .map_err(failed)?;
        // Two objects with the same file name write one file; the later one wins.
        files.retain(|earlier| earlier.name != file.name || earlier.id != file.id);
        files.push(file);
    }
    Ok(files)
}

fn fetch_one(
    cx: &ReconcileContext<'_>,
    pod: &Value,
    class: &Class,
    wanted: &ObjectSpec,
    known: &[File],
) -> Result<File, String> {
    if wanted.object_name.is_empty() {
        return Err("objectName is not set".into());
    }
    if !matches!(wanted.object_type.as_str(), "secret" | "key" | "cert") {
        return Err("Invalid vaultObjectTypes. Should be secret, key, or cert".into());
    }
    if wanted.file().contains(['/', '\\']) || wanted.file().starts_with("..") {
        return Err(format!("file name {} is not valid", wanted.file()));
    }
    let client_id = sign_in(cx, pod, class)?;
    let object = cx
        .vaults
        .read(cx.at, &class.vault, &client_id, &wanted.object_type, &wanted.object_name, wanted.version())
        .map_err(|error| describe(cx, class, wanted, &error))?;
    let id = format!("{}/{}", wanted.object_type, wanted.object_name);
    let same = known
        .iter()
        .find(|file| file.id == id && file.name == wanted.file() && file.version == object.version);
    let content = match same {
        Some(file) => file.content.clone(),
        None => content(wanted, &object)?,
    };
    Ok(File { name: wanted.file().to_owned(), id, version: object.version, content })
}

/// Returns the client id that the vault sees: as the node's metadata service selects it, or that of the identity
/// for which the pod's token is exchanged.
fn sign_in(cx: &ReconcileContext<'_>, pod: &Value, class: &Class) -> Result<String, String> {
    let requested = match &class.identity {
        Identity::Node(requested) => requested,
        Identity::Workload(client_id) => {
            let exchange = TokenExchange {
                tenant: &class.tenant,
                client_id,
                issuer: cx.store.token_issuer.url(),
                subject: &service_account::subject(pod),
                audience: service_account::AUDIENCE,
            };
            return match cx.vaults.exchange(cx.at, exchange) {
                Ok(()) => Ok(client_id.clone()),
                Err(error) => Err(exchange_error(&error)),
            };
        }
        Identity::Principal => {
            return Err("failed to get credentials, nodePublishSecretRef secret is not set".into());
        }
    };
    let add_on = cx.cluster_info.csi.as_ref().map(|csi| csi.client_id.as_str());
    let kubelet = cx.cluster_info.kubelet_client_id.as_deref();
    let mut assigned = add_on.into_iter().chain(kubelet);
    if requested.is_empty() {
        return Err(metadata_error(
            "Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the token request",
        ));
    }
    assigned
        .find(|assigned| assigned.eq_ignore_ascii_case(requested))
        .map(str::to_owned)
        .ok_or_else(|| metadata_error("Identity not found"))
}

fn metadata_error(why: &str) -> String {
    format!(
        "ManagedIdentityCredential authentication failed\nGET http://169.254.169.254/metadata/identity/oauth2/token\n{RULE}\nRESPONSE 400: 400 Bad Request\n{RULE}\n{{\n  \"error\": \"invalid_request\",\n  \"error_description\": \"{why}\"\n}}\n{RULE}"
    )
}

/// Formats an error of the token endpoint like the Azure SDK for Go.
fn exchange_error(error: &TokenExchangeError) -> String {
    let TokenExchangeError { url, status, .. } = error;
    let body = indented(&error.body);
    let phrase = reason_phrase(*status);
    format!(
        "ClientAssertionCredential authentication failed. \nPOST {url}\n{RULE}\nRESPONSE {status}: {status} {phrase}\n{RULE}\n{body}\n{RULE}\nTo troubleshoot, visit https://aka.ms/azsdk/go/identity/troubleshoot#client-assertion"
    )
}

/// Returns a JSON body with an indent of two; another body as it is.
fn indented(body: &str) -> String {
    let parsed = serde_json::from_str::<Value>(body).ok();
    parsed.and_then(|parsed| serde_json::to_string_pretty(&parsed).ok()).unwrap_or_else(|| body.to_owned())
}

fn reason_phrase(status: u16) -> &'static str {
    let status = http::StatusCode::from_u16(status).ok();
    status.and_then(|status| status.canonical_reason()).unwrap_or_default()
}

/// Formats an error of the vault like the Azure SDK for Go.
fn describe(cx: &ReconcileContext<'_>, class: &Class, wanted: &ObjectSpec, error: &VaultReadError) -> String {
    let collection = match wanted.object_type.as_str() {
        "cert" => "certificates",
        "key" => "keys",
        _ => "secrets",
    };
    let host = format!("{}.{}", class.vault, cx.cluster_info.vault_suffix);
    let url = format!(
        "https://{host}/{collection}/{}/{}",
        wanted.object_name,
        wanted.version().unwrap_or_default()
    );
    if error.status == 0 {
        return format!("Get \"{url}\": dial tcp: lookup {host}: no such host");
    }
    let (phrase, body) = (reason_phrase(error.status), indented(&error.body));
    let code = match error.code.as_str() {
        "" => "ERROR CODE UNAVAILABLE".to_owned(),
        code => format!("ERROR CODE: {code}"),
    };
    format!("GET {url}\n{RULE}\nRESPONSE {0}: {0} {phrase}\n{code}\n{RULE}\n{body}\n{RULE}", error.status)
}

fn content(wanted: &ObjectSpec, object: &VaultObject) -> Result<String, String> {
    match wanted.object_type.as_str() {
        "cert" => Ok(pem_conversion::as_pem("CERTIFICATE", &object.value)),
        "key" => Ok(pem_conversion::as_pem("PUBLIC KEY", &object.value)),
        _ => secret_content(wanted, object),
    }
}

fn secret_content(wanted: &ObjectSpec, object: &VaultObject) -> Result<String, String> {
    let value = || String::from_utf8(object.value.clone()).map_err(|_| "secret is not text".to_owned());
    if object.content_type == "application/x-pkcs12" && !wanted.object_format.eq_ignore_ascii_case("pfx") {
        return pem_conversion::pem_of_pfx(&pfx_bytes(&object.value)?);
    }
    match wanted.object_encoding.as_str() {
        "" | "utf-8" => value(),
        "base64" => {
            let decoded =
                STANDARD.decode(value()?.trim()).map_err(|error| format!("illegal base64 data: {error}"))?;
            String::from_utf8(decoded).map_err(|_| "decoded secret is not text".to_owned())
        }
        other => Err(format!("invalid objectEncoding: {other}. Should be utf-8, hex or base64")),
    }
}

/// Decodes the base64 of a PFX secret; raw PFX bytes, which start with a SEQUENCE, stay.
fn pfx_bytes(value: &[u8]) -> Result<Vec<u8>, String> {
    if value.first() == Some(&0x30) {
        return Ok(value.to_vec());
    }
    let compact: Vec<u8> = value.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    STANDARD.decode(compact).map_err(|error| format!("illegal base64 data: {error}"))
}
