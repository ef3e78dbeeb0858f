//! Text formats of durations, counts, names and wrapped lines.

use super::escape;
use jiff::Timestamp;
use landfall_engine::{How, Leftover, UndoOutcome};
use std::time::{Duration, SystemTime};

/// Returns a duration: `0.4 s`, `83 s`, `3 min 12 s`, `1 h 5 min`.
pub fn duration(of: Duration) -> String {
    let seconds = of.as_secs_f64();
    match seconds {
        ..9.95 => format!("{seconds:.1} s"),
        ..99.5 => format!("{seconds:.0} s"),
        ..3599.5 => {
            let whole = seconds.round() as u64;
            format!("{} min {} s", whole / 60, whole % 60)
        }
        _ => {
            let minutes = (seconds / 60.0).round() as u64;
            format!("{} h {} min", minutes / 60, minutes % 60)
        }
    }
}

/// Returns an estimated duration: `5 s`, `40 s`, `4 min`, `2 h`.
pub fn roughly(of: Duration) -> String {
    let seconds = of.as_secs_f64();
    match seconds {
        ..10.0 => format!("{} s", seconds.ceil()),
        ..90.0 => format!("{} s", (seconds / 10.0).ceil() * 10.0),
        ..5400.0 => format!("{} min", (seconds / 60.0).round()),
        _ => format!("{} h", (seconds / 3600.0).round()),
    }
}

/// Returns a step's display name: `cluster ready`, `TLS secret`.
pub fn name(step: &str) -> String {
    const ACRONYMS: [&str; 2] = ["tls", "dns"];
    let word = |word: &str| match ACRONYMS.contains(&word) {
        true => word.to_uppercase(),
        false => word.to_owned(),
    };
    step.split('-').map(word).collect::<Vec<_>>().join(" ")
}

/// Returns a step's title without the words of its name: `kv-demo in eastus` for `key vault`.
pub fn subject<'a>(title: &'a str, name: &str) -> &'a str {
    if title.eq_ignore_ascii_case(name) {
        return "";
    }
    let (Some(start), Some(rest)) = (title.get(..name.len()), title.get(name.len()..)) else { return title };
    match rest.strip_prefix(' ') {
        // "gateways and routes" covers more than gateways.
        Some(rest) if start.eq_ignore_ascii_case(name) && !rest.starts_with("and ") => rest,
        _ => title,
    }
}

/// Joins the non-empty parts with commas.
pub fn joined(parts: &[&str]) -> String {
    parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(", ")
}

/// Returns `1 step` or `3 steps`.
pub fn count(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

/// Returns `a, b and c`.
pub fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    }
}

/// Returns the way in which a step got its output.
pub fn how(how: How) -> &'static str {
    match how {
        How::Found => "found",
        How::Created => "created",
        How::Changed => "changed",
    }
}

/// Returns the outcome of undoing an owned resource.
pub fn undone(undone: &UndoOutcome) -> &'static str {
    match undone {
        UndoOutcome::Deleted => "deleted",
        UndoOutcome::AlreadyDeleted => "already-gone",
        UndoOutcome::DeletedWithParent => "goes-with-parent",
        UndoOutcome::InProgress => "underway",
        UndoOutcome::Kept { .. } => "kept",
    }
}

/// Returns the leftover of a failure.
pub fn leftover(leftover: Leftover) -> &'static str {
    match leftover {
        Leftover::Nothing => "nothing",
        Leftover::Something => "something",
        Leftover::Unknown => "unknown",
    }
}

