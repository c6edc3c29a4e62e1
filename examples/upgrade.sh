#!/usr/bin/env bash
# Three upgrades while clients ask all the time. Needs cutover, curl and python3; ends after some seconds, and removes its folder.
set -euo pipefail
dir=$(mktemp -d)
cd "$dir"
trap 'kill $(jobs -p) 2>/dev/null || true; cutover_pid=$(cat pid 2>/dev/null) && kill "$cutover_pid" 2>/dev/null; rm -rf "$dir"' EXIT

python3 -m http.server 9101 --bind 127.0.0.1 >/dev/null 2>&1 &
cat >cutover.toml <<'EOF'
version = 1
[proxy]
listen = ["127.0.0.1:9180"]
[admin]
listen = "127.0.0.1:9170"
EOF
cat >routing.toml <<'EOF'
[service.shop.blue]
url = "http://127.0.0.1:9101"
[service.shop.green]
url = "http://127.0.0.1:9101"
EOF
cutover run 2>log &
echo $! >pid
curl --silent --retry 50 --retry-delay 0 --retry-all-errors --retry-connrefused http://127.0.0.1:9180/ >/dev/null

# Each line is the status of one request, over a new connection; 000 would be one that was refused.
while true; do
    curl --silent --output /dev/null --write-out '%{http_code}\n' http://127.0.0.1:9180/ >>statuses || true
done &
clients=$!
for _ in 1 2 3; do
    sleep 1
    said=$(cutover upgrade)
    echo "$said"
    read -r _ process _ <<<"$said"
    echo "$process" >pid
done
sleep 1
kill "$clients"
echo "requests by status:"
sort statuses | uniq -c
