//! The functions of rules. Their types are in `signatures`; a call has the target as its first argument.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::tz::TimeZone;

use super::operators::{self, Evaluated, no_overload};
use super::text_functions;
use super::value::{CelValue, display, parse_duration};
use crate::kubernetes::schema::quantity;

/// The names of types as values.
pub(super) const TYPE_NAMES: [&str; 9] =
    ["bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type"];

/// Returns the cost of a call beyond its arguments: texts and lists that it reads.
pub(super) fn cost(arguments: &[CelValue<'_>]) -> u64 {
    arguments.iter().map(|argument| size(argument).unwrap_or(0) as u64 / 10).sum()
}

fn size(value: &CelValue<'_>) -> Option<usize> {
    match value {
        CelValue::Text(text) => Some(text.chars().count()),
        CelValue::Bytes(bytes) => Some(bytes.len()),
        other => other.items().map(|items| items.len()),
    }
}

/// Calls a function.
pub(super) fn call<'v>(name: &str, arguments: Vec<CelValue<'v>>) -> Evaluated<'v> {
    match (name, arguments.as_slice()) {
        ("size", [of]) => size(of).map_or_else(no_overload, |size| Ok(CelValue::Int(size as i64))),
        ("dyn", [of]) => Ok(of.clone()),
        ("type", [of]) => Ok(CelValue::Type(of.type_name())),
        ("bool" | "int" | "uint" | "double" | "string" | "bytes", [of]) => converted(name, of),
        ("duration", [CelValue::Text(text)]) => {
            let why = || format!("invalid duration: time: invalid duration {text:?}");
            parse_duration(text).map(CelValue::Duration).ok_or_else(why)
        }
        ("duration", [CelValue::Duration(span)]) => Ok(CelValue::Duration(*span)),
        ("timestamp", [CelValue::Text(text)]) => {
            text.parse().map(CelValue::Time).map_err(|_| format!("invalid timestamp {text:?}"))
        }
        ("timestamp", [CelValue::Time(time)]) => Ok(CelValue::Time(*time)),
        (
            "hasValue"
            | "value"
            | "orValue"
            | "or"
            | "optional.of"
            | "optional.none"
            | "optional.ofNonZeroValue",
            _,
        ) => optional(name, &arguments),
        (_, [CelValue::Duration(span)]) => match name {
            "getHours" => Ok(CelValue::Int(span.as_hours())),
            "getMinutes" => Ok(CelValue::Int(span.as_mins())),
            "getSeconds" => Ok(CelValue::Int(span.as_secs())),
            "getMilliseconds" => Ok(CelValue::Int(i64::from(span.subsec_millis()))),
            _ => no_overload(),
        },
        (_, [CelValue::Time(time)]) => part_of_time(name, &time.to_zoned(TimeZone::UTC)),
        ("isQuantity", [CelValue::Text(text)]) => Ok(CelValue::Bool(quantity::is_quantity(text))),
        ("quantity", [CelValue::Text(text)]) => {
            quantity::nanos(text).map(CelValue::Quantity).ok_or_else(|| quantity::RULE.to_owned())
        }
        (_, [CelValue::Quantity(own), rest @ ..]) => of_quantity(name, *own, rest),
        ("isIP", [CelValue::Text(text)]) => Ok(CelValue::Bool(text.parse::<IpAddr>().is_ok())),
        ("ip", [CelValue::Text(text)]) => {
            let why = || format!("IP Address '{text}' parse error during conversion from string");
            text.parse().map(CelValue::Ip).map_err(|_| why())
        }
        ("isCIDR", [CelValue::Text(text)]) => Ok(CelValue::Bool(text.parse::<IpNet>().is_ok())),
        ("cidr", [CelValue::Text(text)]) => {
            let why = || format!("network address parse error during conversion from string: {text:?}");
            text.parse().map(CelValue::Network).map_err(|_| why())
        }
        (_, [CelValue::Ip(ip)]) => of_ip(name, *ip),
        (_, [CelValue::Network(network), rest @ ..]) => of_network(name, *network, rest),
        (_, [CelValue::Text(text), rest @ ..]) => text_functions::of_text(name, text, rest),
        _ => of_list(name, &arguments),
    }
}

