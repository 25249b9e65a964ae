#!/usr/bin/env python3
"""The services of the tests: each speaks one protocol, and refuses what is not of it.

    services.py [--port PORT]

Binds a port of 127.0.0.1, a free one unless told which, and prints it; ends on SIGTERM.
What is like the pixel in the upper left corner is ground to them, so what they answer says
that they have really seen the image.

    POST /api/v1/background  a form with image = data URI of a PNG, X-API-Key: key-of-api4ai;
                             JSON with the cut-out as a data URI at results.0.output_image
    POST /v1.0/removebg      multipart with image_file (a file), size, format = png, X-Api-Key:
                             key-of-removebg; the cut-out itself
    POST /api/remove         multipart with file (a file), model, om, ppm; the cut-out itself,
                             or with om = true the mask
    POST /analyze            JSON of nothing but image = data URI of a JPEG, Authorization:
                             Bearer key-of-analysis; JSON of what it has seen
    POST /generate           JSON of image = base64 of a PNG, prompt, seed, Authorization:
                             Bearer key-of-generate; JSON with image = base64 of a PNG
    POST /v1beta/models/NAME:generateContent
                             JSON of contents with parts, a text and inline_data (a PNG in base64),
                             x-goog-api-key: key-of-gemini; JSON of candidates, whose parts are a
                             text and inlineData
    POST /link/HOST          a PNG as the body; JSON with the URL of the cut-out on HOST and
                             this port at output.url, which GET /made/N gives
    POST /body               a PNG as the body; the cut-out itself

Before the path may stand /slow/MS, /flaky/N/KEY (N times 503 for this KEY), /status/CODE
(with ?after=S a Retry-After), /damaged (the image ends too soon), /says/TEXT (this, as JSON),
/brackets/N (N of them, as JSON).

    GET /log                 what was asked, as JSON: by path how often, and how many at once
    GET /forget              forget it
"""
import argparse
import base64
import email.parser
import email.policy
import http.server
import json
import re
import struct
import sys
import threading
import time
import urllib.parse

import os

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import png

LOCK = threading.Lock()
COUNTS, FLAKY, MADE = {}, {}, []
RUNNING = {"now": 0, "most": 0}


class Refused(Exception):
    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def require(condition, message, status=400):
    if not condition:
        raise Refused(status, message)


def read_png(data):
    try:
        return png.decode(data)
    except (ValueError, KeyError, IndexError, struct.error) as error:
        raise Refused(400, f"no PNG: {error}")


def mask_of(image):
    width, height, channels, pixels = image
    colours = min(channels, 3)
    corner = pixels[:colours]
    mask = bytearray(width * height)
    for i in range(width * height):
        at = i * channels
        mask[i] = 255 if sum(abs(pixels[at + j] - corner[j]) for j in range(colours)) > 40 else 0
    return bytes(mask)


def cut_out(data, only_mask=False):
    image = read_png(data)
    width, height, channels, pixels = image
    mask = mask_of(image)
    if only_mask:
        return png.encode(width, height, 1, mask)
    made = bytearray()
    for i in range(width * height):
        at = i * channels
        made += (pixels[at:at + 3] if channels >= 3 else pixels[at:at + 1] * 3) + mask[i:i + 1]
    return png.encode(width, height, 4, bytes(made))


def from_base64(text):
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise Refused(400, "no base64")


def from_data_uri(text, mime):
    start = f"data:{mime};base64,"
    require(text.startswith(start), f"no {start}")
    return from_base64(text[len(start):])


def data_uri(data):
    return "data:image/png;base64," + base64.b64encode(data).decode()


