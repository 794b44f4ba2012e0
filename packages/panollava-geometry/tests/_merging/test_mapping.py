"""`map_views`: split, call, merge. Witnesses are formulas in float64 NumPy."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from panollava_geometry import (
    EquirectangularView,
    PanoramaError,
    PerspectiveView,
    ViewPlan,
    map_views,
    plan_views,
)
from PIL import Image

CUBE = plan_views("cubemap", fov_deg=110)
RINGS = plan_views("e2p", fov_deg=90, pitch_range_deg=(-90, 90), num_rings=None)


def identity(views):
    return views


def view_of(number, rays, plan):
    """Coordinates of rays on the image plane of a pinhole view (x right, y up, z forward), from the formulas."""
    view = plan[number]
    w, p = math.radians(view.yaw_deg), math.radians(view.pitch_deg)
    x, y, z = np.moveaxis(rays, -1, 0)
    x, z = math.cos(w) * x - math.sin(w) * z, math.sin(w) * x + math.cos(w) * z
    y, z = math.cos(p) * y - math.sin(p) * z, math.sin(p) * y + math.cos(p) * z
    return x, y, z


def merged_by_formula(values, plan, height, rays):
    """The weighted mean of views `[V, h, w]`, all of one square field of view: weights (1 - |u|) (1 - |v|)."""
    side = values.shape[-1]
    total, weights = np.zeros((height, 2 * height)), np.zeros((height, 2 * height))
    for number, image in enumerate(values):
        half = math.tan(math.radians(plan[number].hfov_deg) / 2)
        x, y, z = view_of(number, rays, plan)
        safe = np.where(z > 0, z, 1.0)
        u, v = np.where(z > 0, x / safe / half, 9.0), np.where(z > 0, -y / safe / half, 9.0)
        weight = np.clip(1 - abs(u), 0, None) * np.clip(1 - abs(v), 0, None)
        column, row = (np.clip((t + 1) * side / 2 - 0.5, 0, side - 1) for t in (u, v))
        left, top = (np.minimum(np.floor(t).astype(int), side - 2) for t in (column, row))
        a, b = column - left, row - top
        read = (1 - b) * ((1 - a) * image[top, left] + a * image[top, left + 1])
        read += b * ((1 - a) * image[top + 1, left] + a * image[top + 1, left + 1])
        total += weight * read
        weights += weight
    return total / weights


@pytest.mark.parametrize("plan", [CUBE, RINGS])
def test_merging_is_the_formula(formulas, plan):
    made = []

    def noise(views):
        made.append(torch.rand(len(views), 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
        return made[0]

    merged = map_views(noise, torch.zeros(1, 32, 64, dtype=torch.float64), plan, 16)
    expected = merged_by_formula(made[0].numpy(), plan, 32, formulas.panorama(32))
    assert np.abs(merged.numpy() - expected).max() < 1e-5


@pytest.mark.parametrize(("plan", "least"), [(CUBE, 50), (RINGS, 50), (plan_views("sliding_window"), 60)])
def test_identity_is_the_panorama_seam_and_poles_included(formulas, plan, least):
    expected = 255 * formulas.smooth(formulas.panorama(128))
    merged = map_views(identity, torch.from_numpy(expected), plan).numpy()
    parts = {
        "all": np.s_[...],
        "seam": np.s_[..., [0, 1, -2, -1]],
        "zenith": np.s_[..., :2, :],
        "nadir": np.s_[..., -2:, :],
    }
    for name, part in parts.items():
        assert formulas.psnr(merged[part], expected[part]) > least, name


@pytest.mark.parametrize("plan", [CUBE, RINGS, plan_views("anyres_max")])
def test_a_constant_stays_constant(plan):
    """The weights add up to 1 everywhere."""
    assert (map_views(identity, torch.full((3, 64, 128), 137, dtype=torch.uint8), plan, 33) == 137).all()
    merged = map_views(identity, torch.full((1, 64, 128), 0.3, dtype=torch.float64), plan, 33)
    assert (merged - 0.3).abs().max() < 1e-15


def test_there_is_no_step_where_a_view_ends(formulas):
    """Views with different brightness: neighbouring pixels differ as little as the weights allow."""
    brightness = torch.arange(float(len(CUBE)))[:, None, None]
    merged = map_views(lambda views: brightness.expand(-1, 64, 64), torch.zeros(1, 256, 512), CUBE, 64)
    rows = merged[64:192]
    assert (rows - rows.roll(1, -1)).abs().max() < 0.4  # a cut would be a step of up to 3
    assert merged.unique().numel() > 1000


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.floats(-3, 3), st.floats(-3, 3), st.integers(0, 99))
def test_merging_is_linear(a, b, seed):
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.rand(2, 2, 16, 32, dtype=torch.float64, generator=generator)
    merge = lambda erp: map_views(lambda v: v.flip(-1) * 2, erp, CUBE, 12)  # noqa: E731
    assert torch.allclose(merge(a * x + b * y), a * merge(x) + b * merge(y), atol=1e-9)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(1, 7), st.integers(0, 99))
def test_batches_change_nothing(batch_size, seed):
    panoramas = torch.rand(2, 3, 16, 32, generator=torch.Generator().manual_seed(seed))
    sizes = []

    def function(views):
        sizes.append(len(views))
        return views.square()

    whole, parts = (
        map_views(function, panoramas, CUBE, 8),
        map_views(function, panoramas, CUBE, 8, batch_size=batch_size),
    )
    assert torch.equal(whole, parts)
    assert whole.shape == (2, 3, 16, 32)
    assert sizes[0] == 12
    assert sum(sizes[1:]) == 12
    assert max(sizes[1:]) == batch_size


def test_features_on_a_grid_of_patches(formulas):
    panorama = torch.from_numpy(formulas.smooth(formulas.panorama(64)))
    patches = torch.nn.AvgPool2d(7)
    features = map_views(patches, panorama, CUBE, 56, erp_size=32)
    assert features.shape == (3, 32, 64)
    assert np.abs(features.numpy() - formulas.smooth(formulas.panorama(32))).max() < 0.1


@pytest.mark.parametrize("kind", ["labels", "votes"])
def test_labels_are_never_invented(kind):
    labels = torch.randint(0, 9, (1, 64, 128), generator=torch.Generator().manual_seed(1)) * 1000 - 3
    merged = map_views(identity, labels, RINGS, 90, kind=kind, interpolation="nearest")
    assert merged.dtype == torch.int64
    assert torch.isin(merged, labels).all()
    stripes = (torch.arange(128) // 16).expand(1, 64, 128)
    merged = map_views(identity, stripes, RINGS, 90, kind=kind, interpolation="nearest")
    assert (merged == stripes)[:, 8:-8].float().mean() > 0.95
    masks = map_views(lambda views: views[:, 0] > 4, stripes.float(), CUBE, 90, kind=kind)
    assert masks.dtype == torch.bool


def test_votes_are_counted(formulas):
    """Every pixel has the label with the largest total weight, summed in float64 by the formula."""
    generator = torch.Generator().manual_seed(2)
    votes = torch.randint(0, 3, (len(RINGS),), generator=generator)
    merged = map_views(
        lambda views: votes[:, None, None].expand(-1, 5, 5), torch.zeros(1, 24, 48), RINGS, 8, kind="votes"
    )
    rays, support = formulas.panorama(24), np.zeros((3, 24, 48))
    for number, label in enumerate(votes.tolist()):
        x, y, z = view_of(number, rays, RINGS)
        safe = np.where(z > 0, z, 1.0)
        u, v = np.where(z > 0, x / safe, 9.0), np.where(z > 0, y / safe, 9.0)
        support[label] += np.clip(1 - abs(u), 0, None) * np.clip(1 - abs(v), 0, None)
    clear = np.sort(support, axis=0)
    clear = clear[2] - clear[1] > 1e-4
    assert clear.mean() > 0.9
    assert (merged.numpy() == support.argmax(0))[clear].all()


def test_logits_are_averaged_then_decided():
    scores = torch.rand(6, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    mean = map_views(lambda views: scores, torch.zeros(1, 16, 32), CUBE, 8)
    classes = map_views(lambda views: scores, torch.zeros(1, 16, 32), CUBE, 8, kind="logits")
    assert classes.shape == (16, 32)
    assert classes.dtype == torch.int64
    assert torch.equal(classes, mean.argmax(0))


def room(rays):
    """Distance to the walls of a room of 6 x 3 x 8 m with the camera off its centre."""
    low, high = np.array([-2.0, -1.5, -3.0]), np.array([4.0, 1.5, 5.0])
    with np.errstate(divide="ignore"):
        return np.maximum(low / rays, high / rays).min(-1)


def room_normals(rays):
    axis = np.maximum(np.array([-2.0, -1.5, -3.0]) / rays, np.array([4.0, 1.5, 5.0]) / rays).argmin(-1)
    normal = np.zeros_like(rays)
    np.put_along_axis(normal, axis[..., None], -np.sign(np.take_along_axis(rays, axis[..., None], -1)), -1)
    return normal


def scale_of(number):
    return 0.4 + 0.35 * (number * 5 % 7)


def z_depth_of_room(formulas, plan, side):
    depths = []
    for view in plan:
        rays = formulas.view(view.yaw_deg, view.pitch_deg, 0, view.hfov_deg, view.hfov_deg, side, side)
        axis = formulas.view(view.yaw_deg, view.pitch_deg, 0, 1, 1, 1, 1)[0, 0]
        depths.append(room(rays) * (rays @ axis))
    return torch.from_numpy(np.stack(depths))


@pytest.mark.parametrize("plan", [CUBE, RINGS])
@pytest.mark.parametrize(
    ("kind", "align"),
    [
        ("z_depth", None),
        ("z_depth", "scale"),
        ("z_depth", "scale_shift"),
        ("inverse_z_depth", "scale"),
        ("inverse_z_depth", "scale_shift"),
    ],
)
def test_depth_of_a_room(formulas, plan, kind, align):
    """A model that returns the z-depth of each view, at its own scale and shift, gives the room back."""
    z = z_depth_of_room(formulas, plan, 96)
    values = 1 / z if kind == "inverse_z_depth" else z
    for number in range(len(plan)):
        if align is not None:
            values[number] *= scale_of(number)
        if align == "scale_shift":
            values[number] += 0.1 * (number % 3) - 0.05
    merged = map_views(lambda views: values, torch.zeros(1, 128, 256), plan, 96, kind=kind, align=align).numpy()
    merged = 1 / merged if kind == "inverse_z_depth" else merged
    expected = room(formulas.panorama(128))
    factor = 1.0 if align is None else np.median(merged / expected)
    error = np.abs(merged / factor / expected - 1)
    assert np.median(error) < 3e-3
    assert np.quantile(error, 0.99) < 0.02


def test_radial_depth_with_scale_and_shift(formulas):
    """Along the rays, a shift of all views cannot be found: the result is the room up to one scale and shift."""
    values = torch.from_numpy(
        np.stack([room(formulas.view(v.yaw_deg, v.pitch_deg, 0, 110, 110, 96, 96)) for v in CUBE])
    )
    for number in range(6):
        values[number] = values[number] * scale_of(number) + number
    merged = map_views(lambda views: values, torch.zeros(1, 96, 192), CUBE, 96, kind="depth", align="scale_shift")
    expected = room(formulas.panorama(96)).ravel()
    slope, offset = np.polyfit(expected, merged.numpy().ravel(), 1)
    assert np.quantile(np.abs((merged.numpy().ravel() - offset) / slope / expected - 1), 0.98) < 0.03


def test_scales_of_a_batch_are_found_one_by_one(formulas):
    z = z_depth_of_room(formulas, CUBE, 48)
    scales = torch.tensor([[1, 2, 3, 4, 5, 6], [6, 1, 1, 9, 1, 1]], dtype=torch.float64)
    values = (scales[:, :, None, None] * z).flatten(0, 1)
    merged = map_views(lambda views: values, torch.zeros(2, 1, 32, 64), CUBE, 48, kind="z_depth", align="scale")
    mean = scales.log().mean(1).exp()  # the geometric mean of the factors is 1
    expected = room(formulas.panorama(32))
    for item in (0, 1):
        assert abs(np.median(merged[item].numpy() / expected) / float(mean[item]) - 1) < 0.01


def test_flat_inverse_depth_keeps_its_scale():
    """At a constant, scale and shift cannot be separated."""
    merged = map_views(
        lambda views: torch.full((6, 8, 8), 2.0), torch.zeros(1, 16, 32), CUBE, 8, kind="inverse_depth",
        align="scale_shift",
    )  # fmt: skip
    assert (merged - 2).abs().max() < 1e-4


def test_normals_of_a_room(formulas):
    axes = [np.stack([formulas.view(v.yaw_deg, v.pitch_deg, 0, 90, 90, 1, 1)[0, 0]]) for v in CUBE]
    maps = []
    for view, forward in zip(CUBE, axes, strict=True):
        world = room_normals(formulas.view(view.yaw_deg, view.pitch_deg, 0, 110, 110, 64, 64))
        right = np.array([math.cos(math.radians(view.yaw_deg)), 0, -math.sin(math.radians(view.yaw_deg))])
        up = np.cross(forward[0], right)
        maps.append((world @ np.stack([right, up, forward[0]]).T).transpose(2, 0, 1))
    values = torch.from_numpy(np.stack(maps))
    merged = map_views(lambda views: values, torch.zeros(1, 64, 128), CUBE, 64, kind="normals").numpy()
    expected = room_normals(formulas.panorama(64)).transpose(2, 0, 1)
    assert np.allclose(np.linalg.norm(merged, axis=0), 1, atol=1e-6)
    assert np.quantile((merged * expected).sum(0), 0.15) > 0.999


def test_gradients_flow_and_no_grad_is_not_forced():
    panorama = torch.rand(1, 8, 16, dtype=torch.float64, requires_grad=True)
    weight = torch.rand(2, 1, 3, 3, dtype=torch.float64, requires_grad=True)
    convolve = lambda views: torch.nn.functional.conv2d(views, weight, padding=1)  # noqa: E731
    map_views(convolve, panorama, CUBE, 6).square().sum().backward()
    assert panorama.grad.abs().min() > 0
    assert weight.grad.abs().min() > 0
    values = torch.rand(6, 4, 4, dtype=torch.float64, requires_grad=True)
    aligned = lambda v: map_views(lambda _: v + 1, panorama.detach(), CUBE, 6, kind="z_depth", align="scale")  # noqa: E731
    assert torch.autograd.gradcheck(aligned, (values,), fast_mode=True)  # all derivatives take half a minute
    with torch.inference_mode():
        assert not map_views(convolve, panorama, CUBE, 6).requires_grad


def test_arrays_and_images(formulas):
    rgb = (formulas.smooth(formulas.panorama(32)) * 255).round().astype(np.uint8).transpose(1, 2, 0)
    for erp in (rgb, Image.fromarray(rgb)):
        grey = map_views(lambda views: views.float().mean(1), erp, CUBE, 24)
        assert isinstance(grey, np.ndarray)
        assert grey.shape == (32, 64)
        assert np.abs(grey - rgb.mean(-1)).max() < 6
        back = map_views(lambda views: views.permute(0, 2, 3, 1).numpy(), erp, CUBE)
        assert back.dtype == np.uint8
        assert back.shape == rgb.shape
        assert formulas.psnr(back, rgb) > 40
    seen = []

    def pipeline(images):
        seen.extend(images)
        return [{"depth": image.convert("L"), "predicted_depth": torch.ones(3, 5), "names": "x"} for image in images]

    found = map_views(
        pipeline, Image.fromarray(rgb), CUBE, 24, as_images=True, batch_size=4,
        kind={"predicted_depth": "z_depth", "depth": "values"},
    )  # fmt: skip
    assert [image.size for image in seen] == [(24, 24)] * 6
    assert seen[0].mode == "RGB"
    assert list(found) == ["predicted_depth", "depth"]
    assert found["depth"].dtype == np.uint8
    assert found["depth"].shape == (32, 64)
    assert found["predicted_depth"].min() >= 1
    assert found["predicted_depth"].max() <= 1 / math.cos(math.radians(64))
    palette = Image.fromarray(rgb[..., 0] // 100).convert("P")
    modes = []
    map_views(
        lambda images: modes.extend(i.mode for i in images) or images,
        palette, CUBE, 8, as_images=True, kind="labels", interpolation="nearest",
    )  # fmt: skip
    assert set(modes) == {"P"}


def test_several_outputs():
    panorama = torch.rand(3, 16, 32)
    function = lambda views: (views, views.argmax(1))  # noqa: E731
    image, labels = map_views(function, panorama, CUBE, 12, kind=("values", "labels"))
    assert image.shape == (3, 16, 32)
    assert labels.shape == (16, 32)
    by_name = map_views(
        lambda views: {"image": views, "labels": views.argmax(1), "hidden": None},
        panorama, CUBE, 12, kind={"labels": "labels", "image": "values"},
    )  # fmt: skip
    assert torch.equal(by_name["image"], image)
    assert torch.equal(by_name["labels"], labels)


def test_unsigned_labels_of_arrays_keep_their_values():
    labels = np.full((6, 4, 4), 60_000, np.uint16)
    merged = map_views(lambda views: labels, np.zeros((8, 16, 3), np.uint8), CUBE, 4, kind="labels")
    assert (merged == 60_000).all()


def test_unseen_directions():
    ring = plan_views("e2p")
    calls = []
    with pytest.raises(PanoramaError, match=r"do not see 31 % of the panorama: pass fill="):
        map_views(calls.append, torch.zeros(3, 32, 64), ring, 8)
    assert not calls  # before the model runs
    merged = map_views(lambda views: views + 1, torch.zeros(3, 32, 64), ring, 8, fill=-5)
    assert set(merged.mul(1e6).round().div(1e6).unique().tolist()) == {-5.0, 1.0}
    classes = map_views(lambda views: views, torch.zeros(3, 32, 64), ring, 8, kind="logits", fill=255)
    assert set(classes.unique().tolist()) == {0, 255}
    with pytest.raises(PanoramaError, match="fill must be a whole number from 0 to 255"):
        map_views(identity, torch.zeros(3, 32, 64, dtype=torch.uint8), ring, 8, fill=-1)


def test_other_projections():
    from panollava_geometry import CylindricalView, FisheyeView

    panorama = torch.full((1, 32, 64), 7, dtype=torch.uint8)
    eyes = [FisheyeView(0, hfov_deg=200), FisheyeView(180, hfov_deg=200)]
    assert (map_views(identity, panorama, eyes) == 7).all()
    assert (map_views(identity, panorama, CylindricalView(0, vfov_deg=100), fill=7) == 7).all()
    with pytest.raises(PanoramaError, match="z-depth needs an optical axis, got a FisheyeView"):
        map_views(lambda views: views.float(), panorama, eyes, kind="z_depth")


ZEROS = torch.zeros(3, 16, 32)


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (lambda views: views[:1], {}, r"shape \(1, 3, 8, 8\); expected \[6, h, w\] or \[6, channels, h, w\]"),
        (lambda views: views.mean(), {}, r"shape \(\); expected \[6, h, w\]"),
        (lambda views: views.flatten(1), {}, r"shape \(6, 192\); expected"),
        (
            lambda views: "depth",
            {},
            r"must be a tensor \[6, h, w\] or .*, an array, or a list with one per view, got str",
        ),
        (lambda views: None, {}, "got NoneType"),
        (lambda views: [], {}, "got a list, length 0"),
        (lambda views: list(views[:2]), {}, "got 6 views and returned a list of 2: expected one per view"),
        (lambda views: [v[:, : 2 + i] for i, v in enumerate(views)], {}, "must have one shape and dtype for all views"),
        (lambda views: views.numpy()[:2], {}, r"shape \(2, 3, 8, 8\); expected \[6, h, w\] or \[6, h, w, channels\]"),
        (lambda views: (views, views.argmax(1)), {}, r"output 1 of the function must be uint8 or floating point"),
        (
            lambda views: {"a": views},
            {"kind": {"b": "values"}},
            "did not return the output 'b', only .'a'.: change kind",
        ),
        (identity, {"kind": {"b": "values"}}, r"kind names the outputs .'b'., but the function returned Tensor"),
        (lambda views: views.argmax(1), {}, "must be uint8 or floating point for kind='values', got torch.int64"),
        (identity, {"kind": "depth"}, "has 3 channels, and kind='depth' takes"),
        (lambda views: views[:, :2], {"kind": "normals"}, "has 2 channels, and kind='normals' takes"),
        (identity, {"kind": "dept"}, "unknown kind 'dept' of output: choose from values, logits"),
        (identity, {"align": "scale"}, "align='scale' is for depth"),
        (identity, {"align": "x", "kind": "depth"}, "unknown align 'x'"),
        (identity, {"batch_size": 0}, "batch_size must be a positive int or None, got 0"),
        (identity, {"erp_size": (8, 8)}, "erp_size must be"),
        (identity, {"fill": "x"}, "fill must be a number or None"),
        (identity, {"as_images": True}, "as_images=True needs a uint8 panorama"),
        (
            lambda views: views[:, :1],
            {"kind": "depth", "align": "scale"},
            "align needs views that overlap with positive",
        ),
        (None, {}, "function must be callable, got NoneType"),
    ],
)
def test_errors(uninstrumented, function, options, message):
    with pytest.raises(PanoramaError, match=message) as caught:
        map_views(function, ZEROS, CUBE, 8, **options)
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


def test_align_needs_an_overlap():
    cube = plan_views("cubemap")
    with pytest.raises(PanoramaError, match="align needs views that overlap with positive values, but 5 of 6 views"):
        map_views(lambda views: views[:, :1] + 1, ZEROS, cube, 8, kind="depth", align="scale")


def test_contradicting_views_are_an_error():
    values = torch.rand(6, 16, 16, generator=torch.Generator().manual_seed(0))
    values[0] = 1 - values[0]
    x = torch.linspace(0, 1, 16)
    values = x.expand(6, 16, 16).clone()
    values[3] = 1 - x
    with pytest.raises(PanoramaError, match=r"align='scale_shift' gives view \d the scale .*, which must be positive"):
        map_views(lambda views: values, ZEROS, CUBE, 16, kind="inverse_depth", align="scale_shift")


def test_outputs_must_be_the_same_in_all_batches():
    sizes = iter([4, 5])
    with pytest.raises(PanoramaError, match="must have one shape and dtype in all batches"):
        map_views(lambda views: torch.zeros(len(views), next(sizes), 4), ZEROS, CUBE, 8, batch_size=3)


def test_an_empty_batch_is_refused():
    with pytest.raises(PanoramaError, match=r"no panorama in a batch of shape \(0, 3, 16, 32\)"):
        map_views(identity, torch.zeros(0, 3, 16, 32), CUBE, 8)


def test_errors_of_the_function_pass_unchanged():
    def fails(views):
        raise KeyError("of the model")

    with pytest.raises(KeyError, match="of the model"):
        map_views(fails, ZEROS, CUBE, 8)


def test_size_of_the_views():
    shapes = []

    def record(views):
        shapes.append(tuple(views.shape))
        return views

    map_views(record, ZEROS, ViewPlan([EquirectangularView(), PerspectiveView(0)]))
    assert shapes == [(2, 3, 16, 32)]
