//! The targets of a release, and the names of its files.
//!
//! An archive has no version in its name, so that `releases/latest/download/NAME` always finds the newest one.

/// The version of this workspace, which is the version of the release.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The address of the repository, without a slash at the end.
pub const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");

/// A target that a release has an archive for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The target triple of Rust.
    pub triple: &'static str,
    /// The operating system, as `uname -s` prints it.
    pub system: &'static str,
    /// The processor, as `uname -m` prints it. The first one is the usual name.
    pub machines: &'static [&'static str],
}

/// Every target, Linux first. The Linux binaries are static, so they do not depend on a distribution.
pub const TARGETS: [Target; 4] = [
    Target { triple: "x86_64-unknown-linux-musl", system: "Linux", machines: &["x86_64", "amd64"] },
    Target { triple: "aarch64-unknown-linux-musl", system: "Linux", machines: &["aarch64", "arm64"] },
    Target { triple: "x86_64-apple-darwin", system: "Darwin", machines: &["x86_64"] },
    Target { triple: "aarch64-apple-darwin", system: "Darwin", machines: &["arm64"] },
];

/// The checksums of all files of a release, in the format of `sha256sum`.
pub const CHECKSUMS: &str = "SHA256SUMS";
/// The list of the crates in the binary, in the format CycloneDX.
pub const SBOM: &str = "landfall.cdx.json";
/// The installer.
pub const INSTALLER: &str = "install.sh";
/// The Homebrew formula.
pub const FORMULA: &str = "landfall.rb";

/// Returns the name of the folder inside the archive of a target.
#[must_use]
pub fn folder(triple: &str) -> String {
    format!("landfall-{triple}")
}

/// Returns the name of the archive of a target.
#[must_use]
pub fn archive(triple: &str) -> String {
    format!("{}.tar.gz", folder(triple))
}

/// Returns the name of the container image for an architecture, as the image specification names it.
#[must_use]
pub fn image(architecture: &str) -> String {
    format!("landfall-image-{architecture}.tar")
}

/// Returns the tag of a version.
#[must_use]
pub fn tag(version: &str) -> String {
    format!("v{version}")
}

/// Returns the address of a file of a release.
#[must_use]
pub fn download(repository: &str, version: &str, file: &str) -> String {
    format!("{repository}/releases/download/{}/{file}", tag(version))
}