fn converted<'v>(name: &str, of: &CelValue<'v>) -> Evaluated<'v> {
    let range = || format!("{name} range error");
    let syntax = || format!("type conversion error from 'string' to '{name}'");
    Ok(match (name, of) {
        ("string", CelValue::Text(_)) => of.clone(),
        ("string", CelValue::Bool(_) | CelValue::Int(_) | CelValue::Uint(_) | CelValue::Double(_)) => {
            CelValue::owned(display(of))
        }
        ("string", CelValue::Bytes(_) | CelValue::Duration(_) | CelValue::Time(_) | CelValue::Ip(_)) => {
            CelValue::owned(display(of))
        }
        ("string", CelValue::Network(network)) => CelValue::owned(network.to_string()),
        ("bytes", CelValue::Text(text)) => CelValue::Bytes(text.as_bytes().to_vec().into()),
        ("bool", CelValue::Text(text)) => CelValue::Bool(text.parse().map_err(|_| syntax())?),
        ("int", CelValue::Text(text)) => CelValue::Int(text.parse().map_err(|_| syntax())?),
        ("uint", CelValue::Text(text)) => CelValue::Uint(text.parse().map_err(|_| syntax())?),
        ("double", CelValue::Text(text)) => CelValue::Double(text.parse().map_err(|_| syntax())?),
        ("int", CelValue::Time(time)) => CelValue::Int(time.as_second()),
        ("int", CelValue::Int(_)) | ("uint", CelValue::Uint(_)) | ("bool", CelValue::Bool(_)) => of.clone(),
        ("int", CelValue::Uint(number)) => CelValue::Int(i64::try_from(*number).map_err(|_| range())?),
        ("uint", CelValue::Int(number)) => CelValue::Uint(u64::try_from(*number).map_err(|_| range())?),
        ("int", CelValue::Double(number)) if number.abs() < 9.2e18 => CelValue::Int(*number as i64),
        ("uint", CelValue::Double(number)) if (0.0..1.8e19).contains(number) => {
            CelValue::Uint(*number as u64)
        }
        ("int" | "uint", CelValue::Double(_)) => return Err(range()),
        ("double", _) => CelValue::Double(of.number().ok_or("no such overload")?),
        _ => return no_overload(),
    })
}

fn optional<'v>(name: &str, arguments: &[CelValue<'v>]) -> Evaluated<'v> {
    let some = |value: &CelValue<'v>| CelValue::Optional(Some(value.clone().into()));
    Ok(match (name, arguments) {
        ("optional.of", [value]) => some(value),
        ("optional.none", []) => CelValue::Optional(None),
        ("optional.ofNonZeroValue", [value]) => {
            let is_zero = matches!(value, CelValue::Null | CelValue::Bool(false))
                || value.number() == Some(0.0)
                || size(value) == Some(0);
            if is_zero { CelValue::Optional(None) } else { some(value) }
        }
        ("hasValue", [CelValue::Optional(own)]) => CelValue::Bool(own.is_some()),
        ("value", [CelValue::Optional(Some(own))]) => (**own).clone(),
        ("value", [CelValue::Optional(None)]) => return Err("optional.none() dereference".to_owned()),
        ("orValue", [CelValue::Optional(own), other]) => {
            own.as_ref().map_or_else(|| other.clone(), |own| (**own).clone())
        }
        ("or", [own @ CelValue::Optional(Some(_)), _]) => own.clone(),
        ("or", [CelValue::Optional(None), other]) => other.clone(),
        _ => return no_overload(),
    })
}

fn part_of_time<'v>(name: &str, time: &jiff::Zoned) -> Evaluated<'v> {
    let part = match name {
        "getFullYear" => i64::from(time.year()),
        "getMonth" => i64::from(time.month()) - 1,
        "getDate" => i64::from(time.day()),
        "getDayOfMonth" => i64::from(time.day()) - 1,
        "getDayOfYear" => i64::from(time.day_of_year()) - 1,
        "getDayOfWeek" => i64::from(time.weekday().to_sunday_zero_offset()),
        "getHours" => i64::from(time.hour()),
        "getMinutes" => i64::from(time.minute()),
        "getSeconds" => i64::from(time.second()),
        "getMilliseconds" => i64::from(time.millisecond()),
        _ => return no_overload(),
    };
    Ok(CelValue::Int(part))
}

