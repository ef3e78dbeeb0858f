//! Callers, and the claims that identify them.

use crate::clock::SimTime;

/// The authenticated caller of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The object id (`oid`).
    pub object_id: String,
    /// The tenant (`tid`).
    pub tenant: String,
    /// The client application (`appid`).
    pub app_id: String,
    /// True for a user (`idtyp` is `user`).
    pub is_user: bool,
    /// The display name.
    pub name: String,
}

/// The reason for the rejection of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenError {
    /// There is no `Authorization: Bearer` header.
    Missing,
    /// It is not a token of this directory: not three parts, not JSON, or an unknown principal.
    Malformed,
    /// The signature does not match.
    BadSignature,
    /// It is for another audience.
    WrongAudience,
    /// It expired at that instant.
    Expired(SimTime),
}

/// The claims of a token that stands in for an identity.
#[derive(Debug, Clone, Copy)]
pub struct Assertion<'a> {
    /// The issuer, `iss`.
    pub issuer: &'a str,
    /// The subject, `sub`.
    pub subject: &'a str,
    /// The audience, `aud`.
    pub audience: &'a str,
}
