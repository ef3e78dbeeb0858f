//! The run of one environment of a fleet: the same code as the command of that name, without its output.

use super::{
    journal_facts::{EnvironmentSummary, SummaryOf},
    result::{EnvironmentError, EnvironmentOutcome, EnvironmentResult, StepCounts},
};
use crate::{
    cli_context::CliContext,
    commands::{plan, renew, verify},
    deployment::Deployment,
    exit::Exit,
    failure::Failure,
    run::{self, RecordedTeardown, RunControl, TeardownOptions},
    settings::LoadedConfig,
    target::{self, Gateways, Target},
    teardown_guards as guards,
    up_options::UpOptions,
};
use landfall_diagnose::verify::{Verdict, VerifyTimeouts};
use landfall_engine::{Action, Event, EventKind, How, Journal, Outcome, Plan, Stop, StopLevel};
use landfall_steps::settings::Teardown;
use std::{sync::Arc, time::Instant};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

/// What a fleet does with each of its environments.
#[derive(Clone)]
pub enum Task {
    /// Bring it to ready.
    Up {
        /// The options.
        up_options: Arc<UpOptions>,
        /// True if it is verified from outside when it is ready.
        verify: bool,
    },
    /// Compare it with its settings.
    Plan {
        /// The options.
        up_options: Arc<UpOptions>,
    },
    /// Verify it from outside.
    Verify(VerifyTimeouts),
    /// Delete what it owns.
    Down(TeardownOptions),
    /// Renew its certificate if that is due.
    Renew(renew::RenewOptions),
}

impl Task {
    /// Returns the command's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Up { .. } => "up",
            Self::Plan { .. } => "plan",
            Self::Verify(_) => "verify",
            Self::Down(_) => "down",
            Self::Renew(_) => "renew",
        }
    }

    /// Returns the command with its flags, as a person would type them after `fleet`; without what has no flag here.
    pub fn arguments(&self) -> Vec<String> {
        let flag = |given: bool, flag: &str| given.then(|| flag.to_owned());
        let options: Vec<String> = match self {
            Self::Up { up_options, verify } => {
                flag(*verify, "--verify").into_iter().chain(up_options.arguments()).collect()
            }
            Self::Down(TeardownOptions { purge, with_foreign, .. }) => {
                [flag(*purge, "--purge"), flag(*with_foreign, "--with-strangers")]
                    .into_iter()
                    .flatten()
                    .collect()
            }
            Self::Plan { .. } | Self::Verify(_) | Self::Renew(_) => Vec::new(),
        };
        std::iter::once(self.name().to_owned()).chain(options).collect()
    }

    /// Returns whether it changes environments, so that a fleet does it in waves or records it.
    pub fn changes(&self) -> bool {
        match self {
            Self::Up { .. } | Self::Down(_) => true,
            Self::Renew(options) => !options.dry_run,
            Self::Plan { .. } | Self::Verify(_) => false,
        }
    }

    /// Returns whether it rolls a change out, wave by wave.
    pub fn has_waves(&self) -> bool {
        self.changes() && !matches!(self, Self::Down(_))
    }

    /// Runs it for one environment. A journal in a storage account gets the summary of the result.
    pub async fn run(
        &self,
        cli_context: &CliContext,
        config: LoadedConfig,
        control: RunControl,
        of: &SummaryOf,
    ) -> EnvironmentResult {
        let began = Instant::now();
        let settings = config.settings.clone();
        let run = EnvironmentRun { cli_context, config, control };
        let result = match self {
            Self::Up { up_options, verify } => run.up(up_options, *verify).await,
            Self::Plan { up_options } => run.plan(up_options).await,
            Self::Verify(timeouts) => run.verify(*timeouts).await,
            Self::Down(options) => run.down(options).await,
            Self::Renew(options) => run.renew(*options).await,
        };
        let result = result.unwrap_or_else(|failure| EnvironmentResult::of_failure(&failure));
        let requests = result.requests;
        let result = result.with(began.elapsed(), requests);
        for journal in cli_context.shared_journals() {
            if let Ok(summary) = EnvironmentSummary::new(of, &settings, &journal, &result) {
                // Without it, the journal itself is read.
                journal.set_summary(&summary.text()).await;
            }
        }
        match cli_context.close_journals().await {
            Some(lost) => EnvironmentResult {
                error: EnvironmentResult::of_failure(&lost).error,
                outcome: EnvironmentOutcome::Failed,
                ..result
            },
            None => result,
        }
    }
}

