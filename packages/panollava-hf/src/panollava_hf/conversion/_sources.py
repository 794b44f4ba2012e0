"""What is known about a run besides its tensors: hyper-parameters and the model config, made comparable.

The original wrote its model config as flat JSON, and read it from YAML with sections (`models`, `image_processing`,
`lora`, `training.stage_configs.<stage>`).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from panollava_hf._errors import CheckpointError

SECTIONS = ("models", "model", "model_config", "image_processing", "data", "lora")
#: Names that differ between the original's files, by the section they may stand in ("" is any).
RENAMED = {
    ("lora", "rank"): "lora_r",
    ("lora", "alpha"): "lora_alpha",
    ("lora", "dropout"): "lora_dropout",
    ("lora", "target_modules"): "lora_target_modules",
    ("", "lora_rank"): "lora_r",
    ("", "resampler"): "resampler_type",
    ("", "model_overlap_ratio"): "overlap_ratio",
}
#: Files that the original's runs leave beside a checkpoint, most specific first.
BESIDE = ("{stem}.model_config.json", "{stem}.model_config.yaml", "model_config.json", "model_config.yaml")


def read_model_config(path: str | Path, stage: str | None = None) -> dict[str, Any]:
    """Read a model config in either of the original's layouts as one flat dictionary.

    Args:
        path: A `.json`, `.yaml` or `.yml` file.
        stage: The stage whose own settings count, in the layout with sections.

    Raises:
        CheckpointError: No such file, or not what its name says.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"model config {path} cannot be read: {error}") from error
    try:
        document = json.loads(text) if path.suffix == ".json" else _yaml(text)
    except ValueError as error:
        raise CheckpointError(f"model config {path} is no {path.suffix or 'YAML'}: {error}") from error
    if not isinstance(document, dict):
        raise CheckpointError(f"model config {path} holds a {type(document).__name__}, expected keys and values")
    return flatten(document, stage)


def _yaml(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def find_model_config(checkpoint: Path) -> Path | None:
    """The model config that a run left beside its checkpoint, if there is one."""
    for pattern in BESIDE:
        path = checkpoint.parent / pattern.format(stem=checkpoint.stem)
        if path.is_file():
            return path
    return None


def flatten(document: Mapping[str, Any], stage: str | None = None) -> dict[str, Any]:
    """Sections → one flat dictionary; what stands deeper (a stage's own settings) wins."""
    flat: dict[str, Any] = {}
    _take(flat, {key: value for key, value in document.items() if key not in (*SECTIONS, "training")}, "")
    for section in SECTIONS:
        part = document.get(section)
        if isinstance(part, Mapping):
            _take(flat, part, section)
    training = document.get("training")
    if isinstance(training, Mapping):
        for place in ("stage_configs", "stages"):
            stages = training.get(place)
            own = stages.get(stage) if isinstance(stages, Mapping) else None
            if isinstance(own, Mapping):
                _take(flat, {key: value for key, value in own.items() if not isinstance(value, Mapping)}, "")
                if isinstance(own.get("image_processing"), Mapping):
                    _take(flat, own["image_processing"], "image_processing")
    return flat


def _take(flat: dict[str, Any], part: Mapping[str, Any], section: str) -> None:
    for key, value in part.items():
        flat[RENAMED.get((section, key)) or RENAMED.get(("", key)) or str(key)] = value


class Sources:
    """Looks values up in everything that names them, and refuses contradictions.

    Args:
        hyper_parameters: The checkpoint's.
        model_config: The flat model config; empty when there is none.
    """

    def __init__(self, hyper_parameters: Mapping[str, Any], model_config: Mapping[str, Any]) -> None:
        self.hyper_parameters = dict(hyper_parameters)
        # The data module's overlap cuts the panorama, the model's stitches and pairs: two settings.
        self.crop_overlap = self.hyper_parameters.pop("overlap_ratio", None)
        self.hyper_parameters = {RENAMED.get(("", k), k): v for k, v in self.hyper_parameters.items()}
        self.model_config = dict(model_config)

    def agreed(self, name: str, **found: Any) -> Any:
        """The one value of a setting, None where nothing says it.

        Args:
            name: Its name in `hyper_parameters` and the model config.
            found: What else says it, by where (`tensors`, `resampler_config`); it wins the order, not a contradiction.

        Raises:
            CheckpointError: Two places say different things; shows both.
        """
        places = {
            **{place.replace("_", " "): value for place, value in found.items()},
            "hyper_parameters": self.hyper_parameters.get(name),
            "the model config": self.model_config.get(name),
        }
        said = {place: value for place, value in places.items() if value is not None}
        first = next(iter(said.values()), None)
        if any(_number(value) != _number(first) for value in said.values()):
            told = ", ".join(f"{value!r} in {place}" for place, value in said.items())
            raise CheckpointError(f"{name} is contradictory: {told}. Correct the model config, or give the right one")
        return first

    def resampler(self, *names: str) -> Any:
        """A setting of the resampler, from the model config's `resampler_config` or under its own name."""
        inner = self.model_config.get("resampler_config") or {}
        for name in names:
            for place in (inner, self.model_config):
                if place.get(name) is not None:
                    return place[name]
        return None


def _number(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
