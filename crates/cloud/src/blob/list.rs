//! The list of the blobs in a container.

use super::{
    BlobContainer,
    xml::{self, Step},
};
use crate::{ApiError, ApiErrorKind};
use azure_core::http::Method;
use std::collections::BTreeMap;

/// The maximum number of pages that one list reads, of 5,000 blobs each.
const PAGES_MAX: usize = 200;

/// A blob, as listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlobItem {
    /// The name.
    pub name: String,
    /// The length in bytes.
    pub bytes: u64,
    /// The time of the last change, as the service writes it (RFC 9110 §5.6.7).
    pub modified: String,
    /// `available`, `leased`, `expired`, `breaking` or `broken`.
    pub lease_state: String,
    /// True if it takes no more appends.
    pub sealed: bool,
    /// Its metadata, names in lower case.
    pub metadata: BTreeMap<String, String>,
}

impl BlobContainer {
    /// Lists the blobs whose names begin with a prefix.
    ///
    /// # Errors
    /// Any error of a request; [`NotFound`](ApiErrorKind::NotFound) if the container does not exist.
    pub async fn list(&self, prefix: &str) -> Result<Vec<BlobItem>, ApiError> {
        let (mut items, mut marker) = (Vec::new(), String::new());
        for _ in 0..PAGES_MAX {
            let mut query =
                vec![("restype", "container"), ("comp", "list"), ("include", "metadata"), ("prefix", prefix)];
            if !marker.is_empty() {
                query.push(("marker", &marker));
            }
            let request = self.request(Method::Get, "", &query)?;
            let answer = self.send(&self.0.repeating, request).await?;
            let page = page(&answer.body).ok_or_else(|| {
                ApiError::new(
                    ApiErrorKind::Protocol,
                    "read the list of the blobs: it is not the service's XML",
                )
            })?;
            items.extend(page.items);
            if page.next.is_empty() {
                return Ok(items);
            }
            marker = page.next;
        }
        Err(ApiError::new(ApiErrorKind::Protocol, "read the list of the blobs: it does not end"))
    }
}

/// A page of a list.
#[derive(Debug, Default, PartialEq)]
struct Page {
    items: Vec<BlobItem>,
    next: String,
}

fn page(body: &[u8]) -> Option<Page> {
    let mut page = Page::default();
    let mut is_list = false;
    xml::walk(body, |path, step| {
        let path = xml::names(path);
        is_list |= path.first() == Some(&"EnumerationResults");
        match (path.as_slice(), step) {
            (["EnumerationResults", "Blobs", "Blob"], Step::Start) => page.items.push(BlobItem::default()),
            (["EnumerationResults", "NextMarker"], Step::End(text)) => text.clone_into(&mut page.next),
            (["EnumerationResults", "Blobs", "Blob", rest @ ..], Step::End(text)) => {
                if let Some(item) = page.items.last_mut() {
                    set(item, rest, text);
                }
            }
            _ => {}
        }
    })?;
    is_list.then_some(page)
}

fn set(item: &mut BlobItem, path: &[&str], text: &str) {
    match path {
        ["Name"] => text.clone_into(&mut item.name),
        ["Properties", "Content-Length"] => item.bytes = text.parse().unwrap_or(0),
        ["Properties", "Last-Modified"] => text.clone_into(&mut item.modified),
        ["Properties", "LeaseState"] => text.clone_into(&mut item.lease_state),
        ["Properties", "Sealed"] => item.sealed = text == "true",
        ["Metadata", name] => {
            item.metadata.insert(name.to_ascii_lowercase(), text.to_owned());
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_its_blobs_and_the_next_marker() {
        let body = "\u{feff}<?xml version=\"1.0\"?><EnumerationResults><Prefix>a/</Prefix><Blobs><Blob><Name>a/b&amp;c</Name>\
                    <Properties><Last-Modified>Mon, 30 Nov 2026 02:00:00 GMT</Last-Modified><Content-Length>12</Content-Length>\
                    <LeaseState>leased</LeaseState><Sealed>true</Sealed></Properties><Metadata><Moved>x</Moved></Metadata></Blob>\
                    <Blob><Name>a/d</Name><Properties/><Metadata/></Blob></Blobs><NextMarker>a/e</NextMarker></EnumerationResults>";
        let page = page(body.as_bytes()).unwrap();
        assert_eq!(page.next, "a/e");
        assert_eq!(
            (page.items[0].name.as_str(), page.items[0].bytes, page.items[0].sealed),
            ("a/b&c", 12, true)
        );
        assert_eq!(page.items[0].metadata["moved"], "x");
        assert_eq!(page.items[1], BlobItem { name: "a/d".to_owned(), ..BlobItem::default() });
        assert_eq!(super::page(b"<Error/>"), None);
    }
}
