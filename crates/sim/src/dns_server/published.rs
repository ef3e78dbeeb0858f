//! The zones as one name server has them.

/// A zone, as published on a name server at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublishedZone {
    /// The name in lower case, without a trailing dot.
    pub(crate) name: String,
    pub(crate) sets: Vec<PublishedSet>,
}

/// A record set on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublishedSet {
    /// The number of the type.
    pub(crate) kind: u16,
    /// The name relative to the zone in lower case, `@` for the zone itself.
    pub(crate) name: String,
    pub(crate) ttl: u32,
    /// The data of the records.
    pub(crate) data: Vec<Vec<u8>>,
}
