"""Training: the overhead of the trainer over the bare modules, and the time spent waiting for data."""

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from transformers import TrainerCallback

from tools.bench.harness import milliseconds, table

STEPS, WARM_UP, SCENES = 64, 4, 48


class _Clock(TrainerCallback):
    """Times the bare modules after each step of the trainer, on the same batch and in the same state of the machine."""

    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer
        self.steps: list[float] = []
        self.bare: list[float] = []
        self.waits: list[float] = []
        self.updates: list[float] = []
        self.batch: dict[str, Any] = {}
        self.fetch, trainer.get_batch_samples = trainer.get_batch_samples, self._fetched
        self.prepare, trainer._prepare_inputs = trainer._prepare_inputs, self._prepared

    def _fetched(self, *args: Any, **kwargs: Any) -> Any:
        self.began = began = time.perf_counter()
        found = self.fetch(*args, **kwargs)
        self.waits.append(time.perf_counter() - began)
        return found

    def _prepared(self, inputs: dict[str, Any]) -> dict[str, Any]:
        self.batch = self.prepare(inputs)
        return self.batch

    def on_train_begin(self, args: Any, state: Any, control: Any, optimizer: Any = None, **kwargs: Any) -> None:
        """Time the computation of the optimizer: the matrix products of Muon are not overhead of the trainer."""
        update = optimizer.step

        def timed(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            found = update(*args, **kwargs)
            self.updates.append(time.perf_counter() - began)
            return found

        optimizer.step = timed

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Record the step, then time the bare modules."""
        self.steps.append(time.perf_counter() - self.began)
        began = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.trainer.args.bf16):
            loss = _bare_loss(model, self.batch)
        loss.backward()
        self.bare.append(time.perf_counter() - began)
        model.zero_grad()


def _bare_loss(model: Any, batch: dict[str, Any]) -> torch.Tensor:
    """The modules one after another, without the wrappers of transformers or PanoLLaVA."""
    whole = model.base_model
    pixels = batch["pixel_values"]
    features = whole.vision_backbone(pixels.flatten(0, 1))
    grid = whole.vision_backbone.token_grid(pixels.shape[-2:])
    latents = whole.resampler(features, grid=grid)
    tokens = whole.projector(latents, num_views=pixels.shape[1], grid=whole.token_grid, rays=whole._plan_rays)
    ids = batch["input_ids"]
    embeds = whole.get_input_embeddings()(ids)
    image = (ids == model.config.image_token_id)[..., None]
    embeds = embeds.masked_scatter(image, tokens.to(embeds.dtype))
    hidden = whole.language_model(
        inputs_embeds=embeds,
        attention_mask=batch["attention_mask"],
        position_ids=batch["position_ids"],
        use_cache=False,
    ).last_hidden_state
    logits = model.lm_head(hidden).float()
    labels = torch.nn.functional.pad(batch["labels"][:, 1:], (0, 1), value=-100)
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100)


def _clock(folder: Path, workers: int) -> _Clock:
    """Train some steps of the recipe with this number of workers, the bare modules after each."""
    from panollava_hf.training import load_recipe, train
    from panollava_hf.training._stage import stage_trainer

    changes = [f"data.source={folder / 'shapes'}", f"data.cache={folder / 'cache'}", f"data.workers={workers}"]
    changes += ["data.yaw_augmentation=false"]  # otherwise panoramas are cached, not views
    changes += ["stages.finetune.data.curriculum=null"]  # all questions, as in the second half of the recipe
    changes += [f"output={folder / f'run-{workers}'}", "stages.vicreg.steps=1", "stages.resampler.steps=1"]
    changes += [f"stages.{stage}.batch_size=8" for stage in ("vicreg", "resampler", "finetune")]
    changes += [f"stages.finetune.steps={STEPS}", "stages.finetune.save_every=999"]
    recipe = load_recipe("panoshapes", changes)
    train(recipe, ["vicreg"])
    start, work = folder / f"run-{workers}" / "vicreg", folder / f"work-{workers}"
    trainer = stage_trainer(recipe, "finetune", start, work)
    dataset: Any = trainer.train_dataset
    for place in range(SCENES):  # fill the cache
        dataset[place]
    clock = _Clock(trainer)
    trainer.add_callback(clock)
    trainer.train()
    return clock


def run() -> str:
    """Measure, and return the Markdown of the section."""
    from panollava_hf.panoshapes import write_panoshapes

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_panoshapes(folder / "shapes", "train", SCENES, width=512, questions_per_family=4)
        alone, fed = _clock(folder, 0), _clock(folder, 2)
    rows = [["a step of `finetune` without data and optimizer", *_step(alone, True), "≤ 1.10×"],
            ["the same with 2 workers on the same two cores", *_step(fed, True), ""],
            ["the whole step with 2 workers (data, forward, backward, clipping, Muon)", *_step(fed, False), ""],
            ["share of Muon", *_part(fed, fed.updates), ""],
            ["share of waiting for data (2 workers, cached views)", *_part(fed, fed.waits), "≤ 5 %"]]  # fmt: skip
    head = ["work", "trainer", "bare modules, forward and backward", "ratio", "goal"]
    note = (
        "The recipe `panoshapes`: 8 panoramas of 6 views with up to 24 questions each; trainer and bare modules take "
        "turns on the same batches. In the first row the main process makes the data, so nothing else runs during a "
        "step, as on a GPU."
    )
    return f"## Training\n\n{note}\n\n{table(head, rows)}"


def _step(clock: _Clock, net: bool) -> list[str]:
    parts = zip(clock.steps, clock.updates, clock.waits, strict=True)
    steps = [step - update - wait if net else step for step, update, wait in parts]
    ours, bare = median(steps[WARM_UP:]), median(clock.bare[WARM_UP:])
    return [milliseconds(ours), milliseconds(bare), f"{ours / bare:.3f}×"]


def _part(clock: _Clock, times: list[float]) -> list[str]:
    share = sum(times[WARM_UP:STEPS]) / sum(clock.steps[WARM_UP:STEPS])
    return [milliseconds(median(times[WARM_UP:STEPS])), "", f"{share:.1%}"]
