//! The source of a request, as limits and throttles see it: the peer's address, or the client that a trusted proxy
//! names (`docs/protocol.md` section 10.2).

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use http::{HeaderMap, HeaderName, HeaderValue};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
/// The number of entries of forwarding headers that are read, from the last one back. A longer list ends at
/// the last one read.
const ENTRIES_MAX: usize = 64;
/// The bits of an IPv6 address that distinguish sources: one subscriber usually has a whole /64.
const IPV6_PREFIX_BITS: u32 = 64;

/// The bits in front of the IPv4 address in its IPv6 form, `::ffff:10.0.0.0`.
const MAPPED_PREFIX_BITS: u32 = 96;

/// An IPv4 address, or the /64 of an IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source(IpAddr);

impl Source {
    /// The source of `address`. An IPv4 address in IPv6 form is the same source as the address itself.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                Self(IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !(u128::MAX >> IPV6_PREFIX_BITS))))
            }
            address @ IpAddr::V4(_) => Self(address),
        }
    }
}

/// A range of addresses, written as `10.0.0.0/8`, `fd00::/8` or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    base: IpAddr,
    prefix_bits: u32,
}

impl Network {
    /// True if `address` lies in the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                shifted(base.to_bits().into(), 32, self.prefix_bits)
                    == shifted(address.to_bits().into(), 32, self.prefix_bits)
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                shifted(base.to_bits(), 128, self.prefix_bits)
                    == shifted(address.to_bits(), 128, self.prefix_bits)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

fn shifted(bits: u128, width: u32, prefix_bits: u32) -> u128 {
    bits.checked_shr(width - prefix_bits).unwrap_or(0)
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("'{text}' is not an address or a network, as in 10.0.0.0/8 or fd00::/8");
        let (base, prefix) = match text.split_once('/') {
            Some((base, prefix)) => (base, Some(prefix)),
            None => (text, None),
        };
        let base: IpAddr = base.parse().map_err(|_| wrong())?;
        let width = if base.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match prefix {
            Some(prefix) => prefix.parse().ok().filter(|bits| *bits <= width).ok_or_else(wrong)?,
            None => width,
        };
        let canonical = base.to_canonical();
        if canonical.is_ipv4() == base.is_ipv4() {
            return Ok(Self { base, prefix_bits });
        }
        // An IPv4 network in IPv6 form. Addresses are compared in their own form, so it is kept in that.
        let of_ipv4 = prefix_bits.checked_sub(MAPPED_PREFIX_BITS);
        let prefix_bits = of_ipv4.ok_or_else(|| {
            format!("'{text}' is IPv4 in IPv6 form with a prefix of less than {MAPPED_PREFIX_BITS} bits")
        })?;
        Ok(Self { base: canonical, prefix_bits })
    }
}

/// The proxies that are trusted to name the client's address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<Network>);

impl TrustedProxies {
    /// The proxies with addresses in `networks`.
    pub fn new(networks: Vec<Network>) -> Self {
        Self(networks)
    }

    /// True if `address` is a trusted proxy's.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// The client's address: the peer's, unless the peer is a trusted proxy that names another. Each proxy
    /// appends the address that it saw, so the list is read from its end, and the first address that does not
    /// belong to a trusted proxy is the client's. `X-Forwarded-For` is used if present, `Forwarded`
    /// otherwise.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if self.0.is_empty() || !self.contains(peer) {
            return peer;
        }
        let standard = !headers.contains_key(&X_FORWARDED_FOR);
        let name = if standard { &FORWARDED } else { &X_FORWARDED_FOR };
        // The client wrote the front of the list: bytes there that are no text must not hide the entries behind them.
        let lines: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        let entries = lines.iter().rev().flat_map(|line| line.rsplit(|byte| *byte == b','));
        let mut client = peer;
        for entry in entries.take(ENTRIES_MAX) {
            let entry = String::from_utf8_lossy(entry);
            let named = if standard { forwarded_for(&entry) } else { node(&entry) };
            // An entry without an address, such as "unknown", hides everything behind it.
            let Some(named) = named else { return client };
            client = named;
            if !self.contains(named) {
                return named;
            }
        }
        client
    }
}

/// The address of the `for` parameter in one element of a `Forwarded` header (RFC 7239).
fn forwarded_for(element: &str) -> Option<IpAddr> {
    element.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| node(value))?
    })
}

