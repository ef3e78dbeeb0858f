//! `landfall-packaging`: builds and checks what a release consists of. `docs/release.md` describes its use.

use clap::{Parser, Subcommand};
use landfall_packaging::{
    Error, archive, changelog, checksums,
    container_root::{self, Addition},
    error, formula, image, image_reader, names,
};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Builds and checks what a release of landfall consists of
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// The time of all files, in seconds since 1970
    #[arg(long, env = "SOURCE_DATE_EPOCH", default_value_t = 0, global = true)]
    time: u64,
}

#[derive(Subcommand)]
enum Command {
    /// Check that the tag, the repository and the changelog belong to this version; print the changes
    Check {
        /// The tag, for example v1.2.3
        #[arg(long)]
        tag: String,
        /// The address of the repository that releases
        #[arg(long)]
        repository: String,
        /// Require that the changelog has the date of the release
        #[arg(long)]
        dated: bool,
    },
    /// Build the archive of a target
    Archive {
        /// The program, which must run on this machine
        #[arg(long)]
        program: PathBuf,
        /// The target triple
        #[arg(long)]
        target: String,
        /// The folder of the archive
        #[arg(long)]
        output: PathBuf,
    },
    /// Build a container image, as an OCI archive that `docker load` also reads; print its digest
    Image {
        /// The Linux program
        #[arg(long)]
        program: PathBuf,
        /// Root certificates in PEM [default: those of this machine]
        #[arg(long)]
        roots: Option<PathBuf>,
        /// A further file, for example the loader of a dynamic program
        #[arg(long, value_name = "SOURCE=PATH")]
        add: Vec<Addition>,
        /// The name of the image without a tag
        #[arg(long, default_value = "landfall")]
        name: String,
        /// The commit
        #[arg(long)]
        revision: Option<String>,
        /// The folder of the image
        #[arg(long)]
        output: PathBuf,
    },
    /// Compare the digests of a container image and unpack it
    Unpack {
        /// The archive
        image: PathBuf,
        /// The folder of the root file system
        folder: PathBuf,
    },
    /// Write the checksums of all files in a folder
    Checksums {
        /// The folder
        folder: PathBuf,
    },
    /// Write the Homebrew formula into a folder that has the checksums
    Formula {
        /// The folder
        folder: PathBuf,
    },
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the command and returns what it prints.
fn run(cli: &Cli) -> Result<String, Error> {
    match &cli.command {
        Command::Check { tag, repository, dated } => check(tag, repository, *dated),
        Command::Archive { program, target, output } => {
            let file = output.join(names::archive(target));
            error::write(&file, &archive::build(program, target, Path::new("."), cli.time)?)?;
            Ok(file.display().to_string())
        }
        Command::Image { program, roots, add, name, revision, output } => {
            let root = container_root::build(program, roots.as_deref(), add)?;
            let description = image::Description {
                name: name.clone(),
                version: names::VERSION.to_owned(),
                source: names::REPOSITORY.to_owned(),
                revision: revision.clone(),
                time: cli.time,
            };
            let image = image::build(&root, &description)?;
            let file = output.join(names::image(root.architecture));
            error::write(&file, &image.archive)?;
            eprintln!("{} root certificates, {} bytes", root.roots, image.archive.len());
            Ok(format!("{} {}", file.display(), image.digest))
        }
        Command::Unpack { image, folder } => {
            let content = image_reader::read(&error::read(image)?)?;
            image_reader::unpack(&content.root, folder)?;
            Ok(content.digest)
        }
        Command::Checksums { folder } => {
            let list = checksums::of_folder(folder)?;
            error::write(&folder.join(names::CHECKSUMS), list.as_bytes())?;
            Ok(list.trim_end().to_owned())
        }
        Command::Formula { folder } => {
            let list = error::read_text(&folder.join(names::CHECKSUMS))?;
            let file = folder.join(names::FORMULA);
            error::write(&file, formula::fill(names::REPOSITORY, names::VERSION, &list)?.as_bytes())?;
            Ok(file.display().to_string())
        }
    }
}

fn check(tag: &str, repository: &str, dated: bool) -> Result<String, Error> {
    let refused = |cause: String, hint: &str| Err(Error::new(format!("release {tag}"), cause).hint(hint));
    if tag != names::tag(names::VERSION) {
        return refused(
            format!("the version in Cargo.toml is {}", names::VERSION),
            "set the version and commit it before the tag",
        );
    }
    if repository != names::REPOSITORY {
        return refused(
            format!("the repository in Cargo.toml is {} instead of {repository}", names::REPOSITORY),
            "set it in Cargo.toml and packaging/install.sh: installers download from it",
        );
    }
    let changes = error::read_text(Path::new("CHANGELOG.md"))?;
    if dated && !changelog::is_dated(&changes, names::VERSION) {
        return refused(
            format!("the heading of {} in CHANGELOG.md has no date", names::VERSION),
            "write it as `## 1.2.3 (2027-01-31)`",
        );
    }
    changelog::section(&changes, names::VERSION).map(str::to_owned)
}
