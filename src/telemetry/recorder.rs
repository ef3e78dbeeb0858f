//! The spans and metrics of one command.
//!
//! Names: a command is `landfall up`, a step `step cluster`, a wait `wait cluster`, a request its method. Attributes of
//! landfall begin with `landfall.`; the others follow the semantic conventions of OpenTelemetry for HTTP and for
//! programs. No attribute has a header, a body or a query.

use super::{config::Config, export::Export};
use crate::exit::Exit;
use landfall_engine::Report;
use opentelemetry::{
    Context, KeyValue,
    metrics::{Counter, Gauge, Histogram, MeterProvider as _},
    propagation::TextMapPropagator as _,
    trace::{Span as _, SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _},
};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{SdkTracer, Span},
};
use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

/// The spans and metrics of one command.
#[derive(Debug)]
pub struct Recorder {
    traces: Option<Traces>,
    metrics: Option<Metrics>,
}

#[derive(Debug)]
struct Traces {
    tracer: SdkTracer,
    root: Context,
    /// True if a request is a child of the command, whatever its step.
    is_flat: AtomicBool,
    steps: Mutex<BTreeMap<&'static str, StepSpan>>,
}

#[derive(Debug)]
struct StepSpan {
    context: Context,
    wait: Option<Span>,
    last_note: String,
}

#[derive(Debug)]
struct Metrics {
    steps: Histogram<f64>,
    retries: Counter<u64>,
    requests: Histogram<f64>,
    duration: Gauge<f64>,
    overhead: Gauge<f64>,
    environment: String,
    command: String,
}

/// The end of a step.
pub struct StepEnd<'a> {
    /// `found`, `created`, `changed`, `deleted`, `failed`, `blocked` or `interrupted`.
    pub outcome: &'static str,
    /// The error, in one line.
    pub error: Option<&'a str>,
    /// The real time since the step was scheduled.
    pub elapsed: Duration,
}

impl Recorder {
    /// Starts the root span.
    pub fn new(export: &Export, config: &Config, command: &str, environment: &str) -> Self {
        let traces = export.traces.as_ref().map(|provider| {
            let tracer = provider.tracer("landfall");
            let parent = TraceContextPropagator::new().extract(&config.parent);
            let attributes = [
                KeyValue::new("landfall.environment", environment.to_owned()),
                KeyValue::new("process.executable.name", "landfall"),
                KeyValue::new("process.pid", i64::from(std::process::id())),
            ];
            let root = tracer.span_builder(format!("landfall {command}")).with_attributes(attributes);
            let root = parent.with_span(root.start_with_context(&tracer, &parent));
            Traces { tracer, root, is_flat: AtomicBool::new(false), steps: Mutex::default() }
        });
        let metrics = export.metrics.as_ref().map(|provider| {
            let meter = provider.meter("landfall");
            Metrics {
                steps: meter.f64_histogram("landfall.step.duration").with_unit("s").build(),
                retries: meter.u64_counter("landfall.retries").build(),
                requests: meter.f64_histogram("http.client.request.duration").with_unit("s").build(),
                duration: meter.f64_gauge("landfall.run.duration").with_unit("s").build(),
                overhead: meter.f64_gauge("landfall.run.overhead_ratio").with_unit("1").build(),
                environment: environment.to_owned(),
                command: command.to_owned(),
            }
        });
        Self { traces, metrics }
    }

    /// Makes every request from now on a child of the command.
    pub fn without_steps(&self) {
        if let Some(traces) = &self.traces {
            traces.is_flat.store(true, Ordering::Relaxed);
        }
    }

    /// Starts the span of a request: a child of its step, or of the command.
    pub fn request(
        &self,
        step: Option<&'static str>,
        method: &str,
        attributes: Vec<KeyValue>,
    ) -> Option<Span> {
        let traces = self.traces.as_ref()?;
        let step = step.filter(|_| !traces.is_flat.load(Ordering::Relaxed));
        let parent = step.map_or_else(|| traces.root.clone(), |step| traces.step(step, SystemTime::now()));
        let span = traces.tracer.span_builder(method.to_owned()).with_kind(SpanKind::Client);
        Some(span.with_attributes(attributes).start_with_context(&traces.tracer, &parent))
    }

    /// Records the duration of a request.
    pub fn request_ended(&self, elapsed: Duration, attributes: &[KeyValue]) {
        if let Some(metrics) = &self.metrics {
            metrics.requests.record(elapsed.as_secs_f64(), attributes);
        }
    }

    /// Returns where the spans of steps are recorded, if there are any.
    fn step_traces(&self) -> Option<&Traces> {
        self.traces.as_ref().filter(|traces| !traces.is_flat.load(Ordering::Relaxed))
    }

    /// Records that a step is scheduled.
    pub fn step_began(&self, step: &'static str, at: SystemTime) {
        if let Some(traces) = self.step_traces() {
            traces.step(step, at);
        }
    }

    /// Adds attributes to a step.
    pub fn step_attributes(&self, step: &'static str, at: SystemTime, attributes: Vec<KeyValue>) {
        if let Some(traces) = self.step_traces() {
            traces.step(step, at).span().set_attributes(attributes);
        }
    }

