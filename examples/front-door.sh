#!/usr/bin/env bash
# What a service answers by itself: a redirect, a shorter path, a rate limit, a login, a hold, maintenance. Needs cutover, curl and python3; ends
# after some seconds, and removes its folder.
set -euo pipefail
dir=$(mktemp -d)
cd "$dir"
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$dir"' EXIT

mkdir site
echo users >site/users
(cd site && exec python3 -m http.server 9401 --bind 127.0.0.1 >/dev/null 2>&1) &
# Who may see what is private: whoever says the word, as ann.
cat >login.py <<'EOF'
import http.server
class Login(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        known = self.headers["Authorization"] == "Bearer sesame"
        self.send_response(204 if known else 302)
        self.send_header("Remote-User", "ann") if known else self.send_header("Location", "https://login.example.com/")
        self.end_headers()
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", 9402), Login).serve_forever()
EOF
python3 login.py &
cat >cutover.toml <<'EOF'
version = 1
[proxy]
listen = ["127.0.0.1:9480"]
[admin]
listen = "127.0.0.1:9470"
EOF
echo '<h1>Back soon</h1>' >soon.html
cat >routing.toml <<'EOF'
[service.shop]
blue.url = "http://127.0.0.1:9401"
green.url = "http://127.0.0.1:9401"

[[service.shop.route]]
name = "old"
path = "/old/*"
redirect = { to = "https://www.example.com{path}", status = 308 }

[[service.shop.route]]
name = "api"
path = "/api/*"
strip_prefix = "/api"
rate_limit = { requests = 2, per = "1m" }

[[service.shop.route]]
name = "private"
path = "/private/*"
strip_prefix = "/private"
forward_auth = { url = "http://127.0.0.1:9402/", response_headers = ["remote-user"] }
EOF
cutover run 2>log &
shop=http://127.0.0.1:9480
curl --silent --retry 50 --retry-delay 0 --retry-all-errors --retry-connrefused $shop/ >/dev/null
show() { curl --silent --output /dev/null --dump-header - "$1" | tr -d '\r' | grep -iE '^(HTTP|location|retry-after|ratelimit:)'; }

echo "--- a redirect"
show $shop/old/page?from=here
echo "--- a path without its prefix"
curl --silent $shop/api/users
echo "--- the third request in a minute"
show $shop/api/users >/dev/null
show $shop/api/users
echo "--- a login"
show $shop/private/users
curl --silent --header 'Authorization: Bearer sesame' $shop/private/users
echo "--- a request that is held for a second"
cutover hold --for 30s --reason "the database moves"
curl --silent --output /dev/null --write-out '%{http_code} after %{time_total} s\n' $shop/users &
held=$!
sleep 1
cutover hold --release
wait "$held"
echo "--- maintenance"
sed 's/^\[service.shop\]$/&\nmaintenance = { page = "soon.html", retry_after = "10m" }/' routing.toml >new.toml
mv new.toml routing.toml
sleep 1
show $shop/users
curl --silent $shop/users
