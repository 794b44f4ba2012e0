"""Parts of the page as HTML. Every text from outside is escaped, and every image is in the page itself."""

import base64
import html
import io
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from panollava_geometry import EquirectangularView, PerspectiveView, draw_footprints, load_equirectangular
from panollava_geometry.drawing import colour
from PIL import Image

from panollava_hf._shown import shortened
from panollava_hf.asking._directions import direction
from panollava_hf.demo._spots import HotSpot

if TYPE_CHECKING:
    from panollava_geometry import ViewPlan
    from torch import Tensor

    from panollava_hf.asking import Answer
    from panollava_hf.demo._sessions import Shown

#: The directions of the buttons under the viewer.
COMPASS = (
    ("Left", -90, 0),
    ("Ahead", 0, 0),
    ("Right", 90, 0),
    ("Behind", 180, 0),
    ("Up", 0, 90),
    ("Down", 0, -90),
)
_THUMBNAIL, _MAP_WIDTH = 256, 1280
#: Points on each side of the outline of a view.
_POINTS = 16


def state(shown: "Shown | None", spots: Sequence[HotSpot] = (), plan: "ViewPlan | None" = None) -> str:
    """What the viewer shows, for its script."""
    value = {
        "image": "" if shown is None else f"panollava/panorama/{shown.token}.jpg",
        "name": "" if shown is None else shown.name,
        "spots": [spot.to_dict() for spot in spots],
        "outlines": [] if plan is None else outlines(plan),
        "colours": [] if plan is None else [_hex(index) for index, view in enumerate(plan) if _has_outline(view)],
    }
    return f'<div hidden data-state="{html.escape(json.dumps(value), quote=True)}"></div>'


def outlines(plan: "ViewPlan") -> list[list[list[float]]]:
    """The borders of the perspective views of a plan as unit vectors, x right, y up, z ahead."""
    side = np.linspace(0, 1, _POINTS)
    zero, one = np.zeros(_POINTS), np.ones(_POINTS)
    around = ((side, zero), (one, side), (side[::-1], one), (zero, side[::-1]))
    points = np.concatenate([np.stack(pair, axis=-1) for pair in around])
    return [np.round(view.pixels_to_rays(points, (1, 1)), 4).tolist() for view in plan if _has_outline(view)]


def _has_outline(view: object) -> bool:
    return isinstance(view, PerspectiveView)


def _hex(index: int) -> str:
    """The colour of a view in the viewer, which is that of its outline on the map."""
    return "#{:02x}{:02x}{:02x}".format(*colour(index))


def compass() -> str:
    """Buttons that turn the viewer."""
    buttons = "".join(
        f'<button type="button" class="chip" data-kind="compass" data-yaw="{yaw}" data-pitch="{pitch}" '
        f'aria-label="Look {name.lower()}">{name}</button>'
        for name, yaw, pitch in COMPASS
    )
    return f'<div class="chips" role="group" aria-label="Look in a direction">{buttons}</div>'


def spot_buttons(spots: Sequence[HotSpot]) -> str:
    """Buttons that turn the viewer to the places that an answer names."""
    if not spots:
        return ""
    buttons = "".join(
        f'<button type="button" class="chip spot spot-{spot.kind}" data-kind="spot" data-yaw="{spot.yaw_deg:.2f}" '
        f'data-pitch="{spot.pitch_deg:.2f}" title="{html.escape(spot.how, quote=True)}">'
        f"{html.escape(shortened(spot.label, 60))} <small>{degrees(spot.yaw_deg, spot.pitch_deg)}</small></button>"
        for spot in spots
    )
    return f'<div class="chips" role="group" aria-label="Turn to what the answer names">{buttons}</div>'


def degrees(yaw_deg: float, pitch_deg: float = 0.0) -> str:
    """A direction in whole degrees.

    Example:
        >>> degrees(-90.2, 10.0), degrees(180.0), degrees(0.0, -90.0)
        ('−90°, 10° up', '180°', '90° down')
    """
    yaw, pitch = f"{round(yaw_deg)}°".replace("-", "−"), round(pitch_deg)
    tilt = f"{abs(pitch)}° {'up' if pitch > 0 else 'down'}"
    if abs(pitch) == 90:  # yaw means nothing there
        return tilt
    return f"{yaw}, {tilt}" if pitch else yaw


def facts(answer: "Answer | None", model: str, seconds: float, more: str = "") -> str:
    """What an answer cost."""
    if answer is None:
        return ""

    def number(value: int | None) -> str:
        return "not reported" if value is None else f"{value:,}"

    entries = [
        ("Strategy", answer.strategy),
        ("Views", f"{len(answer.plan)}"),
        ("Image tokens", number(answer.image_tokens)),
        ("New tokens", number(answer.new_tokens)),
        ("Calls", number(answer.calls)),
        ("Seconds", f"{seconds:.1f}" if seconds >= 0.05 else f"{seconds:.2f}"),
        ("Model", model),
    ]
    rows = "".join(f"<div><dt>{name}</dt><dd>{html.escape(shortened(value, 60))}</dd></div>" for name, value in entries)
    notes = [note for note in (answer.note, more) if note]
    said = "".join(f'<p class="quiet">{html.escape(shortened(note, 300))}</p>' for note in notes)
    return f'<dl class="facts" aria-label="Cost of the answer">{rows}</dl>{said}'


