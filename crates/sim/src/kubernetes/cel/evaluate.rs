//! Evaluation of an expression.

use super::expression::{Expr, ExprKind, Fold, Literal, unescaped};
use super::functions;
use super::operators::{Evaluated, binary, no_overload, overflow};
use super::value::{CelValue, display};

/// The maximum number of evaluated parts of one expression, as a real server bounds the cost.
const STEPS_MAX: u64 = 1_000_000;
/// The reason of an exceeded bound.
const TOO_COSTLY: &str = "operation cancelled: actual cost limit exceeded";

/// Evaluates an expression over `self` and `oldSelf`.
pub(super) fn evaluate<'v>(expr: &Expr, own: CelValue<'v>, old: Option<CelValue<'v>>) -> Evaluated<'v> {
    let old = old.map(|old| ("oldSelf", old));
    Evaluator { variables: std::iter::once(("self", own)).chain(old).collect(), steps: 0 }.value(expr)
}

struct Evaluator<'e, 'v> {
    variables: Vec<(&'e str, CelValue<'v>)>,
    steps: u64,
}

impl<'e, 'v> Evaluator<'e, 'v> {
    fn value(&mut self, expr: &'e Expr) -> Evaluated<'v> {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Err(TOO_COSTLY.to_owned());
        }
        match &expr.kind {
            ExprKind::Literal(literal) => Ok(of_literal(literal)),
            ExprKind::Name(name) => self.variable(name),
            ExprKind::Select { of, field, test, optional } => self.select(of, field, *test, *optional),
            ExprKind::Index { of, key, optional } => self.index(of, key, *optional),
            ExprKind::Not(of) => match self.value(of)? {
                CelValue::Bool(is) => Ok(CelValue::Bool(!is)),
                _ => no_overload(),
            },
            ExprKind::Negate(of) => match self.value(of)? {
                CelValue::Int(number) => number.checked_neg().map(CelValue::Int).ok_or_else(overflow),
                CelValue::Double(number) => Ok(CelValue::Double(-number)),
                _ => no_overload(),
            },
            ExprKind::Binary("&&", left, right) => self.logical(left, right, false),
            ExprKind::Binary("||", left, right) => self.logical(left, right, true),
            ExprKind::Binary(operator, left, right) => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                binary(operator, left, right)
            }
            ExprKind::Conditional(parts) => match self.value(&parts[0])? {
                CelValue::Bool(true) => self.value(&parts[1]),
                CelValue::Bool(false) => self.value(&parts[2]),
                _ => no_overload(),
            },
            ExprKind::List(items) => self.values(items).map(CelValue::list),
            ExprKind::Map(entries) => {
                let mut all = Vec::new();
                for (key, value) in entries {
                    all.push((self.value(key)?, self.value(value)?));
                }
                Ok(CelValue::Map(all.into()))
            }
            ExprKind::Call { target, arguments, .. } => {
                let target = match target {
                    Some(target) if target.is_namespace() => None,
                    Some(target) => Some(self.value(target)?),
                    None => None,
                };
                let all = target.into_iter().map(Ok).chain(arguments.iter().map(|one| self.value(one)));
                let all = all.collect::<Result<Vec<_>, String>>()?;
                self.steps += functions::cost(&all);
                functions::call(&expr.function(), all)
            }
            ExprKind::Fold { of, variable, form, body } => self.fold(of, variable, *form, body),
        }
    }

    fn values(&mut self, all: &'e [Expr]) -> Result<Vec<CelValue<'v>>, String> {
        all.iter().map(|one| self.value(one)).collect()
    }

    fn variable(&self, name: &str) -> Evaluated<'v> {
        let found = self.variables.iter().rev().find(|(own, _)| *own == name).map(|(_, value)| value.clone());
        let known = || functions::TYPE_NAMES.iter().find(|one| **one == name).map(|one| CelValue::Type(one));
        found.or_else(known).ok_or_else(|| format!("no such attribute(s): {name}"))
    }

    fn select(&mut self, of: &'e Expr, field: &str, test: bool, optional: bool) -> Evaluated<'v> {
        let of = self.value(of)?;
        let (of, was_optional) = match of {
            CelValue::Optional(None) if test => return Ok(CelValue::Bool(false)),
            CelValue::Optional(None) => return Ok(CelValue::Optional(None)),
            CelValue::Optional(Some(inner)) => ((*inner).clone(), true),
            other => (other, false),
        };
        if !of.is_map() {
            return no_overload();
        }
        let found = of.field(field);
        match found {
            found if test => Ok(CelValue::Bool(found.is_some())),
            found if optional || was_optional => Ok(CelValue::Optional(found.map(Into::into))),
            Some(found) => Ok(found),
            None => Err(format!("no such key: {}", unescaped(field))),
        }
    }

    fn index(&mut self, of: &'e Expr, key: &'e Expr, optional: bool) -> Evaluated<'v> {
        let (of, key) = (self.value(of)?, self.value(key)?);
        let (of, optional) = match of {
            CelValue::Optional(None) => return Ok(CelValue::Optional(None)),
            CelValue::Optional(Some(inner)) => ((*inner).clone(), true),
            other => (other, optional),
        };
        let found = if of.is_map() {
            of.entry(&key).ok_or_else(|| format!("no such key: {}", display(&key)))
        } else {
            let Some(items) = of.items() else { return no_overload() };
            let Some(number) = key.number() else { return no_overload() };
            let index = (number >= 0.0).then_some(number as usize);
            let found = index.and_then(|index| items.get(index).cloned());
            found.ok_or_else(|| format!("index out of bounds: {}", display(&key)))
        };
        if optional { Ok(CelValue::Optional(found.ok().map(Into::into))) } else { found }
    }

    /// Evaluates `&&` or `||`: one operand may decide, whatever the other one is.
    fn logical(&mut self, left: &'e Expr, right: &'e Expr, deciding: bool) -> Evaluated<'v> {
        let left = self.value(left);
        if matches!(left, Ok(CelValue::Bool(is)) if is == deciding) {
            return left;
        }
        let right = self.value(right);
        match (left, right) {
            (_, Ok(CelValue::Bool(is))) if is == deciding => Ok(CelValue::Bool(is)),
            (Err(why), _) | (Ok(CelValue::Bool(_)), Err(why)) => Err(why),
            (Ok(CelValue::Bool(_)), Ok(CelValue::Bool(is))) => Ok(CelValue::Bool(is)),
            _ => no_overload(),
        }
    }

    fn fold(&mut self, of: &'e Expr, variable: &'e str, form: Fold, body: &'e [Expr]) -> Evaluated<'v> {
        let range = self.value(of)?;
        let Some(items) = range.items() else { return no_overload() };
        let mut error = None;
        let (mut count, mut kept) = (0, Vec::new());
        for item in items {
            self.variables.push((variable, item.clone()));
            let results: Result<Vec<CelValue<'v>>, String> =
                body.iter().map(|part| self.value(part)).collect();
            self.variables.pop();
            let is = results.as_ref().map(|results| results.first().cloned());
            match (form, is) {
                (_, Err(why)) if why == TOO_COSTLY => return Err(why.clone()),
                // As for `&&` and `||`, a later item may decide in spite of an error.
                (Fold::All | Fold::Exists, Err(why)) => error = error.or_else(|| Some(why.clone())),
                (Fold::All, Ok(Some(CelValue::Bool(is)))) | (Fold::Exists, Ok(Some(CelValue::Bool(is)))) => {
                    if is == (form == Fold::Exists) {
                        return Ok(CelValue::Bool(is));
                    }
                }
                (_, Err(why)) => return Err(why.clone()),
                (Fold::Map, Ok(Some(first))) => match results?.into_iter().nth(1) {
                    Some(mapped) if first == CelValue::Bool(true) => kept.push(mapped),
                    Some(_) => {}
                    None => kept.push(first),
                },
                (Fold::ExistsOne | Fold::Filter, Ok(Some(CelValue::Bool(is)))) => {
                    if is {
                        count += 1;
                        kept.push(item);
                    }
                }
                _ => return no_overload(),
            }
        }
        match (form, error) {
            (_, Some(why)) => Err(why),
            (Fold::All, None) => Ok(CelValue::Bool(true)),
            (Fold::Exists, None) => Ok(CelValue::Bool(false)),
            (Fold::ExistsOne, None) => Ok(CelValue::Bool(count == 1)),
            (Fold::Filter | Fold::Map, None) => Ok(CelValue::list(kept)),
        }
    }
}

fn of_literal<'v>(literal: &Literal) -> CelValue<'v> {
    match literal {
        Literal::Null => CelValue::Null,
        Literal::Bool(is) => CelValue::Bool(*is),
        Literal::Int(number) => CelValue::Int(*number),
        Literal::Uint(number) => CelValue::Uint(*number),
        Literal::Double(number) => CelValue::Double(*number),
        Literal::Text(text) => CelValue::owned(text.clone()),
        Literal::Bytes(bytes) => CelValue::Bytes(bytes.clone().into()),
    }
}
