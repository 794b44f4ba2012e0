import numpy as np
import torch
from panollava_geometry import SphericalBox, draw_boxes, draw_footprints, plan_views


def test_footprints_are_drawn_where_the_views_look(photo_like):
    black = photo_like * 0
    drawn = np.asarray(draw_footprints(black, plan_views("e2p", num_views=1))).any(-1)
    assert drawn[512 // 4 - 5 : 512 // 4 + 5, 512].any()  # the top edge of the view ahead, 45 degrees up
    assert not drawn[:, :200].any()  # nothing behind


def test_labels_of_boxes_next_to_each_other_hide_none_of_them():
    erp = torch.zeros(3, 512, 1024, dtype=torch.uint8)
    boxes = [SphericalBox(6 * k, 0, 5, 20) for k in range(6)]
    labelled = np.asarray(draw_boxes(erp, boxes, [f"a long label {k}" for k in range(6)]))
    assert (labelled[230:] == np.asarray(draw_boxes(erp, boxes))[230:]).all()
    assert labelled[:225].any(axis=(1, 2)).sum() > 6 * 12
