"""Draw the image of docs/geometry.md about boxes: what overlapping views see of some objects, and the merged boxes.

`python -m tools.boxes_image` writes docs/assets/geometry-boxes.jpg.
"""

from pathlib import Path

from panollava_geometry import PerspectiveView, SphericalBox, boxes, draw_boxes, load_equirectangular
from PIL import Image

ASSETS = Path(__file__).resolve().parent.parent / "docs" / "assets"
VIEWS = [PerspectiveView(yaw_deg, hfov_deg=90) for yaw_deg in range(0, 360, 60)]
#: The objects of the panorama that the edges of views cut.
OBJECTS = {
    "cylinder": SphericalBox(179, -17, 38, 44),
    "ball": SphericalBox(124, 17, 48, 48),
    "red cone": SphericalBox(36, 24, 25, 32),
    "yellow cone": SphericalBox(3, -10, 31, 40),
}


def draw(panorama: Path, width: int = 1280) -> Image.Image:
    """Above: one box per view that sees an object. Below: one box per object."""
    erp = load_equirectangular(panorama, max_width=width)
    parts, scores, labels = [], [], []
    for name, whole in OBJECTS.items():
        for view in VIEWS:
            rectangle = whole.to_view_box(view)
            if rectangle is not None:
                parts.append(SphericalBox.from_view_box(view, rectangle))
                scores.append(parts[-1].area)
                labels.append(name)
    merged = boxes.merge_boxes(parts, scores, labels=labels, threshold=0.2, overlap="smaller", method="union")
    above = draw_boxes(erp, parts, labels)
    below = draw_boxes(erp, [item.box for item in merged], [item.label for item in merged])
    band = above.height // 8
    sheet = Image.new("RGB", (above.width, 2 * (above.height - 2 * band) + 8), "white")
    for top, image in ((0, above), (above.height - 2 * band + 8, below)):
        sheet.paste(image.crop((0, band, above.width, above.height - band)), (0, top))
    return sheet


if __name__ == "__main__":
    draw(ASSETS / "sample-panorama.jpg").save(ASSETS / "geometry-boxes.jpg", quality=84)
