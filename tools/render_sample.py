"""Render the sample panorama: a park with simple solids in known directions, drawn from formulas alone.

python -m tools.render_sample docs/assets/sample-panorama.jpg
"""

import argparse
import os
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from tools.raytracing import BIAS, Array, Ball, Box, Cone, Noise, Solid, direction, trace

SUN = direction(-62, 38)
SUNLIGHT = np.array([1.8, 1.66, 1.40])
EYE = 1.65  # metres above the ground


def place(yaw_deg: float, distance: float, height: float) -> Array:
    """The point at a yaw and a distance along the ground, `height` metres above the ground."""
    return direction(yaw_deg) * distance + np.array([0.0, height - EYE, 0.0])


RED, ORANGE, YELLOW, GREEN = (0.72, 0.03, 0.03), (0.85, 0.26, 0.02), (0.85, 0.60, 0.03), (0.03, 0.36, 0.09)
BLUE, PURPLE, WHITE, STONE = (0.03, 0.11, 0.62), (0.27, 0.05, 0.45), (0.80, 0.80, 0.78), (0.42, 0.40, 0.37)
LEAF, BARK, BRICK = (0.05, 0.20, 0.03), (0.16, 0.09, 0.05), (0.40, 0.13, 0.08)

#: What is where, by name; the panorama's centre column is yaw 0, the image edge yaw 180.
SOLIDS: dict[str, Solid] = {
    "plinth": Cone(centre=place(0, 5.0, 0.25), color=STONE, radius=1.0, top=0.9, height=0.5),
    "red ball": Ball(centre=place(0, 5.0, 1.5), color=RED, radius=1.0, gloss=0.6),
    "yellow cube": Box(centre=place(90, 5.5, 0.9), color=YELLOW, half=(0.9, 0.9, 0.9), turn_deg=25, gloss=0.15),
    "green tower": Cone(centre=place(180, 7.5, 2.25), color=GREEN, radius=1.3, top=1.3, height=4.5, gloss=0.2),
    "tower roof": Cone(centre=place(180, 7.5, 5.4), color=BRICK, radius=1.7, top=0.0, height=1.8),
    "blue pyramid": Cone(centre=place(-90, 6.0, 1.4), color=BLUE, radius=1.5, top=0.0, height=2.8, gloss=0.2),
    "purple block": Box(centre=place(45, 8.0, 1.6), color=PURPLE, half=(0.7, 1.6, 0.7), turn_deg=10, gloss=0.2),
    "white column": Cone(centre=place(-38, 6.5, 2.0), color=WHITE, radius=0.45, top=0.38, height=4.0),
    "column foot": Box(centre=place(-38, 6.5, 0.15), color=STONE, half=(0.7, 0.15, 0.7), turn_deg=-38),
    "column ball": Ball(centre=place(-38, 6.5, 4.35), color=ORANGE, radius=0.45, gloss=0.5),
    "house": Box(centre=place(135, 12.0, 1.5), color=WHITE, half=(2.4, 1.5, 1.8), turn_deg=135),
    "house door": Box(centre=place(136, 10.2, 0.95), color=BARK, half=(0.45, 0.95, 0.08), turn_deg=135),
    "house roof": Cone(centre=place(135, 12.0, 4.1), color=BRICK, radius=3.5, top=0.3, height=2.2),
    "balloon": Ball(centre=place(22, 42.0, 25.0), color=RED, stripes=(0.85, 0.8, 0.7), radius=5.5, gloss=0.1),
    "basket": Box(centre=place(22, 42.0, 17.2), color=BARK, half=(0.9, 0.7, 0.9)),
}
for _name, _yaw, _distance, _size in (("near", -135, 8.0, 1.0), ("far", -112, 17.0, 1.3), ("side", 68, 19.0, 1.4)):
    _trunk = place(_yaw, _distance, 1.2 * _size)
    SOLIDS[f"{_name} trunk"] = Cone(centre=_trunk, color=BARK, radius=0.28 * _size, top=0.2 * _size, height=2.4 * _size)
    for _k, (_x, _y, _z, _r) in enumerate(((0, 2.6, 0, 1.5), (0.9, 1.8, 0.3, 1.0), (-0.8, 1.9, -0.4, 1.1))):
        _offset = np.array([_x, _y, _z]) * _size
        SOLIDS[f"{_name} crown {_k}"] = Ball(centre=_trunk + _offset, color=LEAF, radius=_r * _size)

_clouds, _grass, _stones, _leaves = Noise(1, 5), Noise(2, 4), Noise(3, 3), Noise(4, 2)


