//! The web page: one document, one style sheet, one script, all embedded in the binary.
//!
//! It shows the data of `/_sim/world`, `/_sim/ledger` and `/_sim/faults`, and polls every second.

pub(crate) mod overview;

use crate::request::Reply;

/// The content security policy: the browser loads only from this server, and no frame may contain the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The place of the admin API's key in the document. Pages of other sites cannot read it.
const KEY: &str = "{key}";

/// Returns a file of the page; `path` has no trailing slash. The document contains the admin API's key.
pub(crate) fn asset(path: &str, key: &str) -> Option<Reply> {
    if path == "/_sim" {
        return Some(file("text/html; charset=utf-8", include_str!("page.html").replace(KEY, key)));
    }
    let (media_type, text) = match path {
        "/_sim/page.css" => ("text/css; charset=utf-8", include_str!("page.css")),
        "/_sim/page.js" => ("text/javascript; charset=utf-8", include_str!("page.js")),
        _ => return None,
    };
    Some(file(media_type, text.to_owned()))
}

fn file(media_type: &'static str, text: String) -> Reply {
    let reply = Reply::bytes(200, media_type, text).with_header("content-security-policy", POLICY);
    // Another version of the program may use the same address later.
    reply.with_header("cache-control", "no-cache").with_header("x-content-type-options", "nosniff")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_loads_no_external_resources() {
        for path in ["/_sim", "/_sim/page.css", "/_sim/page.js"] {
            let reply = asset(path, "k-1").unwrap();
            let text = String::from_utf8(reply.body.to_vec()).unwrap();
            for foreign in ["=\"http", "=\"//", "url(", "@import", "import(", "innerHTML"] {
                assert!(!text.contains(foreign), "{path} has {foreign}");
            }
            assert!(reply.headers.contains_key("content-security-policy"));
            assert_eq!(text.contains("k-1"), path == "/_sim", "the document has the key");
        }
        assert!(asset("/_sim/page", "k-1").is_none());
    }
}
