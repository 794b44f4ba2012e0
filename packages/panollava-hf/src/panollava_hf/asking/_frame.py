"""The sentence that explains how the images of a plan lie around the viewer."""

from functools import lru_cache

from panollava_geometry import EquirectangularView, PerspectiveView, ViewPlan

from panollava_hf.asking._directions import PROJECTIONS

#: The ring from left to right, then up and down. 100° per view, so that neighbours overlap by 10°.
LOOK_AROUND = ViewPlan(
    PerspectiveView(yaw, pitch, hfov_deg=100.0)
    for yaw, pitch in ((-90.0, 0.0), (0.0, 0.0), (90.0, 0.0), (180.0, 0.0), (0.0, 90.0), (0.0, -90.0))
)
_COMPASS = (
    "Ahead is the centre of the panorama (yaw 0°), yaw grows to the right, behind is yaw 180°, and pitch grows upwards."
)
_PROJECTION = (
    "In equirectangular projection, columns are yaw and rows are pitch; the left and right edges of the whole panorama "
    "meet behind you."
)
#: Share of the sphere that more than one view sees, from which on views are said to overlap.
_OVERLAP = 0.02
#: Share of the sphere that no view sees, from which on the rest is said to be missing.
_UNSEEN = 0.01


@lru_cache(maxsize=64)
def frame_sentence(plan: ViewPlan) -> str:
    """What the images of a plan are, where zero is, and whether they overlap or leave something out.

    Args:
        plan: The views in the order in which they are shown.

    Example:
        >>> frame_sentence(ViewPlan([PerspectiveView(0.0)])).partition(". ")[0]
        'The image below is a perspective view of a 360° panorama, labelled with the direction it looks in'
        >>> "overlap" in frame_sentence(LOOK_AROUND)
        True
    """
    count, flat = len(plan), sum(isinstance(view, EquirectangularView) for view in plan)
    names = [name for kind, name in PROJECTIONS.items() if any(isinstance(view, kind) for view in plan)]
    pinhole = sum(isinstance(view, PerspectiveView) for view in plan)
    if count == 1:
        kind = "in equirectangular projection, from" if flat else f"a {(names or ['perspective'])[0]} view of"
        sentences = [f"The image below is {kind} a 360° panorama, labelled with the direction it looks in."]
    else:
        kind = "perspective views" if pinhole == count else "equirectangular images" if flat == count else "views"
        sentences = [
            f"The {count} images below are {kind} of one 360° panorama, taken from one point in one moment.",
            "Each is labelled with the direction it looks in.",
        ]
        some = ["Some are perspective views" if pinhole else ""]
        some += ["those labelled panorama are in equirectangular projection" if flat else ""]
        some += [f"those labelled {name} are in {name} projection" for name in names]
        text = "; ".join(part for part in some if part)
        if names or 0 < flat < count:
            sentences.append(f"{text[0].upper()}{text[1:]}.")
    sentences += [_COMPASS, *([_PROJECTION] if flat else [])]
    times = plan.coverage().times
    if sum(times[2:]) > _OVERLAP:
        sentences.append("Views overlap, so an object can be in two.")
    if times[0] > _UNSEEN:
        what = "It shows" if count == 1 else "Together they show"
        sentences.append(f"{what} {max(1, round(100 * (1 - times[0])))} % of the surroundings.")
    return " ".join(sentences)
