//! Check that an order of a certificate by ACME would succeed: the zone, its delegation, CAA records, the profile, the
//! account, and the rights. An order that fails spends a limit of the authority.

use super::{PreflightCheckId, finding::Finding, queries::QueryResult};
use crate::{
    Clients,
    certificate::acme::{Acme, Obstacle, Plan, Planner, check_profile, directory_url},
    graph::Records,
    settings::Settings,
};
use landfall_cloud::{ApiError, ApiErrorKind, arm::SubscriptionClient};
use landfall_engine::Context;
use std::sync::Arc;

/// The rights that a TXT record needs.
const TXT_RIGHTS: [&str; 2] =
    ["Microsoft.Network/dnszones/TXT/write", "Microsoft.Network/dnszones/TXT/delete"];

/// The order of an environment.
pub(super) struct AcmeCheck {
    azure: SubscriptionClient,
    acme: Arc<Acme>,
    client: landfall_cloud::acme::Acme,
    planner: Planner,
}

/// The result of the queries.
pub(super) struct AcmeState {
    plan: Plan,
    /// The zones in which the caller may write no TXT records.
    without_rights: Vec<String>,
}

impl AcmeCheck {
    pub(super) fn new(c: &Clients, s: &Settings) -> Option<Self> {
        let acme = s.certificate.acme.clone()?;
        let planner = Planner::new(&c.azure, c.acme.name_servers(), &acme, s);
        Some(Self { azure: c.azure.clone(), acme, client: c.acme.clone(), planner })
    }

    /// Reads zone, server and rights, if an order is ahead: no earlier run has got the certificate.
    pub(super) async fn query(&self, cx: &Context, records: &Records) -> QueryResult<AcmeState> {
        let held = cx.output_of(records.certificate);
        let directory = self.acme.directory.to_string();
        // The step itself checks a renewal.
        let is_in_place = held.is_some_and(|held| {
            held.acme.as_deref() == Some(&directory) && held.not_after > self.client.clock().now()
        });
        // A run that was interrupted in the middle of its order checks it itself.
        let has_order = cx.past_of(records.certificate.id()).ticket.is_some();
        if is_in_place || has_order { None } else { Some(self.read().await) }
    }

    async fn read(&self) -> Result<AcmeState, ApiError> {
        let url = directory_url(&self.acme, &self.client);
        let (plan, server) =
            tokio::join!(self.planner.plan(), self.client.open(url, self.acme.root.as_deref()));
        let (mut plan, server) = (plan?, server?);
        // The account is in the vault; the step itself compares it.
        self.planner.check(&mut plan, &server, None).await;
        check_profile(&self.acme, &server, &mut plan);
        if server.directory().needs_external_account() && self.acme.registration.external.is_none() {
            plan.obstacles.push(Obstacle {
                code: None,
                is_input: true,
                why: "the authority requires an external account binding".to_owned(),
                fix: "set certificate.acme.eab_kid (ACME_EAB_KID) and ACME_EAB_KEY to the values that the authority gives you"
                    .to_owned(),
            });
        }
        let mut without_rights = Vec::new();
        for validation in &plan.validations {
            let zone = &validation.zone;
            if without_rights.contains(&zone.name) {
                continue;
            }
            let allowed = match self.azure.permissions_at_resource(&zone.id).await {
                Ok(rights) => TXT_RIGHTS.iter().all(|right| rights.allow(right)),
                Err(error) => error.kind != ApiErrorKind::Forbidden,
            };
            if !allowed {
                without_rights.push(zone.name.clone());
            }
        }
        Ok(AcmeState { plan, without_rights })
    }

    /// Evaluates the answers, and notes what is no fault.
    pub(super) fn evaluate(&self, cx: &Context, state: AcmeState) -> Vec<Finding> {
        let AcmeState { plan, without_rights } = state;
        for note in plan.notes {
            cx.note(note);
        }
        let what = || format!("order a certificate for {}", plan.names.join(", "));
        let obstacles = plan.obstacles.into_iter().map(|obstacle| {
            let finding = match obstacle.is_input {
                true => Finding::input(PreflightCheckId::Acme, what()),
                false => Finding::refused(PreflightCheckId::Acme, what()),
            };
            finding.cause(obstacle.why).fix(obstacle.fix)
        });
        let mut findings: Vec<Finding> = obstacles.collect();
        findings.extend(without_rights.into_iter().map(|zone| {
            Finding::refused(PreflightCheckId::Acme, what())
                .code("AuthorizationFailed")
                .cause(format!("the signed-in identity may not write TXT records in zone {zone}"))
                .fix("ask for the role DNS Zone Contributor at the zone")
        }));
        findings
    }
}
