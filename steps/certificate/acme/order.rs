//! One order, from its placement to its certificate. It resumes at every point: the server knows the state, and the
//! ticket knows the address.

use super::{
    Issuance,
    plan::{Plan, Validation},
    propagation,
    ticket::{OrderTicket, Progress, TxtValue, address, stored},
};
use crate::{error_context::ErrorContext, operation};
use jiff::Timestamp;
use landfall_cloud::{
    ApiError, ApiErrorKind,
    acme::{Account, Authorization, Order, OrderStatus},
};
use landfall_engine::{Kind, Leftover, Poll, StepError, Wait};
use std::time::Duration;
use tokio::sync::Mutex;

/// The number of state changes of one order; a correct server needs four.
const CHANGES_MAX: u32 = 12;

/// The wait that a server without a time demands.
const LIMIT_DEFAULT: Duration = Duration::from_secs(3600);

/// The two orders of an issuance.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The certificate.
    Certificate,
    /// The trial order at the staging server.
    TrialOrder,
}

impl Purpose {
    fn progress(self, ticket: &mut OrderTicket) -> &mut Progress {
        match self {
            Self::Certificate => &mut ticket.order,
            Self::TrialOrder => &mut ticket.trial,
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::Certificate => "order a certificate",
            Self::TrialOrder => "rehearse the order at the staging server",
        }
    }
}

