"""Boxes on the sphere: overlaps, detections of overlapping views, and regions of the panorama."""

from panollava_geometry._boxes._box_merging import MergedBox, merge_boxes, non_maximum_suppression
from panollava_geometry._boxes._box_overlaps import pairwise_iou
from panollava_geometry._boxes._box_regions import (
    box_around,
    box_to_erp,
    box_to_sph,
    box_to_window,
    erp_to_box,
    latitude_box_to_box,
    sph_to_box,
    window_to_box,
)
from panollava_geometry._boxes._spherical_box import SphericalBox

__all__ = [
    "MergedBox",
    "SphericalBox",
    "box_around",
    "box_to_erp",
    "box_to_sph",
    "box_to_window",
    "erp_to_box",
    "latitude_box_to_box",
    "merge_boxes",
    "non_maximum_suppression",
    "pairwise_iou",
    "sph_to_box",
    "window_to_box",
]
