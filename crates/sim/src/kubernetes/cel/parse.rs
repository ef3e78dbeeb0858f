//! The parser: operators by precedence, then members, then primaries.

use super::expression::{CompileError, Expr, ExprKind, Fold, Literal};
use super::tokens::{Token, TokenKind, tokens};

/// The maximum depth of an expression, which bounds the recursion of everything that walks it.
const DEPTH_MAX: usize = 96;

/// The binary operators from the weakest to the strongest.
const BINARY: [&[&str]; 5] =
    [&["||"], &["&&"], &["==", "!=", "<", "<=", ">", ">=", "in"], &["+", "-"], &["*", "/", "%"]];

/// Parses a source.
pub(super) fn parse(source: &str) -> Result<Expr, CompileError> {
    let mut parser = Parser { tokens: tokens(source)?, next: 0, depth: 0 };
    let expr = parser.expression()?;
    match parser.peek() {
        TokenKind::End if expr.depth > DEPTH_MAX => Err(too_deep(0)),
        TokenKind::End => Ok(expr),
        other => parser.error(&format!("extraneous input {} expecting <EOF>", shown(other))),
    }
}

fn too_deep(at: usize) -> CompileError {
    CompileError::new(at, format!("expression recursion limit exceeded: {DEPTH_MAX}"))
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
}

fn shown(token: &TokenKind) -> String {
    match token {
        TokenKind::Name(name) => format!("'{name}'"),
        TokenKind::Mark(mark) => format!("'{mark}'"),
        TokenKind::Literal(Literal::Text(text)) => format!("'{text}'"),
        TokenKind::Literal(_) => "a literal".to_owned(),
        TokenKind::End => "'<EOF>'".to_owned(),
    }
}

impl Parser {
    fn peek(&self) -> &TokenKind {
        &self.tokens[self.next].kind
    }

    fn at(&self) -> usize {
        self.tokens[self.next].at
    }

    fn error<T>(&self, why: &str) -> Result<T, CompileError> {
        Err(CompileError::new(self.at(), format!("Syntax error: {why}")))
    }

    fn advance(&mut self) -> TokenKind {
        let token = self.tokens[self.next].kind.clone();
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        token
    }

    fn take(&mut self, mark: &str) -> bool {
        let is = matches!(self.peek(), TokenKind::Mark(own) if *own == mark);
        if is {
            self.advance();
        }
        is
    }

    fn expect(&mut self, mark: &str) -> Result<(), CompileError> {
        if self.take(mark) {
            return Ok(());
        }
        self.error(&format!("mismatched input {} expecting '{mark}'", shown(self.peek())))
    }

