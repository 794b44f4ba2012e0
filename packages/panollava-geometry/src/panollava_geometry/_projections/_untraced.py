"""Functions that torch.compile calls instead of tracing them.

`torch.compiler.disable` imports torch._dynamo, which takes longer than importing all of this package. So this module is
imported only while torch compiles.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from panollava_geometry._planning._plan import ViewPlan
from panollava_geometry._planning._poses import CameraPoses
from panollava_geometry._sampling._nearest import read_views
from panollava_geometry._sampling._posed_reading import read_views as read_posed_views
from panollava_geometry._sampling._resampling import ResamplingMap
from panollava_geometry._sampling._resampling import find_resampling_maps as _find

find_resampling_maps: Callable[..., list[tuple[ResamplingMap, int]]] = torch.compiler.disable(_find)  # type: ignore[no-untyped-call]
read_nearest: Callable[..., Tensor] = torch.compiler.disable(read_views)  # type: ignore[no-untyped-call]
read_posed: Callable[..., Tensor] = torch.compiler.disable(read_posed_views)  # type: ignore[no-untyped-call]
plans_of_poses: Callable[[CameraPoses], tuple[ViewPlan, ...]] = torch.compiler.disable(CameraPoses.plans)  # type: ignore[no-untyped-call]
