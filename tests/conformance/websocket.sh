#!/usr/bin/env bash
# WebSocket frames of every kind through adit, compared byte by byte on both ends.
#
# Acceptance: 12
. "$(dirname "$0")/lib.sh"
need python3 python3

back=$(free_port)
python3 "$here/websocket_frames.py" serve "$back" &
pids+=($!)
serve "routes: [{host: localhost, backends: [\"http://127.0.0.1:$back\"]}]"
python3 "$here/websocket_frames.py" run "$web" "$webs" "$work/ca.pem" >"$work/frames" || fail "$(tail -3 "$work/frames")"
while IFS= read -r line; do say "$line"; done <"$work/frames"

keep websocket-frames
