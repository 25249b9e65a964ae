#!/usr/bin/env python3
"""Studio shots whose masks are known, because they are made from them.

    scenes.py make FOLDER PHOTO.png ...   write FOLDER/OBJECT-GROUND.png, FOLDER/OBJECT.mask
    scenes.py score FOLDER                compare FOLDER/*.cut.png with the masks: a line each
                                          of name, IoU, and mean error of alpha from 0 to 1

Objects are drawn, or cut out of photographs; grounds are plain, shaded and noisy.  The same
arguments give the same pictures.
"""
import glob
import math
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../server"))
import png

WIDTH, HEIGHT = 240, 180
SAMPLES = 3


def disc(x, y):
    return math.hypot(x - 120, y - 90) < 62


def ring(x, y):
    return 34 < math.hypot(x - 120, y - 90) < 64


def star(x, y):
    angle = math.atan2(y - 90, x - 120)
    return math.hypot(x - 120, y - 90) < 48 + 22 * math.cos(5 * angle)


def cup(x, y):
    body = 70 < x < 140 and 45 < y < 140
    handle = 20 < math.hypot(x - 140, y - 92) < 33 and x >= 140
    return body or handle


def thin(x, y):
    return 40 < x < 200 and abs(y - 90 - 30 * math.sin(x / 18)) < 4


def bottle(x, y):
    return abs(x - 120) < (12 if y < 60 else 12 + min(26, (y - 60) * 1.3)) and 20 < y < 165


def touching(x, y):
    return abs(x - 120) < 45 and y > 70


# By name: the shape, and a colour or the number of a photograph.
OBJECTS = {
    "disc": (disc, (180, 40, 50)), "ring": (ring, (30, 60, 120)), "star": (star, (90, 120, 40)),
    "cup": (cup, (60, 60, 66)), "thin": (thin, (40, 30, 30)), "pale": (disc, (205, 190, 170)),
    "touching": (touching, (70, 90, 130)),
    "photo-disc": (disc, 0), "photo-star": (star, 1), "photo-bottle": (bottle, 2), "photo-cup": (cup, 3),
}


def white(x, y):
    return 1.0


def falling(x, y):
    return 1.02 - 0.25 * y / HEIGHT


def slanting(x, y):
    return 0.82 + 0.1 * x / WIDTH + 0.08 * y / HEIGHT


def vignette(x, y):
    return 1.0 - 0.22 * math.hypot((x - 120) / 120, (y - 90) / 90) ** 2 / 2


# By name: how bright, its colour, and the sigma of its noise.
GROUNDS = {
    "white": (white, (252, 252, 252), 0), "grey": (white, (150, 152, 156), 0),
    "green": (white, (60, 170, 70), 0), "falling": (falling, (240, 240, 244), 0),
    "slanting": (slanting, (235, 228, 220), 0), "vignette": (vignette, (244, 244, 244), 0),
    "noisy": (white, (225, 225, 225), 4), "noisier": (white, (215, 215, 215), 9),
    "vignette-noisy": (vignette, (240, 240, 240), 4),
}


def mask_of(shape):
    steps = [(i + 0.5) / SAMPLES for i in range(SAMPLES)]
    return [sum(shape(x + dx, y + dy) for dx in steps for dy in steps) / SAMPLES ** 2
            for y in range(HEIGHT) for x in range(WIDTH)]


def ground_of(light, colour):
    return [[c * light(i % WIDTH, i // WIDTH) for c in colour] for i in range(WIDTH * HEIGHT)]


def make(folder, photos):
    pictures = [png.decode(open(name, "rb").read()) for name in photos]
    grounds = {kind: (ground_of(light, colour), sigma) for kind, (light, colour, sigma) in GROUNDS.items()}
    for name, (shape, paint) in OBJECTS.items():
        mask = mask_of(shape)
        with open(f"{folder}/{name}.mask", "wb") as file:
            file.write(png.encode(WIDTH, HEIGHT, 1, bytes(round(255 * a) for a in mask)))
        for kind, (ground, sigma) in grounds.items():
            chance = random.Random(f"{name}-{kind}")
            pixels = bytearray()
            for i, alpha in enumerate(mask):
                values = ground[i]
                if alpha > 0:
                    # A drawn object is lit from the left.
                    own = ([c * (1.1 - 0.25 * (i % WIDTH) / WIDTH) for c in paint] if isinstance(paint, tuple)
                           else pictures[paint][3][3 * i:3 * i + 3])
                    values = [alpha * a + (1 - alpha) * b for a, b in zip(own, values)]
                if sigma:
                    values = [v + chance.gauss(0, sigma) for v in values]
                pixels += bytes([max(0, min(255, round(v))) for v in values])
            with open(f"{folder}/{name}-{kind}.png", "wb") as file:
                file.write(png.encode(WIDTH, HEIGHT, 3, bytes(pixels)))


def score(folder):
    for name in sorted(OBJECTS):
        wanted = png.decode(open(f"{folder}/{name}.mask", "rb").read())[3]
        for path in sorted(glob.glob(f"{folder}/{name}-*.cut.png")):
            kind = os.path.basename(path)[len(name) + 1:-len(".cut.png")]
            if kind not in GROUNDS:
                continue
            width, height, channels, pixels = png.decode(open(path, "rb").read())
            assert (width, height, channels) == (WIDTH, HEIGHT, 4), path
            alpha = pixels[3::4]
            both = sum(a >= 128 and w >= 128 for a, w in zip(alpha, wanted))
            either = sum(a >= 128 or w >= 128 for a, w in zip(alpha, wanted))
            error = sum(abs(a - w) for a, w in zip(alpha, wanted)) / 255 / len(alpha)
            print(f"{name}-{kind} {both / either:.4f} {error:.5f}")


if sys.argv[1] == "make":
    make(sys.argv[2], sys.argv[3:])
else:
    score(sys.argv[2])
