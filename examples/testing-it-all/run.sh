#!/usr/bin/env bash
# Every manual test command for an environment, with curl and kubectl, and its expected output.
#
#   examples/testing-it-all/run.sh
#
# The script serves a simulated cloud in a temporary folder, runs `landfall up`, and types the commands as a user would.
# The same commands work on Azure. It needs bash, curl, jq, openssl and kubectl, and prints which one is missing.
# LANDFALL names the binary; otherwise the script searches the path and target/.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
landfall=${LANDFALL:-$(command -v landfall || true)}
for built in release debug; do
  [ -n "$landfall" ] || { [ -x "$root/target/$built/landfall" ] && landfall=$root/target/$built/landfall; } || true
done
[ -n "$landfall" ] || { echo "landfall not found: run cargo build --release, or set LANDFALL" >&2; exit 2; }
landfall=$(realpath "$landfall")
for tool in curl jq openssl kubectl; do
  command -v "$tool" >/dev/null || { echo "skipped: $tool is not on this machine"; exit 0; }
done

stage=$(mktemp -d)
cloud=
finish() {
  [ -z "$cloud" ] || { kill "$cloud" 2>/dev/null && wait "$cloud" 2>/dev/null; } || true
  rm -rf "$stage"
}
trap finish EXIT
cd "$stage"
unset KUBECONFIG LANDFALL_CLOUD

LANDFALL_SIM_SPEED=${LANDFALL_SIM_SPEED:-instant} "$landfall" sim >sim.out 2>sim.err &
cloud=$!
until "$landfall" sim env >env.sh 2>/dev/null; do
  kill -0 "$cloud" 2>/dev/null || { cat sim.err >&2; exit 1; }
done
. ./env.sh
export DOMAIN_NAME=demo.example.com
"$landfall" --quiet up

asked=0 failed=0
# Runs a command line as a user types it, and matches its output with a pattern.
check() {
  local title=$1 pattern=$2 line=$3 said
  asked=$((asked + 1))
  said=$(bash -o pipefail -c "$line" 2>&1) || said="$said (exit $?)"
  if [[ $said =~ $pattern ]]; then
    printf 'ok      %s\n' "$title"
  else
    failed=$((failed + 1))
    printf 'failed  %s\n        $ %s\n        expected: %s\n        output:   %s\n' "$title" "$line" "$pattern" "$said"
  fi
}

export HTTPBIN_IP ECHO_IP
HTTPBIN_IP=$(kubectl get gateway httpbin-gateway -o jsonpath='{.status.addresses[0].value}')
ECHO_IP=$(kubectl get gateway echo-gateway -o jsonpath='{.status.addresses[0].value}')

echo "Basic routing and redirect"
check "the root path responds" '^"https?://httpbin.demo.example.com/"$' \
  'curl -k -s "https://httpbin.$DOMAIN_NAME/" | jq .url'
check "any path is forwarded: /get" '"url": "https?://httpbin.demo.example.com/get"' \
  'curl -k -s "https://httpbin.$DOMAIN_NAME/get" | jq .'
check "any path is forwarded: /headers" '"Host"' \
  'curl -k -s "https://httpbin.$DOMAIN_NAME/headers" | jq .'
check "any path is forwarded: /anything/foo" '/anything/foo"' \
  'curl -k -s "https://httpbin.$DOMAIN_NAME/anything/foo" | jq .'
check "http redirects to https" \
  $'HTTP/1.1 301 Moved Permanently\r?\n(.*\n)?location: https://httpbin.demo.example.com/' \
  'curl -sI --max-time 5 "http://httpbin.$DOMAIN_NAME/" | grep -i "HTTP\|location"'
check "the certificate covers the domain" '(subject|issuer): .*demo.example.com' \
  'curl -vI -k "https://httpbin.$DOMAIN_NAME" 2>&1 | grep -i "subject\|issuer\|expire"'

echo "Canary"
# With 90/10 and 20 requests, v1 gets fewer than 9 once in ten million runs.
check "most of 20 requests go to v1, a few to v2" '^ *(20|19|18|17|16|15|14|13|12|11|10|9) Echo v1' \
  'for i in {1..20}; do curl -k -s -H "Host: echo.$DOMAIN_NAME" "https://$ECHO_IP/" | grep -o "Echo v[12]"; done | sort | uniq -c'

echo "Header routing"
check "no header: v1" 'Echo v1' 'curl -k -s -H "Host: echo-headers.$DOMAIN_NAME" "https://$ECHO_IP/" | grep "Echo v"'
check "version: v2: v2" 'Echo v2' \
  'curl -k -s -H "Host: echo-headers.$DOMAIN_NAME" -H "version: v2" "https://$ECHO_IP/" | grep "Echo v"'
check "any other version: v1" 'Echo v1' \
  'curl -k -s -H "Host: echo-headers.$DOMAIN_NAME" -H "version: v99" "https://$ECHO_IP/" | grep "Echo v"'

echo "Path routing to several services"
check "/v1/" 'Echo v1' 'curl -k -s -H "Host: app.$DOMAIN_NAME" "https://$ECHO_IP/v1/" | grep "Echo v"'
check "/v2/" 'Echo v2' 'curl -k -s -H "Host: app.$DOMAIN_NAME" "https://$ECHO_IP/v2/" | grep "Echo v"'
check "/httpbin/get" '^"https?://.*/get"$' \
  'curl -k -s -H "Host: app.$DOMAIN_NAME" "https://$ECHO_IP/httpbin/get" | jq .url'

echo "Certificate sync into the cluster"
# The sync pod belongs to a Deployment, because a bare pod does not survive its node. So the name varies: use the label.
check "the sync pod runs" 'tls-secret-sync-.* 1/1 +Running' 'kubectl get pod -l app=tls-secret-sync'
check "the Secret exists" 'gateway-tls-secret +kubernetes.io/tls' 'kubectl get secret gateway-tls-secret'
check "it covers the domain and its subdomains" 'DNS:demo.example.com, DNS:\*.demo.example.com' \
  'kubectl get secret gateway-tls-secret -o jsonpath="{.data.tls\.crt}" | base64 -d | openssl x509 -text -noout | grep -A5 "Subject Alternative Name"'
check "the SecretProviderClass reads key and chain from the vault" 'objectName: .*gateway-tls-cert' \
  'kubectl describe secretproviderclass gateway-tls-cert-spc'

echo "What AKS created"
check "two istiod pods" $'istiod-.* 1/1 +Running.*\n.*istiod-.* 1/1 +Running' 'kubectl get pods -n aks-istio-system'
check "istiod writes a log" 'istiod|info|xds|ADS' 'kubectl logs -n aks-istio-system -l app=istiod --tail=50'
check "the GatewayClass is accepted" 'Accepted' 'kubectl describe gatewayclass approuting-istio'
check "both Gateways are programmed" $'echo-gateway +approuting-istio +[0-9.]+ +True.*\nhttpbin-gateway +approuting-istio +[0-9.]+ +True' \
  'kubectl get gateway -o wide'
for kind in deployment service hpa pdb; do
  check "the $kind of one Gateway" 'httpbin-gateway-approuting-istio' \
    "kubectl get $kind -l gateway.networking.k8s.io/gateway-name=httpbin-gateway"
done
check "describe a Gateway" 'Programmed' 'kubectl describe gateway httpbin-gateway'
check "the routes" 'echo-canary.*echo.demo.example.com' 'kubectl get httproute -o wide'
check "describe a route" 'Resolved ?Refs' 'kubectl describe httproute httpbin'

echo "$((asked - failed)) of $asked as expected"
[ "$failed" = 0 ]
