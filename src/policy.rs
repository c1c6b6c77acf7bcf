//! One configuration in force, with everything that is prepared from it once.

use std::cell::RefCell;
use std::rc::Rc;

use crate::cache::{Budget, VerdictCache};
use crate::config::Config;
use crate::provider::{Provider, Providers};
use crate::upstream::OwnedNames;

/// A configuration and what hangs on it. A request keeps the policy it began with, also when an
/// update comes while it is paused.
pub struct Policy {
    /// The configuration.
    pub config: Config,
    /// The provider, shared with all policies that name the same one.
    pub provider: Rc<Provider>,
    /// The header names that are ours under this configuration.
    pub names: OwnedNames,
    /// Verdicts under this configuration: another one may judge the same token otherwise.
    pub verdicts: RefCell<VerdictCache>,
}

/// What all policies of a virtual machine share.
#[derive(Default)]
pub struct Shared {
    /// The providers: fifty routes on one provider fetch its keys once.
    pub providers: Providers,
    /// The memory of the caches.
    pub budget: Budget,
}

impl Policy {
    /// Prepares a configuration.
    pub fn new(config: Config, shared: &Shared) -> Rc<Policy> {
        let provider = shared.providers.of(&config);
        let names = OwnedNames::new(&config);
        Rc::new(Policy {
            config,
            provider,
            names,
            verdicts: RefCell::new(VerdictCache::new(shared.budget.clone())),
        })
    }
}
