//! Network addresses and address ranges, modelled on CEL's network extension, with short forms of the most common
//! tests.

use tidegate_rows::Value;

use super::{Function, Outcome, Style, T, no_match};
use crate::error::EvalError;
use crate::net::{Cidr, Ip, Net};
use crate::val::Val;

const IP_TEST: &[(&[T], T)] = &[(&[T::Ip], T::Bool)];
const TEXT_TEST: &[(&[T], T)] = &[(&[T::String], T::Bool)];

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "ip",
        style: Style::Global,
        overloads: &[(&[T::String], T::Ip), (&[T::Ip], T::Ip)],
        call: ip,
        doc: "An IPv4 or IPv6 address. An IPv4-mapped IPv6 address becomes the IPv4 address.",
        examples: &[("string(ip('2001:DB8::68'))", "'2001:db8::68'"), ("ip('::ffff:192.168.0.1') == ip('192.168.0.1')", "true")],
    },
    Function {
        name: "isIP",
        style: Style::Global,
        overloads: TEXT_TEST,
        call: is_ip,
        doc: "Whether the text is an address.",
        examples: &[("isIP('192.168.0.1')", "true"), ("isIP('192.168.0')", "false")],
    },
    Function {
        name: "is_ip",
        style: Style::Global,
        overloads: TEXT_TEST,
        call: is_ip,
        doc: "Another name for `isIP`.",
        examples: &[("is_ip('::1')", "true")],
    },
    Function {
        name: "ip_version",
        style: Style::Global,
        overloads: &[(&[T::String], T::Int), (&[T::Ip], T::Int)],
        call: family,
        doc: "The version of an address, 4 or 6. An error if the text is not an address.",
        examples: &[("ip_version('10.0.0.1')", "4"), ("ip_version('::1')", "6")],
    },
    Function {
        name: "ip_in",
        style: Style::Global,
        overloads: &[
            (&[T::String, T::String], T::Bool),
            (&[T::Ip, T::String], T::Bool),
            (&[T::String, T::Cidr], T::Bool),
            (&[T::Ip, T::Cidr], T::Bool),
            (&[T::String, T::List(&T::String)], T::Bool),
            (&[T::Ip, T::List(&T::String)], T::Bool),
            (&[T::String, T::List(&T::Cidr)], T::Bool),
            (&[T::Ip, T::List(&T::Cidr)], T::Bool),
        ],
        call: ip_in,
        doc: "Whether the address is in the range, or in one of a list of ranges. Constant ranges are parsed when the expression is compiled.",
        examples: &[("ip_in('10.1.2.3', '10.0.0.0/8')", "true"), ("ip_in('8.8.8.8', ['10.0.0.0/8', '192.168.0.0/16'])", "false")],
    },
    Function {
        name: "ip.isCanonical",
        style: Style::Global,
        overloads: TEXT_TEST,
        call: is_canonical,
        doc: "Whether the text of an address is exactly as `string(ip)` writes it.",
        examples: &[("ip.isCanonical('2001:db8::68')", "true"), ("ip.isCanonical('2001:DB8::68')", "false")],
    },
    Function {
        name: "family",
        style: Style::Member,
        overloads: &[(&[T::Ip], T::Int)],
        call: family,
        doc: "The version of an address, 4 or 6.",
        examples: &[("ip('10.0.0.1').family()", "4")],
    },
    Function {
        name: "isPrivate",
        style: Style::Member,
        overloads: IP_TEST,
        call: |a| test(a, Ip::is_private),
        doc: "Whether the address is in a private network (10/8, 172.16/12, 192.168/16, fc00::/7).",
        examples: &[("ip('192.168.0.1').isPrivate()", "true")],
    },
    Function {
        name: "isUnspecified",
        style: Style::Member,
        overloads: IP_TEST,
        call: |a| test(a, Ip::is_unspecified),
        doc: "Whether the address is `0.0.0.0` or `::`.",
        examples: &[("ip('0.0.0.0').isUnspecified()", "true")],
    },
    Function {
        name: "isLoopback",
        style: Style::Member,
        overloads: IP_TEST,
        call: |a| test(a, Ip::is_loopback),
        doc: "Whether the address is of the machine itself (127/8, ::1).",
        examples: &[("ip('127.0.0.1').isLoopback()", "true")],
    },
    Function {
        name: "isGlobalUnicast",
        style: Style::Member,
        overloads: IP_TEST,
        call: |a| test(a, Ip::is_global_unicast),
        doc: "Whether the address is of one host, and neither unspecified, loopback nor link-local. Private addresses are included.",
        examples: &[("ip('192.168.0.1').isGlobalUnicast()", "true"), ("ip('255.255.255.255').isGlobalUnicast()", "false")],
    },
    Function {
        name: "isLinkLocalMulticast",
        style: Style::Member,
        overloads: IP_TEST,
        call: |a| test(a, Ip::is_link_local_multicast),
        doc: "Whether the address is of a multicast group on the link (224.0.0/24, ff02::/16).",
        examples: &[("ip('224.0.0.1').isLinkLocalMulticast()", "true")],
    },
    Function {
        name: "isLinkLocalUnicast",
        style: Style::Member,
        overloads: IP_TEST,
        call: |a| test(a, Ip::is_link_local_unicast),
        doc: "Whether the address is of a host on the link (169.254/16, fe80::/10).",
        examples: &[("ip('169.254.169.254').isLinkLocalUnicast()", "true")],
    },
    Function {
        name: "cidr",
        style: Style::Global,
        overloads: &[(&[T::String], T::Cidr), (&[T::Cidr], T::Cidr)],
        call: cidr,
        doc: "A range of addresses: an address, and the number of leading bits that all addresses in the range share.",
        examples: &[("string(cidr('10.0.0.0/8'))", "'10.0.0.0/8'")],
    },
    Function {
        name: "isCIDR",
        style: Style::Global,
        overloads: TEXT_TEST,
        call: is_cidr,
        doc: "Whether the text is a range.",
        examples: &[("isCIDR('10.0.0.0/8')", "true"), ("isCIDR('10.0.0.0/33')", "false")],
    },
    Function {
        name: "containsIP",
        style: Style::Member,
        overloads: &[(&[T::Cidr, T::Ip], T::Bool), (&[T::Cidr, T::String], T::Bool)],
        call: |a| match a {
            [range, address] => ip_in(&[address.reborrow(), range.reborrow()]),
            _ => no_match(),
        },
        doc: "Whether the address is in the range.",
        examples: &[("cidr('10.0.0.0/8').containsIP('10.1.2.3')", "true")],
    },
    Function {
        name: "containsCIDR",
        style: Style::Member,
        overloads: &[(&[T::Cidr, T::Cidr], T::Bool), (&[T::Cidr, T::String], T::Bool)],
        call: contains_cidr,
        doc: "Whether every address of the other range is in this one.",
        examples: &[("cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')", "true")],
    },
    Function {
        name: "ip",
        style: Style::Member,
        overloads: &[(&[T::Cidr], T::Ip)],
        call: |a| of_cidr(a, |c| Val::Net(Net::Ip(c.ip))),
        doc: "The address of a range, as it was written.",
        examples: &[("string(cidr('10.1.2.3/8').ip())", "'10.1.2.3'")],
    },
    Function {
        name: "masked",
        style: Style::Member,
        overloads: &[(&[T::Cidr], T::Cidr)],
        call: |a| of_cidr(a, |c| Val::Net(Net::Cidr(c.masked()))),
        doc: "The range with the bits of its address after the prefix set to zero.",
        examples: &[("string(cidr('10.1.2.3/8').masked())", "'10.0.0.0/8'")],
    },
    Function {
        name: "prefixLength",
        style: Style::Member,
        overloads: &[(&[T::Cidr], T::Int)],
        call: |a| of_cidr(a, |c| Val::int(c.bits.into())),
        doc: "The number of leading bits that all addresses in the range share.",
        examples: &[("cidr('10.0.0.0/8').prefixLength()", "8")],
    },
];

