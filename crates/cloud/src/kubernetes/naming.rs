//! Kinds by their names: for objects whose lists leave their kind out, and for those only a journal remembers.

use super::{Cluster, DynamicObject, Kind};
use crate::ApiError;
use kube::core::TypeMeta;

impl Kind {
    /// Returns `apiVersion` and `kind` as an object carries them.
    pub fn types(&self) -> TypeMeta {
        TypeMeta { api_version: self.api_version(), kind: self.kind.to_string() }
    }
}

impl Cluster {
    /// Finds out where the cluster serves a kind that is known by name; `None` when it does not serve it.
    ///
    /// # Errors
    /// Whatever the discovery ran into.
    pub async fn kind_named(&self, api_version: &str, kind: &str) -> Result<Option<Kind>, ApiError> {
        let types = TypeMeta { api_version: api_version.to_owned(), kind: kind.to_owned() };
        let object =
            DynamicObject { types: Some(types), metadata: Default::default(), data: Default::default() };
        self.kind_of(&object).await
    }
}
