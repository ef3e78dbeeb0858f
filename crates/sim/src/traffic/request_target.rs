//! The request line as Envoy handles it before routing: methods, path normalization, query parameters and
//! the authority.
//!
//! Source: Istio's default path normalization `BASE` is Envoy's `normalize_path`: RFC 3986 dot segments,
//! backslashes as slashes, and escapes of unreserved characters decoded. Repeated slashes and `%2F` stay.
//! <https://istio.io/latest/docs/ops/best-practices/security/#customize-your-system-on-path-normalization>

/// The methods of Envoy's HTTP/1 parser. It refuses all others, also those in lower case.
const METHODS: [&str; 34] = [
    "ACL",
    "BIND",
    "CHECKOUT",
    "CONNECT",
    "COPY",
    "DELETE",
    "GET",
    "HEAD",
    "LINK",
    "LOCK",
    "M-SEARCH",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MOVE",
    "NOTIFY",
    "OPTIONS",
    "PATCH",
    "POST",
    "PROPFIND",
    "PROPPATCH",
    "PURGE",
    "PUT",
    "REBIND",
    "REPORT",
    "SEARCH",
    "SOURCE",
    "SUBSCRIBE",
    "TRACE",
    "UNBIND",
    "UNLINK",
    "UNLOCK",
    "UNSUBSCRIBE",
];

/// Returns whether the HTTP/1 parser knows the method.
pub fn is_known_method(method: &str) -> bool {
    METHODS.contains(&method)
}

/// Returns the normalized path, or `None` if it is invalid. A valid path starts with a slash and has no
/// escaped zero byte.
pub fn normalize_path(path: &str) -> Option<String> {
    let decoded = decode_unreserved(path)?;
    let mut normalized = String::with_capacity(decoded.len());
    let mut segments = decoded.strip_prefix('/')?.split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => {
                let parent = normalized.rfind('/').unwrap_or(0);
                normalized.truncate(parent);
            }
            segment => {
                normalized.push('/');
                normalized.push_str(segment);
                continue;
            }
        }
        // A dot segment at the end stands for a folder.
        if is_last {
            normalized.push('/');
        }
    }
    if normalized.is_empty() {
        normalized.push('/');
    }
    Some(normalized)
}

/// Decodes the escapes of unreserved characters, escapes characters that a path cannot have, and replaces
/// backslashes. Other escapes and malformed ones stay.
fn decode_unreserved(path: &str) -> Option<String> {
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        match (byte, escaped_byte(after)) {
            (b'%', Some(0)) => return None,
            (b'%', Some(value)) if is_unreserved(value) => {
                decoded.push(char::from(value));
                rest = &after[2..];
            }
            (b'\\', _) => decoded.push('/'),
            (b'"' | b'<' | b'>' | b'`' | b'{' | b'}', _) => decoded.push_str(&format!("%{byte:02X}")),
            (byte, _) if byte.is_ascii_graphic() => decoded.push(char::from(*byte)),
            (byte, _) => decoded.push_str(&format!("%{byte:02X}")),
        }
    }
    Some(decoded)
}

/// Returns the byte of the two hexadecimal digits after a percent sign.
fn escaped_byte(after: &[u8]) -> Option<u8> {
    let digits = after.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Returns the query parameters, undecoded: Envoy matches names and values as they were sent.
pub fn query_parameters(query: &str) -> Vec<(String, String)> {
    let parameters = query.split('&').filter(|parameter| !parameter.is_empty());
    parameters
        .map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Splits an authority into its host and its port. The brackets of an IPv6 address belong to the host.
pub fn split_authority(authority: &str) -> (&str, Option<&str>) {
    let end = if authority.starts_with('[') {
        authority.rfind("]:").map(|end| end + 1)
    } else {
        authority.rfind(':')
    };
    end.map_or((authority, None), |end| (&authority[..end], Some(&authority[end + 1..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalized_as_envoy_does() {
        for (path, normalized) in [
            ("/", "/"),
            ("/shop/../cart", "/cart"),
            ("/shop/%2E%2e/cart", "/cart"),
            ("/shop/./cart", "/shop/cart"),
            ("/shop/%2e/cart", "/shop/cart"),
            ("/../../cart", "/cart"),
            ("/shop/cart/..", "/shop/"),
            ("/shop/cart/.", "/shop/cart/"),
            ("/shop/..", "/"),
            ("/shop/.../cart", "/shop/.../cart"),
            ("/shop\\cart", "/shop/cart"),
            ("/%73hop/%7Euser", "/shop/~user"),
            // Repeated slashes are segments of their own.
            ("//shop", "//shop"),
            ("/shop//cart/../total", "/shop//total"),
            ("/shop//../total", "/shop/total"),
            // Reserved characters, spaces and malformed escapes stay as they are.
            ("/shop%2Fcart", "/shop%2Fcart"),
            ("/shop%20cart", "/shop%20cart"),
            ("/shop%zz%4", "/shop%zz%4"),
            ("/shop;v=1", "/shop;v=1"),
            ("/shop{1}", "/shop%7B1%7D"),
        ] {
            assert_eq!(normalize_path(path).as_deref(), Some(normalized), "{path}");
        }
        assert_eq!((normalize_path("*"), normalize_path(""), normalize_path("/a%00")), (None, None, None));
    }

    #[test]
    fn query_parameters_stay_undecoded() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            query_parameters("size=a%20b&size=2&&plus=a+b&flag"),
            [pair("size", "a%20b"), pair("size", "2"), pair("plus", "a+b"), pair("flag", "")]
        );
        assert!(query_parameters("").is_empty());
    }

    #[test]
    fn an_authority_has_a_host_and_an_optional_port() {
        assert_eq!(split_authority("shop.test:8443"), ("shop.test", Some("8443")));
        assert_eq!(split_authority("shop.test"), ("shop.test", None));
        assert_eq!(split_authority("[::1]:80"), ("[::1]", Some("80")));
        assert_eq!(split_authority("[::1]"), ("[::1]", None));
    }

    #[test]
    fn methods_are_known_in_upper_case_only() {
        assert!(is_known_method("GET") && is_known_method("M-SEARCH"));
        assert!(!is_known_method("get") && !is_known_method("FETCH"));
    }
}