def read_multipart(headers, body):
    """The parts by name: a file is (name, type, bytes), anything else a text."""
    kind = headers.get("Content-Type", "")
    require(re.fullmatch(r"multipart/form-data; boundary=[\w-]+", kind), "no multipart/form-data", 415)
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(
        b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
    require(not message.defects and message.is_multipart(), f"broken multipart: {message.defects}")
    parts = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        require(name not in parts, f"{name} is there twice")
        data = part.get_payload(decode=True)
        file = part.get_filename()
        parts[name] = (file, part.get_content_type(), data) if file else data.decode()
    return parts


def read_json(headers, body):
    require(headers.get("Content-Type") == "application/json", "no application/json", 415)
    try:
        return json.loads(body)
    except ValueError as error:
        raise Refused(400, f"no JSON: {error}")


def jpeg_size(data):
    require(data[:2] == b"\xff\xd8" and data[-2:] == b"\xff\xd9", "no JPEG")
    at = 2
    while at < len(data):
        marker, length = struct.unpack(">HH", data[at:at + 4])
        if 0xffc0 <= marker <= 0xffc2:
            height, width = struct.unpack(">HH", data[at + 5:at + 9])
            return width, height
        at += 2 + length
    raise Refused(400, "no JPEG")


def api4ai(headers, body, query):
    require(headers.get("X-API-Key") == "key-of-api4ai", "invalid API key", 401)
    require(headers.get("Content-Type") == "application/x-www-form-urlencoded", "no form", 415)
    fields = urllib.parse.parse_qs(body.decode("ascii"), strict_parsing=True)
    require(list(fields) == ["image"] and len(fields["image"]) == 1, "exactly one field: image")
    made = cut_out(from_data_uri(fields["image"][0], "image/png"))
    return "application/json", json.dumps(
        {"results": [{"status": {"code": "ok"}, "output_image": data_uri(made)}]}).encode()


def removebg(headers, body, query):
    require(headers.get("X-Api-Key") == "key-of-removebg", "API Key invalid", 403)
    parts = read_multipart(headers, body)
    require(set(parts) == {"image_file", "size", "format"}, f"unknown parts: {sorted(parts)}")
    require(isinstance(parts["image_file"], tuple), "image_file must be a file")
    require(parts["size"] in ("preview", "full", "auto", "50MP"), "Size is invalid")
    require(parts["format"] == "png", "Format is invalid")
    return "image/png", cut_out(parts["image_file"][2])


def rembg(headers, body, query):
    parts = read_multipart(headers, body)
    require(set(parts) <= {"file", "model", "a", "af", "ab", "ae", "om", "ppm"}, f"unknown parts: {sorted(parts)}", 422)
    require(isinstance(parts.get("file"), tuple), "file: field required", 422)
    require(parts.get("model", "u2net") in ("u2net", "u2netp", "isnet-general-use"), "model: string does not match", 422)
    for flag in ("om", "ppm"):
        require(parts.get(flag, "false") in ("true", "false"), f"{flag}: could not be parsed to a boolean", 422)
    return "image/png", cut_out(parts["file"][2], parts.get("om") == "true")


def analyze(headers, body, query):
    require(headers.get("Authorization") == "Bearer key-of-analysis", "unauthorized", 401)
    request = read_json(headers, body)
    require(set(request) == {"image"}, "nothing but image")
    width, height = jpeg_size(from_data_uri(request["image"], "image/jpeg"))
    return "application/json", json.dumps(
        {"labels": ["dune", "sky"], "colour": "sand", "size": [width, height]}).encode()


def generate(headers, body, query):
    require(headers.get("Authorization") == "Bearer key-of-generate", "unauthorized", 401)
    request = read_json(headers, body)
    require(set(request) == {"image", "prompt", "seed"}, f"unknown fields: {sorted(request)}")
    require(isinstance(request["prompt"], str) and isinstance(request["seed"], int), "wrong types")
    width, height, _, _ = read_png(from_base64(request["image"]))
    colour = bytes([request["seed"] * 40 & 255, len(request["prompt"]) & 255, 128])
    return "application/json", json.dumps(
        {"image": base64.b64encode(png.encode(width, height, 3, colour * (width * height))).decode()}).encode()


def gemini(headers, body, query):
    require(headers.get("x-goog-api-key") == "key-of-gemini", "API key not valid", 400)
    request = read_json(headers, body)
    require(set(request) == {"contents"} and len(request["contents"]) == 1, "one content")
    parts = request["contents"][0]["parts"]
    require([list(part) for part in parts] == [["text"], ["inline_data"]], "a text and an image")
    require(set(parts[1]["inline_data"]) == {"mime_type", "data"}, "mime_type and data")
    require(parts[1]["inline_data"]["mime_type"] == "image/png", "no PNG")
    width, height, _, _ = read_png(from_base64(parts[1]["inline_data"]["data"]))
    made = png.encode(width, height, 3, bytes([len(parts[0]["text"]) & 255, 90, 30]) * (width * height))
    return "application/json", json.dumps({"candidates": [{"finishReason": "STOP", "content": {"role": "model", "parts": [
        {"text": "Here it is:"},
        {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(made).decode()}}]}}]}).encode()


