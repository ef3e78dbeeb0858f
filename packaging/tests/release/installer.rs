//! `install.sh` against a folder that is laid out like the release page.

use crate::releases::{Release, text};
use landfall_packaging::names;
use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none())
}

#[test]
fn it_installs_the_archive_of_this_machine() {
    let release = Release::new();
    for target in names::TARGETS {
        for machine in target.machines {
            release.machine(target.system, machine);
            let output = release.install(&[]);
            assert!(output.status.success(), "{}", text(&output));
            assert!(text(&output).contains(&names::archive(target.triple)), "{}", text(&output));
        }
    }
    let program = release.installed();
    assert_eq!(fs::metadata(&program).unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(fs::read(&program).unwrap(), fs::read(release.path("program")).unwrap());
    for file in [
        "man/man1/landfall.1",
        "bash-completion/completions/landfall",
        "zsh/site-functions/_landfall",
        "fish/vendor_completions.d/landfall.fish",
    ] {
        assert!(release.path("home/.local/share").join(file).is_file(), "{file}");
    }
}

#[test]
fn a_shell_under_rosetta_gets_the_archive_of_the_real_processor() {
    let release = Release::new();
    release.machine("Darwin", "x86_64");
    release.program("sysctl", "echo 1");
    let output = release.install(&[]);
    assert!(text(&output).contains("aarch64-apple-darwin"), "{}", text(&output));
}

#[test]
fn a_version_and_a_prefix_can_be_named() {
    let release = Release::new();
    let prefix = release.path("a prefix");
    for version in [names::VERSION.to_owned(), names::tag(names::VERSION)] {
        let output = release.install(&["--version", &version, "--prefix", prefix.to_str().unwrap()]);
        assert!(output.status.success(), "{}", text(&output));
        let address = format!("releases/download/v{}/", names::VERSION);
        assert!(text(&output).contains(&address), "{}", text(&output));
    }
    assert!(prefix.join("bin/landfall").is_file());
    assert!(!release.installed().exists());
    let output = release.install(&["--version", "9.9.9"]);
    assert!(!output.status.success(), "{}", text(&output));
}

#[test]
fn an_archive_with_another_checksum_is_not_installed() {
    let release = Release::new();
    for target in names::TARGETS {
        release.write(&names::archive(target.triple), b"something else");
    }
    let output = release.install(&[]);
    assert!(!output.status.success());
    assert!(text(&output).contains("the checksum of landfall-"), "{}", text(&output));
    assert!(!release.installed().exists());

    release.write(names::CHECKSUMS, b"");
    let output = release.install(&[]);
    assert!(text(&output).contains("SHA256SUMS has no line for landfall-"), "{}", text(&output));
    assert!(!release.installed().exists());
}

#[test]
fn a_program_that_does_not_run_replaces_nothing() {
    let release = Release::new();
    assert!(release.install(&[]).status.success());
    let before = fs::read(release.installed()).unwrap();
    release.machine("Linux", "x86_64");
    let triple = names::TARGETS[0].triple;
    let mut files = landfall_packaging::file_tree::FileTree::default();
    files.file(&format!("{}/landfall", names::folder(triple)), 0o755, b"#!/bin/sh\nexit 1\n".to_vec());
    let tar = landfall_packaging::tar::write(&files, 0).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar).unwrap();
    release.write(&names::archive(triple), &gzip.finish().unwrap());
    release.update_checksums();
    let output = release.install(&[]);
    assert!(text(&output).contains("does not run on this machine"), "{}", text(&output));
    assert_eq!(fs::read(release.installed()).unwrap(), before);
    let left: Vec<_> = fs::read_dir(release.path("home/.local/bin")).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn the_attestation_is_required_if_asked_for() {
    let release = Release::new();
    release.program("gh", "echo \"gh $*\" >&2; exit 1");
    let output = release.install(&["--attestation"]);
    assert!(text(&output).contains("the attestation of landfall-"), "{}", text(&output));
    assert!(!release.installed().exists());

    release.program("gh", "echo \"gh $*\" >&2");
    let output = release.install(&["--attestation"]);
    assert!(output.status.success(), "{}", text(&output));
    let slug = names::REPOSITORY.rsplitn(3, '/').take(2).collect::<Vec<_>>();
    let slug = format!("{}/{}", slug[1], slug[0]);
    let wanted = format!("--repo {slug} --signer-workflow {slug}/.github/workflows/release.yml");
    assert!(text(&output).contains(&wanted), "{}", text(&output));
}

#[test]
fn other_machines_arguments_and_addresses_are_refused() {
    let release = Release::new();
    for (system, machine, cause) in
        [("Linux", "riscv64", "riscv64"), ("MINGW64_NT-10.0", "x86_64", "use WSL")]
    {
        release.machine(system, machine);
        let output = release.install(&[]);
        assert!(!output.status.success() && text(&output).contains(cause), "{}", text(&output));
    }
    release.machine("Linux", "x86_64");
    for (arguments, cause) in [
        (&["--frobnicate"][..], "unknown argument: --frobnicate"),
        (&["--version"], "--version needs a value"),
        (&["--version", "../../evil"], "is no version"),
    ] {
        let output = release.install(arguments);
        assert!(!output.status.success() && text(&output).contains(cause), "{}", text(&output));
    }
    let script = crate::releases::root().join("packaging/install.sh");
    for address in ["http://releases.example.com", "ftp://127.0.0.1:1"] {
        let output = release.command("sh").arg(&script).env("LANDFALL_RELEASES", address).output().unwrap();
        assert!(text(&output).contains("is not an https address"), "{}", text(&output));
    }
    assert!(is_empty(&release.path("home")));
}

/// Serves the files of a folder until the test ends.
fn serve(folder: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let folder = folder.to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            let line = String::from_utf8(request).unwrap();
            let path = line.split(' ').nth(1).unwrap().trim_start_matches('/').to_owned();
            let (status, body) = match fs::read(folder.join(path)) {
                Ok(body) => ("200 OK", body),
                Err(_) => ("404 Not Found", Vec::new()),
            };
            let head =
                format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(&[head.as_bytes(), &body].concat());
        }
    });
    address
}

