//! DNS messages: header, question, records and the OPT record of EDNS, to and from bytes.
//!
//! Source: RFC 1035 §4 (format), RFC 6891 (EDNS), RFC 3597 (unknown types).

use super::record::{INTERNET, Record, kind};
use super::wire::{Reader, Writer};

/// The maximum number of records that a section of a received message may have.
const RECORDS_MAX: u16 = 256;
/// The EDNS option with the simulated time of a question, in milliseconds; from the range for local use (RFC 6891 §9).
///
/// The simulated CA asks when a validation was due, not when the next request arrived.
const AS_OF_OPTION: u16 = 65_001;

/// The response codes.
pub(crate) mod rcode {
    pub(crate) const NO_ERROR: u16 = 0;
    pub(crate) const FORMAT_ERROR: u16 = 1;
    pub(crate) const SERVER_FAILURE: u16 = 2;
    pub(crate) const NAME_ERROR: u16 = 3;
    pub(crate) const NOT_IMPLEMENTED: u16 = 4;
    pub(crate) const REFUSED: u16 = 5;
    /// Needs EDNS: its upper bits are in the OPT record.
    pub(crate) const BAD_VERSION: u16 = 16;
}

/// A question. The name keeps its case and has no trailing dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) name: String,
    pub(crate) kind: u16,
    pub(crate) class: u16,
}

/// The OPT record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edns {
    /// The largest UDP message that its sender accepts.
    pub(crate) udp_size: u16,
    pub(crate) version: u8,
    /// The simulated time of the question.
    pub(crate) as_of: Option<i64>,
}

/// A message with at most one question.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Message {
    pub(crate) id: u16,
    pub(crate) is_response: bool,
    pub(crate) opcode: u8,
    pub(crate) authoritative: bool,
    pub(crate) truncated: bool,
    pub(crate) recursion_desired: bool,
    pub(crate) rcode: u16,
    pub(crate) question: Option<Question>,
    pub(crate) answers: Vec<Record>,
    pub(crate) authority: Vec<Record>,
    pub(crate) additional: Vec<Record>,
    pub(crate) edns: Option<Edns>,
}

impl Message {
    /// Creates a question for an authoritative server, with EDNS.
    pub(crate) fn query(id: u16, name: &str, kind: u16, as_of: i64) -> Self {
        let question = Question { name: name.to_owned(), kind, class: INTERNET };
        let edns = Edns { udp_size: 1232, version: 0, as_of: Some(as_of) };
        Self { id, question: Some(question), edns: Some(edns), ..Self::default() }
    }

    /// Creates the response to a question, without records.
    pub(crate) fn response_to(query: &Self, rcode: u16) -> Self {
        Self {
            id: query.id,
            is_response: true,
            opcode: query.opcode,
            recursion_desired: query.recursion_desired,
            rcode,
            question: query.question.clone(),
            edns: query.edns.map(|_| Edns { udp_size: 1232, version: 0, as_of: None }),
            ..Self::default()
        }
    }

    /// Encodes the message.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        let flag = |set: bool, bit: u16| if set { 1 << bit } else { 0 };
        let flags = flag(self.is_response, 15)
            | u16::from(self.opcode & 15) << 11
            | flag(self.authoritative, 10)
            | flag(self.truncated, 9)
            | flag(self.recursion_desired, 8)
            | (self.rcode & 15);
        let count = |records: &[Record]| u16::try_from(records.len()).unwrap_or(u16::MAX);
        let additional = count(&self.additional) + u16::from(self.edns.is_some());
        let questions = u16::from(self.question.is_some());
        for number in [self.id, flags, questions, count(&self.answers), count(&self.authority), additional] {
            writer.number(number);
        }
        if let Some(question) = &self.question {
            writer.name(&question.name);
            writer.number(question.kind);
            writer.number(question.class);
        }
        for record in self.answers.iter().chain(&self.authority).chain(&self.additional) {
            writer.record(record);
        }
        if let Some(edns) = &self.edns {
            writer.bytes.push(0);
            writer.number(kind::OPT);
            writer.number(edns.udp_size);
            writer.bytes.extend([u8::try_from(self.rcode >> 4).unwrap_or(0), edns.version, 0, 0]);
            match edns.as_of {
                Some(at) => {
                    [12, AS_OF_OPTION, 8].into_iter().for_each(|number| writer.number(number));
                    writer.bytes.extend(at.to_be_bytes());
                }
                None => writer.number(0),
            }
        }
        writer.bytes
    }

    /// Encodes the message for UDP: if it is longer than `limit`, truncated and without records (RFC 2181 §9).
    pub(crate) fn encode_within(&self, limit: usize) -> Vec<u8> {
        let whole = self.encode();
        if whole.len() <= limit {
            return whole;
        }
        let head = Self {
            truncated: true,
            answers: Vec::new(),
            authority: Vec::new(),
            additional: Vec::new(),
            ..self.clone()
        };
        head.encode()
    }

    /// Decodes a message; `None` if it is malformed. More than one question is malformed (RFC 9619).
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader { bytes, at: 0 };
        let (id, flags) = (reader.number()?, reader.number()?);
        let counts = [reader.number()?, reader.number()?, reader.number()?, reader.number()?];
        if counts[0] > 1 || counts.iter().any(|count| *count > RECORDS_MAX) {
            return None;
        }
        let flag = |bit: u16| flags >> bit & 1 == 1;
        let mut message = Self {
            id,
            is_response: flag(15),
            opcode: u8::try_from(flags >> 11 & 15).ok()?,
            authoritative: flag(10),
            truncated: flag(9),
            recursion_desired: flag(8),
            rcode: flags & 15,
            ..Self::default()
        };
        if counts[0] == 1 {
            let name = reader.name()?;
            message.question = Some(Question { name, kind: reader.number()?, class: reader.number()? });
        }
        for (section, count) in counts[1..].iter().enumerate() {
            for _ in 0..*count {
                let (record, class) = reader.record()?;
                match (section, record.kind) {
                    (2, kind::OPT) if message.edns.is_some() => return None,
                    (2, kind::OPT) => {
                        let [upper, version, ..] = record.ttl.to_be_bytes();
                        message.rcode |= u16::from(upper) << 4;
                        message.edns = Some(Edns { udp_size: class, version, as_of: as_of(&record.data) });
                    }
                    (0, _) => message.answers.push(record),
                    (1, _) => message.authority.push(record),
                    _ => message.additional.push(record),
                }
            }
        }
        Some(message)
    }

    /// Returns the id of a message that may be malformed.
    pub(crate) fn id_of(bytes: &[u8]) -> Option<u16> {
        bytes.first_chunk().map(|id| u16::from_be_bytes(*id))
    }
}

