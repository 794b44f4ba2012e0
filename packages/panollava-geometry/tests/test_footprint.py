import math

import pytest
from panollava_geometry import PerspectiveView, ViewPlan, plan_views


def test_required_width_of_a_view_is_its_corner_pixel():
    # In the corner of a 90 degree square view cos² is 1/3, and a pixel spans (2/1000)/3 radians there.
    width = ViewPlan([PerspectiveView(0)]).required_width(1000)
    assert width == pytest.approx(2 * math.pi * 3 * 1000 / 2, rel=5e-3)
    assert width % 2 == 0


def test_required_width_of_a_window():
    assert plan_views("resize").required_width((100, 400)) == 400
    assert plan_views("resize").required_width((300, 400)) == 600
