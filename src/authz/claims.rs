//! Claims: where they are found, what values they hold, which requirements they meet.

use serde_json::Value;

use crate::config::ClaimRule;

/// The claim at `path`: a descent through objects, and through arrays by an index that begins at 1.
pub fn claim<'a>(claims: &'a Value, path: &[String]) -> Option<&'a Value> {
    let found = path.iter().try_fold(claims, |value, step| match value {
        Value::Object(members) => members.get(step),
        Value::Array(elements) => elements.get(step.parse::<usize>().ok()?.checked_sub(1)?),
        _ => None,
    })?;
    (!found.is_null()).then_some(found)
}

/// The values that a claim stands for: a string's words, or an array's strings (specification
/// section 8, "value forms"). Numbers and booleans count as their JSON text.
pub fn text_values(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => text.split_ascii_whitespace().map(str::to_owned).collect(),
        Value::Array(elements) => elements
            .iter()
            .filter_map(|element| match element {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                Value::Bool(flag) => Some(flag.to_string()),
                _ => None,
            })
            .collect(),
        Value::Number(number) => vec![number.to_string()],
        Value::Bool(flag) => vec![flag.to_string()],
        _ => Vec::new(),
    }
}

impl ClaimRule {
    /// Whether the claims hold all words of at least one element of `required`. No element: no rule.
    pub fn is_met_by(&self, claims: &Value) -> bool {
        if self.required.is_empty() {
            return true;
        }
        let values = claim(claims, &self.path)
            .map(text_values)
            .unwrap_or_default();
        self.required
            .iter()
            .any(|all| all.iter().all(|word| values.contains(word)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail loudly")]
mod tests {
    use super::*;
    use serde_json::json;

    fn path(steps: &[&str]) -> Vec<String> {
        steps.iter().map(|step| (*step).to_owned()).collect()
    }

    #[test]
    fn descends_with_indices_from_one() {
        let claims = json!({"a": {"b": ["x", {"c": 1}]}, "n": null});
        assert_eq!(claim(&claims, &path(&["a", "b", "1"])), Some(&json!("x")));
        assert_eq!(
            claim(&claims, &path(&["a", "b", "2", "c"])),
            Some(&json!(1))
        );
        assert_eq!(claim(&claims, &path(&["a", "b", "0"])), None);
        assert_eq!(claim(&claims, &path(&["a", "b", "3"])), None);
        assert_eq!(claim(&claims, &path(&["n"])), None, "null is no value");
    }

    #[test]
    fn c07_words_are_and_elements_are_or() {
        let rule = ClaimRule {
            path: path(&["groups"]),
            required: vec![path(&["employee", "marketing"]), path(&["super-admins"])],
        };
        assert!(rule.is_met_by(&json!({"groups": ["marketing", "employee"]})));
        assert!(rule.is_met_by(&json!({"groups": "super-admins other"})));
        assert!(!rule.is_met_by(&json!({"groups": ["employee"]})));
        assert!(!rule.is_met_by(&json!({"groups": ["super-admins other"]})));
        assert!(!rule.is_met_by(&json!({})));
    }

    #[test]
    fn no_required_list_is_no_check() {
        let rule = ClaimRule {
            path: path(&["scope"]),
            required: Vec::new(),
        };
        assert!(rule.is_met_by(&json!({})));
    }
}
