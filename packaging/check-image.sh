#!/usr/bin/env bash
# Unpacks a container image and creates an environment with the program in it, as the user of the image and with
# nothing but the files of the image. Usage: check-image.sh PROGRAM IMAGE, where PROGRAM is landfall-packaging.
set -euo pipefail

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
digest=$("$1" unpack "$2" "$root")
echo "$2 holds $digest"

variables=(PATH=/ HOME=/home/landfall SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt)
state=/workspace/.landfall
if [ "$(id -u)" = 0 ]; then
  landfall() { env -i "${variables[@]}" "$(command -v chroot)" --userspec=65532:65532 "$root" /landfall "$@"; }
elif unshare --map-root-user true 2>/dev/null; then
  landfall() { env -i "${variables[@]}" "$(command -v unshare)" --map-root-user --root="$root" /landfall "$@"; }
else
  echo "not root, and no user namespaces: the program runs outside of the image's root"
  state=$root$state
  landfall() { env -i PATH=/ HOME="$root/home/landfall" "$root/landfall" "$@"; }
fi

landfall --version
landfall --state-dir "$state" up --speed instant
landfall --state-dir "$state" --yes down