impl Issuance<'_> {
    /// Runs an order to its end, and returns the chain, the leaf first.
    pub(super) async fn run_order(
        &self,
        account: &Account,
        plan: &Plan,
        ticket: &mut OrderTicket,
        purpose: Purpose,
        csr: &[u8],
    ) -> Result<Vec<Vec<u8>>, StepError> {
        let what = format!("{} for {}", purpose.what(), ticket.names.join(", "));
        let order = self.attach_or_place(account, ticket, purpose, &what).await?;
        let order = Mutex::new(order);
        for _ in 0..CHANGES_MAX {
            let status = order.lock().await.status();
            match status {
                OrderStatus::Pending => self.validate(&order, plan, ticket, purpose, &what).await?,
                OrderStatus::Ready => {
                    let sent = self.settled(|| async { order.lock().await.finalize(csr).await }).await?;
                    match sent {
                        Ok(()) => {}
                        // The answer to an earlier request was lost: the order shows what came of it.
                        Err(error) if error.is("orderNotReady") => self.refresh(&order, &what).await?,
                        Err(error) => return Err(self.abandoned(ticket, purpose, error, &what).await?),
                    }
                }
                OrderStatus::Processing => {
                    self.poll_while(&order, OrderStatus::Processing, issuance(), &what).await?;
                }
                OrderStatus::Valid => {
                    let read = self.settled(|| async { order.lock().await.certificate().await }).await?;
                    let chain = read.context(&what)?;
                    self.remove_values(ticket, purpose).await?;
                    return Ok(chain);
                }
                OrderStatus::Invalid => {
                    let error = self.reason(&order).await?;
                    return Err(self.abandoned(ticket, purpose, error, &what).await?);
                }
            }
        }
        Err(StepError::new(Kind::Failed, what)
            .cause("the order returns to earlier states")
            .hint("run again to resume")
            .leftover(Leftover::Something))
    }

    /// Attaches to the order of an interrupted run, or places one. There is one order for one intent.
    async fn attach_or_place(
        &self,
        account: &Account,
        ticket: &mut OrderTicket,
        purpose: Purpose,
        what: &str,
    ) -> Result<Order, StepError> {
        let directory = account.server().url().clone();
        let known = purpose.progress(ticket).url.as_deref().and_then(|text| address(&directory, text));
        if let Some(url) = known {
            match self.settled(|| async { account.order(&url).await }).await? {
                Ok(mut order) => {
                    if order.status() != OrderStatus::Invalid {
                        return Ok(order);
                    }
                    // It failed, so its values are of no use.
                }
                Err(error) if matches!(error.kind, ApiErrorKind::NotFound | ApiErrorKind::Invalid) => {}
                Err(error) => return Err(self.refused(error, what)?),
            }
            self.remove_values(ticket, purpose).await?;
            purpose.progress(ticket).url = None;
            self.save(ticket).await?;
        }
        let replaces = self.replaces.as_deref().filter(|_| purpose == Purpose::Certificate);
        let profile = match purpose {
            Purpose::Certificate => ticket.profile.clone(),
            Purpose::TrialOrder => None,
        };
        let place = |replaces| {
            let (names, profile) = (&ticket.names, profile.as_deref());
            self.settled(move || async move { account.new_order(names, profile, replaces).await })
        };
        let order = match place(replaces).await? {
            Err(error) if replaces.is_some() && !error.is("rateLimited") => {
                self.cx.note(format!(
                    "the server refuses the reference to the replaced certificate ({}); ordering without it",
                    error.message
                ));
                place(None).await?
            }
            placed => placed,
        };
        let order = match order {
            Ok(order) => order,
            Err(error) => return Err(self.limited(ticket, error, what).await?),
        };
        purpose.progress(ticket).url = Some(stored(&directory, order.url()));
        self.save(ticket).await?;
        Ok(order)
    }

    /// Publishes the values of the pending authorizations, answers their challenges, and waits for the result.
    async fn validate(
        &self,
        order: &Mutex<Order>,
        plan: &Plan,
        ticket: &mut OrderTicket,
        purpose: Purpose,
        what: &str,
    ) -> Result<(), StepError> {
        let all = self.authorizations(order, what).await?;
        if let Some(failed) = failure(&all) {
            return Err(self.abandoned(ticket, purpose, failed, what).await?);
        }
        let open: Vec<&Authorization> = all.iter().filter(|one| one.awaits_answer).collect();
        if !open.is_empty() {
            let mut validations: Vec<&Validation> = Vec::new();
            let mut values = Vec::new();
            for authorization in &open {
                let Some((validation, value)) = published(authorization, plan) else {
                    return Err(unusable(what, authorization));
                };
                validations.push(validation);
                values.push(value);
            }
            // An earlier run may have published the values of the others, and known no place to remember them.
            let others = all.iter().filter_map(|one| published(one, plan)).map(|(_, value)| value);
            let progress = purpose.progress(ticket);
            for value in others {
                if !progress.values.contains(&value) {
                    progress.values.push(value);
                }
            }
            self.save(ticket).await?;
            self.writer().publish(self.cx, &values).await?;
            let (servers, propagation) = (self.acme_client.name_servers(), self.acme.propagation);
            propagation::wait(self.cx, &servers, propagation, &validations, &values, &self.writer()).await?;
            for authorization in &open {
                let name = &authorization.name;
                let answered = self.settled(|| async { order.lock().await.answer(name).await }).await?;
                // A challenge that an earlier attempt answered is "malformed"; its authorization shows the result.
                if let Err(error) = answered
                    && !error.is("malformed")
                {
                    return Err(self.abandoned(ticket, purpose, error, what).await?);
                }
            }
        }
        let failed = self.poll_while(order, OrderStatus::Pending, validation(), what).await?;
        match failed {
            Some(error) => Err(self.abandoned(ticket, purpose, error, what).await?),
            None => Ok(()),
        }
    }

    /// Waits until the order leaves a state. An authorization of a pending order may fail, and some servers leave the
    /// order pending then. Returns that failure.
    async fn poll_while(
        &self,
        order: &Mutex<Order>,
        leaves: OrderStatus,
        wait: Wait,
        what: &str,
    ) -> Result<Option<ApiError>, StepError> {
        self.cx
            .wait_until(wait, async || {
                let mut order = order.lock().await;
                let status = match order.refresh().await {
                    Err(error) if is_transient(&error) => return Ok(operation::no_response(&error, None)),
                    read => read.context(what)?,
                };
                let retry_after = order.retry_after();
                if status != leaves {
                    return Ok(Poll::Ready(None));
                }
                if status != OrderStatus::Pending {
                    return Ok(Poll::not_before("being issued", retry_after));
                }
                let all = match order.authorizations().await {
                    Err(error) if is_transient(&error) => return Ok(operation::no_response(&error, None)),
                    read => read.context(what)?,
                };
                if let Some(failed) = failure(&all) {
                    return Ok(Poll::Ready(Some(failed)));
                }
                let valid = all.iter().filter(|one| one.is_valid).count();
                Ok(Poll::not_before(format!("{valid} of {} names validated", all.len()), retry_after))
            })
            .await
    }

    async fn refresh(&self, order: &Mutex<Order>, what: &str) -> Result<(), StepError> {
        let read = self.settled(|| async { order.lock().await.refresh().await }).await?;
        read.map(drop).context(what)
    }

    async fn authorizations(
        &self,
        order: &Mutex<Order>,
        what: &str,
    ) -> Result<Vec<Authorization>, StepError> {
        let read = self.settled(|| async { order.lock().await.authorizations().await }).await?;
        read.context(what)
    }

    /// Returns why an order is invalid: the order itself says little, its authorizations say it per name.
    async fn reason(&self, order: &Mutex<Order>) -> Result<ApiError, StepError> {
        let all = self.settled(|| async { order.lock().await.authorizations().await }).await?;
        if let Some(failed) = all.ok().as_deref().and_then(failure) {
            return Ok(failed);
        }
        let error = order.lock().await.error();
        Ok(error
            .unwrap_or_else(|| ApiError::new(ApiErrorKind::Failed, "the order is invalid, without a reason")))
    }

    /// Cleans up after an order that cannot succeed any more, and returns its error.
    async fn abandoned(
        &self,
        ticket: &mut OrderTicket,
        purpose: Purpose,
        error: ApiError,
        what: &str,
    ) -> Result<StepError, StepError> {
        self.remove_values(ticket, purpose).await?;
        if !error.is("rateLimited") {
            purpose.progress(ticket).url = None;
        }
        self.save(ticket).await?;
        self.limited(ticket, error, what).await
    }

    /// Removes the values of an order from the zones.
    pub(super) async fn remove_values(
        &self,
        ticket: &mut OrderTicket,
        purpose: Purpose,
    ) -> Result<(), StepError> {
        let values = purpose.progress(ticket).values.clone();
        if values.is_empty() {
            return Ok(());
        }
        self.writer().remove(self.cx, &values).await?;
        purpose.progress(ticket).values.clear();
        self.save(ticket).await
    }

    /// Records a limit of the server, so that the next run does not ask before its end.
    async fn limited(
        &self,
        ticket: &mut OrderTicket,
        error: ApiError,
        what: &str,
    ) -> Result<StepError, StepError> {
        if !error.is("rateLimited") {
            return self.refused(error, what);
        }
        let wait = error.retry_after.unwrap_or(LIMIT_DEFAULT);
        let until = self.step.clock.now().checked_add(wait).unwrap_or(Timestamp::MAX);
        ticket.not_before = Some((until, error.message.clone()));
        self.save(ticket).await?;
        Ok(too_early(what, until, &error.message))
    }

    /// Converts the refusal of the server.
    pub(super) fn refused(&self, error: ApiError, what: &str) -> Result<StepError, StepError> {
        match Err::<(), _>(error).context(what) {
            Err(error) => Ok(error),
            Ok(()) => unreachable!("it is an error"),
        }
    }

    /// Sends a request until the server answers it conclusively.
    pub(super) async fn settled<T, F>(
        &self,
        request: impl Fn() -> F + Send + Sync,
    ) -> Result<Result<T, ApiError>, StepError>
    where
        F: Future<Output = Result<T, ApiError>> + Send,
    {
        let wait = Wait::new("the ACME server to answer", Duration::from_secs(5), Duration::from_secs(300));
        self.cx
            .wait_until(wait, async || match request().await {
                Err(error) if is_transient(&error) => Ok(operation::no_response(&error, None)),
                answered => Ok(Poll::Ready(answered)),
            })
            .await
    }
}

