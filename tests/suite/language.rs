//! The language of the sources: no retired words in names and comments, and rules for the messages that a
//! person reads.
//!
//! `cargo test --test suite messages -- --nocapture` prints every message with its file.

use crate::tidy::{root, sources};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Words with a term of the field in their place; see `docs/glossary.md`.
const RETIRED: &[&str] = &[
    "alike",
    "anew",
    "beforehand",
    "doom",
    "holdings",
    "mend",
    "mended",
    "mending",
    "mends",
    "nobody",
    "patience",
    "rehearsal",
    "shelf",
    "somebody",
    "stranger",
    "strangers",
    "thereby",
    "unmade",
    "vigil",
    "whereupon",
    "whoever",
    "wish",
    "wished",
    "wishes",
];

/// Functions whose string arguments a person reads.
const MESSAGES: &[&str] = &[
    "StepError::new",
    "Failure::new",
    "Finding::new",
    "Finding::refused",
    "cause",
    "hint",
    "note",
    "not_yet",
    "Wait::new",
    "say",
    "warn",
    "mend",
    "remedy",
];

/// A part of a source file.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Comment(String),
    Sign(char),
}

/// Splits Rust source into words, string literals, comments and other signs. Lifetimes and character literals
/// are dropped.
fn tokens(source: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '/' if rest.starts_with("//") => {
                let end = rest.find('\n').unwrap_or(rest.len());
                found.push(Token::Comment(rest[..end].trim_start_matches(['/', '!']).to_owned()));
                end
            }
            '"' => {
                let end = closing_quote(rest);
                found.push(Token::Text(rest[1..end - 1].to_owned()));
                end
            }
            'r' | 'b' if is_raw(rest) => {
                let hashes = rest.split('"').next().unwrap().matches('#').count();
                let open = rest.find('"').unwrap() + 1;
                let close = format!("\"{}", "#".repeat(hashes));
                let end = open + rest[open..].find(&close).unwrap();
                found.push(Token::Text(rest[open..end].to_owned()));
                end + close.len()
            }
            '\'' => character(rest),
            _ if first.is_alphabetic() || first == '_' => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                found.push(Token::Word(rest[..end].to_owned()));
                end
            }
            _ => {
                if !first.is_whitespace() {
                    found.push(Token::Sign(first));
                }
                first.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    found
}

/// Returns the length of a string literal with its quotes.
fn closing_quote(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '\\' => escaped = !escaped,
            '"' if !escaped => return at + 1,
            _ => escaped = false,
        }
    }
    text.len()
}

fn is_raw(text: &str) -> bool {
    let text = text.strip_prefix('b').unwrap_or(text);
    text.strip_prefix('r').is_some_and(|text| text.trim_start_matches('#').starts_with('"'))
}

/// Returns the length of a character literal, or 1 for the quote of a lifetime.
fn character(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), _) => text[3..].find('\'').map_or(1, |end| end + 4),
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}

/// Splits an identifier or a sentence into lowercase words: `PollLoop` and `poll_loop` into `poll`, `loop`.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut last = ' ';
    for c in text.chars() {
        if !c.is_alphabetic() || (c.is_uppercase() && last.is_lowercase()) {
            words.push(String::new());
        }
        if c.is_alphabetic() {
            words.last_mut().unwrap().extend(c.to_lowercase());
        }
        last = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

fn retired(text: &str) -> Option<String> {
    words(text).into_iter().find(|word| RETIRED.contains(&word.as_str()))
}

fn files() -> Vec<PathBuf> {
    ["src", "steps", "crates", "tests", "benches", "fuzz", "packaging"]
        .into_iter()
        .flat_map(sources)
        .collect()
}

fn short(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

#[test]
fn names_and_comments_use_the_terms_of_the_field() {
    let mut found = BTreeSet::new();
    for path in files() {
        let file = short(&path);
        found.extend(retired(&file).map(|word| format!("{file}: the file name contains \"{word}\"")));
        for token in tokens(&fs::read_to_string(&path).unwrap()) {
            let (Token::Word(text) | Token::Comment(text)) = &token else { continue };
            // A word in backticks quotes a key, a flag or a value, which keep their names.
            let plain: String = text.split('`').step_by(2).collect::<Vec<_>>().join(" ");
            found.extend(retired(&plain).map(|word| format!("{file}: \"{word}\" in {}", text.trim())));
        }
    }
    assert!(found.is_empty(), "retired words:\n{}", found.into_iter().collect::<Vec<_>>().join("\n"));
}

/// A message: the function that receives it, and its text.
fn messages(source: &str) -> Vec<(String, String)> {
    let product = source.split("#[cfg(test)]").next().unwrap();
    let tokens: Vec<Token> =
        tokens(product).into_iter().filter(|token| !matches!(token, Token::Comment(_))).collect();
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        let Token::Word(name) = &tokens[at] else { continue };
        let Some(Token::Sign('(')) = tokens.get(at + 1) else { continue };
        let qualified = match tokens[..at] {
            [.., Token::Word(ref owner), Token::Sign(':'), Token::Sign(':')] => format!("{owner}::{name}"),
            _ => name.clone(),
        };
        if !MESSAGES.contains(&qualified.as_str()) {
            continue;
        }
        let mut depth = 0;
        for token in &tokens[at + 1..] {
            match token {
                Token::Sign('(') => depth += 1,
                Token::Sign(')') if depth == 1 => break,
                Token::Sign(')') => depth -= 1,
                Token::Text(text) if depth <= 2 => found.push((qualified.clone(), text.clone())),
                _ => {}
            }
        }
    }
    found
}

#[test]
fn messages_start_in_lower_case_and_use_the_terms_of_the_field() {
    let mut wrong = BTreeSet::new();
    let mut number = 0;
    for path in ["src", "steps", "crates/engine/src", "crates/cloud/src", "crates/diagnose/src"]
        .into_iter()
        .flat_map(sources)
        .filter(|path| !path.components().any(|part| part.as_os_str() == "tests"))
    {
        let file = short(&path);
        for (function, text) in messages(&fs::read_to_string(&path).unwrap()) {
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ").replace("\\ ", "");
            println!("{file}: {function}: {text}");
            number += 1;
            wrong.extend(
                retired(&text.replace("--with-strangers", ""))
                    .map(|word| format!("{file}: \"{word}\" in \"{text}\"")),
            );
            let heading = matches!(function.as_str(), "StepError::new" | "Failure::new");
            if heading && text.chars().next().is_some_and(char::is_uppercase) {
                wrong.insert(format!("{file}: \"{text}\" must fit after \"failed to\""));
            }
        }
    }
    assert!(number > 500, "only {number} messages were found");
    assert!(wrong.is_empty(), "{}", wrong.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_source_is_split_into_words_texts_and_comments() {
    let source = "fn f<'a>(x: char) { g('\\'', 'x', \"a \\\" b\", r#\"raw \"q\"\"#) } // said";
    let texts: Vec<Token> =
        tokens(source).into_iter().filter(|token| !matches!(token, Token::Sign(_))).collect();
    let word = |text: &str| Token::Word(text.to_owned());
    assert_eq!(
        texts,
        [
            word("fn"),
            word("f"),
            word("a"),
            word("x"),
            word("char"),
            word("g"),
            Token::Text("a \\\" b".to_owned()),
            Token::Text("raw \"q\"".to_owned()),
            Token::Comment(" said".to_owned()),
        ]
    );
    assert_eq!(words("PollLoop poll_loop"), ["poll", "loop", "poll", "loop"]);
}