#[test]
fn it_downloads_over_http_with_curl_or_wget() {
    let release = Release::new();
    let address = serve(&release.path("releases"));
    let script = crate::releases::root().join("packaging/install.sh");
    for tool in ["curl", "wget"] {
        let found = std::process::Command::new(tool).arg("--version").output();
        if found.is_err() {
            println!("skipped: {tool} is missing");
            continue;
        }
        // Only this tool is on the path, beside those that every system has.
        let bin = release.path(&format!("only-{tool}"));
        fs::create_dir_all(&bin).unwrap();
        for name in [
            tool,
            "sh",
            "uname",
            "mktemp",
            "rm",
            "cp",
            "mv",
            "tar",
            "gzip",
            "chmod",
            "mkdir",
            "sha256sum",
            "shasum",
        ] {
            let which = std::process::Command::new("sh")
                .args(["-c", &format!("command -v {name}")])
                .output()
                .unwrap();
            let path = String::from_utf8(which.stdout).unwrap();
            if path.starts_with('/') {
                std::os::unix::fs::symlink(path.trim(), bin.join(name)).unwrap();
            }
        }
        let prefix = release.path(&format!("prefix-{tool}"));
        let install = |version: &str| {
            let mut command = release.command(bin.join("sh").to_str().unwrap());
            command.arg(&script).args(["--version", version, "--prefix"]).arg(&prefix);
            command.env("PATH", &bin).env("LANDFALL_RELEASES", &address).output().unwrap()
        };
        let output = install("9.9.9");
        assert!(text(&output).contains("could not be downloaded"), "{}", text(&output));
        let output = install(names::VERSION);
        assert!(output.status.success(), "{tool}: {}", text(&output));
        assert!(prefix.join("bin/landfall").is_file());
    }
}
