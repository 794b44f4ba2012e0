"""Intersections, compared with small steps along each ray through the inequalities that define the solids."""

import numpy as np
import pytest
from panollava_hf.panoshapes import SHAPES
from panollava_hf.panoshapes._solids import BOUNDING_RADIUS, intersect


def inside(shape, point):
    """Negative inside and zero on the surface, from the definition of each solid, in float64."""
    x, y, z = point
    axial = np.hypot(x, z)
    if shape == "sphere":
        return np.sqrt(x * x + y * y + z * z) - 1
    if shape == "cube":
        return np.maximum(np.maximum(abs(x), abs(y)), abs(z)) - 0.76
    if shape == "cylinder":
        return np.maximum(axial - 0.78, abs(y) - 0.88)
    if shape == "torus":
        return np.hypot(axial - 0.86, y) - 0.34
    apex = (2.1**2 + 1.1**2) / (2 * 2.1)  # above the centre of its bounding ball
    return np.maximum(axial - (apex - y) * 1.1 / 2.1, (apex - 2.1) - y)


def some_rays(seed, count=1200):
    """Rays from a point at a distance of 2.6 to 6.7, towards the bounding ball of the solid."""
    rng = np.random.default_rng(seed)
    origin = rng.normal(size=3)
    origin *= rng.uniform(2.6, 6.7) / np.linalg.norm(origin)
    targets = rng.normal(size=(3, count))
    targets *= 1.3 * rng.random(count) ** (1 / 3) / np.linalg.norm(targets, axis=0)
    rays = targets - origin[:, None]
    return origin, rays / np.linalg.norm(rays, axis=0)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", SHAPES)
def test_first_hit_is_where_small_steps_enter(shape, seed):
    origin, rays = some_rays(seed)
    hit, distance, _ = intersect(shape, tuple(origin), tuple(rays.astype(np.float32)))
    steps = np.linspace(1, 9, 5334)
    value = inside(shape, origin[:, None, None] + rays[:, :, None] * steps)
    entered = value.min(1) < 0
    first = steps[np.argmax(value < 0, axis=1)]
    grazing = abs(value.min(1)) < 6e-3  # below the accuracy of the steps and of the traced torus
    assert 0.2 < entered.mean() < 0.95
    assert np.array_equal(hit[~grazing], entered[~grazing])
    both = hit & entered & ~grazing
    error = abs(distance[both] - first[both])
    # The torus is traced to within 2e-3 of its surface, which can be longer along the ray.
    assert np.quantile(error, 0.99) < (3e-2 if shape == "torus" else 3e-3)
    on_surface = inside(shape, origin[:, None] + rays[:, both] * distance[both])
    assert abs(on_surface).max() < 4e-3


@pytest.mark.parametrize("shape", SHAPES)
def test_normals_are_the_gradient(shape):
    origin, rays = some_rays(7)
    hit, distance, normals = intersect(shape, tuple(origin), tuple(rays.astype(np.float32)))
    point = origin[:, None] + rays[:, hit] * distance[hit]
    normal = np.stack(normals)[:, hit]
    assert np.allclose(np.linalg.norm(normal, axis=0), 1, atol=2e-2)
    assert (np.einsum("ij,ij->j", normal, rays[:, hit]) < 1e-3).mean() > 0.999  # normals point to the camera
    step = 1e-4
    shifts = step * np.eye(3)
    gradient = np.stack(
        [inside(shape, point + shift[:, None]) - inside(shape, point - shift[:, None]) for shift in shifts]
    )
    length = np.linalg.norm(gradient, axis=0)
    agreement = np.einsum("ij,ij->j", normal, gradient / np.where(length > 0, length, 1))
    assert (agreement > 0.999).mean() > 0.985  # edges have no normal


@pytest.mark.parametrize("shape", SHAPES)
def test_bounding_ball_is_tight(shape):
    rng = np.random.default_rng(0)
    points = rng.uniform(-1.6, 1.6, (3, 400_000))
    within = points[:, inside(shape, points) < 0]
    farthest = np.linalg.norm(within, axis=0).max()
    assert farthest <= BOUNDING_RADIUS[shape] + 1e-9
    assert farthest > BOUNDING_RADIUS[shape] - 0.06


def test_shapes_look_about_as_large():
    """Areas of their silhouettes in the poses of scenes: a nearer object looks larger, whatever its shape."""
    areas = {}
    for shape in SHAPES:
        tilt = np.radians(55 if shape == "torus" else 27)
        across, up = np.meshgrid(np.linspace(-1.6, 1.6, 200), np.linspace(-1.6, 1.6, 200))
        spin = np.radians(40)
        right = np.array([np.cos(spin), 0, -np.sin(spin)])
        towards = np.array([np.sin(spin) * np.cos(tilt), np.sin(tilt), np.cos(spin) * np.cos(tilt)])
        above = np.cross(towards, right)
        start = right[:, None] * across.ravel() + above[:, None] * up.ravel()
        depth = np.linspace(-1.6, 1.6, 160)
        value = inside(shape, start[:, :, None] + towards[:, None, None] * depth)
        areas[shape] = (value < 0).any(1).mean() * 3.2**2
    assert max(areas.values()) / min(areas.values()) < 1.35, areas
