//! The instance: how it is made and configured, how its exports are called, and how it dies.

use wasmtime::{Instance, Val};

use crate::options::FailurePolicy;
use crate::state::{Callback, MORE_ROOTS, ToFront};
use crate::worker::{Fault, NoFilter, Worker};

impl Worker {
    /// Makes the instance if there is none.
    pub fn ensure_instance(&mut self) -> Result<(), NoFilter> {
        if self.instance.is_some() {
            return Ok(());
        }
        if self.closed {
            return Err(NoFilter::Trapped);
        }
        let root = self.state().root;
        let state = self.state();
        state.roots = vec![root];
        state.generation = state.generation.max(1);
        (state.effective, state.callback) = (root, Callback::Start);
        let made = self.linker.instantiate(&mut self.store, &self.module);
        let instance = made.map_err(|error| NoFilter::Unfit(format!("{error:#}")))?;
        self.check_exports(&instance)?;
        let memory = instance.get_memory(&mut self.store, "memory");
        let allocators = ["proxy_on_memory_allocate", "malloc"];
        let allocate = allocators
            .iter()
            .filter(|name| self.store.data().capable(name))
            .collect::<Vec<_>>()
            .into_iter()
            .find_map(|name| instance.get_typed_func(&mut self.store, name).ok());
        let state = self.state();
        (state.memory, state.allocate) = (memory, allocate);
        self.instance = Some(instance);
        let trapped = |_| NoFilter::Trapped;
        for name in ["_initialize", "_start"] {
            if self.export(name).is_some() {
                self.call(name, root, Callback::Start, &[])
                    .map_err(trapped)?;
                break;
            }
        }
        let start = Callback::Start;
        self.call("proxy_on_context_create", root, start, &[root, 0])
            .map_err(trapped)?;
        if !(self.started && self.is_kong()) {
            let begun = self
                .call("proxy_on_vm_start", root, start, &[root, 0])
                .map_err(trapped)?;
            if begun == Some(0) {
                self.instance = None;
                return Err(NoFilter::Refused);
            }
            self.started = true;
        }
        if self.configure(root).map_err(trapped)? {
            return Ok(());
        }
        self.instance = None;
        Err(NoFilter::Refused)
    }

    /// Shows a root the configuration; whether it took it.
    fn configure(&mut self, root: u32) -> Result<bool, Fault> {
        let size = u32::try_from(self.state().configuration.len()).unwrap_or(u32::MAX);
        let phase = Callback::Configure;
        let answer = self.call("proxy_on_configure", root, phase, &[root, size])?;
        Ok(answer != Some(0))
    }

    /// Puts a configuration in force, on a root context of its own: requests under way keep theirs.
    /// A refused one leaves the old one in force, on either host.
    pub(crate) fn reconfigure(&mut self, configuration: String) -> bool {
        if !self.filter || self.ensure_instance().is_err() {
            return false;
        }
        let state = self.state();
        let (old, before) = (
            state.root,
            std::mem::replace(&mut state.configuration, configuration),
        );
        let root = state
            .roots
            .iter()
            .copied()
            .max()
            .unwrap_or(0)
            .max(MORE_ROOTS)
            + 1;
        // Kong's roots have a timer each; here they share one, which the new root sets anew.
        state.tick = None;
        let create = self.call("proxy_on_context_create", root, Callback::Start, &[root, 0]);
        let accepted = create.and_then(|_| self.configure(root)).unwrap_or(false);
        let state = self.state();
        if accepted {
            state.root = root;
            state.roots.push(root);
        } else {
            (state.root, state.configuration) = (old, before);
        }
        self.drop_idle_roots();
        accepted
    }

    /// Ends the roots of earlier configurations that no request needs any more.
    pub(crate) fn drop_idle_roots(&mut self) {
        let state = self.state();
        let needed = |root: &u32| {
            *root == state.root || state.streams.values().any(|stream| stream.root == *root)
        };
        let (kept, idle): (Vec<u32>, Vec<u32>) = state.roots.iter().copied().partition(needed);
        state.roots = kept;
        for root in idle {
            for name in ["proxy_on_done", "proxy_on_log", "proxy_on_delete"] {
                // A trap was recorded, and the root is gone either way.
                let _ = self.call(name, root, Callback::End, &[root]);
            }
        }
    }

