#!/usr/bin/env bash
# landfall before an audience: up, proved, half the traffic to the canary, another certificate, something broken
# and found, mended, proved again, and away.
#
#   examples/demo/run.sh                       at sixty times the speed of life, with pauses to talk
#   DEMO_PAUSE=0 LANDFALL_SIM_SPEED=instant examples/demo/run.sh     as fast as it goes
#
# Everything happens in a simulated cloud in a folder of its own, which is removed at the end. It needs bash, curl, and
# landfall: LANDFALL names the binary, else it is looked for on the path and in target/.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
landfall=${LANDFALL:-$(command -v landfall || true)}
for built in release debug; do
  [ -n "$landfall" ] || { [ -x "$root/target/$built/landfall" ] && landfall=$root/target/$built/landfall; } || true
done
[ -n "$landfall" ] || { echo "there is no landfall: cargo build --release, or set LANDFALL" >&2; exit 2; }
landfall=$(realpath "$landfall")
pause=${DEMO_PAUSE:-2}

stage=$(mktemp -d)
cloud=
finish() {
  [ -z "$cloud" ] || { kill "$cloud" 2>/dev/null && wait "$cloud" 2>/dev/null; } || true
  rm -rf "$stage"
}
trap finish EXIT
cd "$stage"
export LANDFALL_SIM_SEED=${LANDFALL_SIM_SEED:-2026}
unset KUBECONFIG LANDFALL_CLOUD

say() { printf '\n# %s\n' "$*"; sleep "$pause"; }
# Shows a command as it is typed, and runs it.
run() { printf '\n$ landfall %s\n' "$*"; sleep "$pause"; "$landfall" "$@"; }
# The same, for what is to fail with a certain exit code.
fails() {
  local wanted=$1 is=0
  shift
  run "$@" || is=$?
  [ "$is" = "$wanted" ] || { echo "landfall $* exited with $is instead of $wanted" >&2; exit 1; }
}

say "A cloud of our own, which answers on this machine for as long as the demo runs."
"$landfall" sim >sim.out 2>sim.err &
cloud=$!
# It serves as soon as its answers can be asked for.
until "$landfall" sim env >env.sh 2>/dev/null; do
  kill -0 "$cloud" 2>/dev/null || { cat sim.err >&2; exit 1; }
done
port=$(sed -n 's#^export HTTPS_PROXY=http://127.0.0.1:\([0-9]*\).*#\1#p' env.sh)
echo "https://127.0.0.1:$port/_sim/ shows what is going on in it."

say "One command, from nothing to an HTTPS gateway on AKS; and proved from outside."
run up --verify

say "Half of the visitors get the canary. Only the route changes, and verify holds the weights against chance."
run up --canary 50/50
run verify --canary 50/50

say "Another certificate: imported into the vault, carried into the cluster, served; nothing restarts."
run rotate

say "Somebody deletes a Service behind our back."
kubeconfig=$(sed -n "s/^export KUBECONFIG='\(.*\)'/\1/p" env.sh)
field() { sed -n "s/^ *$1: *//p" "$kubeconfig" | tr -d '"' | head -1; }
service=$(field server)/api/v1/namespaces/default/services/echo-v2
echo
echo '$ kubectl delete service echo-v2'
curl --silent --show-error --fail --noproxy '*' --cacert .landfall/default/sim/ca.pem --output /dev/null \
  --request DELETE --header "Authorization: Bearer $(field token)" "$service"

say "What is wrong? One cause, what shows it, and what mends it."
fails 1 doctor

say "The command that made everything is the command that mends it."
run up --canary 50/50 --verify

say "And away: everything that was made, in the right order, and nothing else."
run down --yes
