"""The package: its public names, what it imports, and that shapes are checked under test."""

import ast
import subprocess
import sys
from pathlib import Path

import panollava_geometry
import pytest
import torch
from panollava_geometry import plan_views, view_rays
from panollava_geometry._sampling._wraparound import cut_tensor


def test_inventory():
    assert sorted(panollava_geometry.__all__) == [
        "CameraPoses",
        "Correspondences",
        "Coverage",
        "CylindricalView",
        "EquirectangularView",
        "FisheyeView",
        "PanoramaError",
        "PanoramaWarning",
        "PerspectiveView",
        "SphericalBox",
        "StereographicView",
        "ViewPlan",
        "convert_cubemap",
        "cubemap_to_equirect",
        "draw_boxes",
        "draw_footprints",
        "dual_fisheye_to_equirect",
        "equirect_to_cubemap",
        "extract_views",
        "find_correspondences",
        "fisheye_to_equirect",
        "is_panorama",
        "load_equirectangular",
        "load_views",
        "map_views",
        "normals_to_view",
        "normals_to_world",
        "paste_views",
        "plan_views",
        "radial_to_z_depth",
        "rotate_equirectangular",
        "rotate_normals",
        "rotation_matrix",
        "save_equirectangular",
        "view_rays",
        "z_to_radial_depth",
    ]
    for name in panollava_geometry.__all__:
        value = getattr(panollava_geometry, name)
        assert value.__doc__
        assert value.__module__ == f"panollava_geometry.{panollava_geometry._MODULES[name]}"


def test_inventory_of_drawing():
    from panollava_geometry import drawing

    functions = (
        "colour contrast degrees_text direction_words draw_captions draw_outlines font place_labels sequential "
        "text_line text_lines text_on text_size view_words with_colour_bar"
    )
    assert set(drawing.__all__) == {
        *functions.split(),
        *"EMPTY GREY INK PALETTE PAPER Caption Colour Rectangle TextLine".split(),
    }
    assert drawing.__all__ == sorted(drawing.__all__, key=lambda name: (not name.isupper(), name.islower(), name))
    assert all(getattr(drawing, name).__doc__ for name in functions.split())


def test_the_three_lists_of_names_are_the_same():
    """`__all__`, the modules of the names, and the imports that type checkers read."""
    tree = ast.parse(Path(panollava_geometry.__file__).read_text(encoding="utf-8"))
    (checked,) = (node for node in tree.body if isinstance(node, ast.If))
    imported = {alias.name: node.module for node in checked.body for alias in node.names}
    assert imported == {name: f"panollava_geometry.{module}" for name, module in panollava_geometry._MODULES.items()}
    assert panollava_geometry.__all__ == list(panollava_geometry._MODULES)
    assert set(panollava_geometry.__all__) <= set(dir(panollava_geometry))


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="module 'panollava_geometry' has no attribute 'plan_vews'"):
        panollava_geometry.plan_vews  # noqa: B018
    with pytest.raises(ImportError):
        from panollava_geometry import plan_vews  # noqa: F401


#: Never imported by using the package for panoramas in memory; `optional` only where they are used.
OPTIONAL = {"cv2", "py360convert", "scipy", "sympy", "torch._dynamo", "typer", "rich", "transformers"}


@pytest.mark.parametrize(
    ("code", "imported"),
    [
        ("import panollava_geometry", set()),
        ("from panollava_geometry import PanoramaError", set()),
        ("from panollava_geometry import ViewPlan, plan_views; plan_views().to_json()", {"numpy"}),
        ("from panollava_geometry import *", {"numpy", "torch", "PIL"}),
        (
            "import torch; from panollava_geometry import extract_views, plan_views; "
            "extract_views(torch.zeros(3, 8, 16), plan_views(), 4)",
            {"numpy", "torch"},
        ),
    ],
)
def test_imports_are_quiet_and_light(code, imported):
    code = (
        f"import sys, warnings; warnings.simplefilter('error'); {code}; "
        f"print(*sorted({OPTIONAL | {'numpy', 'torch', 'PIL'}!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(done.stdout.split()) == imported


def test_errors_are_value_errors():
    assert issubclass(panollava_geometry.PanoramaError, ValueError)


def test_canary_shapes_are_checked():
    with pytest.raises(Exception, match=r"Type-?[Cc]heck"):
        cut_tensor(torch.zeros(3), (0, 1), (0, 1))


def test_smoke():
    assert view_rays(plan_views(), 3).shape == (7, 3, 3, 3)
