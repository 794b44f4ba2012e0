"""The text files of a Space: its app, requirements, README and the sources of its samples."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version as installed

from panollava_hf.demo._space_samples import SampleFile

#: The release of Gradio with which the page was tested, and the Python of the Space.
GRADIO, PYTHON = "6.31.0", "3.11"
#: Builds of torch without CUDA: a tenth of the size.
CPU_TORCH = "https://download.pytorch.org/whl/cpu"
#: Hardware of the Hub that a Space may suggest.
HARDWARE = (
    *("cpu-basic", "cpu-upgrade", "t4-small", "t4-medium", "l4x1", "l4x4", "a10g-small", "a10g-large", "a10g-largex2"),
    *("a10g-largex4", "a100-large"),
)
EMBEDDED = "embedded"
#: Longest title, and longest description, that the Hub shows.
MAX_TITLE, MAX_DESCRIPTION = 60, 60
DESCRIPTION = "Look around in a 360° panorama and ask about it"


@dataclass(frozen=True)
class SpaceFacts:
    """What a Space is made of.

    Attributes:
        model: "embedded", or the Hub id of a model.
        title: Title of the page on the Hub.
        hardware: The hardware that the Space suggests; default: the free one for the embedded checkpoint, else a GPU.
        version: Release of panollava-hf that the Space installs; default: the installed one.
    """

    model: str
    title: str = "PanoLLaVA"
    hardware: str | None = None
    version: str = installed("panollava-hf")

    @property
    def on_cpu(self) -> bool:
        """Whether the suggested hardware has no GPU."""
        return self.suggested.startswith("cpu")

    @property
    def suggested(self) -> str:
        """The suggested hardware."""
        return self.hardware or ("cpu-basic" if self.model == EMBEDDED else "t4-small")


def app_text(facts: SpaceFacts) -> str:
    """The app: the command `panollava demo`, at the address that the Hub expects."""
    return f'''"""Look around in a 360° panorama and ask about it. Written by `panollava space`.

On this machine: `pip install -r requirements.txt`, then `python app.py`.
"""

import os
import sys
from pathlib import Path

from panollava_hf.cli import run

#: The secrets and variables of the Space's settings can name another model.
MODEL = os.environ.get("PANOLLAVA_MODEL") or {facts.model!r}
ON_THE_HUB = "SPACE_ID" in os.environ
HOST = os.environ.get("GRADIO_SERVER_NAME") or ("0.0.0.0" if ON_THE_HUB else "127.0.0.1")
PORT = os.environ.get("GRADIO_SERVER_PORT") or "7860"
SAMPLES = Path(__file__).resolve().parent / "samples"

if __name__ == "__main__":
    sys.exit(run(["demo", "--model", MODEL, "--host", HOST, "--port", PORT, "--samples", str(SAMPLES)]))
'''


def requirements_text(facts: SpaceFacts) -> str:
    """What pip installs. Gradio has the version of the README, with which the Hub installs it first."""
    index = [f"--extra-index-url {CPU_TORCH}"] if facts.on_cpu else []
    return "\n".join([*index, f"gradio=={GRADIO}", f"panollava-hf[demo]=={facts.version}", ""])


def readme_text(facts: SpaceFacts, samples: Sequence[SampleFile]) -> str:
    """The Space's card, whose front matter is its configuration."""
    on_hub = facts.model != EMBEDDED
    front = {
        "title": _quoted(facts.title),
        "emoji": "🧭",
        "colorFrom": "blue",
        "colorTo": "indigo",
        "sdk": "gradio",
        "sdk_version": GRADIO,
        "python_version": f'"{PYTHON}"',
        "app_file": "app.py",
        "license": "mit",
        "short_description": _quoted(DESCRIPTION),
        "models": f"[{_quoted(facts.model)}]" if on_hub else "[]",
        "preload_from_hub": f"[{_quoted(facts.model)}]" if on_hub else None,
        "suggested_hardware": facts.suggested,
        "tags": "[panorama, 360-degree, equirectangular, visual-question-answering]",
        "pinned": "false",
    }
    lines = [f"{key}: {value}" for key, value in front.items() if value is not None]
    listing = "\n".join(f"- `samples/{s.name}`: {s.title}, {s.licence}, {s.source}" for s in samples)
    return f"""---
{chr(10).join(lines)}
---

# {facts.title}

Look around in a 360° panorama, ask about it, and see which views the answer comes from. Written by
`panollava space`, version {facts.version}.

{_about_model(facts)}

Panoramas that visitors upload are not kept after their session, and the page loads nothing from other servers.

## Run it on your machine

```console
$ pip install -r requirements.txt
$ python app.py
```

## Licences

- App and package: MIT. The 360° viewer is pannellum 2.5.7, MIT, Copyright (c) 2011-2026 Matthew Petroff.
{listing}
"""


def _about_model(facts: SpaceFacts) -> str:
    if facts.model != EMBEDDED:
        return f"The model is [{facts.model}](https://huggingface.co/{facts.model}); its licence is on its own page."
    return (
        "The model is the small checkpoint inside the package panollava-hf (MIT). It was trained on rendered scenes\n"
        "of coloured solids only. For photographs, set the variable `PANOLLAVA_MODEL` of this Space to a Hub model."
    )


def sources_text(samples: Sequence[SampleFile]) -> str:
    """Where the samples come from."""
    rows = "\n".join(f"| `{s.name}` | {s.title} | {s.licence} | {s.source} |" for s in samples)
    return (
        f"# Samples\n\nAll of these may be copied.\n\n| file | shows | licence | source |\n|---|---|---|---|\n{rows}\n"
    )


def _quoted(text: str) -> str:
    """A text as a double-quoted scalar of YAML, of which JSON is a part."""
    return json.dumps(text, ensure_ascii=False)
