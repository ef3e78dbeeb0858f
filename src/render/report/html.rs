//! Writer of HTML and SVG. Markup is part of the program; text is input, and always escaped.

use crate::render::escape;
use std::fmt::Write as _;

/// A document or a part of one.
#[derive(Debug, Default)]
pub struct Html(String);

/// The attributes of an element.
pub type Attributes<'a> = &'a [(&'static str, &'a str)];

impl Html {
    /// Returns an empty part.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes markup of the program. The lifetime keeps input out.
    pub fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Writes text.
    pub fn text(&mut self, text: impl AsRef<str>) -> &mut Self {
        escape_into(&mut self.0, text.as_ref());
        self
    }

    /// Opens an element.
    pub fn open(&mut self, tag: &'static str, attributes: Attributes<'_>) -> &mut Self {
        let _ = write!(self.0, "<{tag}");
        for (name, value) in attributes {
            let _ = write!(self.0, " {name}=\"");
            escape_into(&mut self.0, value);
            self.0.push('"');
        }
        self.0.push('>');
        self
    }

    /// Closes an element.
    pub fn close(&mut self, tag: &'static str) -> &mut Self {
        let _ = write!(self.0, "</{tag}>");
        self
    }

    /// Writes an element that contains text.
    pub fn element(
        &mut self,
        tag: &'static str,
        attributes: Attributes<'_>,
        text: impl AsRef<str>,
    ) -> &mut Self {
        self.open(tag, attributes).text(text).close(tag)
    }

    /// Writes another part.
    pub fn part(&mut self, part: &Html) -> &mut Self {
        self.0.push_str(&part.0);
        self
    }

    /// Returns the text of the document.
    pub fn into_string(self) -> String {
        self.0
    }
}

/// Escapes a text for elements and for quoted attributes. Characters that would be invisible, or reorder the text, are
/// displayed as `\u{…}`.
fn escape_into(out: &mut String, text: &str) {
    for character in escape::inline(text).chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(character),
        }
    }
}

/// Returns a share as a percentage for an SVG coordinate: `12.345%`.
pub fn percent(part: u64, whole: u64) -> String {
    format!("{:.3}%", part as f64 * 100.0 / whole.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        let mut html = Html::new();
        html.open("p", &[("title", "\"><script>x</script>"), ("class", "a")]);
        html.text("<script>'&\u{202e}</script>").close("p");
        assert_eq!(
            html.into_string(),
            "<p title=\"&quot;&gt;&lt;script&gt;x&lt;/script&gt;\" class=\"a\">&lt;script&gt;&#39;&amp;\\u{202e}&lt;/script&gt;</p>"
        );
        assert_eq!(percent(1, 8), "12.500%");
        assert_eq!(percent(1, 0), "100.000%");
    }
}
