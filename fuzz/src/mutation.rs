//! Seeded mutations for toolchains without a fuzzer: each input depends only on its seed and its number.

use fastrand::Rng;

/// The maximum length of an input, in bytes.
const LENGTH_MAX: usize = 64 * 1024;
/// The maximum number of mutations per input.
const TURNS_MAX: usize = 8;

/// Tokens for random insertion: significant parts of the targets' formats.
const TOKENS: &[&str] = &[
    "\n",
    "\r\n",
    "\t",
    " ",
    ":",
    ": ",
    "- ",
    "---\n",
    "...\n",
    "~\n",
    "#",
    " # x",
    "\"",
    "'",
    "{",
    "}",
    "[",
    "]",
    "{}",
    "[]",
    "null",
    "~",
    "true",
    "on",
    "0",
    "-1",
    "1e999",
    "9223372036854775808",
    "18446744073709551615",
    "0x",
    "1_0",
    "\0",
    "\u{feff}",
    "\u{2028}",
    "é",
    "🗝",
    "&a ",
    "*a",
    "<<: ",
    "!!str ",
    "|\n",
    ">-\n",
    "%YAML 1.2\n",
    "? ",
    "name",
    "apiVersion",
    "kind",
    "List",
    "metadata",
    "items",
    "status",
    "error",
    "code",
    "message",
    "details",
    "innererror",
    "properties",
    "provisioningState",
    "Succeeded",
    "Failed",
    "nextLink",
    "ORIGIN",
    "current-context",
    "clusters",
    "contexts",
    "users",
    "demo",
    "\"entry\":\"opened\"",
    "\"format\":2",
    "\"at\":",
    "retry-after: 1\n",
    "retry-after-ms: nan\n",
    "location: //x\n",
    "azure-asyncoperation: ORIGIN/x\n",
    "200\n",
    "202\n",
    "404\n",
    "429\n",
    "000\n",
    "{\"type\":\"ADDED\",\"object\":",
    "resourceVersion",
    "10.0.0.0/33",
    "$filter",
    "api-version=",
    "../",
    "%2f",
    "%",
    "//",
    "?watch=true",
    "limits",
    "1e-999999999",
    "1.5e-2147483648",
    "99999999999999999999Ei",
    "-9223372036854775808",
];

/// Returns the input with this number.
pub fn input(corpus: &[Vec<u8>], seed: u64, number: u64) -> Vec<u8> {
    let mut rng = Rng::with_seed(seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mut data = rng.choice(corpus).cloned().unwrap_or_default();
    // Formats with lengths and checksums survive one change at most.
    let turns = if rng.bool() { 1 } else { rng.usize(1..=TURNS_MAX) };
    for _ in 0..turns {
        mutate(&mut data, corpus, &mut rng);
        data.truncate(LENGTH_MAX);
    }
    data
}

fn mutate(data: &mut Vec<u8>, corpus: &[Vec<u8>], rng: &mut Rng) {
    let (from, to) = range(data, rng);
    match rng.u8(0..9) {
        0 if !data.is_empty() => {
            let at = rng.usize(..data.len());
            data[at] ^= 1 << rng.u8(..8);
        }
        1 if !data.is_empty() => {
            let at = rng.usize(..data.len());
            data[at] = rng.u8(..);
        }
        2 => data.truncate(from),
        3 => drop(data.drain(from..to)),
        4 => {
            let copy = data[from..to].to_vec();
            let at = rng.usize(..=data.len());
            data.splice(at..at, copy);
        }
        5 => {
            let other = rng.choice(corpus).map(Vec::as_slice).unwrap_or_default();
            let (start, end) = range(other, rng);
            data.splice(from..to, other[start..end].iter().copied());
        }
        6 => {
            let token = rng.choice(TOKENS).copied().unwrap_or_default();
            let to = if rng.bool() { from } else { to };
            data.splice(from..to, token.bytes());
        }
        7 => lines(data, rng),
        _ => {
            let token = rng.choice(TOKENS).copied().unwrap_or_default();
            data.splice(from..from, token.bytes());
        }
    }
}

/// Selects a range, usually a short one.
fn range(data: &[u8], rng: &mut Rng) -> (usize, usize) {
    let from = rng.usize(..=data.len());
    let longest = if rng.u8(..4) == 0 { data.len() } else { 16 };
    (from, (from + rng.usize(..=longest)).min(data.len()))
}

/// Removes a line, duplicates it or swaps it with another, like usual edits of files.
fn lines(data: &mut Vec<u8>, rng: &mut Rng) {
    let mut lines: Vec<Vec<u8>> = data.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    if lines.is_empty() {
        return;
    }
    let (one, other) = (rng.usize(..lines.len()), rng.usize(..lines.len()));
    match rng.u8(0..4) {
        0 => drop(lines.remove(one)),
        1 => lines.insert(other, lines[one].clone()),
        2 => lines.swap(one, other),
        _ => {
            lines[one].splice(0..0, b"  ".iter().copied());
        }
    }
    *data = lines.concat();
}
