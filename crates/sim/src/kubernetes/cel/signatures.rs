//! The types of the functions, as a table: `target.name(argument, …) result`.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::value_type::Type;

/// `T` stands for any type, the same one in a line.
const TABLE: &str = "
size(string) int; size(bytes) int; size(list(dyn)) int; size(map(dyn)) int
string.size() int; bytes.size() int; list(dyn).size() int; map(dyn).size() int
dyn(dyn) dyn; type(dyn) type; bool(dyn) bool; int(dyn) int; uint(dyn) uint; double(dyn) double; string(dyn) string
bytes(string) bytes; duration(string) duration; timestamp(string) timestamp
string.contains(string) bool; string.startsWith(string) bool; string.endsWith(string) bool
string.matches(string) bool; matches(string, string) bool
string.find(string) string; string.findAll(string) list(string); string.findAll(string, int) list(string)
string.lowerAscii() string; string.upperAscii() string; string.trim() string; string.charAt(int) string
string.indexOf(string) int; string.indexOf(string, int) int
string.lastIndexOf(string) int; string.lastIndexOf(string, int) int
string.substring(int) string; string.substring(int, int) string
string.replace(string, string) string; string.replace(string, string, int) string
string.split(string) list(string); string.split(string, int) list(string)
string.format(list(dyn)) string; list(string).join() string; list(string).join(string) string
list(T).isSorted() bool; list(T).min() T; list(T).max() T; list(T).sum() T
list(T).indexOf(T) int; list(T).lastIndexOf(T) int
sets.contains(list(T), list(T)) bool; sets.equivalent(list(T), list(T)) bool; sets.intersects(list(T), list(T)) bool
isQuantity(string) bool; quantity(string) quantity; quantity.isInteger() bool; quantity.asInteger() int
quantity.asApproximateFloat() double; quantity.sign() int; quantity.compareTo(quantity) int
quantity.isLessThan(quantity) bool; quantity.isGreaterThan(quantity) bool
quantity.add(quantity) quantity; quantity.add(int) quantity; quantity.sub(quantity) quantity; quantity.sub(int) quantity
isIP(string) bool; ip(string) ip; ip.family() int; ip.isUnspecified() bool; ip.isLoopback() bool
ip.isLinkLocalUnicast() bool; ip.isGlobalUnicast() bool
isCIDR(string) bool; cidr(string) cidr; cidr.containsIP(string) bool; cidr.containsIP(ip) bool
cidr.containsCIDR(string) bool; cidr.containsCIDR(cidr) bool
cidr.ip() ip; cidr.masked() cidr; cidr.prefixLength() int
duration.getHours() int; duration.getMinutes() int; duration.getSeconds() int; duration.getMilliseconds() int
timestamp.getHours() int; timestamp.getMinutes() int; timestamp.getSeconds() int; timestamp.getMilliseconds() int
timestamp.getFullYear() int; timestamp.getMonth() int; timestamp.getDate() int; timestamp.getDayOfMonth() int
timestamp.getDayOfWeek() int; timestamp.getDayOfYear() int
optional.of(T) optional(T); optional.none() optional(dyn); optional.ofNonZeroValue(T) optional(T)
optional(T).hasValue() bool; optional(T).value() T; optional(T).orValue(T) T; optional(T).or(optional(T)) optional(T)
";

/// The types of one form of a function.
#[derive(Debug, Clone)]
pub(super) struct Signature {
    pub target: Option<Type<'static>>,
    pub arguments: Vec<Type<'static>>,
    pub result: Type<'static>,
}

/// Returns the forms of a function by its name.
pub(super) fn of(name: &str) -> Vec<Signature> {
    thread_local! {
        static FORMS: BTreeMap<String, Vec<Signature>> = table();
    }
    FORMS.with(|forms| forms.get(name).cloned().unwrap_or_default())
}

fn table() -> BTreeMap<String, Vec<Signature>> {
    let mut forms: BTreeMap<String, Vec<Signature>> = BTreeMap::new();
    for text in TABLE.split([';', '\n']).map(str::trim).filter(|text| !text.is_empty()) {
        let (call, result) = text.rsplit_once(' ').expect("a result");
        let (head, arguments) = head_and_arguments(call);
        let (target, name) = match head.rsplit_once('.') {
            Some(("sets" | "optional", _)) | None => (None, head),
            Some((target, name)) => (Some(read(target)), name),
        };
        let arguments = arguments.split(", ").filter(|text| !text.is_empty()).map(read).collect();
        forms.entry(name.to_owned()).or_default().push(Signature { target, arguments, result: read(result) });
    }
    forms
}

/// Splits a call at the bracket of its arguments, the last one that opens at the top level.
fn head_and_arguments(call: &str) -> (&str, &str) {
    let mut depth = 0;
    let opens = call.char_indices().rev().find(|(_, c)| {
        depth += match c {
            ')' => 1,
            '(' => -1,
            _ => 0,
        };
        depth == 0
    });
    let at = opens.map_or(call.len() - 1, |(at, _)| at);
    (&call[..at], call[at + 1..].strip_suffix(')').unwrap_or_default())
}

fn read(text: &str) -> Type<'static> {
    let inner = |name: &str| {
        text.strip_prefix(name).and_then(|rest| rest.strip_prefix('(')?.strip_suffix(')')).map(read)
    };
    match text {
        "dyn" => Type::Dyn,
        "T" => Type::Any,
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::Text,
        "bytes" => Type::Bytes,
        "duration" => Type::Duration,
        "timestamp" => Type::Time,
        "quantity" => Type::Quantity,
        "ip" => Type::Ip,
        "cidr" => Type::Network,
        "type" => Type::Kind,
        _ => match (inner("list"), inner("map"), inner("optional")) {
            (Some(items), ..) => Type::List(Rc::new(items)),
            (_, Some(values), _) => Type::Map(Rc::new(Type::Dyn), Rc::new(values)),
            (.., Some(value)) => Type::Optional(Rc::new(value)),
            _ => panic!("the table has no type {text}"),
        },
    }
}
