//! Consent to unknown endpoints: they receive nothing without it.

use crate::{
    cli::Global,
    exit::Exit,
    failure::Failure,
    render::stream::{self, Terminal},
    settings::{
        checks::{acme, endpoints::Consent},
        target::TargetConfig,
    },
};
use std::io::BufRead;
use url::Url;

/// A cloud that may receive credentials. Only [`ask`] creates one.
#[derive(Clone, Copy)]
pub struct Allowed<'a>(&'a TargetConfig);

impl<'a> Allowed<'a> {
    /// Returns the cloud.
    pub fn place(self) -> &'a TargetConfig {
        self.0
    }
}

/// Asks a person whether the endpoints of a found settings file may receive credentials, if that is needed.
///
/// `--yes` does not count as consent: scripts pass it for other questions, and a found file must not profit
/// from that.
///
/// # Errors
/// Exit 2 without a terminal, and if the answer is not `yes`.
pub fn ask<'a>(
    place: &'a TargetConfig,
    global: &Global,
    terminal: &Terminal,
) -> Result<Allowed<'a>, Failure> {
    let Consent::Needed { file, endpoints } = &place.consent else { return Ok(Allowed(place)) };
    let refused = Failure::new(Exit::Input, format!("use the endpoints of {file}"))
        .cause("these endpoints do not belong to an Azure cloud; no request was sent to them")
        .cause(endpoints.join("\n"));
    if !terminal.answers {
        let file = file.rsplit_once(':').map_or(file.as_str(), |(name, _)| name);
        return Err(
            refused.hint(format!("give --config {file} to use them, or take [endpoints] out of the file"))
        );
    }
    stream::err().write(&format!(
        "{file} sends credentials and tokens to servers that are not those of an Azure cloud:\n  {}\n\
         Type yes to send them there as environment {}: ",
        endpoints.join("\n  "),
        global.environment
    ));
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    match read.is_ok() && answer.trim() == "yes" {
        true => Ok(Allowed(place)),
        false => Err(refused.hint("type yes, or give --config FILE, to use them")),
    }
}

/// Asks a person whether the ACME server that only a tag of the certificate names may be used, if landfall does not know
/// it. Everyone who may write to the vault can change a tag.
///
/// # Errors
/// Exit 2 without a terminal, and if the answer is not `yes`.
pub fn ask_for_directory(url: &Url, terminal: &Terminal) -> Result<(), Failure> {
    if acme::is_known(url) {
        return Ok(());
    }
    let refused = Failure::new(Exit::Input, format!("use the ACME server {url}")).cause(
        "only a tag of the certificate names it, and landfall does not know it; no request was sent to it",
    );
    let hint = format!(
        "to use it, set certificate.issuer = \"acme\" and certificate.acme.directory = \"{url}\", and pass the file with \
         --config"
    );
    if !terminal.answers {
        return Err(refused.hint(hint));
    }
    stream::err()
        .write(&format!("A tag of the certificate names the ACME server {url}.\nType yes to use it: "));
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    match read.is_ok() && answer.trim() == "yes" {
        true => Ok(()),
        false => Err(refused.hint(hint)),
    }
}
