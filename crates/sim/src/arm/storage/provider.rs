//! The routes of containers, of blob services, and of the check for a name.

use super::{
    CONTAINER_PATH, CONTAINERS, CONTAINERS_PATH, NAME_PATH, blob_service, check_availability,
    delete_container, get_container, list_containers, put_container,
};
use crate::arm::versions::STORAGE as VERSIONS;
use crate::arm::{Provider, Route};

/// The routes of containers and of the check for a name.
pub const PROVIDER: Provider = Provider::stateless("storage", routes);

fn routes() -> Vec<Route> {
    vec![
        Route::new("GET", blob_service::PATH, blob_service::KIND, VERSIONS, blob_service::get),
        Route::new("PUT", blob_service::PATH, blob_service::KIND, VERSIONS, blob_service::put),
        Route::new("GET", CONTAINERS_PATH, CONTAINERS, VERSIONS, list_containers),
        Route::new("GET", CONTAINER_PATH, CONTAINERS, VERSIONS, get_container),
        Route::new("PUT", CONTAINER_PATH, CONTAINERS, VERSIONS, put_container),
        Route::new("DELETE", CONTAINER_PATH, CONTAINERS, VERSIONS, delete_container),
        Route::new(
            "POST",
            NAME_PATH,
            "Microsoft.Storage/checkNameAvailability",
            VERSIONS,
            check_availability,
        ),
    ]
}