fn of_quantity<'v>(name: &str, own: i128, rest: &[CelValue<'v>]) -> Evaluated<'v> {
    const ONE: i128 = 1_000_000_000;
    let other = match rest {
        [CelValue::Quantity(other)] => *other,
        [CelValue::Int(other)] => i128::from(*other) * ONE,
        _ => 0,
    };
    let whole = i64::try_from(own / ONE).ok().filter(|_| own % ONE == 0);
    Ok(match name {
        "isInteger" => CelValue::Bool(whole.is_some()),
        "asInteger" => CelValue::Int(whole.ok_or("cannot convert value to integer")?),
        "asApproximateFloat" => CelValue::Double(own as f64 / ONE as f64),
        "sign" => CelValue::Int(own.signum() as i64),
        "add" => CelValue::Quantity(own.saturating_add(other)),
        "sub" => CelValue::Quantity(own.saturating_sub(other)),
        "isLessThan" => CelValue::Bool(own < other),
        "isGreaterThan" => CelValue::Bool(own > other),
        "compareTo" => CelValue::Int(own.cmp(&other) as i64),
        _ => return no_overload(),
    })
}

fn of_ip<'v>(name: &str, ip: IpAddr) -> Evaluated<'v> {
    let is_link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    Ok(match name {
        "family" => CelValue::Int(if ip.is_ipv4() { 4 } else { 6 }),
        "isUnspecified" => CelValue::Bool(ip.is_unspecified()),
        "isLoopback" => CelValue::Bool(ip.is_loopback()),
        "isLinkLocalUnicast" => CelValue::Bool(is_link_local),
        "isGlobalUnicast" => {
            CelValue::Bool(!ip.is_unspecified() && !ip.is_loopback() && !ip.is_multicast() && !is_link_local)
        }
        _ => return no_overload(),
    })
}

fn of_network<'v>(name: &str, network: IpNet, rest: &[CelValue<'v>]) -> Evaluated<'v> {
    Ok(match (name, rest) {
        ("containsIP", [CelValue::Ip(ip)]) => CelValue::Bool(network.contains(ip)),
        ("containsIP", [CelValue::Text(ip)]) => {
            let ip: IpAddr = ip
                .parse()
                .map_err(|_| format!("IP Address '{ip}' parse error during conversion from string"))?;
            CelValue::Bool(network.contains(&ip))
        }
        ("containsCIDR", [CelValue::Network(other)]) => CelValue::Bool(network.contains(other)),
        ("containsCIDR", [CelValue::Text(other)]) => {
            let why = || format!("network address parse error during conversion from string: {other:?}");
            let other: IpNet = other.parse().map_err(|_| why())?;
            CelValue::Bool(network.contains(&other))
        }
        ("ip", []) => CelValue::Ip(network.addr()),
        ("masked", []) => CelValue::Network(network.trunc()),
        ("prefixLength", []) => CelValue::Int(i64::from(network.prefix_len())),
        _ => return no_overload(),
    })
}

fn of_list<'v>(name: &str, arguments: &[CelValue<'v>]) -> Evaluated<'v> {
    let Some(items) = arguments.first().and_then(CelValue::items) else { return no_overload() };
    let is_within =
        |all: &[CelValue<'v>], other: &[CelValue<'v>]| all.iter().all(|item| other.contains(item));
    let extreme = |wanted: std::cmp::Ordering| -> Evaluated<'v> {
        let mut items = items.iter();
        let mut best = items.next().ok_or_else(|| format!("{name} called on empty list"))?;
        for item in items {
            if item.compare(best) == Some(wanted) {
                best = item;
            }
        }
        Ok(best.clone())
    };
    let position = |index: Option<usize>| Ok(CelValue::Int(index.map_or(-1, |index| index as i64)));
    match (name, &arguments[1..]) {
        ("isSorted", []) => Ok(CelValue::Bool(
            items.is_sorted_by(|left, right| left.compare(right).is_some_and(|is| is.is_le())),
        )),
        ("min", []) => extreme(std::cmp::Ordering::Less),
        ("max", []) => extreme(std::cmp::Ordering::Greater),
        ("sum", []) => {
            let mut items = items.into_iter();
            let first = items.next().unwrap_or(CelValue::Int(0));
            items.try_fold(first, |sum, item| operators::binary("+", sum, item))
        }
        ("indexOf", [wanted]) => position(items.iter().position(|item| item == wanted)),
        ("lastIndexOf", [wanted]) => position(items.iter().rposition(|item| item == wanted)),
        ("join", rest) => text_functions::joined(&items, rest),
        ("sets.contains", [other]) => {
            Ok(CelValue::Bool(is_within(&other.items().unwrap_or_default(), &items)))
        }
        ("sets.equivalent", [other]) => {
            let other = other.items().unwrap_or_default();
            Ok(CelValue::Bool(is_within(&items, &other) && is_within(&other, &items)))
        }
        ("sets.intersects", [other]) => {
            let other = other.items().unwrap_or_default();
            Ok(CelValue::Bool(items.iter().any(|item| other.contains(item))))
        }
        _ => no_overload(),
    }
}
