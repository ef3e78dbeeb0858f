//! The page for people: one document, one style sheet, one script, all in the binary, nothing from elsewhere.
//!
//! It shows what `/_sim/world`, `/_sim/ledger` and `/_sim/faults` say, and asks again every second.

pub(crate) mod overview;

use crate::request::Reply;

/// What a browser may load for it: nothing but what this server sends, and no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Returns a file of the page; `path` is without a slash at its end.
pub(crate) fn asset(path: &str) -> Option<Reply> {
    let (media_type, text) = match path {
        "/_sim" => ("text/html; charset=utf-8", include_str!("page.html")),
        "/_sim/page.css" => ("text/css; charset=utf-8", include_str!("page.css")),
        "/_sim/page.js" => ("text/javascript; charset=utf-8", include_str!("page.js")),
        _ => return None,
    };
    let reply = Reply::bytes(200, media_type, text).with_header("content-security-policy", POLICY);
    // Another version of the program may serve the same address tomorrow.
    Some(reply.with_header("cache-control", "no-cache").with_header("x-content-type-options", "nosniff"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_loads_nothing_from_elsewhere() {
        for path in ["/_sim", "/_sim/page.css", "/_sim/page.js"] {
            let reply = asset(path).unwrap();
            let text = String::from_utf8(reply.body.to_vec()).unwrap();
            for foreign in ["=\"http", "=\"//", "url(", "@import", "import(", "innerHTML"] {
                assert!(!text.contains(foreign), "{path} has {foreign}");
            }
            assert!(reply.headers.contains_key("content-security-policy"));
        }
        assert!(asset("/_sim/page").is_none());
    }
}
