//! Colour, which is optional: every output is readable without it.

use super::escape;
use anstyle::{AnsiColor, Style};

/// Colours a text, or leaves it as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Styler {
    /// True if colour is used.
    pub on: bool,
}

impl Styler {
    /// No colour.
    #[cfg(test)]
    pub const PLAIN: Styler = Styler { on: false };

    fn with(self, style: Style, text: &str) -> String {
        if !self.on || text.is_empty() {
            return text.to_owned();
        }
        let (on, off) = (style.to_string(), format!("{style:#}"));
        format!("{}{text}{}", escape::own_colour(&on), escape::own_colour(&off))
    }

    /// Colours finished items.
    pub fn good(self, text: &str) -> String {
        self.with(AnsiColor::Green.on_default(), text)
    }

    /// Colours failures.
    pub fn bad(self, text: &str) -> String {
        self.with(AnsiColor::Red.on_default().bold(), text)
    }

    /// Colours items in progress.
    pub fn busy(self, text: &str) -> String {
        self.with(AnsiColor::Cyan.on_default(), text)
    }

    /// Colours warnings.
    pub fn warn(self, text: &str) -> String {
        self.with(AnsiColor::Yellow.on_default(), text)
    }

    /// Dims less important text.
    pub fn dim(self, text: &str) -> String {
        self.with(Style::new().dimmed(), text)
    }

    /// Formats a heading.
    pub fn strong(self, text: &str) -> String {
        self.with(Style::new().bold(), text)
    }
}
