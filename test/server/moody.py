#!/usr/bin/env python3
"""The servers of the chaos test in one: sources, a store, a service and a receiver of webhooks,
each of which behaves well or badly, as it is told.

    moody.py [--port PORT]

Binds a port of 127.0.0.1, a free one unless told which, and prints it; ends on SIGTERM.

    GET /source/N.png     a picture of one color, another for each N
    GET /cut/N.png        the same, transparent: what the service makes of it
    PUT, GET, DELETE /store/KEY
    POST /service         a PNG as the body; a transparent one of its size
    POST /hook/KEY        a webhook

    GET /mood/ROLE/MOOD   how source, store, service or hook answer from now on:
        well              as they should
        slow              so, after a third of a second
        hang              not at all, until the mood is another one
        close             the connection is closed without an answer
        lost              it is done, and then the connection is closed without an answer
        garbage           200 and noise; a store keeps what it is given all the same
        NUMBER            an answer with this status
    GET /hooks            what was posted, as JSON: id, headers, body, and whether it was answered well
    GET /objects          what is stored, as JSON: the SHA-256 of each key
"""
import hashlib
import http.server
import json
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import png

LOCK = threading.Lock()
MOODS = {"source": "well", "store": "well", "service": "well", "hook": "well"}
OBJECTS, HOOKS = {}, []
WIDTH, HEIGHT = 24, 16


def picture(number, alpha=None):
    color = bytes((number * factor) % 256 for factor in (37, 91, 151))
    if alpha is None:
        return png.encode(WIDTH, HEIGHT, 3, color * (WIDTH * HEIGHT))
    return png.encode(WIDTH, HEIGHT, 4, (color + bytes([alpha])) * (WIDTH * HEIGHT))


def cut_out(data):
    width, height, channels, pixels = png.decode(data)
    color = bytes(pixels[:3]) if channels >= 3 else bytes(pixels[:1]) * 3
    return png.encode(width, height, 4, (color + b"\0") * (width * height))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, body=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def act(self, role, rest, body):
        """What is done where the mood is good, and the answer."""
        if role == "source":
            return 200, picture(int(rest[0].split(".")[0]))
        if role == "service":
            try:
                return 200, cut_out(body)
            except ValueError:
                return 400, b"no PNG"
        if role == "hook":
            return 200, b""
        key = "/".join(rest)
        with LOCK:
            if self.command == "GET":
                return (200, OBJECTS[key]) if key in OBJECTS else (404, b"")
            if self.command == "DELETE":
                return (200 if OBJECTS.pop(key, None) is not None else 404), b""
            OBJECTS[key] = body
        return 200, b""

    def serve_role(self, role, rest, body):
        mood = MOODS[role]
        started = time.monotonic()
        if mood == "slow":
            time.sleep(0.3)
        while mood == "hang" and MOODS[role] == "hang" and time.monotonic() - started < 60:
            time.sleep(0.02)
        done = mood in ("well", "slow", "lost") or (role, mood) == ("store", "garbage")
        if role == "hook":
            with LOCK:
                HOOKS.append({"id": self.headers.get("webhook-id"), "well": mood in ("well", "slow"), "body": body.decode(),
                              "headers": {name.lower(): value for name, value in self.headers.items()}})
        status, answer = self.act(role, rest, body) if done else (0, b"")
        if mood in ("hang", "close", "lost"):
            self.close_connection = True
        elif mood == "garbage":
            self.reply(200, random.randbytes(200))
        elif mood.isdigit():
            self.reply(int(mood), b"no")
        else:
            self.reply(status, answer)

    def serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        role, *rest = self.path.split("?")[0].strip("/").split("/")
        if role in MOODS:
            self.serve_role(role, rest, body)
        elif role == "cut":
            self.reply(200, picture(int(rest[0].split(".")[0]), 0))
        elif role == "mood":
            MOODS[rest[0]] = rest[1]
            self.reply(200)
        elif role == "hooks":
            with LOCK:
                self.reply(200, json.dumps(HOOKS).encode())
        elif role == "objects":
            with LOCK:
                self.reply(200, json.dumps({key: hashlib.sha256(data).hexdigest() for key, data in OBJECTS.items()}).encode())
        else:
            self.reply(404)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = serve


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


port = int(sys.argv[sys.argv.index("--port") + 1]) if "--port" in sys.argv else 0
with Server(("127.0.0.1", port), Handler) as server:
    print("listening on port", server.server_address[1], flush=True)
    server.serve_forever()
