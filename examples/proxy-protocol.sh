#!/usr/bin/env bash
# Who the client is, with and without a header of the PROXY protocol. Needs cutover, curl and python3, and removes its folder.
set -euo pipefail
dir=$(mktemp -d)
cd "$dir"
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$dir"' EXIT

# An origin that says who it thinks the client is.
cat >origin.py <<'EOF'
import http.server
class Origin(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"client {self.headers['X-Forwarded-For']}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", len(body))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", 9301), Origin).serve_forever()
EOF
python3 origin.py &
cat >cutover.toml <<'EOF'
version = 1
[proxy]
trusted_proxies = ["127.0.0.1/32"]
listen = [{ address = "127.0.0.1:9380", proxy_protocol = "required" }, "127.0.0.1:9381"]
[admin]
listen = "127.0.0.1:9370"
EOF
cat >routing.toml <<'EOF'
[service.shop]
blue.url = "http://127.0.0.1:9301"
green.url = "http://127.0.0.1:9301"
EOF
cutover run 2>log &
curl --silent --retry 50 --retry-delay 0 --retry-all-errors --retry-connrefused http://127.0.0.1:9381/ >/dev/null

echo -n "from 203.0.113.7, by its header: "
printf 'PROXY TCP4 203.0.113.7 127.0.0.1 40000 9380\r\nGET / HTTP/1.0\r\n\r\n' |
    python3 -c 'import socket, sys; tcp = socket.create_connection(("127.0.0.1", 9380)); tcp.sendall(sys.stdin.buffer.read()); print(tcp.makefile().read().splitlines()[-1])'
echo -n "by curl's own header: "
curl --silent --haproxy-protocol http://127.0.0.1:9380/
echo "without one, where it is required: $(curl --silent --output /dev/null --write-out '%{http_code}' http://127.0.0.1:9380/ || true)"
echo -n "without one, on the other port: "
curl --silent http://127.0.0.1:9381/
