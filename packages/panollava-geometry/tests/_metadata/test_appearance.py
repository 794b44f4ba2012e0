"""Notes about images that are 2:1 but do not look like a panorama."""

import warnings

import numpy as np
import pytest
import torch
from panollava_geometry import (
    PanoramaWarning,
    PerspectiveView,
    ViewPlan,
    extract_views,
    load_equirectangular,
    load_views,
    plan_views,
)
from PIL import Image

FISHEYE = "this looks like an unstitched dual fisheye image; export it as equirectangular from the camera's app"
EDGES = "left and right edges do not meet: is this a full panorama?"


def array(panorama):
    return panorama.permute(1, 2, 0).contiguous().numpy()


def dual_fisheye(panorama, side=256, radius=1.0, ground=0, noise=0.0, shift=0.0, vignette=0.0, fov=190):
    """Two equidistant circles of a panorama on a dark ground."""
    height, width = panorama.shape[:2]
    y, x = np.mgrid[0:side, 0:side] / (side / 2) - 1
    x, y = (x - shift) / radius, (y + shift) / radius
    r = np.hypot(x, y)
    s = np.sin(r * np.radians(fov / 2)) / np.maximum(r, 1e-9)
    rays = np.stack([x * s, -y * s, np.cos(r * np.radians(fov / 2))], -1)
    halves = []
    for sign in (1, -1):
        lon = np.arctan2(sign * rays[..., 0], sign * rays[..., 2])
        lat = np.arcsin(np.clip(rays[..., 1], -1, 1))
        rows = np.clip((0.5 - lat / np.pi) * height, 0, height - 1).astype(int)
        half = panorama[rows, ((lon / (2 * np.pi) + 0.5) * width).astype(int) % width].astype(float)
        half *= (1 - vignette * np.minimum(r, 1) ** 4)[..., None]
        half[r > 1] = ground
        halves.append(half)
    image = np.concatenate(halves, 1)
    image += np.random.default_rng(0).normal(0, 1, image.shape) * noise
    return image.clip(0, 255).astype(np.uint8)


FISHEYES = {
    "plain": {},
    "small circles": {"radius": 0.8},
    "cut circles": {"radius": 1.08},
    "grey ground": {"ground": 20},
    "noise": {"ground": 8, "noise": 8.0},
    "off centre": {"radius": 0.9, "shift": 0.04},
    "dark rim": {"vignette": 0.8, "radius": 0.95},
    "small": {"side": 64},
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("options", FISHEYES.values(), ids=FISHEYES)
def test_dual_fisheye_images(photo_like, encoded, kind, options):
    data = encoded(dual_fisheye(array(photo_like), **options), kind, quality=40)
    with pytest.warns(PanoramaWarning, match=FISHEYE):
        load_equirectangular(data)
    with pytest.warns(PanoramaWarning, match=FISHEYE):
        load_views(data, plan_views("cubemap"), 16)


def test_the_case_of_a_dual_fisheye(shared):
    with pytest.warns(PanoramaWarning, match=FISHEYE):
        load_equirectangular(shared / "cases" / "dual_fisheye.jpg")


def test_a_file_of_a_camera_that_does_not_stitch(photo_like, encoded, tmp_path):
    path = tmp_path / "IMG_1.insp"
    path.write_bytes(encoded(np.clip(dual_fisheye(array(photo_like)), 0, 30), "JPEG"))  # at night
    with pytest.warns(PanoramaWarning, match=FISHEYE):
        load_equirectangular(path)
    path.write_bytes(encoded(array(photo_like), "JPEG"))
    load_equirectangular(path)  # without a note


@pytest.mark.parametrize("share", [0.3, 0.5, 0.65, 0.8, 0.95])
@pytest.mark.parametrize("ground", [0, 20])
def test_dark_poles_are_not_fisheye(photo_like, encoded, share, ground):
    image = array(photo_like).copy()
    edge = int(len(image) * (1 - share) / 2)
    image[:edge], image[len(image) - edge :] = ground, ground
    load_equirectangular(encoded(image))  # a note would be an error


@pytest.mark.parametrize("yaw", [0, 100, 200])
def test_an_ordinary_photograph(shared, encoded, yaw):
    panorama = load_equirectangular(shared / "panoramas" / "petra.jpg")
    photograph = extract_views(panorama, ViewPlan([PerspectiveView(yaw, 5, 0, 80)]), (256, 512))[0]
    with pytest.warns(PanoramaWarning, match=EDGES.replace("?", r"\?")):
        load_equirectangular(encoded(array(photograph), "JPEG"))


def test_photographs_without_a_note(shared):
    """A note would be an error: no panorama has one, also not at another yaw or scale."""
    for path in sorted((shared / "panoramas").glob("*.jpg")):
        load_equirectangular(path, max_width=512)
        load_views(path, plan_views("cubemap"), 32)


def test_crops_of_photographs_have_a_note(shared, encoded):
    found = 0
    directions = [(yaw, pitch) for yaw in range(0, 360, 60) for pitch in (-15, 10)]
    paths = sorted((shared / "panoramas").glob("ph-*.jpg"))
    plan = ViewPlan([PerspectiveView(yaw, pitch, 0, 75) for yaw, pitch in directions])
    for path in paths:
        for view in extract_views(load_equirectangular(path), plan, (128, 256)):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                load_equirectangular(encoded(array(view)))
            found += any(EDGES in str(warning.message) for warning in caught)
    assert found >= 0.85 * len(paths) * len(directions)


def test_a_gradient_is_not_closed(encoded):
    ramp = np.tile(np.linspace(0, 255, 256).astype(np.uint8), (128, 1))
    with pytest.warns(PanoramaWarning, match="left and right edges do not meet"):
        load_equirectangular(encoded(ramp))


def test_content_that_says_nothing(noise_panorama, encoded, card):
    blocks = np.kron(array(noise_panorama)[:16, :32], np.ones((8, 8, 1), np.uint8))
    for image in (array(noise_panorama), blocks, np.zeros((64, 128, 3), np.uint8), np.array(card.image())):
        for yaw in (0, 17):
            load_equirectangular(encoded(np.roll(image, yaw, 1)))  # a note would be an error


@pytest.mark.parametrize("size", [(8, 4), (2, 1), (30, 15)])
def test_very_small_images(encoded, size):
    with pytest.warns(PanoramaWarning, match=rf"the image is very small \({size[0]}x{size[1]} pixels\)"):
        load_equirectangular(encoded(Image.new("RGB", size)))


def test_a_large_image_that_is_decoded_for_small_views(photo_like, encoded):
    load_views(encoded(array(photo_like), "JPEG"), plan_views("resize"), 8)  # a note would be an error


def test_images_in_memory_and_partial_panoramas_have_no_note(encoded):
    ramp = np.tile(np.linspace(0, 255, 256).astype(np.uint8), (128, 1))
    load_equirectangular(ramp)
    load_equirectangular(Image.fromarray(ramp))
    load_equirectangular(torch.from_numpy(ramp)[None])
    load_equirectangular(encoded(ramp), hfov_deg=90)
    load_equirectangular(encoded(ramp), whole_sphere=True)
