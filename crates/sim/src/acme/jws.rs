//! Signed requests: flattened JSON Web Signatures (RFC 7515 §7.2.2) with the header fields of ACME (RFC 8555 §6.2).

use serde_json::Value;

use super::call::AcmeCall;
use super::encoding::{decode, encode};
use super::jwk::{ALGORITHMS, Jwk};
use super::nonce;
use super::problem::Problem;

/// A request whose signature, nonce and URL are valid.
pub(super) struct Signed {
    pub(super) key: Jwk,
    /// The id of the account; `None` if the request has its key in itself.
    pub(super) account: Option<String>,
    /// The payload; empty for POST-as-GET.
    pub(super) payload: Vec<u8>,
}

/// The way in which a request names its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyForm {
    /// In itself: a new account.
    Embedded,
    /// By the URL of the account.
    Account,
    /// Either: a revocation.
    Any,
}

/// The parts of a signature.
struct Parts {
    header: Value,
    payload: Vec<u8>,
    signature: Vec<u8>,
    /// The text that is signed.
    signed: String,
}

/// Verifies a request.
///
/// # Errors
/// The problems of RFC 8555 §6.2 to §6.5, in the order of Boulder.
pub(super) fn verify(call: &mut AcmeCall<'_>, form: KeyForm) -> Result<Signed, Problem> {
    if call.request.header("content-type") != Some("application/jose+json") {
        let detail = "Invalid Content-Type header on POST. Content-Type must be \"application/jose+json\"";
        return Err(Problem::new(415, "malformed", detail));
    }
    if call.request.header("replay-nonce").is_some() {
        let detail = "HTTP requests should NOT contain Replay-Nonce header. Use JWS nonce field";
        return Err(Problem::malformed(detail));
    }
    let body: Value = call.request.json().map_err(|_| Problem::malformed("Parse error reading JWS"))?;
    let parts = parts(&body)?;
    let (key, account) = key(call, &parts.header, form)?;
    check_algorithm(&parts.header, &key)?;
    if !key.verifies(parts.signed.as_bytes(), &parts.signature) {
        return Err(Problem::malformed("JWS verification error"));
    }
    nonce::spend(call, parts.header["nonce"].as_str())?;
    let expected = format!("{}{}", call.origin(), call.request.target());
    match parts.header["url"].as_str() {
        None => return Err(Problem::malformed("JWS header parameter 'url' required")),
        Some(url) if url != expected => {
            let detail =
                format!("JWS header parameter 'url' incorrect. Expected \"{expected}\" got \"{url}\"");
            return Err(Problem::malformed(detail));
        }
        Some(_) => {}
    }
    Ok(Signed { key, account, payload: parts.payload })
}

/// Verifies a request by the account that it names, and returns the account's id.
///
/// # Errors
/// Those of [`verify`].
pub(super) fn by_account(call: &mut AcmeCall<'_>) -> Result<(String, Signed), Problem> {
    let signed = verify(call, KeyForm::Account)?;
    let account = signed.account.clone().ok_or_else(|| Problem::malformed("No Key ID in JWS header"))?;
    Ok((account, signed))
}

impl Signed {
    /// Returns the payload as a JSON object.
    ///
    /// # Errors
    /// `malformed`.
    pub(super) fn json(&self) -> Result<Value, Problem> {
        let value: Option<Value> = serde_json::from_slice(&self.payload).ok();
        value
            .filter(Value::is_object)
            .ok_or_else(|| Problem::malformed("Request payload did not parse as JSON"))
    }

    /// Returns whether the request only reads.
    pub(super) fn is_post_as_get(&self) -> bool {
        self.payload.is_empty()
    }

    /// Checks that the request only reads.
    ///
    /// # Errors
    /// `malformed`.
    pub(super) fn must_be_post_as_get(&self) -> Result<(), Problem> {
        match self.is_post_as_get() {
            true => Ok(()),
            false => Err(Problem::malformed("POST-as-GET requests must have an empty payload")),
        }
    }
}

