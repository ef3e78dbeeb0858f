//! The resource family of roles.

use super::{assignments, definitions, permissions};
use crate::arm::{Provider, Route};

/// The resource family of roles. An assignment that takes effect changes nothing in the stored state, so
/// nothing is ever due.
pub const PROVIDER: Provider = Provider::stateless("roles", routes);

fn routes() -> Vec<Route> {
    let mut routes = assignments::routes();
    routes.extend(definitions::routes());
    routes.extend(permissions::routes());
    routes
}
