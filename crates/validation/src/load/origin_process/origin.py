"""An origin that burns CPU, holds memory or dies when it is asked to. It prints its port first."""

import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

held = []
asked = 0


def burn(ms):
    """Until this thread, or this process, has used so much CPU."""
    end = time.thread_time() + ms / 1000
    while time.thread_time() < end:
        pass


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        global asked
        asked += 1
        url = urlsplit(self.path)
        query = {name: int(values[0]) for name, values in parse_qs(url.query).items()}
        if url.path in ("/burn", "/side"):
            burn(query["ms"])
        elif url.path == "/fork":
            child = os.fork()
            if child == 0:
                burn(query["ms"])
                os._exit(0)
            os.waitpid(child, 0)
        elif url.path == "/hold" and not held:
            held.append(b"x" * (query["mib"] << 20))
        elif url.path == "/die" and asked > query["after"]:
            os._exit(1)
        times = os.times()
        used = times.user + times.system + times.children_user + times.children_system
        body = b"%f" % used
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
