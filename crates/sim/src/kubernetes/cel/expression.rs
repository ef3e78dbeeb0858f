//! Parsed expressions, and the errors of their compilation.

/// An expression with its position in the source.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// The offset of its operator in characters.
    pub(super) at: usize,
    /// The number of levels below it.
    pub(super) depth: usize,
    pub(super) kind: ExprKind,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum ExprKind {
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
pub(super) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fold {
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
    pub(super) fn new(at: usize, why: impl Into<String>) -> Self {
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

impl Expr {
    pub(super) fn new(at: usize, kind: ExprKind) -> Self {
        let depth = kind.parts().iter().map(|part| part.depth + 1).max().unwrap_or(0);
        Self { at, depth, kind }
    }

    /// Returns whether the expression names a group of functions, such as `sets`.
    pub(super) fn is_namespace(&self) -> bool {
        matches!(&self.kind, ExprKind::Name(name) if matches!(name.as_str(), "optional" | "sets"))
    }

    /// Returns the full name of the called function, `sets.contains`.
    pub(super) fn function(&self) -> String {
        match &self.kind {
            ExprKind::Call { target: Some(group), name, .. } if group.is_namespace() => match &group.kind {
                ExprKind::Name(group) => format!("{group}.{name}"),
                _ => name.clone(),
            },
            ExprKind::Call { name, .. } => name.clone(),
            _ => String::new(),
        }
    }

    pub(super) fn reads(&self, name: &str) -> bool {
        matches!(&self.kind, ExprKind::Name(own) if own == name)
            || self.kind.parts().iter().any(|part| part.reads(name))
    }
}

impl ExprKind {
    /// Returns the expressions that this one consists of.
    pub(super) fn parts(&self) -> Vec<&Expr> {
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
pub(super) const RESERVED: [&str; 21] = [
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
pub(super) fn unescaped(name: &str) -> String {
    let inner = name.strip_prefix("__").and_then(|rest| rest.strip_suffix("__"));
    if let Some(word) = inner.filter(|word| RESERVED.contains(word)) {
        return word.to_owned();
    }
    let pairs = [("__underscores__", "__"), ("__dot__", "."), ("__dash__", "-"), ("__slash__", "/")];
    pairs.iter().fold(name.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}
