#!/usr/bin/env bash
# Certificates from a CA of one's own: Pebble, the test server of Let's Encrypt. Needs cutover, curl, python3, openssl, pebble and
# pebble-challtestsrv (Debian's package pebble); ends after some seconds, and removes its folder.
set -euo pipefail
dir=$(mktemp -d)
cd "$dir"
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$dir"' EXIT

# The CA's own certificate. Its names all lead to 127.0.0.1, where it asks port 9680 and 9643 for the challenges.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost \
    -addext "subjectAltName = DNS:localhost" -addext 'basicConstraints = critical, CA:FALSE' \
    -keyout ca.key -out ca.pem 2>/dev/null
cat >pebble.json <<EOF
{ "pebble": { "listenAddress": "127.0.0.1:9614", "managementListenAddress": "127.0.0.1:9615",
              "certificate": "ca.pem", "privateKey": "ca.key", "httpPort": 9680, "tlsPort": 9643 } }
EOF
pebble-challtestsrv -defaultIPv6 '' -http01 '' -https01 '' -tlsalpn01 '' -dns01 127.0.0.1:9653 -management 127.0.0.1:9655 >/dev/null 2>&1 &
PEBBLE_VA_NOSLEEP=1 pebble -config pebble.json -dnsserver 127.0.0.1:9653 >/dev/null 2>&1 &
curl --silent --retry 50 --retry-delay 0 --retry-all-errors --retry-connrefused --cacert ca.pem https://localhost:9614/dir >/dev/null

python3 -m http.server 9601 --bind 127.0.0.1 >/dev/null 2>&1 &
cat >cutover.toml <<'EOF'
version = 1
[proxy]
listen = ["127.0.0.1:9680"]
[[proxy.tls]]
listen = "127.0.0.1:9643"
[acme]
email = "ops@example.com"
directory = "https://localhost:9614/dir"
directory_ca_file = "ca.pem"
[admin]
listen = "127.0.0.1:9670"
EOF
cat >routing.toml <<'EOF'
[service.shop]
hosts = ["shop.example.com"]
blue.url = "http://127.0.0.1:9601"
green.url = "http://127.0.0.1:9601"
EOF
cutover run 2>log &
# It serves plain HTTP at once, and HTTPS as soon as the certificate has come. Pebble makes a new root at every start.
curl --silent --insecure --output /dev/null --write-out 'HTTPS: %{http_code}\n' --retry 100 --retry-delay 0 --retry-max-time 60 \
    --retry-all-errors --connect-to shop.example.com:443:127.0.0.1:9643 https://shop.example.com/
openssl s_client -connect 127.0.0.1:9643 -servername shop.example.com </dev/null 2>/dev/null | openssl x509 -noout -issuer -ext subjectAltName
cutover status | grep -i certificate
stat --format '%a %n' cutover.db.acme
