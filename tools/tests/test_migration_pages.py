"""The migration pages name everything that they say they name, and nothing that does not exist."""

import inspect
import pkgutil
import re
from pathlib import Path

import py360convert
import pytest
from panollava_core import RESAMPLERS
from panollava_hf import PanoLLaVaConfig
from panollava_hf.conversion import _settings, _values
from panollava_hf.training._recipe import DataSettings, ModelSettings, Recipe, StageSettings

ROOT = Path(__file__).resolve().parents[2]
ORIGINAL = (ROOT / "docs/migration/original.md").read_text(encoding="utf-8")
PY360 = (ROOT / "docs/migration/py360convert.md").read_text(encoding="utf-8")

#: Every key of the original that the conversion reads.
KEYS = {
    *_values.SETTINGS,
    *_settings.DEFAULTS,
    *_settings.SUPPORTED,
    *_settings.IN_RESAMPLER_CONFIG.values(),
    *(name if section == "" else f"{section}.{name}" for section, name in _settings.RENAMED),
    *_settings.RENAMED.values(),
    *("vision_name", "language_model_name", "image_size", "use_lora", "resampler_config", "stage"),
}
#: Where a key of a recipe can lead.
RECIPE = {
    *Recipe.model_fields,
    *(f"model.{name}" for name in ModelSettings.model_fields),
    *(f"data.{name}" for name in DataSettings.model_fields),
    *(f"stages.{stage}" for stage in ("vicreg", "resampler", "finetune")),
    *(f"stages.vicreg.{name}" for name in StageSettings.model_fields),
}
FIELDS = set(inspect.signature(PanoLLaVaConfig).parameters)
OPTIONS = {
    f"resampler_config.{name}"
    for kind in ("mlp", "qformer", "bimamba", "perceiver")
    for name in RESAMPLERS[kind].options_class.__dataclass_fields__
}


def rows(page, title):
    """The rows of the tables in a section: for each, the code in its first and in its other cells."""
    section = re.split(r"^## ", page.split(f"\n## {title}\n")[1], flags=re.MULTILINE)[0]
    for line in section.splitlines():
        cells = [re.findall(r"`([^`]+)`", cell) for cell in line.strip("|").split("|")]
        if line.startswith("| ") and cells[0]:
            yield cells[0], [code for cell in cells[1:] for code in cell]


@pytest.mark.parametrize("key", sorted(KEYS))
def test_each_key_that_the_conversion_reads_has_a_row(key):
    assert key in {name for names, _ in rows(ORIGINAL, "Configuration keys") for name in names}


def test_what_a_key_becomes_exists():
    values = {"model.config", "yaw", "none", "bimamba", "bidirectional_mamba", "bi_mamba", "sinusoidal", "qformer"}
    values |= {"adapter/", "WANDB_PROJECT", "CUDA_VISIBLE_DEVICES", "accelerate launch", "report_to: wandb"}
    known = FIELDS | OPTIONS | RECIPE | values
    for _, found in rows(ORIGINAL, "Configuration keys"):
        for name in found:
            assert name in known or name.startswith(("--", "panollava ")), name


def test_the_recipes_name_what_resamplers_take():
    assert {"resampler_config.num_layers", "resampler_config.num_heads", "resampler_config.expand"} <= OPTIONS


def test_each_name_of_ours_exists():
    named = set(re.findall(r"`(panollava_\w+(?:\.\w+)+)", ORIGINAL))
    assert len(named) > 20
    for name in named:
        assert pkgutil.resolve_name(name) is not None


def test_everything_of_py360convert_is_named():
    public = {name for name in dir(py360convert) if not name.startswith("_")}
    modules = {name for name in public if inspect.ismodule(getattr(py360convert, name))}
    own = py360convert.utils.__name__
    inner = {
        name
        for name, value in vars(py360convert.utils).items()
        if getattr(value, "__module__", None) == own and not name.startswith("_")
    }
    decorated = {"xyzcube", "equirect_uvgrid", "equirect_facetype"}  # cached, so not functions
    assert {name for name in decorated if not hasattr(py360convert.utils, name)} == set()
    missing = [name for name in sorted((public - modules) | inner | decorated) if not re.search(rf"`{name}\b", PY360)]
    assert missing == []
