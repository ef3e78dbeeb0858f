//! The principals of the tenant: the owner's application, a user, and the managed identities of clusters.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::clock::SimTime;
use crate::names::DOMAIN;

/// The application id of the Azure CLI, the same in every tenant.
pub const AZURE_CLI: &str = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";

/// The application id of the AKS server, the audience of tokens for API servers; the same in every tenant.
pub const AKS_SERVER: &str = "6dae42f8-4368-4678-94ff-3960e28e3630";

/// The application id of the AKS client, with which `kubelogin` signs in; the same in every tenant.
pub const AKS_CLIENT: &str = "80faf920-1908-4b52-b5ef-a8e7bedfc67a";

/// The kind of a principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PrincipalKind {
    /// A user.
    User,
    /// An application or a managed identity.
    ServicePrincipal,
}

impl PrincipalKind {
    /// Returns the `principalType` in role assignments.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::ServicePrincipal => "ServicePrincipal",
        }
    }
}

/// A principal to which roles can be assigned.
#[derive(Clone, Serialize, Deserialize)]
pub struct Principal {
    /// The object id, used in role assignments.
    pub object_id: String,
    /// The application id; empty for users.
    pub client_id: String,
    /// The display name.
    pub name: String,
    /// The sign-in name of a user, `demo@landfall.localhost`.
    pub sign_in_name: Option<String>,
    /// The kind.
    pub kind: PrincipalKind,
    /// The client secret or password; `None` for managed identities.
    secret: Option<String>,
    /// The Azure resource behind a managed identity.
    pub resource_id: Option<String>,
    /// The time from which the directory returns it.
    pub visible_from: SimTime,
}

impl std::fmt::Debug for Principal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Principal({} {})", self.kind.as_str(), self.object_id)
    }
}

impl Principal {
    /// Returns whether the secret matches; never for a principal without a secret.
    pub fn has_secret(&self, secret: &str) -> bool {
        let Some(own) = &self.secret else { return false };
        aws_lc_rs::constant_time::verify_slices_are_equal(own.as_bytes(), secret.as_bytes()).is_ok()
    }
}

/// The directory of the single tenant.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Directory {
    /// The id of the tenant.
    pub tenant: String,
    /// All principals. The first is the owner's application, the second a user.
    pub principals: Vec<Principal>,
    /// The members of each security group; both are object ids in lower case.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    groups: BTreeMap<String, BTreeSet<String>>,
    /// The key that signs tokens, base64url.
    signing_key: String,
    /// The lifetime of access tokens in real seconds.
    pub token_lifetime_real: f64,
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Directory({}, {} principals)", self.tenant, self.principals.len())
    }
}

impl Directory {
    /// Creates a tenant with an application and a user, each with its own secret. `uuid` draws an id for a purpose.
    pub fn new(mut uuid: impl FnMut(&str) -> String, token_lifetime_real: f64) -> Self {
        let application = Principal {
            object_id: uuid("application-object"),
            client_id: uuid("application"),
            name: "landfall".to_owned(),
            sign_in_name: None,
            kind: PrincipalKind::ServicePrincipal,
            secret: Some(random_text(30)),
            resource_id: None,
            visible_from: SimTime(0),
        };
        let person = Principal {
            object_id: uuid("user-object"),
            client_id: String::new(),
            name: "Demo".to_owned(),
            sign_in_name: Some(format!("demo@{DOMAIN}")),
            kind: PrincipalKind::User,
            secret: Some(random_text(18)),
            resource_id: None,
            visible_from: SimTime(0),
        };
        Self {
            tenant: uuid("tenant"),
            principals: vec![application, person],
            groups: BTreeMap::new(),
            signing_key: random_text(32),
            token_lifetime_real,
        }
    }

    /// Returns the application that owns the subscription.
    pub fn owner(&self) -> &Principal {
        &self.principals[0]
    }

    /// Returns the secret of the owner's application, for the caller that opens the simulated cloud.
    pub fn owner_secret(&self) -> &str {
        self.owner().secret.as_deref().unwrap_or_default()
    }

    /// Returns the user who can sign in with a password.
    pub fn user(&self) -> &Principal {
        &self.principals[1]
    }

    /// Returns the password of the user, for the caller that opens the simulated cloud.
    pub fn user_password(&self) -> &str {
        self.user().secret.as_deref().unwrap_or_default()
    }

    /// Adds a managed identity. Role assignments without a `principalType` find it from `visible_from` on.
    pub fn add_managed_identity(
        &mut self,
        object_id: String,
        client_id: String,
        name: &str,
        resource_id: &str,
        visible_from: SimTime,
    ) {
        self.principals.push(Principal {
            object_id,
            client_id,
            name: name.to_owned(),
            sign_in_name: None,
            kind: PrincipalKind::ServicePrincipal,
            secret: None,
            resource_id: Some(resource_id.to_owned()),
            visible_from,
        });
    }

    /// Removes a principal; role assignments that name it stay.
    pub fn remove(&mut self, object_id: &str) {
        self.principals.retain(|principal| !principal.object_id.eq_ignore_ascii_case(object_id));
    }

    /// Adds a principal to a security group, which exists from its first member on.
    pub fn add_member(&mut self, group: &str, object_id: &str) {
        self.groups.entry(group.to_ascii_lowercase()).or_default().insert(object_id.to_ascii_lowercase());
    }

    /// Returns the object ids of a principal's groups, in lower case.
    pub fn groups_of(&self, object_id: &str) -> Vec<String> {
        let object_id = object_id.to_ascii_lowercase();
        let with = self.groups.iter().filter(|(_, members)| members.contains(&object_id));
        with.map(|(group, _)| group.clone()).collect()
    }

    /// Returns the principal with that object id.
    pub fn by_object_id(&self, object_id: &str) -> Option<&Principal> {
        self.principals.iter().find(|principal| principal.object_id.eq_ignore_ascii_case(object_id))
    }

    /// Returns the application or managed identity with that client id.
    pub fn by_client_id(&self, client_id: &str) -> Option<&Principal> {
        let named = |principal: &&Principal| {
            !client_id.is_empty() && principal.client_id.eq_ignore_ascii_case(client_id)
        };
        self.principals.iter().find(named)
    }

    /// Returns the user with that sign-in name.
    pub fn by_sign_in_name(&self, name: &str) -> Option<&Principal> {
        let named = |principal: &&Principal| {
            principal.sign_in_name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name))
        };
        self.principals.iter().find(named)
    }

    pub(super) fn signing_key(&self) -> &[u8] {
        self.signing_key.as_bytes()
    }
}

/// Draws random bytes and returns them as base64url text.
fn random_text(bytes: usize) -> String {
    let mut buffer = vec![0u8; bytes];
    SystemRandom::new().fill(&mut buffer).expect("the operating system has randomness");
    URL_SAFE_NO_PAD.encode(buffer)
}
