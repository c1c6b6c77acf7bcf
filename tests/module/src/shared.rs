//! Shared data and queues of a node, with the rules of either host.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::options::KongSwitches;
use crate::status::{CAS_MISMATCH, EMPTY, NOT_FOUND, Status};

/// The key-value store that all workers of a node see.
#[derive(Debug, Default)]
pub struct SharedData {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: BTreeMap<Vec<u8>, (Vec<u8>, u32)>,
    next_cas: u32,
    queues: Vec<(Vec<u8>, VecDeque<Vec<u8>>)>,
}

impl SharedData {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys in use (with CRC32 keys: the checksums).
    pub fn keys(&self) -> Vec<Vec<u8>> {
        self.lock().entries.keys().cloned().collect()
    }

    /// Empties it, as `kong reload` does.
    pub fn clear(&self) {
        self.lock().entries.clear();
    }

    pub(crate) fn get(&self, key: &[u8], kong: Option<&KongSwitches>) -> Option<(Vec<u8>, u32)> {
        self.lock().entries.get(&place(key, kong)).cloned()
    }

    /// `value` is `None` where the module gave none: a deletion on Kong, an empty value on Envoy.
    pub(crate) fn set(
        &self,
        key: &[u8],
        value: Option<Vec<u8>>,
        cas: u32,
        kong: Option<&KongSwitches>,
    ) -> Result<(), Status> {
        let mut inner = self.lock();
        let place = place(key, kong);
        let present = inner.entries.get(&place).map(|(_, cas)| *cas);
        let strict = kong.is_some_and(|switches| switches.strict_cas);
        let matches = match present {
            Some(present) => present == cas || (cas == 0 && !strict),
            None => cas == 0 || !strict,
        };
        if !matches {
            return Err(CAS_MISMATCH);
        }
        if value.is_none() && strict {
            inner.entries.remove(&place);
            return Ok(());
        }
        inner.next_cas = inner.next_cas.wrapping_add(1).max(1);
        let cas = inner.next_cas;
        inner
            .entries
            .insert(place, (value.unwrap_or_default(), cas));
        Ok(())
    }

    pub(crate) fn register_queue(&self, name: &[u8]) -> u32 {
        if let Some(id) = self.resolve_queue(name) {
            return id;
        }
        let mut inner = self.lock();
        inner.queues.push((name.to_vec(), VecDeque::new()));
        u32::try_from(inner.queues.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn resolve_queue(&self, name: &[u8]) -> Option<u32> {
        let inner = self.lock();
        let at = inner.queues.iter().position(|(known, _)| known == name)?;
        u32::try_from(at + 1).ok()
    }

    pub(crate) fn enqueue(&self, id: u32, value: Vec<u8>) -> Result<(), Status> {
        self.lock().queue(id)?.push_back(value);
        Ok(())
    }

    pub(crate) fn dequeue(&self, id: u32) -> Result<Vec<u8>, Status> {
        self.lock().queue(id)?.pop_front().ok_or(EMPTY)
    }
}

impl Inner {
    fn queue(&mut self, id: u32) -> Result<&mut VecDeque<Vec<u8>>, Status> {
        let at = (id as usize).checked_sub(1).ok_or(NOT_FOUND)?;
        self.queues
            .get_mut(at)
            .map(|(_, queue)| queue)
            .ok_or(NOT_FOUND)
    }
}

/// Where an entry lies: Kong compares no keys, only their checksums.
fn place(key: &[u8], kong: Option<&KongSwitches>) -> Vec<u8> {
    match kong {
        Some(switches) if switches.crc32_keys => crc32(key).to_be_bytes().to_vec(),
        _ => key.to_vec(),
    }
}

/// CRC-32 (IEEE 802.3), as nginx computes it.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & 0u32.wrapping_sub(crc & 1));
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc32_has_the_check_value_of_its_catalogue() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn the_cas_rules_of_both_hosts() {
        let kong = KongSwitches::default();
        // (host, cas, key exists, expected)
        for (host, cas, exists, accepted) in [
            (None, 0, true, true),
            (None, 0, false, true),
            (None, 9, false, true),
            (None, 9, true, false),
            (None, 1, true, true),
            (Some(&kong), 0, true, false),
            (Some(&kong), 0, false, true),
            (Some(&kong), 9, false, false),
            (Some(&kong), 9, true, false),
            (Some(&kong), 1, true, true),
        ] {
            let data = SharedData::default();
            if exists {
                assert_eq!(data.set(b"k", Some(b"first".to_vec()), 0, host), Ok(()));
            }
            let set = data.set(b"k", Some(b"second".to_vec()), cas, host);
            assert_eq!(
                set.is_ok(),
                accepted,
                "kong {} cas {cas} exists {exists}",
                host.is_some()
            );
        }
    }
}
