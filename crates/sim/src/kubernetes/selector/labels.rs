//! The grammar of label selectors: `a=b,c in (d, e),!f`.

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Requirement {
    pub(super) key: String,
    pub(super) rule: Rule,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Rule {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
}

const OPERATORS: &str = "in, notin, =, ==, !=, gt, lt";

/// Parses a label selector.
///
/// # Errors
/// The first token that does not fit, and the expected ones.
pub fn parse(text: &str) -> Result<Vec<Requirement>, String> {
    let mut parser = Parser { tokens: tokens(text), next: 0 };
    let mut requirements = Vec::new();
    loop {
        match parser.peek() {
            Token::End => return Ok(requirements),
            Token::Word(_) | Token::Not => {}
            other => {
                return Err(format!("found '{}', expected: !, identifier, or 'end of string'", other.text()));
            }
        }
        let requirement = parser.requirement();
        requirements.push(requirement.map_err(|why| format!("unable to parse requirement: {why}"))?);
        match parser.take() {
            Token::End => return Ok(requirements),
            Token::Comma => {}
            other => return Err(format!("found '{}', expected: ',' or 'end of string'", other.text())),
        }
        let after = parser.peek();
        if !matches!(after, Token::Word(_) | Token::Not) {
            return Err(format!("found '{}', expected: identifier after ','", after.text()));
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Operator(&'static str),
    Not,
    Comma,
    Open,
    Close,
    Invalid(char),
    End,
}

impl Token {
    fn text(&self) -> String {
        match self {
            Self::Word(word) => word.clone(),
            Self::Operator(operator) => (*operator).to_owned(),
            Self::Not => "!".to_owned(),
            Self::Comma => ",".to_owned(),
            Self::Open => "(".to_owned(),
            Self::Close => ")".to_owned(),
            Self::Invalid(c) => c.to_string(),
            Self::End => String::new(),
        }
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let operators = ["==", "!=", "="].into_iter();
        let (token, length) = if let Some(operator) = { operators }.find(|one| rest.starts_with(*one)) {
            (Token::Operator(operator), operator.len())
        } else if first.is_ascii_alphanumeric() || "-_./".contains(first) {
            let is_word = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            (Token::Word(rest[..end].to_owned()), end)
        } else {
            let token = match first {
                '!' => Token::Not,
                ',' => Token::Comma,
                '(' => Token::Open,
                ')' => Token::Close,
                other => Token::Invalid(other),
            };
            (token, first.len_utf8())
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    tokens
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
}

impl Parser {
    fn peek(&self) -> Token {
        self.tokens.get(self.next).cloned().unwrap_or(Token::End)
    }

    fn take(&mut self) -> Token {
        let token = self.peek();
        self.next += 1;
        token
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let is_absent = self.peek() == Token::Not;
        if is_absent {
            self.take();
        }
        let key = match self.take() {
            Token::Word(key) => key,
            other => return Err(format!("found '{}', expected: identifier", other.text())),
        };
        if is_absent {
            return Ok(Requirement { key, rule: Rule::Absent });
        }
        if matches!(self.peek(), Token::End | Token::Comma) {
            return Ok(Requirement { key, rule: Rule::Exists });
        }
        let rule = match self.take() {
            Token::Operator("!=") => Rule::NotIn(vec![self.value()?]),
            Token::Operator(_) => Rule::In(vec![self.value()?]),
            Token::Word(word) if word == "in" => Rule::In(self.values()?),
            Token::Word(word) if word == "notin" => Rule::NotIn(self.values()?),
            other => return Err(format!("found '{}', expected: {OPERATORS}", other.text())),
        };
        Ok(Requirement { key, rule })
    }

    fn value(&mut self) -> Result<String, String> {
        match self.peek() {
            Token::End | Token::Comma => Ok(String::new()),
            Token::Word(word) => {
                self.take();
                Ok(word)
            }
            other => Err(format!("found '{}', expected: identifier", other.text())),
        }
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        if self.take() != Token::Open {
            self.next -= 1;
            return Err(format!("found '{}' expected: '('", self.peek().text()));
        }
        let mut values = Vec::new();
        loop {
            match self.take() {
                Token::Word(word) => values.push(word),
                Token::Comma => values.push(String::new()),
                Token::Close => return Ok(values),
                other => return Err(format!("found '{}', expected: ',', or identifier", other.text())),
            }
            match self.take() {
                Token::Comma => {}
                Token::Close => return Ok(values),
                other => return Err(format!("found '{}', expected: ',' or ')'", other.text())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_token_and_the_expected_ones() {
        let why = |text: &str| parse(text).expect_err("the selector is invalid");
        assert_eq!(why("a===b"), "unable to parse requirement: found '=', expected: identifier");
        assert_eq!(why("a b"), format!("unable to parse requirement: found 'b', expected: {OPERATORS}"));
        assert_eq!(why("a in (b"), "unable to parse requirement: found '', expected: ',' or ')'");
        assert_eq!(why("a,"), "found '', expected: identifier after ','");
        assert_eq!(parse("a= ,b").map(|all| all.len()), Ok(2));
    }
}
