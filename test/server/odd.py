#!/usr/bin/env python3
"""A server that answers as no good one does, and counts what it was sent.

    odd.py FILE [--port PORT]

Binds a port of 127.0.0.1, a free one unless told which, and prints it; ends on SIGTERM.
Connections are kept, unless a path says otherwise.

    /good/KEY          200 and the file
    /kept/KEY          200 to the first request of a connection; to the second one it is closed
    /silent/KEY        the request is read, and the connection closed
    /hold/KEY          the request is read, and nothing is answered
    /expects/KEY       417 to whoever asks first whether he may send, else 200 and the file
    /torn/STATUS/KEY   a status, and a body that breaks off
    /garbled/STATUS/KEY  a status, and chunks that are none
    /drip/STATUS/KEY   a status, and a byte a second
    /large/STATUS/KEY  a status, and 2 MB
    /announced/SIZE    200 and this Content-Length, and a byte a second; with ?gzip compressed
    /part              206, which nobody asked for
    /to/STATUS?LOCATION  a status and this Location, percent-decoded; "" is none; with a torn
                       body after STATUS + "t"
    /a%20b             the file
    /counts            requests by path, as JSON, and the end of the connection
"""
import asyncio
import collections
import json
import sys
import urllib.parse

COUNTS = collections.Counter()


def answer(status, body=b"", extra="", length=None):
    length = len(body) if length is None else length
    return f"HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n{extra}\r\n".encode() + body


async def drip(writer):
    while True:
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(1)


async def odd(writer, method, target, headers, number):
    """Answer a request; true when the connection goes on."""
    path, _, query = target.partition("?")
    parts = path.strip("/").split("/")
    kind = parts[0]
    if kind == "counts":
        writer.write(answer(200, json.dumps(COUNTS).encode()))
        return False
    elif kind in ("good", "a%20b") or (kind == "kept" and number == 1):
        writer.write(answer(200, FILE))
    elif kind in ("silent", "kept"):
        return False
    elif kind == "hold":
        await asyncio.sleep(3600)
    elif kind == "expects":
        writer.write(answer(417) if "expect" in headers else answer(200, FILE))
    elif kind == "torn":
        writer.write(answer(parts[1], b"not all of it", length=100))
        return False
    elif kind == "garbled":
        writer.write(f"HTTP/1.1 {parts[1]} X\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
                     + b"5\r\nhello\r\nwhat\r\n")
        return False
    elif kind == "drip":
        writer.write(answer(parts[1], length=1000000))
        await drip(writer)
    elif kind == "large":
        writer.write(answer(parts[1], b"x" * 2000000))
    elif kind == "announced":
        coding = "Content-Encoding: gzip\r\n" if query == "gzip" else ""
        writer.write(answer(200, extra=coding, length=parts[1]))
        await drip(writer)
    elif kind == "part":
        writer.write(answer(206, FILE, f"Content-Range: bytes 0-{len(FILE) - 1}/999999999\r\n"))
    elif kind == "to":
        location = f"Location: {urllib.parse.unquote(query)}\r\n" if query else ""
        torn = parts[1].endswith("t")
        writer.write(answer(parts[1].rstrip("t"), b"gone", location, 100 if torn else None))
        return not torn
    else:
        writer.write(answer(404))
    return True


async def serve(reader, writer):
    number = 0
    goes_on = True
    try:
        while goes_on:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, target, _ = head[0].split(" ", 2)
            headers = {name.lower(): value.strip()
                       for name, _, value in (line.partition(":") for line in head[1:] if line)}
            COUNTS[f"{method} {target}"] += 1
            if "expect" not in headers:
                await reader.readexactly(int(headers.get("content-length", 0)))
            number += 1
            goes_on = await odd(writer, method, target, headers, number)
            await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
        pass
    finally:
        writer.close()


async def main():
    port = int(sys.argv[sys.argv.index("--port") + 1]) if "--port" in sys.argv else 0
    server = await asyncio.start_server(serve, "127.0.0.1", port, backlog=1024)
    print("listening on port", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


with open(sys.argv[1], "rb") as file:
    FILE = file.read()
try:
    asyncio.run(main())
except KeyboardInterrupt:
    pass
