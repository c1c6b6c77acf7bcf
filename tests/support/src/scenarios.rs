//! The acceptance scenarios: which there are, and what the tests say of them.
//!
//! A test belongs to a scenario by the beginning of its name: `ht_04b_...` to HT-04b, `dx_15a_...` to case a of DX-15. It
//! counts only if it passes with the filter and fails with both controls: with a module that forwards everything, and with
//! one that refuses everything.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// `tests/scenarios.tsv`.
const LIST: &str = include_str!("../../scenarios.tsv");

/// How near to the user's world a test is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Height {
    /// The product alone, in a simulated world.
    Native,
    /// The compiled module in a host of ours.
    Module,
    /// The module in a real Envoy.
    Envoy,
    /// The same, seen from a real Chromium.
    Browser,
}

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Height::Native => "native",
            Height::Module => "module",
            Height::Envoy => "envoy",
            Height::Browser => "browser",
        })
    }
}

/// What stands in the filter's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The filter.
    Filter,
    /// Forwards everything.
    Open,
    /// Answers 401 to everything.
    Closed,
}

impl Subject {
    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Subject::Filter => "filter",
            Subject::Open => "open",
            Subject::Closed => "closed",
        }
    }
}

/// A scenario of the list.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its id, such as `DX-15`.
    pub id: String,
    /// Its cases with what each is about; none where it is not split.
    pub cases: BTreeMap<char, String>,
    /// What it is about.
    pub title: String,
}

/// What became of a scenario, or of one of its cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// All its tests pass, and tell the filter from both controls.
    Passed,
    /// A test fails, or passes with a control.
    Failed,
    /// There is no test at the height that it needs.
    Open,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Passed => "passed",
            State::Failed => "failed",
            State::Open => "open",
        })
    }
}

/// The whole list.
///
/// # Panics
/// When the file is broken.
#[must_use]
pub fn list() -> Vec<Scenario> {
    LIST.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let mut columns = line.split('\t');
            let mut column = || {
                columns
                    .next()
                    .unwrap_or_else(|| panic!("a column too few: {line}"))
            };
            let (id, cases, title) = (column(), column(), column());
            let cases = cases.split("; ").filter_map(|case| {
                let (letter, what) = case.split_once(": ")?;
                Some((letter.chars().next()?, what.to_owned()))
            });
            Scenario {
                id: id.to_owned(),
                cases: cases.collect(),
                title: title.to_owned(),
            }
        })
        .collect()
}

/// The scenario that a test belongs to, by its name: the id, and the letter of its case.
#[must_use]
pub fn of_test(path: &str) -> Option<(String, Option<char>)> {
    let name = path.rsplit("::").next()?;
    let mut parts = name.splitn(3, '_');
    let (family, number) = (parts.next()?, parts.next()?);
    parts.next()?;
    let digits = number.trim_end_matches(|letter: char| letter.is_ascii_lowercase());
    let letters = number.get(digits.len()..)?;
    if digits.len() != 2 || !digits.bytes().all(|byte| byte.is_ascii_digit()) || letters.len() > 1 {
        return None;
    }
    match family {
        // The letter is a part of the id there.
        "ht" => Some((format!("HT-{number}"), None)),
        "ex" | "oh" | "dx" => Some((
            format!("{}-{digits}", family.to_ascii_uppercase()),
            letters.chars().next(),
        )),
        _ => None,
    }
}

/// All that the tests said.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// By id and case: the tests with their height, and by subject whether each passed.
    tests: BTreeMap<(String, Option<char>), BTreeMap<String, Test>>,
}

#[derive(Clone, Debug)]
struct Test {
    height: Height,
    passed: BTreeMap<Subject, bool>,
}

impl Results {
    /// Notes what came of a test; `false` when its name carries no id.
    pub fn add(&mut self, path: &str, height: Height, subject: Subject, passed: bool) -> bool {
        let Some(key) = of_test(path) else {
            return false;
        };
        self.tests
            .entry(key)
            .or_default()
            .entry(format!("{height} {path}"))
            .or_insert_with(|| Test {
                height,
                passed: BTreeMap::new(),
            })
            .passed
            .insert(subject, passed);
        true
    }

    /// The ids of tests that the list does not have.
    #[must_use]
    pub fn unknown(&self, list: &[Scenario]) -> BTreeSet<String> {
        self.tests
            .keys()
            .map(|(id, _)| id.clone())
            .filter(|id| list.iter().all(|scenario| scenario.id != *id))
            .collect()
    }

