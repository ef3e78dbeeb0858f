//! The report of a fleet's run for other programs: JSON, CSV or JUnit XML, one entry for each environment.

use super::{file::Fleet, result::EnvironmentResult, runner::FleetOutcome, waves::Wave};
use crate::render::{escape, fleet::json::of_result};
use clap::ValueEnum;
use quick_xml::{
    Writer,
    events::{BytesDecl, BytesText, Event},
};
use serde_json::{Value, json};
use std::{io, path::Path};

/// The format of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// One JSON document.
    Json,
    /// A table with a line of headings (RFC 4180).
    Csv,
    /// JUnit XML, one case for each environment.
    Junit,
}

impl ReportFormat {
    /// Returns the format that a file's extension names.
    pub fn of_file(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "json" => Some(Self::Json),
            "csv" => Some(Self::Csv),
            "xml" => Some(Self::Junit),
            _ => None,
        }
    }
}

/// The data of a report.
pub struct FleetReport<'a> {
    /// The fleet.
    pub fleet: &'a Fleet,
    /// The command.
    pub command: &'a str,
    /// The waves.
    pub waves: &'a [Wave],
    /// The outcome.
    pub outcome: &'a FleetOutcome,
}

/// An entry of a report: an environment, its wave, and its result if it has run.
type ReportRow<'a> = (usize, &'a Wave, Option<&'a EnvironmentResult>);