struct EnvironmentRun<'a> {
    cli_context: &'a CliContext,
    config: LoadedConfig,
    control: RunControl,
}

impl EnvironmentRun<'_> {
    async fn up(mut self, up_options: &UpOptions, verify: bool) -> Result<EnvironmentResult, Failure> {
        up_options.apply(&mut self.config.settings)?;
        let gateways = if verify { Gateways::WithTraffic } else { Gateways::WithoutTraffic };
        let (journal, target) = run::open(self.cli_context, &self.config, "fleet up", gateways).await?;
        let result = self.up_on(&journal, &target, verify).await;
        closed(target, result).await
    }

    async fn up_on(
        self,
        journal: &Arc<Journal>,
        target: &Target,
        verify: bool,
    ) -> Result<EnvironmentResult, Failure> {
        let Self { cli_context, mut config, control } = self;
        let journal_state = journal.journal_state();
        run::same_environment(cli_context, &config, &journal_state, target)?;
        run::resolve_identity(&mut config, &journal_state, target).await?;
        let deployment = Deployment::new(&target.clients, &config.settings, Teardown::default());
        let stop = control.stop.clone();
        let (events, seen) = mpsc::unbounded_channel();
        let forwarded = forward(seen, control.events);
        let control = RunControl { stop: stop.clone(), events };
        let (report, has_new_kubeconfig) =
            tokio::join!(control.up(&deployment.graph, journal, target), forwarded);
        let report = report?;
        let result = match cli_context.is_alone && has_new_kubeconfig {
            // A container begins without a kubeconfig, and its own one ends with it.
            true => EnvironmentResult::of_report(&report).without_created(1),
            false => EnvironmentResult::of_report(&report),
        };
        if !verify || report.outcome != Outcome::Ready {
            return Ok(result);
        }
        let (settings, state) = (&config.settings, journal.journal_state());
        let verdict =
            verify::run_verification(cli_context, settings, &state, target, VerifyTimeouts::default());
        Ok(with_verdict(result, &until_stopped(&stop, verdict).await?, cli_context))
    }

    async fn plan(mut self, up_options: &UpOptions) -> Result<EnvironmentResult, Failure> {
        up_options.apply(&mut self.config.settings)?;
        let computed = plan::compute(self.cli_context, &mut self.config);
        let computed = until_stopped(&self.control.stop, computed).await?;
        Ok(of_plan(&computed.plan, computed.requests))
    }

    async fn verify(mut self, timeouts: VerifyTimeouts) -> Result<EnvironmentResult, Failure> {
        let Self { cli_context, config, control } = &mut self;
        let verified = verify::verify_environment(cli_context, config, timeouts);
        let verified = until_stopped(&control.stop, verified).await?;
        let result = EnvironmentResult {
            requests: verified.requests,
            ..EnvironmentResult::new(EnvironmentOutcome::Ready)
        };
        Ok(with_verdict(result, &verified.verdict, cli_context))
    }

    async fn down(mut self, options: &TeardownOptions) -> Result<EnvironmentResult, Failure> {
        let recorded = options.recorded(self.cli_context, &mut self.config).await?;
        if let RecordedTeardown::Nothing(_) = recorded {
            return Ok(EnvironmentResult::new(EnvironmentOutcome::Unchanged));
        }
        let opened = run::open(self.cli_context, &self.config, "fleet down", Gateways::WithoutTraffic);
        let (journal, target) = opened.await?;
        let result = self.down_on(options, &journal, &target).await;
        closed(target, result).await
    }

    async fn down_on(
        mut self,
        options: &TeardownOptions,
        journal: &Arc<Journal>,
        target: &Target,
    ) -> Result<EnvironmentResult, Failure> {
        let Some(mut prepared) = options.prepare(&mut self.config, journal, target).await? else {
            return Ok(EnvironmentResult::new(EnvironmentOutcome::Unchanged));
        };
        let refused = {
            let preview = prepared.preview();
            if preview.steps().is_empty() { None } else { guards::refused(&preview) }
        };
        if let Some(refused) = refused {
            return Err(refused);
        }
        prepared.record(journal)?;
        let report = prepared.run(self.control, journal, target).await?;
        Ok(EnvironmentResult::of_report(&report))
    }

    async fn renew(self, options: renew::RenewOptions) -> Result<EnvironmentResult, Failure> {
        let Self { cli_context, config, control } = self;
        let allowed = cli_context.allowed(&config.place)?;
        let environment = &cli_context.environment;
        let (sign_ins, gateways) = (&cli_context.sign_ins, Gateways::WithTraffic);
        let connected = target::connect(allowed, environment, sign_ins, &config.folder, None, gateways);
        let target = connected.await?;
        let walk = async |graph: &_, journal: &_| control.up(graph, journal, &target).await;
        let renewed = renew::run_renewal(cli_context, options, &config, &target, walk).await;
        let result = renewed.map(|renewed| match renewed {
            renew::Renewed::NotDue(_) => EnvironmentResult::new(EnvironmentOutcome::Unchanged),
            renew::Renewed::Ended(report) => EnvironmentResult::of_report(&report),
            renew::Renewed::Served(report, verdict) => match renew::is_served(&verdict) {
                true => EnvironmentResult::of_report(&report),
                false => with_verdict(EnvironmentResult::of_report(&report), &verdict, cli_context),
            },
        });
        closed(target, result).await
    }
}

