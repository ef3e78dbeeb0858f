//! The export: a provider of spans, one of metrics, and the bounded end of both.

use super::config::Config;
use crate::render::stream;
use opentelemetry::KeyValue;
use opentelemetry_otlp::{MetricExporter, SpanExporter};
use opentelemetry_sdk::{Resource, metrics::SdkMeterProvider, trace::SdkTracerProvider};
use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// The maximum delay of the program's end by the last export, in real time.
const END_MAX: Duration = Duration::from_secs(3);

/// The providers. Their threads send while the command runs.
#[derive(Clone)]
pub struct Export {
    pub(super) traces: Option<SdkTracerProvider>,
    pub(super) metrics: Option<SdkMeterProvider>,
}

impl Export {
    /// Starts the export of what is wanted.
    ///
    /// # Errors
    /// The exporter refuses a variable.
    pub fn start(config: &Config) -> Result<Self, String> {
        let resource = resource(config);
        let traces = match config.traces {
            true => {
                let exporter =
                    SpanExporter::builder().with_http().build().map_err(|error| error.to_string())?;
                let provider = SdkTracerProvider::builder().with_batch_exporter(exporter);
                Some(provider.with_resource(resource.clone()).build())
            }
            false => None,
        };
        let metrics = match config.metrics {
            true => {
                let exporter =
                    MetricExporter::builder().with_http().build().map_err(|error| error.to_string())?;
                Some(
                    SdkMeterProvider::builder()
                        .with_periodic_exporter(exporter)
                        .with_resource(resource)
                        .build(),
                )
            }
            false => None,
        };
        Ok(Self { traces, metrics })
    }

    /// Sends what is left and ends. A collector that does not answer delays the program by [`END_MAX`] at most.
    pub fn shut_down(self) {
        let (ended, end) = mpsc::channel();
        let Self { traces, metrics } = self;
        if let Some(provider) = traces {
            let ended = ended.clone();
            thread::spawn(move || ended.send(provider.shutdown_with_timeout(END_MAX)));
        }
        if let Some(provider) = metrics {
            let ended = ended.clone();
            thread::spawn(move || ended.send(provider.shutdown_with_timeout(END_MAX)));
        }
        drop(ended);
        let until = Instant::now() + END_MAX;
        // A failure is the collector's, and changes no result. The channel closes when both have ended.
        while let Ok(result) = end.recv_timeout(until.saturating_duration_since(Instant::now())) {
            if result.is_err() {
                stream::err().line(
                    "Warning: the collector did not accept the last telemetry; check OTEL_EXPORTER_OTLP_ENDPOINT.",
                );
            }
        }
    }
}

/// Returns the description of this process. The variables of the specification come first.
fn resource(config: &Config) -> Resource {
    let mut resource = Resource::builder();
    if !config.has_service_name {
        resource = resource.with_service_name("landfall");
    }
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let system = KeyValue::new("os.type", std::env::consts::OS);
    resource.with_attributes([version, system]).build()
}