def render(width: int = 2048, samples: int = 3) -> Array:
    """Render `[width / 2, width, 3]` uint8 sRGB with `samples` x `samples` rays per pixel."""
    height = width // 2
    solids = list(SOLIDS.values())
    image = np.empty((height, width, 3))
    step = max(1, 400_000 // (width * samples**2))
    longitude = ((np.arange(width * samples) + 0.5) / (width * samples) - 0.5) * 2 * np.pi
    for row in range(0, height, step):
        rows = min(step, height - row)
        latitude = (0.5 - (np.arange(rows * samples) + 0.5 + row * samples) / (height * samples)) * np.pi
        lat, lon = (grid.ravel() for grid in np.meshgrid(latitude, longitude, indexing="ij"))
        rays = np.stack([np.cos(lat) * np.sin(lon), np.sin(lat), np.cos(lat) * np.cos(lon)], axis=1)
        color = shade(solids, rays).reshape(rows, samples, width, samples, 3)
        image[row : row + rows] = tone(color).mean(axis=(1, 3))
    return np.round(image * 255).astype(np.uint8)


def tone(radiance: Array) -> Array:
    """Linear radiance to sRGB: a soft shoulder for the bright, then the standard curve."""
    linear = 1 - np.exp(-radiance * 1.15)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055)


def shade(solids: list[Solid], rays: Array) -> Array:
    """Radiance along rays from the eye."""
    hits = trace(solids, np.zeros_like(rays), rays)
    down = np.minimum(rays[:, 1], -1e-9)
    ground_distance = np.where(rays[:, 1] < 0, -EYE / down, np.inf)
    color = sky(rays)
    ground = np.flatnonzero(ground_distance < np.minimum(hits.distance, 400))
    if len(ground):
        points = rays[ground] * ground_distance[ground, None]
        up = np.broadcast_to([0.0, 1.0, 0.0], points.shape)
        color[ground] = haze(lit(solids, points, up, ground_albedo(points)), color[ground], ground_distance[ground], 90)
    for number, solid in enumerate(solids):
        rows = np.flatnonzero((hits.index == number) & (hits.distance < ground_distance))
        if len(rows) == 0:
            continue
        points, normals = rays[rows] * hits.distance[rows, None], hits.normal[rows]
        albedo = solid.albedo(points)
        if solid.color == LEAF:
            ruffle = _leaves(points[:, 0] * 9 + points[:, 1] * 7, points[:, 2] * 9 - points[:, 1] * 8)
            albedo = albedo * (0.45 + 1.3 * ruffle[:, None])
        shine = 0.0
        if solid.gloss:
            mirror = rays[rows] - 2 * np.sum(rays[rows] * normals, axis=1, keepdims=True) * normals
            rim = 0.04 + 0.96 * (1 - np.abs(np.sum(rays[rows] * normals, axis=1, keepdims=True))) ** 5
            shine = solid.gloss * (rim * sky(mirror) + 2.0 * np.maximum(mirror @ SUN, 0)[:, None] ** 120)
        color[rows] = haze(lit(solids, points, normals, albedo) + shine, color[rows], hits.distance[rows], 250)
    return color


def lit(solids: list[Solid], points: Array, normals: Array, albedo: Array) -> Array:
    """Light that a matt surface sends back: sun unless something stands before it, sky from above, grass from below."""
    facing = np.maximum(normals @ SUN, 0)
    sunny = np.zeros(len(points))
    rows = np.flatnonzero(facing > 0)
    toward = np.broadcast_to(SUN, (len(rows), 3))
    sunny[rows] = trace(solids, points[rows] + normals[rows] * 10 * BIAS, toward).index < 0
    upward = (normals[:, 1:2] + 1) / 2
    ambient = upward * [0.42, 0.54, 0.75] + (1 - upward) * [0.14, 0.16, 0.09]
    # Less sky reaches a place close to the ground that does not face up.
    height = np.clip((points[:, 1:2] + EYE) / 0.8, 0, 1)
    ambient = ambient * np.where(normals[:, 1:2] > 0.9, 1.0, 0.6 + 0.4 * height)
    return albedo * ((facing * sunny)[:, None] * SUNLIGHT + ambient * 0.62)


def haze(color: Array, background: Array, distance: Array, scale: float) -> Array:
    """Far things fade into the horizon behind them."""
    fade = np.exp(-np.maximum(distance - 8, 0) / scale)[:, None]
    horizon = np.array([0.62, 0.72, 0.84])
    return color * fade + (0.5 * background + 0.5 * horizon) * (1 - fade)


