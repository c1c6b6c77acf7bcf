//! The `proxy_*` functions, on a linker of wasmtime: what belongs to no other file.

use std::time::Duration;

use wasmtime::{Caller, Error, Linker, Result};

use crate::state::{Callback, LocalResponse, State};
use crate::status::{BAD_ARGUMENT, INTERNAL_FAILURE, NOT_FOUND, OK, Status, UNIMPLEMENTED};
use crate::{abi_http, crypto, headers, properties};

/// The caller of a host function.
pub type C<'a> = Caller<'a, State>;

/// A trap with a reason.
pub fn trap<T>(reason: &str) -> Result<T> {
    Err(Error::msg(reason.to_owned()))
}

/// What a function answers that this host lacks.
pub fn lacking(c: &C, what: &str) -> Result<Status> {
    match c.data().kong() {
        Some(kong) if kong.unimplemented_traps => trap(&format!("{what} is not implemented")),
        _ => Ok(UNIMPLEMENTED),
    }
}

/// Reads memory of the module.
pub fn bytes(c: &mut C, at: i32, size: i32) -> Result<Vec<u8>> {
    let Some(memory) = c.data().memory else {
        return trap("no memory");
    };
    let mut read = Vec::new();
    let (at, size) = (at.cast_unsigned() as usize, size.cast_unsigned() as usize);
    match at
        .checked_add(size)
        .and_then(|end| memory.data(&*c).get(at..end))
    {
        Some(there) => read.extend_from_slice(there),
        None => return trap("a read outside of the memory"),
    }
    Ok(read)
}

/// Reads a name.
pub fn text(c: &mut C, at: i32, size: i32) -> Result<String> {
    Ok(String::from_utf8_lossy(&bytes(c, at, size)?).into_owned())
}

/// Writes memory of the module.
pub fn put(c: &mut C, at: i32, data: &[u8]) -> Result<()> {
    let Some(memory) = c.data().memory else {
        return trap("no memory");
    };
    Ok(memory.write(&mut *c, at.cast_unsigned() as usize, data)?)
}

/// Writes a word.
pub fn put_u32(c: &mut C, at: i32, value: u32) -> Result<()> {
    put(c, at, &value.to_le_bytes())
}

/// Hands `data` over in memory that the module allocates.
pub fn deliver(c: &mut C, data: &[u8], at: i32, size: i32) -> Result<Status> {
    let mut place = 0;
    if !data.is_empty() {
        let Some(allocate) = c.data().allocate.clone() else {
            return trap("no allocator");
        };
        place = allocate.call(&mut *c, i32::try_from(data.len())?)?;
        put(c, place, data)?;
    }
    put_u32(c, at, place.cast_unsigned())?;
    put_u32(c, size, u32::try_from(data.len())?)?;
    Ok(OK)
}

/// Adds all functions.
pub fn link(linker: &mut Linker<State>) -> Result<()> {
    basics(linker)?;
    shared(linker)?;
    metrics(linker)?;
    streams(linker)?;
    missing(linker)?;
    abi_http::link(linker)
}

