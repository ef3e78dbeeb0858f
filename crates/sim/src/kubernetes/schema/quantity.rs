//! The canonical form of quantities, `k8s.io/apimachinery/pkg/api/resource`.

use serde_json::Value;

use super::validate::matches;

const DECIMAL: [(&str, i128); 10] = [
    ("E", 1_000_000_000_000_000_000_000_000_000),
    ("P", 1_000_000_000_000_000_000_000_000),
    ("T", 1_000_000_000_000_000_000_000),
    ("G", 1_000_000_000_000_000_000),
    ("M", 1_000_000_000_000_000),
    ("k", 1_000_000_000_000),
    ("", NANOS),
    ("m", 1_000_000),
    ("u", 1_000),
    ("n", 1),
];
const BINARY: [(&str, u32); 6] = [("Ei", 60), ("Pi", 50), ("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10)];
/// The message for a text that is not a quantity.
pub const RULE: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
/// One, in billionths.
const NANOS: i128 = 1_000_000_000;
const MILLI: i128 = 1_000_000;

/// Returns the form in which the API server writes a quantity; `None` if it is none, or in exponent form.
///
/// In a list of resources (`limits`, `requests`, `capacity`) it is rounded up to thousandths.
pub fn canonical(value: &Value, in_resource_list: bool) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let (mut nanos, is_binary) = parsed(&text)?;
    if in_resource_list {
        nanos = round_up(nanos, MILLI)?;
    }
    if nanos == 0 {
        return Some("0".into());
    }
    // Below 1024, a binary quantity is written in decimal form.
    let whole = nanos % NANOS == 0;
    if is_binary && whole && (nanos / NANOS).abs() >= 1024 {
        let bytes = nanos / NANOS;
        let fit = BINARY.iter().find(|(_, bits)| bytes % (1_i128 << bits) == 0);
        return Some(
            fit.map_or_else(|| bytes.to_string(), |(name, bits)| format!("{}{name}", bytes >> bits)),
        );
    }
    let (name, unit) = DECIMAL.iter().find(|(_, unit)| nanos % unit == 0)?;
    Some(format!("{}{name}", nanos / unit))
}

/// Returns a quantity in billionths, and whether its unit is a power of two; `None` if it is none, or in exponent
/// form.
fn parsed(text: &str) -> Option<(i128, bool)> {
    let end = text.find(|c: char| !matches!(c, '0'..='9' | '.' | '+' | '-')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let binary = BINARY.iter().find(|(name, _)| *name == suffix).map(|(_, bits)| 1_i128 << bits);
    let unit = match binary {
        Some(bytes) => bytes.checked_mul(NANOS)?,
        None => DECIMAL.iter().find(|(name, _)| *name == suffix)?.1,
    };
    Some((scaled(number, unit)?, binary.is_some()))
}

/// Returns a quantity in billionths; `None` if it is none.
pub fn nanos(text: &str) -> Option<i128> {
    let exponent = || amount(&Value::from(text)).map(|amount| (amount * NANOS as f64) as i128);
    is_quantity(text).then(|| parsed(text).map(|(nanos, _)| nanos).or_else(exponent)).flatten()
}

/// Returns whether a text is a quantity.
pub fn is_quantity(text: &str) -> bool {
    let number = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)";
    matches(&format!("{number}([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?$"), text)
}

/// Returns the value of a quantity as a number; `None` if it is none.
pub fn amount(quantity: &Value) -> Option<f64> {
    let Some(text) = quantity.as_str() else { return quantity.as_f64() };
    let end =
        text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-' || c == '+')).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor = match unit {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024_f64.powi(2),
        "Gi" => 1024_f64.powi(3),
        "Ti" => 1024_f64.powi(4),
        _ => return text.parse().ok(),
    };
    Some(number.parse::<f64>().ok()? * factor)
}

/// Multiplies a decimal number by a unit in billionths, rounded up.
fn scaled(number: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let divisor = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    Some(round_up(digits.checked_mul(unit)?, divisor)? / divisor)
}

fn round_up(value: i128, step: i128) -> Option<i128> {
    let rest = value.rem_euclid(step);
    if rest == 0 { Some(value) } else { value.checked_add(step - rest) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn quantities_are_written_in_canonical_form() {
        for (written, form) in [
            (json!("0.5"), "500m"),
            (json!(0.5), "500m"),
            (json!(2), "2"),
            (json!("1000m"), "1"),
            (json!("1024Mi"), "1Gi"),
            (json!("1.5Gi"), "1536Mi"),
            (json!("0.5Ki"), "512"),
            (json!("100000k"), "100M"),
            (json!("128974848"), "128974848"),
            (json!("1500M"), "1500M"),
            (json!("0Mi"), "0"),
            (json!("-1.5"), "-1500m"),
        ] {
            assert_eq!(canonical(&written, true).as_deref(), Some(form), "{written}");
        }
        assert_eq!(canonical(&json!("0.0001"), true).as_deref(), Some("1m"));
        assert_eq!(canonical(&json!("0.0001"), false).as_deref(), Some("100u"));
        for other in [json!("1e3"), json!("much"), json!(""), json!("1.2.3"), json!(null)] {
            assert_eq!(canonical(&other, true), None, "{other}");
        }
    }
}
