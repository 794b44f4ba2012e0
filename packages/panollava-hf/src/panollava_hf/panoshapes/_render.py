"""Images of scenes, and how much of each object is visible in them."""

import functools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from panollava_hf._errors import PanoShapesError
from panollava_hf.panoshapes._coverage import Coverage, cover, direction_vector, patch_around, pixel_grid
from panollava_hf.panoshapes._scene import Ground, Scene, SceneObject, Sky
from panollava_hf.panoshapes._solids import BOUNDING_RADIUS

FloatImage = NDArray[np.float32]

_NOISE_SIZE = 1024
_GROUND_PERIOD = 24.0  # units of distance after which the noise of the ground repeats
_SKY_PERIOD = 7.0
_SHADOW_REACH = 2.2  # in radii


@functools.cache
def noise_table() -> NDArray[np.uint16]:
    """Smooth periodic noise, `[1024, 1024]`; its values are uniformly distributed over 16 bits."""
    rng = np.random.default_rng(360)
    frequency = np.hypot(np.fft.fftfreq(_NOISE_SIZE)[:, None], np.fft.rfftfreq(_NOISE_SIZE)[None]) * _NOISE_SIZE
    spectrum = np.fft.rfft2(rng.standard_normal((_NOISE_SIZE, _NOISE_SIZE)))
    spectrum *= (frequency + 4.0) ** -2.0 * (frequency > 2) * np.exp(-((frequency / 160.0) ** 2))
    field = np.fft.irfft2(spectrum, s=(_NOISE_SIZE, _NOISE_SIZE))
    ranks = np.empty(field.size)
    ranks[np.argsort(field, axis=None, kind="stable")] = np.arange(field.size)
    return (ranks * (65535 / field.size)).astype(np.uint16).reshape(field.shape)


