//! Child processes that never outlive this one.
//!
//! A [`Service`] runs in a process group of its own and writes into `logs/<name>-<pid>.log`. It is killed, with all that
//! it started, when it is dropped, by [`stop_all`], and by the kernel when this process ends in whatever way.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::unistd::{Pid, getpid, getppid};

/// How often a service that is not ready yet is asked again.
const POLL: Duration = Duration::from_millis(50);
/// Logs of earlier runs are removed after this time.
const LOG_AGE: Duration = Duration::from_secs(24 * 3600);

/// Process groups that are alive, with the signal that ends each.
static GROUPS: Mutex<BTreeMap<i32, Signal>> = Mutex::new(BTreeMap::new());

/// What to start. Made by [`Service::command`].
pub struct ServiceCommand {
    name: String,
    command: Command,
    stop: Signal,
}

impl ServiceCommand {
    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets a variable of the environment.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Removes a variable of the environment.
    #[must_use]
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub fn current_dir(mut self, directory: impl AsRef<Path>) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// The program is a launcher that must pass a SIGTERM on to what it started. Other programs get SIGKILL.
    #[must_use]
    pub fn stop_with_term(mut self) -> Self {
        self.stop = Signal::SIGTERM;
        self
    }

    /// Starts the program; returns as soon as it runs.
    ///
    /// # Errors
    /// When the program or its log file cannot be opened.
    pub fn spawn(self) -> io::Result<Service> {
        static SERIAL: Mutex<u32> = Mutex::new(0);
        let serial = {
            let mut serial = SERIAL.lock().unwrap_or_else(PoisonError::into_inner);
            *serial += 1;
            *serial
        };
        let folder = logs_dir();
        fs::create_dir_all(&folder)?;
        // The child's id is not known before it is started, and its output needs a file then: rename afterwards.
        let pending = folder.join(format!(
            ".{}-{}-{serial}.log",
            self.name,
            std::process::id()
        ));
        let output = File::create(&pending)?;
        let mut command = self.command;
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0);
        let parent = getpid();
        let stop = self.stop;
        // SAFETY: between fork and exec only system calls are made, all async-signal-safe.
        unsafe {
            command.pre_exec(move || {
                // A mask of this process (the demo blocks SIGTERM) would be inherited.
                SigSet::empty().thread_set_mask()?;
                prctl::set_pdeathsig(stop)?;
                // The parent may have ended before the line above: then no signal would ever come.
                if getppid() == parent {
                    Ok(())
                } else {
                    Err(io::ErrorKind::NotConnected.into())
                }
            });
        }
        let spawned = spawn_on_spawner(command);
        let child = spawned.inspect_err(|_| {
            let _ = fs::remove_file(&pending);
        })?;
        let log = folder.join(format!("{}-{}.log", self.name, child.id()));
        fs::rename(&pending, &log)?;
        let group = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
        GROUPS
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(group.as_raw(), stop);
        Ok(Service {
            name: self.name,
            child,
            group,
            log,
            keep_log: false,
            stopped: None,
        })
    }
}

/// The kernel sends the parent-death signal when the *thread* that forked ends, and test threads end early. So one thread
/// that lives as long as the process forks for all.
fn spawn_on_spawner(command: Command) -> io::Result<Child> {
    type Job = (Command, Sender<io::Result<Child>>);
    static SPAWNER: OnceLock<Mutex<Sender<Job>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        sweep_logs();
        let (sender, jobs) = channel::<Job>();
        thread::Builder::new()
            .name("spawner".into())
            .spawn(move || {
                for (mut command, answer) in jobs {
                    let _ = answer.send(command.spawn());
                }
            })
            .expect("the spawner thread starts");
        Mutex::new(sender)
    });
    let (answer, result) = channel();
    spawner
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .send((command, answer))
        .map_err(io::Error::other)?;
    result.recv().map_err(io::Error::other)?
}

/// A running child process with all that it started; see the module.
pub struct Service {
    name: String,
    child: Child,
    group: Pid,
    log: PathBuf,
    keep_log: bool,
    stopped: Option<ExitStatus>,
}

/// A service did not become ready: the reason, and what it had written by then.
#[derive(Debug)]
pub struct StartError {
    /// Name of the service.
    pub service: String,
    /// One line.
    pub reason: String,
    /// How the process ended; `None` when it was still running.
    pub exit: Option<ExitStatus>,
    /// All that the process wrote.
    pub log: String,
    /// Where that is kept.
    pub log_file: PathBuf,
}

