"""Progress of a stage on stderr: a bar in a terminal, one line per report elsewhere."""

import math
import time
from typing import Any

from accelerate import PartialState
from transformers import TrainerCallback

from panollava_hf._console import console, progress, say
from panollava_hf._errors import TrainingError


def report(text: str) -> None:
    """Print one line in the main process."""
    if PartialState().is_main_process:
        say(text)


class StageProgress(TrainerCallback):
    """Shows the progress of a stage, and ends it when the loss is NaN or infinite."""

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.is_terminal = console().is_terminal
        self.bar = progress(transient=False, disable=not self.is_terminal)
        self.started, self.first = time.monotonic(), 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the bar."""
        if state.is_world_process_zero:
            self.started, self.first = time.monotonic(), state.global_step
            self.task = self.bar.add_task(self.stage, total=state.max_steps, completed=state.global_step)
            self.bar.start()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Advance the bar."""
        if state.is_world_process_zero:
            self.bar.update(self.task, completed=state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Report the loss.

        Raises:
            TrainingError: The loss is NaN or infinite.
        """
        loss = (logs or {}).get("loss")
        if loss is None:
            return
        if not math.isfinite(float(loss)):
            raise TrainingError(
                f"the loss of stage {self.stage} is {loss} at step {state.global_step}; lower "
                f"stages.{self.stage}.learning_rate, or check the rows of the table"
            )
        if not state.is_world_process_zero:
            return
        self.bar.update(self.task, description=f"{self.stage}  loss {float(loss):.4g}")
        if not self.is_terminal:
            seconds = (time.monotonic() - self.started) / max(state.global_step - self.first, 1)
            rate = (logs or {}).get("learning_rate", 0.0)
            say(
                f"{self.stage} {state.global_step}/{state.max_steps} loss {float(loss):.4f} "
                f"learning rate {float(rate):.2e} {seconds:.3f} s/step"
            )

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop the bar."""
        self.bar.stop()
