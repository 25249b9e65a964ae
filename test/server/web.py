#!/usr/bin/env python3
"""The web server of the tests: files of a folder, and every way to answer badly.

    web.py FOLDER [--port PORT] [--tls CERTIFICATE KEY]

Binds a port of 127.0.0.1, a free one unless told which, and prints it; ends on SIGTERM.

    /NAME               a file of the folder
    /delay/MS/NAME      the same, after so many milliseconds
    /held/KEY/NAME      the same, once /release/KEY was asked for
    /status/CODE        an answer with this status; with ?after=S a Retry-After
    /flaky/N/KEY/NAME   N times 503 for this KEY, then the file
    /redirect?to=URL    302
    /drip               a byte a second, for ever
    /endless            bytes without end
    /gzip-bomb          little, that becomes a gigabyte
    /short              promises more than it sends
    /long               sends more than it promised
    /headers            headers without end
    /close              nothing at all
    /track/KEY/MS/NAME  as /delay, and it is noted when, and how many at once
    /tracked/KEY        those notes, as JSON
    /hook/KEY           takes a POST; with ?answers=500,410,200 answers so, one after another
    /hooked/KEY         what was posted, as JSON
    /storage/v1/object/KEY  POST keeps what is sent, GET gives it, DELETE forgets it; only with
                        "Authorization: Bearer let-me-in", and over another only with x-upsert
    /stored             the keys of all that is kept, as JSON
"""
import asyncio
import json
import os
import ssl
import sys
import time
import urllib.parse
import zlib

FLAKY = {}
RELEASES = {}
TRACKED = {}
HOOKED = {}
STORED = {}


def head(status, length=None, extra=""):
    lines = f"HTTP/1.1 {status} X\r\nContent-Type: application/octet-stream\r\n{extra}"
    if length is not None:
        lines += f"Content-Length: {length}\r\n"
    return (lines + "Connection: close\r\n\r\n").encode()


async def send_file(writer, name):
    path = os.path.join(FOLDER, os.path.basename(name))
    if not os.path.isfile(path):
        writer.write(head(404, 0))
        return
    with open(path, "rb") as file:
        body = file.read()
    writer.write(head(200, len(body)) + body)
    await writer.drain()


async def drip(writer):
    writer.write(head(200))
    while True:
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(1)


async def endless(writer, start=head(200), block=b"x" * 65536):
    writer.write(start)
    while True:
        writer.write(block)
        await writer.drain()


async def gzip_bomb(writer):
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    writer.write(head(200, extra="Content-Encoding: gzip\r\n"))
    for _ in range(1024):
        writer.write(packer.compress(bytes(1 << 20)))
        await writer.drain()
    writer.write(packer.flush())


async def track(writer, key, delay_ms, name):
    notes = TRACKED.setdefault(key, {"starts": [], "now": 0, "peak": 0})
    notes["starts"].append(time.time())
    notes["now"] += 1
    notes["peak"] = max(notes["peak"], notes["now"])
    await asyncio.sleep(delay_ms / 1000)
    notes["now"] -= 1
    await send_file(writer, name)


def headers_of(request):
    lines = request.decode().split("\r\n")
    return {name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines[1:] if line)}


async def store(reader, writer, key, request):
    method = request.split(b" ", 1)[0]
    headers = headers_of(request)
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    if method != b"GET" and headers.get("authorization") != "Bearer let-me-in":
        writer.write(head(403, 14) + b"not you, sorry")
    elif method == b"POST" and key in STORED and headers.get("x-upsert") != "true":
        writer.write(head(409, 0))
    elif method == b"POST":
        STORED[key] = body
        writer.write(head(200, 0))
    elif key not in STORED:
        writer.write(head(404, 0))
    elif method == b"DELETE":
        del STORED[key]
        writer.write(head(200, 0))
    else:
        writer.write(head(200, len(STORED[key])) + STORED[key])


async def hook(reader, writer, key, answers, request):
    headers = headers_of(request)
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    posts = HOOKED.setdefault(key, [])
    posts.append({"request": request.decode().split("\r\n")[0], "headers": headers, "body": body.decode()})
    writer.write(head(int(answers[min(len(posts), len(answers)) - 1]), 0,
                      "Location: /hook/elsewhere\r\n"))


def send_json(writer, value):
    body = json.dumps(value).encode()
    writer.write(head(200, len(body)) + body)


async def answer(reader, writer, request):
    target = request.split(b" ", 2)[1].decode()
    url = urllib.parse.urlsplit(target)
    query = urllib.parse.parse_qs(url.query)
    parts = url.path.strip("/").split("/")
    if parts[0] == "delay":
        await asyncio.sleep(int(parts[1]) / 1000)
        await send_file(writer, parts[2])
    elif parts[0] == "held":
        await RELEASES.setdefault(parts[1], asyncio.Event()).wait()
        await send_file(writer, parts[2])
    elif parts[0] == "release":
        RELEASES.setdefault(parts[1], asyncio.Event()).set()
        send_json(writer, True)
    elif parts[0] == "status":
        after = f"Retry-After: {query['after'][0]}\r\n" if "after" in query else ""
        writer.write(head(int(parts[1]), 0, after))
    elif parts[0] == "flaky":
        FLAKY[parts[2]] = FLAKY.get(parts[2], 0) + 1
        if FLAKY[parts[2]] <= int(parts[1]):
            writer.write(head(503, 0))
        else:
            await send_file(writer, parts[3])
    elif parts[0] == "redirect":
        writer.write(head(302, 0, f"Location: {query['to'][0]}\r\n"))
    elif parts[0] == "drip":
        await drip(writer)
    elif parts[0] == "endless":
        await endless(writer)
    elif parts[0] == "headers":
        await endless(writer, b"HTTP/1.1 200 X\r\n", b"X-More: " + b"y" * 1000 + b"\r\n")
    elif parts[0] == "gzip-bomb":
        await gzip_bomb(writer)
    elif parts[0] == "short":
        writer.write(head(200, 1000) + b"only this")
    elif parts[0] == "long":
        writer.write(head(200, 4) + b"more than four")
    elif parts[0] == "track":
        await track(writer, parts[1], int(parts[2]), parts[3])
    elif parts[0] == "tracked":
        send_json(writer, TRACKED.get(parts[1]))
    elif parts[0] == "hook":
        await hook(reader, writer, parts[1], query.get("answers", ["200"])[0].split(","), request)
    elif parts[0] == "storage":
        await store(reader, writer, "/".join(parts[3:]), request)
    elif parts[0] == "stored":
        send_json(writer, sorted(STORED))
    elif parts[0] == "hooked":
        send_json(writer, HOOKED.get(parts[1], []))
    elif parts[0] != "close":
        await send_file(writer, parts[0])
    await writer.drain()


async def serve(reader, writer):
    try:
        request = await reader.readuntil(b"\r\n\r\n")
        await answer(reader, writer, request)
    except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass
    finally:
        writer.close()


async def main():
    context = None
    if "--tls" in sys.argv:
        at = sys.argv.index("--tls")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[at + 1], sys.argv[at + 2])
    port = int(sys.argv[sys.argv.index("--port") + 1]) if "--port" in sys.argv else 0
    server = await asyncio.start_server(serve, "127.0.0.1", port, backlog=1024, ssl=context)
    print("listening on port", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


FOLDER = os.path.abspath(sys.argv[1])
try:
    asyncio.run(main())
except KeyboardInterrupt:
    pass
