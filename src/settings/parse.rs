//! Parser of `landfall.toml`: every syntax error, unknown key and wrong type at once, each with its line.
//!
//! serde stops at the first mistake. The document is therefore first validated against the schema of the same
//! types. Invalid parts are reported and removed, and the rest is decoded.

use super::{
    config_error::{ConfigError, Place, nearest},
    file_schema::File,
    schema::schema,
};
use landfall_cloud::text_file;
use landfall_steps::StepTables;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};
use toml::de::{DeTable, DeValue};

/// The maximum size of a settings file. One with every setting has 4 KB.
const SIZE_MAX: u64 = 1_000_000;

/// The file's values and their positions.
#[derive(Default)]
pub struct ParsedFile {
    /// The values of the right type.
    pub file: File,
    /// The tables of the steps.
    pub tables: StepTables,
    /// The file's name as given; empty if there is none.
    pub name: String,
    /// The 1-based line of every key, `cluster.nodes`.
    pub lines: BTreeMap<String, usize>,
    /// True if a person named the file on the command line, rather than landfall finding it.
    pub named: bool,
    /// The settings whose value in the file wins over an environment variable.
    pub preferred: BTreeSet<String>,
}

impl ParsedFile {
    /// Returns the position of a key in this file.
    pub fn place(&self, key: &str) -> Place {
        Place::File { file: self.name.clone(), line: self.lines.get(key).copied() }
    }
}

/// Returns the name of a file in messages.
pub fn shown(path: &Path) -> String {
    let name = path.display().to_string();
    name.strip_prefix("./").unwrap_or(&name).to_owned()
}

/// Reads the file; a missing file that was not named yields no values.
pub fn read(path: &Path, is_required: bool, config_errors: &mut Vec<ConfigError>) -> ParsedFile {
    let name = shown(path);
    let (why, hint) = match text_file::read(path, SIZE_MAX) {
        Ok(text) => return ParsedFile { named: is_required, ..parse(&name, &text, config_errors) },
        Err(error) if error.is_not_found() && !is_required => return ParsedFile::default(),
        Err(error) if error.is_not_found() => {
            ("the file does not exist".to_owned(), "create one with `landfall init`")
        }
        Err(error) => (error.to_string(), "check the path and the permissions of the file"),
    };
    let whole = Place::File { file: name, line: None };
    config_errors.push(ConfigError::at(whole, why).hint(hint));
    ParsedFile::default()
}

/// The values of a document that fit a schema, and their positions.
#[derive(Debug, Default)]
pub struct Document {
    /// The values.
    pub values: Map<String, Value>,
    /// The 1-based line of every key, `cluster.nodes`, and of every item of a list, `waves[0]`.
    pub lines: BTreeMap<String, usize>,
}

/// Parses a settings file's text.
pub fn parse(name: &str, text: &str, config_errors: &mut Vec<ConfigError>) -> ParsedFile {
    let document = document(name, text, &schema(), config_errors);
    of_values(name, document, config_errors)
}

/// Returns a settings file of these values.
pub fn of_values(name: &str, document: Document, config_errors: &mut Vec<ConfigError>) -> ParsedFile {
    let values = Value::Object(document.values);
    let (file, tables) = (decode(&values, name, config_errors), decode(&values, name, config_errors));
    ParsedFile { file, tables, name: name.to_owned(), lines: document.lines, ..ParsedFile::default() }
}

/// Parses a TOML text by a schema; what does not fit is reported and left out.
pub fn document(name: &str, text: &str, schema: &Value, config_errors: &mut Vec<ConfigError>) -> Document {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut decoder = Decoder { name, text, lines: BTreeMap::new(), config_errors };
    for error in &errors {
        let line = error.span().map(|span| decoder.line(span.start));
        let message = format!("is not TOML: {}", error.message().trim().replace('\n', "; "));
        let config_error = ConfigError::at(Place::File { file: name.to_owned(), line }, message);
        decoder.config_errors.push(config_error.hint("write text in quotes: domain = \"demo.example.com\""));
    }
    let before = decoder.config_errors.len() - errors.len();
    let values = decoder.table(document.get_ref(), schema, "", schema);
    let lines = decoder.lines;
    config_errors[before..].sort_by_key(|config_error| match config_error.place {
        Place::File { line, .. } => line,
        _ => None,
    });
    Document { values, lines }
}

/// Decodes the values of one type, and ignores all others.
pub fn decode<T: DeserializeOwned + Default>(
    values: &Value,
    name: &str,
    config_errors: &mut Vec<ConfigError>,
) -> T {
    T::deserialize(values).unwrap_or_else(|error| {
        // The schema accepts nothing that the types refuse, except numbers beyond their width.
        let config_error =
            ConfigError::at(Place::File { file: name.to_owned(), line: None }, error.to_string());
        config_errors.push(config_error.hint("`landfall schema` prints the type of every setting"));
        T::default()
    })
}