    /// Records a sentence about a step; the first one with progress begins the span of its wait.
    pub fn noted(&self, step: &'static str, at: SystemTime, text: &str, is_wait: bool) {
        let Some(traces) = self.step_traces() else { return };
        let context = traces.step(step, at);
        let mut steps = traces.steps();
        let Some(known) = steps.get_mut(step) else { return };
        // Sentences repeat once a second; a change of their text is news, a change of its numbers is not.
        let text: String = text.chars().filter(|letter| !letter.is_ascii_digit()).collect();
        if text == known.last_note {
            return;
        }
        known.last_note.clone_from(&text);
        if is_wait && known.wait.is_none() {
            let span = traces.tracer.span_builder(format!("wait {step}")).with_start_time(at);
            known.wait = Some(span.start_with_context(&traces.tracer, &context));
        }
        let attributes = vec![KeyValue::new("landfall.state", text)];
        match &mut known.wait {
            Some(wait) => wait.add_event_with_timestamp("state", at, attributes),
            None => context.span().add_event_with_timestamp("note", at, attributes),
        }
    }

    /// Records that a request of a step will be sent again.
    pub fn retrying(&self, step: &'static str, at: SystemTime, because: &str) {
        let because = KeyValue::new("error.type", because.to_owned());
        if let Some(traces) = self.step_traces() {
            traces.step(step, at).span().add_event_with_timestamp("retry", at, vec![because.clone()]);
        }
        if let Some(metrics) = &self.metrics {
            metrics.retries.add(1, &[KeyValue::new("landfall.step", step), because]);
        }
    }

    /// Counts a request that will be sent again; the span of the next attempt has its number.
    pub fn request_retried(&self, step: Option<&'static str>, because: &str) {
        if let Some(metrics) = &self.metrics {
            let step = step.map(|step| KeyValue::new("landfall.step", step));
            let because = KeyValue::new("error.type", because.to_owned());
            let attributes: Vec<KeyValue> = step.into_iter().chain([because]).collect();
            metrics.retries.add(1, &attributes);
        }
    }

    /// Records the end of a step.
    pub fn step_ended(&self, step: &'static str, at: SystemTime, end: &StepEnd<'_>) {
        let outcome = KeyValue::new("landfall.outcome", end.outcome);
        if let Some(traces) = self.step_traces() {
            traces.step(step, at);
            if let Some(mut known) = traces.steps().remove(step) {
                if let Some(wait) = &mut known.wait {
                    wait.end_with_timestamp(at);
                }
                let span = known.context.span();
                span.set_attribute(outcome.clone());
                if let Some(error) = end.error {
                    span.set_status(Status::error(error.to_owned()));
                }
                span.end_with_timestamp(at);
            }
        }
        if let Some(metrics) = &self.metrics {
            metrics.steps.record(end.elapsed.as_secs_f64(), &[KeyValue::new("landfall.step", step), outcome]);
        }
    }

    /// Records the duration of a run, and the ratio of its overhead to the time that the cloud needed.
    pub fn completed(&self, report: &Report) {
        let (elapsed, ideal) = (report.elapsed.as_secs_f64(), report.critical_path.as_secs_f64());
        if let Some(traces) = &self.traces {
            let attributes =
                [KeyValue::new("landfall.elapsed_s", elapsed), KeyValue::new("landfall.ideal_s", ideal)];
            traces.root.span().set_attributes(attributes);
        }
        let Some(metrics) = &self.metrics else { return };
        let attributes = [
            KeyValue::new("landfall.environment", metrics.environment.clone()),
            KeyValue::new("landfall.command", metrics.command.clone()),
        ];
        metrics.duration.record(elapsed, &attributes);
        if ideal > 0.0 {
            metrics.overhead.record((elapsed - ideal) / ideal, &attributes);
        }
    }

    /// Ends every span that is still open.
    pub fn finish(&self, exit: Exit) {
        let Some(traces) = &self.traces else { return };
        for (_, mut known) in std::mem::take(&mut *traces.steps()) {
            if let Some(wait) = &mut known.wait {
                wait.end();
            }
            known.context.span().end();
        }
        let root = traces.root.span();
        root.set_attribute(KeyValue::new("process.exit.code", exit as i64));
        if !matches!(exit, Exit::Success) {
            root.set_attribute(KeyValue::new("error.type", format!("exit {}", exit as i32)));
            root.set_status(Status::error(format!("exit code {}", exit as i32)));
        }
        root.end();
    }
}

impl Traces {
    /// Returns the context of a step, whose span begins now if it is new.
    fn step(&self, step: &'static str, at: SystemTime) -> Context {
        let mut steps = self.steps();
        let known = steps.entry(step).or_insert_with(|| {
            let attributes = [KeyValue::new("landfall.step", step)];
            let span = self.tracer.span_builder(format!("step {step}")).with_attributes(attributes);
            let span = span.with_start_time(at).start_with_context(&self.tracer, &self.root);
            StepSpan { context: self.root.with_span(span), wait: None, last_note: String::new() }
        });
        known.context.clone()
    }

    fn steps(&self) -> MutexGuard<'_, BTreeMap<&'static str, StepSpan>> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
