"""Convert a Lightning checkpoint of the original code to a Transformers folder that computes the same numbers."""

import copy
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import torch
from transformers import PretrainedConfig, PreTrainedModel

from panollava_hf._files import require_new, staged_folder
from panollava_hf._lora import ADAPTER_FOLDER, write_adapter
from panollava_hf.conversion._checkpoint import read_checkpoint
from panollava_hf.conversion._config import find_towers, infer_config
from panollava_hf.conversion._lora import fit_adapters
from panollava_hf.conversion._original_resamplers import map_resampler, settings_from_shapes
from panollava_hf.conversion._parts import ModelType, split_parts
from panollava_hf.conversion._report import ConversionReport
from panollava_hf.conversion._settings import read_settings
from panollava_hf.conversion._weights import map_weights, verify, vision_prefix
from panollava_hf.conversion._write import Progress, plan_weights, widest_dtype, write_processor, write_weights, writing
from panollava_hf.hub import CardFacts, plan_push, push, write_card
from panollava_hf.hub._export import make_portable
from panollava_hf.modeling_panollava import PanoLLaVaForConditionalGeneration
from panollava_hf.modeling_panollava_vision import PanoLLaVaForFeatureExtraction, PanoLLaVaForVICReg

CLASSES: dict[str, type[PreTrainedModel]] = {
    "vicreg": PanoLLaVaForVICReg,
    "conditional-generation": PanoLLaVaForConditionalGeneration,
    "feature-extraction": PanoLLaVaForFeatureExtraction,
}
#: Message of the commit that uploads a converted folder.
COMMIT_MESSAGE = "Convert from a Lightning checkpoint"


@dataclass(frozen=True)
class Conversion:
    """What a conversion wrote, or would write.

    Attributes:
        model_type: Type of the model.
        config: Its config.
        report: What was done with every key, and notes.
        folder: Where it was written; None after a dry run.
        adapter: Folder of the PEFT adapter, if LoRA was kept.
        files: Names of the weight files.
    """

    model_type: str
    config: PretrainedConfig
    report: ConversionReport
    folder: Path | None = None
    adapter: Path | None = None
    files: tuple[str, ...] = ()

    @property
    def account(self) -> ConversionReport:
        """Deprecated name of `report`."""
        warnings.warn("Conversion.account is deprecated, use Conversion.report", DeprecationWarning, stacklevel=2)
        return self.report


def convert_lightning_checkpoint(
    lightning_ckpt: str | Path,
    output_dir: str | Path,
    model_type: ModelType = "conditional-generation",
    *,
    model_config: str | Path | None = None,
    vision_tower: str | Path | None = None,
    text_tower: str | Path | None = None,
    merge_lora: bool = False,
    dtype: torch.dtype | str | None = None,
    allow_missing: Sequence[str] = (),
    dry_run: bool = False,
    push_to_hub: str | None = None,
    progress: Progress | None = None,
) -> Conversion:
    """Convert a checkpoint of the original PanoLLaVA.

    No code in the file is run, and the returned report says what was done with every key.

    Args:
        lightning_ckpt: The `.ckpt` file, of any of the three stages.
        output_dir: Folder to write; it must not exist, or be empty.
        model_type: `vicreg`, `conditional-generation` or `feature-extraction`.
        model_config: The run's model config, `.json` or `.yaml`; default: the one next to the checkpoint, if any.
        vision_tower: Folder or Hub id of the vision tower; default: as the run named it.
        text_tower: Folder or Hub id of the language model; default: as the run named it.
        merge_lora: Merge LoRA into the weights instead of keeping it as a PEFT adapter in `adapter/`.
        dtype: Type of the written weights (`bfloat16`); default: as stored.
        allow_missing: Shell patterns of keys that may be missing or unexpected. Missing weights get initial values.
        dry_run: Check everything and write nothing.
        push_to_hub: Repository to which the folder is uploaded; a new one is private.
        progress: Called with the bytes written so far and the bytes to write.

    Returns:
        The config, the report and the written files.

    Raises:
        CheckpointError: The checkpoint cannot be converted; the message says why, and what to do.
        OutputExistsError: `output_dir` exists and is not empty.
        PushError: The Hub refused the folder, or could not be reached. The folder is written.
        ValueError: An argument has an impossible value.

    Example:
        >>> from panollava_hf import convert_lightning_checkpoint
        >>> convert_lightning_checkpoint("no.ckpt", "out")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        panollava_hf._errors.CheckpointError: no.ckpt: this file cannot be read (No such file or directory); ...
    """
    if model_type not in CLASSES:
        raise ValueError(f"model_type is {model_type!r}, expected one of {', '.join(get_args(ModelType))}")
    stored_dtype = _dtype(dtype)
    output = Path(output_dir)
    if not dry_run:
        require_new(output)

    checkpoint = read_checkpoint(lightning_ckpt)
    parts = split_parts(checkpoint.tensors, model_type)
    shapes = settings_from_shapes(parts)
    resampler = map_resampler(parts.resampler, shapes["resampler_type"])
    settings = read_settings(checkpoint, model_config, shapes, model_type)
    towers = find_towers(settings, vision_tower, text_tower, model_type)
    inferred = infer_config(parts, settings, towers, model_type)
    prefix = vision_prefix(parts.vision, towers.vision)
    mapped = map_weights(parts, resampler, towers, prefix)
    verified = verify(CLASSES[model_type], inferred.config, mapped)
    adapter = fit_adapters(verified.model, mapped.adapters, inferred.config, stored_dtype)
    report = ConversionReport(
        rows=(*parts.rows, *verified.rows),
        notes=(*checkpoint.notes, *settings.notes, *towers.notes, *inferred.notes, *mapped.notes, *verified.notes),
    )
    report.check(allow_missing)
    conversion = Conversion(model_type, inferred.config, report)
    if dry_run:
        return conversion

    weights = plan_weights(mapped, verified, adapter if merge_lora else None, stored_dtype)
    kept = None if merge_lora else adapter
    config = copy.deepcopy(inferred.config)
    config.use_lora = kept is not None
    config.architectures = [CLASSES[model_type].__name__]
    # 4.57 builds a tower in the type that its own config names, not in the model's.
    config.dtype = config.text_config.dtype = config.vision_config.dtype = stored_dtype or widest_dtype(weights)
    with writing(output), staged_folder(output) as folder:
        files = write_weights(folder, weights, lambda: read_checkpoint(checkpoint.path).tensors, progress)
        write_processor(folder, config, towers)
        if kept is not None:
            write_adapter(folder / ADAPTER_FOLDER, kept.state, kept.settings)
        config.save_pretrained(str(folder))
        make_portable(folder)
        facts = CardFacts(output.name, converted_from=checkpoint.path.name, stage=settings.stage)
        write_card(folder, config, facts)
    conversion = replace(
        conversion, config=config, folder=output, adapter=output / ADAPTER_FOLDER if kept else None, files=files
    )
    if push_to_hub is not None:
        push(plan_push(output, push_to_hub, message=COMMIT_MESSAGE, exported=False))
    return conversion


def _dtype(dtype: torch.dtype | str | None) -> torch.dtype | None:
    if dtype is None or isinstance(dtype, torch.dtype):
        return dtype
    found = getattr(torch, str(dtype).removeprefix("torch."), None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ValueError(f"dtype is {dtype!r}, expected float32, bfloat16 or float16")
    return found
