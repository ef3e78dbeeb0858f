//! What the tests of faults ask again and again.

use super::Armed;
use crate::test_cloud::TestCloud;

/// Arms a fault by its text.
pub(super) fn arm(cloud: &mut TestCloud, text: &str) {
    cloud.world.faults.armed.push(Armed::read(text).expect("the text names a fault"));
}

/// The path of a resource group.
pub(super) fn group(cloud: &TestCloud, name: &str) -> String {
    cloud.path(&format!("/resourceGroups/{name}?api-version=2024-11-01"))
}

/// Whether a resource group is there.
pub(super) fn there(cloud: &TestCloud, name: &str) -> bool {
    cloud.world.groups.contains_key(name)
}