def views_grid(answer: "Answer") -> str:
    """The views that the model received, as buttons that turn the viewer to them."""
    figures: list[tuple[tuple[float, float], str]] = []
    number = -1  # of the outline in the viewer: only perspective views have one
    for index, (pixels, view) in enumerate(zip(answer.views, answer.plan, strict=True)):
        order, swatch = (0.0, -180.0), ""
        source = thumbnail(pixels)
        if isinstance(view, PerspectiveView):
            number += 1
            swatch = f'<i class="swatch" style="background: {_hex(index)}"></i>'
            order = (
                round(abs(view.pitch_deg)) + (view.pitch_deg < 0),
                view.yaw_deg,
            )  # from left to right, then up, down
            name, small = direction(view.yaw_deg, view.pitch_deg), degrees(view.yaw_deg, view.pitch_deg)
            place = f'data-yaw="{view.yaw_deg:.1f}" data-pitch="{view.pitch_deg:.1f}" data-view="{number}"'
        else:
            name, small, place = _flat(view)
        name = name[:1].upper() + name[1:]
        figures.append(
            (
                order,
                (
                    f'<button type="button" class="view" data-kind="view" {place} '
                    f'aria-label="View {index + 1}: {html.escape(name)}, {html.escape(small)}. Turn to it.">'
                    f'<img src="{source}" alt="" loading="lazy"><span>{swatch}{html.escape(name)} '
                    f"<small>{html.escape(small)}</small></span></button>"
                ),
            )
        )
    body = "".join(figure for _, figure in sorted(figures, key=lambda entry: entry[0]))
    return f'<div class="views" role="group" aria-label="Views that the model received">{body}</div>'


def _flat(view: Any) -> tuple[str, str, str]:
    """Name, degrees and button of an equirectangular view."""
    assert isinstance(view, EquirectangularView)
    (west, east), (south, north) = view.longitude_range_deg, view.latitude_range_deg
    if east - west >= 360 and north - south >= 180:
        return "the whole panorama", "", 'data-yaw="0" data-pitch="0"'
    yaw, pitch = (west + east) / 2, (south + north) / 2
    place = f'data-yaw="{yaw:.1f}" data-pitch="{pitch:.1f}"'
    return f"{direction(yaw, pitch)}, as a flat part", degrees(yaw, pitch), place


def map_image(shown: "Shown", plan: "ViewPlan") -> str:
    """The flat panorama with the outlines of the views."""
    small = load_equirectangular(shown.image, max_width=_MAP_WIDTH)
    source = data_url(draw_footprints(small, plan))
    text = f"The flat panorama with the outlines of {len(plan)} views. Its centre is ahead, its edges are behind."
    return figure(source, text, text)


def figure(source: str, alt: str, caption: str) -> str:
    """An image with a caption."""
    return (
        f'<figure class="wide"><img src="{source}" alt="{html.escape(alt, quote=True)}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def message(text: str, kind: str = "note") -> str:
    """A sentence of the page: "error" is read out at once by screen readers, "note" when they have time."""
    if not text:
        return '<p class="status" role="status"></p>'
    role = "alert" if kind == "error" else "status"
    return f'<p class="status status-{kind}" role="{role}">{html.escape(text)}</p>'


def thumbnail(pixels: "Tensor") -> str:
    """A view of at least 240 pixels, `[3, h, w]` uint8, as a data URL. Small views are enlarged without smoothing."""
    image = Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
    width, height = image.size
    side = min(width, height)
    if side < _THUMBNAIL:
        times = -(-240 // side)
        image = image.resize((width * times, height * times), Image.Resampling.NEAREST)
    else:
        image.thumbnail((2 * _THUMBNAIL, _THUMBNAIL), Image.Resampling.LANCZOS)
    return data_url(image)


def data_url(image: Image.Image) -> str:
    """An image as JPEG in a data URL."""
    stream = io.BytesIO()
    image.convert("RGB").save(stream, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()


def sentence(error: BaseException) -> str:
    """An error as a sentence: it begins with a capital letter and ends with a full stop."""
    text = shortened(str(error), 600) or type(error).__name__
    first = text.partition(" ")[0]  # a word, not a name or an address
    head = text[:1].upper() if first.isalpha() and first.islower() else text[:1]
    return f"{head}{text[1:]}{'' if text.endswith(('.', '!', '?', '…')) else '.'}"
