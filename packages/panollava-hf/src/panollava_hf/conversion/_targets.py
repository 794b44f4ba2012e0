"""The checkpoint's parts under the names of a PanoLLaVA model."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PretrainedConfig

from panollava_hf._errors import CheckpointError
from panollava_hf.conversion._map import Adapter, Part, same
from panollava_hf.conversion._original_resamplers import convert_original_resampler
from panollava_hf.conversion._report import Account
from panollava_hf.conversion._settings import layers_of

#: Tensors that the original's resampler carried along and never read.
UNREAD = {
    "bert.embeddings.word_embeddings.weight": "never read: the queries take the place of word embeddings",
    "bert.embeddings.position_ids": "only counts positions",
    "bert.pooler.dense.weight": "never read: the last hidden state is taken, not the pooled one",
    "bert.pooler.dense.bias": "never read: the last hidden state is taken, not the pooled one",
}
#: Families whose embeddings transformers 4 scaled inside the model, those of vision tokens too.
SCALED_INSIDE = ("gemma", "gemma2")
LANGUAGE = "panollava.language_model."
VISION = "panollava.vision_backbone.encoder."


@dataclass
class Target:
    """What will be written.

    Attributes:
        tensors: By name in the new model.
        keys: The checkpoint's key of each, where there is just one.
        adapters: LoRA factors by the name of their module in the new model.
        scale: Factor on the projector's weights, see `LanguageNames.scale`.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    adapters: dict[str, Adapter] = field(default_factory=dict)
    scale: float = 1.0

    def put(self, account: Account, name: str, key: str, tensor: Tensor) -> None:
        """Take over one tensor as it is."""
        self.tensors[name], self.keys[name] = tensor, key
        account.add(key, "mapped", name)


class _Read(Mapping[str, Tensor]):
    """Tensors that remember which of them were asked for."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors, self.read = tensors, set[str]()

    def __getitem__(self, name: str) -> Tensor:
        tensor = self._tensors[name]
        self.read.add(name)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


def put_resampler(target: Target, account: Account, part: Part, kind: str) -> None:
    """Take over the resampler, in the layout of panollava-core."""
    tensors, keys = (part.tensors, part.keys) if kind != "mlp" else respaced(part)
    source = _Read(tensors)
    try:
        converted = convert_original_resampler(kind, source)
    except KeyError as error:
        raise CheckpointError(
            f"the {kind} resampler lacks {error.args[0]} (model.resampler_module.resampler.{error.args[0]})"
        ) from error
    for name, tensor in converted.items():
        target.tensors[f"panollava.resampler.{name}"] = tensor
        if name in keys and tensor is tensors[name]:
            target.keys[f"panollava.resampler.{name}"] = keys[name]
    for name, key in keys.items():
        if name in UNREAD:
            account.add(key, "dropped", why=UNREAD[name])
        elif name in source.read:
            account.add(key, "mapped", f"panollava.resampler.{name}" if name in converted else "panollava.resampler.*")
        else:
            account.add(key, "unexpected", why=f"no part of a {kind} resampler")


def respaced(part: Part) -> tuple[dict[str, Tensor], dict[str, str]]:
    """An MLP's layers, numbered Linear 0, LayerNorm 1, Linear 3, …, whatever stood between them (dropout)."""
    numbers: dict[str, str] = {}
    layers = layers_of(part.tensors)
    for index, layer in enumerate(layers):
        place, _, number = layer.rpartition(".")
        numbers[layer] = f"{place}.{3 * index}"
        numbers[f"{place}.{int(number) + 1}"] = f"{place}.{3 * index + 1}"

    def renamed(name: str) -> str:
        layer, _, kind = name.rpartition(".")
        return f"{numbers.get(layer, layer)}.{kind}"

    return {renamed(n): t for n, t in part.tensors.items()}, {renamed(n): k for n, k in part.keys.items()}


def put_part(target: Target, account: Account, part: Part, prefix: str) -> None:
    """Take over a part that keeps its names, below a prefix."""
    for name, tensor in part.tensors.items():
        target.put(account, prefix + name, part.keys[name], tensor)


@dataclass(frozen=True)
class LanguageNames:
    """Where a family of language models keeps things, by its `…ForCausalLM` class.

    Attributes:
        base: Prefix of the headless model.
        embedding: Name of the input embedding's weight.
        head: Name of the output head.
        scale: What transformers 4 multiplied all embeddings by inside the model, and 5.x multiplies those of words by
            before: the projector has to do it for vision tokens then.
    """

    base: str
    embedding: str
    head: str
    scale: float = 1.0

    @classmethod
    def of(cls, config: PretrainedConfig) -> "LanguageNames":
        """Look at the model without building its weights."""
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
        names: dict[int, str] = {id(module): name for name, module in model.named_modules()}
        head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
        if not isinstance(head, nn.Linear):
            raise CheckpointError(f"{type(model).__name__} has no linear output head: this family is not supported")
        if head.bias is not None:
            raise CheckpointError(f"the output head of {type(model).__name__} has a bias, which PanoLLaVA's has not")
        moved = config.model_type in SCALED_INSIDE and hasattr(embedding, "embed_scale")
        scale = float(config.hidden_size**0.5) if moved else 1.0
        return cls(f"{model.base_model_prefix}.", f"{names[id(embedding)]}.weight", names[id(head)], scale)


def _head_name(part: Part, names: LanguageNames) -> str:
    """The head's weight as the file calls it: some families had another name for it in transformers 4 (GPT-NeoX)."""
    usual, embedding = f"{names.head}.weight", part.tensors.get(names.embedding)
    if usual in part.tensors or embedding is None:
        return usual
    outside = [n for n, t in part.tensors.items() if not n.startswith(names.base) and t.shape == embedding.shape]
    return outside[0] if len(outside) == 1 else usual


def put_language(
    target: Target, account: Account, part: Part, adapters: Mapping[str, Adapter], names: LanguageNames, *, tied: bool
) -> None:
    """Take over the language model, its head and its adapters.

    Raises:
        CheckpointError: The head is tied to the embedding and differs from it.
    """
    embedding, head = part.tensors.get(names.embedding), _head_name(part, names)
    for name, tensor in part.tensors.items():
        key = part.keys[name]
        if name == head and tied:
            if embedding is not None and not same(tensor, embedding):
                raise CheckpointError(
                    f"tie_word_embeddings is contradictory: True in the language model's config, but {key} differs "
                    f"from {part.keys[names.embedding]}. Set it to false in the config.json of --text-tower"
                )
            account.add(key, "dropped", why="tied to the input embedding, verified equal")
        elif name == head:
            target.put(account, "lm_head.weight", key, tensor)
        elif name.startswith(names.base):
            target.put(account, LANGUAGE + name.removeprefix(names.base), key, tensor)
        else:
            account.add(key, "unexpected", why="no part of this language model")
    for module, adapter in adapters.items():
        name = LANGUAGE + module.removeprefix(names.base) if module.startswith(names.base) else module
        if module == names.head:
            name = "lm_head"
        for key in adapter.keys:
            account.add(key, "mapped", f"{name} (LoRA)")
        target.adapters[name] = adapter