fn parts(body: &Value) -> Result<Parts, Problem> {
    if !body["header"].is_null() {
        let detail = "JWS \"header\" field not allowed. All headers must be in \"protected\" field";
        return Err(Problem::malformed(detail));
    }
    if !body["signatures"].is_null() {
        let detail =
            "JWS \"signatures\" field not allowed. Only the \"signature\" field should contain a signature";
        return Err(Problem::malformed(detail));
    }
    let unreadable = || Problem::malformed("Parse error reading JWS");
    let text = |name: &str| body[name].as_str().ok_or_else(unreadable);
    let (protected, payload) = (text("protected")?, text("payload")?);
    let header = decode(protected).and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let signature = decode(text("signature")?).ok_or_else(unreadable)?;
    if signature.is_empty() {
        return Err(Problem::malformed("POST JWS not signed"));
    }
    Ok(Parts {
        header: header.filter(Value::is_object).ok_or_else(unreadable)?,
        payload: decode(payload).ok_or_else(unreadable)?,
        signature,
        signed: format!("{protected}.{payload}"),
    })
}

fn key(call: &AcmeCall<'_>, header: &Value, form: KeyForm) -> Result<(Jwk, Option<String>), Problem> {
    match (&header["jwk"], &header["kid"]) {
        (Value::Null, Value::Null) if form == KeyForm::Embedded => {
            Err(Problem::malformed("No embedded JWK in JWS header"))
        }
        (Value::Null, Value::Null) => Err(Problem::malformed("No Key ID in JWS header")),
        (Value::Null, kid) => {
            if form == KeyForm::Embedded {
                return Err(Problem::malformed("No embedded JWK in JWS header"));
            }
            let url = kid.as_str().unwrap_or_default();
            let id = url.strip_prefix(&call.url("account/"));
            let id = id.ok_or_else(|| {
                Problem::malformed(format!("KeyID header contained an invalid account URL: \"{url}\""))
            })?;
            let account = call.server().accounts.get(id).ok_or_else(|| {
                Problem::new(400, "accountDoesNotExist", format!("Account \"{url}\" not found"))
            })?;
            if account.status != "valid" {
                let detail = format!("Account is not valid, has status \"{}\"", account.status);
                return Err(Problem::unauthorized(detail));
            }
            Ok((account.key.clone(), Some(id.to_owned())))
        }
        (_, Value::Null) if form == KeyForm::Account => Err(Problem::malformed("No Key ID in JWS header")),
        (jwk, Value::Null) => Ok((Jwk::read(jwk)?, None)),
        _ => Err(Problem::malformed("jwk and kid header fields are mutually exclusive")),
    }
}

fn check_algorithm(header: &Value, key: &Jwk) -> Result<(), Problem> {
    let algorithm = header["alg"].as_str().unwrap_or_default();
    if !ALGORITHMS.contains(&algorithm) {
        let detail = format!(
            "JWS signature header contains unsupported algorithm \"{algorithm}\", expected one of {ALGORITHMS:?}"
        );
        let mut problem = Problem::new(400, "badSignatureAlgorithm", detail);
        problem.detail = problem.detail.replace(", \"", " \"");
        return Err(problem);
    }
    match algorithm == key.algorithm() {
        true => Ok(()),
        false => Err(Problem::malformed(format!(
            "JWS signature header algorithm \"{algorithm}\" does not match expected algorithm \"{}\" for JWK",
            key.algorithm()
        ))),
    }
}

/// A signature inside another one: an external account binding or a new key.
pub(super) struct Inner {
    pub(super) header: Value,
    pub(super) payload: Vec<u8>,
    pub(super) signature: Vec<u8>,
    pub(super) signed: String,
}

/// Reads a signature inside a payload.
///
/// # Errors
/// `malformed`.
pub(super) fn inner(value: &Value) -> Result<Inner, Problem> {
    let Parts { header, payload, signature, signed } = parts(value)?;
    if !header["nonce"].is_null() {
        return Err(Problem::malformed("inner JWS must not contain a nonce"));
    }
    Ok(Inner { header, payload, signature, signed })
}

/// Encodes the digest of a key authorization (RFC 8555 §8.4).
pub(super) fn dns_value(token: &str, key: &Jwk) -> String {
    let authorization = format!("{token}.{}", key.thumbprint());
    encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, authorization.as_bytes()).as_ref())
}