/// Returns the record of an authorization and its value; `None` if the server offers no validation by DNS.
fn published<'a>(authorization: &Authorization, plan: &'a Plan) -> Option<(&'a Validation, TxtValue)> {
    let validation =
        plan.validations.iter().find(|one| one.name.eq_ignore_ascii_case(&authorization.name))?;
    let (zone, record) = (validation.zone.id.clone(), validation.record.clone());
    Some((validation, TxtValue { zone, record, value: authorization.txt_value.clone()? }))
}

fn validation() -> Wait {
    Wait::new("the authority to validate the names", Duration::from_secs(10), Duration::from_secs(600))
}

fn issuance() -> Wait {
    Wait::new("the authority to issue the certificate", Duration::from_secs(5), Duration::from_secs(600))
}

/// Returns whether another attempt may succeed at once. A limit lasts for hours.
fn is_transient(error: &ApiError) -> bool {
    operation::is_transient(error) && !error.is("rateLimited")
}

/// Returns the error for a server that refuses until a time.
pub(super) fn too_early(what: &str, until: Timestamp, why: &str) -> StepError {
    let time = until.strftime("%Y-%m-%d %H:%M UTC");
    StepError::new(Kind::Failed, what)
        .code("rateLimited")
        .cause(why)
        .cause(format!("the authority accepts no order before {time}"))
        .hint(format!(
            "run again after {time}; certificate.acme.directory = \"staging\" has higher limits for tests"
        ))
        .leftover(Leftover::Something)
}

fn unusable(what: &str, authorization: &Authorization) -> StepError {
    StepError::new(Kind::Failed, what)
        .cause(format!("the server offers no validation by DNS for {}", authorization.name))
        .hint("choose an ACME server that offers dns-01")
        .leftover(Leftover::Something)
}

/// Returns the failure of the authorizations: the first reason, and the reason of each name.
fn failure(all: &[Authorization]) -> Option<ApiError> {
    let failed: Vec<&Authorization> = all.iter().filter(|one| !one.is_pending && !one.is_valid).collect();
    let first = failed.first()?;
    let reason = |one: &Authorization| {
        one.error
            .as_ref()
            .map_or_else(|| "the validation failed, without a reason".to_owned(), |e| e.message.clone())
    };
    let mut error = ApiError::new(ApiErrorKind::Failed, format!("{}: {}", first.name, reason(first)));
    if let Some(known) = &first.error {
        error.code.clone_from(&known.code);
        error.remedy.clone_from(&known.remedy);
        error.details.clone_from(&known.details);
    }
    for other in &failed[1..] {
        error = error.with_detail(other.name.clone(), reason(other));
    }
    Some(error)
}
