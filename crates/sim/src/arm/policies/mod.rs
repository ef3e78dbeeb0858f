//! Azure Policy: organisational rules beyond rights, evaluated before and during a write.
//!
//! Source: Azure Policy definition structure and Microsoft.PolicyInsights, checkPolicyRestrictions
//! (2024-10-01). Two kinds exist side by side. A [`Policy`] denies and has one condition on one field, like the
//! built-in "Allowed locations", "Require a tag" and "Not allowed resource types"; tests and faults set it. Clients
//! create definitions and assignments ([`Assigned`]) with the effects modify, append and deny: those change the body
//! of a write before the provider stores it.

pub(in crate::arm) mod assignments;
pub(in crate::arm) mod check;
mod definitions;
pub(in crate::arm) mod effect;
#[cfg(test)]
mod effect_tests;
mod expression;
mod field;
pub(crate) mod provider;
mod restrictions;
mod rule;
pub(crate) mod store;
mod subject;
pub(crate) mod test_hooks;

pub use store::{Assigned, Operator, Policies, Policy};