impl FleetReport<'_> {
    /// Returns the report.
    ///
    /// # Errors
    /// Never in practice: the output is in memory.
    pub fn text(&self, format: ReportFormat) -> io::Result<String> {
        match format {
            ReportFormat::Json => Ok(format!("{}\n", escape::json(&self.document()))),
            ReportFormat::Csv => Ok(self.csv()),
            ReportFormat::Junit => self.junit(),
        }
    }

    fn rows(&self) -> impl Iterator<Item = ReportRow<'_>> {
        self.waves.iter().flat_map(move |wave| {
            wave.environments.iter().map(move |at| (*at, wave, self.outcome.results.get(at)))
        })
    }

    fn document(&self) -> Value {
        let environments = self.rows().map(|(at, wave, result)| {
            let environment = &self.fleet.environments[at];
            let mut fields = match result {
                Some(result) => of_result(&environment.name, result),
                None => json!({ "environment": environment.name, "outcome": "not-run" }),
            };
            fields["wave"] = wave.name.as_str().into();
            fields["subscription"] = environment.subscription().into();
            fields["location"] = environment.config.settings.location.as_str().into();
            fields
        });
        json!({
            "fleet": self.fleet.name, "command": self.command, "interrupted": self.outcome.interrupted,
            "stopped_in": self.outcome.stopped_in.map(|wave| self.waves[wave].name.as_str()),
            "environments": environments.collect::<Vec<_>>(),
        })
    }

    fn csv(&self) -> String {
        let mut lines = vec![
            "environment,wave,subscription,location,outcome,elapsed_ms,requests,found,created,changed,deleted,step,code,\
             message,cause,hint"
                .to_owned(),
        ];
        for (at, wave, result) in self.rows() {
            let environment = &self.fleet.environments[at];
            let location = &environment.config.settings.location;
            let number = |of: fn(&EnvironmentResult) -> u64| result.map(|result| of(result).to_string());
            let error = result.and_then(|result| result.error.as_ref());
            let fields = [
                Some(environment.name.clone()),
                Some(wave.name.clone()),
                Some(environment.subscription().to_owned()),
                Some(location.clone()),
                Some(result.map_or("not-run", |result| result.outcome.name()).to_owned()),
                number(|result| result.elapsed_ms),
                number(|result| result.requests),
                number(|result| result.steps.found.into()),
                number(|result| result.steps.created.into()),
                number(|result| result.steps.changed.into()),
                number(|result| result.steps.deleted.into()),
                error.and_then(|error| error.step.clone()),
                error.and_then(|error| error.code.clone()),
                error.map(|error| error.message.clone()),
                error.and_then(|error| error.causes.first().cloned()),
                error.and_then(|error| error.hint.clone()),
            ];
            let fields = fields.map(|field| quoted(&field.unwrap_or_default()));
            lines.push(fields.join(","));
        }
        lines.join("\r\n") + "\r\n"
    }

    fn junit(&self) -> io::Result<String> {
        let number = |wanted: fn(&EnvironmentResult) -> bool| {
            self.outcome.results.values().filter(|result| wanted(result)).count().to_string()
        };
        let all = self.rows().count();
        let skipped = self.rows().filter(|(.., result)| is_skipped(*result)).count().to_string();
        let failures = number(|result| result.outcome.is_failure());
        let time = format!("{:.3}", self.outcome.elapsed.as_secs_f64());
        let all = all.to_string();
        let counts = [
            ("tests", &*all),
            ("failures", &failures),
            ("errors", "0"),
            ("skipped", &skipped),
            ("time", &time),
        ];
        let suite = format!("landfall fleet {} {}", self.command, self.fleet.name);
        let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
        writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        let suites = writer.create_element("testsuites").with_attributes(counts);
        suites.write_inner_content(|writer| {
            let suite = writer.create_element("testsuite").with_attribute(("name", &*suite));
            suite
                .with_attributes(counts)
                .write_inner_content(|writer| self.rows().try_for_each(|row| self.case(writer, row)))?;
            Ok(())
        })?;
        let text = String::from_utf8(writer.into_inner()).map_err(io::Error::other)?;
        // XML 1.0 cannot represent control characters.
        Ok(format!("{}\n", escape::visible(&text)))
    }

    fn case(&self, writer: &mut Writer<Vec<u8>>, (at, wave, result): ReportRow<'_>) -> io::Result<()> {
        let name = self.fleet.environments[at].name.as_str();
        let time = format!("{:.3}", result.map_or(0.0, |result| result.elapsed().as_secs_f64()));
        let attributes = [("classname", wave.name.as_str()), ("name", name), ("time", &time)];
        let element = writer.create_element("testcase").with_attributes(attributes);
        element.write_inner_content(|writer| {
            match result {
                Some(result) if !is_skipped(Some(result)) => match &result.error {
                    Some(error) if result.outcome.is_failure() => {
                        let mut text = vec![format!("failed to {}", error.message)];
                        text.extend(error.causes.iter().cloned());
                        text.extend(error.hint.as_ref().map(|hint| format!("hint: {hint}")));
                        let kind = error.code.as_deref().unwrap_or(result.outcome.name());
                        let attributes = [("type", kind), ("message", error.reason())];
                        let failure = writer.create_element("failure").with_attributes(attributes);
                        failure.write_text_content(BytesText::new(&text.join("\n")))?
                    }
                    _ => writer
                        .create_element("system-out")
                        .write_text_content(BytesText::new(&result.text()))?,
                },
                _ => {
                    let why = if result.is_some() { "interrupted" } else { "not run" };
                    writer.create_element("skipped").with_attribute(("message", why)).write_empty()?
                }
            };
            Ok(())
        })?;
        Ok(())
    }
}

fn is_skipped(result: Option<&EnvironmentResult>) -> bool {
    result.is_none_or(|result| !result.outcome.is_good() && !result.outcome.is_failure())
}

/// Quotes a field if needed. A field that a spreadsheet would take for a formula begins with an apostrophe.
fn quoted(field: &str) -> String {
    let field = escape::visible(field);
    let formula = field.starts_with(['=', '+', '-', '@']);
    let field = if formula { format!("'{field}") } else { field.into_owned() };
    match field.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field,
    }
}

/// Returns how many environments a report contains.
pub fn count(waves: &[Wave]) -> usize {
    waves.iter().map(|wave| wave.environments.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_quoted_and_never_a_formula() {
        assert_eq!(quoted("plain"), "plain");
        assert_eq!(quoted("a,\"b\"\nc"), "\"a,\"\"b\"\"\nc\"");
        assert_eq!(quoted("=1+1"), "'=1+1");
        assert_eq!(quoted("a\u{1b}[2J"), "a\\u{1b}[2J");
    }

    #[test]
    fn the_extension_names_the_format() {
        assert_eq!(ReportFormat::of_file(Path::new("out/run.xml")), Some(ReportFormat::Junit));
        assert_eq!(ReportFormat::of_file(Path::new("run")), None);
    }
}
