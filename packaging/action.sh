#!/usr/bin/env bash
# The two steps of the GitHub Action in action.yml: `install` and `run`. Their inputs are the variables
# LANDFALL_ACTION_*, so that no input becomes a part of a command line.
set -euo pipefail

folder=$(cd "$(dirname "$0")" && pwd)

install() {
  version=${LANDFALL_ACTION_VERSION:-}
  # `uses: …@v0.1.0` installs 0.1.0. A branch or a commit names no version.
  if [ -z "$version" ] && [[ ${LANDFALL_ACTION_REF:-} =~ ^v[0-9]+\.[0-9]+\.[0-9]+ ]]; then
    version=$LANDFALL_ACTION_REF
  fi
  prefix=${RUNNER_TEMP:?}/landfall
  arguments=(--prefix "$prefix")
  if [ -n "$version" ]; then arguments+=(--version "$version"); fi
  case ${LANDFALL_ACTION_ATTESTATION:-true} in
    true) arguments+=(--attestation) ;;
    false) ;;
    *)
      echo "::error::the input attestation is true or false, not $LANDFALL_ACTION_ATTESTATION"
      exit 1
      ;;
  esac
  sh "$folder/install.sh" "${arguments[@]}"
  installed=$("$prefix/bin/landfall" --version)
  echo "$prefix/bin" >>"$GITHUB_PATH"
  {
    echo "version=${installed#landfall }"
    echo "path=$prefix/bin/landfall"
  } >>"$GITHUB_OUTPUT"
}

run() {
  # Split at white space, and no further: globs and quotes have no meaning.
  read -r -d '' -a arguments <<<"$LANDFALL_ACTION_COMMAND" || true
  code=0
  "${RUNNER_TEMP:?}/landfall/bin/landfall" "${arguments[@]}" || code=$?
  echo "exit-code=$code" >>"$GITHUB_OUTPUT"
  exit "$code"
}

case ${1:-} in
  install | run) "$1" ;;
  *)
    echo "usage: action.sh install | run" >&2
    exit 2
    ;;
esac
