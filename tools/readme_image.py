"""Draw the images of the README files: a panorama, the views that a model is shown, and the question.

`python -m tools.readme_image` writes docs/assets/readme.jpg and docs/assets/geometry-views.jpg.
"""

from pathlib import Path

from panollava_geometry import ViewPlan, extract_views, load_equirectangular, plan_views
from panollava_hf._contact_sheet import contact_sheet
from panollava_hf.asking._messages import LOOK_AROUND
from PIL import Image

ASSETS = Path(__file__).resolve().parent.parent / "docs" / "assets"
#: Width of the images in pixels.
WIDTH = 1280


def draw(panorama: Path, plan: ViewPlan, question: str = "") -> Image.Image:
    """The contact sheet of a panorama, as `panollava ask --save-views` draws it, with the question but no answer."""
    erp = load_equirectangular(panorama)
    asked = [(question, "")] if question else []
    sheet = contact_sheet(extract_views(erp, plan, (300, 300)), plan, panorama=erp, answers=asked)
    return sheet.resize((WIDTH, round(WIDTH * sheet.height / sheet.width)), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    market = draw(ASSETS / "leadenhall-market.jpg", LOOK_AROUND, "Which shop is to my right?")
    market.save(ASSETS / "readme.jpg", quality=86)
    draw(ASSETS / "sample-panorama.jpg", plan_views("anyres_e2p")).save(ASSETS / "geometry-views.jpg", quality=86)
