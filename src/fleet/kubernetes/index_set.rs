//! The sets of indexes in the status of an Indexed Job, `1,3-5,7`.

use std::collections::BTreeSet;

/// The highest index that is accepted: an Indexed Job has at most 100,000.
const INDEX_MAX: usize = 100_000;

/// Parses a set of indexes; `None` if it is malformed. An empty text is an empty set.
pub fn parse(text: &str) -> Option<BTreeSet<usize>> {
    let mut indexes = BTreeSet::new();
    for part in text.split(',').filter(|_| !text.is_empty()) {
        let number = |text: &str| -> Option<usize> {
            let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|index| is_plain && *index < INDEX_MAX)
        };
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(part)?, number(part)?),
        };
        if last < first {
            return None;
        }
        indexes.extend(first..=last);
    }
    Some(indexes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_indexes_and_ranges_are_read() {
        let set = |text: &str| parse(text).map(|set| set.into_iter().collect::<Vec<_>>());
        assert_eq!(set("1,3-5,7"), Some(vec![1, 3, 4, 5, 7]));
        assert_eq!(set(""), Some(vec![]));
        assert_eq!(set("0"), Some(vec![0]));
        assert_eq!(set("0-2"), Some(vec![0, 1, 2]));
        for wrong in ["1,", ",1", "5-3", "-1", "+1", "a", "1-", "1--2", "0-999999999999", " 1"] {
            assert_eq!(set(wrong), None, "{wrong}");
        }
    }
}