/// Returns the 1-based line of a byte offset. A lone carriage return, which TOML forbids, ends a line for
/// editors.
fn line(text: &str, offset: usize) -> usize {
    let bytes = text.as_bytes();
    let ends = |(at, byte): (usize, &u8)| {
        *byte == b'\n' || (*byte == b'\r' && bytes.get(at + 1).is_some_and(|next| *next != b'\n'))
    };
    bytes[..offset.min(bytes.len())].iter().enumerate().filter(|each| ends(*each)).count() + 1
}

struct Decoder<'a> {
    name: &'a str,
    text: &'a str,
    lines: BTreeMap<String, usize>,
    config_errors: &'a mut Vec<ConfigError>,
}

impl Decoder<'_> {
    fn line(&self, offset: usize) -> usize {
        line(self.text, offset)
    }

    fn complain(&mut self, line: usize, message: String, hint: String) {
        let place = Place::File { file: self.name.to_owned(), line: Some(line) };
        self.config_errors.push(ConfigError { place, key: "", message, hint });
    }

    fn table(&mut self, table: &DeTable<'_>, schema: &Value, path: &str, root: &Value) -> Map<String, Value> {
        let mut values = Map::new();
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            let line = self.line(key.span().start);
            let wanted = schema["properties"].get(name).or_else(|| schema.get("additionalProperties"));
            match wanted {
                Some(wanted) if wanted.is_object() => {
                    self.lines.insert(path.clone(), line);
                    if let Some(value) = self.value(value.get_ref(), wanted, &path, line, root) {
                        values.insert(name.to_owned(), value);
                    }
                }
                _ => self.complain(line, format!("unknown key `{path}`"), meant(name, schema, root)),
            }
        }
        values
    }

    fn value(
        &mut self,
        value: &DeValue<'_>,
        wanted: &Value,
        path: &str,
        line: usize,
        root: &Value,
    ) -> Option<Value> {
        let json = match value {
            DeValue::Table(table) if accepts(wanted, "object") => {
                return Some(Value::Object(self.table(table, wanted, path, root)));
            }
            DeValue::Array(items) if accepts(wanted, "array") => {
                let items = items.iter().enumerate();
                return items
                    .map(|(at, item)| {
                        let (path, line) = (format!("{path}[{at}]"), self.line(item.span().start));
                        self.lines.insert(path.clone(), line);
                        self.value(item.get_ref(), &wanted["items"], &path, line, root)
                    })
                    .collect();
            }
            DeValue::String(text) => Value::from(text.as_ref()),
            DeValue::Boolean(flag) => Value::from(*flag),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Value::from(number),
                Err(_) => match u64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => Value::from(number),
                    Err(_) => Value::Null,
                },
            },
            DeValue::Float(number) => number.as_str().parse::<f64>().map_or(Value::Null, Value::from),
            _ => Value::Null,
        };
        if let (Value::String(text), Some(pattern)) = (&json, wanted["pattern"].as_str())
            && accepts(wanted, "string")
            && !regex_lite::Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(text))
        {
            let hint =
                wanted["description"].as_str().unwrap_or_default().trim_end_matches('.').replace('\n', " ");
            self.complain(line, format!("`{path}` is \"{text}\", which is not allowed"), hint);
            return None;
        }
        if !fits(&json, wanted) {
            let hint = example(value, wanted, path);
            let message = format!("`{path}` is {}, but must be {}", named(value), expected(wanted));
            self.complain(line, message, hint);
            return None;
        }
        let choices: Vec<&str> =
            wanted["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if !choices.is_empty() && !choices.iter().any(|choice| json == *choice) {
            let hint = nearest(json.as_str().unwrap_or_default(), choices.iter().copied());
            let message = format!("`{path}` is {json}, but must be one of {}", choices.join(", "));
            let hint = match hint {
                Some(name) => format!("did you mean \"{name}\"?"),
                None => format!("remove {path} for the default"),
            };
            self.complain(line, message, hint);
            return None;
        }
        Some(json)
    }
}

