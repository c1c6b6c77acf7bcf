//! The part of WASI preview 1 that a module of ours may import.
//!
//! By hand, so that `random_get` and the clock are those of the host that is imitated.

use wasmtime::{Caller, Error, Linker, Result};

use crate::abi::{bytes, put, put_u32};
use crate::state::State;

const MODULE: &str = "wasi_snapshot_preview1";
const SUCCESS: i32 = 0;
const BADF: i32 = 8;
const INVAL: i32 = 28;
const NOSYS: i32 = 52;
/// A capability that the module was not given.
pub const NOTCAPABLE: i32 = 76;

type C<'a> = Caller<'a, State>;

/// Adds the functions.
pub fn link(linker: &mut Linker<State>) -> Result<()> {
    linker.func_wrap(
        MODULE,
        "args_sizes_get",
        |mut c: C, count: i32, size: i32| {
            put_u32(&mut c, count, 0)?;
            put_u32(&mut c, size, 0)?;
            Ok(SUCCESS)
        },
    )?;
    linker.func_wrap(MODULE, "args_get", |_: C, _: i32, _: i32| SUCCESS)?;
    linker.func_wrap(
        MODULE,
        "environ_sizes_get",
        |mut c: C, count: i32, size: i32| {
            let environment = c.data().environment.clone();
            let bytes: usize = environment.iter().map(|line| line.len() + 1).sum();
            put_u32(&mut c, count, u32::try_from(environment.len())?)?;
            put_u32(&mut c, size, u32::try_from(bytes)?)?;
            Ok(SUCCESS)
        },
    )?;
    linker.func_wrap(
        MODULE,
        "environ_get",
        |mut c: C, places: i32, buffer: i32| {
            let environment = c.data().environment.clone();
            let (mut place, mut at) = (places, buffer);
            for line in environment {
                put_u32(&mut c, place, at.cast_unsigned())?;
                put(&mut c, at, line.as_bytes())?;
                let end = at + i32::try_from(line.len())?;
                put(&mut c, end, &[0])?;
                place += 4;
                at = end + 1;
            }
            Ok(SUCCESS)
        },
    )?;
    linker.func_wrap(MODULE, "clock_res_get", |mut c: C, _: i32, result: i32| {
        put(&mut c, result, &1_000_000u64.to_le_bytes())?;
        Ok(SUCCESS)
    })?;
    linker.func_wrap(
        MODULE,
        "clock_time_get",
        |mut c: C, _: i32, _: i64, result: i32| {
            let now = c.data().options.nanoseconds();
            put(&mut c, result, &now.to_le_bytes())?;
            Ok(SUCCESS)
        },
    )?;
    linker.func_wrap(MODULE, "random_get", |mut c: C, at: i32, size: i32| {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        // Envoy's limit.
        if size > 65_536 {
            return Ok(INVAL);
        }
        let mut random = vec![0; size];
        c.data_mut().random.fill(&mut random);
        put(&mut c, at, &random)?;
        Ok(SUCCESS)
    })?;
    linker.func_wrap(
        MODULE,
        "fd_write",
        |mut c: C, fd: i32, vectors: i32, count: i32, written: i32| {
            let mut text = Vec::new();
            for index in 0..count {
                let vector = bytes(&mut c, vectors + index * 8, 8)?;
                let word = |at: usize| -> Result<i32> {
                    Ok(i32::from_le_bytes(vector[at..at + 4].try_into()?))
                };
                text.extend(bytes(&mut c, word(0)?, word(4)?)?);
            }
            let level = match fd {
                1 => "info",
                2 => "error",
                _ => return Ok(BADF),
            };
            let line = String::from_utf8_lossy(&text).trim_end().to_owned();
            c.data().record.log(level, &line);
            put_u32(&mut c, written, u32::try_from(text.len())?)?;
            Ok(SUCCESS)
        },
    )?;
    linker.func_wrap(MODULE, "proc_exit", |_: C, code: i32| -> Result<()> {
        Err(Error::msg(format!("proc_exit({code})")))
    })?;
    linker.func_wrap(MODULE, "sched_yield", |_: C| SUCCESS)?;
    linker.func_wrap(MODULE, "fd_close", |_: C, _: i32| BADF)?;
    linker.func_wrap(MODULE, "fd_fdstat_get", |_: C, _: i32, _: i32| BADF)?;
    linker.func_wrap(MODULE, "fd_fdstat_set_flags", |_: C, _: i32, _: i32| BADF)?;
    linker.func_wrap(MODULE, "fd_filestat_get", |_: C, _: i32, _: i32| BADF)?;
    linker.func_wrap(MODULE, "fd_prestat_get", |_: C, _: i32, _: i32| BADF)?;
    linker.func_wrap(
        MODULE,
        "fd_prestat_dir_name",
        |_: C, _: i32, _: i32, _: i32| BADF,
    )?;
    linker.func_wrap(MODULE, "fd_read", |_: C, _: i32, _: i32, _: i32, _: i32| {
        NOTCAPABLE
    })?;
    linker.func_wrap(MODULE, "fd_seek", |_: C, _: i32, _: i64, _: i32, _: i32| {
        BADF
    })?;
    linker.func_wrap(
        MODULE,
        "poll_oneoff",
        |_: C, _: i32, _: i32, _: i32, _: i32| NOSYS,
    )?;
    linker.func_wrap(
        MODULE,
        "path_open",
        |_: C, _: i32, _: i32, _: i32, _: i32, _: i32, _: i64, _: i64, _: i32, _: i32| NOTCAPABLE,
    )?;
    Ok(())
}
