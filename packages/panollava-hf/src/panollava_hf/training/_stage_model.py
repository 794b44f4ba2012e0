"""The model of a stage: what it trains, and the checkpoint that it ends with."""

from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel

from panollava_hf._errors import TrainingError, boundary
from panollava_hf._loading import load_model
from panollava_hf._lora import ADAPTER_FOLDER, add_lora, merge_lora
from panollava_hf.modeling_panollava import PanoLLaVaForConditionalGeneration
from panollava_hf.modeling_panollava_vision import PanoLLaVaForVICReg
from panollava_hf.training._block_attention import BLOCK_ATTENTION, block_attention_forward
from panollava_hf.training._recipe import FROZEN, StageName, StageSettings


def stage_model(stage: StageName, settings: StageSettings, folder: Path) -> Any:
    """Load the model of a stage, with everything frozen that the stage does not train.

    `vicreg` trains the resampler and the VICReg projector, `resampler` the resampler and the projector, `finetune` the
    projector and the language model, and so do `refine` and `polish`. Each stage can also train the last blocks of the
    vision tower, and these three the resampler.

    Args:
        stage: The stage.
        settings: Its settings.
        folder: The checkpoint folder that it starts from.

    Raises:
        TrainingError: The checkpoint cannot be trained in this way.
    """
    kind = PanoLLaVaForVICReg if stage == "vicreg" else PanoLLaVaForConditionalGeneration
    try:
        model: PreTrainedModel = load_model(kind, folder, dtype=torch.float32, fresh=["vicreg_projector."])
        model.config.trainable_vision_blocks = settings.trainable_vision_blocks
        model.requires_grad_(False)
        whole: Any = model.base_model
        whole.vision_backbone.set_trainable_blocks(settings.trainable_vision_blocks)
    except ValueError as error:
        raise TrainingError(f"stage {stage}: {error}") from error
    if stage in FROZEN or settings.train_resampler:
        whole.resampler.requires_grad_(True)
        if hasattr(whole.vision_backbone, "norm"):
            whole.vision_backbone.norm.requires_grad_(True)
    if stage == "vicreg":
        model.vicreg_projector.requires_grad_(True)
        # Statistics over the batches of all processes, as one process with the whole batch would compute them.
        loss = model.criterion.vicreg
        loss.options = loss.options._replace(gather_distributed=PartialState().num_processes > 1)
        return model
    whole.projector.requires_grad_(True)
    if settings.language_model == "full":
        whole.language_model.requires_grad_(True)
        model.lm_head.requires_grad_(True)
    elif settings.language_model == "lora":
        return _with_adapters(model)
    return model


def _with_adapters(model: Any) -> nn.Module:
    """Add LoRA adapters to the language model; weights that were trainable before stay so (peft freezes them)."""
    trainable = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    adapted = add_lora(model, train_projector=False)
    for name, parameter in adapted.get_base_model().named_parameters():
        if name in trainable:
            parameter.requires_grad_(True)
    return adapted


def compile_layers(language_model: Any) -> None:
    """Compile the layers that a language model repeats, for all lengths of sequences; the weights keep their names.

    Attention by blocks stays as it is: it depends on each batch, and would be compiled again for every one.

    Args:
        language_model: The headless language model.

    Raises:
        TrainingError: The model does not say which modules are its layers.
    """
    names = set(getattr(language_model, "_no_split_modules", None) or ())
    layers = [module for module in language_model.modules() if type(module).__name__ in names]
    if not layers:
        raise TrainingError(
            f"compile: true cannot be used, because {type(language_model).__name__} does not name its layers; set "
            "compile to false"
        )
    AttentionInterface.register(BLOCK_ATTENTION, torch.compiler.disable(block_attention_forward))
    for layer in layers:
        layer.compile(dynamic=True)


def write_stage(
    stage: StageName, trained: Any, weights: dict[str, Tensor], start: Path, output: Path, record: dict[str, Any]
) -> None:
    """Write the model of a finished stage: the trained weights, and those of the start that were not trained.

    Args:
        stage: The stage.
        trained: The trained model, or the model of peft around it.
        weights: Its gathered weights.
        start: The checkpoint folder that the stage started from.
        output: An empty folder.
        record: How the stage was trained, added to `config.training_history`.

    Raises:
        TrainingError: The trained weights are incomplete.
    """
    problem, remedy = f"stage {stage}: the trained weights cannot be written", "make room, then continue with --resume"
    if hasattr(trained, "peft_config"):
        with boundary(TrainingError, problem, remedy):
            trained.save_pretrained(output / ADAPTER_FOLDER, state_dict=weights)
        trained.load_state_dict(weights)
        whole: Any = merge_lora(trained)
        whole.config.use_lora = False  # the adapter is merged into the weights
    else:
        whole = load_model(PanoLLaVaForConditionalGeneration, start, dtype=torch.float32)
        before = whole.state_dict()
        changed = {name: value for name, value in weights.items() if name in before}
        if stage != "vicreg" and changed.keys() != before.keys():
            raise TrainingError(f"stage {stage}: the trained weights lack {sorted(before.keys() - changed.keys())}")
        whole.load_state_dict({**before, **changed})
        whole.config.trainable_vision_blocks = trained.config.trainable_vision_blocks
    if stage != "vicreg":
        whole.config.connector_trained = True
    whole.config.training_history = [*(getattr(whole.config, "training_history", None) or []), record]
    with boundary(TrainingError, problem, remedy):
        whole.save_pretrained(output)
