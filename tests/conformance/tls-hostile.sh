#!/usr/bin/env bash
# Hostile TLS clients, by a second library (tlslite-ng, from PyPI).
#
# Acceptance: 22, 27
. "$(dirname "$0")/lib.sh"
need python3 python3

tools=$root/target/tools/python
if ! "$tools/bin/python" -c 'import tlslite' 2>/dev/null; then
  echo "missing: tlslite-ng - TLS clients that may do anything; installing it from PyPI into target/tools"
  python3 -m venv "$tools"
  "$tools/bin/pip" install -q 'tlslite-ng==0.8.2'
fi

serve 'routes: [{host: www.example.test, respond: {body: "ok"}}]
limits: {firstByteTimeout: 2s, handshakeTimeout: 4s}'
"$tools/bin/python" "$here/tls_hostile.py" "$webs" >"$work/cases" || fail "$(cat "$work/cases")"
while IFS= read -r line; do say "$line"; done <"$work/cases"

keep tls-hostile
