#!/usr/bin/env bash
# slowhttptest in its four modes: slow heads, slow bodies, ranges, slow readers.
#
# Each attack has 500 connections (slow readers 100) and goes on for longer than the deadline that ends it; meanwhile
# others ask once a second and must be answered.
#
# Acceptance: 37
. "$(dirname "$0")/lib.sh"
need slowhttptest slowhttptest
need nginx nginx

back=$(free_port)
mkdir -p "$work/www"
head -c 10000 /dev/zero | tr '\0' 'x' >"$work/www/usual"
# More than the kernel takes off our hands.
head -c 50000000 /dev/zero | tr '\0' 'x' >"$work/www/large"
cat >"$work/nginx.conf" <<NGINX
daemon off; master_process off; error_log stderr; pid $work/nginx.pid;
events { worker_connections 4096; }
http {
  access_log off; client_body_temp_path $work/t1; proxy_temp_path $work/t2; fastcgi_temp_path $work/t3;
  uwsgi_temp_path $work/t4; scgi_temp_path $work/t5;
  server { listen 127.0.0.1:$back; root $work/www; location /upload { return 200 "ok"; } }
}
NGINX
nginx -c "$work/nginx.conf" 2>"$work/nginx.err" &
pids+=($!)
within 10 curl -s "http://127.0.0.1:$back/"

serve "routes: [{host: localhost, backends: [\"http://127.0.0.1:$back\"]}]
limits: {headTimeout: 5s, bodyIdleTimeout: 5s, writeTimeout: 5s, firstByteTimeout: 5s}"

# attack <name> <options of slowhttptest...>
attack() {
  local name=$1
  shift
  timeout 120 slowhttptest -c 500 -r 250 -l 25 -i 2 -p 2 "$@" >"$work/$name.txt" 2>&1 &
  local attacker=$! asked=0 served=0 held=unknown
  while kill -0 "$attacker" 2>/dev/null; do
    asked=$((asked + 1))
    if curl -sf -m 15 -o /dev/null "http://localhost:$web/usual"; then served=$((served + 1)); fi
    held=$(curl -sf "http://127.0.0.1:$adm/metrics" | sed -n 's/^adit_connections_active{.*listener="web".*} //p')
    read -rt 1 <> <(:) || true
  done
  wait "$attacker" || true
  local why
  why=$(sed -E 's/\x1b\[[0-9;]*m//g' "$work/$name.txt" | sed -n 's/^ *Exit status: *//p' | tail -1)
  echo "$name: asked $asked, served $served; $why; adit held $held connections in the end"
  [ "$asked" -gt 0 ] && [ "$served" = "$asked" ] || fail "$name: $((asked - served)) of $asked others were not served"
  # Ranges are no reason to disconnect anybody: there is no copy for each of them. Slow readers do not
  # notice their end before they have read what had arrived: it is adit that is asked about them.
  case $name in
    ranges) ;;
    "slow readers") [ "${held:-unknown}" = 0 ] || [ "${held:-unknown}" = 1 ] || fail "$name: adit holds $held connections" ;;
    *) [ "$why" = "No open connections left" ] || fail "$name: $why" ;;
  esac
  alive
  if [ "$name" = ranges ]; then
    say "$name: everybody else was served"
  else
    say "$name: everybody else was served, every attacker was disconnected"
  fi
}

attack "slow heads" -H -u "http://localhost:$web/"
attack "slow bodies" -B -s 8192 -u "http://localhost:$web/upload"
attack "ranges" -R -a 10 -b 3000 -t HEAD -u "http://localhost:$web/large"
# Fewer and for longer: each makes adit fill what the kernel takes, which is megabytes.
attack "slow readers" -c 100 -l 40 -X -w 10 -y 20 -n 5 -z 32 -k 1 -u "http://localhost:$web/large"

keep slow
