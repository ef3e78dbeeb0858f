//! Recorded answers that a simulated AKS cluster does not give, by the number of the request.

/// Returns the reason why an answer differs on purpose.
pub fn reason(number: u64) -> Option<&'static str> {
    REASONS.iter().find(|(numbers, _)| numbers.contains(&number)).map(|(_, reason)| *reason)
}

const REASONS: [(&[u64], &str); 6] = [
    (&[70], "the text of a YAML syntax error is that of the parser"),
    (&[393], "objects are not encoded in protobuf; clients that ask for it accept JSON too"),
    (&[395], "the version is that of the cluster, and its build details are invented"),
    (&[398], "the verbose health lists the checks of one build"),
    (&[399, 403], "the served groups and kinds are those that a cluster of AKS needs"),
    (&[400], "the address of the server is that of the recorded one"),
];
