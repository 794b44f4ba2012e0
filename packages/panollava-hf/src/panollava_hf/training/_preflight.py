"""What would end a run after minutes is found in seconds: settings that transformers or the model classes refuse."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from transformers import SchedulerType
from transformers.integrations import get_reporting_integration_callbacks

from panollava_hf._errors import TrainingError, boundary
from panollava_hf._image_tokens import fewer_image_tokens
from panollava_hf._lora import built_plain
from panollava_hf._shown import shown
from panollava_hf.configuration_panollava import PanoLLaVaConfig
from panollava_hf.modeling_panollava import PanoLLaVaForConditionalGeneration
from panollava_hf.modeling_panollava_vision import PanoLLaVaForVICReg
from panollava_hf.training._recipe import ModelSettings, Recipe, StageName
from panollava_hf.training._spelling import MAX_NAME, suggestion
from panollava_hf.training._start import start_config
from panollava_hf.training._trainer import training_arguments


def check_settings(recipe: Recipe, stages: Sequence[StageName]) -> None:
    """Check the settings of the stages, as far as no weights and no rows are needed.

    Args:
        recipe: The recipe.
        stages: The stages that will be run.

    Raises:
        TrainingError: transformers refuses a setting, or `torch.compile` does not work here.
    """
    if recipe.compile:
        remedy = "install a C++ compiler (g++), or set compile to false"
        with boundary(TrainingError, "compile: true cannot be used, because torch.compile does not work here", remedy):
            device = torch.accelerator.current_accelerator(check_available=True)
            torch.compile(lambda values: values.sin() + 1)(torch.ones(4, device=device))
    schedules = [kind.value for kind in SchedulerType]
    for stage in stages:
        schedule = recipe.stages[stage].schedule
        if schedule not in schedules:
            raise TrainingError(
                f"stages.{stage}.schedule: transformers has no schedule {shown(schedule)}; "
                f"{suggestion(schedule[:MAX_NAME], schedules)}"
            )
        problem, remedy = f"stage {stage}: transformers refuses the settings", "correct the recipe"
        with boundary(TrainingError, problem, remedy), TemporaryDirectory() as folder:
            get_reporting_integration_callbacks(training_arguments(recipe, stage, 1, Path(folder)).report_to)


def check_start(settings: ModelSettings, stages: Sequence[StageName]) -> PanoLLaVaConfig:
    """Check the model that a run starts from, without its weights.

    Args:
        settings: Where training starts.
        stages: The stages that will be run.

    Returns:
        Its config.

    Raises:
        TrainingError: It cannot be built, its images and texts do not fit together, or a stage cannot train it.
    """
    try:
        config = start_config(settings)
        positions = getattr(config.text_config, "max_position_embeddings", None)
        tokens = config.num_image_tokens()
    except (OSError, ValueError, TypeError) as error:
        raise TrainingError(f"the model to start from cannot be made: {error}") from error
    if isinstance(positions, int) and tokens >= positions:
        raise TrainingError(
            f"one panorama takes {tokens:,} image tokens, but the language model reads {positions:,} tokens; "
            f"{fewer_image_tokens(config)}"
        )
    kinds = {"vicreg": PanoLLaVaForVICReg}
    for stage in stages:
        try:
            with torch.device("meta"), built_plain():
                kinds.get(stage, PanoLLaVaForConditionalGeneration)(config)
        except ValueError as error:
            raise TrainingError(f"stage {stage}: {error}") from error
    return config
