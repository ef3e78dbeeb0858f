//! The warning about an expiring certificate.

use super::{style::Styler, text};
use jiff::Timestamp;
use landfall_steps::{
    CertificateSummary,
    expiry::{Expiry, expiry},
};

/// Returns the warning if less than thirty days are left, or the last sixth of a certificate by ACME; `program` is the command line of landfall.
pub fn warning(
    certificate: Option<&CertificateSummary>,
    program: &str,
    now: Timestamp,
    style: Styler,
) -> Option<String> {
    let certificate = certificate?;
    let day = certificate.not_after.strftime("%Y-%m-%d");
    let ends = match expiry(certificate.not_before, certificate.not_after, now) {
        Expiry::Valid => return None,
        Expiry::ExpiresSoon(0) => "The certificate expires within a day.".to_owned(),
        Expiry::ExpiresSoon(days) => {
            format!("The certificate expires in {}, on {day}.", text::count(days as usize, "day"))
        }
        Expiry::Expired(_) => format!("The certificate expired on {day}: clients refuse it."),
    };
    if certificate.acme.is_some() {
        let ends = style.bad(&text::wrap("", &ends, text::COLUMNS));
        return Some(format!(
            "{ends}\nRenew it: {program} renew; to schedule that: {program} renew --print github"
        ));
    }
    let file = if certificate.renewable { "" } else { " --pfx FILE" };
    Some(format!("{}\nReplace it: {program} rotate{file}", style.bad(&text::wrap("", &ends, text::COLUMNS))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::summary::tests::facts;

    fn warning_text(now: &str, renewable: bool) -> String {
        let mut facts = facts().certificate.unwrap();
        facts.renewable = renewable;
        warning(Some(&facts), "landfall", now.parse().unwrap(), Styler::PLAIN).unwrap_or_default()
    }

    #[test]
    fn a_warning_starts_thirty_days_before_expiry() {
        assert_eq!(warning_text("2027-10-01T00:00:00Z", true), "");
        insta::assert_snapshot!(warning_text("2027-11-15T12:00:00Z", true), @r"
        The certificate expires in 7 days, on 2027-11-23.
        Replace it: landfall rotate
        ");
        insta::assert_snapshot!(warning_text("2027-11-22T12:00:00Z", false), @r"
        The certificate expires within a day.
        Replace it: landfall rotate --pfx FILE
        ");
        insta::assert_snapshot!(warning_text("2027-11-24T12:00:00Z", true), @r"
        The certificate expired on 2027-11-23: clients refuse it.
        Replace it: landfall rotate
        ");
    }
}
