"""Recipes: everything that decides a training run, in YAML, checked before anything is loaded."""

import difflib
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from panollava_hf._errors import RecipeError

StageName = Literal["vicreg", "resampler", "finetune"]
#: The three stages, in order.
STAGES: tuple[StageName, ...] = get_args(StageName)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TokenizerSettings(_Strict):
    """A byte-level BPE tokenizer learnt from the training texts, for a model that starts from nothing."""

    vocab_size: int = Field(512, ge=300)


class ModelSettings(_Strict):
    """What is trained: a checkpoint, two pretrained towers, or a model from nothing.

    Attributes:
        path: Checkpoint folder or Hub id to start from.
        vision: Vision tower, folder or Hub id, to be joined with `text`.
        text: Causal language model, folder or Hub id.
        config: Fields of `PanoLLaVaConfig`; with full `vision_config` and `text_config` the model starts from nothing.
        tokenizer: Learn a tokenizer from the training texts (a model from nothing needs one).
        image_mean: Per-channel mean, for a model from nothing.
        image_std: Per-channel standard deviation, likewise.
    """

    path: str | None = None
    vision: str | None = None
    text: str | None = None
    config: dict[str, Any] = Field(default_factory=dict)
    tokenizer: TokenizerSettings | None = None
    image_mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    image_std: tuple[float, float, float] = (0.5, 0.5, 0.5)

    @model_validator(mode="after")
    def _one_start(self) -> Self:
        starts = [self.path is not None, self.vision is not None or self.text is not None, self.tokenizer is not None]
        if sum(starts) != 1:
            raise ValueError("give exactly one start: path, or vision and text, or tokenizer (a model from nothing)")
        if (self.vision is None) != (self.text is None):
            raise ValueError("vision and text go together")
        return self


class EasyFirst(_Strict):
    """A curriculum: questions with small values of a column come first.

    Attributes:
        column: A column of numbers, e.g. `difficulty` of PanoShapes.
        share: Share of the stage after which all questions are alike; until then the largest value allowed rises.
        start: Where it starts; None is the smallest value there is.
    """

    column: str = "difficulty"
    share: float = Field(gt=0, le=1)
    start: float | None = None

    @property
    def setting(self) -> tuple[str, float] | tuple[str, float, float]:
        """As `PanoramaDataset` takes it."""
        return (self.column, self.share) if self.start is None else (self.column, self.share, self.start)


class Favour(_Strict):
    """Questions of some kinds are asked more often than others.

    Attributes:
        column: A column of texts, e.g. `family` of PanoShapes.
        weights: How much likelier a question with that value is drawn; values not named have 1.
    """

    column: str = "family"
    weights: dict[str, Annotated[float, Field(gt=0)]] = Field(min_length=1)


class DataSettings(_Strict):
    """The table, and what is made of its rows.

    Attributes:
        source: A file, a folder, or a dataset of the Hub, see `panollava_hf.data._examples.read_examples`.
        split: Which split.
        columns: Names of the columns `image`, `question`, `answer` where they are unusual.
        questions_per_panorama: Questions about one panorama in one step; None takes all.
        easy_first: A curriculum; None is none.
        favour: Kinds of questions asked more often, and panoramas with many of them.
        roll: Roll panoramas by a random yaw and turn the direction words of questions and answers (PanoShapes only).
        cache: Folder for decoded and cut panoramas.
        workers: Processes that decode and cut; 0 does it in the main one.
        limit: Read so many rows at most.
        max_length: Longest sequence in tokens.
    """

    source: str
    split: str = "train"
    columns: dict[str, str] = Field(default_factory=dict)
    questions_per_panorama: int | None = Field(None, ge=1)
    easy_first: EasyFirst | None = None
    favour: Favour | None = None
    roll: bool = False
    cache: str | None = None
    workers: int = Field(2, ge=0)
    limit: int | None = Field(None, ge=1)
    max_length: int | None = Field(None, ge=1)


class StageSettings(_Strict):
    """One stage.

    Attributes:
        steps: Optimizer steps; None means `epochs`.
        epochs: Passes over the panoramas.
        batch_size: Panoramas per step and process.
        accumulation: Batches per optimizer step.
        optimizer: `adamw`, or `muon` for a model that learns from nothing (see `panollava_hf.training._optimizers`).
        learning_rate: Peak learning rate.
        weight_decay: Of AdamW.
        beta2: Of AdamW.
        warmup: Share of the steps in which the rate rises.
        schedule: Shape of the learning rate, a name that transformers knows.
        max_grad_norm: Gradients are clipped to this norm.
        trainable_vision_blocks: Last blocks of the vision tower that learn; 0 none, -1 all.
        language_model: `frozen`, `lora` or `full`; the first two stages know only `frozen`.
        train_resampler: Whether the resampler learns in the last stage.
        data: Fields of `DataSettings` that differ in this stage.
        save_every: Steps between checkpoints to resume from.
        log_every: Steps between reports.
    """

    steps: int | None = Field(None, ge=1)
    epochs: float | None = Field(None, gt=0)
    batch_size: int = Field(1, ge=1)
    accumulation: int = Field(1, ge=1)
    optimizer: Literal["adamw", "muon"] = "adamw"
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(0.05, ge=0)
    beta2: float = Field(0.999, gt=0, lt=1)
    warmup: float = Field(0.1, ge=0, lt=1)
    schedule: str = "cosine"
    max_grad_norm: float = Field(1.0, gt=0)
    trainable_vision_blocks: int = Field(0, ge=-1)
    language_model: Literal["frozen", "lora", "full"] = "frozen"
    train_resampler: bool = False
    data: dict[str, Any] = Field(default_factory=dict)
    save_every: int = Field(500, ge=1)
    log_every: int = Field(10, ge=1)

    @model_validator(mode="after")
    def _steps_or_epochs(self) -> Self:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs")
        return self


