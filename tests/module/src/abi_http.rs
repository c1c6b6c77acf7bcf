//! The `proxy_*` functions for header maps, buffers and callouts.

use std::time::Duration;

use wasmtime::{Linker, Result};

use crate::abi::{C, bytes, deliver, put_u32, text, trap};
use crate::callout::Callout;
use crate::headers::{self, Headers, Pairs};
use crate::state::{Call, State};
use crate::status::{BAD_ARGUMENT, NOT_FOUND, OK, Status};
use crate::worker::Command;

const REQUEST: i32 = 0;
const REQUEST_TRAILERS: i32 = 1;
const RESPONSE: i32 = 2;
const CALL_ANSWER: i32 = 6;

/// Kong shows no more header fields than this, pseudo-headers among them.
const KONG_PAIRS: usize = 100;

/// Adds the functions.
pub fn link(linker: &mut Linker<State>) -> Result<()> {
    reads(linker)?;
    writes(linker)?;
    buffers(linker)?;
    calls(linker)
}

/// What the module sees of a map; `None` where there is none now.
fn map(state: &mut State, map: i32) -> Option<Headers> {
    let kong = state.kong().is_some();
    if map == CALL_ANSWER {
        let answer = state.answer.as_ref()?;
        return (kong || answer.count > 0).then(|| Headers::new(answer.headers.clone()));
    }
    let stream = state.stream()?;
    match map {
        // Envoy takes the request's map away once its headers went on.
        REQUEST if kong || !stream.forwarded => Some(stream.request.clone()),
        // Kong has no trailers.
        REQUEST_TRAILERS if !kong => stream.trailers.clone(),
        RESPONSE if kong || stream.responding => Some(stream.response.clone()),
        _ => None,
    }
}

