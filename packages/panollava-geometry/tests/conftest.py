"""Analytic scenes: functions of direction that any view of any panorama must reproduce."""

import io
import math

import jaxtyping
import numpy as np
import pytest
import torch
from PIL import Image


def panorama_rays(height):
    """Rays of the pixel centres of a panorama, from the formulas: lon = 2π(c + ½)/W − π, lat = π/2 − π(r + ½)/H."""
    lon = (np.arange(2 * height) + 0.5) * math.pi / height - math.pi
    lat = math.pi / 2 - (np.arange(height) + 0.5) * math.pi / height
    lon, lat = np.meshgrid(lon, lat)
    return np.stack([np.sin(lon) * np.cos(lat), np.sin(lat), np.cos(lon) * np.cos(lat)], -1)


def view_ray_grid(yaw, pitch, roll, hfov, vfov, height, width, points=1):
    """Rays of a pinhole view, from the formulas, `points` x `points` midpoints per pixel."""
    x = (2 * (np.arange(width * points) + 0.5) / (width * points) - 1) * math.tan(math.radians(hfov) / 2)
    y = (1 - 2 * (np.arange(height * points) + 0.5) / (height * points)) * math.tan(math.radians(vfov) / 2)
    x, y = np.meshgrid(x, y)
    z = np.ones_like(x)
    r, p, w = (math.radians(a) for a in (roll, pitch, yaw))
    x, y = math.cos(r) * x + math.sin(r) * y, -math.sin(r) * x + math.cos(r) * y  # roll clockwise
    y, z = math.cos(p) * y + math.sin(p) * z, -math.sin(p) * y + math.cos(p) * z  # then pitch up
    x, z = math.cos(w) * x + math.sin(w) * z, -math.sin(w) * x + math.cos(w) * z  # then yaw to the right
    rays = np.stack([x, y, z], -1)
    return rays / np.linalg.norm(rays, axis=-1, keepdims=True)


def smooth_scene(rays):
    """Three smooth functions of direction in [0, 1], first axis."""
    x, y, z = np.moveaxis(rays, -1, 0)
    return np.stack([0.5 + 0.5 * np.sin(2 * x + y), 0.5 + 0.5 * np.cos(3 * z - y * x), 0.5 + 0.3 * x * z + 0.2 * y])


def band_scene(rays, low=20.0, high=350.0, waves=40, seed=0):
    """Plane waves of many lengths through the sphere, in grey levels."""
    rng = np.random.default_rng(seed)
    wave = np.exp(rng.uniform(np.log(low), np.log(high), waves))
    axis = rng.normal(size=(waves, 3))
    axis *= (wave / np.linalg.norm(axis, axis=1))[:, None]
    phase = rng.uniform(0, 2 * np.pi, waves)
    value = np.zeros(rays.shape[:-1], np.float32)
    for vector, shift in zip(axis, phase, strict=True):
        value += np.sin(rays.astype(np.float32) @ vector.astype(np.float32) + np.float32(shift))
    return np.clip(127.5 + value * (40 / math.sqrt(waves / 2)), 0, 255)


@pytest.fixture
def uninstrumented():
    """Annotations unchecked, as users run the library."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def formulas():
    """The independent formulas above."""

    class Formulas:
        panorama = staticmethod(panorama_rays)
        view = staticmethod(view_ray_grid)
        smooth = staticmethod(smooth_scene)
        bands = staticmethod(band_scene)

        @staticmethod
        def psnr(a, b):
            return 10 * math.log10(255**2 / np.mean((np.asarray(a, np.float64) - np.asarray(b, np.float64)) ** 2))

    return Formulas


@pytest.fixture(scope="session")
def smooth_panorama(formulas):
    """float64 [3, 256, 512]."""
    return torch.from_numpy(formulas.smooth(formulas.panorama(256)))


@pytest.fixture(scope="session")
def noise_panorama():
    """uint8 [3, 128, 256], the most difficult content."""
    return torch.randint(0, 256, (3, 128, 256), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="session")
def photo_like(formulas):
    """uint8 [3, 512, 1024] with structure at all scales."""
    grey = formulas.bands(formulas.panorama(512), 3, 120)
    return torch.from_numpy(np.stack([grey, grey[:, ::-1], 255 - grey]).round().astype(np.uint8))


@pytest.fixture(scope="session")
def rgb_array(formulas):
    """A smooth panorama as an RGB array [1024, 2048, 3]."""
    return (formulas.smooth(formulas.panorama(1024)) * 255).round().astype(np.uint8).transpose(1, 2, 0)


@pytest.fixture(scope="session")
def encoded():
    """A function that encodes an array or a Pillow image as the bytes of a file."""

    def encode(array_or_image, kind="PNG", **options):
        image = array_or_image if isinstance(array_or_image, Image.Image) else Image.fromarray(array_or_image)
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        return buffer.getvalue()

    return encode