/// The error for a text that is not an address.
pub(crate) fn no_ip(text: &str) -> EvalError {
    EvalError::message(format!("`{text}` is not an IP address"))
}

/// The error for a text that is not an address range.
pub(crate) fn no_cidr(text: &str) -> String {
    format!("`{text}` is not a range of addresses such as 10.0.0.0/8")
}

/// The value as an address, if it is one or a text. `None` if it is neither.
fn to_ip(value: Option<&Val<'_>>) -> Option<Result<Ip, EvalError>> {
    match value? {
        Val::Net(Net::Ip(ip)) => Some(Ok(*ip)),
        other => match other.data() {
            Some(Value::String(text)) => Some(Ip::parse(text).ok_or_else(|| no_ip(text))),
            _ => None,
        },
    }
}

fn to_cidr(value: Option<&Val<'_>>) -> Option<Result<Cidr, EvalError>> {
    match value? {
        Val::Net(Net::Cidr(cidr)) => Some(Ok(*cidr)),
        other => match other.data() {
            Some(Value::String(text)) => Some(Cidr::parse(text).ok_or_else(|| EvalError::message(no_cidr(text)))),
            _ => None,
        },
    }
}

fn ip(args: &[Val<'_>]) -> Outcome {
    to_ip(args.first()).map_or_else(no_match, |ip| Ok(Val::Net(Net::Ip(ip?))))
}

fn cidr(args: &[Val<'_>]) -> Outcome {
    to_cidr(args.first()).map_or_else(no_match, |cidr| Ok(Val::Net(Net::Cidr(cidr?))))
}

fn of_text(args: &[Val<'_>], of: impl Fn(&str) -> Outcome) -> Outcome {
    match args.first().and_then(Val::data) {
        Some(Value::String(text)) => of(text),
        _ => no_match(),
    }
}

fn is_ip(args: &[Val<'_>]) -> Outcome {
    of_text(args, |text| Ok(Val::bool(Ip::parse(text).is_some())))
}

fn is_cidr(args: &[Val<'_>]) -> Outcome {
    of_text(args, |text| Ok(Val::bool(Cidr::parse(text).is_some())))
}

fn is_canonical(args: &[Val<'_>]) -> Outcome {
    of_text(args, |text| match Ip::parse(text) {
        Some(ip) => Ok(Val::bool(ip.to_string() == text)),
        None => Err(no_ip(text)),
    })
}

fn test(args: &[Val<'_>], test: fn(Ip) -> bool) -> Outcome {
    match args.first() {
        Some(Val::Net(Net::Ip(ip))) => Ok(Val::bool(test(*ip))),
        _ => no_match(),
    }
}

fn family(args: &[Val<'_>]) -> Outcome {
    to_ip(args.first()).map_or_else(no_match, |ip| Ok(Val::int(ip?.version())))
}

fn of_cidr(args: &[Val<'_>], of: fn(Cidr) -> Val<'static>) -> Outcome {
    match args.first() {
        Some(Val::Net(Net::Cidr(cidr))) => Ok(of(*cidr)),
        _ => no_match(),
    }
}

fn ip_in(args: &[Val<'_>]) -> Outcome {
    let Some(ip) = to_ip(args.first()) else { return no_match() };
    if let Some(ranges) = args.get(1).and_then(Val::items) {
        let ip = ip?;
        for range in ranges.iter() {
            let Some(range) = to_cidr(Some(&range)) else { return no_match() };
            if range?.contains(ip) {
                return Ok(Val::bool(true));
            }
        }
        return Ok(Val::bool(false));
    }
    to_cidr(args.get(1)).map_or_else(no_match, |range| Ok(Val::bool(range?.contains(ip?))))
}

fn contains_cidr(args: &[Val<'_>]) -> Outcome {
    match (args.first(), to_cidr(args.get(1))) {
        (Some(Val::Net(Net::Cidr(cidr))), Some(other)) => Ok(Val::bool(cidr.contains_all(other?))),
        _ => no_match(),
    }
}