/// Returns the time in the options of an OPT record.
fn as_of(options: &[u8]) -> Option<i64> {
    let mut reader = Reader { bytes: options, at: 0 };
    loop {
        let (code, length) = (reader.number()?, reader.number()?);
        let data = reader.take(usize::from(length))?;
        if code == AS_OF_OPTION {
            return data.first_chunk().map(|bytes| i64::from_be_bytes(*bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::name_bytes;
    use super::*;

    fn record(name: &str, kind: u16, data: Vec<u8>) -> Record {
        Record { name: name.to_owned(), kind, ttl: 60, data }
    }

    #[test]
    fn a_message_survives_encoding_and_repeats_no_name() {
        let query = Message::query(7, "_acme-challenge.Demo.example.com", kind::TXT, 1_795_421_700_000);
        assert_eq!(Message::decode(&query.encode()), Some(query.clone()));
        let mut response = Message::response_to(&query, rcode::NO_ERROR);
        response.authoritative = true;
        response.answers = vec![
            record("_acme-challenge.Demo.example.com", kind::TXT, b"\x01a".to_vec()),
            record("_acme-challenge.Demo.example.com", kind::TXT, b"\x01b".to_vec()),
        ];
        response.authority = vec![record("example.com", kind::NS, name_bytes("ns1.example.com"))];
        let bytes = response.encode();
        assert_eq!(Message::decode(&bytes), Some(response.clone()));
        let occurrences = bytes.windows(15).filter(|part| *part == b"_acme-challenge").count();
        assert_eq!(occurrences, 1, "the owner names are pointers");
        let bad_version = Message { rcode: rcode::BAD_VERSION, ..response };
        assert_eq!(Message::decode(&bad_version.encode()).map(|read| read.rcode), Some(rcode::BAD_VERSION));
    }

    #[test]
    fn a_long_response_is_truncated_to_its_head() {
        let query = Message::query(1, "x.example.com", kind::TXT, 0);
        let mut response = Message::response_to(&query, rcode::NO_ERROR);
        response.answers = (0..10).map(|_| record("x.example.com", kind::TXT, vec![0; 200])).collect();
        let read = Message::decode(&response.encode_within(1232)).unwrap();
        assert!(read.truncated && read.answers.is_empty() && read.edns.is_some());
        assert_eq!(Message::decode(&response.encode_within(65_535)), Some(response));
    }

    #[test]
    fn malformed_messages_are_none() {
        let whole = Message::query(1, "x.example.com", kind::TXT, 0).encode();
        for length in 0..whole.len() {
            assert_eq!(Message::decode(&whole[..length]), None, "{length} bytes");
        }
        let mut two_questions = whole.clone();
        two_questions[5] = 2;
        assert_eq!(Message::decode(&two_questions), None);
        let mut endless = whole.clone();
        endless[12..14].copy_from_slice(&[0xc0, 12]);
        assert_eq!(Message::decode(&endless), None, "a pointer to itself");
        let mut dotted = whole;
        dotted[13] = b'.';
        assert_eq!(Message::decode(&dotted), None);
    }
}
