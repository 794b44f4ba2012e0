"""Progress of a stage on stderr: a bar on a terminal, a line per report elsewhere."""

import math
import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import TrainerCallback

from panollava_hf._errors import TrainingError


class StageProgress(TrainerCallback):
    """Shows where a stage is, and ends it when its loss is no number any more."""

    def __init__(self, stage: str, console: Console | None = None) -> None:
        self.stage = stage
        self.console = Console(stderr=True, highlight=False) if console is None else console
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.bar = Progress(*columns, console=self.console, disable=not self.console.is_terminal)
        self.started, self.first = time.monotonic(), 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the bar."""
        if state.is_world_process_zero:
            self.started, self.first = time.monotonic(), state.global_step
            self.task = self.bar.add_task(self.stage, total=state.max_steps, completed=state.global_step)
            self.bar.start()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Move the bar."""
        if state.is_world_process_zero:
            self.bar.update(self.task, completed=state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Report the loss.

        Raises:
            TrainingError: It is infinite or no number.
        """
        loss = (logs or {}).get("loss")
        if loss is None:
            return
        if not math.isfinite(float(loss)):
            raise TrainingError(
                f"the loss of stage {self.stage} is {loss} at step {state.global_step}: lower its learning_rate, or "
                "look for rows that are not what they should be"
            )
        if not state.is_world_process_zero:
            return
        self.bar.update(self.task, description=f"{self.stage}  loss {float(loss):.4g}")
        if not self.console.is_terminal:
            seconds = (time.monotonic() - self.started) / max(state.global_step - self.first, 1)
            rate = (logs or {}).get("learning_rate", 0.0)
            self.console.print(
                f"{self.stage} {state.global_step}/{state.max_steps} loss {float(loss):.4f} "
                f"learning rate {float(rate):.2e} {seconds:.3f} s/step",
                soft_wrap=True,
            )

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop the bar."""
        self.bar.stop()
