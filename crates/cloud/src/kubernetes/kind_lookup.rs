//! Lookup of kinds by name: for list items without a kind, and for objects known only from a journal.

use super::{Cluster, DynamicObject, Kind};
use crate::ApiError;
use kube_core::TypeMeta;

impl Kind {
    /// Returns `apiVersion` and `kind` in the form that objects contain.
    pub fn types(&self) -> TypeMeta {
        TypeMeta { api_version: self.api_version(), kind: self.kind.to_string() }
    }
}

impl Cluster {
    /// Looks up a kind by its name; `None` if the cluster does not serve it.
    ///
    /// # Errors
    /// Returns the error of the discovery.
    pub async fn find_kind(&self, api_version: &str, kind: &str) -> Result<Option<Kind>, ApiError> {
        let types = TypeMeta { api_version: api_version.to_owned(), kind: kind.to_owned() };
        let object =
            DynamicObject { types: Some(types), metadata: Default::default(), data: Default::default() };
        self.kind_of(&object).await
    }
}
