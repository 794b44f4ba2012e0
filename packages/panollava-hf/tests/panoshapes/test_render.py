"""Images: the seam, the poles, rotation, occlusion, and colours."""

import colorsys
import dataclasses

import numpy as np
import pytest
import torch
from panollava_geometry import PerspectiveView, ViewPlan, extract_views
from panollava_hf._errors import PanoShapesError
from panollava_hf.panoshapes import COLOURS, render_scene, sample_scene
from panollava_hf.panoshapes._coverage import object_frame
from panollava_hf.panoshapes._render import object_ids, solid_angles
from panollava_hf.panoshapes._solids import intersect

TEXTURES = ("plain", "checker", "stripes", "noise")


def directions(width):
    """Unit vectors of pixel centres, [H, W, 3], from the conventions of the documentation."""
    longitude = np.radians((np.arange(width) + 0.5) / width * 360 - 180)
    latitude = np.radians(90 - (np.arange(width // 2) + 0.5) / (width // 2) * 180)
    lon, lat = np.meshgrid(longitude, latitude)
    return np.stack([np.cos(lat) * np.sin(lon), np.sin(lat), np.cos(lat) * np.cos(lon)], -1)


def brute_force_ids(scene, width):
    """The nearest object along each ray, from intersecting every ray with every object."""
    rays = directions(width).reshape(-1, 3)
    nearest, ids = np.full(len(rays), np.inf), np.full(len(rays), -1)
    for index, item in enumerate(scene.objects):
        yaw, pitch = np.radians(item.yaw_deg), np.radians(item.pitch_deg)
        centre = np.array([np.cos(pitch) * np.sin(yaw), np.sin(pitch), np.cos(pitch) * np.cos(yaw)]) * item.distance
        frame = object_frame(item)
        local = tuple((rays @ frame.T).T.astype(np.float32))
        # intersect() expects rays close to the bounding ball.
        close = rays @ centre > np.sqrt(np.maximum(centre @ centre - (1.4 * item.radius) ** 2, 0))
        hit, distance, _ = intersect(item.shape, tuple(-(frame @ centre) / item.radius), local)
        distance = np.where(hit & close, distance * item.radius, np.inf)
        ids = np.where(distance < nearest, index, ids)
        nearest = np.minimum(nearest, distance)
    return ids.reshape(width // 2, width)


def test_smoke(scenes):
    image = render_scene(scenes[0], 256)
    assert image.shape == (128, 256, 3)
    assert image.dtype == np.uint8
    assert image.std() > 5


@pytest.mark.parametrize("width", [513, 1022, 0, -4, 32, 100_000])
def test_impossible_widths(scenes, width):
    with pytest.raises(PanoShapesError, match=f"width {width}: expected a multiple of 4"):
        render_scene(scenes[0], width)


@pytest.mark.parametrize("texture", TEXTURES)
def test_first_and_last_column_are_neighbours(scenes, texture):
    """The step across the seam is not larger than steps between other columns."""
    for scene in scenes[:12]:
        scene = dataclasses.replace(scene, ground=dataclasses.replace(scene.ground, texture=texture))
        image = render_scene(scene, 512).astype(float)
        over = abs(image[:, 0] - image[:, -1])
        inside = abs(np.diff(image, axis=1))
        assert over.mean() <= np.quantile(inside.mean((0, 2)), 1.0) + 1e-9
        shifted = render_scene(scene.rotated(90), 512).astype(float)  # the seam is now inside the image
        again = abs(shifted[:, 128] - shifted[:, 127])
        assert abs(again - over).max() <= 2


def test_poles_have_one_colour(scenes):
    """Close to a pole all columns look at nearly the same point."""
    for scene in scenes[:40]:
        bare = dataclasses.replace(scene, objects=())
        image = render_scene(bare, 512).astype(float)
        for row in (image[0], image[-1]):
            assert np.ptp(row, axis=0).max() < 40  # a border between tiles may cross the pole
            assert abs(row - np.roll(row, 1, 0)).mean() < 2


@pytest.mark.parametrize("columns", [1, 64, 255, 389])
def test_rotating_a_scene_rolls_its_image(scenes, columns):
    width = 512
    for scene in scenes[:25]:
        rolled = np.roll(render_scene(scene, width), columns, axis=1).astype(int)
        turned = render_scene(scene.rotated(columns * 360 / width), width).astype(int)
        difference = abs(rolled - turned).max(-1)
        assert (difference > 1).mean() < 1e-4  # a sample on an edge may change sides
        assert difference.mean() < 0.05


def test_nearest_object_is_seen(scenes):
    several = [scene for scene in scenes if min(item.visible_share for item in scene.objects) < 0.95][:15]
    assert len(several) >= 10
    for scene in several + scenes[:15]:
        ids, _ = object_ids(scene.objects, 256)
        assert (ids != brute_force_ids(scene, 256)).mean() < 5e-4


def test_visible_shares_match_an_image_of_ids(scenes):
    width = 512
    weight = np.cos(np.radians(90 - (np.arange(width // 2) + 0.5) / (width // 2) * 180))
    for scene in scenes[:60]:
        ids, _ = object_ids(scene.objects, width)
        measured = [seen / whole for seen, whole in solid_angles(scene.objects)]
        for index, item in enumerate(scene.objects):
            alone, _ = object_ids((item,), width)
            share = (weight @ (ids == index)).sum() / (weight @ (alone == 0)).sum()
            assert share == pytest.approx(measured[index], abs=0.025)
            assert item.visible_share == pytest.approx(measured[index], abs=1e-4)


def test_every_object_can_be_seen(scenes):
    """At least 60 % of it, and no less than a disc of 12°."""
    width = 512
    rows = np.cos(np.radians(90 - (np.arange(width // 2) + 0.5) / (width // 2) * 180)) * 2 * np.pi**2
    for scene in scenes[:120]:
        assert min(item.visible_share for item in scene.objects) >= 0.6
        ids, _ = object_ids(scene.objects, width)
        for index in range(len(scene.objects)):
            solid_angle = (rows @ (ids == index)).sum() / (width * width // 2)
            assert solid_angle > 2 * np.pi * (1 - np.cos(np.radians(6)))


def test_colours_are_distinguishable(scenes):
    """The median hue of an object is closest to the colour that names it."""
    hues = {"red": 0, "orange": 30, "yellow": 55, "green": 131, "blue": 229, "purple": 284}
    assert set(hues) == set(COLOURS)
    for scene in scenes[:120]:
        image, (ids, _) = render_scene(scene, 512) / 255.0, object_ids(scene.objects, 512)
        for index, item in enumerate(scene.objects):
            red, green, blue = np.median(image[ids == index], axis=0)
            hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
            away = {name: abs((hue * 360 - angle + 180) % 360 - 180) for name, angle in hues.items()}
            assert min(away, key=away.get) == item.colour
            assert away[item.colour] < 8
            assert saturation > 0.6
            assert value > 0.25


def test_objects_stand_out_from_the_backdrop(scenes):
    for scene in scenes[:60]:
        bare = render_scene(dataclasses.replace(scene, objects=()), 512).astype(float)
        image, (ids, _) = render_scene(scene, 512).astype(float), object_ids(scene.objects, 512)
        for index in range(len(scene.objects)):
            shown = ids == index
            difference = np.linalg.norm(image[shown] - bare[shown], axis=-1)
            assert np.quantile(difference, 0.1) > 30


def test_views_of_the_geometry_find_the_objects(scenes):
    """A view of panollava_geometry in the direction of an object shows it in its centre."""
    for scene in scenes[:25]:
        panorama = torch.from_numpy(render_scene(scene, 512)).permute(2, 0, 1)
        for item in scene.objects:
            if item.shape == "torus" or item.visible_share < 0.95:
                continue
            plan = ViewPlan([PerspectiveView(item.yaw_deg, item.pitch_deg, hfov_deg=60)])
            middle = extract_views(panorama, plan, 33)[0, :, 15:18, 15:18].float().mean((1, 2)).numpy()
            tint = np.array(item.tint)
            assert np.corrcoef(middle, tint)[0, 1] > 0.97


def test_images_vary(scenes):
    small = np.stack([render_scene(scene, 64) for scene in scenes[:40]]).astype(float)
    sky, ground = small[:, 4:12].mean((1, 2)), small[:, 20:28].mean((1, 2))
    assert sky.std(0).min() > 8
    assert ground.std(0).min() > 8
    assert {scene.ground.texture for scene in scenes} == set(TEXTURES)


def test_same_scene_same_image():
    first, second = (render_scene(sample_scene(3, "train", 4), 256) for _ in range(2))
    assert np.array_equal(first, second)
