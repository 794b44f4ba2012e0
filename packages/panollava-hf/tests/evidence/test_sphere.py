"""Maps on the sphere: areas, blurs, and amounts that are pasted from views."""

import math

import numpy as np
import pytest
import torch
from panollava_geometry import ViewPlan, plan_views, rotation_matrix
from panollava_hf.asking._panorama import Panorama
from panollava_hf.evidence import _sphere as sphere
from panollava_hf.evidence._baseline import blurred_panorama, blurred_where


def integral(density):
    """By the cosine of the latitude, not by the areas that the code uses."""
    height = len(density)
    latitude = np.radians(90 - (np.arange(height) + 0.5) / height * 180)
    return float((density.double().numpy() * np.cos(latitude)[:, None]).sum() * (np.pi / height) ** 2)


def test_areas_add_up_to_the_sphere():
    assert float(sphere.solid_angles(90).sum() * 180) == pytest.approx(4 * math.pi)


def test_directions_are_those_of_the_geometry():
    for yaw, pitch in ((0, 0), (90, 0), (-120, 40)):
        ours = sphere.directions(torch.tensor(yaw), torch.tensor(pitch))
        assert np.allclose(ours.numpy(), rotation_matrix(yaw, pitch)[:, 2])


def test_a_normalised_map_integrates_to_one():
    values = torch.rand(90, 180) - 0.5
    found = sphere.normalised(values)
    assert integral(found) == pytest.approx(1, abs=1e-3)
    assert float(found.min()) == 0
    assert sphere.normalised(-values.abs()) is None
    assert integral(sphere.uniform()) == pytest.approx(1, abs=1e-3)


def test_a_blur_keeps_what_is_even_and_follows_a_turn():
    assert torch.allclose(sphere.blurred(torch.ones(1, 48, 96), 10), torch.ones(1, 48, 96), atol=1e-5)
    values = torch.rand(2, 48, 96)
    turned = sphere.blurred(values.roll(17, -1), 10)
    assert torch.allclose(turned, sphere.blurred(values, 10).roll(17, -1), atol=1e-5)


def test_a_blur_is_as_wide_at_the_pole_as_at_the_horizon():
    widths = []
    for row in (0, 22):
        values = torch.zeros(1, 45, 90)
        values[0, row, 10] = 1
        found = sphere.blurred(values, 12)[0]
        centre = sphere.map_rays(45)[row, 10]
        angle = sphere.angles_deg(sphere.map_rays(45), centre[None])[0]
        amounts = found * sphere.solid_angles(45)[:, None]
        widths.append(float((amounts * angle).sum() / amounts.sum()))
    assert widths[0] == pytest.approx(widths[1], rel=0.15)


@pytest.mark.parametrize("strategy", ["cubemap", "anyres_e2p"])
def test_amounts_of_views_are_kept_on_the_sphere(strategy):
    plan = plan_views(strategy)
    amounts = torch.rand(len(plan), 40, 40)
    assert integral(sphere.pasted(amounts, plan)) == pytest.approx(float(amounts.sum()), rel=0.02)


def test_amounts_stay_in_the_direction_of_their_view():
    plan = ViewPlan(plan_views("cubemap"))
    amounts = torch.zeros(len(plan), 20, 20)
    amounts[1, 9:11, 9:11] = 1
    found = sphere.pasted(amounts, plan)
    row, column = divmod(int(found.argmax()), 180)
    view = plan[1]
    assert (column + 0.5) * 2 - 180 == pytest.approx(view.yaw_deg, abs=4)
    assert 90 - (row + 0.5) * 2 == pytest.approx(view.pitch_deg, abs=4)


def test_a_part_is_blurred_and_the_rest_stays():
    image = torch.randint(0, 255, (3, 600, 1200), dtype=torch.uint8)
    panorama = Panorama(image)
    mask = torch.zeros(256, 512)
    mask[100:150, 500:] = 1
    mask[100:150, :12] = 1
    found = blurred_where(panorama, mask)
    assert found.dtype == image.dtype
    assert torch.equal(found[:, :220], image[:, :220])
    assert torch.equal(found[:, :, 60:1100], image[:, :, 60:1100])
    middle = found[:, 260:330, 1190:].float()
    assert float(middle.std()) < 5, "random pixels blurred over 20° are one grey, also next to the seam"
    assert torch.allclose(blurred_panorama(panorama).mean((1, 2)), image.float().mean((1, 2)), atol=6)
