//! Colour, which only supports: every screen reads without it.

use super::escape;
use anstyle::{AnsiColor, Style};

/// Colours a text, or leaves it as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint {
    /// Whether there is colour.
    pub on: bool,
}

impl Paint {
    /// No colour.
    #[cfg(test)]
    pub const PLAIN: Paint = Paint { on: false };

    fn with(self, style: Style, text: &str) -> String {
        if !self.on || text.is_empty() {
            return text.to_owned();
        }
        let (on, off) = (style.to_string(), format!("{style:#}"));
        format!("{}{text}{}", escape::own_colour(&on), escape::own_colour(&off))
    }

    /// Colours what is done.
    pub fn good(self, text: &str) -> String {
        self.with(AnsiColor::Green.on_default(), text)
    }

    /// Colours what went wrong.
    pub fn bad(self, text: &str) -> String {
        self.with(AnsiColor::Red.on_default().bold(), text)
    }

    /// Colours what is under way.
    pub fn busy(self, text: &str) -> String {
        self.with(AnsiColor::Cyan.on_default(), text)
    }

    /// Colours what needs attention.
    pub fn warn(self, text: &str) -> String {
        self.with(AnsiColor::Yellow.on_default(), text)
    }

    /// Takes colour away from what is less important.
    pub fn dim(self, text: &str) -> String {
        self.with(Style::new().dimmed(), text)
    }

    /// Makes a heading.
    pub fn strong(self, text: &str) -> String {
        self.with(Style::new().bold(), text)
    }
}
