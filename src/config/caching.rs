//! How long things are kept.

use super::reader::Reader;

/// The lifetimes of cached answers (row S). Times are seconds. Nothing is kept beyond the `exp` of
/// the token it came from, whatever is configured here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caching {
    /// Row S `cache_ttl`, default 3600: for what carries no expiry of its own.
    pub ttl: u64,
    /// Row S `cache_ttl_min`: the lower bound. `None`: no bound.
    pub ttl_min: Option<u64>,
    /// Row S `cache_ttl_max`: the upper bound. `None`: no bound.
    pub ttl_max: Option<u64>,
    /// Row S `cache_ttl_neg`: for refusals. `None`: they are not kept.
    pub ttl_neg: Option<u64>,
    /// Row S `cache_ttl_resurrect`: how much longer userinfo counts that is asked beside another way in, while the
    /// endpoint fails. `None`: no longer. Never for what decides whether a token is good.
    pub ttl_resurrect: Option<u64>,
    /// Row S `cache_tokens`, default true: what the token endpoint gave.
    pub tokens: bool,
    /// Row S `cache_introspection`, default true.
    pub introspection: bool,
    /// Row S `cache_user_info`, default true.
    pub userinfo: bool,
}

impl Caching {
    pub(super) fn read(reader: &mut Reader) -> Caching {
        // Always accepted: every how-to sets it. It names a cache that does not exist yet.
        let _ = reader.text("cache_tokens_salt");
        let _ = reader.flag("token_cache_key_include_scope");
        let caching = Caching {
            ttl: reader.seconds("cache_ttl").unwrap_or(3600),
            ttl_min: reader.seconds("cache_ttl_min"),
            ttl_max: reader.seconds("cache_ttl_max"),
            ttl_neg: reader.seconds("cache_ttl_neg"),
            ttl_resurrect: reader.seconds("cache_ttl_resurrect"),
            tokens: reader.flag("cache_tokens"),
            introspection: reader.flag("cache_introspection"),
            userinfo: reader.flag("cache_user_info"),
        };
        if let (Some(min), Some(max)) = (caching.ttl_min, caching.ttl_max)
            && min > max
        {
            reader.error("cache_ttl_min", "is greater than `cache_ttl_max`; lower it");
        }
        caching
    }

    /// How long something may be kept, in seconds: within the bounds `ttl` where it carries no expiry
    /// of its own, and only bounded by `ttl_max` where it does.
    pub fn ttl_of(&self, has_expiry: bool) -> u64 {
        if has_expiry {
            self.bounded(u64::MAX)
        } else {
            self.bounded(self.ttl)
        }
    }

    /// `seconds` within the configured bounds.
    pub fn bounded(&self, seconds: u64) -> u64 {
        let least = self.ttl_min.unwrap_or(0);
        let most = self.ttl_max.unwrap_or(u64::MAX);
        seconds.max(least).min(most)
    }
}
