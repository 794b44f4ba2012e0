"""Checkpoints as the original code wrote them, with towers of any family, and what it computed from them.

The computation follows the description of the original, in plain torch and numpy. It shares nothing with the package
except the towers of transformers.
"""

import json
import math
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

#: Size of the tokenizer below, which is that of the language models before the placeholder is added.
VOCABULARY = 270


def sin_cos(position, width):
    """`[sin(p w_0) …, cos(p w_0) …]` with `w_i = 10000^(-2i/D)`, in float64."""
    rates = 10000.0 ** (-2 * np.arange(width // 2) / width)
    angles = np.asarray(position, dtype=np.float64)[..., None] * rates
    return np.concatenate([np.sin(angles), np.cos(angles)], -1)


def positional(views, height, width, overlap, dimension):
    """The original's encoding, `[V, H, W, D]`."""
    g = np.arange(views)[:, None] * (1 - overlap) + np.arange(width)[None] / width
    across = sin_cos(2 * np.pi * g / (views - (views - 1) * overlap), dimension) + sin_cos(g, dimension)
    return across[:, None] + sin_cos(np.arange(height), dimension)[None, :, None]


def stitch(x, mode, overlap, *, to_view_width=False, interpolation="linear"):
    """`[B, V, H, W, D]` → `[B, T, D]`."""
    _, views, _, width, _ = x.shape
    shared = round(width * overlap)
    if mode == "concat":
        shared = 0
    if mode != "resample":
        return torch.cat([x[:, v, :, (shared if v else 0) :] for v in range(views)], 2).flatten(1, 2)
    unique = views * width - (views - 1) * shared
    places = torch.linspace(0, unique - 1, width if to_view_width else unique)
    columns = []
    for place in places.tolist():
        total, weights = 0, 0
        for v in range(views):
            local = place - v * (width - shared)
            if interpolation == "nearest":
                near = [(round(local), 1.0)]
            else:
                low = math.floor(local)
                near = [(low, 1 - (local - low)), (low + 1, local - low)]
            inside = [(c, w) for c, w in near if 0 <= c < width and w > 0]
            weight = sum(w for _, w in inside)
            total = total + weight * sum((w * x[:, v, :, c] for c, w in inside), torch.zeros_like(x[:, 0, :, 0]))
            weights += weight
        columns.append(total / max(weights, 1e-6))
    return torch.stack(columns, 2).flatten(1, 2)


def mlp(sizes):
    layers = []
    for before, after in pairwise(sizes[:-1]):
        layers += [nn.Linear(before, after), nn.LayerNorm(after), nn.GELU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))


@dataclass
class Original:
    """A trained original model: a checkpoint, its towers' folders, and its own forward pass."""

    folder: Path
    vision: Any
    language: Any
    sizes: list[int]
    settings: dict[str, Any]
    prefix_tokens: int = 0
    vicreg_sizes: list[int] | None = None
    lora: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        with torch.random.fork_rng():
            torch.manual_seed(7)
            self.norm = nn.LayerNorm(self.sizes[0])
            nn.init.normal_(self.norm.weight, 1, 0.1)
            self.resampler = mlp(self.sizes)
            self.projector = nn.Linear(self.sizes[-1], self.language.config.hidden_size)
            self.vicreg = mlp(self.vicreg_sizes or [self.sizes[-1]] * 3)
        self.vision_folder, self.text_folder = self.folder / "vision", self.folder / "text"
        self.vision.eval().save_pretrained(self.vision_folder)
        pixels = {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.4]}
        (self.vision_folder / "preprocessor_config.json").write_text(json.dumps(pixels))
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=["<pad>", "<eos>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(["where is the red cube ahead or behind the blue cube"] * 3, trainer)
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>")
        assert len(tokenizer) == VOCABULARY
        self.language.eval().save_pretrained(self.text_folder)
        tokenizer.save_pretrained(self.text_folder)
        self.image_token_id = VOCABULARY
        self.trained = AutoModelForCausalLM.from_pretrained(self.text_folder).eval()
        # <|vision|> and <|endoftext|>, as the original added them.
        self.trained.resize_token_embeddings(VOCABULARY + 2, mean_resizing=False)
        self.trained.save_pretrained(self.folder / "trained")

    def state_dict(self):
        """Keys and tensors as in the original's file: towers under the names transformers 4 gave them."""
        vision = load_file(self.vision_folder / "model.safetensors")
        language = load_file(self.folder / "trained" / "model.safetensors")
        head = self.trained.get_output_embeddings().weight.detach()
        if self.trained.config.tie_word_embeddings:  # written once by transformers, twice by Lightning
            language["lm_head.weight"] = head.clone()
        state = {f"vision_backbone.encoder.{k.removeprefix('vision_model.')}": v for k, v in vision.items()}
        state |= {f"vision_backbone.norm.{k}": v for k, v in self.norm.state_dict().items()}
        for place in ("resampler_module.resampler", "resampler"):
            state |= {f"{place}.mlp.{k}": v for k, v in self.resampler.state_dict().items()}
        state |= {f"vicreg_projector.mlp.{k}": v for k, v in self.vicreg.state_dict().items()}
        for place in ("projector.linear", "vision_to_language_projection"):
            state |= {f"{place}.{k}": v for k, v in self.projector.state_dict().items()}
        for key, tensor in language.items():
            module = key.rpartition(".")[0]
            if not self.lora:
                state[f"language_model.{key}"] = tensor
            elif module in self.lora["modules"]:
                state[f"language_model.base_model.model.{module}.base_layer.{key.rpartition('.')[2]}"] = tensor
            else:
                state[f"language_model.base_model.model.{key}"] = tensor
        for module, (down, up) in self.lora.get("modules", {}).items():
            state[f"language_model.base_model.model.{module}.lora_A.default.weight"] = down
            state[f"language_model.base_model.model.{module}.lora_B.default.weight"] = up
        return {f"model.{key}": tensor for key, tensor in state.items()}

    def changed(self, **changes):
        """`state_dict` with some tensors replaced (None: removed), by their key with slashes and without `model.`."""
        state = self.state_dict() | {f"model.{name.replace('/', '.')}": tensor for name, tensor in changes.items()}
        return {key: tensor for key, tensor in state.items() if tensor is not None}

    @property
    def hyper_parameters(self):
        known = {
            "stage": "finetune",
            "lr": 1e-4,
            "vision_name": "nowhere/vision",
            "language_model_name": "nowhere/text",
        }
        known |= {"resampler_type": "mlp", "latent_dimension": self.sizes[-1], "crop_strategy": "e2p", "fov_deg": 90.0}
        known |= {
            "model_overlap_ratio": self.settings["overlap_ratio"],
            "overlap_ratio": self.settings["overlap_ratio"],
        }
        if self.lora:
            known |= {"use_lora": True, "lora_rank": self.lora["rank"], "lora_alpha": self.lora["alpha"]}
        return known | self.extra

    def save(self, name="last.ckpt", *, state=None, hyper_parameters=None, model_config=True, **top):
        """Write the checkpoint, and its model config next to it."""
        path = self.folder / name
        whole = {
            "epoch": 1,
            "state_dict": self.state_dict() if state is None else state,
            "hyper_parameters": self.hyper_parameters if hyper_parameters is None else hyper_parameters,
            "optimizer_states": [{"step": torch.tensor(3.0)}],
        }
        torch.save({**whole, **top}, path)
        if model_config:
            (self.folder / f"{path.stem}.model_config.json").write_text(json.dumps(self.settings))
        return path

    def convert(self, output, model_type="conditional-generation", path=None, **options):
        from panollava_hf import convert_lightning_checkpoint

        towers = {"vision_tower": self.vision_folder, "text_tower": self.text_folder}
        return convert_lightning_checkpoint(path or self.save(), output, model_type, **{**towers, **options})

    def vision_tokens(self, pixels):
        """What the language model reads, `[B, T, D_lm]`, and the resampled features before it."""
        batch, views = pixels.shape[:2]
        features = self.vision(pixels.flatten(0, 1)).last_hidden_state[:, self.prefix_tokens :]
        latents = self.resampler(self.norm(features))
        side = math.isqrt(latents.shape[1])
        x = latents.view(batch, views, side, side, -1)
        if self.settings["use_projection_positional_encoding"]:
            code = positional(views, side, side, self.settings["overlap_ratio"], x.shape[-1])
            x = x + torch.from_numpy(code).float()
        x = stitch(
            self.projector(x),
            self.settings["stitching_mode"],
            self.settings["overlap_ratio"],
            to_view_width=self.settings["stitch_target_to_view_width"],
            interpolation=self.settings["stitch_interp"],
        )
        return x, latents

    @torch.no_grad()
    def forward(self, pixels, ids, labels):
        """Loss and logits of prompts with one placeholder each, all equally long."""
        tokens, latents = self.vision_tokens(pixels)
        model = self.trained
        if self.language.config.model_type == "gemma2" and hasattr(model.get_input_embeddings(), "embed_scale"):
            tokens = tokens * self.language.config.hidden_size**0.5  # as transformers 4 did with all embeddings
        if self.lora:
            model = AutoModelForCausalLM.from_pretrained(self.folder / "trained").eval()
            scale = self.lora["alpha"] / self.lora["rank"]
            for name, (down, up) in self.lora["modules"].items():
                layer = model.get_submodule(name)
                change = scale * (up.double() @ down.double()).float()
                layer.weight += change if isinstance(layer, nn.Linear) else change.T
        embedded, targets = [], []
        for row, (prompt, answer) in enumerate(zip(ids, labels, strict=True)):
            at = int((prompt == self.image_token_id).nonzero()[0])
            words = model.get_input_embeddings()(prompt.masked_fill(prompt == self.image_token_id, 0))
            embedded.append(torch.cat([words[:at], tokens[row], words[at + 1 :]]))
            targets.append(torch.cat([answer[:at], torch.full((len(tokens[row]),), -100), answer[at + 1 :]]))
        output = model(inputs_embeds=torch.stack(embedded), labels=torch.stack(targets))
        return {"loss": output.loss, "logits": output.logits, "vision_tokens": tokens, "latents": latents}


SETTINGS = {
    "resampler_type": "mlp",
    "overlap_ratio": 0.5,
    "use_vicreg_norm": True,
    "stitching_mode": "concat",
    "stitch_target_to_view_width": False,
    "stitch_interp": "nearest",
    "use_projection_positional_encoding": True,
    "vicreg_mode": "pairwise",
}


def siglip(**changes):
    from transformers import SiglipVisionConfig, SiglipVisionModel

    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    return SiglipVisionModel(SiglipVisionConfig(**{**sizes, "image_size": 24, "patch_size": 6, **changes}))


def qwen2(**changes):
    from transformers import Qwen2Config, Qwen2ForCausalLM

    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    ends = {"bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 0, "vocab_size": VOCABULARY}
    settings = {**sizes, **ends, "num_key_value_heads": 2, "tie_word_embeddings": True, **changes}
    return Qwen2ForCausalLM(Qwen2Config(**settings))


@pytest.fixture
def make_original(tmp_path):
    """Builds an `Original`; without arguments SigLIP, a two-layer resampler and Qwen2."""

    def build(vision=None, language=None, *, hidden=(40,), latent=24, settings=None, **more):
        with torch.random.fork_rng():
            torch.manual_seed(3)
            vision, language = vision or siglip(), language or qwen2()
        width = getattr(vision.config, "hidden_size", None)
        folder = tmp_path / "original"
        folder.mkdir()
        return Original(folder, vision, language, [width, *hidden, latent], {**SETTINGS, **(settings or {})}, **more)

    return build
