"""One checkpoint on its way: its parts, its towers, and what is known about the run it came from."""

from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import PretrainedConfig

from panollava_hf._errors import CheckpointError
from panollava_hf._pretrained import tower_normalisation
from panollava_hf.configuration_panollava import PanoLLaVaConfig
from panollava_hf.conversion._adapter import lora_settings
from panollava_hf.conversion._map import Part, drop_computed, split_lora, split_parts
from panollava_hf.conversion._read import Checkpoint
from panollava_hf.conversion._report import Account
from panollava_hf.conversion._settings import (
    connector_settings,
    crop_settings,
    resampler_settings,
    resampler_type,
    vicreg_settings,
)
from panollava_hf.conversion._sources import Sources, find_model_config, read_model_config
from panollava_hf.conversion._targets import (
    VISION,
    LanguageNames,
    Target,
    put_language,
    put_part,
    put_resampler,
    respaced,
)
from panollava_hf.conversion._towers import find_tower, image_token_id, load_tokenizer
from panollava_hf.conversion._verify import tower_prefix


class Run:
    """One checkpoint on its way: its parts, its towers and what is known about it."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        model_type: str,
        model_config: str | Path | None,
        vision_tower: str | Path | None,
        text_tower: str | Path | None,
        account: Account,
    ) -> None:
        self.generates = model_type == "conditional-generation"
        self.model_type, self.account, self.notes = model_type, account, account.notes
        stage = checkpoint.hyper_parameters.get("stage")
        self.stage = stage if isinstance(stage, str) else None
        found = find_model_config(checkpoint.path) if model_config is None else Path(model_config)
        known = {} if found is None else read_model_config(found, self.stage)
        if found is not None and model_config is None:
            self.notes.append(f"model config found beside the checkpoint: {found.name}")
        self.sources = Sources(checkpoint.hyper_parameters, known)
        self.parts = split_parts(checkpoint.tensors, account)
        for held in self.parts.values():
            drop_computed(held, account)
        for part, name in (("vision", "vision tower"), ("resampler", "resampler")):
            if not self.parts[part].tensors:
                raise CheckpointError(f"{checkpoint.path} holds no {name}: expected keys under model.*")
        folders = [] if found is None else [found.resolve().parent, found.resolve().parent.parent]
        names = [self.sources.model_config.get("vision_name"), self.sources.hyper_parameters.get("vision_name")]
        given = None if vision_tower is None else str(vision_tower)
        self.vision_name, self.vision = find_tower(given, names, folders, "vision_config")
        self.statistics = tower_normalisation(self.vision_name)
        self.text_name, self.text = self._text(text_tower, folders)
        for tower in (self.vision, self.text):
            if tower is not None:
                tower.dtype = None  # the tower's own type is not the checkpoint's
        self.language, self.adapters = split_lora(self.parts["language"], account) if self.generates else (Part(), {})
        self.lora: dict[str, Any] = lora_settings(self.adapters, self.sources) if self.adapters else {}
        self.tokenizer = load_tokenizer(self.text_name) if self.generates else None
        self.image_token_id: int | None = None

    def _text(self, given: str | Path | None, folders: list[Path]) -> tuple[str, PretrainedConfig | None]:
        names = [
            self.sources.model_config.get("language_model_name"),
            self.sources.hyper_parameters.get("language_model_name"),
        ]
        try:
            return find_tower(None if given is None else str(given), names, folders, "text_config")
        except CheckpointError:
            if self.generates or given is not None:
                raise
            self.notes.append("the language model's tower was not found and is not needed: text_config is the default")
            return "none", None

    def called(self, name: str, found: str) -> str:
        """How the run called a tower, rather than a folder of this machine."""
        return str(self.sources.hyper_parameters.get(name) or Path(found).name)

    def map(self) -> Target:
        """Every tensor under its new name, and a row for every key."""
        target, account, parts = Target(), self.account, self.parts
        put_part(target, account, parts["norm"], "panollava.vision_backbone.norm.")
        self.kind = resampler_type(parts["resampler"].tensors, self.sources)
        put_resampler(target, account, parts["resampler"], self.kind)
        vision = parts["vision"]
        prefix = tower_prefix(vision, self.vision)
        for name, tensor in vision.tensors.items():
            target.put(account, VISION + prefix + name.removeprefix("vision_model."), vision.keys[name], tensor)
        parts["text_projection"].drop(account, "the original used it in stage 2 only, outside the model's path")
        vicreg = parts["vicreg"]
        tensors: dict[str, Tensor] = {}
        if self.model_type == "vicreg" and vicreg.tensors:
            tensors, keys = respaced(vicreg)
            put_part(target, account, Part(tensors, keys), "vicreg_projector.")
        else:
            vicreg.drop(account, f"only for training: a {self.model_type} model has no VICReg projector")
        self.vicreg = {name.removeprefix("mlp."): tensor for name, tensor in tensors.items()}
        if self.generates:
            self._map_language(target)
        else:
            for part in ("projector", "language"):
                parts[part].drop(account, f"a {self.model_type} model has no language model")
        return target

    def _map_language(self, target: Target) -> None:
        text_config = self.text
        if text_config is None or not self.language.tensors:
            raise CheckpointError(
                "the checkpoint holds no language model (model.language_model.*): convert it with --model-type vicreg "
                "or feature-extraction"
            )
        names = LanguageNames.of(text_config)
        embedding = self.language.tensors.get(names.embedding)
        if embedding is None:
            raise CheckpointError(
                f"the checkpoint lacks model.language_model.{names.embedding}: is {self.text_name} the language model "
                "it was trained with?"
            )
        rows = int(embedding.shape[0])
        self.image_token_id = image_token_id(self.tokenizer, rows)
        text_config.vocab_size = rows
        if names.scale != 1.0:
            target.scale = names.scale
            self.notes.append(
                f"{text_config.model_type}: transformers 4 scaled vision tokens inside the language model, the "
                f"installed release does not, so the projector is multiplied by {names.scale:g}; convert again for 4.57"
            )
        tied = bool(getattr(text_config, "tie_word_embeddings", False))
        put_part(target, self.account, self.parts["projector"], "panollava.projector.linear.")
        put_language(target, self.account, self.language, self.adapters, names, tied=tied)

    def config(self) -> PanoLLaVaConfig:
        """The model's config, completed."""
        norm = bool(self.parts["norm"].tensors)
        self.sources.agreed("use_vicreg_norm", the_tensors=norm)
        settings = resampler_settings(self.kind, self.parts["resampler"].tensors, self.sources)
        settings |= connector_settings(self.sources, self.notes, needed=self.generates)
        settings |= crop_settings(
            self.sources, settings["overlap_ratio"], getattr(self.vision, "image_size", None), self.notes
        )
        if self.model_type == "vicreg":
            settings |= vicreg_settings(self.vicreg, self.sources, settings["latent_dimension"], self.notes)
        if self.image_token_id is not None:
            settings["image_token_id"] = self.image_token_id
        # Where the towers lie on this machine is nobody's business.
        self.vision._name_or_path = self.called("vision_name", self.vision_name)
        if self.text is not None:
            self.text._name_or_path = self.called("language_model_name", self.text_name)
        trained = not (self.generates and self.stage == "vision")
        if not trained:
            self.notes.append("a vision-stage checkpoint's projector never learnt: connector_trained stays False")
        return PanoLLaVaConfig(
            vision_config=self.vision,
            text_config=self.text,
            vision_output_norm=norm,
            connector_trained=trained,
            trainable_vision_blocks=0,
            vicreg_pairs="columns",
            **settings,
            **self.lora,
        )
