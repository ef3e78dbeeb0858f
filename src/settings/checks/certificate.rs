//! Checks of the user's PFX, opened and compared with the host names before the first request.

use crate::settings::config_error::{ConfigError, Place, Sourced};
use jiff::Timestamp;
use landfall_cloud::{
    certificate::{CertificateError, Material, check_for},
    text_file,
};
use landfall_steps::certificate::SELF_SIGNED_DAYS;
use std::{path::Path, sync::Arc};

/// The maximum size of a PFX file. One with a long chain has some kilobytes.
const SIZE_MAX: u64 = 4_000_000;

/// Prompts the user for a password; `None` without a terminal.
pub type Ask<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Opens the file with the given password, with none, or with one from the prompt.
pub fn pfx(
    given: &Sourced<String>,
    path: &Path,
    password: Option<&Sourced<String>>,
    ask: Ask<'_>,
) -> Result<Material, ConfigError> {
    let bytes = text_file::read_bytes(path, SIZE_MAX).map_err(|error| {
        let wrong = given.wrong(format!("{} {error}", path.display()));
        wrong.hint("set the path of a readable PFX file, or omit it for a self-signed certificate")
    })?;
    let tried = password.map_or("", |password| password.value.as_str());
    let prompted = match Material::from_pfx(&bytes, tried) {
        Err(CertificateError::WrongPassword) if password.is_none() => {
            ask(&format!("Password of {}: ", path.display()))
        }
        opened => {
            return opened.map_err(|error| {
                certificate_error(given, path, password.map(|password| &password.place), &error)
            });
        }
    };
    match prompted {
        Some(typed) => {
            Material::from_pfx(&bytes, &typed).map_err(|error| certificate_error(given, path, None, &error))
        }
        None => Err(given
            .wrong(format!("{} is protected with a password, and none is set", path.display()))
            .hint("set SSL_PFX_PASSWORD, or run on a terminal to be asked for it")),
    }
}

fn certificate_error(
    given: &Sourced<String>,
    path: &Path,
    password: Option<&Place>,
    error: &CertificateError,
) -> ConfigError {
    let config_error = given.wrong(format!("{}: {}", path.display(), error.message())).hint(error.hint());
    match (error, password) {
        (CertificateError::WrongPassword, Some(place)) => {
            ConfigError { place: place.clone(), key: "certificate.password", ..config_error }
        }
        _ => config_error,
    }
}

/// Checks that the certificate is valid now and covers every host.
pub fn suits(
    given: &Sourced<String>,
    path: &Path,
    material: Material,
    hosts: &[String],
    now: Timestamp,
) -> Result<Arc<Material>, ConfigError> {
    check_for(&material, hosts, now).map_err(|error| certificate_error(given, path, None, &error))?;
    Ok(Arc::new(material))
}

/// Parses the renewal threshold of a self-signed certificate in days before its end: `30d` or `30`.
pub fn renew_before(given: &Sourced<String>) -> Result<i64, ConfigError> {
    let text = given.value.trim();
    let days = text.strip_suffix(['d', 'D']).unwrap_or(text).trim_end().parse::<i64>();
    let least = i64::from(SELF_SIGNED_DAYS);
    match days {
        Ok(days) if (1..least).contains(&days) => Ok(days),
        Ok(days) => Err(given
            .wrong(format!("{days} days is not between 1 and {}", least - 1))
            .hint(format!("a new certificate is valid for {least} days; 30d leaves enough time"))),
        Err(_) => {
            Err(given.wrong(format!("\"{text}\" is not a number of days")).hint("write days as 30d, or 30"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_a_number_with_or_without_their_letter() {
        let read = |text: &str| {
            let given = Sourced {
                value: text.to_owned(),
                key: "certificate.renew_before",
                place: Place::Flag("renew-before"),
            };
            renew_before(&given).map_err(|config_error| config_error.message)
        };
        assert_eq!((read("30d"), read("30"), read(" 7 d ")), (Ok(30), Ok(30), Ok(7)));
        assert_eq!(read("0").unwrap_err(), "0 days is not between 1 and 364");
        assert_eq!(read("365d").unwrap_err(), "365 days is not between 1 and 364");
        assert_eq!(read("1 month").unwrap_err(), "\"1 month\" is not a number of days");
    }
}
