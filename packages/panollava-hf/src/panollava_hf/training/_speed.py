"""About how long a recipe takes on this machine, before anything is trained."""

import time
from typing import Any

import torch
from panollava_core import vision_token_grid

from panollava_hf.configuration_panollava import PanoLLaVaConfig
from panollava_hf.training._recipe import Recipe
from panollava_hf.training._sizes import Workload

#: Share of the speed of a matrix product that training reaches.
_EFFICIENCY = 0.4
#: Seconds of a step and of a stage on top of its products: starting the operations, data, loading, saving, validation.
#: With tiny towers they are all that takes time.
_STEP, _STAGE = 0.1, 10.0
#: Matrix products that are timed.
_PRODUCTS = 12


def estimated_seconds(recipe: Recipe, config: PanoLLaVaConfig, work: Workload) -> float:
    """About how long all stages take, from the operations of one panorama and the speed of a matrix product.

    What no product explains, such as loading, is a constant for each step and stage.

    Args:
        recipe: The recipe.
        config: The config of its model.
        work: What is trained on what.
    """
    views, (rows, columns) = len(config.view_plan()), vision_token_grid(config.vision_config, config.image_size)
    vision = work.parameters - work.language_parameters - work.connector_parameters
    length = work.image_tokens + work.text_tokens * min(work.questions, recipe.data.questions_per_panorama or 2**31)
    # Two operations per weight and token forwards, two more backwards through the language model, whose weights have
    # no gradients of their own in the stage resampler and with LoRA.
    each = 2 * vision * views * rows * columns + 4 * work.language_parameters * length
    seen = others = 0.0
    for stage in recipe.stages.values():
        per_step = stage.batch_size * stage.accumulation
        panoramas = stage.steps * per_step if stage.steps is not None else (stage.epochs or 0) * work.panoramas
        seen += panoramas
        others += _STAGE + _STEP * panoramas / per_step
    return seen * each / (_EFFICIENCY * _operations_per_second()) + others


def _operations_per_second() -> float:
    """The fastest of several matrix products: other processes may interrupt some of them."""
    device: Any = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    side, dtype = (512, torch.float32) if device.type == "cpu" else (4096, torch.bfloat16)
    matrix = torch.ones(side, side, device=device, dtype=dtype)
    seconds = []
    for _ in range(_PRODUCTS):
        began = time.perf_counter()
        float((matrix @ matrix)[0, 0])  # reading a value waits for the device
        seconds.append(time.perf_counter() - began)
    return 2 * side**3 / max(min(seconds), 1e-9)
