//! What a token must say.

use super::reader::Reader;

/// The claims that authorize (row M). All four rules must hold; a rule without requirements holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// Row M `scopes_claim` (default `scope`) and `scopes_required`.
    pub scopes: ClaimRule,
    /// Row M `audience_claim` (default `aud`) and `audience_required`.
    pub audience: ClaimRule,
    /// Row M `groups_claim` (default `groups`) and `groups_required`.
    pub groups: ClaimRule,
    /// Row M `roles_claim` (default `roles`) and `roles_required`.
    pub roles: ClaimRule,
}

/// Values that a claim must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRule {
    /// The way down to the claim: names of members, or indices of list elements beginning at 1.
    /// Never empty.
    pub path: Vec<String>,
    /// One of these groups must be there completely: the outer list is "or", the inner one "and".
    /// An empty outer list asks for nothing; an inner list is never empty.
    pub required: Vec<Vec<String>>,
}

impl Authorization {
    pub(super) fn read(reader: &mut Reader) -> Authorization {
        Authorization {
            scopes: ClaimRule::read(reader, "scopes_claim", "scopes_required"),
            audience: ClaimRule::read(reader, "audience_claim", "audience_required"),
            groups: ClaimRule::read(reader, "groups_claim", "groups_required"),
            roles: ClaimRule::read(reader, "roles_claim", "roles_required"),
        }
    }

    /// The four rules, in the order in which they are checked.
    pub fn rules(&self) -> [&ClaimRule; 4] {
        [&self.scopes, &self.audience, &self.groups, &self.roles]
    }
}

impl ClaimRule {
    fn read(reader: &mut Reader, claim: &str, required: &str) -> ClaimRule {
        let groups = reader.restriction(required);
        let groups = groups
            .iter()
            .map(|group| group.split_ascii_whitespace().map(str::to_owned).collect());
        ClaimRule {
            path: reader.path(claim),
            required: groups.collect(),
        }
    }
}
