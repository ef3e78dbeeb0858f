//! The Common Expression Language (CEL), in which a CustomResourceDefinition states its validation rules.
//!
//! `tokens` and `parse` produce an [`Expr`]; `check` infers its type from the schema, as a server does when a
//! definition is written; `evaluate` computes its value. Included are the standard operators and macros, and the
//! functions of `functions`: those of the Gateway API's rules and the common ones of Kubernetes. An expression with
//! another function does not compile. Contract: <https://github.com/google/cel-spec/blob/master/doc/langdef.md>,
//! <https://kubernetes.io/docs/reference/using-api/cel/>.

mod check;
mod evaluate;
mod functions;
mod parse;
mod signatures;
mod text_functions;
mod tokens;
mod value;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

pub use check::{Type, Variables};
pub use value::CelValue;

/// An expression with its position in the source.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// The offset of its operator in characters.
    at: usize,
    /// The number of levels below it.
    depth: usize,
    kind: ExprKind,
}

#[derive(Debug, Clone, PartialEq)]
enum ExprKind {
    Literal(Literal),
    Name(String),
    /// `of.field`; with `test`, `has(of.field)`; with `optional`, `of.?field`.
    Select {
        of: Box<Expr>,
        field: String,
        test: bool,
        optional: bool,
    },
    /// `of[key]`, or `of[?key]`.
    Index {
        of: Box<Expr>,
        key: Box<Expr>,
        optional: bool,
    },
    Call {
        target: Option<Box<Expr>>,
        name: String,
        arguments: Vec<Expr>,
    },
    Not(Box<Expr>),
    Negate(Box<Expr>),
    Binary(&'static str, Box<Expr>, Box<Expr>),
    Conditional(Box<[Expr; 3]>),
    List(Vec<Expr>),
    Map(Vec<(Expr, Expr)>),
    /// A macro over the items of a list or the keys of a map.
    Fold {
        of: Box<Expr>,
        variable: String,
        form: Fold,
        body: Vec<Expr>,
    },
}

#[derive(Debug, Clone, PartialEq)]
enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fold {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
}

/// A compile error with its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileError {
    /// The offset in characters.
    pub at: usize,
    /// The reason.
    pub why: String,
}

impl CompileError {
    fn new(at: usize, why: impl Into<String>) -> Self {
        Self { at, why: why.into() }
    }

    /// Returns the error with the line of the source and a mark, as the API server writes it.
    pub fn display(&self, source: &str) -> String {
        let before: String = source.chars().take(self.at).collect();
        let (line, column) =
            (before.matches('\n').count(), before.chars().rev().take_while(|c| *c != '\n').count());
        let text = source.lines().nth(line).unwrap_or_default();
        format!(
            "ERROR: <input>:{}:{}: {}\n | {text}\n | {}^",
            line + 1,
            column + 1,
            self.why,
            ".".repeat(column)
        )
    }
}

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

impl Expr {
    fn new(at: usize, kind: ExprKind) -> Self {
        let depth = kind.parts().iter().map(|part| part.depth + 1).max().unwrap_or(0);
        Self { at, depth, kind }
    }

    /// Returns whether the expression names a group of functions, such as `sets`.
    fn is_namespace(&self) -> bool {
        matches!(&self.kind, ExprKind::Name(name) if matches!(name.as_str(), "optional" | "sets"))
    }

    /// Returns the full name of the called function, `sets.contains`.
    fn function(&self) -> String {
        match &self.kind {
            ExprKind::Call { target: Some(group), name, .. } if group.is_namespace() => match &group.kind {
                ExprKind::Name(group) => format!("{group}.{name}"),
                _ => name.clone(),
            },
            ExprKind::Call { name, .. } => name.clone(),
            _ => String::new(),
        }
    }

    fn reads(&self, name: &str) -> bool {
        matches!(&self.kind, ExprKind::Name(own) if own == name)
            || self.kind.parts().iter().any(|part| part.reads(name))
    }
}

impl ExprKind {
    /// Returns the expressions that this one consists of.
    fn parts(&self) -> Vec<&Expr> {
        match self {
            Self::Literal(_) | Self::Name(_) => Vec::new(),
            Self::Select { of, .. } | Self::Not(of) | Self::Negate(of) => vec![of],
            Self::Index { of: left, key: right, .. } | Self::Binary(_, left, right) => vec![left, right],
            Self::Conditional(parts) => parts.iter().collect(),
            Self::List(items) => items.iter().collect(),
            Self::Map(entries) => entries.iter().flat_map(|(key, value)| [key, value]).collect(),
            Self::Call { target, arguments, .. } => target.iter().map(Box::as_ref).chain(arguments).collect(),
            Self::Fold { of, body, .. } => std::iter::once(of.as_ref()).chain(body).collect(),
        }
    }
}

/// The words that a rule writes as `__word__` if they name a field.
const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// Returns the name of a field in JSON: rules write reserved words and special characters escaped.
fn unescaped(name: &str) -> String {
    let inner = name.strip_prefix("__").and_then(|rest| rest.strip_suffix("__"));
    if let Some(word) = inner.filter(|word| RESERVED.contains(word)) {
        return word.to_owned();
    }
    let pairs = [("__underscores__", "__"), ("__dot__", "."), ("__dash__", "-"), ("__slash__", "/")];
    pairs.iter().fold(name.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

#[cfg(test)]
mod tests;