/// Forwards the events of a run; returns whether it created the kubeconfig.
async fn forward(mut seen: UnboundedReceiver<Event>, to: UnboundedSender<Event>) -> bool {
    let mut is_created = false;
    while let Some(event) = seen.recv().await {
        is_created |= matches!(event.what, EventKind::Finished { step: "kubeconfig", how: How::Created, .. });
        // A display that has ended does not stop the run.
        let _ = to.send(event);
    }
    is_created
}

/// Runs something read-only, which the first stop request ends at once.
async fn until_stopped<T>(
    stop: &Stop,
    reads: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        result = reads => result,
        () = stop.requested(StopLevel::Graceful) => {
            Err(Failure::new(Exit::Interrupted, "complete the check").cause("interrupted; nothing was changed"))
        }
    }
}

/// Closes the cloud, and adds the number of requests.
async fn closed(
    target: Target,
    result: Result<EnvironmentResult, Failure>,
) -> Result<EnvironmentResult, Failure> {
    let requests = target.requests();
    target.close().await;
    let result = result.unwrap_or_else(|failure| EnvironmentResult::of_failure(&failure));
    Ok(EnvironmentResult { requests, ..result })
}

/// Turns the result into a failure if a check of the verification fails.
fn with_verdict(result: EnvironmentResult, verdict: &Verdict, cli_context: &CliContext) -> EnvironmentResult {
    if verdict.passes() {
        return result;
    }
    let failed: Vec<&str> = verdict.failed().map(|check| check.name()).collect();
    let first = verdict.checks.iter().find(|check| Some(check.check.name()) == failed.first().copied());
    let error = EnvironmentError {
        code: Some("VerificationFailed".to_owned()),
        message: format!("verify from outside: {}", failed.join(", ")),
        causes: first.map(|check| check.detail.clone()).into_iter().collect(),
        hint: first
            .and_then(|check| check.hint.clone())
            .or_else(|| Some(format!("find the cause: {} doctor", cli_context.program()))),
        ..EnvironmentError::default()
    };
    EnvironmentResult { outcome: EnvironmentOutcome::Failed, error: Some(error), ..result }
}

fn of_plan(computed: &Plan, requests: u64) -> EnvironmentResult {
    let number = |wanted: fn(&Action) -> bool| {
        let steps = computed.steps.iter().filter(|step| wanted(&step.action)).count();
        u32::try_from(steps).unwrap_or(u32::MAX)
    };
    let steps = StepCounts {
        found: number(|action| matches!(action, Action::Ok)),
        created: number(|action| matches!(action, Action::Create)),
        changed: number(|action| matches!(action, Action::Change | Action::Wait)),
        deleted: number(|action| matches!(action, Action::Delete)),
    };
    let failed = computed.steps.iter().find_map(|step| Some((step.step, step.error.as_ref()?)));
    let outcome = match (plan::exit_of(computed), failed) {
        (Exit::Refused, _) => EnvironmentOutcome::Refused,
        (_, Some(_)) => EnvironmentOutcome::Failed,
        (Exit::Success, None) => EnvironmentOutcome::Unchanged,
        (_, None) => EnvironmentOutcome::Ready,
    };
    let error = failed.map(|(step, error)| EnvironmentError::of_step(step, error));
    EnvironmentResult { requests, steps, error, ..EnvironmentResult::new(outcome) }
}
