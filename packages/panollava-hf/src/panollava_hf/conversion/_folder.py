"""Everything beside the weights that a converted folder needs to answer a panorama on its own."""

from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData
from transformers import GenerationConfig, PretrainedConfig

from panollava_hf.hub._push import prepare, push
from panollava_hf.image_processing_panollava import PanoLLaVaImageProcessor
from panollava_hf.processing_panollava import PanoLLaVaProcessor

CARD = """\
# {name}

A [PanoLLaVA](https://pypi.org/project/panollava-hf/) model, converted from a Lightning checkpoint of the original
training code (`{checkpoint}`, stage {stage}). It computes the same numbers.

| part | what |
|---|---|
| class | `{architecture}` |
| vision tower | {vision} |
| resampler | {resampler} |
| language model | {text} |
| views | {crop}, {fov:g}° wide, overlap {overlap:g} |

{use}
"""
ASK = """```console
$ pip install panollava-hf
$ panollava ask panorama.jpg "What is in front of me?" --model {name}
```"""
ADAPTER = """
The LoRA adapter is in `adapter/`, beside its base; `panollava ask` puts it on by itself, and so does

```python
from panollava_hf import PanoLLaVaForConditionalGeneration

model = PanoLLaVaForConditionalGeneration.from_pretrained("{name}")
```"""
LOAD = """```python
from panollava_hf import {architecture}, PanoLLaVaImageProcessor

processor = PanoLLaVaImageProcessor.from_pretrained("{name}")
model = {architecture}.from_pretrained("{name}").eval()
print(model(**processor("panorama.jpg")))
```"""


def write_processor(folder: Path, config: Any, statistics: tuple[list[float], list[float]], tokenizer: Any) -> None:
    """Processor with the vision tower's own mean and standard deviation; without a tokenizer, its image half."""
    mean, std = statistics
    if tokenizer is None:
        PanoLLaVaImageProcessor.from_config(config, mean, std).save_pretrained(str(folder))
    else:
        PanoLLaVaProcessor.from_config(config, tokenizer, mean, std).save_pretrained(str(folder))


def write_generation_config(folder: Path, config: PretrainedConfig, text: str, tokenizer: Any) -> None:
    """The language model's own generation settings, and never the placeholder."""
    try:
        generation = GenerationConfig.from_pretrained(text)
    except OSError:  # many towers have none, and transformers then derives it from the config, as here
        generation = GenerationConfig.from_model_config(config.text_config)
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        if getattr(generation, name) is None:
            setattr(generation, name, getattr(tokenizer, name))
    generation.suppress_tokens = [config.image_token_id]  # it is read, never written
    generation.save_pretrained(str(folder))


def upload(folder: Path, repository: str) -> str:
    """Push a converted folder in one commit, to a private repository if it is new; returns the commit's id.

    Raises:
        ValueError: The repository's name is none.
        PushError: The Hub refused or cannot be reached.
    """
    return push(prepare(folder, repository, message="Convert from a Lightning checkpoint", exported=False))


def write_card(folder: Path, config: Any, facts: dict[str, str], *, adapter: bool) -> None:
    """A model card of what is known.

    Args:
        folder: Where to.
        config: The model's.
        facts: `name`, `checkpoint`, `stage`, `vision`, `text`.
        adapter: Whether a LoRA adapter lies beside the base.
    """
    architecture = config.architectures[0]
    generates = architecture.endswith("ForConditionalGeneration")
    use = ASK + (ADAPTER if adapter else "") if generates else LOAD
    text = CARD.format(
        architecture=architecture,
        resampler=config.resampler_type,
        crop=config.crop_strategy,
        fov=config.fov_deg,
        overlap=config.overlap_ratio,
        use=use.replace("{name}", facts["name"]).replace("{architecture}", architecture),
        **facts,
    )
    data = ModelCardData(
        library_name="transformers",
        tags=["panorama", "360", "equirectangular", "panollava"],
        pipeline_tag="image-text-to-text" if generates else "image-feature-extraction",
    )
    ModelCard(f"---\n{data.to_yaml()}\n---\n\n{text}").save(folder / "README.md")