fn basics(linker: &mut Linker<State>) -> Result<()> {
    linker.func_wrap(
        "env",
        "proxy_log",
        |mut c: C, level: i32, at: i32, size: i32| {
            let line = text(&mut c, at, size)?;
            let levels = ["trace", "debug", "info", "warn", "error", "critical"];
            let level = usize::try_from(level)
                .ok()
                .and_then(|level| levels.get(level));
            let Some(level) = level else {
                return Ok(BAD_ARGUMENT);
            };
            c.data().record.log(level, &line);
            Ok(OK)
        },
    )?;
    linker.func_wrap("env", "proxy_get_log_level", |mut c: C, level: i32| {
        if c.data().kong().is_some() {
            return lacking(&c, "proxy_get_log_level");
        }
        put_u32(&mut c, level, 1)?;
        Ok(OK)
    })?;
    linker.func_wrap(
        "env",
        "proxy_get_current_time_nanoseconds",
        |mut c: C, at: i32| {
            let now = c.data().options.nanoseconds();
            put(&mut c, at, &now.to_le_bytes())?;
            Ok(OK)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_tick_period_milliseconds",
        |mut c: C, period: i32| {
            let period = Duration::from_millis(u64::from(period.cast_unsigned()));
            let state = c.data_mut();
            if state.kong().is_some() && !period.is_zero() && state.tick.is_some() {
                return trap("the tick period is already set");
            }
            state.tick = (!period.is_zero()).then_some(period);
            Ok(OK)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_effective_context",
        |mut c: C, context: i32| {
            let context = context.cast_unsigned();
            let state = c.data_mut();
            if state.kong().is_some_and(|kong| kong.no_waking) {
                return OK;
            }
            let generation = state.generation;
            let known = state
                .streams
                .get(&context)
                .is_some_and(|it| it.generation == generation);
            if !state.is_root(context) && !known {
                return BAD_ARGUMENT;
            }
            state.effective = context;
            OK
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_property",
        |mut c: C, path: i32, path_size: i32, at: i32, size: i32| {
            let path = bytes(&mut c, path, path_size)?;
            match properties::get(c.data_mut(), &path)? {
                Ok(value) => deliver(&mut c, &value, at, size),
                Err(status) => Ok(status),
            }
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_property",
        |mut c: C, path: i32, path_size: i32, at: i32, size: i32| {
            let path = bytes(&mut c, path, path_size)?;
            let value = bytes(&mut c, at, size)?;
            properties::set(c.data_mut(), &path, value)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_call_foreign_function",
        |mut c: C, name: i32, name_size: i32, at: i32, size: i32, result: i32, result_size: i32| {
            let name = text(&mut c, name, name_size)?;
            let arguments = bytes(&mut c, at, size)?;
            let Some(envoy) = c.data().options.envoy() else {
                let answer = lacking(&c, &format!("the foreign function `{name}`"))?;
                return Ok(if answer == UNIMPLEMENTED {
                    NOT_FOUND
                } else {
                    answer
                });
            };
            if name != "verify_signature" || !envoy.verify_signature {
                return Ok(NOT_FOUND);
            }
            match crypto::verify_signature(&arguments) {
                Ok(answer) => deliver(&mut c, &answer, result, result_size),
                Err(status) => Ok(status),
            }
        },
    )?;
    Ok(())
}

fn shared(linker: &mut Linker<State>) -> Result<()> {
    fn zone(c: &C) -> Result<()> {
        match c.data().kong() {
            Some(kong) if kong.missing_zone_traps && !c.data().options.shared_zone => {
                trap("shared data: no zone")
            }
            _ => Ok(()),
        }
    }
    linker.func_wrap(
        "env",
        "proxy_get_shared_data",
        |mut c: C, key: i32, key_size: i32, at: i32, size: i32, cas: i32| {
            zone(&c)?;
            let key = bytes(&mut c, key, key_size)?;
            let options = c.data().options.clone();
            match options.shared.get(&key, options.kong()) {
                Some((value, mark)) => {
                    put_u32(&mut c, cas, mark)?;
                    deliver(&mut c, &value, at, size)
                }
                None => Ok(NOT_FOUND),
            }
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_shared_data",
        |mut c: C, key: i32, key_size: i32, at: i32, size: i32, cas: i32| {
            zone(&c)?;
            let key = bytes(&mut c, key, key_size)?;
            let value = if at == 0 {
                None
            } else {
                Some(bytes(&mut c, at, size)?)
            };
            let options = c.data().options.clone();
            let set = options
                .shared
                .set(&key, value, cas.cast_unsigned(), options.kong());
            Ok(set.err().unwrap_or(OK))
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_register_shared_queue",
        |mut c: C, name: i32, size: i32, id: i32| {
            zone(&c)?;
            let name = bytes(&mut c, name, size)?;
            let registered = c.data().options.shared.register_queue(&name);
            put_u32(&mut c, id, registered)?;
            Ok(OK)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_resolve_shared_queue",
        |mut c: C, _vm: i32, _vm_size: i32, name: i32, size: i32, id: i32| {
            if c.data().kong().is_some() {
                return lacking(&c, "proxy_resolve_shared_queue");
            }
            let name = bytes(&mut c, name, size)?;
            match c.data().options.shared.resolve_queue(&name) {
                Some(found) => put_u32(&mut c, id, found).map(|()| OK),
                None => Ok(NOT_FOUND),
            }
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_enqueue_shared_queue",
        |mut c: C, id: i32, at: i32, size: i32| {
            let value = bytes(&mut c, at, size)?;
            let put = c.data().options.shared.enqueue(id.cast_unsigned(), value);
            Ok(put.err().unwrap_or(OK))
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_dequeue_shared_queue",
        |mut c: C, id: i32, at: i32, size: i32| match c
            .data()
            .options
            .shared
            .dequeue(id.cast_unsigned())
        {
            Ok(value) => deliver(&mut c, &value, at, size),
            Err(status) => Ok(status),
        },
    )?;
    Ok(())
}

fn metrics(linker: &mut Linker<State>) -> Result<()> {
    fn name(c: &C, id: i32) -> Option<String> {
        let at = usize::try_from(id).ok()?.checked_sub(1)?;
        c.data().metrics.get(at).cloned()
    }
    linker.func_wrap(
        "env",
        "proxy_define_metric",
        |mut c: C, _kind: i32, at: i32, size: i32, id: i32| {
            let name = text(&mut c, at, size)?;
            c.data().record.add_metric(&name, 0);
            c.data_mut().metrics.push(name);
            let defined = u32::try_from(c.data().metrics.len())?;
            put_u32(&mut c, id, defined)?;
            Ok(OK)
        },
    )?;
    linker.func_wrap("env", "proxy_increment_metric", |c: C, id: i32, by: i64| {
        let Some(name) = name(&c, id).filter(|_| by != 0) else {
            return BAD_ARGUMENT;
        };
        c.data().record.add_metric(&name, by);
        OK
    })?;
    linker.func_wrap("env", "proxy_record_metric", |c: C, id: i32, value: i64| {
        let Some(name) = name(&c, id) else {
            return BAD_ARGUMENT;
        };
        c.data().record.set_metric(&name, value);
        OK
    })?;
    linker.func_wrap("env", "proxy_get_metric", |mut c: C, id: i32, at: i32| {
        let Some(name) = name(&c, id) else {
            return Ok(BAD_ARGUMENT);
        };
        let value = c.data().record.metrics().get(&name).copied().unwrap_or(0);
        put(&mut c, at, &value.to_le_bytes())?;
        Ok(OK)
    })?;
    Ok(())
}

fn streams(linker: &mut Linker<State>) -> Result<()> {
    linker.func_wrap("env", "proxy_continue_stream", |mut c: C, kind: i32| {
        let kong = c.data().kong().is_some();
        match (kind, c.data_mut().stream()) {
            (0, Some(stream)) => {
                stream.resume = true;
                Ok(OK)
            }
            (1, _) if kong => lacking(&c, "proxy_continue_response"),
            (1, Some(_)) => Ok(OK),
            _ => Ok(BAD_ARGUMENT),
        }
    })?;
    linker.func_wrap("env", "proxy_close_stream", |c: C, _kind: i32| {
        lacking(&c, "proxy_close_stream")
    })?;
    linker.func_wrap(
        "env",
        "proxy_send_local_response",
        |mut c: C,
         status: i32,
         _details: i32,
         _details_size: i32,
         at: i32,
         size: i32,
         map: i32,
         map_size: i32,
         _grpc: i32| {
            let body = bytes(&mut c, at, size)?;
            let map = bytes(&mut c, map, map_size)?;
            let state = c.data_mut();
            if state.kong().is_some() && !state.callback.may_answer() {
                return trap("a local response in a phase that does not allow it");
            }
            let again = state.kong().is_some();
            let Some(headers) = headers::parse(&map) else {
                return Ok(BAD_ARGUMENT);
            };
            let Some(stream) = state.stream() else {
                return Ok(BAD_ARGUMENT);
            };
            if stream.local.is_some() || stream.answered {
                return if again {
                    trap("a second local response")
                } else {
                    Ok(OK)
                };
            }
            let Ok(status) = u16::try_from(status) else {
                return Ok(BAD_ARGUMENT);
            };
            stream.local = Some(LocalResponse {
                status,
                headers,
                body,
            });
            Ok(OK)
        },
    )?;
    Ok(())
}

fn missing(linker: &mut Linker<State>) -> Result<()> {
    linker.func_wrap("env", "proxy_done", |c: C| {
        if c.data().kong().is_some() {
            lacking(&c, "proxy_done")
        } else {
            Ok(OK)
        }
    })?;
    linker.func_wrap(
        "env",
        "proxy_get_status",
        |mut c: C, code: i32, at: i32, size: i32| {
            if c.data().kong().is_some() {
                return lacking(&c, "proxy_get_status");
            }
            if c.data().callback != Callback::CallResponse {
                return Ok(INTERNAL_FAILURE);
            }
            put_u32(&mut c, code, 0)?;
            deliver(&mut c, b"", at, size)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_grpc_call",
        |c: C,
         _: i32,
         _: i32,
         _: i32,
         _: i32,
         _: i32,
         _: i32,
         _: i32,
         _: i32,
         _: i32,
         _: i32,
         _: i32,
         _: i32| lacking(&c, "proxy_grpc_call"),
    )?;
    linker.func_wrap(
        "env",
        "proxy_grpc_stream",
        |c: C, _: i32, _: i32, _: i32, _: i32, _: i32, _: i32, _: i32, _: i32, _: i32| {
            lacking(&c, "proxy_grpc_stream")
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_grpc_send",
        |c: C, _: i32, _: i32, _: i32, _: i32| lacking(&c, "proxy_grpc_send"),
    )?;
    linker.func_wrap("env", "proxy_grpc_cancel", |c: C, _: i32| {
        lacking(&c, "proxy_grpc_cancel")
    })?;
    linker.func_wrap("env", "proxy_grpc_close", |c: C, _: i32| {
        lacking(&c, "proxy_grpc_close")
    })?;
    Ok(())
}
