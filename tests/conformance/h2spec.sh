#!/usr/bin/env bash
# Every case of h2spec but the strict ones, over TLS and in clear text.
#
#   tests/conformance/h2spec.sh [path/to/adit]
#
# Behind adit stands nginx as a proxy of itself, which waits for the end of a request: the cases about
# what comes after the end of a stream need an answer that is not there yet.
#
# Acceptance: 12
if [ $# = 1 ]; then
  ADIT_BIN=$(realpath "$1")
  export ADIT_BIN
fi
. "$(dirname "$0")/lib.sh"
need nginx nginx

h2spec=$(command -v h2spec || true)
if [ -z "$h2spec" ]; then
  need go golang-go
  GOBIN=$work go install github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible 2>"$work/go" ||
    fail "$(tail -3 "$work/go")"
  h2spec=$work/h2spec
fi

cat >"$work/nginx.conf" <<EOF
daemon off;
pid $work/nginx.pid;
error_log $work/nginx.log;
events {}
http {
  access_log off;
  client_body_temp_path $work/body;
  proxy_temp_path $work/proxy;
  fastcgi_temp_path $work/fastcgi;
  uwsgi_temp_path $work/uwsgi;
  scgi_temp_path $work/scgi;
  server { listen unix:$work/front.sock; location / { proxy_pass http://unix:$work/back.sock; } }
  server {
    listen unix:$work/back.sock;
    location / { return 200 "a body of some length, as the cases of flow control want it\\n"; }
  }
}
EOF
nginx -c "$work/nginx.conf" -p "$work" 2>>"$work/nginx.log" &
pids+=($!)
prior=$(free_port)
serve "routes: [{hosts: [localhost, 127.0.0.1], backends: ['unix:$work/front.sock']}]
tls: {defaultCertificate: site}" "- {name: prior, role: lan, bind: '127.0.0.1:$prior', protocol: h2c}"
within 10 test -S "$work/front.sock"

# cases <title> <arguments...>
failed=
cases() {
  say "== $1"
  shift
  "$h2spec" -h localhost -o 4 "$@" >"$work/cases" 2>&1 || failed=1
  while IFS= read -r line; do say "$line"; done < <(
    sed -E 's/^( *)[0-9]+: .*([✔×] [0-9]+: )/\1\2/; /^Finished in/d; s/127\.0\.0\.1:[0-9]+/ADDRESS/g' "$work/cases"
  )
}
cases "over TLS" -p "$webs" -t -k
cases "in clear text" -p "$prior"
alive
[ -z "$failed" ] || fail "cases of h2spec, see above"
keep h2spec
