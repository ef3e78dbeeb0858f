//! Sets of completion indexes, in the text form of a Job's status: `1,3-5,7`.
//!
//! Source: `completedIndexes` of batch/v1 JobStatus. Only three or more consecutive indexes have a hyphen.

use std::fmt;

/// The first and the last index of a run of consecutive ones.
type Run = (u32, u32);

/// A set of indexes, as runs in increasing order with gaps between them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::aks) struct Indexes(Vec<Run>);

impl Indexes {
    /// Parses the text form. Drops indexes at or above `completions`, and parts that are malformed.
    pub fn parse(text: &str, completions: u32) -> Self {
        let mut all = Self::default();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            if let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>())
                && first < completions
            {
                all.insert_run((first, last.min(completions - 1)));
            }
        }
        all
    }

    /// Adds one index.
    pub fn insert(&mut self, index: u32) {
        self.insert_run((index, index));
    }

    /// Adds all indexes of another set.
    pub fn extend(&mut self, other: &Self) {
        other.0.iter().for_each(|run| self.insert_run(*run));
    }

    fn insert_run(&mut self, (mut first, mut last): Run) {
        if first > last {
            return;
        }
        // The runs that overlap the new one or touch it merge with it.
        let start = self.0.partition_point(|run| run.1.saturating_add(1) < first);
        let end = self.0.partition_point(|run| run.0 <= last.saturating_add(1));
        if let Some(merged) = self.0.get(start..end).filter(|merged| !merged.is_empty()) {
            first = first.min(merged[0].0);
            last = last.max(merged[merged.len() - 1].1);
        }
        self.0.splice(start..end, [(first, last)]);
    }

    /// Returns whether the set contains an index.
    pub fn contains(&self, index: u32) -> bool {
        let place = self.0.partition_point(|run| run.1 < index);
        self.0.get(place).is_some_and(|run| run.0 <= index)
    }

    /// Returns the number of indexes.
    pub fn count(&self) -> u32 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// Returns the number of indexes that both sets contain.
    pub fn count_common(&self, other: &Self) -> u32 {
        let overlap = |a: &Run, b: &Run| (a.1.min(b.1) + 1).saturating_sub(a.0.max(b.0));
        self.0.iter().map(|own| other.0.iter().map(|run| overlap(own, run)).sum::<u32>()).sum()
    }

    /// Returns the indexes below `completions` that are not in the set, in order.
    pub fn missing(&self, completions: u32) -> impl Iterator<Item = u32> {
        let starts = std::iter::once(0).chain(self.0.iter().map(|run| run.1.saturating_add(1)));
        let ends = self.0.iter().map(|run| run.0).chain(std::iter::once(completions));
        starts.zip(ends).flat_map(move |(start, end)| start..end.min(completions))
    }
}

impl fmt::Display for Indexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (first, last)) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            match last - first {
                0 => write!(f, "{comma}{first}")?,
                1 => write!(f, "{comma}{first},{last}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

impl FromIterator<u32> for Indexes {
    fn from_iter<I: IntoIterator<Item = u32>>(indexes: I) -> Self {
        let mut all = Self::default();
        indexes.into_iter().for_each(|index| all.insert(index));
        all
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn three_or_more_indexes_in_a_row_have_a_hyphen() {
        for (indexes, text) in
            [(vec![], ""), (vec![7], "7"), (vec![1, 2], "1,2"), (vec![1, 3, 4, 5, 7], "1,3-5,7")]
        {
            assert_eq!(Indexes::from_iter(indexes).to_string(), text);
        }
    }

    #[test]
    fn malformed_parts_and_indexes_above_the_end_are_dropped() {
        assert_eq!(Indexes::parse("0,x,2-9,5-3,12", 6).to_string(), "0,2-5");
        assert_eq!(Indexes::parse("0-3", 0), Indexes::default());
    }

    proptest! {
        #[test]
        fn a_set_survives_its_text_form(indexes: BTreeSet<u8>, order: u64) {
            let mut shuffled: Vec<u32> = indexes.iter().map(|index| u32::from(*index)).collect();
            fastrand::Rng::with_seed(order).shuffle(&mut shuffled);
            let set = Indexes::from_iter(shuffled);
            prop_assert_eq!(&Indexes::parse(&set.to_string(), 256), &set);
            prop_assert_eq!(set.count() as usize, indexes.len());
            for index in 0..=255_u8 {
                prop_assert_eq!(set.contains(index.into()), indexes.contains(&index));
            }
            let missing: Vec<u32> = set.missing(256).collect();
            let absent: Vec<u32> = (0..256).filter(|index| !set.contains(*index)).collect();
            prop_assert_eq!(missing, absent);
        }

        #[test]
        fn the_text_has_one_form_and_no_neighbours_apart(indexes: BTreeSet<u8>) {
            let text = Indexes::from_iter(indexes.iter().map(|index| u32::from(*index))).to_string();
            let runs: Vec<(u32, u32)> = text.split(',').filter(|part| !part.is_empty()).map(|part| {
                let (first, last) = part.split_once('-').unwrap_or((part, part));
                (first.parse().expect("a number"), last.parse().expect("a number"))
            }).collect();
            for (first, last) in &runs {
                prop_assert!(first == last || last - first >= 2, "{}", text);
            }
            for pair in runs.windows(2) {
                // Only two single indexes may be neighbours.
                let are_neighbours = pair[0].1 + 1 == pair[1].0;
                prop_assert!(pair[0].1 < pair[1].0, "{}", text);
                prop_assert!(!are_neighbours || (pair[0].0 == pair[0].1 && pair[1].0 == pair[1].1), "{}", text);
            }
        }

        #[test]
        fn common_indexes_are_counted(a: BTreeSet<u8>, b: BTreeSet<u8>) {
            let of = |set: &BTreeSet<u8>| Indexes::from_iter(set.iter().map(|index| u32::from(*index)));
            prop_assert_eq!(of(&a).count_common(&of(&b)) as usize, a.intersection(&b).count());
            let mut union = of(&a);
            union.extend(&of(&b));
            prop_assert_eq!(union.count() as usize, a.union(&b).count());
        }
    }
}
