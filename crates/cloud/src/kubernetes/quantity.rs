//! Resource quantities: `500m`, `1Gi`, `2`. They are only compared.
//!
//! The server stores a canonical form, so `0.5` comes back as `500m`.
//! <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>

use serde_json::Value;

/// One thousandth, in billionths.
const MILLI: i128 = 1_000_000;

/// Returns whether two values are equal quantities; `rounded`: after rounding up to thousandths, as the server
/// stores resources.
pub(super) fn same(a: &Value, b: &Value, rounded: bool) -> bool {
    let round = |nanos: i128| nanos.div_euclid(MILLI) + i128::from(nanos.rem_euclid(MILLI) != 0);
    match (of_value(a), of_value(b)) {
        (Some(a), Some(b)) => a == b || (rounded && round(a) == round(b)),
        _ => false,
    }
}

fn of_value(value: &Value) -> Option<i128> {
    match value {
        Value::String(text) => nano(text),
        Value::Number(number) => nano(&number.to_string()),
        _ => None,
    }
}

/// Parses a quantity in billionths. Finer ones, which the API rounds up, are not supported: `None`.
fn nano(text: &str) -> Option<i128> {
    let split = text.find(|c: char| !matches!(c, '0'..='9' | '.' | '+' | '-')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let (digits, point) = mantissa(number)?;
    let (base, power): (i128, i32) = match suffix {
        "n" => (10, -9),
        "u" => (10, -6),
        "m" => (10, -3),
        "" => (10, 0),
        "k" => (10, 3),
        "M" => (10, 6),
        "G" => (10, 9),
        "T" => (10, 12),
        "P" => (10, 15),
        "E" => (10, 18),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 10, 2),
        "Gi" => (1 << 10, 3),
        "Ti" => (1 << 10, 4),
        "Pi" => (1 << 10, 5),
        "Ei" => (1 << 10, 6),
        exponent => (10, exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    let ten = |power: i32| 10_i128.checked_pow(u32::try_from(power).ok()?);
    if base == 10 {
        let power = power.checked_sub(point)?.checked_add(9)?;
        return if power >= 0 {
            digits.checked_mul(ten(power)?)
        } else {
            exact(digits, ten(power.checked_neg()?)?)
        };
    }
    let scaled = digits.checked_mul(base.checked_pow(u32::try_from(power).ok()?)?)?.checked_mul(ten(9)?)?;
    exact(scaled, ten(point)?)
}

fn exact(digits: i128, by: i128) -> Option<i128> {
    (digits % by == 0).then_some(digits / by)
}

/// Parses digits with at most one point: the digits as an integer, and the number of digits after the point.
fn mantissa(text: &str) -> Option<(i128, i32)> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    if rest.contains(['+', '-', '.']) || (rest.is_empty() && whole.trim_start_matches(['+', '-']).is_empty())
    {
        return None;
    }
    Some((format!("{whole}{rest}").parse().ok()?, i32::try_from(rest.len()).ok()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn equal_quantities_may_have_different_spellings() {
        for (a, b) in [
            (json!("500m"), json!("0.5")),
            (json!("1Gi"), json!("1024Mi")),
            (json!("1.5Gi"), json!("1536Mi")),
            (json!(2), json!("2")),
            (json!(0.5), json!("500m")),
            (json!("1e3"), json!("1k")),
            (json!("100M"), json!("100000k")),
            (json!("8Ei"), json!("8192Pi")),
        ] {
            assert!(same(&a, &b, false), "{a} and {b}");
        }
    }

    #[test]
    fn an_out_of_range_exponent_is_no_quantity() {
        for text in ["1.5e-2147483648", "1e2147483647", "0.1e-2147483639", "1e-2147483648"] {
            assert!(!same(&json!(text), &json!("1"), true), "{text}");
        }
    }

    #[test]
    fn different_quantities_and_texts_differ() {
        for (a, b) in
            [("1", "2"), ("1G", "1Gi"), ("", ""), ("a", "a"), ("1.2.3", "1.2.3"), ("-", "-"), ("1mm", "1mm")]
        {
            assert!(!same(&json!(a), &json!(b), true), "{a} and {b}");
        }
    }
}
