//! The frame of a page: head, style sheet, heading, figures, footer.

use super::html::Html;
use crate::report::page_file::MARK;

/// Only the style sheet inside of the document is allowed.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/// A key figure.
pub struct Figure {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: String,
    /// A remark below it; may be empty.
    pub remark: String,
}

/// Returns a whole document; `reload_s` reloads it after so many seconds.
pub fn document(title: &str, reload_s: Option<u32>, body: &Html) -> String {
    let mut html = Html::new();
    html.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n").raw(MARK).raw("\n");
    html.open("meta", &[("http-equiv", "Content-Security-Policy"), ("content", POLICY)]).raw("\n");
    if let Some(seconds) = reload_s {
        html.open("meta", &[("http-equiv", "refresh"), ("content", &seconds.to_string())]).raw("\n");
    }
    html.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    html.raw("<meta name=\"color-scheme\" content=\"light dark\">\n");
    html.element("title", &[], title)
        .raw("\n<style>\n")
        .raw(include_str!("page.css"))
        .raw("</style>\n</head>\n");
    html.raw("<body>\n").part(body).raw("\n</body>\n</html>\n");
    html.into_string()
}

/// Writes the heading of a page; `state` is its class and its text.
pub fn header(html: &mut Html, title: &str, state: (&'static str, &str), about: &[String]) {
    html.raw("<header>\n").raw(LOGO);
    html.raw("<div class=\"title\">").element("h1", &[], title);
    html.element("span", &[("class", &format!("state {}", state.0))], state.1).raw("</div>\n");
    html.raw("<ul class=\"about\">");
    for fact in about {
        html.element("li", &[], fact);
    }
    html.raw("</ul>\n</header>\n");
}

/// Writes key figures.
pub fn figures(html: &mut Html, figures: &[Figure]) {
    html.raw("<dl class=\"figures\">");
    for figure in figures {
        html.raw("<div>").element("dt", &[], figure.name).raw("<dd>");
        let is_number = figure.value.contains(|character: char| character.is_ascii_digit());
        let class = if is_number { "value" } else { "value words" };
        html.element("span", &[("class", class)], &figure.value);
        if !figure.remark.is_empty() {
            html.element("span", &[("class", "remark")], &figure.remark);
        }
        html.raw("</dd></div>");
    }
    html.raw("</dl>\n");
}

/// Opens a section with a heading.
pub fn section(html: &mut Html, id: &'static str, title: &str, remark: &str) {
    html.open("section", &[("id", id), ("aria-labelledby", &format!("{id}-title"))]).raw("\n");
    html.raw("<div class=\"head\">").element("h2", &[("id", &format!("{id}-title"))], title);
    if !remark.is_empty() {
        html.element("p", &[("class", "remark")], remark);
    }
    html.raw("</div>\n");
}

/// Writes the end of a page.
pub fn footer(html: &mut Html, facts: &[String]) {
    html.raw("<footer><p>");
    html.text(facts.join(" ")).raw("</p></footer>");
}

/// The program's drawing: land below a line that falls.
const LOGO: &str = "<svg class=\"logo\" viewBox=\"0 0 32 32\" aria-hidden=\"true\"><path d=\"M4 25h24M7 20l6-9 5 6 3-4 4 7M16 3v5m0 0-2.5-2.5M16 8l2.5-2.5\"/></svg>";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_loads_nothing_and_reloads_only_on_request() {
        let (still, reloading) = (document("t", None, &Html::new()), document("t", Some(2), &Html::new()));
        for word in ["http://", "https://", "<script", "<link", "@import", "url(", " src="] {
            assert!(!still.contains(word), "{word}");
        }
        assert!(!still.contains("refresh"));
        assert!(reloading.contains("<meta http-equiv=\"refresh\" content=\"2\">"));
        assert!(still.find(MARK).unwrap() < 200, "the mark is near the beginning");
    }
}