    /// What either host asks for before it takes a module.
    fn check_exports(&mut self, instance: &Instance) -> Result<(), NoFilter> {
        let mut has = |name: &str| instance.get_func(&mut self.store, name).is_some();
        let lacks = |what: &str| Err(NoFilter::Unfit(format!("the module lacks {what}")));
        let markers = [
            "proxy_abi_version_0_2_1",
            "proxy_abi_version_0_2_0",
            "proxy_abi_version_0_1_0",
        ];
        if !markers.iter().any(|name| has(name)) {
            return lacks("an ABI marker");
        }
        if !has("malloc") && !has("proxy_on_memory_allocate") {
            return lacks("an allocator");
        }
        let needed = [
            "proxy_on_context_create",
            "proxy_on_vm_start",
            "proxy_on_configure",
        ];
        let missing = needed.iter().find(|name| !has(name));
        match missing {
            Some(name) if self.store.data().kong().is_some() => lacks(name),
            _ => Ok(()),
        }
    }

    fn export(&mut self, name: &str) -> Option<wasmtime::Func> {
        let capable = self.store.data().capable(name) || name.starts_with('_');
        self.instance
            .filter(|_| capable)?
            .get_func(&mut self.store, name)
    }

    /// Calls an export in the name of a context. `None`: there is none, or it returns nothing.
    pub(crate) fn call(
        &mut self,
        name: &str,
        context: u32,
        callback: Callback,
        arguments: &[u32],
    ) -> Result<Option<i32>, Fault> {
        let Some(function) = self.export(name) else {
            let unchecked = self
                .store
                .data()
                .kong()
                .is_some_and(|kong| kong.exports_unchecked);
            if unchecked && self.instance.is_some() {
                self.crash(&format!("SIGSEGV: `{name}` was called and is not exported"));
                return Err(Fault::Crash);
            }
            return Ok(None);
        };
        let state = self.state();
        (state.effective, state.callback) = (context, callback);
        let arguments: Vec<Val> = arguments
            .iter()
            .map(|it| Val::I32(it.cast_signed()))
            .collect();
        let mut results = vec![Val::I32(0); function.ty(&self.store).results().len()];
        match function.call(&mut self.store, &arguments, &mut results) {
            Ok(()) => Ok(results.first().and_then(Val::i32)),
            Err(error) => {
                self.trapped(name, &error);
                Err(Fault::Trap)
            }
        }
    }

    /// The instance is gone, and with it what it knew of the requests.
    pub(crate) fn trapped(&mut self, name: &str, error: &wasmtime::Error) {
        let kong = self.is_kong();
        let reason = error.root_cause().to_string();
        self.instance = None;
        let state = self.state();
        state.record.trap(&format!("{name}: {reason}"));
        state.generation += 1;
        state.memory = None;
        state.allocate = None;
        // What was asked for in the callback that trapped is not done.
        for stream in state.streams.values_mut() {
            stream.resume = false;
            if !stream.answered {
                stream.local = None;
            }
        }
        state.tick = None;
        let reload =
            |envoy: &crate::options::EnvoySwitches| envoy.failure_policy == FailurePolicy::Reload;
        self.closed = !kong && !self.store.data().options.envoy().is_some_and(reload);
    }

    /// The worker process dies: every connection closes, and a new worker begins afresh.
    pub(crate) fn crash(&mut self, reason: &str) {
        let state = self.store.data_mut();
        state.record.crash(reason);
        for stream in std::mem::take(&mut state.streams).into_values() {
            // A client that is gone needs no word.
            let _ = stream.front.send(ToFront::Close);
        }
        for call in std::mem::take(&mut state.calls).into_values() {
            call.abort.abort();
        }
        state.generation += 1;
        state.tick = None;
        state.memory = None;
        state.allocate = None;
        self.instance = None;
        self.started = false;
    }
}
