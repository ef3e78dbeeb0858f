#!/bin/sh
# Installs landfall from a release: the program, its man page and its shell completions.
#
#   sh install.sh [--version X.Y.Z] [--prefix DIR] [--attestation]
#
#   --version X.Y.Z   the version; the newest one without it
#   --prefix DIR      the folder with bin/ and share/; ~/.local without it
#   --attestation     also require that the release workflow of the repository built the file (needs gh)
#
# The checksum of the archive is always compared with that of the release. LANDFALL_RELEASES is the address of the
# releases: https, a file:// folder, or http on this machine.
set -eu

repository=https://github.com/OWNER/landfall
usage="sh install.sh [--version X.Y.Z] [--prefix DIR] [--attestation]"

# The whole script is a function, so that a download that was cut runs nothing.
main() {
  releases=${LANDFALL_RELEASES:-$repository/releases}
  version=
  prefix=
  attestation=no
  while [ $# -gt 0 ]; do
    case $1 in
      --version | --prefix)
        [ $# -ge 2 ] || fail "$1 needs a value"
        case $1 in
          --version) version=${2#v} ;;
          --prefix) prefix=$2 ;;
        esac
        shift
        ;;
      --attestation) attestation=yes ;;
      --help)
        printf '%s\n' "$usage"
        exit 0
        ;;
      *) fail "unknown argument: $1" "$usage" ;;
    esac
    shift
  done
  case $version in
    *[!0-9A-Za-z.+-]*) fail "$version is no version" ;;
  esac
  if [ -z "$prefix" ]; then
    [ -n "${HOME:-}" ] || fail "HOME is not set" "name a folder with --prefix"
    prefix=$HOME/.local
  fi
  case $prefix in
    /*) ;;
    *) prefix=$PWD/$prefix ;;
  esac

  find_target
  archive=landfall-$target.tar.gz
  if [ -n "$version" ]; then folder=$releases/download/v$version; else folder=$releases/latest/download; fi

  work=$(mktemp -d) || fail "no temporary folder could be created" "set TMPDIR to a folder with space"
  staged=
  trap 'rm -rf "$work" ${staged:+"$staged"}' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM

  say "download $folder/$archive"
  download "$folder/SHA256SUMS" "$work/SHA256SUMS"
  download "$folder/$archive" "$work/$archive"
  compare_checksum
  [ $attestation = no ] || verify_attestation
  tar -xzf "$work/$archive" -C "$work" || fail "$archive could not be unpacked"
  install_files "$work/landfall-$target"
  say "installed $installed in $prefix/bin/landfall"
  warn_about_path
}

say() { printf '%s\n' "$1" >&2; }

# fail CAUSE [HINT]
fail() {
  printf 'failed to install landfall: %s\n' "$1" >&2
  [ -z "${2:-}" ] || printf 'hint: %s\n' "$2" >&2
  exit 1
}

find_target() {
  system=$(uname -s)
  machine=$(uname -m)
  # A shell under Rosetta reports the processor that Rosetta imitates.
  if [ "$system" = Darwin ] && [ "$(sysctl -n sysctl.proc_translated 2>/dev/null || true)" = 1 ]; then
    machine=arm64
  fi
  case $machine in
    x86_64 | amd64) processor=x86_64 ;;
    aarch64 | arm64) processor=aarch64 ;;
    *) fail "there is no archive for the processor $machine" "build from source: cargo install landfall --locked" ;;
  esac
  case $system in
    Linux) target=$processor-unknown-linux-musl ;;
    Darwin) target=$processor-apple-darwin ;;
    *) fail "there is no archive for the system $system" "on Windows, use WSL" ;;
  esac
}

# download ADDRESS FILE
download() {
  case $1 in
    file://*)
      cp "${1#file://}" "$2" || fail "${1#file://} could not be read"
      return
      ;;
    https://*) protocol=https ;;
    http://127.0.0.1:* | http://localhost:*) protocol=http ;;
    *) fail "$1 is not an https address" "check LANDFALL_RELEASES" ;;
  esac
  hint="check the version and the connection; proxies are taken from HTTPS_PROXY"
  if command -v curl >/dev/null 2>&1; then
    curl --fail --silent --show-error --location --retry 3 --connect-timeout 20 --max-time 600 \
      --proto "=$protocol" --output "$2" "$1" || fail "$1 could not be downloaded" "$hint"
  elif command -v wget >/dev/null 2>&1; then
    wget -q -O "$2" "$1" || fail "$1 could not be downloaded" "$hint"
  else
    fail "neither curl nor wget is installed" "install one of them"
  fi
}

compare_checksum() {
  wanted=
  while read -r sum name; do
    [ "$name" != "$archive" ] || wanted=$sum
  done <"$work/SHA256SUMS"
  [ -n "$wanted" ] || fail "SHA256SUMS has no line for $archive"
  if command -v sha256sum >/dev/null 2>&1; then
    is=$(sha256sum <"$work/$archive")
  elif command -v shasum >/dev/null 2>&1; then
    is=$(shasum -a 256 <"$work/$archive")
  elif command -v openssl >/dev/null 2>&1; then
    is=$(openssl dgst -sha256 -r <"$work/$archive")
  else
    fail "no program can compute a checksum" "install sha256sum, shasum or openssl"
  fi
  is=${is%% *}
  [ "$is" = "$wanted" ] || fail "the checksum of $archive is $is instead of $wanted" "download again; if it stays, report it"
  say "the checksum is right"
}

verify_attestation() {
  command -v gh >/dev/null 2>&1 || fail "gh is not installed, and the attestation cannot be verified without it"
  slug=${repository#https://*/}
  gh attestation verify "$work/$archive" --repo "$slug" \
    --signer-workflow "$slug/.github/workflows/release.yml" >&2 ||
    fail "the attestation of $archive is missing or wrong" "do not use this file; report it"
  say "the attestation is right"
}

# install_files FOLDER
install_files() {
  mkdir -p "$prefix/bin" || fail "$prefix/bin could not be created" "choose another folder with --prefix"
  # Next to its place, so that the last step is a rename: a running landfall is not disturbed.
  staged=$prefix/bin/.landfall.$$
  cp "$1/landfall" "$staged" || fail "$prefix/bin could not be written" "choose another folder with --prefix"
  chmod 755 "$staged"
  installed=$("$staged" --version) || fail "the program does not run on this machine"
  [ -z "$version" ] || [ "$installed" = "landfall $version" ] ||
    fail "the archive holds $installed instead of landfall $version"
  mv -f "$staged" "$prefix/bin/landfall"
  staged=
  share=$prefix/share
  copy "$1/man/landfall.1" "$share/man/man1/landfall.1"
  copy "$1/completions/landfall.bash" "$share/bash-completion/completions/landfall"
  copy "$1/completions/_landfall" "$share/zsh/site-functions/_landfall"
  copy "$1/completions/landfall.fish" "$share/fish/vendor_completions.d/landfall.fish"
}

# copy FILE PLACE
copy() {
  if ! { mkdir -p "${2%/*}" && cp "$1" "$2" && chmod 644 "$2"; }; then
    fail "$2 could not be written" "choose another folder with --prefix"
  fi
}

warn_about_path() {
  found=$(command -v landfall 2>/dev/null || true)
  case :$PATH: in
    *":$prefix/bin:"*)
      [ "$found" = "$prefix/bin/landfall" ] || say "warning: your path finds $found first"
      ;;
    *) say "add it to your path: export PATH=\"$prefix/bin:\$PATH\"" ;;
  esac
}

main "$@"
