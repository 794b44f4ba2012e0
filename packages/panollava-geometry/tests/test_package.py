"""The package as a whole: its surface, its import, and that shapes are checked under test."""

import subprocess
import sys

import panollava_geometry
import pytest
import torch
from panollava_geometry import plan_views, view_rays
from panollava_geometry._patches import cut_tensor


def test_inventory():
    assert sorted(panollava_geometry.__all__) == [
        "Correspondences",
        "Coverage",
        "EquirectangularView",
        "PanoramaError",
        "PerspectiveView",
        "ViewPlan",
        "cubemap_to_equirect",
        "draw_footprints",
        "equirect_to_cubemap",
        "extract_views",
        "find_correspondences",
        "load_equirectangular",
        "load_views",
        "paste_views",
        "plan_views",
        "rotate_equirectangular",
        "rotation_matrix",
        "view_rays",
    ]
    for name in panollava_geometry.__all__:
        assert getattr(panollava_geometry, name).__doc__


def test_import_is_quiet_and_light():
    code = (
        "import sys, warnings; warnings.simplefilter('error'); import panollava_geometry; "
        "print(sorted({'cv2', 'py360convert', 'scipy', 'typer', 'rich', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip(), done.stderr.strip()) == (0, "[]", "")


def test_errors_are_value_errors():
    assert issubclass(panollava_geometry.PanoramaError, ValueError)


def test_canary_shapes_are_checked():
    with pytest.raises(Exception, match=r"Type-?[Cc]heck"):
        cut_tensor(torch.zeros(3), (0, 1), (0, 1))


def test_smoke():
    assert view_rays(plan_views(), 3).shape == (7, 3, 3, 3)
