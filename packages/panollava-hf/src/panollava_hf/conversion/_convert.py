"""A Lightning checkpoint of the original code → a Transformers folder that computes the same numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from transformers import PretrainedConfig, PreTrainedModel

from panollava_hf._lora import ADAPTER_FOLDER
from panollava_hf.conversion._adapter import check_modules, merged, save_adapter
from panollava_hf.conversion._folder import upload, write_generation_config, write_processor
from panollava_hf.conversion._map import Adapter
from panollava_hf.conversion._read import read_checkpoint
from panollava_hf.conversion._report import Account, allowed
from panollava_hf.conversion._run import Run
from panollava_hf.conversion._targets import Target
from panollava_hf.conversion._verify import verify
from panollava_hf.conversion._write import Progress, Weight, check_free, whole_folder, write_weights
from panollava_hf.hub import CardFacts, write_card
from panollava_hf.hub._export import make_portable
from panollava_hf.modeling_panollava import PanoLLaVaForConditionalGeneration
from panollava_hf.modeling_panollava_vision import PanoLLaVaForFeatureExtraction, PanoLLaVaForVICReg

ModelType = Literal["vicreg", "conditional-generation", "feature-extraction"]
CLASSES: dict[str, type[PreTrainedModel]] = {
    "vicreg": PanoLLaVaForVICReg,
    "conditional-generation": PanoLLaVaForConditionalGeneration,
    "feature-extraction": PanoLLaVaForFeatureExtraction,
}


@dataclass
class Conversion:
    """What a conversion did, or would do.

    Attributes:
        model_type: What the folder holds.
        config: Its config.
        account: What became of every key, and notes.
        folder: Where it was written; None after a dry run.
        adapter: The PEFT adapter's folder, where LoRA was kept.
        files: Names of the weight files.
    """

    model_type: str
    config: PretrainedConfig
    account: Account
    folder: Path | None = None
    adapter: Path | None = None
    files: list[str] = field(default_factory=list)


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

    Nothing pickled in the file runs, and nothing is lost unsaid: see the account that is returned.

    Args:
        lightning_ckpt: The `.ckpt` file, of any of the three stages.
        output_dir: Folder to write; it must not exist, or be empty.
        model_type: `vicreg`, `conditional-generation` or `feature-extraction`.
        model_config: The run's model config, `.json` or `.yaml`; default: the one that lies beside the checkpoint.
        vision_tower: Folder or Hub id of the vision tower; default: as the run named it.
        text_tower: Folder or Hub id of the language model; default: as the run named it.
        merge_lora: Merge LoRA into the weights instead of keeping it as a PEFT adapter in `adapter/`.
        dtype: Type of the written weights (`bfloat16`); default: as stored.
        allow_missing: Shell patterns of keys that may be missing or unexpected. Missing weights start fresh.
        dry_run: Do everything but write.
        push_to_hub: Repository to upload the folder to; a new one is private.
        progress: Told `(bytes written, bytes to write)`.

    Raises:
        CheckpointError: The checkpoint cannot be converted as it is; says why.
        ValueError: An argument has no meaning.

    Example:
        >>> from panollava_hf import convert_lightning_checkpoint
        >>> convert_lightning_checkpoint("no.ckpt", "out")
        Traceback (most recent call last):
        ...
        panollava_hf._errors.CheckpointError: no.ckpt: no such file
    """
    if model_type not in CLASSES:
        raise ValueError(f"model_type is {model_type!r}, expected one of {', '.join(get_args(ModelType))}")
    kept_dtype = _dtype(dtype)
    output = Path(output_dir)
    if not dry_run:
        check_free(output)
    checkpoint = read_checkpoint(lightning_ckpt)
    account = Account(notes=list(checkpoint.skipped))
    if checkpoint.others:
        account.notes.append(f"not needed, left out: {', '.join(checkpoint.others)}")
    run = Run(checkpoint, model_type, model_config, vision_tower, text_tower, account)
    target = run.map()
    config = run.config()
    model = verify(CLASSES[model_type], config, target, account)
    transposed = check_modules(model, target.adapters)
    account.check(allow_missing)
    result = Conversion(model_type, config, account)
    if dry_run:
        return result

    weights = _weights(target, model, account, allow_missing, kept_dtype)
    if merge_lora:
        _merge(weights, target.adapters, run.lora, transposed=transposed)
    config.dtype = kept_dtype or _widest(weights)
    # 4.57 builds a tower in the type its own config names, whatever the model's says.
    config.text_config.dtype = config.vision_config.dtype = config.dtype
    config.architectures = [CLASSES[model_type].__name__]
    keeps = bool(target.adapters) and not merge_lora
    config.use_lora = keeps
    checkpoint.release()
    with whole_folder(output) as folder:
        result.files = write_weights(folder, weights, progress, checkpoint.release)
        if keeps:
            save_adapter(
                folder / ADAPTER_FOLDER, model, target.adapters, run.lora, transposed=transposed, dtype=kept_dtype
            )
        generates = model_type == "conditional-generation"
        write_processor(folder, config, run.statistics, run.tokenizer if generates else None)
        if generates:
            write_generation_config(folder, config, run.text_name, run.tokenizer)
        facts = CardFacts(model_id=output.name, converted_from=checkpoint.path.name, stage=run.stage)
        write_card(folder, config, facts)
        config.save_pretrained(str(folder))
        make_portable(folder)
    result.folder = output
    result.adapter = output / ADAPTER_FOLDER if keeps else None
    if push_to_hub is not None:
        upload(output, push_to_hub)
    return result


def _dtype(dtype: torch.dtype | str | None) -> torch.dtype | None:
    if dtype is None or isinstance(dtype, torch.dtype):
        return dtype
    found = getattr(torch, str(dtype).removeprefix("torch."), None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ValueError(f"dtype is {dtype!r}, expected float32, bfloat16 or float16")
    return found


def _weights(
    target: Target, model: PreTrainedModel, account: Account, allow: Sequence[str], dtype: torch.dtype | None
) -> dict[str, Weight]:
    """All tensors to write; those that may be missing are written as they start, so that they start but once."""
    unexpected = {row.key for row in account.of("unexpected")}
    tensors = {name: t for name, t in target.tensors.items() if target.keys.get(name) not in unexpected}
    fresh = model.state_dict()
    for row in account.of("missing"):
        if allowed(row.key, allow):
            tensors[row.key] = fresh[row.key]
            account.notes.append(f"{row.key}: missing and allowed to be, starts fresh")

    def scaled(tensor: torch.Tensor) -> torch.Tensor:
        return (tensor.float() * target.scale).to(tensor.dtype)

    return {
        name: Weight(
            tensor,
            dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype,
            scaled if target.scale != 1.0 and name.startswith("panollava.projector.") else None,
        )
        for name, tensor in tensors.items()
    }


def _merge(weights: dict[str, Weight], adapters: dict[str, Adapter], lora: dict[str, Any], *, transposed: bool) -> None:
    for name, adapter in adapters.items():
        weight = weights[f"{name}.weight"]
        scale = lora["lora_alpha"] / adapter.rank

        def make(base: torch.Tensor, adapter: Adapter = adapter, scale: float = scale) -> torch.Tensor:
            return merged(base, adapter, scale, transposed=transposed)

        weights[f"{name}.weight"] = Weight(weight.source, weight.dtype, make)


def _widest(weights: dict[str, Weight]) -> torch.dtype:
    """The type that holds every weight exactly."""
    found = [weight.dtype for weight in weights.values() if weight.dtype.is_floating_point]
    widest = found[0]
    for dtype in found:
        widest = torch.promote_types(widest, dtype)
    return widest
