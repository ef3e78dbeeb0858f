//! The tokens of an expression.

use super::expression::{CompileError, Literal};

/// A token and its offset in characters.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub at: usize,
    pub kind: TokenKind,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum TokenKind {
    Name(String),
    Literal(Literal),
    /// An operator or a bracket.
    Mark(&'static str),
    End,
}

/// Longer marks before their prefixes.
const MARKS: [&str; 27] = [
    "&&", "||", "==", "!=", "<=", ">=", ".?", "[?", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", "(",
    ")", "[", "]", "{", "}", ",", ".", "=",
];

/// Splits a source into tokens; the last one is the end.
pub(super) fn tokens(source: &str) -> Result<Vec<Token>, CompileError> {
    let mut reader = Reader { text: source.chars().collect(), at: 0 };
    let mut found = Vec::new();
    loop {
        reader.skip_blanks();
        let at = reader.at;
        let kind = reader.next()?;
        let is_end = kind == TokenKind::End;
        found.push(Token { at, kind });
        if is_end {
            return Ok(found);
        }
    }
}

struct Reader {
    text: Vec<char>,
    at: usize,
}

impl Reader {
    fn peek(&self, ahead: usize) -> char {
        self.text.get(self.at + ahead).copied().unwrap_or('\0')
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let start = self.at;
        while self.at < self.text.len() && wanted(self.text[self.at]) {
            self.at += 1;
        }
        self.text[start..self.at].iter().collect()
    }

    fn skip_blanks(&mut self) {
        loop {
            self.take_while(char::is_whitespace);
            if (self.peek(0), self.peek(1)) != ('/', '/') {
                return;
            }
            self.take_while(|c| c != '\n');
        }
    }

    fn error<T>(&self, why: &str) -> Result<T, CompileError> {
        Err(CompileError::new(self.at, format!("Syntax error: {why}")))
    }

    fn next(&mut self) -> Result<TokenKind, CompileError> {
        let first = self.peek(0);
        if self.at >= self.text.len() {
            return Ok(TokenKind::End);
        }
        if first.is_ascii_digit() || (first == '.' && self.peek(1).is_ascii_digit()) {
            return self.number();
        }
        if let Some(prefix) = self.quote_prefix() {
            return self.quoted(prefix);
        }
        if first.is_ascii_alphabetic() || first == '_' {
            let name = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
            return Ok(match name.as_str() {
                "true" | "false" => TokenKind::Literal(Literal::Bool(name == "true")),
                "null" => TokenKind::Literal(Literal::Null),
                "in" => TokenKind::Mark("in"),
                _ => TokenKind::Name(name),
            });
        }
        let mark = MARKS.iter().find(|mark| mark.chars().enumerate().all(|(index, c)| self.peek(index) == c));
        let Some(mark) = mark else {
            return self.error(&format!("token recognition error at: '{first}'"));
        };
        self.at += mark.len();
        Ok(TokenKind::Mark(mark))
    }

    fn number(&mut self) -> Result<TokenKind, CompileError> {
        if self.peek(0) == '0' && matches!(self.peek(1), 'x' | 'X') {
            self.at += 2;
            let digits = self.take_while(|c| c.is_ascii_hexdigit());
            return match u64::from_str_radix(&digits, 16) {
                Ok(number) => self.whole(number),
                Err(_) => self.error("invalid int literal"),
            };
        }
        let start = self.at;
        self.take_while(|c| c.is_ascii_digit());
        let mut is_double = false;
        if self.peek(0) == '.' && self.peek(1).is_ascii_digit() {
            is_double = true;
            self.at += 1;
            self.take_while(|c| c.is_ascii_digit());
        }
        if matches!(self.peek(0), 'e' | 'E') {
            is_double = true;
            self.at += 1;
            if matches!(self.peek(0), '+' | '-') {
                self.at += 1;
            }
            self.take_while(|c| c.is_ascii_digit());
        }
        let text: String = self.text[start..self.at].iter().collect();
        if is_double {
            return match text.parse() {
                Ok(number) => Ok(TokenKind::Literal(Literal::Double(number))),
                Err(_) => self.error("invalid double literal"),
            };
        }
        match text.parse() {
            Ok(number) => self.whole(number),
            Err(_) => self.error("invalid int literal"),
        }
    }

    fn whole(&mut self, number: u64) -> Result<TokenKind, CompileError> {
        if matches!(self.peek(0), 'u' | 'U') {
            self.at += 1;
            return Ok(TokenKind::Literal(Literal::Uint(number)));
        }
        // The smallest integer is the negation of a number that is too large by one.
        match i64::try_from(number) {
            Ok(number) => Ok(TokenKind::Literal(Literal::Int(number))),
            Err(_) if number == 1 << 63 => Ok(TokenKind::Literal(Literal::Int(i64::MIN))),
            Err(_) => self.error("invalid int literal"),
        }
    }

    /// Returns the length of the prefix of a text, with `r` for raw and `b` for bytes; `None` if no text follows.
    fn quote_prefix(&self) -> Option<usize> {
        let is_quote = |c: char| c == '"' || c == '\'';
        let is_prefix = |c: char| matches!(c, 'r' | 'R' | 'b' | 'B');
        (0..3).find(|length| {
            is_quote(self.peek(*length)) && (0..*length).all(|before| is_prefix(self.peek(before)))
        })
    }

    fn quoted(&mut self, prefix: usize) -> Result<TokenKind, CompileError> {
        let prefix: String = (0..prefix).map(|index| self.peek(index).to_ascii_lowercase()).collect();
        self.at += prefix.len();
        let quote = self.peek(0);
        let is_long = self.peek(1) == quote && self.peek(2) == quote;
        let width = if is_long { 3 } else { 1 };
        self.at += width;
        let is_raw = prefix.contains('r');
        let mut bytes = Vec::new();
        loop {
            if self.at >= self.text.len() || (!is_long && self.peek(0) == '\n') {
                return self.error("unterminated text");
            }
            if (0..width).all(|index| self.peek(index) == quote) {
                self.at += width;
                break;
            }
            if self.peek(0) == '\\' && !is_raw {
                self.at += 1;
                self.escape(&mut bytes, prefix.contains('b'))?;
            } else {
                bytes.extend_from_slice(self.peek(0).encode_utf8(&mut [0; 4]).as_bytes());
                self.at += 1;
            }
        }
        if prefix.contains('b') {
            return Ok(TokenKind::Literal(Literal::Bytes(bytes)));
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(TokenKind::Literal(Literal::Text(text))),
            Err(_) => self.error("invalid text literal"),
        }
    }

    fn escape(&mut self, bytes: &mut Vec<u8>, in_bytes: bool) -> Result<(), CompileError> {
        let c = self.peek(0);
        self.at += 1;
        let (digits, radix) = match c {
            'x' | 'X' => (2, 16),
            'u' => (4, 16),
            'U' => (8, 16),
            '0'..='3' => {
                self.at -= 1;
                (3, 8)
            }
            _ => {
                let plain = match c {
                    'a' => '\u{7}',
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'v' => '\u{b}',
                    '\\' | '?' | '"' | '\'' | '`' => c,
                    _ => return self.error("invalid escape sequence"),
                };
                bytes.push(plain as u8);
                return Ok(());
            }
        };
        let number: String = (0..digits).map(|index| self.peek(index)).collect();
        self.at += digits;
        let Ok(number) = u32::from_str_radix(&number, radix) else {
            return self.error("invalid escape sequence");
        };
        if in_bytes && digits < 4 {
            bytes.push(number as u8);
            return Ok(());
        }
        match char::from_u32(number) {
            Some(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            None => return self.error("invalid escape sequence"),
        }
        Ok(())
    }
}
