import math

import numpy as np
import pytest
from panollava_geometry import PerspectiveView, ViewPlan, plan_views
from panollava_geometry._views._footprint import local_scale, singular_values


def test_required_width_of_a_view_is_its_corner_pixel():
    # In the corner of a 90 degree square view cos² is 1/3, and a pixel spans (2/1000)/3 radians there.
    width = ViewPlan([PerspectiveView(0)]).required_width(1000)
    assert width == pytest.approx(2 * math.pi * 3 * 1000 / 2, rel=5e-3)
    assert width % 2 == 0


def test_required_width_of_a_window():
    assert plan_views("resize").required_width((100, 400)) == 400
    assert plan_views("resize").required_width((300, 400)) == 600


@pytest.mark.parametrize("view", [PerspectiveView(0, 90), PerspectiveView(33, -90, 12)])
def test_the_size_of_a_pixel_does_not_depend_on_the_pose(view):
    """Not even for the middle pixel of an odd number, whose centre is the pole."""
    ahead = singular_values(local_scale(PerspectiveView(0), (9, 9))[0])
    turned = singular_values(local_scale(view, (9, 9))[0])
    np.testing.assert_allclose(turned, ahead, rtol=0.03)  # both are finite differences
    assert ViewPlan([view]).required_width(49) == ViewPlan([PerspectiveView(0)]).required_width(49)
