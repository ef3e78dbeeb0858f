//! The Common Expression Language (CEL), in which a CustomResourceDefinition states its validation rules.
//!
//! `tokens` and `parse` produce an [`Expr`]; `check` infers its type from the schema, as a server does when a
//! definition is written; `evaluate` computes its value. Included are the standard operators and macros, and the
//! functions of `functions`: those of the Gateway API's rules and the common ones of Kubernetes. An expression with
//! another function does not compile. Contract: <https://github.com/google/cel-spec/blob/master/doc/langdef.md>,
//! <https://kubernetes.io/docs/reference/using-api/cel/>.

mod check;
mod evaluate;
mod expression;
mod functions;
mod operators;
mod parse;
mod signatures;
mod text_functions;
mod tokens;
mod value;
mod value_type;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

pub use expression::{CompileError, Expr};
pub use value::CelValue;
pub use value_type::{Type, Variables};

/// Compiles an expression over `self` and `oldSelf`, which have the type of a schema.
///
/// # Errors
/// The texts of all compile errors, one per line.
pub fn compile(source: &str, variables: &Variables<'_>, wanted: &Type<'_>) -> Result<(), String> {
    let tell = |errors: Vec<CompileError>| -> String {
        let all: Vec<String> = errors.iter().map(|error| error.display(source)).collect();
        format!("compilation failed: {}", all.join("\n"))
    };
    let expr = parse::parse(source).map_err(|error| tell(vec![error]))?;
    let found = check::check(&expr, variables).map_err(tell)?;
    if found == *wanted || found == Type::Dyn {
        return Ok(());
    }
    Err(format!("cel expression must evaluate to a {wanted}"))
}

/// Evaluates an expression over `self` and `oldSelf`.
///
/// # Errors
/// The reason of a failed evaluation, in the words of the API server.
pub fn evaluate<'v>(
    source: &str,
    value: CelValue<'v>,
    old: Option<CelValue<'v>>,
) -> Result<CelValue<'v>, String> {
    evaluate::evaluate(&*parsed(source)?, value, old)
}

/// Returns whether an expression reads the old value.
pub fn reads_old_value(source: &str) -> bool {
    parsed(source).is_ok_and(|expr| expr.reads("oldSelf"))
}

/// Returns the parsed expression. Those of a cluster's kinds are few, so all of them are kept.
fn parsed(source: &str) -> Result<Rc<Expr>, String> {
    thread_local! {
        static PARSED: RefCell<HashMap<String, Result<Rc<Expr>, String>>> = RefCell::default();
    }
    PARSED.with_borrow_mut(|all| match all.get(source) {
        Some(known) => known.clone(),
        None => {
            let expr = parse::parse(source).map(Rc::new).map_err(|error| error.why);
            all.insert(source.to_owned(), expr.clone());
            expr
        }
    })
}

#[cfg(test)]
mod tests;