/// An address with or without port, brackets and quotes.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address);
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address.ip());
    }
    text.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn trusted(networks: &[&str]) -> TrustedProxies {
        TrustedProxies::new(networks.iter().map(|network| network.parse().unwrap()).collect())
    }

    fn headers(lines: &[(HeaderName, &str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn addresses_of_one_ipv6_subscriber_are_one_source() {
        let one = Source::of(address("2001:db8:0:1::1"));
        assert_eq!(one, Source::of(address("2001:db8:0:1:ffff::2")));
        assert_ne!(one, Source::of(address("2001:db8:0:2::1")));
        assert_eq!(Source::of(address("::ffff:192.0.2.1")), Source::of(address("192.0.2.1")));
        assert_ne!(Source::of(address("192.0.2.1")), Source::of(address("192.0.2.2")));
    }

    #[test]
    fn networks_contain_what_their_prefix_says() {
        let network: Network = "10.0.0.0/8".parse().unwrap();
        assert!(network.contains(address("10.255.0.1")) && network.contains(address("::ffff:10.0.0.1")));
        assert!(!network.contains(address("11.0.0.1")) && !network.contains(address("::1")));
        assert!("0.0.0.0/0".parse::<Network>().unwrap().contains(address("203.0.113.9")));
        assert!("::/0".parse::<Network>().unwrap().contains(address("::1")));
        assert!("::1".parse::<Network>().unwrap().contains(address("::1")));
        for wrong in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "localhost", "10.0.0.0/-1"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_ipv4_network_in_ipv6_form_contains_its_addresses_or_is_refused() {
        let network: Network = "::ffff:10.0.0.0/104".parse().unwrap();
        assert_eq!(network, "10.0.0.0/8".parse().unwrap());
        assert!("::ffff:10.0.0.1".parse::<Network>().unwrap().contains(address("10.0.0.1")));
        assert!("::ffff:0.0.0.0/95".parse::<Network>().is_err());
    }

    #[test]
    fn a_client_that_sends_an_unreadable_header_does_not_shed_its_source() {
        let proxies = trusted(&["10.0.0.0/8"]);
        for (name, named) in [(X_FORWARDED_FOR, "203.0.113.7"), (FORWARDED, "for=203.0.113.7")] {
            let line = [b"\xff, \xe9, ", named.as_bytes()].concat();
            let line = HeaderValue::from_bytes(&line).unwrap();
            let headers = HeaderMap::from_iter([(name, line)]);
            assert_eq!(proxies.client(address("10.0.0.1"), &headers), address("203.0.113.7"));
        }
    }

    #[test]
    fn only_a_trusted_proxy_names_the_client() {
        let named = headers(&[(X_FORWARDED_FOR, "203.0.113.7")]);
        let proxies = trusted(&["10.0.0.0/8"]);
        assert_eq!(proxies.client(address("10.0.0.1"), &named), address("203.0.113.7"));
        assert_eq!(proxies.client(address("192.0.2.1"), &named), address("192.0.2.1"));
        assert_eq!(trusted(&[]).client(address("10.0.0.1"), &named), address("10.0.0.1"));
    }

    #[test]
    fn an_address_that_the_client_itself_claims_is_not_believed() {
        let proxies = trusted(&["10.0.0.0/8"]);
        let peer = address("10.0.0.1");
        for (lines, client) in [
            (vec![(X_FORWARDED_FOR, "198.51.100.1, 203.0.113.7, 10.2.2.2")], "203.0.113.7"),
            (vec![(X_FORWARDED_FOR, "198.51.100.1"), (X_FORWARDED_FOR, "203.0.113.7")], "203.0.113.7"),
            (vec![(X_FORWARDED_FOR, "203.0.113.7, unknown, 10.2.2.2")], "10.2.2.2"),
            (vec![(FORWARDED, "for=198.51.100.1, for=\"[2001:db8::7]:443\";proto=https")], "2001:db8::7"),
            (vec![(FORWARDED, "proto=https;For=203.0.113.7")], "203.0.113.7"),
            (vec![(FORWARDED, "for=198.51.100.1"), (X_FORWARDED_FOR, "203.0.113.7:9")], "203.0.113.7"),
            (vec![(FORWARDED, "for=_hidden")], "10.0.0.1"),
            (vec![], "10.0.0.1"),
        ] {
            assert_eq!(proxies.client(peer, &headers(&lines)), address(client), "{lines:?}");
        }
    }
}
