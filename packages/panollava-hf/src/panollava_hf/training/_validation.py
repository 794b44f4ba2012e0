"""Validation while a stage trains: when, what is reported and written, the best weights, and early stopping."""

import io
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from transformers import TrainerCallback

from panollava_hf._console import say
from panollava_hf._errors import TrainingError, boundary, reason
from panollava_hf._files import write_whole
from panollava_hf._shown import shortened
from panollava_hf.training._best_weights import BestWeights
from panollava_hf.training._curve import draw_stage_curves
from panollava_hf.training._held_out import HeldOut, Sample, unchanged_randomness
from panollava_hf.training._validation_plan import SHARE, Plan, Standing, standing

#: The losses of a stage, in its checkpoint folder.
LOG_FILE = "training_log.json"
#: Answers of each validation, in the folder of a stage.
SAMPLES_FILE = "samples.jsonl"
#: The losses and scores of a stage as an image, in its folder.
CURVES_FILE = "curves.png"
#: All that a stage records about itself in its folder, besides the config.
RECORDS = (LOG_FILE, SAMPLES_FILE, CURVES_FILE)
#: Answers that are written at each validation, and that are printed.
_WRITTEN, _PRINTED = 10, 3


class Validation(TrainerCallback):
    """Validates a stage at its intervals, and at its end.

    Args:
        held_out: The panoramas.
        plan: When to validate.
        stage: Name of the stage.
        work: Folder of the unfinished stage.
        every_time: Whether questions are answered and curves drawn at every validation. Otherwise they are while
            validation takes at most 5 % of the time, and at the end; the losses are measured every time.
        patience: Validations without improvement that end the stage; None never does.
        sharded: Whether each process holds a part of the weights; then no questions are answered.
        available: Number of panoramas that could be validated on.
    """

    def __init__(
        self,
        held_out: HeldOut,
        plan: Plan,
        *,
        stage: str,
        work: Path,
        every_time: bool,
        patience: int | None,
        sharded: bool,
        available: int,
    ) -> None:
        self.held_out, self.plan, self.stage, self.work = held_out, plan, stage, work
        self.every_time, self.patience, self.sharded = every_time, patience, sharded
        self.available = available
        self.best = BestWeights(sharded=sharded)
        self.standing = Standing()
        self.scores: dict[str, float] = {}
        #: Seconds in validations of this process, in the last one with answers and curves, and when training began.
        self.spent, self._extras_took, self._began = 0.0, 0.0, time.monotonic()

    def summary(self, steps: int) -> str:
        """On what a stage of so many steps is validated, and when, in words."""
        count, every = len(self.held_out), self.plan.every
        of = f" of {self.available:,}" if count < self.available else ""
        when = f"every {every:,} steps and at the end" if every < steps else "at the end"
        loss_only = "; with fsdp no questions are answered" if self.sharded and self.held_out.asks else ""
        return f"validation on {count:,}{of} panoramas that are not trained, {when}{loss_only}"

    @property
    def is_over(self) -> bool:
        """Whether so many validations have not improved the loss that the stage ends."""
        return self.patience is not None and self.standing.since >= self.patience

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Continue where the log of a checkpoint ends, or begin; answers after that step are made again."""
        self._began = time.monotonic()
        self.standing = standing(state.log_history)
        if state.is_world_process_zero:
            path = self.work / SAMPLES_FILE
            lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
            kept = [line for line in lines if _step_of(line) <= state.global_step]
            with self._writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, "".join(f"{line}\n" for line in kept))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Ask the trainer to validate, or to stop."""
        if self.is_over:  # continued from a checkpoint of the step at which the stage ended
            control.should_training_stop, control.should_evaluate, control.should_save = True, False, False
        else:
            control.should_evaluate = state.global_step % self.plan.every == 0 or state.global_step >= state.max_steps

    def measure(
        self, trainer: Any, model: Any, bare: Any, prepare: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> dict[str, float]:
        """Validate once.

        Args:
            trainer: The trainer, whose log the figures are written to.
            model: Called for the loss.
            bare: The model that generates.
            prepare: Makes the inputs of the model from a batch.

        Returns:
            The figures, as they are logged.
        """
        began, state = time.monotonic(), trainer.state
        is_last = state.global_step >= state.max_steps
        with_extras = self._has_time(began, is_last)
        answering = with_extras and self.held_out.asks and not self.sharded
        with unchanged_randomness(), torch.no_grad(), trainer.accelerator.autocast(), _evaluating(model, bare):
            scores, samples = self.held_out.measure(model, bare, prepare, answering=answering)
        self.scores |= scores
        figures = {f"eval_{name}": round(value, 6) for name, value in scores.items()}
        before = self.standing
        self.standing = standing([*state.log_history, {"step": state.global_step, **figures}])
        if self.standing.best_step != before.best_step:
            self.best.keep(trainer.model, state.global_step)
        if state.is_world_process_zero:
            self._report(state, scores, samples)
            if with_extras:
                self._write(state, figures, samples)
        took = time.monotonic() - began
        self.spent += took
        if with_extras:
            self._extras_took = took
        return {**figures, "eval_runtime": round(took, 4)}

    def put_back_best(self, model: Any) -> None:
        """Give the model the weights with the lowest validation loss; the last ones stay if no loss was finite."""
        if self.best.step is not None and self.best.step != self.standing.last_step:
            self.best.put_back(model)

    def record(self) -> dict[str, Any]:
        """What `training_history` says about validation."""
        found = self.standing
        finite = {name: round(value, 6) for name, value in self.scores.items() if math.isfinite(value)}
        return {
            "panoramas": len(self.held_out),
            "every": self.plan.every,
            "validations": found.validations,
            "best_step": found.best_step,
            "best_loss": found.best_loss if found.best_step is not None else None,
            "last": finite,
            "stopped_early": self.is_over,
        }

    def _has_time(self, now: float, is_last: bool) -> bool:
        """Whether questions are answered and curves drawn now, as the main process measures the time."""
        allowed = self.spent + 2 * self._extras_took <= SHARE * (now - self._began)
        decision = [self.every_time or is_last or allowed]
        if PartialState().num_processes > 1:
            broadcast_object_list(decision)
        return decision[0]

    def _report(self, state: Any, scores: dict[str, float], samples: Sequence[Sample]) -> None:
        found = self.standing
        note = "the best so far" if found.best_step == state.global_step else f"the best was at step {found.best_step}"
        note = "not finite" if not math.isfinite(found.last_loss) else note
        parts = [f"{self.stage} {state.global_step}/{state.max_steps} validation loss {scores['loss']:.4f} ({note})"]
        parts += [f"{name} {scores[name]:.4f}" for name in ("invariance", "variance", "covariance") if name in scores]
        if samples:
            match = f"exact match {100 * scores['exact_match']:.1f} %"
            parts.append(f"{match} and token F1 {scores['token_f1']:.3f} of {len(samples)} answers")
        say(", ".join(parts))
        for one in spread(samples, _PRINTED):
            question, answer, expected = (shortened(text, 80) for text in (one.question, one.answer, one.expected))
            say(f"    {one.panorama}: {question} -> {answer!r}, expected {expected!r}")

    def _write(self, state: Any, figures: dict[str, float], samples: Sequence[Sample]) -> None:
        """Answers and curves, in the folder of the unfinished stage."""
        lines = [{"step": state.global_step, **asdict(one)} for one in spread(samples, _WRITTEN)]
        path = self.work / SAMPLES_FILE
        with self._writing(path), path.open("a", encoding="utf-8") as stream:
            stream.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        log = [*state.log_history, {"step": state.global_step, **figures}]
        write_curves(self.work / CURVES_FILE, self.stage, log)

    def _writing(self, path: Path) -> AbstractContextManager[None]:
        problem = f"stage {self.stage}: {path} cannot be written"
        return boundary(TrainingError, problem, "make room, then continue with --resume")


def write_curves(path: Path, stage: str, log: Sequence[dict[str, Any]]) -> None:
    """Draw the losses and scores of a stage into a file. A stage does not fail because of its image; it is reported."""
    try:
        stream = io.BytesIO()
        draw_stage_curves(stage, log).save(stream, format="PNG")
        write_whole(path, stream.getvalue(), durable=False)  # it can be drawn again
    except (OSError, ValueError) as error:
        say(f"{path} was not written ({reason(error)})")


def spread(samples: Sequence[Sample], count: int) -> list[Sample]:
    """At most `count` of the samples, evenly over all of them.

    Example:
        >>> spread([1, 2, 3, 4, 5, 6], 3), spread([1], 3)
        ([1, 3, 5], [1])
    """
    return [samples[place * len(samples) // count] for place in range(count)] if len(samples) > count else [*samples]


def _step_of(line: str) -> float:
    """The step of a line of samples; infinite for one that was not written to its end."""
    try:
        found = json.loads(line)
    except json.JSONDecodeError:
        return math.inf
    step = found.get("step") if isinstance(found, dict) else None
    return step if isinstance(step, int) else math.inf


@contextmanager
def _evaluating(model: Any, bare: Any) -> Iterator[None]:
    """The model evaluates in a block: no dropout, a key-value cache, and VICReg of one batch is that of one process."""
    training, text = model.training, bare.config.get_text_config()
    before = {"use_cache": text.use_cache} if hasattr(text, "use_cache") else {}
    loss = bare.criterion.vicreg if hasattr(bare, "criterion") else None
    options = None if loss is None else loss.options
    model.eval()
    text.use_cache = True
    if loss is not None and options is not None:
        loss.options = options._replace(gather_distributed=False)
    try:
        yield
    finally:
        model.train(training)
        del text.use_cache
        for name, value in before.items():
            setattr(text, name, value)
        if loss is not None:
            loss.options = options