/// Returns a time as RFC 3339 with milliseconds, in UTC.
pub fn time(at: SystemTime) -> String {
    Timestamp::try_from(at).unwrap_or(Timestamp::UNIX_EPOCH).strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// Returns a time of day in UTC: `09:31:02Z`.
pub fn time_of_day(at: SystemTime) -> String {
    Timestamp::try_from(at).unwrap_or(Timestamp::UNIX_EPOCH).strftime("%H:%M:%SZ").to_string()
}

/// Returns a text's width on a terminal, in columns; colours take none.
pub fn width(text: &str) -> usize {
    console::measure_text_width(text)
}

/// Truncates a text to a width, with an ellipsis in place of the rest.
pub fn cut(text: &str, columns: usize) -> String {
    match columns {
        0 => String::new(),
        _ => console::truncate_str(&escape::inline(text), columns, "…").into_owned(),
    }
}

/// Pads a text with spaces to a width.
pub fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// The maximum width of a line.
pub const COLUMNS: usize = 80;

/// Breaks a text into lines of at most `columns`, the first after `first`, the others below its end.
///
/// A word that is longer than a line stays whole, so that people can copy it.
pub fn wrap(first: &str, text: &str, columns: usize) -> String {
    let (indent, text) = (" ".repeat(width(first)), escape::visible(text));
    let mut lines: Vec<String> = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && width(first) + width(&line) + 1 + width(word) > columns {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    if lines.is_empty() {
        lines.push(String::new());
    }
    let lines = lines.iter().enumerate();
    let lines = lines.map(|(at, line)| format!("{}{line}", if at == 0 { first } else { &indent }));
    lines.map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// Returns the state in a wait's text, without its numbers: `Creating` of `Creating, 83 s of about 280 s`.
pub fn wait_state(text: &str) -> &str {
    let is_figures = |figures: &str| {
        let seconds = |part: &str| {
            part.strip_suffix(" s").is_some_and(|number| number.chars().all(|letter| letter.is_ascii_digit()))
        };
        figures.split(" of about ").all(seconds)
    };
    text.rsplit_once(", ").filter(|(_, figures)| is_figures(figures)).map_or(text, |(state, _)| state)
}

/// Returns the status of a step that a stop request interrupted. Its operation in the cloud may continue;
/// only the next run can find out.
pub fn interrupted(started: bool) -> &'static str {
    match started {
        true => "interrupted in progress; the next run resumes",
        false => "interrupted before it started",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short_and_have_a_unit() {
        let all = [0.04, 6.94, 9.97, 83.2, 99.6, 192.0, 3599.7, 3900.0]
            .map(|seconds| duration(Duration::from_secs_f64(seconds)));
        assert_eq!(
            all,
            ["0.0 s", "6.9 s", "10 s", "83 s", "1 min 40 s", "3 min 12 s", "1 h 0 min", "1 h 5 min"]
        );
        let rough =
            [0.0, 4.2, 31.0, 95.0, 250.0, 7200.0].map(|seconds| roughly(Duration::from_secs_f64(seconds)));
        assert_eq!(rough, ["0 s", "5 s", "40 s", "2 min", "4 min", "2 h"]);
    }

    #[test]
    fn the_state_of_a_wait_has_no_figures() {
        for text in ["Creating, 83 s of about 280 s", "Creating, 83 s", "Creating"] {
            assert_eq!(wait_state(text), "Creating");
        }
        assert_eq!(wait_state("to change: a, b s"), "to change: a, b s");
    }

    #[test]
    fn a_title_does_not_repeat_the_name() {
        assert_eq!(subject("key vault kv-demo in eastus", "key vault"), "kv-demo in eastus");
        assert_eq!(subject("key vaults", "key vault"), "key vaults");
        assert_eq!(subject("network", "network"), "");
        assert_eq!(subject("TLS secret gateway-tls-secret", &name("tls-secret")), "gateway-tls-secret");
        assert_eq!(subject("gateways and routes", "gateways"), "gateways and routes");
    }

    #[test]
    fn long_text_is_wrapped_below_itself() {
        let text = "PUT …/managedClusters/aks answered 409\nQuotaExceeded";
        assert_eq!(
            wrap("  caused by: ", text, 40),
            "  caused by: PUT …/managedClusters/aks\n             answered 409\n             QuotaExceeded"
        );
        assert_eq!(
            wrap("hint: ", "https://aka.ms/a-very-long-link-that-stays-whole", 20),
            "hint: https://aka.ms/a-very-long-link-that-stays-whole"
        );
    }
}
