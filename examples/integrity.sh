#!/usr/bin/env bash
# Somebody changes the journal behind Cutover's back, and is found out. Needs cutover, curl, python3 and sqlite3; ends after some seconds,
# and removes its folder.
set -euo pipefail
dir=$(mktemp -d)
cd "$dir"
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$dir"' EXIT

python3 -m http.server 9501 --bind 127.0.0.1 >/dev/null 2>&1 &
cat >cutover.toml <<'EOF'
version = 1
[proxy]
listen = ["127.0.0.1:9580"]
[admin]
listen = "127.0.0.1:9570"
EOF
cat >routing.toml <<'EOF'
[service.shop]
blue.url = "http://127.0.0.1:9501"
green.url = "http://127.0.0.1:9501"
EOF
cutover run 2>log &
proxy=$!
curl --silent --retry 50 --retry-delay 0 --retry-all-errors --retry-connrefused http://127.0.0.1:9580/ >/dev/null
cutover shift 10 --reason "to see"
cutover shift 0 --reason "seen"
# What a monitor would keep: the newest entry's hash, which depends on every entry before it.
hash=$(curl --silent --header "Authorization: Bearer $(cat cutover.db.token)" 'http://127.0.0.1:9570/api/admin/deployment?action=history' |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["newest"]["hash"])')
kill "$proxy"
wait "$proxy" || true

echo "--- as it was"
cutover history --verify --holds "$hash"
cp cutover.db good.db
echo "--- an entry that was changed"
sqlite3 cutover.db "UPDATE journal SET body = replace(body, 'to see', 'to hide')"
cutover history --verify || true
echo "--- the newest entry is gone, and the file says nothing of it"
cp good.db cutover.db
sqlite3 cutover.db "DELETE FROM journal WHERE id = (SELECT max(id) FROM journal); DROP TABLE newest"
cutover history --verify --holds "$hash" || true
