"""What a strategy needs: a family that can take it, and a panorama of sufficient resolution."""

from collections.abc import Collection

from panollava_geometry import PerspectiveView, ViewPlan

from panollava_hf._errors import ChatError
from panollava_hf._shown import shown
from panollava_hf.asking._panorama import WHOLE_WIDTH
from panollava_hf.asking.strategies._look import Look
from panollava_hf.asking.strategies._region_lines import MIN_WIDTH_DEG

#: Strategies that show one image in a prompt, or can do so.
ONE_IMAGE = ("describe", "zoom", "erp")


def check_strategy(name: str, strategy: str, look: Look, known: Collection[str]) -> None:
    """Check that a model can take a strategy.

    Args:
        name: Name of the model.
        strategy: Name of the strategy.
        look: The views and the family of the model.
        known: The names of all strategies.

    Raises:
        ChatError: The strategy is unknown, or does not work with this family and this number of views.
    """
    if strategy not in known:
        raise ChatError(f"unknown strategy {shown(strategy)}; expected one of {', '.join(known)}")
    if look.family.reads_panoramas and strategy != "views":
        raise ChatError(
            f"{name}: strategy {strategy} does not work with PanoLLaVA checkpoints, which cut their own views; use "
            "--strategy views"
        )
    most = look.family.max_images
    if strategy == "views" and not look.family.reads_panoramas and most is not None and len(look.plan) > most:
        raise ChatError(
            f"{name}: strategy views shows {len(look.plan)} images in one prompt, but this model takes {most}; use "
            f"--strategy {', '.join(ONE_IMAGE[:-1])} or {ONE_IMAGE[-1]}"
        )


def needed_width(strategy: str, look: Look) -> int | None:
    """Width in pixels at which a panorama is decoded for a strategy; None: all pixels.

    More would be averaged away again: no pixel of any view is finer than this.

    Args:
        strategy: Name of the strategy.
        look: How the panorama is shown.
    """
    if look.family.reads_panoramas:
        return None
    if strategy == "erp":
        return WHOLE_WIDTH
    width = look.plan.required_width(look.size)
    if strategy != "views":
        width = max(width, WHOLE_WIDTH)
    if strategy == "zoom":
        width = max(width, ViewPlan([PerspectiveView(0.0, hfov_deg=MIN_WIDTH_DEG)]).required_width(look.size))
    return width
