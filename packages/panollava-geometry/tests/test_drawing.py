import numpy as np
from panollava_geometry import draw_footprints, plan_views


def test_footprints_are_drawn_where_the_views_look(photo_like):
    black = photo_like * 0
    drawn = np.asarray(draw_footprints(black, plan_views("e2p", num_views=1))).any(-1)
    assert drawn[512 // 4 - 5 : 512 // 4 + 5, 512].any()  # the top edge of the view ahead, 45 degrees up
    assert not drawn[:, :200].any()  # nothing behind
