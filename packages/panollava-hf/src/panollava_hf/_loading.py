"""Load a checkpoint: the one way for every command, which leaves no weight at random, asks nothing and runs no code.

`from_pretrained` of transformers gives weights that are missing random values, asks on stdin whether to run code of the
folder, and raises exceptions of many libraries. Here each of these is a `ModelError`.
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from jinja2 import Environment
from transformers import PreTrainedModel

from panollava_hf._errors import ModelError, boundary
from panollava_hf._lora import built_plain
from panollava_hf._pooling import TOWER_POOLING
from panollava_hf._quiet import quiet
from panollava_hf._shown import shown
from panollava_hf.configuration_panollava import PanoLLaVaConfig
from panollava_hf.image_processing_panollava import PanoLLaVaImageProcessor
from panollava_hf.modeling_panollava_vision import PanoLLaVaForFeatureExtraction
from panollava_hf.outside._bounds import require_count
from panollava_hf.outside._checkpoint_folder import MODEL_TYPE, check_folder, without_config
from panollava_hf.outside._deadline import limited_memory, within
from panollava_hf.outside._hub_source import find_source
from panollava_hf.outside._json_file import read_object
from panollava_hf.outside._tokenizer_file import check_tokenizer
from panollava_hf.outside._weight_files import read_header, require_floats, require_whole, weight_files
from panollava_hf.processing_panollava import PanoLLaVaProcessor

AGAIN = "copy or download the folder again"
#: Parameters that a model may have besides those whose weights are stored: new ones, and ones that share weights.
MORE_PARAMETERS = 2**26
#: Seconds that a chat template may take to write one question.
TEMPLATE_SECONDS = 4.0
#: Bytes that it may take, where the system can limit them. A failed allocation ends it.
TEMPLATE_BYTES = 2**30
#: What no chat template needs, and what takes all memory or time in one step: an operator, and functions or filters.
REFUSED_OPERATORS = ("**",)
REFUSED_CALLS = ("center", "ljust", "rjust", "zfill", "expandtabs", "translate", "lipsum", "batch", "slice", "wordwrap")

#: Fields by which config and image processor say how a panorama is cut.
CUTTING = ("crop_strategy", "num_views", "fov_deg", "overlap_ratio")

#: Settings of generation that are ids or lists of ids, and the largest values of those that are numbers.
TOKEN_IDS = ("bos_token_id", "eos_token_id", "pad_token_id", "suppress_tokens", "begin_suppress_tokens")
GENERATION_COUNTS = {
    **dict.fromkeys(("max_new_tokens", "max_length", "min_new_tokens", "min_length"), 2**31),
    **dict.fromkeys(("num_beams", "num_return_sequences"), 1024),
}

Model = TypeVar("Model", bound=PreTrainedModel)


def load_model(
    model_class: type[Model],
    source: str | Path,
    *,
    changes: Mapping[str, Any] | None = None,
    fresh: Sequence[str] = (),
    dtype: str | torch.dtype | None = None,
    **where: Any,
) -> Model:
    """Load a checkpoint with all of its weights, and its LoRA adapter if it has one.

    Args:
        model_class: One of the PanoLLaVA models.
        source: Checkpoint folder or Hub id.
        changes: Fields of the config to replace.
        fresh: Beginnings of weight names that may be missing; they get random values.
        dtype: As in `from_pretrained`; None is its default.
        where: Arguments of `find_source` for a Hub id.

    Raises:
        ModelError: It is missing, of another kind, damaged or incomplete, or its config does not fit its weights.
    """
    folder = find_source(source, **where)
    check_folder(folder, str(source))
    options: dict[str, Any] = {} if dtype is None else {"dtype": dtype}
    with boundary(ModelError, f"the model {source} cannot be loaded", f"its files may be damaged: {AGAIN}"), quiet():
        _check_size(model_class, folder, changes or {})
        model, info = model_class.from_pretrained(
            folder,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are reported below, with their names
            **options,
            **(changes or {}),
        )
    require_whole(source, info, fresh=fresh)
    _check_generation(model, source)
    if folder != Path(source):  # of the local cache, whose folders are named after commits
        model.config._name_or_path = model.name_or_path = str(source)
        model.config._commit_hash = folder.name
    loaded: Model = model
    return loaded


def load_processor(
    source: str | Path, *, needs_text: bool = True, **where: Any
) -> PanoLLaVaProcessor | PanoLLaVaImageProcessor:
    """Load the processor of a checkpoint.

    Args:
        source: Checkpoint folder or Hub id.
        needs_text: Whether a tokenizer is needed; without it, a folder without one gives its image processor alone.
        where: Arguments of `find_source` for a Hub id.

    Raises:
        ModelError: A file of it is missing or damaged, or asks for other classes than those of this package.
    """
    folder = find_source(source, "settings", **where)
    _check_processor_files(folder)
    with (
        boundary(ModelError, f"the processor of {source} cannot be loaded", f"its files may be damaged: {AGAIN}"),
        quiet(),
        _panics_muted(),
    ):
        if not needs_text and not (folder / "tokenizer_config.json").exists():
            image_processor: PanoLLaVaImageProcessor = PanoLLaVaImageProcessor.from_pretrained(folder)
            return image_processor
        processor: PanoLLaVaProcessor = PanoLLaVaProcessor.from_pretrained(folder, trust_remote_code=False)
    found = type(processor.image_processor).__name__
    if not isinstance(processor.image_processor, PanoLLaVaImageProcessor):
        raise ModelError(f"the processor of {source} has a {found}, expected a PanoLLaVaImageProcessor; {AGAIN}")
    backend = getattr(processor.tokenizer, "backend_tokenizer", None)
    if backend is not None:  # texts are cut by anyone who asks for it, never because a tokenizer.json says so
        backend.no_truncation()
        backend.no_padding()
        for name in ("max_length", "truncation", "truncation_strategy", "stride", "padding", "pad_to_multiple_of"):
            processor.tokenizer.init_kwargs.pop(name, None)
    _check_prompt(processor, source)
    return processor


def load_embedder(
    source: str | Path,
    *,
    settings: Mapping[str, Any] | None = None,
    dtype: torch.dtype | None = None,
    device: str | torch.device | None = None,
    **where: Any,
) -> tuple[PanoLLaVaForFeatureExtraction, PanoLLaVaImageProcessor]:
    """Load what makes vectors of panoramas: a vision tower, a PanoLLaVA checkpoint, or an embedding export.

    Args:
        source: Folder or Hub id.
        settings: How panoramas are cut and pooled: `pooling`, `pooled_views`, `crop_strategy`, `num_views`, `fov_deg`,
            `overlap_ratio`, `view_size`; those that are missing or None are the model's own, or the defaults of
            `PanoLLaVaForFeatureExtraction.from_tower`. A checkpoint with a connector takes `pooling` and `pooled_views`
            only: it was trained with its views.
        dtype: Type of all weights; default float32 for a tower, the stored one for a checkpoint.
        device: Where the model is put; default: the CPU.
        where: Arguments of `find_source` for a Hub id.

    Returns:
        The model in evaluation mode, and the image processor that cuts its views.

    Raises:
        ModelError: It is missing, damaged or incomplete, or a setting does not fit it.
    """
    changes = {name: value for name, value in (settings or {}).items() if value is not None}
    folder = find_source(source, "config", **where)
    if not (folder / "config.json").exists():
        raise ModelError(f"{source}: {without_config(folder)}; expected a vision tower or a PanoLLaVA checkpoint")
    stored = read_object(folder / "config.json")
    # The settings may be impossible: plan_views, the config and the tower say why.
    with boundary(ModelError, f"{source} cannot make vectors with these settings", "change them, or use another model"):
        if stored.get("model_type") == MODEL_TYPE:
            model, processor = _stored_embedder(source, stored, changes, dtype, where)
        else:
            model = PanoLLaVaForFeatureExtraction.from_tower(source, dtype=dtype, **changes, **where)
            own = {name: getattr(model.config, name) for name in CUTTING}
            processor = PanoLLaVaImageProcessor.from_tower(source, size=model.config.image_size, hub=where, **own)
    return (model if device is None else model.to(device)).eval(), processor


def _stored_embedder(
    source: str | Path,
    stored: Mapping[str, Any],
    changes: Mapping[str, Any],
    dtype: torch.dtype | None,
    where: Mapping[str, Any],
) -> tuple[PanoLLaVaForFeatureExtraction, PanoLLaVaImageProcessor]:
    cutting = {name: value for name, value in changes.items() if name in (*CUTTING, "view_size")}
    if stored.get("resampler_type", "mlp") != "none":
        if cutting:
            raise ModelError(
                f"{source} was trained with its own views, got {', '.join(cutting)}; leave these settings out, or use "
                "a vision tower"
            )
        if changes.get("pooling") in TOWER_POOLING:
            raise ModelError(
                f"{source} has a connector, whose tokens have no pooling {changes['pooling']!r}; expected mean, max or "
                "first"
            )
    processor = load_processor(source, needs_text=False, **where)
    cutter = processor if isinstance(processor, PanoLLaVaImageProcessor) else processor.image_processor
    model = load_model(
        PanoLLaVaForFeatureExtraction, source, changes=changes, dtype="auto" if dtype is None else dtype, **where
    )
    if not cutting:
        return model, cutter
    own = {name: getattr(model.config, name) for name in CUTTING}
    size = model.config.image_size if "view_size" in cutting else cutter.size
    return model, PanoLLaVaImageProcessor(size, cutter.image_mean, cutter.image_std, **own)


@contextmanager
def _panics_muted() -> Iterator[None]:
    """Keep the tokenizers library from writing its own report of a panic to stderr; it becomes an exception too."""
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # stderr is closed
        yield
        return
    try:
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _check_size(model_class: type[PreTrainedModel], folder: Path, changes: Mapping[str, Any]) -> None:
    """Refuse a config that describes a much larger model than the weights hold, before it takes all memory."""
    config = PanoLLaVaConfig.from_pretrained(folder, **changes)
    with torch.device("meta"), built_plain():
        model = model_class(config)
    wanted = sum(tensor.numel() for tensor in (*model.parameters(), *model.buffers()))
    files = weight_files(folder)
    stored = sum(path.stat().st_size for path in files)
    if wanted > 2 * stored + MORE_PARAMETERS:
        raise ModelError(
            f"{folder}: its config describes a model of {wanted:,} parameters, but its weights have {stored:,} bytes; "
            "use the config.json that was saved with these weights"
        )
    if getattr(config, "quantization_config", None) is None:
        floats = {name for name, tensor in model.state_dict().items() if tensor.is_floating_point()}
        for path in files:
            if path.suffix == ".safetensors":
                require_floats(path, read_header(path), floats)


def _check_generation(model: PreTrainedModel, source: str | Path) -> None:
    """Check the settings of generation, which transformers uses without looking at their types."""
    settings = getattr(model, "generation_config", None)
    with boundary(ModelError, f"the generation_config.json of {source} cannot be used", AGAIN):
        for name in TOKEN_IDS:
            value = getattr(settings, name, None)
            for entry in value if isinstance(value, list) else [value]:
                require_count(name, entry, -(2**31), 2**31, optional=not isinstance(value, list))
        for name, highest in GENERATION_COUNTS.items():
            require_count(name, getattr(settings, name, None), 0, highest, optional=True)


def _check_processor_files(folder: Path) -> None:
    if (folder / "tokenizer.json").exists():
        check_tokenizer(folder / "tokenizer.json")
    for name in ("processor_config.json", "preprocessor_config.json"):
        if not (folder / name).exists():
            continue
        settings = read_object(folder / name)
        part = settings.get("image_processor", settings)
        kind = part.get("image_processor_type") if isinstance(part, dict) else None
        if kind is not None and kind != PanoLLaVaImageProcessor.__name__:
            raise ModelError(
                f"{folder / name}: image_processor_type is {shown(kind)}, expected 'PanoLLaVaImageProcessor'; {AGAIN}"
            )


def _check_prompt(processor: PanoLLaVaProcessor, source: str | Path) -> None:
    """Write and tokenise one question: errors and endless loops of a chat template are found when a model is loaded."""
    problem = f"the chat template or processor of {source} cannot be used"
    with boundary(ModelError, problem, f"use the files that were saved with the model, or {AGAIN}"), _panics_muted():
        template = processor.chat_template
        if not isinstance(template, str):
            raise TypeError(f"expected a chat template, got {shown(template)}")
        # These may need all memory, and cannot be interrupted.
        for _, kind, text in Environment().lex(template):
            if (kind == "operator" and text in REFUSED_OPERATORS) or (kind == "name" and text in REFUSED_CALLS):
                raise ValueError(f"the chat template uses {text}, which is not supported")
        with limited_memory(TEMPLATE_BYTES):  # not for the tokenizer, whose library ends the process
            texts = ("Where? " * 30, "?")
            prompts = within(TEMPLATE_SECONDS, lambda: [processor.prompt(text) for text in texts], computing=True)
        ids = within(TEMPLATE_SECONDS, lambda: [processor.prompt_ids(prompt) for prompt in prompts], computing=True)[-1]
        if (found := ids.count(processor.image_token_id)) != 1:
            raise ValueError(f"{found} placeholders {shown(processor.image_token)} for one image, expected 1")
        processor.num_image_tokens()
