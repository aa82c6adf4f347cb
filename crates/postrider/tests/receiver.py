"""A receiver of webhooks over HTTPS, which lets the public library judge each delivery.

receiver.py PEM     PEM: the chain of certificates and the private key

Reads secrets from stdin, one JSON object a line: {"name": "first", "secret": "whsec_…"}.
Says on stdout, one JSON object a line, where it listens, which secret it knows from now on, and what arrived.
Paths that begin with /flaky fail the first attempt. It ends when stdin does.
"""

import json
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

secrets = {}
stdout_lock = threading.Lock()


def say(line):
    with stdout_lock:
        print(json.dumps(line), flush=True)


def verified_by(body, headers):
    """Names of the secrets under which the library takes it for genuine."""
    names = []
    for name, secret in sorted(secrets.items()):
        try:
            Webhook(secret).verify(body, headers)
            names.append(name)
        except WebhookVerificationError:
            pass
    return names


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # A peer that says nothing does not hold a thread for ever.
    timeout = 60

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = dict(self.headers.items())
        status = 500 if self.path.startswith("/flaky") and self.headers["Webhook-Attempt"] == "1" else 204
        say(
            {
                "path": self.path,
                "status": status,
                "tls": self.connection.version(),
                "body": body.decode(),
                "headers": {name.lower(): value for name, value in headers.items()},
                "verified_by": verified_by(body, headers),
                "tampered_verified_by": {
                    "body": verified_by(body.replace(b"10", b"99"), headers),
                    "id": verified_by(body, changed(headers, "webhook-id", lambda value: value + "x")),
                    "timestamp": verified_by(body, changed(headers, "webhook-timestamp", lambda value: str(int(value) + 1))),
                },
            }
        )
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """What arrived is said once, on stdout."""


def changed(headers, name, change):
    return {key: change(value) if key.lower() == name else value for key, value in headers.items()}


def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.daemon_threads = True
    # Hands are shaken in the connection's thread, so that no client keeps others from being accepted.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    say({"port": server.server_address[1]})
    for line in sys.stdin:
        entry = json.loads(line)
        secrets[entry["name"]] = entry["secret"]
        say({"knows": entry["name"]})


main()
