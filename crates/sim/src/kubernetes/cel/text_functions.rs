//! The functions of texts. Positions count characters.

use regex_lite::Regex;

use super::operators::{Evaluated, no_overload};
use super::value::{CelValue, display};
use crate::kubernetes::schema::validate::matches_valid;

/// Calls a function of a text.
pub(super) fn of_text<'v>(name: &str, text: &str, rest: &[CelValue<'v>]) -> Evaluated<'v> {
    let owned = |text: String| Ok(CelValue::owned(text));
    match (name, rest) {
        ("contains", [CelValue::Text(part)]) => Ok(CelValue::Bool(text.contains(part.as_ref()))),
        ("startsWith", [CelValue::Text(part)]) => Ok(CelValue::Bool(text.starts_with(part.as_ref()))),
        ("endsWith", [CelValue::Text(part)]) => Ok(CelValue::Bool(text.ends_with(part.as_ref()))),
        ("matches", [CelValue::Text(pattern)]) => match matches_valid(pattern, text) {
            Some(is) => Ok(CelValue::Bool(is)),
            None => Err(format!("error parsing regexp: {pattern}")),
        },
        ("find", [CelValue::Text(pattern)]) => {
            owned(found(text, pattern, Some(1))?.pop().unwrap_or_default())
        }
        ("findAll", [CelValue::Text(pattern), limit @ ..]) => {
            let limit = limit.first().and_then(whole).and_then(|limit| usize::try_from(limit).ok());
            Ok(CelValue::list(found(text, pattern, limit)?.into_iter().map(CelValue::owned).collect()))
        }
        ("lowerAscii", []) => owned(text.to_ascii_lowercase()),
        ("upperAscii", []) => owned(text.to_ascii_uppercase()),
        ("trim", []) => owned(text.trim().to_owned()),
        ("charAt", [at]) => {
            let characters: Vec<char> = text.chars().collect();
            let at = whole(at).ok_or("no such overload")?;
            match usize::try_from(at) {
                Ok(at) if at == characters.len() => owned(String::new()),
                Ok(at) if at < characters.len() => owned(characters[at].to_string()),
                _ => Err(format!("index out of range: {at}")),
            }
        }
        ("indexOf" | "lastIndexOf", [CelValue::Text(part), from @ ..]) => {
            Ok(CelValue::Int(position(text, part, from.first().and_then(whole), name == "lastIndexOf")?))
        }
        ("substring", [start, end @ ..]) => substring(text, whole(start), end.first().and_then(whole)),
        ("replace", [CelValue::Text(old), CelValue::Text(new), limit @ ..]) => {
            match limit.first().and_then(whole).and_then(|limit| usize::try_from(limit).ok()) {
                Some(limit) => owned(text.replacen(old.as_ref(), new, limit)),
                None => owned(text.replace(old.as_ref(), new)),
            }
        }
        ("split", [CelValue::Text(by), limit @ ..]) => {
            let limit = limit.first().and_then(whole).and_then(|limit| usize::try_from(limit).ok());
            let parts: Vec<String> = match (by.is_empty(), limit) {
                (_, Some(0)) => Vec::new(),
                (true, _) => text.chars().map(String::from).collect(),
                (false, Some(limit)) => text.splitn(limit, by.as_ref()).map(str::to_owned).collect(),
                (false, None) => text.split(by.as_ref()).map(str::to_owned).collect(),
            };
            Ok(CelValue::list(parts.into_iter().map(CelValue::owned).collect()))
        }
        ("format", [values]) => owned(formatted(text, &values.items().ok_or("no such overload")?)?),
        _ => no_overload(),
    }
}

/// Joins a list of texts.
pub(super) fn joined<'v>(items: &[CelValue<'v>], rest: &[CelValue<'v>]) -> Evaluated<'v> {
    let by = rest.first().map(display).unwrap_or_default();
    let texts = items.iter().map(|item| match item {
        CelValue::Text(text) => Ok(text.to_string()),
        _ => Err("no such overload".to_owned()),
    });
    Ok(CelValue::owned(texts.collect::<Result<Vec<_>, _>>()?.join(&by)))
}

fn whole(value: &CelValue<'_>) -> Option<i64> {
    match value {
        CelValue::Int(number) => Some(*number),
        _ => None,
    }
}

fn found(text: &str, pattern: &str, limit: Option<usize>) -> Result<Vec<String>, String> {
    let regex = Regex::new(pattern).map_err(|error| format!("error parsing regexp: {error}"))?;
    let all = regex.find_iter(text).take(limit.unwrap_or(usize::MAX));
    Ok(all.map(|found| found.as_str().to_owned()).collect())
}

fn position(text: &str, part: &str, from: Option<i64>, last: bool) -> Result<i64, String> {
    let (text, part): (Vec<char>, Vec<char>) = (text.chars().collect(), part.chars().collect());
    if part.len() > text.len() {
        return Ok(-1);
    }
    let ends = text.len() - part.len();
    let fits = |at: &usize| text[*at..*at + part.len()] == part[..];
    let from = from
        .map(|from| usize::try_from(from).map_err(|_| format!("index out of range: {from}")))
        .transpose()?;
    let at = if last {
        (0..=from.unwrap_or(ends).min(ends)).rev().find(fits)
    } else {
        (from.unwrap_or(0)..=ends).find(fits)
    };
    Ok(at.map_or(-1, |at| at as i64))
}

fn substring<'v>(text: &str, start: Option<i64>, end: Option<i64>) -> Evaluated<'v> {
    let characters: Vec<char> = text.chars().collect();
    let length = characters.len() as i64;
    let (start, end) = (start.ok_or("no such overload")?, end.unwrap_or(length));
    match [start, end].into_iter().find(|at| !(0..=length).contains(at)) {
        Some(outside) => Err(format!("index out of range: {outside}")),
        None if start > end => Err(format!("invalid substring range. start: {start}, end: {end}")),
        None => Ok(CelValue::owned(characters[start as usize..end as usize].iter().collect())),
    }
}

/// Replaces `%s`, `%d` and `%f` by the values.
fn formatted(template: &str, values: &[CelValue<'_>]) -> Result<String, String> {
    let mut values = values.iter();
    let mut result = String::new();
    let mut rest = template.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            result.push(c);
            continue;
        }
        let verb = rest.next();
        if verb == Some('%') {
            result.push('%');
            continue;
        }
        let value = values.next().ok_or("index out of range: too few values")?;
        match (verb, value.number()) {
            (Some('s'), _) => result.push_str(&display(value)),
            (Some('d'), Some(_)) => result.push_str(&display(value)),
            (Some('f'), Some(number)) => result.push_str(&format!("{number:.6}")),
            (verb, _) => {
                return Err(format!("unrecognized formatting clause {:?}", verb.unwrap_or_default()));
            }
        }
    }
    Ok(result)
}