def body_only(headers, body, query):
    require(headers.get("Content-Type") == "image/png", "no image/png", 415)
    return "image/png", cut_out(body)


def link(host, headers, body, query):
    _, made = body_only(headers, body, query)
    with LOCK:
        MADE.append(made)
        number = len(MADE) - 1
    return "application/json", json.dumps(
        {"output": {"url": f"http://{host}:{PORT}/made/{number}"}}).encode()


SERVICES = {"/api/v1/background": api4ai, "/v1.0/removebg": removebg, "/api/remove": rembg,
            "/analyze": analyze, "/generate": generate, "/body": body_only,
            "/v1beta/models/gemini-2.5-flash-image:generateContent": gemini}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def reply(self, status, kind, body, headers=()):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        made = re.fullmatch(r"/made/(\d+)", self.path)
        if made and int(made[1]) < len(MADE):
            self.reply(200, "image/png", MADE[int(made[1])])
        elif self.path == "/log":
            with LOCK:
                self.reply(200, "application/json", json.dumps({"counts": COUNTS, "at_once": RUNNING["most"]}).encode())
        elif self.path == "/forget":
            with LOCK:
                COUNTS.clear()
                RUNNING["most"] = RUNNING["now"]
            self.reply(200, "application/json", b"{}")
        else:
            self.reply(404, "text/plain", b"not found")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with LOCK:
            COUNTS[self.path] = COUNTS.get(self.path, 0) + 1
            RUNNING["now"] += 1
            RUNNING["most"] = max(RUNNING["most"], RUNNING["now"])
        try:
            self.answer(body)
        except Refused as refused:
            self.reply(refused.status, "application/json",
                       json.dumps({"errors": [{"title": str(refused)}]}).encode())
        except OSError:
            self.close_connection = True
        finally:
            with LOCK:
                RUNNING["now"] -= 1

    def answer(self, body):
        path, _, query = self.path.partition("?")
        damaged = False
        while before := re.match(r"/(slow|flaky|status|damaged|says|brackets)(?=/|$)", path):
            path = path[before.end():]
            if before[1] == "slow":
                ms, path = re.fullmatch(r"/(\d+)(.*)", path).groups()
                time.sleep(int(ms) / 1000)
            elif before[1] == "flaky":
                times, key, path = re.fullmatch(r"/(\d+)/([^/]+)(.*)", path).groups()
                with LOCK:
                    FLAKY[key] = FLAKY.get(key, 0) + 1
                    failed = FLAKY[key] <= int(times)
                require(not failed, "come again", 503)
            elif before[1] == "status":
                after = re.fullmatch(r"after=(\d+)", query)
                self.reply(int(path[1:4]), "text/plain", b"as asked for",
                           [("Retry-After", after[1])] if after else [])
                return
            elif before[1] == "says":
                self.reply(200, "application/json", urllib.parse.unquote(path[1:]).encode())
                return
            elif before[1] == "brackets":
                self.reply(200, "application/json", b"[" * int(path[1:]))
                return
            else:
                damaged = True
        service = SERVICES.get(path)
        if path.startswith("/link/"):
            host = path[len("/link/"):]
            kind, answer = link(host, self.headers, body, query)
        else:
            require(service is not None, "not found", 404)
            kind, answer = service(self.headers, body, query)
        self.reply(200, kind, answer[:len(answer) // 2] if damaged else answer)


arguments = argparse.ArgumentParser()
arguments.add_argument("--port", type=int, default=0)
# As many may come at once as a server of the world would take.
http.server.ThreadingHTTPServer.request_queue_size = 256
server = http.server.ThreadingHTTPServer(("127.0.0.1", arguments.parse_args().port), Handler)
server.daemon_threads = True
PORT = server.server_address[1]
print(f"services on port {PORT}", flush=True)
try:
    server.serve_forever()
except KeyboardInterrupt:
    pass