fn types(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn accepts(schema: &Value, name: &str) -> bool {
    types(schema).contains(&name)
}

fn fits(value: &Value, wanted: &Value) -> bool {
    match value {
        Value::String(_) => accepts(wanted, "string"),
        Value::Bool(_) => accepts(wanted, "boolean"),
        Value::Number(number) if number.is_f64() => accepts(wanted, "number"),
        Value::Number(number) => {
            let least = wanted["minimum"].as_i64().unwrap_or(i64::MIN);
            let most = wanted["maximum"].as_u64().unwrap_or(match wanted["format"] == "uint32" {
                true => u64::from(u32::MAX),
                false => u64::MAX,
            });
            let wide = number.as_i64().is_none_or(|number| number >= least)
                && number.as_u64().is_none_or(|number| number <= most);
            wide && (accepts(wanted, "integer") || accepts(wanted, "number"))
        }
        _ => false,
    }
}

fn expected(schema: &Value) -> String {
    let (least, most) = (schema["minimum"].as_u64(), schema["maximum"].as_u64());
    if let (true, Some(least), Some(most)) = (accepts(schema, "integer"), least, most) {
        return format!("a whole number from {least} to {most}");
    }
    let expected = match types(schema).as_slice() {
        ["string"] => "text in quotes",
        ["integer"] if least == Some(0) => "a whole number from 0 up",
        ["integer"] => "a whole number",
        ["number", "string"] => "a number or \"instant\"",
        ["array"] => "a list",
        ["object"] => "a table",
        ["boolean"] => "true or false",
        _ => "another type",
    };
    expected.to_owned()
}

fn named(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text \"{text}\""),
        DeValue::Integer(number) => format!("the number {}", number.as_str()),
        DeValue::Float(number) => format!("the number {}", number.as_str()),
        DeValue::Boolean(flag) => format!("{flag}"),
        DeValue::Datetime(time) => format!("the time {time}"),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// Returns a valid form of the value: itself in the right type, or the default as an example.
fn example(value: &DeValue<'_>, wanted: &Value, path: &str) -> String {
    let leaf = path.rsplit('.').next().unwrap_or(path);
    let number = match value {
        DeValue::Integer(number) => Some(number.as_str()),
        DeValue::Float(number) => Some(number.as_str()),
        _ => None,
    };
    match (number, value) {
        (Some(number), _) if accepts(wanted, "string") => format!("put it in quotes: {leaf} = \"{number}\""),
        (None, DeValue::String(text)) if accepts(wanted, "integer") && text.parse::<u64>().is_ok() => {
            format!("remove the quotes: {leaf} = {text}")
        }
        _ => match wanted.get("default") {
            Some(default) => format!("write it as {leaf} = {default}"),
            None => "`landfall schema` prints the type of every setting".to_owned(),
        },
    }
}

/// Returns the probable intention of an unknown key: a similar name beside it, or the table that it belongs
/// to.
fn meant(name: &str, schema: &Value, root: &Value) -> String {
    near(name, schema, root)
        .unwrap_or_else(|| "`landfall init` writes a file with every setting in it".to_owned())
}

fn near(name: &str, schema: &Value, root: &Value) -> Option<String> {
    let candidates = schema["properties"].as_object().into_iter().flatten().map(|(key, _)| key.as_str());
    if let Some(near) = nearest(name, candidates) {
        return Some(format!("did you mean `{near}`?"));
    }
    let top = root["properties"].as_object()?;
    if top.get(name).is_some_and(|field| field["type"] != "object") {
        return Some("it belongs at the top of the file, before the first [table]".to_owned());
    }
    let home = top.iter().find(|(_, table)| table["properties"].get(name).is_some());
    home.map(|(table, _)| format!("it belongs under [{table}]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(text: &str) -> Vec<String> {
        let mut config_errors = Vec::new();
        parse("landfall.toml", text, &mut config_errors);
        let line = |config_error: &ConfigError| {
            format!("{}: {} ({})", config_error.place, config_error.message, config_error.hint)
        };
        config_errors.iter().map(line).collect()
    }

    #[test]
    fn every_error_in_the_file_is_reported_with_its_line() {
        let text = "domian = \"a.example.com\"\nnodes_max = 4\n\n[cluster]\nversion = 1.35\nnodes = \"3\"\n\
                    nodes_min = -1\nresource_group = \"rg\"\n[network]\nname = [\"a\"]\n[canary]\nstable = true\n";
        insta::assert_snapshot!(messages(text).join("\n"), @r#"
        landfall.toml:1: unknown key `domian` (did you mean `domain`?)
        landfall.toml:2: unknown key `nodes_max` (it belongs under [cluster])
        landfall.toml:5: `cluster.version` is the number 1.35, but must be text in quotes (put it in quotes: version = "1.35")
        landfall.toml:6: `cluster.nodes` is the text "3", but must be a whole number from 0 up (remove the quotes: nodes = 3)
        landfall.toml:7: `cluster.nodes_min` is the number -1, but must be a whole number from 0 up (write it as nodes_min = 1)
        landfall.toml:8: unknown key `cluster.resource_group` (it belongs at the top of the file, before the first [table])
        landfall.toml:10: `network.name` is a list, but must be text in quotes (write it as name = "vnet-aks-istio-demo")
        landfall.toml:12: `canary.stable` is true, but must be a whole number from 0 up (write it as stable = 90)
        "#);
    }

    #[test]
    fn bounds_and_patterns_are_those_of_the_schema() {
        let schema = serde_json::json!({ "properties": {
            "days": { "type": "integer", "minimum": 30, "maximum": 730, "default": 30 },
            "name": { "type": "string", "pattern": "^[a-z]{2,4}$", "description": "Two to four letters." },
        }});
        let text = "days = 7\nname = \"a\"\n";
        let (document, _) = DeTable::parse_recoverable(text);
        let mut config_errors = Vec::new();
        let mut decoder =
            Decoder { name: "f", text, lines: BTreeMap::new(), config_errors: &mut config_errors };
        assert!(decoder.table(document.get_ref(), &schema, "", &schema).is_empty());
        let lines =
            config_errors.iter().map(|error| format!("{}: {} ({})", error.place, error.message, error.hint));
        insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @r#"
        f:1: `days` is the number 7, but must be a whole number from 30 to 730 (write it as days = 30)
        f:2: `name` is "a", which is not allowed (Two to four letters)
        "#);
    }

    #[test]
    fn an_invalid_choice_is_reported_with_the_valid_ones() {
        insta::assert_snapshot!(messages("cloud = \"azur\"\nauth = \"password\"\n").join("\n"), @r#"
        landfall.toml:1: `cloud` is "azur", but must be one of sim, azure (did you mean "azure"?)
        landfall.toml:2: `auth` is "password", but must be one of auto, cli, service-principal, workload-identity, managed-identity (remove auth for the default)
        "#);
    }

    #[test]
    fn broken_toml_does_not_hide_other_errors() {
        let messages = messages("domain = demo.example.com\nlocaton = \"eastus\"\n");
        assert!(messages[0].starts_with("landfall.toml:1: is not TOML: "), "{messages:?}");
        assert!(messages.iter().any(|line| line.contains("`locaton`")), "{messages:?}");
    }

    #[test]
    fn every_line_end_counts() {
        for text in ["a\nb\nc", "a\r\nb\r\nc", "a\rb\rc"] {
            let at = |letter: char| line(text, text.find(letter).unwrap());
            assert_eq!((at('a'), at('b'), at('c'), line(text, 99)), (1, 2, 3, 3), "{text:?}");
        }
        assert_eq!((line("a\r\nb", 1), line("a\r\nb", 2), line("a\rb", 2)), (1, 1, 2));
        let found = messages("cloud = \"sim\"\r# text\rdomian = \"a\"\n");
        assert!(
            found.iter().any(|line| line.starts_with("landfall.toml:3: unknown key `domian`")),
            "{found:?}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_or_an_endless_file_is_an_error_and_utf_16_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("landfall.toml");
        let mut config_errors = Vec::new();
        std::fs::File::create(&path).unwrap().set_len(50_000_000).unwrap();
        read(&path, false, &mut config_errors);
        assert!(config_errors[0].message.starts_with("has more than 1 MB"), "{config_errors:?}");
        std::fs::remove_file(&path).unwrap();
        if std::process::Command::new("mkfifo").arg(&path).status().is_ok_and(|status| status.success()) {
            read(&path, false, &mut config_errors);
            assert_eq!(config_errors[1].message, "is a pipe, not a file");
            std::fs::remove_file(&path).unwrap();
        }
        let text = "\u{feff}[cluster]\r\nnodes = 3\r\n";
        let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        std::fs::write(&path, bytes).unwrap();
        config_errors.clear();
        let parsed = read(&path, true, &mut config_errors);
        assert_eq!((config_errors, parsed.file.cluster.nodes, parsed.named), (Vec::new(), Some(3), true));
    }

    #[test]
    fn valid_values_are_read_with_their_lines() {
        let mut config_errors = Vec::new();
        let text =
            "cloud = \"sim\"\n[tags]\nOwner = \"me\"\n[sim]\nspeed = \"instant\"\nfaults = [\"a\", \"b\"]\n";
        let parsed = parse("landfall.toml", text, &mut config_errors);
        assert_eq!(config_errors, []);
        assert_eq!(parsed.file.cloud, Some(super::super::file_schema::CloudName::Sim));
        assert_eq!(parsed.file.sim.speed.map(|speed| speed.0).as_deref(), Some("instant"));
        assert_eq!(parsed.file.sim.faults.as_deref(), Some(&["a".to_owned(), "b".to_owned()][..]));
        assert_eq!(parsed.lines["tags.Owner"], 3);
        assert_eq!(parsed.lines["sim.speed"], 5);
    }
}