class Recipe(_Strict):
    """A whole training run.

    Attributes:
        output: Folder of the run; each stage writes a checkpoint folder of its own name into it.
        model: What is trained.
        data: The table.
        stages: Settings of the stages that are run, in their fixed order; one that is null is left out.
        seed: Of everything random.
        bf16: Compute in bfloat16 (weights stay in float32).
        gradient_checkpointing: Trade time for memory.
        report_to: Where transformers reports to: `none`, `wandb`, `tensorboard`, …
        fsdp: Options of transformers' `--fsdp`, e.g. `full_shard auto_wrap`.
    """

    output: str
    model: ModelSettings
    data: DataSettings
    stages: dict[StageName, StageSettings]
    seed: int = Field(0, ge=0)
    bf16: bool = False
    gradient_checkpointing: bool = False
    report_to: str = "none"
    fsdp: str = ""

    @field_validator("stages", mode="before")
    @classmethod
    def _left_out(cls, stages: Any) -> Any:
        return {k: v for k, v in stages.items() if v is not None} if isinstance(stages, dict) else stages

    @field_validator("stages")
    @classmethod
    def _known_parts(cls, stages: dict[StageName, StageSettings]) -> dict[StageName, StageSettings]:
        if not stages:
            raise ValueError(f"no stage: give one or more of {', '.join(STAGES)}")
        for name in ("vicreg", "resampler"):
            if name in stages and stages[name].language_model != "frozen":
                raise ValueError(f"{name}.language_model: the language model learns in the stage finetune only")
        return {name: stages[name] for name in STAGES if name in stages}

    @model_validator(mode="after")
    def _whole_matrices(self) -> Self:
        for name, stage in self.stages.items():
            if self.fsdp and stage.optimizer == "muon":
                raise ValueError(
                    f"stages.{name}.optimizer: muon needs whole matrices, which fsdp takes apart; use adamw"
                )
        return self

    def data_of(self, stage: StageName) -> DataSettings:
        """The data settings of a stage."""
        return DataSettings.model_validate({**self.data.model_dump(), **self.stages[stage].data})


def shipped() -> dict[str, Path]:
    """Recipes inside this package by name."""
    folder = Path(str(files("panollava_hf") / "recipes"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"), key=lambda path: path.stem)}


def load_recipe(source: str | Path, changes: Iterable[str] = ()) -> Recipe:
    """Read and check a recipe.

    Args:
        source: A YAML file, or the name of a recipe that ships with this package.
        changes: `key=value` settings that override it, keys with dots (`stages.vicreg.steps=10`), values in YAML.

    Raises:
        RecipeError: No such file, no YAML, an unknown key (the nearest valid one is named), or an impossible value.
    """
    path = Path(source)
    if not path.is_file():
        known = shipped()
        if str(source) not in known:
            near = difflib.get_close_matches(str(source), known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; shipped recipes: {', '.join(known)}"
            raise RecipeError(f"no recipe {str(source)!r}: neither a file nor one of the shipped{hint}")
        path = known[str(source)]
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise RecipeError(f"{path} is no recipe: expected keys such as output, model, data, stages")
    for change in changes:
        _set(values, change)
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError(f"{path.name}: {_explained(error)}") from error
    for stage in recipe.stages:
        try:
            recipe.data_of(stage)
        except ValidationError as error:
            raise RecipeError(f"{path.name}: {_explained(error, ('stages', stage, 'data'))}") from error
    return recipe


def _set(values: dict[str, Any], change: str) -> None:
    key, equals, text = change.partition("=")
    if not equals or not key.strip():
        raise RecipeError(f"--set {change!r}: expected key=value, e.g. stages.vicreg.steps=10")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"--set {change!r}: the value is no YAML: {' '.join(str(error).split())}") from error
    *folders, last = key.strip().split(".")
    for name in folders:
        inner = values.setdefault(name, {})
        if not isinstance(inner, dict):
            raise RecipeError(f"--set {change!r}: {name} is a value and has no keys")
        values = inner
    values[last] = value


def _explained(error: ValidationError, inside: tuple[str, ...] = ()) -> str:
    """The first mistake in one line, with the nearest valid name where a key is unknown."""
    first = error.errors()[0]
    place = [*inside, *(str(part) for part in first["loc"])]
    where = ".".join(part for part in place if part != "[key]")
    if first["type"] == "extra_forbidden":
        return f"unknown key {where!r}{_nearest(place[-1], _keys_at(place[:-1]))}"
    if first["type"] == "literal_error" and place[0] == "stages" and place[-1] == "[key]":
        return f"unknown stage {place[1]!r}{_nearest(place[1], STAGES)}"
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def _keys_at(place: Sequence[str]) -> list[str]:
    kinds: dict[str, type[BaseModel]] = {"model": ModelSettings, "data": DataSettings, "stages": StageSettings}
    if not place:
        return list(Recipe.model_fields)
    if place[-1] == "easy_first":
        return list(EasyFirst.model_fields)
    if place[-1] == "data":
        return list(DataSettings.model_fields)
    if place[0] == "model" and len(place) > 1:
        return list(TokenizerSettings.model_fields)
    return list(kinds[place[0]].model_fields)


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, 1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"
