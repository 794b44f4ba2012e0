"""Answers and vectors on the device equal those on the CPU."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from panollava_hf import (
    PanoLLaVaForConditionalGeneration,
    PanoLLaVaForFeatureExtraction,
    PanoLLaVaProcessor,
    default_checkpoint,
)
from panollava_hf.panoshapes import questions, render_scene, sample_scene

from tools.gpu_check.harness import Bench, require
from tools.gpu_check.models import inputs, model

SCENES = 8


def _asked() -> tuple[Any, list[Any], list[str]]:
    """A processor's batch with a question about each of several rendered scenes, the panoramas, and the answers."""
    processor = PanoLLaVaProcessor.from_pretrained(default_checkpoint())
    panoramas, prompts, truths = [], [], []
    for index in range(SCENES):
        scene = sample_scene(0, "test", index)
        found = questions(scene, np.random.default_rng(0))
        question = found[index % len(found)]
        content = [{"type": "image"}, {"type": "text", "text": question.question}]
        prompts.append(
            processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        )
        panoramas.append(render_scene(scene, 512))
        truths.append(question.answer)
    batch = processor(images=panoramas, text=prompts, padding=True, return_tensors="pt")
    return batch, panoramas, truths


def _answers(batch: Any, device: torch.device, dtype: torch.dtype) -> list[str]:
    processor = PanoLLaVaProcessor.from_pretrained(default_checkpoint())
    loaded = PanoLLaVaForConditionalGeneration.from_pretrained(default_checkpoint(), dtype=dtype).eval().to(device)
    tokens = loaded.generate(**batch.to(device, dtype), do_sample=False, max_new_tokens=24)
    written = processor.batch_decode(tokens[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
    return [text.strip() for text in written]


def answers(bench: Bench) -> dict[str, Any]:
    """The embedded checkpoint's answers in float32 are the same as on the CPU, and right."""
    batch, _, truths = _asked()
    here = _answers(batch, torch.device("cpu"), torch.float32)
    there = _answers(batch, bench.device, torch.float32)
    require(here == there, f"answers differ: {here} on the CPU, {there} on the device")
    right = sum(one == truth for one, truth in zip(there, truths, strict=True))
    require(right >= SCENES - 1, f"{right} of {SCENES} answers are right: {there}, expected {truths}")
    return {"questions": SCENES, "same": SCENES, "right": right}


def answers_bf16(bench: Bench) -> dict[str, Any]:
    """The embedded checkpoint in bfloat16 answers as in float32, but for one question at most."""
    batch, _, _ = _asked()
    whole = _answers(batch, bench.device, torch.float32)
    half = _answers(batch, bench.device, torch.bfloat16)
    same = sum(one == other for one, other in zip(whole, half, strict=True))
    require(same >= SCENES - 1, f"{same} of {SCENES} answers are the same: {half}, in float32 {whole}")
    return {"questions": SCENES, "same": same}


def vectors(bench: Bench) -> dict[str, Any]:
    """Vectors of panoramas are those of the CPU."""
    batch, _, _ = _asked()
    made = []
    for device in (torch.device("cpu"), bench.device):
        loaded = PanoLLaVaForFeatureExtraction.from_pretrained(default_checkpoint()).eval().to(device)
        with torch.no_grad():
            made.append(loaded(pixel_values=batch["pixel_values"].to(device)).pooler_output.cpu())
    cosine = torch.nn.functional.cosine_similarity(*made).min().item()
    require(cosine > 0.99999, f"smallest cosine to the CPU's vectors {cosine:.7f}, expected > 0.99999")
    return {"smallest cosine": cosine}


def speed(bench: Bench) -> dict[str, Any]:
    """Speed of generation and of vision vectors with towers of the usual size, in bfloat16."""
    large = model(small=bench.small, dtype=torch.bfloat16).to(bench.device)
    given = {name: value.to(bench.device) for name, value in inputs(large.config, batch=8).items() if name != "labels"}
    given["pixel_values"] = given["pixel_values"].to(torch.bfloat16)
    new = 4 if bench.small else 64
    options = {"do_sample": False, "max_new_tokens": new, "min_new_tokens": new, "pad_token_id": 0}
    bench.peak()
    seconds = bench.seconds(lambda: large.generate(**given, **options), rounds=3)

    def encoded() -> object:
        with torch.no_grad():
            return large.get_image_features(given["pixel_values"])

    vision = bench.seconds(encoded)
    figures = {"image tokens per panorama": large.config.num_image_tokens(), "tokens/s, 8 at once": 8 * new / seconds}
    return {**figures, "panoramas/s, vision and connector": 8 / vision, "peak MiB": bench.peak()}


def reload(bench: Bench) -> dict[str, Any]:
    """A model saved from the device loads again with the same loss."""
    first = model(small=True).to(bench.device)
    given = {name: value.to(bench.device) for name, value in inputs(first.config).items()}
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        first.save_pretrained(Path(folder) / "saved")
        second = type(first).from_pretrained(Path(folder) / "saved").eval().to(bench.device)
        before, after = first(**given).loss.item(), second(**given).loss.item()
    require(abs(before - after) < 1e-6, f"loss {before} before saving, {after} after")
    return {"difference of the losses": abs(before - after)}
