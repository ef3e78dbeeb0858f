//! `landfall init`: writes a settings file with every setting, commented out.

use crate::{cli_context::CliContext, exit::Exit, failure::Failure, settings::schema};
use std::{fs::OpenOptions, io::Write, path::Path};

const TEMPLATE: &str = include_str!("../../templates/landfall.toml");

/// Returns the file: the written template, and the tables that steps declare.
fn template() -> String {
    format!("{TEMPLATE}{}", schema::template_of_steps())
}

/// Arguments of `init`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
}

/// Runs the command.
pub fn run(cli_context: &CliContext, args: &Args) -> Result<Exit, Failure> {
    let path = cli_context.global.config.as_deref().unwrap_or(Path::new("landfall.toml"));
    let shown = path.display();
    let mut options = OpenOptions::new();
    options.write(true);
    match args.force {
        true => options.create(true).truncate(true),
        false => options.create_new(true),
    };
    let written = options.open(path).and_then(|mut file| file.write_all(template().as_bytes()));
    match written {
        Ok(()) => {
            cli_context.say(&format!(
                "Wrote {shown}. Every setting in it is optional.\nNext: {} up",
                cli_context.program()
            ));
            Ok(Exit::Success)
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(Failure::new(Exit::Input, format!("write {shown}"))
                .cause("the file already exists")
                .hint("use --force to replace it"))
        }
        Err(error) => Err(Failure::new(Exit::Failed, format!("write {shown}")).caused_by(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{config_error::Place, parse};
    use serde_json::Value;

    /// Returns the template with every setting enabled: `#key = …` and `#[table]`, unlike `# prose`.
    fn switched_on() -> String {
        let on = |line: &str| match line.strip_prefix('#') {
            Some(setting) if !setting.starts_with(' ') => setting.to_owned(),
            _ => line.to_owned(),
        };
        template().lines().map(on).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_template_contains_only_defaults() {
        let mut config_errors = Vec::new();
        assert!(parse::parse("landfall.toml", &template(), &mut config_errors).lines.is_empty());
        assert_eq!(config_errors, []);
    }

    #[test]
    fn the_template_names_every_setting_and_its_default() {
        let mut config_errors = Vec::new();
        let text = switched_on();
        let parsed = parse::parse("landfall.toml", &text, &mut config_errors);
        assert_eq!(config_errors, []);
        let written: toml::Table = toml::from_str(&text).unwrap();
        let schema = schema::schema();
        for (key, field) in schema["properties"].as_object().unwrap() {
            let table = field["properties"].as_object().cloned().unwrap_or_default();
            let leaves = table.iter().map(|(leaf, field)| (format!("{key}.{leaf}"), field.clone()));
            let leaves: Vec<(String, Value)> =
                if table.is_empty() { vec![(key.clone(), field.clone())] } else { leaves.collect() };
            for (path, field) in leaves {
                assert!(parsed.lines.contains_key(&path), "{path} is not in the template");
                let shown = path
                    .split('.')
                    .try_fold(toml::Value::Table(written.clone()), |at, part| at.get(part).cloned());
                let shown = serde_json::to_value(shown.unwrap()).unwrap();
                if let Some(default) = field.get("default") {
                    let same =
                        shown == *default || shown.as_f64().is_some() && shown.as_f64() == default.as_f64();
                    assert!(same, "{path}: the template says {shown}, the default is {default}");
                }
            }
        }
        assert_eq!(
            parsed.place("domain"),
            Place::File { file: "landfall.toml".into(), line: parsed.lines.get("domain").copied() }
        );
    }
}
