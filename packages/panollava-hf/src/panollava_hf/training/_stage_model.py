"""What each stage trains, and how its result becomes an ordinary checkpoint again."""

from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from torch import Tensor, nn
from transformers import PreTrainedModel

from panollava_hf._errors import TrainingError
from panollava_hf._lora import ADAPTER_FOLDER, add_lora
from panollava_hf.modeling_panollava import PanoLLaVaForConditionalGeneration
from panollava_hf.modeling_panollava_vision import PanoLLaVaForVICReg
from panollava_hf.training._recipe import StageName, StageSettings


def stage_model(stage: StageName, settings: StageSettings, folder: Path) -> Any:
    """Load what a stage trains from the folder it starts from, with everything else frozen.

    `vicreg` trains resampler and VICReg projector, `resampler` resampler and projector, `finetune` projector and
    language model; all may train the last blocks of the vision tower, `finetune` the resampler too.

    Raises:
        TrainingError: The checkpoint cannot be trained this way.
    """
    kind = PanoLLaVaForVICReg if stage == "vicreg" else PanoLLaVaForConditionalGeneration
    try:
        model: PreTrainedModel = kind.from_pretrained(folder, dtype=torch.float32)
        model.config.trainable_vision_blocks = settings.trainable_vision_blocks
        model.requires_grad_(False)
        whole: Any = model.base_model
        whole.vision_backbone.set_trainable_blocks(settings.trainable_vision_blocks)
    except ValueError as error:
        raise TrainingError(f"stage {stage}: {error}") from error
    if stage != "finetune" or settings.train_resampler:
        whole.resampler.requires_grad_(True)
        if hasattr(whole.vision_backbone, "norm"):
            whole.vision_backbone.norm.requires_grad_(True)
    if stage == "vicreg":
        model.vicreg_projector.requires_grad_(True)
        # Statistics of the whole batch, as if one process had it.
        gather = PartialState().num_processes > 1
        model.criterion.options = model.criterion.options._replace(gather_distributed=gather)
        return model
    whole.projector.requires_grad_(True)
    if settings.language_model == "full":
        whole.language_model.requires_grad_(True)
        model.lm_head.requires_grad_(True)
    elif settings.language_model == "lora":
        return _with_adapters(model)
    return model


def _with_adapters(model: Any) -> nn.Module:
    """Adapters on the language model; what was chosen to train in full still does (peft freezes it all)."""
    chosen = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    adapted = add_lora(model, train_projector=False)
    for name, parameter in adapted.get_base_model().named_parameters():
        if name in chosen:
            parameter.requires_grad_(True)
    return adapted


def write_stage(
    stage: StageName, trained: Any, state: dict[str, Tensor], start: Path, output: Path, record: dict[str, Any]
) -> None:
    """Write the folder of a finished stage: a whole checkpoint of what it trained and all that it did not touch.

    Args:
        stage: Which stage.
        trained: The trained model; with adapters, peft's.
        state: Its gathered weights.
        start: The folder the stage started from.
        output: An empty folder.
        record: How the stage was made, added to `config.training_history`.
    """
    if hasattr(trained, "merge_and_unload"):
        trained.save_pretrained(output / ADAPTER_FOLDER, state_dict=state)
        trained.load_state_dict(state)
        whole: Any = trained.merge_and_unload()
        whole.config.use_lora = False  # the adapter is part of the weights now
    else:
        whole = PanoLLaVaForConditionalGeneration.from_pretrained(start, dtype=torch.float32)
        known = whole.state_dict()
        changed = {name: value for name, value in state.items() if name in known}
        if stage != "vicreg" and changed.keys() != known.keys():
            raise TrainingError(f"stage {stage}: the trained weights lack {sorted(known.keys() - changed.keys())}")
        whole.load_state_dict({**known, **changed})
        whole.config.trainable_vision_blocks = trained.config.trainable_vision_blocks
    if stage != "vicreg":
        whole.config.connector_trained = True
    history = [*(getattr(whole.config, "training_history", None) or []), record]
    whole.config.training_history = history
    whole.save_pretrained(output)
