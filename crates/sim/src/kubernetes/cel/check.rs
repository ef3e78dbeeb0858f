//! The check of an expression: the inference of its type. An error names what a rule cannot read or call.

use std::rc::Rc;

use super::expression::{CompileError, Expr, ExprKind, Fold, Literal};
use super::functions;
use super::signatures::{self, Signature};
use super::value_type::{Type, Variables};

/// Returns the type of an expression.
///
/// # Errors
/// All type errors.
pub(super) fn check<'s>(expr: &Expr, variables: &Variables<'s>) -> Result<Type<'s>, Vec<CompileError>> {
    let own = Type::of(variables.schema, variables.is_root).unwrap_or(Type::Dyn);
    let old = if variables.optional_old { Type::Optional(Rc::new(own.clone())) } else { own.clone() };
    let mut checker = Checker { variables: vec![("self", own), ("oldSelf", old)], errors: Vec::new() };
    let found = checker.infer(expr);
    if checker.errors.is_empty() { Ok(found) } else { Err(checker.errors) }
}

struct Checker<'e, 's> {
    variables: Vec<(&'e str, Type<'s>)>,
    errors: Vec<CompileError>,
}

impl<'e, 's> Checker<'e, 's> {
    fn error(&mut self, at: usize, why: String) -> Type<'s> {
        self.errors.push(CompileError::new(at, why));
        Type::Dyn
    }

    fn no_overload(&mut self, at: usize, name: &str, applied: &str) -> Type<'s> {
        self.error(at, format!("found no matching overload for '{name}' applied to '{applied}'"))
    }

    fn infer(&mut self, expr: &'e Expr) -> Type<'s> {
        match &expr.kind {
            ExprKind::Literal(literal) => match literal {
                Literal::Null => Type::Null,
                Literal::Bool(_) => Type::Bool,
                Literal::Int(_) => Type::Int,
                Literal::Uint(_) => Type::Uint,
                Literal::Double(_) => Type::Double,
                Literal::Text(_) => Type::Text,
                Literal::Bytes(_) => Type::Bytes,
            },
            ExprKind::Name(name) => match self.variables.iter().rev().find(|(own, _)| own == name) {
                Some((_, known)) => known.clone(),
                None if functions::TYPE_NAMES.contains(&name.as_str()) => Type::Kind,
                None => self.error(expr.at, format!("undeclared reference to '{name}' (in container '')")),
            },
            ExprKind::Select { of, field, test, optional } => {
                self.select(expr.at, of, field, *test, *optional)
            }
            ExprKind::Index { of, key, optional } => self.index(expr.at, of, key, *optional),
            ExprKind::Not(of) => self.unary(expr.at, "!_", of, &[Type::Bool]),
            ExprKind::Negate(of) => self.unary(expr.at, "-_", of, &[Type::Int, Type::Double]),
            ExprKind::Binary(operator, left, right) => self.binary(expr.at, operator, left, right),
            ExprKind::Conditional(parts) => {
                let [condition, yes, no] = [0, 1, 2].map(|index| self.infer(&parts[index]));
                if !condition.fits(&Type::Bool) || !yes.fits(&no) {
                    return self.no_overload(expr.at, "_?_:_", &format!("({condition}, {yes}, {no})"));
                }
                if yes == no { yes } else { Type::Dyn }
            }
            ExprKind::List(items) => {
                let types: Vec<Type<'s>> = items.iter().map(|item| self.infer(item)).collect();
                let is_one = types.windows(2).all(|pair| pair[0] == pair[1]);
                Type::List(Rc::new(types.into_iter().next().filter(|_| is_one).unwrap_or(Type::Dyn)))
            }
            ExprKind::Map(entries) => {
                entries.iter().flat_map(|(key, value)| [key, value]).for_each(|part| drop(self.infer(part)));
                Type::Map(Rc::new(Type::Dyn), Rc::new(Type::Dyn))
            }
            ExprKind::Call { target, arguments, .. } => self.call(expr, target.as_deref(), arguments),
            ExprKind::Fold { of, variable, form, body } => self.fold(expr.at, of, variable, *form, body),
        }
    }

    fn unary(&mut self, at: usize, name: &str, of: &'e Expr, wanted: &[Type<'s>]) -> Type<'s> {
        let found = self.infer(of);
        match wanted.iter().find(|wanted| found.fits(wanted)) {
            Some(_) => found,
            None => self.no_overload(at, name, &format!("({found})")),
        }
    }

    fn select(&mut self, at: usize, of: &'e Expr, name: &str, test: bool, optional: bool) -> Type<'s> {
        let (of, optional) = match self.infer(of) {
            Type::Optional(inner) => ((*inner).clone(), true),
            other => (other, optional),
        };
        let field = match &of {
            Type::Dyn => Type::Dyn,
            Type::Map(_, value) => (**value).clone(),
            Type::Object(schema, has_metadata) => match Type::field(schema, *has_metadata, name) {
                Some(field) => field,
                None => return self.error(at, format!("undefined field '{name}'")),
            },
            other => return self.error(at, format!("type '{other}' does not support field selection")),
        };
        match (test, optional) {
            (true, _) => Type::Bool,
            (_, true) => Type::Optional(Rc::new(field)),
            _ => field,
        }
    }

    fn index(&mut self, at: usize, of: &'e Expr, key: &'e Expr, optional: bool) -> Type<'s> {
        let (of, key) = (self.infer(of), self.infer(key));
        let (of, optional) = match of {
            Type::Optional(inner) => ((*inner).clone(), true),
            other => (other, optional),
        };
        let found = match &of {
            Type::Dyn => Type::Dyn,
            Type::List(items) if key.fits(&Type::Int) => (**items).clone(),
            Type::Map(own, value) if key.fits(own) => (**value).clone(),
            other => return self.no_overload(at, "_[_]", &format!("({other}, {key})")),
        };
        if optional { Type::Optional(Rc::new(found)) } else { found }
    }

    fn binary(&mut self, at: usize, operator: &str, left: &'e Expr, right: &'e Expr) -> Type<'s> {
        let (left, right) = (self.infer(left), self.infer(right));
        let is_dyn = left == Type::Dyn || right == Type::Dyn;
        let found = match operator {
            "&&" | "||" => (left.fits(&Type::Bool) && right.fits(&Type::Bool)).then_some(Type::Bool),
            "==" | "!=" => left.fits(&right).then_some(Type::Bool),
            "in" => match &right {
                Type::Dyn => Some(Type::Bool),
                Type::List(items) => left.fits(items).then_some(Type::Bool),
                Type::Map(key, _) => left.fits(key).then_some(Type::Bool),
                _ => None,
            },
            "<" | "<=" | ">" | ">=" => {
                let is_ordered =
                    matches!(left, Type::Bool | Type::Text | Type::Bytes | Type::Duration | Type::Time);
                let fits = is_dyn || (left.is_number() && right.is_number()) || (is_ordered && left == right);
                fits.then_some(Type::Bool)
            }
            _ if is_dyn => Some(Type::Dyn),
            _ => match (operator, &left, &right) {
                ("+", Type::Text | Type::Bytes, _) if left == right => Some(left.clone()),
                ("+", Type::List(_), Type::List(_)) if left.fits(&right) => Some(left.clone()),
                ("+" | "-", Type::Duration, Type::Duration) => Some(Type::Duration),
                ("-", Type::Time, Type::Time) => Some(Type::Duration),
                ("+" | "-", Type::Time, Type::Duration) | ("+", Type::Duration, Type::Time) => {
                    Some(Type::Time)
                }
                ("%", Type::Double, _) => None,
                _ if left.is_number() && left == right => Some(left.clone()),
                _ => None,
            },
        };
        found.unwrap_or_else(|| {
            let name = if operator == "in" { "@in".to_owned() } else { format!("_{operator}_") };
            self.no_overload(at, &name, &format!("({left}, {right})"))
        })
    }

    fn call(&mut self, expr: &'e Expr, target: Option<&'e Expr>, arguments: &'e [Expr]) -> Type<'s> {
        let name = expr.function();
        let target = target.filter(|target| !target.is_namespace()).map(|target| self.infer(target));
        let arguments: Vec<Type<'s>> = arguments.iter().map(|one| self.infer(one)).collect();
        let forms = signatures::of(&name);
        if forms.is_empty() {
            return self.error(expr.at, format!("undeclared reference to '{name}' (in container '')"));
        }
        if let Some(result) = forms.iter().find_map(|form| result(form, target.as_ref(), &arguments)) {
            return result;
        }
        let shown: Vec<String> = arguments.iter().map(Type::to_string).collect();
        let shown = format!("({})", shown.join(", "));
        let applied = target.map_or(shown.clone(), |target| format!("{target}.{shown}"));
        self.no_overload(expr.at, &name, &applied)
    }

    fn fold(&mut self, at: usize, of: &'e Expr, variable: &'e str, form: Fold, body: &'e [Expr]) -> Type<'s> {
        let item = match self.infer(of) {
            Type::Dyn => Type::Dyn,
            Type::List(items) => (*items).clone(),
            Type::Map(key, _) => (*key).clone(),
            other => {
                let why = "cannot be range of a comprehension (must be list, map, or dynamic)";
                return self.error(of.at, format!("expression of type '{other}' {why}"));
            }
        };
        self.variables.push((variable, item.clone()));
        let types: Vec<Type<'s>> = body.iter().map(|part| self.infer(part)).collect();
        self.variables.pop();
        let is_predicate = form != Fold::Map || types.len() == 2;
        if let Some(found) = types.first().filter(|first| is_predicate && !first.fits(&Type::Bool)) {
            return self.error(at, format!("expected type 'bool' but found '{found}'"));
        }
        match form {
            Fold::Map => Type::List(Rc::new(types.into_iter().last().unwrap_or(Type::Dyn))),
            Fold::Filter => Type::List(Rc::new(item)),
            Fold::All | Fold::Exists | Fold::ExistsOne => Type::Bool,
        }
    }
}

/// Returns the result of a function's form; `None` if the arguments do not fit it.
fn result<'s>(form: &Signature, target: Option<&Type<'s>>, arguments: &[Type<'s>]) -> Option<Type<'s>> {
    if form.target.is_some() != target.is_some() || form.arguments.len() != arguments.len() {
        return None;
    }
    let given: Vec<&Type<'s>> = target.into_iter().chain(arguments).collect();
    let wanted: Vec<&Type<'static>> = form.target.iter().chain(&form.arguments).collect();
    let bound =
        given.iter().zip(&wanted).find_map(|(given, wanted)| given.bound(wanted)).unwrap_or(Type::Dyn);
    let fits = given.iter().zip(&wanted).all(|(given, wanted)| given.fits(&wanted.with_bound(&bound)));
    fits.then(|| form.result.with_bound(&bound))
}
