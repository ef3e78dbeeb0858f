#!/usr/bin/env bash
# A scripted demo of landfall: up, verify, half the traffic to the canary, certificate rotation, a broken backend,
# its diagnosis and repair, verify again, down.
#
#   examples/demo/run.sh                       with time scaled 60x, and pauses to talk
#   DEMO_PAUSE=0 LANDFALL_SIM_SPEED=instant examples/demo/run.sh     as fast as possible
#
# The demo uses a simulated cloud in a temporary folder and deletes the folder at the end. It needs bash, curl and
# landfall. LANDFALL names the binary; otherwise the script searches the path and target/.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
landfall=${LANDFALL:-$(command -v landfall || true)}
for built in release debug; do
  [ -n "$landfall" ] || { [ -x "$root/target/$built/landfall" ] && landfall=$root/target/$built/landfall; } || true
done
[ -n "$landfall" ] || { echo "landfall not found: run cargo build --release, or set LANDFALL" >&2; exit 2; }
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
# Prints a command as a user types it, and runs it.
run() { printf '\n$ landfall %s\n' "$*"; sleep "$pause"; "$landfall" "$@"; }
# The same for a command that must fail with a given exit code.
fails() {
  local wanted=$1 is=0
  shift
  run "$@" || is=$?
  [ "$is" = "$wanted" ] || { echo "landfall $* exited with $is instead of $wanted" >&2; exit 1; }
}

say "A simulated cloud, served on this machine while the demo runs."
"$landfall" sim >sim.out 2>sim.err &
cloud=$!
# The cloud is ready when this command succeeds.
until "$landfall" sim env >env.sh 2>/dev/null; do
  kill -0 "$cloud" 2>/dev/null || { cat sim.err >&2; exit 1; }
done
port=$(sed -n 's#^export HTTPS_PROXY=http://127.0.0.1:\([0-9]*\).*#\1#p' env.sh)
echo "https://127.0.0.1:$port/_sim/ shows its resources, operations and requests."

say "One command, from nothing to an HTTPS gateway on AKS. verify then tests it from outside."
run up --verify

say "Half of the requests go to the canary. Only the route changes, and verify tests the weights statistically."
run up --canary 50/50
run verify --canary 50/50

say "A new certificate: imported into the vault, synced to the cluster, served. Nothing restarts."
run rotate

say "Someone deletes a Service outside landfall."
kubeconfig=$(sed -n "s/^export KUBECONFIG='\(.*\)'/\1/p" env.sh)
field() { sed -n "s/^ *$1: *//p" "$kubeconfig" | tr -d '"' | head -1; }
service=$(field server)/api/v1/namespaces/default/services/echo-v2
echo
echo '$ kubectl delete service echo-v2'
curl --silent --show-error --fail --noproxy '*' --cacert .landfall/default/sim/ca.pem --output /dev/null \
  --request DELETE --header "Authorization: Bearer $(field token)" "$service"

say "What is wrong? One root cause, its evidence and the fix."
fails 1 doctor

say "The command that created everything also repairs it."
run up --canary 50/50 --verify

say "Teardown: everything that landfall created, in dependency order, and nothing else."
run down --yes
