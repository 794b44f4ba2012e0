"""`panollava train --init`: a recipe for two towers and a table, which runs as it is."""

import copy
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from panollava_core import vision_token_grid

from panollava_hf._errors import OutputExistsError, RecipeError, TableError, TrainingError, reason
from panollava_hf._files import write_whole
from panollava_hf._image_tokens import image_tokens
from panollava_hf._lora import PARTS, built_plain
from panollava_hf._tower_pixels import tower_pixels
from panollava_hf.asking.models._lengths import max_positions
from panollava_hf.configuration_panollava import PanoLLaVaConfig
from panollava_hf.data._examples import Examples, read_examples
from panollava_hf.data._row_checks import Unusable
from panollava_hf.modeling_panollava import PanoLLaVaForConditionalGeneration
from panollava_hf.outside._plain_yaml import parse_yaml
from panollava_hf.processing_panollava import PanoLLaVaProcessor
from panollava_hf.training._collator import AnswerCollator
from panollava_hf.training._commented_yaml import commented_yaml
from panollava_hf.training._machine import this_machine
from panollava_hf.training._preflight import check_start
from panollava_hf.training._recipe import ModelSettings, Recipe
from panollava_hf.training._recipe_file import change_values, validated
from panollava_hf.training._recipe_text import TAIL, comments, heading
from panollava_hf.training._sizes import MOST_QUESTIONS, Sizes, Workload, choose_sizes, tokens_per_view
from panollava_hf.training._speed import estimated_seconds
from panollava_hf.training._start import start_config
from panollava_hf.training._summary import duration, longest_row

#: With fewer panoramas than this, all are trained on and none is held back for validation.
_VALIDATED = 10


@dataclass(frozen=True)
class WrittenRecipe:
    """A recipe that was written.

    Attributes:
        path: The file.
        recipe: What is in it.
        lines: What was found and chosen, for the user.
    """

    path: Path
    recipe: Recipe
    lines: tuple[str, ...]


def write_own_recipe(
    path: Path, source: str, vision: str, text: str, changes: Sequence[str] = (), *, skip_bad: bool = False
) -> WrittenRecipe:
    """Write a commented recipe for two pretrained towers and a table, with sizes for the data and this machine.

    Table and towers are checked as `train` checks them.

    Args:
        path: The new file.
        source: The table: a file, a folder with splits, or a dataset on the Hub.
        vision: Vision tower, a folder or Hub id.
        text: Causal language model, a folder or Hub id.
        changes: `key=value` settings that replace those that would be chosen.
        skip_bad: Whether rows and images that cannot be used are accepted; training then needs `--skip-bad`, too.

    Raises:
        OutputExistsError: The file exists; it is not overwritten.
        RecipeError: A change has an unknown key or an impossible value, or the file cannot be written.
        TableError: The table cannot be read, or has rows or images that cannot be used.
        TrainingError: The towers cannot be joined.
    """
    require_new_file(path)
    values = _values(path, source, vision, text)
    measured = {**values["data"], **validation_setting(_VALIDATED)}  # changes may be about the validation, too
    draft = _changed({**values, "data": measured}, path, changes)
    settings, config = _model(draft)
    examples, longest = _table(draft, config, skip_bad=skip_bad)
    machine, groups = this_machine(), examples.groups()
    work = _workload(config, groups, longest)
    sizes = choose_sizes(work, machine)
    values["model"]["config"] = settings.config
    _fill(values, sizes, len(groups), work.questions)
    recipe = _changed(values, path, changes)
    change_values(values, changes)
    time = duration(estimated_seconds(recipe, config, work))
    table = f"{len(examples):,} rows about {len(groups):,} panoramas"
    command = f"panollava train --config {shlex.quote(str(path))}{' --skip-bad' * skip_bad}"
    body = heading(table, str(machine), command, time) + commented_yaml(values, comments(recipe, config, work)) + TAIL
    if parse_yaml(body, str(path), RecipeError) != values:
        raise RecipeError(f"{path}: a value cannot be written as YAML; this is a fault of panollava, please report it")
    try:
        write_whole(path, body)
    except OSError as error:
        raise RecipeError(f"{path} cannot be written: {reason(error)}") from error
    lines = (
        f"{table}; the longest row has {longest:,} tokens with its panorama.",
        f"{image_tokens(config)}.",
        f"{machine}: about {time} for all stages, estimated.",
    )
    return WrittenRecipe(path, recipe, lines)


def require_new_file(path: Path) -> None:
    """Check that a recipe can be written.

    Raises:
        OutputExistsError: There is something at that path.
        RecipeError: Its folder does not exist.
    """
    if path.exists() or path.is_symlink():
        raise OutputExistsError(f"{path} already exists and is not overwritten: choose another name, or delete it")
    if not path.parent.is_dir():
        raise RecipeError(f"{path}: there is no folder {path.parent}; make it, or choose another name")


def validation_setting(panoramas: int) -> dict[str, Any]:
    """The setting that holds a tenth of the panoramas back for validation; none where they are few.

    Args:
        panoramas: Number of panoramas in the table.
    """
    return {} if panoramas < _VALIDATED else {"validation": {"share": 0.1}}