def draw_backdrop(scene: Scene, width: int) -> FloatImage:
    """Draw sky and ground without objects: `[width / 2, width, 3]`, sRGB from 0 to 1."""
    image = np.empty((width // 2, width, 3), np.float32)
    half = width // 4
    image[:half] = _sky(scene.sky, scene.heading_deg, width)
    image[half:] = _ground(scene, width)
    return image


def add_shadows(image: FloatImage, scene: Scene, light: NDArray[np.float64]) -> None:
    """Darken the ground below each object; objects close to the ground have darker shadows."""
    for item in scene.objects:
        _add_shadow(image, item, scene.camera_height, light)


def _sky(sky: Sky, heading_deg: float, width: int) -> FloatImage:
    grid = pixel_grid(width)
    height = grid.sin_latitude[: width // 4]
    blend = height[:, None] ** np.float32(0.55)
    base = _mix(sky.horizon, sky.zenith, blend)[:, None, :]
    if not sky.cloud_cover:
        return np.broadcast_to(base, (len(height), width, 3))
    # The layer of clouds is curved: its coordinates stay finite at the horizon and are smooth at the zenith.
    along = grid.cos_latitude[: width // 4] / (height + np.float32(0.3))
    cloud = _noise(along, _turned(width, heading_deg), sky.offset, _SKY_PERIOD)
    cloud -= np.float32(0.55)
    np.maximum(cloud, 0, out=cloud)
    cloud *= np.minimum(height * 5, 1)[:, None] * np.float32(sky.cloud_cover * 2.2)
    return base + cloud[..., None] * (np.float32(1) - base)


def _ground(scene: Scene, width: int) -> FloatImage:
    ground = scene.ground
    grid = pixel_grid(width)
    sine, cosine = -grid.sin_latitude[width // 4 :], grid.cos_latitude[width // 4 :]
    reach = np.float32(scene.camera_height) * cosine / sine  # from the point below the camera
    haze = np.exp(-reach / np.float32(14))[:, None]
    near, far = np.asarray(ground.colour, np.float32), np.asarray(scene.sky.horizon, np.float32)
    first = far + haze * (near - far)
    if ground.texture == "plain":
        return np.broadcast_to(first[:, None, :], (len(sine), width, 3))
    change = haze * (np.asarray(ground.second_colour, np.float32) - near)
    pattern = _pattern(ground, reach, sine, scene.camera_height, scene.heading_deg, width)
    return first[:, None, :] + change[:, None, :] * pattern[..., None]


def _pattern(
    ground: Ground, reach: FloatImage, sine: FloatImage, camera_height: float, heading_deg: float, width: int
) -> FloatImage:
    """The texture, 0 to 1, low-pass filtered by the area of the ground that a pixel of each row covers."""
    waves = _turned(width, heading_deg + ground.angle_deg)
    if ground.texture == "noise":
        return _noise(reach, waves, ground.offset, _GROUND_PERIOD)
    pixel = np.float32(2 * math.pi / width)
    footprint = pixel * np.maximum(reach, np.float32(camera_height) / (sine * sine))
    # A square wave is a clipped sine. Its slope matches the footprint of a pixel; it fades out where a pixel covers a
    # whole period.
    steep = np.minimum(np.float32(2 * ground.scale / math.pi) / footprint, 40)[:, None]
    fade = np.clip(np.float32(1.5) - footprint / np.float32(ground.scale), 0, 1)[:, None]
    steps = [
        np.sin(reach[:, None] * (wave * np.float32(math.pi / ground.scale)) + np.float32(2 * math.pi * shift))
        for wave, shift in zip(waves[: 2 if ground.texture == "checker" else 1], ground.offset, strict=False)
    ]
    steps = [np.clip(step * steep, -1, 1) for step in steps]
    wave = steps[0] * steps[1] if len(steps) == 2 else steps[0]
    return np.float32(0.5) + np.float32(0.5) * fade * wave


def _add_shadow(image: FloatImage, item: SceneObject, camera_height: float, light: NDArray[np.float64]) -> None:
    width = image.shape[1]
    yaw, pitch = math.radians(item.yaw_deg), math.radians(item.pitch_deg)
    drop = item.distance * math.sin(pitch) + camera_height
    strength = 0.6 * math.exp(-max(drop - item.radius, 0) / 1.2)
    if strength < 0.05:
        return
    slide = 0.6 * drop / max(light[1], 0.4)
    x = item.distance * math.cos(pitch) * math.sin(yaw) - slide * light[0]
    z = item.distance * math.cos(pitch) * math.cos(yaw) - slide * light[2]
    size = item.radius * (1 + 0.4 * drop)
    away = math.hypot(x, z, camera_height)
    radius = math.asin(min(1.0, _SHADOW_REACH * size / away))
    patch = patch_around(
        width,
        math.degrees(math.atan2(x, z)),
        -math.degrees(math.asin(camera_height / away)),
        math.degrees(radius),
    )
    rows = slice(max(patch.rows.start, width // 4), patch.rows.stop)
    grid = pixel_grid(width)
    reach = np.float32(camera_height) * grid.cos_latitude[rows] / -grid.sin_latitude[rows]
    across = reach[:, None] * grid.sin_longitude[patch.columns] - np.float32(x)
    ahead = reach[:, None] * grid.cos_longitude[patch.columns] - np.float32(z)
    falloff = np.maximum(1 - (across * across + ahead * ahead) / np.float32((_SHADOW_REACH * size) ** 2), 0)
    image[rows, patch.columns] *= 1 - np.float32(strength) * (falloff * falloff)[..., None]


def _turned(width: int, angle_deg: float) -> tuple[FloatImage, FloatImage]:
    """Sine and cosine of the longitude of each column, in a world that is turned to the right by `angle_deg`."""
    longitude = ((np.arange(width) + 0.5) / width - 0.5) * (2 * math.pi) - math.radians(angle_deg)
    return np.sin(longitude).astype(np.float32), np.cos(longitude).astype(np.float32)


def _noise(
    along: FloatImage, waves: tuple[FloatImage, FloatImage], offset: tuple[float, float], period: float
) -> FloatImage:
    """The nearest entry of the noise table at `along` × (sine, cosine); its finest detail is six entries wide."""
    scale = np.float32(_NOISE_SIZE / period)
    column, row = (
        ((along[:, None] * (wave * scale) + np.float32(shift * _NOISE_SIZE)).astype(np.int32) & (_NOISE_SIZE - 1))
        for wave, shift in zip(waves, offset, strict=True)
    )
    return noise_table()[row, column] * np.float32(1 / 65536)


def _mix(first: tuple[float, ...], second: tuple[float, ...], share: FloatImage) -> FloatImage:
    start = np.asarray(first, np.float32)
    return start + share * (np.asarray(second, np.float32) - start)


#: Narrower images do not show the shapes, wider ones do not fit in memory.
WIDTHS = (64, 8192)
_SHARE_WIDTH = 256


def check_width(width: int) -> None:
    """Check the width of an image.

    Raises:
        PanoShapesError: The width is not a multiple of 4 from 64 to 8192.
    """
    if width % 4 or not WIDTHS[0] <= width <= WIDTHS[1]:
        raise PanoShapesError(f"width {width}: expected a multiple of 4 from {WIDTHS[0]} to {WIDTHS[1]}")


def render_scene(scene: Scene, width: int = 1024) -> NDArray[np.uint8]:
    """Draw a scene as an equirectangular panorama.

    Args:
        scene: The scene.
        width: Width of the image in pixels, a multiple of 4.

    Returns:
        `[width / 2, width, 3]`, sRGB; yaw 0 is the centre column.

    Raises:
        PanoShapesError: The width is not a multiple of 4 from 64 to 8192.

    Example:
        >>> from panollava_hf.panoshapes import render_scene, sample_scene
        >>> render_scene(sample_scene(0, "test", 3), width=128).shape
        (64, 128, 3)
    """
    check_width(width)
    light = direction_vector(scene.light_yaw_deg, scene.light_pitch_deg)
    image = draw_backdrop(scene, width)
    add_shadows(image, scene, light)
    for index in farthest_first(scene.objects):
        item = scene.objects[index]
        (rows, columns), share, bright = cover(item, width, light=light)
        behind = image[rows, columns]
        behind *= (1 - share)[..., None]
        behind += bright[..., None] * np.asarray(item.tint, np.float32)
        image[rows, columns] = behind
    np.clip(image, 0, 1, out=image)
    image *= 255
    image += 0.5
    return image.astype(np.uint8)


def object_ids(objects: Sequence[SceneObject], width: int) -> tuple[NDArray[np.int8], list[Coverage]]:
    """Which object each pixel shows.

    Returns:
        The index of the object at the centre of each pixel, `[width / 2, width]`, -1 where there is no object; and what
        each object would cover if nothing were in front of it.
    """
    ids = np.full((width // 2, width), -1, np.int8)
    covers = [cover(item, width, samples=1) for item in objects]
    for index in farthest_first(objects):
        (rows, columns), share, _ = covers[index]
        ids[rows, columns] = np.where(share > 0, np.int8(index), ids[rows, columns])
    return ids, covers


def solid_angles(objects: Sequence[SceneObject], width: int = _SHARE_WIDTH) -> list[tuple[float, float]]:
    """Solid angle of each object in steradians: its visible part, and all of it as if nothing were in front of it."""
    weights = pixel_grid(width).cos_latitude * np.float32(2 * math.pi * math.pi / (width * (width // 2)))
    ids, covers = object_ids(objects, width)
    return [
        (float(weights @ (ids == index).sum(1)), float(weights[patch.rows] @ share.sum(1)))
        for index, (patch, share, _) in enumerate(covers)
    ]


def farthest_first(objects: Sequence[SceneObject]) -> list[int]:
    """Indices of objects in the order in which to paint them.

    A ray meets bounding balls that do not touch in the order of their power |c|² - r², because the power is the product
    of the distances at which the ray enters and leaves a ball.
    """

    def power(index: int) -> float:
        item = objects[index]
        return item.distance**2 - (BOUNDING_RADIUS[item.shape] * item.radius) ** 2

    return sorted(range(len(objects)), key=power, reverse=True)
