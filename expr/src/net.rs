//! Network addresses and address ranges.

use std::fmt;
use std::net::IpAddr;

/// The network values of [`super::val::Val`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Net {
    Ip(Ip),
    Cidr(Cidr),
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Cidr(cidr) => cidr.fmt(f),
        }
    }
}

/// An address. An IPv4-mapped IPv6 address is stored as IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ip(IpAddr);

impl Ip {
    /// Parses an address. The last 32 bits of an IPv6 address may be dotted, as in the `::ffff:10.0.0.1` that
    /// dual-stack servers log. Zones are refused.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<IpAddr>().ok().map(|ip| Self(ip.to_canonical()))
    }

    pub fn version(self) -> i64 {
        if self.0.is_ipv4() { 4 } else { 6 }
    }

    fn width(self) -> u8 {
        if self.0.is_ipv4() { 32 } else { 128 }
    }

    /// The address bits, left-aligned in 128 bits.
    fn word(self) -> u128 {
        match self.0 {
            IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
            IpAddr::V6(v6) => v6.to_bits(),
        }
    }

    pub fn is_unspecified(self) -> bool {
        self.0.is_unspecified()
    }

    pub fn is_loopback(self) -> bool {
        self.0.is_loopback()
    }

    pub fn is_private(self) -> bool {
        match self.0 {
            IpAddr::V4(v4) => v4.is_private(),
            IpAddr::V6(v6) => v6.is_unique_local(),
        }
    }

    pub fn is_link_local_unicast(self) -> bool {
        match self.0 {
            IpAddr::V4(v4) => v4.is_link_local(),
            IpAddr::V6(v6) => v6.is_unicast_link_local(),
        }
    }

    pub fn is_link_local_multicast(self) -> bool {
        match self.0 {
            IpAddr::V4(v4) => v4.octets()[..3] == [224, 0, 0],
            // The scope is in the low four bits of the second byte.
            IpAddr::V6(v6) => v6.is_multicast() && v6.octets()[1] & 0xf == 2,
        }
    }

    pub fn is_global_unicast(self) -> bool {
        let broadcast = matches!(self.0, IpAddr::V4(v4) if v4.is_broadcast());
        !(broadcast || self.is_unspecified() || self.is_loopback() || self.0.is_multicast() || self.is_link_local_unicast())
    }
}

impl fmt::Display for Ip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An address range: the addresses that share their leading bits with this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cidr {
    pub ip: Ip,
    pub bits: u8,
}

impl Cidr {
    /// Parses a range such as `10.0.0.0/8`.
    pub fn parse(text: &str) -> Option<Self> {
        let (ip, length) = text.split_once('/')?;
        let address: IpAddr = ip.parse().ok()?;
        let ip = Ip::parse(ip).filter(|ip| ip.0 == address)?;
        let plain = length.bytes().all(|b| b.is_ascii_digit()) && (length == "0" || !length.starts_with('0'));
        let bits = length.parse().ok().filter(|bits| plain && *bits <= ip.width())?;
        Some(Self { ip, bits })
    }

    fn mask(self) -> u128 {
        u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0)
    }

    pub fn contains(self, ip: Ip) -> bool {
        self.ip.width() == ip.width() && (self.ip.word() ^ ip.word()) & self.mask() == 0
    }

    pub fn contains_all(self, other: Self) -> bool {
        self.bits <= other.bits && self.contains(other.ip)
    }

    pub fn masked(self) -> Self {
        let word = self.ip.word() & self.mask();
        let ip = match self.ip.0 {
            IpAddr::V4(_) => IpAddr::V4(u32::try_from(word >> 96).unwrap_or(0).into()),
            IpAddr::V6(_) => IpAddr::V6(word.into()),
        };
        Self { ip: Ip(ip), bits: self.bits }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_share_the_first_bits() {
        for (range, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("0.0.0.0/0", "255.255.255.255", "::"),
            ("192.168.1.7/32", "192.168.1.7", "192.168.1.6"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::"),
            ("::/0", "ffff::", "0.0.0.0"),
        ] {
            let range = Cidr::parse(range).unwrap();
            assert!(range.contains(Ip::parse(inside).unwrap()), "{range} {inside}");
            assert!(!range.contains(Ip::parse(outside).unwrap()), "{range} {outside}");
        }
        let dotted = Ip::parse("::ffff:10.0.0.1").unwrap();
        assert!(dotted == Ip::parse("10.0.0.1").unwrap() && dotted == Ip::parse("::ffff:a00:1").unwrap());
        assert_eq!(Ip::parse("64:ff9b::10.0.0.1"), Ip::parse("64:ff9b::a00:1"));
        assert_eq!(Cidr::parse("10.1.2.3/12").unwrap().masked().to_string(), "10.0.0.0/12");
        assert_eq!(Cidr::parse("2001:db8:ff::1/40").unwrap().masked().to_string(), "2001:db8::/40");
    }

    #[test]
    fn what_is_no_address_or_range_is_refused() {
        for text in [
            "",
            "1.2.3",
            "1.2.3.04",
            "1.2.3.4.5",
            "::ffff:1.2.3",
            "::ffff:1.2.3.256",
            "1.2.3.4::",
            "fe80::1%en0",
            "1.2.3.4/8",
            " 1.2.3.4",
            "g::",
        ] {
            assert_eq!(Ip::parse(text), None, "{text}");
        }
        for text in
            ["10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/+8", "::/129", "::ffff:a00:1/104", "/8", "10.0.0.0/8/8"]
        {
            assert_eq!(Cidr::parse(text), None, "{text}");
        }
    }
}