    fn deeper(&mut self) -> Result<(), CompileError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX { Err(too_deep(self.at())) } else { Ok(()) }
    }

    fn expression(&mut self) -> Result<Expr, CompileError> {
        self.deeper()?;
        let condition = self.binary(0)?;
        let at = self.at();
        let expr = if self.take("?") {
            let yes = self.binary(0)?;
            self.expect(":")?;
            let no = self.expression()?;
            Expr::new(at, ExprKind::Conditional(Box::new([condition, yes, no])))
        } else {
            condition
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn binary(&mut self, level: usize) -> Result<Expr, CompileError> {
        let Some(operators) = BINARY.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        let before = self.depth;
        while let TokenKind::Mark(mark) = self.peek() {
            let Some(operator) = operators.iter().find(|operator| *operator == mark) else { break };
            let at = self.at();
            self.advance();
            self.deeper()?;
            let right = self.binary(level + 1)?;
            left = Expr::new(at, ExprKind::Binary(operator, Box::new(left), Box::new(right)));
        }
        self.depth = before;
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr, CompileError> {
        let at = self.at();
        if self.take("!") {
            self.deeper()?;
            let of = self.unary()?;
            self.depth -= 1;
            return Ok(Expr::new(at, ExprKind::Not(Box::new(of))));
        }
        if self.take("-") {
            self.deeper()?;
            let of = self.unary()?;
            self.depth -= 1;
            return Ok(match of.kind {
                ExprKind::Literal(Literal::Int(number)) => {
                    Expr::new(at, ExprKind::Literal(Literal::Int(number.wrapping_neg())))
                }
                ExprKind::Literal(Literal::Double(number)) => {
                    Expr::new(at, ExprKind::Literal(Literal::Double(-number)))
                }
                _ => Expr::new(at, ExprKind::Negate(Box::new(of))),
            });
        }
        self.member()
    }

    fn member(&mut self) -> Result<Expr, CompileError> {
        let mut expr = self.primary()?;
        let before = self.depth;
        loop {
            let at = self.at();
            if self.take(".") || self.take(".?") {
                self.deeper()?;
                let optional = self.tokens[self.next - 1].kind == TokenKind::Mark(".?");
                let field = self.name()?;
                let call_at = self.at();
                expr = if !optional && self.take("(") {
                    let arguments = self.list(")")?;
                    self.call(call_at, Some(expr), field, arguments)?
                } else {
                    Expr::new(at, ExprKind::Select { of: Box::new(expr), field, test: false, optional })
                };
            } else if self.take("[") || self.take("[?") {
                self.deeper()?;
                let optional = self.tokens[self.next - 1].kind == TokenKind::Mark("[?");
                let key = self.expression()?;
                self.expect("]")?;
                expr = Expr::new(at, ExprKind::Index { of: Box::new(expr), key: Box::new(key), optional });
            } else {
                self.depth = before;
                return Ok(expr);
            }
        }
    }

    fn name(&mut self) -> Result<String, CompileError> {
        match self.peek() {
            TokenKind::Name(name) => {
                let name = name.clone();
                self.advance();
                Ok(name)
            }
            other => self.error(&format!("mismatched input {} expecting IDENTIFIER", shown(other))),
        }
    }

    fn primary(&mut self) -> Result<Expr, CompileError> {
        let at = self.at();
        match self.peek().clone() {
            TokenKind::Literal(literal) => {
                self.advance();
                Ok(Expr::new(at, ExprKind::Literal(literal)))
            }
            TokenKind::Name(name) => {
                self.advance();
                let call_at = self.at();
                if self.take("(") {
                    let arguments = self.list(")")?;
                    return self.call(call_at, None, name, arguments);
                }
                Ok(Expr::new(at, ExprKind::Name(name)))
            }
            TokenKind::Mark("(") => {
                self.advance();
                let inner = self.expression()?;
                self.expect(")")?;
                Ok(inner)
            }
            TokenKind::Mark("[") => {
                self.advance();
                Ok(Expr::new(at, ExprKind::List(self.list("]")?)))
            }
            TokenKind::Mark("{") => {
                self.advance();
                self.map(at)
            }
            other => self.error(&format!("mismatched input {} expecting an expression", shown(&other))),
        }
    }

    fn map(&mut self, at: usize) -> Result<Expr, CompileError> {
        let mut entries = Vec::new();
        while !self.take("}") {
            let key = self.expression()?;
            self.expect(":")?;
            entries.push((key, self.expression()?));
            if !self.take(",") {
                self.expect("}")?;
                break;
            }
        }
        Ok(Expr::new(at, ExprKind::Map(entries)))
    }

    fn list(&mut self, end: &str) -> Result<Vec<Expr>, CompileError> {
        let mut items = Vec::new();
        while !self.take(end) {
            items.push(self.expression()?);
            if !self.take(",") {
                self.expect(end)?;
                break;
            }
        }
        Ok(items)
    }

    /// Returns a call, or the macro of that name.
    fn call(
        &self,
        at: usize,
        target: Option<Expr>,
        name: String,
        mut arguments: Vec<Expr>,
    ) -> Result<Expr, CompileError> {
        if target.is_none() && name == "has" && arguments.len() == 1 {
            return match arguments.remove(0).kind {
                ExprKind::Select { of, field, .. } => {
                    Ok(Expr::new(at, ExprKind::Select { of, field, test: true, optional: false }))
                }
                _ => Err(CompileError::new(at, "invalid argument to has() macro")),
            };
        }
        let form = match (name.as_str(), arguments.len()) {
            ("all", 2) => Some(Fold::All),
            ("exists", 2) => Some(Fold::Exists),
            ("exists_one" | "existsOne", 2) => Some(Fold::ExistsOne),
            ("map", 2 | 3) => Some(Fold::Map),
            ("filter", 2) => Some(Fold::Filter),
            _ => None,
        };
        match (target, form) {
            (Some(of), Some(form)) => {
                let ExprKind::Name(variable) = arguments.remove(0).kind else {
                    return Err(CompileError::new(at, "argument must be a simple name"));
                };
                Ok(Expr::new(at, ExprKind::Fold { of: Box::new(of), variable, form, body: arguments }))
            }
            (target, _) => {
                Ok(Expr::new(at, ExprKind::Call { target: target.map(Box::new), name, arguments }))
            }
        }
    }
}