fn reads(linker: &mut Linker<State>) -> Result<()> {
    linker.func_wrap(
        "env",
        "proxy_get_header_map_pairs",
        |mut c: C, which: i32, at: i32, size: i32| {
            let kong = c.data().kong().is_some();
            let Some(map) = map(c.data_mut(), which) else {
                return Ok(BAD_ARGUMENT);
            };
            let mut pairs = map.visible();
            if kong && pairs.len() > KONG_PAIRS {
                pairs.truncate(KONG_PAIRS);
                c.data()
                    .record
                    .log("warn", "the list of headers was cut at 100");
            }
            let serialized = headers::serialize(&pairs);
            deliver(&mut c, &serialized, at, size)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_header_map_value",
        |mut c: C, which: i32, name: i32, name_size: i32, at: i32, size: i32| {
            let name = text(&mut c, name, name_size)?.to_ascii_lowercase();
            let Some(map) = map(c.data_mut(), which) else {
                return Ok(BAD_ARGUMENT);
            };
            match map.get(&name) {
                Some(value) => deliver(&mut c, value, at, size),
                None => Ok(NOT_FOUND),
            }
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_header_map_size",
        |mut c: C, which: i32, size: i32| {
            let Some(map) = map(c.data_mut(), which) else {
                return Ok(BAD_ARGUMENT);
            };
            let bytes: usize = map
                .visible()
                .iter()
                .map(|(name, value)| name.len() + value.len())
                .sum();
            put_u32(&mut c, size, u32::try_from(bytes)?)?;
            Ok(OK)
        },
    )?;
    Ok(())
}

/// How a map is edited.
enum Edit {
    Add(String, Vec<u8>),
    Replace(String, Vec<u8>),
    Remove(String),
    All(Pairs),
}

fn edit(state: &mut State, which: i32, edit: Edit) -> Status {
    let kong = state.kong().cloned();
    let Some(stream) = state.stream() else {
        return BAD_ARGUMENT;
    };
    let map = match which {
        REQUEST if kong.is_some() || !stream.forwarded => &mut stream.request,
        REQUEST_TRAILERS if kong.is_none() && stream.trailers.is_some() => {
            stream.trailers.get_or_insert_default()
        }
        RESPONSE if kong.is_some() || stream.responding => &mut stream.response,
        _ => return BAD_ARGUMENT,
    };
    let Some(kong) = kong else {
        match edit {
            Edit::Add(name, value) => map.add(&name, value),
            Edit::Replace(name, value) => map.replace(&name, value),
            Edit::Remove(name) => map.remove(&name),
            Edit::All(pairs) => *map = Headers::new(pairs),
        }
        return OK;
    };
    let keeps = kong.removal_keeps && which == REQUEST;
    let read_only = |name: &str| which == REQUEST && [":scheme", ":authority"].contains(&name);
    match edit {
        Edit::Add(name, value) if keeps => map.add_like_nginx(&name, escaped(value)),
        Edit::Add(name, value) => map.add(&name, escaped(value)),
        Edit::Replace(name, _) | Edit::Remove(name) if read_only(&name) => {}
        Edit::Replace(name, value) if keeps => map.replace_first(&name, escaped(value)),
        Edit::Replace(name, value) => map.replace(&name, escaped(value)),
        Edit::Remove(name) if keeps => map.mark(&name),
        Edit::Remove(name) => map.remove(&name),
        Edit::All(pairs) => {
            let old = map.visible();
            let pseudo = old.into_iter().filter(|(name, _)| name.starts_with(':'));
            let pseudo: Pairs = pseudo.collect();
            let pairs: Pairs = pairs
                .into_iter()
                .filter(|(name, _)| !name.starts_with(':'))
                .map(|(name, value)| (name, escaped(value)))
                .collect();
            if keeps {
                map.mark_all_and_add(pairs);
            } else {
                *map = Headers::new(pseudo.into_iter().chain(pairs).collect());
            }
        }
    }
    OK
}

/// nginx escapes what would split a header.
fn escaped(value: Vec<u8>) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    for byte in value {
        match byte {
            b'\r' => out.extend(b"%0D"),
            b'\n' => out.extend(b"%0A"),
            byte => out.push(byte),
        }
    }
    out
}

fn writes(linker: &mut Linker<State>) -> Result<()> {
    linker.func_wrap(
        "env",
        "proxy_add_header_map_value",
        |mut c: C, which: i32, name: i32, name_size: i32, value: i32, value_size: i32| {
            let name = text(&mut c, name, name_size)?.to_ascii_lowercase();
            let value = bytes(&mut c, value, value_size)?;
            Ok(edit(c.data_mut(), which, Edit::Add(name, value)))
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_replace_header_map_value",
        |mut c: C, which: i32, name: i32, name_size: i32, value: i32, value_size: i32| {
            let name = text(&mut c, name, name_size)?.to_ascii_lowercase();
            let value = bytes(&mut c, value, value_size)?;
            Ok(edit(c.data_mut(), which, Edit::Replace(name, value)))
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_remove_header_map_value",
        |mut c: C, which: i32, name: i32, name_size: i32| {
            let name = text(&mut c, name, name_size)?.to_ascii_lowercase();
            Ok(edit(c.data_mut(), which, Edit::Remove(name)))
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_header_map_pairs",
        |mut c: C, which: i32, at: i32, size: i32| {
            let map = bytes(&mut c, at, size)?;
            let Some(pairs) = headers::parse(&map) else {
                return Ok(BAD_ARGUMENT);
            };
            Ok(edit(c.data_mut(), which, Edit::All(pairs)))
        },
    )?;
    Ok(())
}

/// What a buffer shows; `Err` where it cannot be read.
fn buffer(state: &mut State, which: i32) -> Result<Vec<u8>, Status> {
    let limit = state.kong().map_or(usize::MAX, |kong| kong.body_buffer);
    match which {
        0 => {
            let body = state
                .stream()
                .map(|stream| stream.body.clone())
                .ok_or(BAD_ARGUMENT)?;
            // Such a body lies in a file.
            if body.len() > limit {
                Err(NOT_FOUND)
            } else {
                Ok(body)
            }
        }
        1 => state
            .stream()
            .map(|stream| stream.response_body.clone())
            .ok_or(BAD_ARGUMENT),
        4 => state
            .answer
            .as_ref()
            .and_then(|answer| answer.body.clone())
            .ok_or(BAD_ARGUMENT),
        7 => Ok(state.configuration.clone().into_bytes()),
        6 => Ok(Vec::new()),
        _ => Err(BAD_ARGUMENT),
    }
}

fn buffers(linker: &mut Linker<State>) -> Result<()> {
    linker.func_wrap(
        "env",
        "proxy_get_buffer_bytes",
        |mut c: C, which: i32, start: i32, max: i32, at: i32, size: i32| {
            let data = match buffer(c.data_mut(), which) {
                Ok(data) => data,
                Err(status) => return Ok(status),
            };
            let ignored = c.data().kong().is_some_and(|kong| kong.read_offset_ignored);
            let start = if ignored {
                0
            } else {
                start.cast_unsigned() as usize
            };
            let start = start.min(data.len());
            let end = start
                .saturating_add(max.cast_unsigned() as usize)
                .min(data.len());
            deliver(&mut c, &data[start..end], at, size)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_buffer_status",
        |mut c: C, which: i32, size: i32, flags: i32| {
            let data = match buffer(c.data_mut(), which) {
                Ok(data) => data,
                Err(status) => return Ok(status),
            };
            put_u32(&mut c, size, u32::try_from(data.len())?)?;
            put_u32(&mut c, flags, 0)?;
            Ok(OK)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_buffer_bytes",
        |mut c: C, which: i32, start: i32, size: i32, at: i32, length: i32| {
            let value = bytes(&mut c, at, length)?;
            let Some(stream) = c.data_mut().stream() else {
                return Ok(BAD_ARGUMENT);
            };
            let body = match which {
                0 => &mut stream.body,
                1 => &mut stream.response_body,
                _ => return Ok(BAD_ARGUMENT),
            };
            let start = (start.cast_unsigned() as usize).min(body.len());
            let end = start
                .saturating_add(size.cast_unsigned() as usize)
                .min(body.len());
            body.splice(start..end, value);
            Ok(OK)
        },
    )?;
    Ok(())
}

fn calls(linker: &mut Linker<State>) -> Result<()> {
    linker.func_wrap(
        "env",
        "proxy_http_call",
        |mut c: C,
         target: i32,
         target_size: i32,
         map: i32,
         map_size: i32,
         body: i32,
         body_size: i32,
         _trailers: i32,
         _trailers_size: i32,
         timeout: i32,
         token: i32| {
            let target = text(&mut c, target, target_size)?;
            let map = bytes(&mut c, map, map_size)?;
            let body = bytes(&mut c, body, body_size)?;
            let Some(headers) = headers::parse(&map) else {
                return Ok(BAD_ARGUMENT);
            };
            let timeout = Duration::from_millis(u64::from(timeout.cast_unsigned()));
            let call = Callout {
                headers,
                body,
                timeout,
            };
            match dispatch(c.data_mut(), target, call)? {
                Ok(number) => {
                    put_u32(&mut c, token, number)?;
                    Ok(OK)
                }
                Err(status) => Ok(status),
            }
        },
    )?;
    Ok(())
}

/// Begins a call and gives its token; the outer error is a trap.
fn dispatch(state: &mut State, target: String, call: Callout) -> Result<Result<u32, Status>> {
    let has = |name: &str| call.headers.iter().any(|(known, _)| known == name);
    let cluster = if state.kong().is_some() {
        if !state.callback.may_dispatch() {
            return trap("can only send HTTP dispatch during request or call response or tick");
        }
        if !has(":method") || !has(":path") {
            return trap("a dispatch without :method or :path");
        }
        None
    } else {
        let Some(cluster) = state.options.clusters.get(&target).copied() else {
            return Ok(Err(BAD_ARGUMENT));
        };
        if !has(":method") || !has(":path") || !has(":authority") {
            return Ok(Err(BAD_ARGUMENT));
        }
        Some(cluster)
    };
    let token = state.next_token;
    state.next_token += 1;
    let commands = state.commands.clone();
    let task = state.runtime.spawn(async move {
        let answer = match cluster {
            Some(cluster) => call.like_envoy(cluster).await,
            None => call.like_kong(target).await,
        };
        // The host may be gone.
        let _ = commands.send(Command::Answered { token, answer });
    });
    let context = state.effective;
    let root = match state.stream() {
        Some(stream) => {
            stream.pending += 1;
            stream.root
        }
        // A root calls for itself.
        None => context,
    };
    let call = Call {
        root,
        context,
        generation: state.generation,
        abort: task.abort_handle(),
    };
    state.calls.insert(token, call);
    Ok(Ok(token))
}
