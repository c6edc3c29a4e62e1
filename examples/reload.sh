#!/usr/bin/env bash
# cutover.toml changes under load: a listener comes, a token is revoked, a typo changes nothing. Needs cutover, curl and python3;
# ends after some seconds, and removes its folder.
set -euo pipefail
dir=$(mktemp -d)
cd "$dir"
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$dir"' EXIT

python3 -m http.server 9201 --bind 127.0.0.1 >/dev/null 2>&1 &
cat >routing.toml <<'EOF'
[service.shop]
blue.url = "http://127.0.0.1:9201"
green.url = "http://127.0.0.1:9201"
EOF
# Prints the token once, and the lines that the file keeps of it.
cutover token new --name ann --role viewer >ann
token=$(grep -o 'cut_[^ ]*' ann | head -1)
sed -n '/^\[\[admin.token\]\]/,$p' ann >ann.toml
cutover token new --name bob --role admin | sed -n '/^\[\[admin.token\]\]/,$p' >bob.toml

# main LISTEN TOKENS: what is written takes effect when it has its name.
main() {
    printf 'version = 1\n[proxy]\nlisten = %s\n[admin]\nlisten = "127.0.0.1:9270"\n' "$1" >new.toml
    cat "${@:2}" >>new.toml
    mv new.toml cutover.toml
}
ask() { curl --silent --output /dev/null --write-out '%{http_code}' "$@" || true; }
whoami() { ask --header "Authorization: Bearer $token" http://127.0.0.1:9270/api/admin/whoami; }

main '["127.0.0.1:9280"]' ann.toml bob.toml
cutover run 2>log &
curl --silent --retry 50 --retry-delay 0 --retry-all-errors --retry-connrefused http://127.0.0.1:9280/ >/dev/null
while true; do ask http://127.0.0.1:9280/ >>statuses; echo >>statuses; done &
clients=$!

echo "ann's token: $(whoami), the second port: $(ask http://127.0.0.1:9281/)"
main '["127.0.0.1:9280", "127.0.0.1:9281"]' bob.toml
sleep 1
echo "ann's token: $(whoami), the second port: $(ask http://127.0.0.1:9281/)"
main '["127.0.0.1:9280", "127.0.0.1:port"]' bob.toml
sleep 1
echo "after a typo, the second port: $(ask http://127.0.0.1:9281/)"
sed -n '/^error/,/^$/p' log
kill "$clients"
echo "requests by status meanwhile:"
sort statuses | uniq -c