def sky(rays: Array) -> Array:
    """Blue above, pale at the horizon, clouds on a plane overhead, hills all around, and the sun."""
    up = np.clip(rays[:, 1], 0, 1)
    color = (1 - up[:, None] ** 0.45) * [0.62, 0.74, 0.90] + up[:, None] ** 0.45 * [0.07, 0.22, 0.62]
    toward = np.clip(rays @ SUN, 0, 1)
    color = color + (0.30 * toward**24 + 0.9 * toward**600)[:, None] * [1.0, 0.9, 0.7]
    plane = np.maximum(up, 0.02) + 0.08
    cover = _clouds(rays[:, 0] / plane * 1.1 + 100, rays[:, 2] / plane * 1.1 + 100)
    cloud = np.clip((cover - 0.535) * 5.0, 0, 1) * np.clip((up - 0.04) * 7, 0, 1)
    white = 1.05 + 0.5 * toward[:, None] ** 8 - 0.35 * np.clip((cover - 0.6) * 4, 0, 1)[:, None]
    color = color * (1 - 0.85 * cloud[:, None]) + 0.85 * cloud[:, None] * white * [1.0, 0.99, 0.97]
    color = np.where((toward > np.cos(np.radians(1.1)))[:, None], [6.0, 5.6, 4.8], color)
    yaw = np.arctan2(rays[:, 0], rays[:, 2])
    for waves, low, high, tint in HILLS:
        skyline = sum(np.sin(yaw * k + phase) / k for k, phase in waves)
        ridge = np.radians(low + (high - low) * (0.5 + 0.28 * skyline))
        color = np.where((np.arcsin(np.clip(rays[:, 1], -1, 1)) < ridge)[:, None], tint, color)
    return color


#: Whole numbers of waves around the horizon, so that the skyline closes at the seam; heights in degrees; far to near.
HILLS = (
    (((2, 0.4), (3, 2.1), (7, 1.0), (13, 0.3), (29, 2.0)), 1.5, 15.0, (0.33, 0.44, 0.62)),
    (((3, 1.5), (5, 0.2), (11, 2.4), (23, 1.1)), 0.5, 7.5, (0.13, 0.25, 0.20)),
)


def ground_albedo(points: Array) -> Array:
    """A round plaza of stone slabs with a path ahead and behind, in mown grass."""
    x, z = points[:, 0], points[:, 2]
    radius = np.hypot(x, z)
    tuft = _grass(x * 1.7 + 60, z * 1.7 + 60) * 0.7 + 0.3 * _grass(x * 11 + 9, z * 11 + 9)
    stripe = 0.06 * np.sign(np.sin(x * np.pi / 2.5)) * np.clip(2 - radius / 25, 0, 1)
    grass = (0.55 + 0.9 * tuft + stripe)[:, None] * [0.085, 0.19, 0.035]
    ring = np.floor(radius / 0.9)
    around = np.arctan2(x, z) / (2 * np.pi) * (6 * ring + 6) + 0.5 * (ring % 2)
    tint = 0.82 + 0.36 * _stones.table[ring.astype(int) % 256, np.floor(around % (6 * ring + 6)).astype(int) % 256]
    edge = np.abs(radius / 0.9 - np.round(radius / 0.9)) * 0.9
    across = np.where(ring > 0, np.abs(around - np.round(around)) * radius * 2 * np.pi / (6 * ring + 6), 1)
    joint = 1 - 0.45 * np.clip(1 - np.minimum(edge, across) / 0.025, 0, 1)
    grain = 0.85 + 0.3 * _stones(x * 9 + 50, z * 9 + 50)
    slab = (np.where(ring > 0, tint, 1) * joint * grain)[:, None] * [0.46, 0.42, 0.36]
    yaw = np.arctan2(x, z)
    petal = radius < 0.8 * np.abs(np.cos(2 * yaw)) ** 4  # a compass rose underfoot, its red petal pointing ahead
    rose = np.where((np.abs(yaw) < np.pi / 4)[:, None], RED, (0.08, 0.09, 0.12)) * grain[:, None]
    slab = np.where(petal[:, None], rose, slab)
    gravel = (0.7 + 0.6 * _stones(x * 14 + 20, z * 14 + 20))[:, None] * [0.50, 0.43, 0.32]
    path = (np.abs(x + 0.5 * np.sin(z * 0.25)) < 1.1) & (radius > 3.6)
    paved = np.where((radius < 3.6)[:, None], slab, np.where(path[:, None], gravel, grass))
    rim = (radius > 3.6) & (radius < 3.8)
    return np.where(rim[:, None], [0.33, 0.31, 0.29], paved)


def encode(image: Array) -> bytes:
    """JPEG bytes of the picture, the same for the same Pillow."""
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=86, optimize=True, progressive=True)
    return buffer.getvalue()


def main(arguments: list[str] | None = None) -> None:
    """Render and write the picture; the file appears whole or not at all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, metavar="OUT.jpg")
    parser.add_argument("--width", type=int, default=2048, help="pixels around the full circle (default 2048)")
    options = parser.parse_args(arguments)
    if options.width < 16 or options.width % 2:
        parser.error(f"--width must be an even number of at least 16, got {options.width}")
    scratch = options.out.with_name(f".{options.out.name}.{os.getpid()}")
    try:
        data = encode(render(options.width))
        scratch.write_bytes(data)
        os.replace(scratch, options.out)
    except OSError as error:
        print(f"render_sample: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    print(f"{options.out}: {options.width}x{options.width // 2}, {len(data) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