def _values(path: Path, source: str, vision: str, text: str) -> dict[str, Any]:
    """The values before anything is known about table and towers."""
    output = Path("runs") / path.stem
    number = 2
    while output.exists() and number < 1000:
        output, number = Path("runs") / f"{path.stem}-{number}", number + 1
    return {
        "output": str(output),
        "model": {"vision": vision, "text": text, "config": {}},
        "data": {"source": source},
        "stages": {stage: {"epochs": 1, "learning_rate": 1e-3} for stage in ("resampler", "finetune")},
    }


def _changed(values: dict[str, Any], path: Path, changes: Sequence[str]) -> Recipe:
    values = copy.deepcopy(values)
    change_values(values, changes)
    recipe = validated(values, path.name, changes)
    if recipe.model.vision is None:
        raise RecipeError("--init writes recipes for two towers; for another start, see the recipes that --list names")
    return recipe


def _model(draft: Recipe) -> tuple[ModelSettings, PanoLLaVaConfig]:
    """The model settings with view size and resampler, and the config that they give."""
    fields = dict(draft.model.config)
    try:
        if "view_size" not in fields and (size := tower_pixels(str(draft.model.vision)).size) is not None:
            fields["view_size"] = size[0] if size[0] == size[1] else list(size)
        config = start_config(draft.model.model_copy(update={"config": fields}))
        rows, columns = vision_token_grid(config.vision_config, config.image_size)
    except (OSError, ValueError, TypeError) as error:
        raise TrainingError(f"the towers cannot be joined: {error}") from error
    if not {"resampler_type", "num_latent_tokens"} & draft.model.config.keys():
        own, positions = rows * columns, max_positions(config)
        each = tokens_per_view(len(config.view_plan()), own, this_machine(), positions)
        fields |= (
            {"resampler_type": "mlp"} if each == own else {"resampler_type": "spatial_pool", "num_latent_tokens": each}
        )
    settings = draft.model.model_copy(update={"config": fields})
    return settings, check_start(settings, list(draft.stages))


def _table(draft: Recipe, config: PanoLLaVaConfig, *, skip_bad: bool) -> tuple[Examples, int]:
    """The table, checked as for training, and the tokens of its longest row."""
    data, vision, text = draft.data, str(draft.model.vision), str(draft.model.text)
    examples = read_examples(data.source, data.split, data.columns, data.limit, skip_bad=skip_bad)
    remedy = "correct the table, or skip such rows with --skip-bad"
    if not skip_bad and (missing := examples.unusable_images()).count:
        raise TableError(f"{missing.first}: {missing.count} images cannot be used: {missing.listed()}; {remedy}")
    try:
        processor = PanoLLaVaProcessor.from_towers(vision, text, config)
    except ValueError as error:
        raise TrainingError(f"the towers cannot be joined: {error}") from error
    collator = AnswerCollator(processor, data.max_length, max_positions(config))
    questions, answers = (examples.cells(examples.columns[role]) for role in ("question", "answer"))
    found = Unusable()
    for index, fault in collator.faults(questions, answers):
        found.add(f"{examples.rows.place(examples.row(index))}: {fault}")
    if found.count and not skip_bad:
        raise TableError(f"{examples.name}: {found.count} rows cannot be used: {found.listed()}; {remedy}")
    return examples, longest_row(examples, collator)[0]


def _workload(config: PanoLLaVaConfig, groups: Sequence[Sequence[int]], longest: int) -> Workload:
    with torch.device("meta"), built_plain():
        model = PanoLLaVaForConditionalGeneration(config)
    counts = dict.fromkeys(PARTS, 0)
    for name, parameter in model.named_parameters():
        part = next((part for part in PARTS if f".{part}." in f".{name}"), "language_model")
        counts[part] += parameter.numel()
    text = config.text_config.get_text_config()
    return Workload(
        panoramas=len(groups),
        questions=max(map(len, groups)),
        image_tokens=config.num_image_tokens(),
        text_tokens=longest - config.num_image_tokens(),
        parameters=sum(counts.values()),
        language_parameters=counts["language_model"] + counts["lm_head"],
        connector_parameters=counts["resampler"] + counts["projector"],
        layers=int(getattr(text, "num_hidden_layers", 32)),
        width=int(getattr(text, "hidden_size", 4096)),
        vocabulary=int(text.vocab_size),
    )


def _fill(values: dict[str, Any], sizes: Sizes, panoramas: int, questions: int) -> None:
    """Write the chosen sizes into the values of the recipe, in place."""
    values["data"] |= {"workers": sizes.workers, **validation_setting(panoramas)}
    if questions > 1:
        values["data"]["questions_per_panorama"] = min(questions, MOST_QUESTIONS)
    for stage, settings in values["stages"].items():
        settings |= {
            "epochs": sizes.epochs[stage],
            "batch_size": sizes.batch_size,
            "accumulation": sizes.accumulation,
            "learning_rate": sizes.learning_rates[stage],
            "save_every": sizes.save_every[stage],
            "log_every": sizes.log_every[stage],
        }
    values["stages"]["finetune"]["language_model"] = sizes.language_model
    values |= {"seed": 0, "bf16": sizes.bf16, "gradient_checkpointing": sizes.gradient_checkpointing}
