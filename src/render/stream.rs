//! The two streams: stdout for pipeable output, stderr for the rest. A reader that closed its end is not an
//! error.

use super::{escape, style::Styler};
use serde_json::Value;
use std::io::{self, IsTerminal, Write};

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The properties of the terminal, read once at the start.
#[derive(Clone, Copy, Debug)]
pub struct Terminal {
    /// True if standard input can answer a question.
    pub answers: bool,
    /// True if standard error is a terminal with cursor movement.
    pub live: bool,
    /// Colour for standard output.
    pub out: Styler,
    /// Colour for standard error.
    pub err: Styler,
}

impl Terminal {
    /// Reads the properties of the streams; `no_color` and `term` are the variables NO_COLOR and TERM.
    pub fn detect(colour: Colour, no_color: bool, term: Option<&str>) -> Self {
        let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        let dumb = term == Some("dumb");
        let style = |terminal: bool| Styler {
            on: match colour {
                Colour::Always => true,
                Colour::Never => false,
                Colour::Auto => terminal && !no_color && !dumb,
            },
        };
        let answers = io::stdin().is_terminal() && err;
        Self { answers, live: err && !dumb, out: style(out), err: style(err) }
    }
}

/// A stream whose reader may close it: later output is dropped.
pub struct Stream<W: Write>(Option<W>);

impl<W: Write> Stream<W> {
    /// Wraps a writer.
    pub fn new(to: W) -> Self {
        Self(Some(to))
    }

    /// Writes and flushes a text; characters that would act on a terminal are escaped.
    pub fn write(&mut self, text: &str) {
        self.raw(&escape::terminal(text));
    }

    /// Writes a JSON document as one line; characters that would act on a terminal become JSON escapes.
    pub fn json(&mut self, document: &Value) {
        self.raw(&format!("{}\n", escape::json(document)));
    }

    /// Writes a text unescaped: only for text without parts from servers, files or people.
    pub fn raw(&mut self, text: &str) {
        let Some(to) = &mut self.0 else { return };
        if to.write_all(text.as_bytes()).and_then(|()| to.flush()).is_err() {
            self.0 = None;
        }
    }

    /// Writes a line.
    pub fn line(&mut self, line: &str) {
        self.write(&format!("{line}\n"));
    }
}

/// Returns standard output.
pub fn out() -> Stream<io::Stdout> {
    Stream::new(io::stdout())
}

/// Returns standard error.
pub fn err() -> Stream<io::Stderr> {
    Stream::new(io::stderr())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct ClosedPipe;
    impl Write for ClosedPipe {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_reader_is_not_an_error() {
        let mut stream = Stream::new(ClosedPipe);
        stream.line("first");
        stream.line("second");
        assert!(stream.0.is_none());
    }
}
