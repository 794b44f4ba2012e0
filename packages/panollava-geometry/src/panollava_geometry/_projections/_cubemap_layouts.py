"""The layouts in which the six faces of a cubemap are stored: one axis, a list, a dictionary, a row, or a cross.

The order and orientation of the faces are those of py360convert in every layout:
front, right, back, left, up, down.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from jaxtyping import Shaped
from numpy import ndarray
from torch import Tensor

from panollava_geometry._arrays._containers import Opened, open_image, open_views
from panollava_geometry._arrays._options import Interpolation
from panollava_geometry._arrays._tensors import check_tensor
from panollava_geometry._errors import PanoramaError, short

CubemapLayout = Literal["stack", "list", "dict", "horizon", "dice"]
#: Keys of the layout `dict`, in the order of the faces.
FACES = ("F", "R", "B", "L", "U", "D")
#: Row and column of each face in the layout `dice`.
_DICE = ((1, 1), (1, 2), (1, 3), (1, 0), (0, 1), (2, 1))


def check_layout(layout: object) -> None:
    """Check the name of a layout.

    Raises:
        PanoramaError: It is unknown.
    """
    if layout not in get_args(CubemapLayout):
        raise PanoramaError(f"unknown layout {short(layout)}: choose from {', '.join(get_args(CubemapLayout))}")


def open_cubemap(cubemap: object, layout: CubemapLayout | None, interpolation: Interpolation) -> Opened:
    """Open the faces of a cubemap: tensors, NumPy arrays or Pillow images in any layout.

    Args:
        cubemap: The cubemap.
        layout: Its layout. None means `dict` for a dictionary, `list` for a list, and `stack` for anything else.
        interpolation: With `nearest`, any dtype.

    Returns:
        Faces as a tensor `[..., 6, C, w, w]`, and the function that restores images.

    Raises:
        PanoramaError: The layout is unknown, or the cubemap is not in it.
    """
    if layout is None:
        layout = "dict" if isinstance(cubemap, Mapping) else "list" if isinstance(cubemap, Sequence) else "stack"
    check_layout(layout)
    if layout == "dict":
        if not isinstance(cubemap, Mapping) or set(cubemap) != set(FACES):
            found = sorted(map(str, cubemap)) if isinstance(cubemap, Mapping) else type(cubemap).__name__
            raise PanoramaError(f"a cubemap of layout 'dict' must have the keys {', '.join(FACES)}, got {short(found)}")
        return open_cubemap([cubemap[key] for key in FACES], "list", interpolation)
    if layout == "list":
        if not isinstance(cubemap, Sequence) or isinstance(cubemap, str | bytes) or len(cubemap) != 6:
            found = f"{len(cubemap)} items" if isinstance(cubemap, Sequence) else type(cubemap).__name__
            raise PanoramaError(f"a cubemap of layout 'list' must be a list of six faces, got {found}")
        if all(isinstance(face, Tensor) for face in cubemap):
            shapes = sorted({f"{tuple(face.shape)} {face.dtype}" for face in cubemap})
            if len(shapes) > 1 or cubemap[0].ndim < 3:
                raise PanoramaError(
                    f"faces must be tensors [..., channels, width, width] of one shape and dtype, got {short(shapes)}"
                )
            return _checked(open_views(torch.stack(list(cubemap), dim=-4), interpolation))
        return _checked(open_views(cubemap, interpolation))
    if layout == "stack":
        return _checked(open_views(cubemap, interpolation))
    opened = open_image(cubemap, interpolation)
    check_tensor(opened.tensor, f"a cubemap of layout '{layout}' as one image")
    return Opened(split_faces(opened.tensor, layout), opened.restore)


def _checked(opened: Opened) -> Opened:
    faces = opened.tensor
    check_tensor(faces, "faces as a tensor [..., 6, channels, width, width]")
    if faces.ndim < 4 or faces.shape[-4] != 6 or faces.shape[-1] != faces.shape[-2] or 0 in faces.shape[-3:]:
        raise PanoramaError(f"a cubemap must be [..., 6, channels, width, width], got {tuple(faces.shape)}")
    return opened


def split_faces(
    image: Shaped[Tensor, "*batch channels height width"], layout: str
) -> Shaped[Tensor, "*batch 6 channels _ _"]:
    """Split an image of layout `horizon` or `dice` into faces.

    Raises:
        PanoramaError: The image does not have the shape of the layout.
    """
    rows, columns = (1, 6) if layout == "horizon" else (3, 4)
    height, width = image.shape[-2:] if image.ndim >= 3 else (0, 0)
    side = height // rows
    if side < 1 or (height, width) != (rows * side, columns * side):
        raise PanoramaError(
            f"a cubemap of layout {layout!r} must be {columns} faces wide and {rows} high, got {width}x{height}"
        )
    places = [(0, index) for index in range(6)] if layout == "horizon" else _DICE
    return torch.stack([image[..., r * side : (r + 1) * side, c * side : (c + 1) * side] for r, c in places], dim=-4)


def join_faces(
    faces: Shaped[Tensor, "*batch 6 channels side side"], layout: str
) -> Shaped[Tensor, "*batch channels height width"]:
    """Join faces to an image of layout `horizon` or `dice`. The empty places of a dice are 0."""
    if layout == "horizon":
        return torch.cat(faces.unbind(dim=-4), dim=-1)
    empty = torch.zeros_like(faces.select(-4, 0))
    placed = {place: faces.select(-4, index) for index, place in enumerate(_DICE)}
    rows = [torch.cat([placed.get((row, column), empty) for column in range(4)], dim=-1) for row in range(3)]
    return torch.cat(rows, dim=-2)


def arranged(opened: Opened, faces: Shaped[Tensor, "*batch 6 channels side side"], layout: str) -> Any:
    """Faces in a layout, of the kind that `opened` was opened from: tensors, arrays or images."""
    if layout in ("horizon", "dice"):
        return opened.restore(join_faces(faces, layout))
    stack = opened.restore(faces)
    if layout == "stack":
        return stack
    if isinstance(stack, list):  # images
        members = stack
    elif isinstance(stack, ndarray):
        axis = stack.ndim - (3 if stack.shape[-3] == 6 and stack.ndim == 3 else 4)
        members = [stack[(slice(None),) * axis + (index,)] for index in range(6)]
    else:
        members = list(stack.unbind(dim=-4))
    return members if layout == "list" else dict(zip(FACES, members, strict=True))
