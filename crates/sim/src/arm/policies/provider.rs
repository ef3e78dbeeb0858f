//! The resource family of policies.

use super::{assignments, definitions, restrictions};
use crate::arm::{Provider, Route};

/// The resource family of policies. They belong to no resource group.
pub const PROVIDER: Provider = Provider::stateless("policies", routes);

fn routes() -> Vec<Route> {
    let written = definitions::routes().into_iter().chain(assignments::routes());
    written.chain(restrictions::routes()).collect()
}
