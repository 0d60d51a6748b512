# What the scripts of this directory share: adit on loopback, a certificate, a backend, a result.
#
# A script sources this file, calls `serve`, asks $web (clear text) or $webs (TLS) in whatever way it
# is about, prints what it found, and ends with `keep NAME`, which stores its output as
# docs/security/NAME.txt. Nothing that differs from run to run belongs in that output.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
here=$root/tests/conformance
export PATH="$PATH:/usr/sbin:/sbin"
adit=${ADIT_BIN:-$root/target/release/adit}
work=$(mktemp -d)
pids=()
result=$work/result

finish() {
  for pid in "${pids[@]}"; do
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  rm -rf "$work"
}
trap finish EXIT

# fail <why>
fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# need <command> <package>
need() {
  command -v "$1" >/dev/null || fail "no $1: install the package $2"
}

# A port that was free a moment ago.
free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# within <seconds> <command...>: asks until the command succeeds.
within() {
  local left=$(($1 * 10))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $((left -= 1)) -gt 0 ] || fail "not within time: $*"
    read -rt 0.1 <> <(:) || true
  done
}

# An authority and a certificate for *.example.test, in $work.
certify() {
  openssl ecparam -name prime256v1 -genkey -noout -out "$work/ca.key" 2>/dev/null
  openssl req -x509 -new -key "$work/ca.key" -subj "/CN=test authority" -days 30 -out "$work/ca.pem" 2>/dev/null
  openssl ecparam -name prime256v1 -genkey -noout -out "$work/site.key" 2>/dev/null
  openssl req -new -key "$work/site.key" -subj "/CN=www.example.test" -out "$work/site.csr" 2>/dev/null
  printf 'subjectAltName=DNS:*.example.test,DNS:localhost\nextendedKeyUsage=serverAuth\n' >"$work/ext"
  openssl x509 -req -in "$work/site.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" -days 30 \
    -extfile "$work/ext" -out "$work/site.pem" 2>/dev/null
  chmod 600 "$work/site.key"
}

# serve <routes and other keys> [<more listeners>]: adit, on $web and $webs, with admin on $adm.
serve() {
  [ -x "$adit" ] || fail "no $adit: cargo build --release, or say where in ADIT_BIN"
  certify
  {
    printf 'version: 1\nlisteners:\n'
    printf -- '- {name: web, role: lan, bind: "127.0.0.1:0"}\n'
    printf -- '- {name: webs, role: lan, bind: "127.0.0.1:0", tls: true}\n'
    printf -- '- {name: adm, role: admin, bind: "127.0.0.1:0"}\n'
    [ -z "${2:-}" ] || printf '%s\n' "$2"
    printf 'certificates: {files: [{cert: site.pem, key: site.key}]}\naccessLog: {format: off}\n%s\n' "$1"
  } >"$work/adit.yaml"
  "$adit" run --config "$work/adit.yaml" --ready-file "$work/ready.json" >"$work/adit.out" 2>"$work/adit.err" &
  adit_pid=$!
  pids+=("$adit_pid")
  within 20 test -s "$work/ready.json"
  web=$(port_of web)
  webs=$(port_of webs)
  adm=$(port_of adm)
}

port_of() {
  python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["listeners"][sys.argv[2]][0].rsplit(":", 1)[1])' \
    "$work/ready.json" "$1"
}

# alive: adit has neither ended nor panicked.
alive() {
  kill -0 "$adit_pid" 2>/dev/null || fail "adit has ended: $(tail -5 "$work/adit.err")"
  local panics
  panics=$(curl -sf "http://127.0.0.1:$adm/metrics" | sed -n 's/^adit_panics_total //p')
  [ "${panics:-0}" = 0 ] || fail "$panics panics: $(tail -20 "$work/adit.err")"
}

# say <text>: a line of the result.
say() {
  printf '%s\n' "$*" | tee -a "$result"
}

# keep <name>: the result becomes docs/security/<name>.txt.
keep() {
  alive
  mkdir -p "$root/docs/security"
  cp "$result" "$root/docs/security/$1.txt"
}
