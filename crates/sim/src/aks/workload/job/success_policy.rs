//! The success policy of an Indexed Job: it can succeed before all indexes do.

use serde_json::Value;

use super::indexes::Indexes;
use crate::aks::object::{list, number};

/// Returns the message of the first rule that the succeeded indexes satisfy.
pub(super) fn met(job: &Value, completions: u32, succeeded: &Indexes) -> Option<String> {
    if succeeded.count() == 0 {
        return None;
    }
    let is_met = |rule: &Value| {
        let count = number(rule, "/succeededCount");
        let enough = |have: u32| count.is_some_and(|count| i64::from(have) >= count);
        match rule["succeededIndexes"].as_str() {
            Some(text) => {
                let wanted = Indexes::parse(text, completions);
                let have = succeeded.count_common(&wanted);
                wanted.count() > 0 && (have == wanted.count() || enough(have))
            }
            None => enough(succeeded.count()),
        }
    };
    let place = list(job, "/spec/successPolicy/rules").iter().position(is_met)?;
    Some(format!("Matched rules at index {place}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rule_needs_its_indexes_or_enough_of_them() {
        let job = |rules: Value| json!({"spec": {"successPolicy": {"rules": rules}}});
        let at = |rules: Value, succeeded: &str| met(&job(rules), 10, &Indexes::parse(succeeded, 10));
        let leader = json!([{"succeededIndexes": "0,2-4", "succeededCount": 3}, {"succeededCount": 5}]);
        assert_eq!(at(leader.clone(), "0,2"), None);
        assert_eq!(at(leader.clone(), "0,3,4").as_deref(), Some("Matched rules at index 0"));
        assert_eq!(at(leader, "1,5-8").as_deref(), Some("Matched rules at index 1"));
        let all = json!([{"succeededIndexes": "8,9"}]);
        assert_eq!(at(all.clone(), "8"), None);
        assert!(at(all, "8,9").is_some());
        assert_eq!(at(json!([]), "0-9"), None);
    }
}
