#!/usr/bin/env python3
"""Random requests, many on each connection; prints how often each status came.

    damaged.py PORT COUNT SEED PATH...

Requests are taken from the good ones (GET PATH) and damaged: bytes changed, put in, left out
and repeated, in the path, the query and the headers, or all of it is chance.
"""
import collections
import random
import re
import socket
import sys
import threading

PORT, COUNT, SEED = (int(argument) for argument in sys.argv[1:4])
PATHS = [path.encode() for path in sys.argv[4:]]
THREADS = 4
PER_CONNECTION = 50
LAST = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
STATUSES = collections.Counter()
LOCK = threading.Lock()
NASTY = [b"../", b"%00", b"%2e%2e/", b"'", b'"', b"\\", b"{}", b"A" * 300, b"\xff\xfe", b"%ff",
         b"&signature=" + b"0" * 64, b"?expires=1", b";", b"$1", b"--", b"\t", b"0", b"-1", b"*"]


def damage(chance, text):
    text = bytearray(text)
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(text) + 1)
        kind = chance.randrange(4)
        if kind == 0:
            text[at:at] = chance.choice(NASTY)
        elif kind == 1 and text:
            text[min(at, len(text) - 1)] = chance.randrange(33, 256)
        elif kind == 2:
            del text[at:at + chance.randrange(1, 9)]
        else:
            text[at:at] = text[:chance.randrange(1, 40)]
    return bytes(byte for byte in text if byte not in b" \r\n")


def make(chance):
    path = chance.choice(PATHS)
    if chance.random() < 0.9:
        path = b"/" + damage(chance, path[1:])
    headers = [b"Host: localhost"]
    if chance.random() < 0.3:
        headers.append(b"Range: " + damage(chance, b"bytes=0-99"))
    if chance.random() < 0.2:
        headers.append(b"If-None-Match: " + damage(chance, b'"0123456789abcdef0123456789abcdef"'))
    if chance.random() < 0.2:
        headers.append(b"Accept: " + damage(chance, b"image/webp,*/*"))
    method = b"HEAD" if chance.random() < 0.05 else b"GET"
    return method + b" " + path + b" HTTP/1.1\r\n" + b"\r\n".join(headers) + b"\r\n\r\n"


def noise(chance):
    return bytes(chance.randrange(256) for _ in range(chance.randrange(1, 400))) + b"\r\n\r\n"


def talk(chance, requests):
    counts = collections.Counter()
    with socket.create_connection(("127.0.0.1", PORT), timeout=20) as connection:
        try:
            connection.sendall(b"".join(requests))
            answer = b""
            while part := connection.recv(1 << 16):
                answer += part
        except OSError:
            pass
    for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answer):
        counts[int(status)] += 1
    return counts


def run(number):
    chance = random.Random(SEED * 100 + number)
    left = COUNT // THREADS
    while left > 0:
        count = min(PER_CONNECTION, left)
        requests = [make(chance) for _ in range(count)]
        requests[-1] = noise(chance) if chance.random() < 0.1 else LAST
        counts = talk(chance, requests)
        with LOCK:
            STATUSES.update(counts)
        left -= count


workers = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
print(" ".join(f"{status}:{count}" for status, count in sorted(STATUSES.items())))
