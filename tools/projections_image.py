"""Draw the image of the projections in docs/geometry.md.

`python -m tools.projections_image` writes docs/assets/geometry-projections.jpg.
"""

from pathlib import Path

from panollava_geometry import CylindricalView, FisheyeView, StereographicView, extract_views, load_equirectangular
from PIL import Image

ASSETS = Path(__file__).resolve().parent.parent / "docs" / "assets"
#: Side of the square images, and the gap between all images, in pixels.
SIDE, GAP = 420, 12


def draw(panorama: Path) -> Image.Image:
    """A cylinder above two fisheye circles and a little planet."""
    erp = load_equirectangular(panorama)
    width = 3 * SIDE + 2 * GAP
    # a height of width · tan(vfov/2) / (hfov/2) makes the pixels square: 90° of 360° are 1/π of the width
    cylinder = extract_views(erp, CylindricalView(0.0, hfov_deg=360.0, vfov_deg=90.0), (round(width / 3.14159), width))
    squares = extract_views(
        erp,
        [
            FisheyeView(0.0, hfov_deg=200.0),
            FisheyeView(180.0, hfov_deg=200.0),
            StereographicView(0.0, pitch_deg=-90.0, hfov_deg=270.0),
        ],
        SIDE,
    )
    top = Image.fromarray(cylinder[0].permute(1, 2, 0).numpy())
    sheet = Image.new("RGB", (width, top.height + GAP + SIDE), "white")
    sheet.paste(top, (0, 0))
    for index, square in enumerate(squares):
        sheet.paste(Image.fromarray(square.permute(1, 2, 0).numpy()), (index * (SIDE + GAP), top.height + GAP))
    return sheet


if __name__ == "__main__":
    draw(ASSETS / "leadenhall-market.jpg").save(ASSETS / "geometry-projections.jpg", quality=84)
