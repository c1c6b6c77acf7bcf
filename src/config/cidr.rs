//! Ranges of IP addresses.

use std::net::{IpAddr, Ipv6Addr};

/// A range of addresses: `10.0.0.0/8`, `2001:db8::/32`, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    network: u128,
    mask: u128,
}

impl Cidr {
    pub(super) fn parse(text: &str) -> Result<Cidr, String> {
        let wrong = || {
            "is not a range of addresses; write one like `10.0.0.0/8` or `2001:db8::/32`".to_owned()
        };
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let (most, shift) = if address.is_ipv4() {
            (32, 96)
        } else {
            (128, 0)
        };
        let length: u32 = match length {
            None => most,
            // `u32` alone would take "+8" and "008".
            Some(text) if text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit()) => {
                text.parse().map_err(|_| wrong())?
            }
            Some(_) => return Err(wrong()),
        };
        if length > most {
            return Err(format!("has a length above {most}"));
        }
        let host_bits = 128_u32.saturating_sub(length.saturating_add(shift));
        let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
        let bits = as_v6(address);
        if bits & !mask != 0 {
            return Err(
                "has bits set beyond its length; write the range's first address".to_owned(),
            );
        }
        Ok(Cidr {
            network: bits,
            mask,
        })
    }

    /// Whether `address` lies in the range. An IPv4 address in its IPv6 form is the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        as_v6(address) & self.mask == self.network
    }
}

/// IPv4 lives in `::ffff:0:0/96`, so that one comparison serves both.
fn as_v6(address: IpAddr) -> u128 {
    let v6: Ipv6Addr = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    u128::from(v6)
}

/// Peers whose forwarded headers are believed (our `trusted_ips`). Empty: nobody's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedIps(pub Vec<Cidr>);

impl TrustedIps {
    /// Whether `address` is a trusted peer's.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|range| range.contains(address))
    }
}
