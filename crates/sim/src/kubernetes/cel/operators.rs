//! Binary operators.

use super::value::CelValue;

/// The result of an evaluation, or the reason of its failure in the words of the API server.
pub(super) type Evaluated<'v> = Result<CelValue<'v>, String>;

/// Returns the error of operands of the wrong types.
pub(super) fn no_overload<T>() -> Result<T, String> {
    Err("no such overload".to_owned())
}

pub(super) fn overflow() -> String {
    "integer overflow".to_owned()
}

/// Applies a binary operator other than `&&` and `||`.
pub(super) fn binary<'v>(operator: &str, left: CelValue<'v>, right: CelValue<'v>) -> Evaluated<'v> {
    match operator {
        "==" => return Ok(CelValue::Bool(left == right)),
        "!=" => return Ok(CelValue::Bool(left != right)),
        "in" if right.is_map() => return Ok(CelValue::Bool(right.entry(&left).is_some())),
        "in" => {
            return right.items().map_or_else(no_overload, |items| Ok(CelValue::Bool(items.contains(&left))));
        }
        "<" | "<=" | ">" | ">=" => {
            let Some(order) = left.compare(&right) else { return no_overload() };
            return Ok(CelValue::Bool(match operator {
                "<" => order.is_lt(),
                "<=" => order.is_le(),
                ">" => order.is_gt(),
                _ => order.is_ge(),
            }));
        }
        _ => {}
    }
    match (left, right) {
        (CelValue::Int(left), CelValue::Int(right)) => {
            whole(operator, i128::from(left), i128::from(right), |number| {
                i64::try_from(number).map(CelValue::Int).map_err(|_| overflow())
            })
        }
        (CelValue::Uint(left), CelValue::Uint(right)) => {
            whole(operator, left.into(), right.into(), |number| {
                u64::try_from(number).map(CelValue::Uint).map_err(|_| "unsigned integer overflow".to_owned())
            })
        }
        (CelValue::Double(left), CelValue::Double(right)) => Ok(CelValue::Double(match operator {
            "+" => left + right,
            "-" => left - right,
            "*" => left * right,
            "/" => left / right,
            _ => return no_overload(),
        })),
        (CelValue::Text(left), CelValue::Text(right)) if operator == "+" => {
            Ok(CelValue::owned(format!("{left}{right}")))
        }
        (CelValue::Bytes(left), CelValue::Bytes(right)) if operator == "+" => {
            Ok(CelValue::Bytes([left.as_slice(), right.as_slice()].concat().into()))
        }
        (CelValue::Time(left), CelValue::Time(right)) if operator == "-" => {
            Ok(CelValue::Duration(left.duration_since(right)))
        }
        (CelValue::Time(time), CelValue::Duration(span))
        | (CelValue::Duration(span), CelValue::Time(time)) => {
            let span = if operator == "-" { -span } else { span };
            time.checked_add(span).map(CelValue::Time).map_err(|_| "timestamp overflow".to_owned())
        }
        (CelValue::Duration(left), CelValue::Duration(right)) => {
            let sum = if operator == "-" { left.checked_sub(right) } else { left.checked_add(right) };
            sum.map(CelValue::Duration).ok_or_else(|| "duration overflow".to_owned())
        }
        (left, right) => match (left.items(), right.items()) {
            (Some(mut all), Some(more)) if operator == "+" && !left.is_map() && !right.is_map() => {
                all.extend(more);
                Ok(CelValue::list(all))
            }
            _ => no_overload(),
        },
    }
}

fn whole<'v>(
    operator: &str,
    left: i128,
    right: i128,
    narrow: impl Fn(i128) -> Evaluated<'v>,
) -> Evaluated<'v> {
    match (operator, right) {
        ("+", _) => narrow(left + right),
        ("-", _) => narrow(left - right),
        ("*", _) => narrow(left * right),
        ("/", 0) => Err("division by zero".to_owned()),
        ("/", _) => narrow(left / right),
        ("%", 0) => Err("modulus by zero".to_owned()),
        ("%", _) => narrow(left % right),
        _ => no_overload(),
    }
}