impl StartError {
    /// A service could not be started at all.
    pub(crate) fn broken(service: &str, error: &io::Error) -> Self {
        Self {
            service: service.to_owned(),
            reason: format!("{error} (is `make setup` done?)"),
            exit: None,
            log: String::new(),
            log_file: PathBuf::new(),
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<&str> = self.log.lines().collect();
        let tail = lines
            .get(lines.len().saturating_sub(25)..)
            .unwrap_or_default()
            .join("\n");
        write!(
            f,
            "{}: {}\n--- end of {}\n{tail}\n---",
            self.service,
            self.reason,
            self.log_file.display()
        )
    }
}

impl std::error::Error for StartError {}

impl Service {
    /// Describes a program to start; `name` is for its log file and for messages.
    #[must_use]
    pub fn command(name: &str, program: impl AsRef<OsStr>) -> ServiceCommand {
        ServiceCommand {
            name: name.to_owned(),
            command: Command::new(program),
            stop: Signal::SIGKILL,
        }
    }

    /// Waits until `ready` says so.
    ///
    /// # Errors
    /// When the process ends first, or the time is over. The log is kept then.
    pub fn wait_until(
        &mut self,
        deadline: Duration,
        mut ready: impl FnMut() -> bool,
    ) -> Result<(), StartError> {
        let start = Instant::now();
        loop {
            if let Some(exit) = self.exited() {
                return Err(self.failure(format!("ended early: {}", describe(exit))));
            }
            if ready() {
                return Ok(());
            }
            if start.elapsed() > deadline {
                return Err(self.failure(format!("not ready after {} s", deadline.as_secs())));
            }
            thread::sleep(POLL);
        }
    }

    /// Waits until a GET of this URL answers with a status below 400.
    ///
    /// # Errors
    /// As for [`Service::wait_until`].
    pub fn wait_for_url(&mut self, url: &str, deadline: Duration) -> Result<(), StartError> {
        self.wait_until(deadline, || {
            crate::http::get(url).is_ok_and(|answer| answer.status < 400)
        })
    }

    /// Waits until something listens on this port of 127.0.0.1.
    ///
    /// # Errors
    /// As for [`Service::wait_until`].
    pub fn wait_for_port(&mut self, port: u16, deadline: Duration) -> Result<(), StartError> {
        self.wait_until(deadline, || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        })
    }

    /// Waits until the log holds this text.
    ///
    /// # Errors
    /// As for [`Service::wait_until`].
    pub fn wait_for_log(&mut self, text: &str, deadline: Duration) -> Result<(), StartError> {
        let log = self.log.clone();
        self.wait_until(deadline, || read_lossy(&log).contains(text))
    }

    /// The failure of this service, with its log, which is kept.
    pub fn failure(&mut self, reason: String) -> StartError {
        self.keep_log = true;
        StartError {
            service: self.name.clone(),
            reason,
            exit: self.exited(),
            log: self.logs(),
            log_file: self.log.clone(),
        }
    }

    /// How the process ended, or `None` while it runs.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        if self.stopped.is_none() {
            self.stopped = self.child.try_wait().ok().flatten();
        }
        self.stopped
    }

    /// All that the process has written so far.
    #[must_use]
    pub fn logs(&self) -> String {
        read_lossy(&self.log)
    }

    /// The log file.
    #[must_use]
    pub fn log_file(&self) -> &Path {
        &self.log
    }

    /// Keeps the log file after the end. It is kept anyway when a test fails or the process ended by itself.
    pub fn keep_log(&mut self) {
        self.keep_log = true;
    }

    /// The process id, which is the id of its group, too.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.group.as_raw()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if self.exited().is_some() || thread::panicking() {
            self.keep_log = true;
        }
        GROUPS
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.group.as_raw());
        // The leader may be gone while something it started is not: the group is what counts.
        let _ = killpg(self.group, Signal::SIGKILL);
        if self.stopped.is_none() {
            let _ = self.child.wait();
        }
        if !self.keep_log {
            let _ = fs::remove_file(&self.log);
        }
    }
}

/// Ends all services of this process at once and removes their folders, for use before `std::process::exit`.
pub fn stop_all() {
    let groups = std::mem::take(&mut *GROUPS.lock().unwrap_or_else(PoisonError::into_inner));
    for group in groups.into_keys() {
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
    let own = std::process::id().to_string();
    crate::sweep_scratch(|pid| pid == own);
}

fn describe(exit: ExitStatus) -> String {
    match (exit.code(), exit.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "unknown".to_owned(),
    }
}

fn read_lossy(path: &Path) -> String {
    fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}

fn logs_dir() -> PathBuf {
    crate::workspace().join("logs")
}

/// Removes the logs of runs of long ago; those of statics stay behind, and those of failures.
fn sweep_logs() {
    let Ok(entries) = fs::read_dir(logs_dir()) else {
        return;
    };
    let Some(limit) = SystemTime::now().checked_sub(LOG_AGE) else {
        return;
    };
    for entry in entries.flatten() {
        let old = entry
            .metadata()
            .and_then(|meta| meta.modified())
            .is_ok_and(|at| at < limit);
        if old && entry.path().extension() == Some(OsStr::new("log")) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