    /// The letters of a scenario's cases: those of the list, and those that tests carry.
    #[must_use]
    pub fn cases(&self, scenario: &Scenario) -> BTreeSet<char> {
        let tested = self.tests.keys().filter(|(id, _)| *id == scenario.id);
        let tested = tested.filter_map(|(_, case)| *case);
        scenario.cases.keys().copied().chain(tested).collect()
    }

    /// What the whole scenario came to.
    #[must_use]
    pub fn judge(&self, scenario: &Scenario) -> (State, Option<Height>) {
        let cases = self.cases(scenario);
        if cases.is_empty() {
            return self.judge_case(scenario, None);
        }
        let judged: Vec<_> = cases
            .into_iter()
            .map(|case| self.judge_case(scenario, Some(case)))
            .collect();
        let has = |wanted| judged.iter().any(|(state, _)| *state == wanted);
        let state = if has(State::Failed) {
            State::Failed
        } else if has(State::Open) {
            State::Open
        } else {
            State::Passed
        };
        (state, judged.iter().filter_map(|(_, height)| *height).max())
    }

    /// What a case came to; the height is that of its highest test.
    #[must_use]
    pub fn judge_case(&self, scenario: &Scenario, case: Option<char>) -> (State, Option<Height>) {
        let Some(tests) = self.tests.get(&(scenario.id.clone(), case)) else {
            return (State::Open, None);
        };
        let height = tests.values().map(|test| test.height).max();
        let real = scenario.id.starts_with("DX") || height >= Some(Height::Envoy);
        let counts = |test: &Test| {
            test.passed
                .iter()
                .all(|(subject, passed)| (*subject == Subject::Filter) == *passed)
        };
        let state = if !tests.values().all(counts) {
            State::Failed
        } else if real {
            State::Passed
        } else {
            State::Open
        };
        (state, height)
    }

    /// The tests of a scenario that are to blame, with the reason.
    #[must_use]
    pub fn blame(&self, scenario: &Scenario) -> Vec<String> {
        let own = self.tests.iter().filter(|((id, _), _)| *id == scenario.id);
        own.flat_map(|(_, tests)| tests)
            .flat_map(|(name, test)| {
                test.passed
                    .iter()
                    .filter_map(move |(subject, passed)| match (subject, passed) {
                        (Subject::Filter, false) => Some(format!("{name} fails")),
                        (Subject::Filter, true) | (_, false) => None,
                        (control, true) => Some(format!(
                            "{name} passes also with the control `{}`",
                            control.name()
                        )),
                    })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_to_its_scenario() {
        let of = |name| of_test(name);
        assert_eq!(of("bearer::ht_04b_query"), Some(("HT-04b".into(), None)));
        assert_eq!(of("dx_15a_none"), Some(("DX-15".into(), Some('a'))));
        assert_eq!(of("dx_11_rotation"), Some(("DX-11".into(), None)));
        assert_eq!(of("c25_preflight"), None);
        assert_eq!(of("dx_1_x"), None);
        assert_eq!(of("dx_11"), None, "a name is more than an id");
    }

    #[test]
    fn the_list_is_whole() {
        let list = list();
        let ids: BTreeSet<_> = list.iter().map(|scenario| scenario.id.as_str()).collect();
        assert_eq!(ids.len(), list.len(), "an id twice");
        let count = |family| ids.iter().filter(|id| id.starts_with(family)).count();
        assert_eq!((count("EX"), count("OH"), count("DX")), (31, 23, 58));
        assert!(ids.contains("HT-19c") && !ids.contains("HT-10a") && !ids.contains("HT-15a"));
    }

    #[test]
    fn only_a_test_that_tells_the_filter_from_both_controls_counts() {
        let scenario = Scenario {
            id: "DX-99".into(),
            cases: BTreeMap::new(),
            title: String::new(),
        };
        let judge = |filter, open, closed| {
            let mut results = Results::default();
            for (subject, passed) in [
                (Subject::Filter, filter),
                (Subject::Open, open),
                (Subject::Closed, closed),
            ] {
                results.add("dx_99_x", Height::Native, subject, passed);
            }
            results.judge(&scenario).0
        };
        assert_eq!(judge(true, false, false), State::Passed);
        assert_eq!(judge(false, false, false), State::Failed);
        assert_eq!(judge(true, true, false), State::Failed);
        assert_eq!(judge(true, false, true), State::Failed);
        assert_eq!(Results::default().judge(&scenario).0, State::Open);
    }
}
