"""Recipes: all settings of a training run, checked before anything is loaded."""

from collections.abc import Collection
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from panollava_hf._errors import TrainingError

StageName = Literal["vicreg", "resampler", "finetune", "refine", "polish"]
#: The stages, in order; `refine` and `polish` are further finetunes with settings and data of their own.
STAGES: tuple[StageName, ...] = get_args(StageName)
#: Those that train no language model.
FROZEN: tuple[StageName, ...] = ("vicreg", "resampler")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TokenizerSettings(_Strict):
    """A byte-level BPE tokenizer trained on the texts of the table, for a model that starts from scratch.

    Attributes:
        vocab_size: Largest number of tokens.
        lower_case: Read all texts in lower case, with Unicode's compatible characters (NFKC) and straight apostrophes,
            so that "BACK", full-width letters and decomposed Hangul are the same tokens as usual. Answers are then in
            lower case too.
        short_roles: Mark who speaks with one token (`<|user|>`, `<|assistant|>`) instead of the several of ChatML: a
            short question is a fifth shorter.
    """

    vocab_size: int = Field(512, ge=300, le=10**7)
    lower_case: bool = False
    short_roles: bool = False


class ModelSettings(_Strict):
    """Where training starts: a checkpoint, two pretrained towers, or a model from scratch.

    Attributes:
        path: Checkpoint folder or Hub id.
        vision: Vision tower, folder or Hub id, to join with `text`.
        text: Causal language model, folder or Hub id.
        config: Fields of `PanoLLaVaConfig`. A model from scratch needs a full `vision_config` and `text_config`.
        tokenizer: Start from scratch, with a tokenizer trained on the texts of the table.
        image_mean: Per-channel mean of the image processor, for a model from scratch.
        image_std: Per-channel standard deviation of the image processor, for a model from scratch.
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
            raise ValueError("give exactly one start: path, or vision and text, or tokenizer (a model from scratch)")
        if (self.vision is None) != (self.text is None):
            raise ValueError("give both vision and text, or neither")
        return self


class Curriculum(_Strict):
    """Questions with small values in a column come first.

    Attributes:
        column: A column of numbers, e.g. `difficulty` in PanoShapes.
        share: Share of the stage during which the largest allowed value rises linearly.
        start: The largest allowed value at the beginning; None is the smallest value in the column.
        end: The largest allowed value at the end; None allows all.
    """

    column: str = "difficulty"
    share: float = Field(gt=0, le=1)
    start: float | None = None
    end: float | None = None

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.start is not None and self.end is not None and self.end < self.start:
            raise ValueError(f"start is {self.start} and end {self.end}; the largest allowed value cannot fall")
        return self


class SamplingWeights(_Strict):
    """Some kinds of questions are asked more often than others.

    Attributes:
        column: A column of texts, e.g. `family` in PanoShapes.
        weights: Weight of each value: a question of weight 3 is three times as likely to be drawn as one of weight 1,
            the weight of values that are not named.
        times: Weights by another column; those of a question are multiplied.
    """

    column: str = "family"
    weights: dict[str, Annotated[float, Field(gt=0)]] = Field(min_length=1)
    times: "SamplingWeights | None" = None


class ValidationSettings(_Strict):
    """Panoramas that are not trained, on which a stage is measured while it trains.

    Attributes:
        split: Another split of the folder or dataset.
        share: Share of the panoramas of the table. Rows with the same path, URL or `scene` stay together, and `seed`
            and the texts of the table decide which are kept.
        limit: Largest number of panoramas to measure on; None is a number that is measured about ten times in 5 % of
            the stage, at least 16 and at most 256.
        answers: Number of their questions that are answered by generation, for exact match, token F1 and samples.
    """

    split: str | None = Field(None, min_length=1)
    share: float | None = Field(None, gt=0, lt=1)
    limit: int | None = Field(None, ge=1)
    answers: int = Field(32, ge=0, le=10**5)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.split is None) == (self.share is None):
            raise ValueError("give either split, e.g. {split: validation}, or share, e.g. {share: 0.1}")
        return self


class DataSettings(_Strict):
    """The table, and how its rows are used.

    Attributes:
        source: A file, a folder, or a dataset on the Hub, see `panollava_hf.data.read_examples`.
        split: Split of a folder or dataset.
        columns: Names of the columns `image`, `question` and `answer` if they differ from the usual ones.
        questions_per_panorama: Largest number of questions about one panorama in one step; None takes all.
        curriculum: Which questions come first; None asks all from the start.
        sampling_weights: Kinds of questions that are asked more often, and with them panoramas that have many of them.
        yaw_augmentation: Rotate panoramas by a random yaw, and the directions in questions and answers with them
            (PanoShapes only).
        cache: Folder for decoded and cut panoramas.
        workers: Processes that decode and cut; with 0 the main process does it.
        limit: Largest number of rows to read.
        max_length: Largest number of tokens in a sequence.
        private_redirects: Whether URLs of images can redirect from a public address to a private one.
        validation: Panoramas to measure on while a stage trains; None measures nothing.
    """

    source: str
    split: str = "train"
    columns: dict[str, str] = Field(default_factory=dict)
    questions_per_panorama: int | None = Field(None, ge=1)
    curriculum: Curriculum | None = None
    sampling_weights: SamplingWeights | None = None
    yaw_augmentation: bool = False
    cache: str | None = None
    workers: int = Field(2, ge=0, le=1024)
    limit: int | None = Field(None, ge=1)
    max_length: int | None = Field(None, ge=1)
    private_redirects: bool = False
    validation: ValidationSettings | None = None

    @model_validator(mode="after")
    def _two_splits(self) -> Self:
        if self.validation is not None and self.validation.split == self.split:
            raise ValueError(
                f"validation.split is {self.split!r}, the split that is trained; name another one, or use "
                "validation.share"
            )
        return self


class StageSettings(_Strict):
    """One stage.

    Attributes:
        steps: Number of optimizer steps; None if `epochs` is given.
        epochs: How often each panorama is seen.
        batch_size: Panoramas per batch and process.
        accumulation: Batches per optimizer step.
        optimizer: `adamw`, or `muon` for a model from scratch (see `panollava_hf.training._optimizers`).
        learning_rate: Peak learning rate.
        weight_decay: Weight decay of matrices.
        beta2: Second moment decay of AdamW.
        warmup: Share of the steps during which the learning rate rises.
        schedule: Learning rate schedule, a name of transformers.
        max_grad_norm: Gradients are clipped to this norm.
        trainable_vision_blocks: How many of the last blocks of the vision tower are trained; 0 none, -1 all.
        language_model: `frozen`, `lora` or `full`; always `frozen` in the first two stages.
        train_resampler: Whether the stages finetune, refine and polish train the resampler.
        data: Fields of `DataSettings` that differ in this stage.
        save_every: Steps between the checkpoints that `--resume` starts from.
        log_every: Steps between reports.
        eval_every: Steps between validations, with `data.validation`; the end of the stage is always validated. None is
            a number of steps at which validation takes at most 5 % of the time.
        patience: End the stage when so many validations in a row have not improved the validation loss; None never
            does.
    """

    steps: int | None = Field(None, ge=1, le=10**9)
    epochs: float | None = Field(None, gt=0, le=10**6)
    batch_size: int = Field(1, ge=1, le=10**6)
    accumulation: int = Field(1, ge=1, le=10**6)
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
    eval_every: int | None = Field(None, ge=1)
    patience: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _steps_or_epochs(self) -> Self:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs")
        return self


class Recipe(_Strict):
    """A whole training run.

    Attributes:
        output: Folder of the run; each stage writes a checkpoint folder with its name there.
        model: Where training starts.
        data: The table.
        stages: Settings of the stages; they run in a fixed order, and a stage that is null is left out.
        seed: Seed of everything random.
        bf16: Compute in bfloat16 (weights stay in float32).
        gradient_checkpointing: Trade time for memory.
        compile: Compile the layers of the language model with `torch.compile`, which on a CPU needs a C++ compiler. The
            first steps take up to a minute longer, the others less time.
        report_to: Reporting of transformers: `none`, `wandb`, `tensorboard`, …
        fsdp: Options of transformers' `--fsdp`, e.g. `full_shard auto_wrap`.
    """

    output: str = Field(min_length=1)
    model: ModelSettings
    data: DataSettings
    stages: dict[StageName, StageSettings]
    seed: int = Field(0, ge=0, lt=2**32)
    bf16: bool = False
    gradient_checkpointing: bool = False
    compile: bool = False
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
        for name in FROZEN:
            if name in stages and stages[name].language_model != "frozen":
                raise ValueError(
                    f"{name}.language_model: only the stages finetune, refine and polish train the language model; "
                    "use frozen here"
                )
        return {name: stages[name] for name in STAGES if name in stages}

    @model_validator(mode="after")
    def _whole_matrices(self) -> Self:
        for name, stage in self.stages.items():
            if self.fsdp and stage.optimizer == "muon":
                raise ValueError(f"stages.{name}.optimizer: muon needs whole matrices, but fsdp shards them; use adamw")
        return self

    @model_validator(mode="after")
    def _something_to_validate(self) -> Self:
        for name, stage in self.stages.items():
            given = [key for key in ("eval_every", "patience") if getattr(stage, key) is not None]
            if given and stage.data.get("validation", self.data.validation) is None:
                raise ValueError(
                    f"stages.{name}.{given[0]} needs panoramas to validate on: give data.validation, e.g. "
                    "{share: 0.1}"
                )
        return self

    def select(self, stages: Collection[str] | None = None) -> list[StageName]:
        """The given stages in the order in which they run; None selects all.

        Raises:
            TrainingError: The recipe does not have one of them.
        """
        missing = [name for name in stages or () if name not in self.stages]
        if missing:
            raise TrainingError(f"the recipe has no stage {missing[0]!r}; its stages are {', '.join(self.stages)}")
        return [name for name in self.stages if stages is None or name in stages]

    def data_of(self, stage: StageName) -> DataSettings:
        """The data settings of a stage."""
        return DataSettings.model_validate({**self.data.model_dump(), **self.stages[stage].data})
