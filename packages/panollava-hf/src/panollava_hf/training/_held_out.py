"""One validation: the loss on panoramas that are not trained, and answers to some of their questions.

The panoramas are divided among the processes batch by batch, and what the batches give is added in their order. The
figures therefore do not depend on the number of processes.
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from panollava_geometry.addresses import source_name
from torch.utils.data import DataLoader

from panollava_hf._text_scores import is_match, token_f1
from panollava_hf.asking.models._panollava_generation import generate_batches
from panollava_hf.data._dataset import Item, PanoramaDataset
from panollava_hf.data._examples import Example
from panollava_hf.training._collator import IGNORE, AnswerCollator, ViewCollator

#: Most bytes of views that are kept in memory from one validation to the next.
MAX_KEPT = 256 << 20
#: Most tokens of an answer, and how many more than the longest expected one has.
MAX_NEW_TOKENS, _SPARE = 64, 8
#: Questions that are answered together, and rows whose answers are looked at to find the longest one.
_TOGETHER, _LOOKED_AT = 8, 1000
#: Terms of the loss that a model returns.
_TERMS = ("invariance", "variance", "covariance")


@dataclass(frozen=True)
class Sample:
    """An answer in validation.

    Attributes:
        panorama: Name of the panorama.
        question: The question.
        expected: The expected answer.
        answer: The model's answer.
        exact_match: Whether both are equal after normalisation.
        token_f1: Token F1 of the words.
    """

    panorama: str
    question: str
    expected: str
    answer: str
    exact_match: bool
    token_f1: float


class HeldOut:
    """Panoramas that are not trained.

    Args:
        dataset: One item per panorama.
        collator: Makes batches of them, as in training.
        batch_size: Panoramas in a batch.
        answers: How many of their questions are answered by generation.
        workers: Processes that decode and cut them.

    Attributes:
        asks: Whether questions can be answered.
    """

    def __init__(
        self, dataset: PanoramaDataset, collator: ViewCollator, *, batch_size: int, answers: int, workers: int
    ) -> None:
        self.dataset, self.collator, self.workers = dataset, collator, workers
        count = len(dataset)
        self._batches = [range(start, min(start + batch_size, count)) for start in range(0, count, batch_size)]
        answers = answers if isinstance(collator, AnswerCollator) else 0
        self.asks = answers > 0
        self._quotas = [answers // count + (index < answers % count) for index in range(count)]
        self._kept: dict[int, list[Item]] = {}
        self._room = MAX_KEPT

    def __len__(self) -> int:
        return len(self.dataset)

    def measure(
        self, model: Any, bare: Any, prepare: Callable[[dict[str, Any]], dict[str, Any]], *, answering: bool
    ) -> tuple[dict[str, float], list[Sample]]:
        """The mean loss over the trained tokens (of views: over the panoramas), and the answers.

        Args:
            model: Called for the loss, by every process equally often.
            bare: The model without the wrappers of peft and of several processes, which generates.
            prepare: Moves a batch to the device of the model, and raises its error.
            answering: Whether to answer questions.

        Returns:
            The figures by name, the same in every process, and all answers in order.
        """
        state, count = PartialState(), len(self._batches)
        rounds = range(-(-count // state.num_processes))
        mine = [state.process_index + turn * state.num_processes for turn in rounds]
        sums: list[tuple[int, float, dict[str, float]]] = []
        answers: list[tuple[int, Sample]] = []
        for number, items in zip(mine, self._items([number % count for number in mine]), strict=True):
            batch = prepare(self.collator(items))
            output = model(**batch)
            if number < count:  # what is left over keeps a process in step with the others
                sums.append((number, *_weighed(output, batch)))
                if answering and self.asks:
                    answers += [(number, sample) for sample in self._answers(bare, items, batch, self._batches[number])]
        return _figures(gather_object(sums), gather_object(answers))

    def _items(self, numbers: Sequence[int]) -> Iterator[list[Item]]:
        """The items of batches; views are kept in memory as far as there is room."""
        missing = [number for number in numbers if number not in self._kept]
        loaded: Iterator[list[Item]] = iter(())
        if missing:
            loader: DataLoader[Any] = DataLoader(
                self.dataset,
                batch_sampler=[list(self._batches[number]) for number in missing],
                collate_fn=list,
                num_workers=min(self.workers, len(missing)),
            )
            loaded = iter(loader)
        for number in numbers:
            if number in self._kept:
                yield self._kept[number]
                continue
            # A copy, because a tensor that a worker has made keeps a file open.
            items = [replace(one, views=None if one.views is None else one.views.clone()) for one in next(loaded)]
            size = sum(one.views.nbytes for one in items if one.views is not None)
            if size <= self._room and not any(one.error or one.skipped for one in items):
                self._kept[number] = items
                self._room -= size
            yield items

    def _answers(self, model: Any, items: Sequence[Item], batch: dict[str, Any], places: Sequence[int]) -> list[Sample]:
        """Answers to the first questions about each panorama of a batch, as many as its share of all answers."""
        assert isinstance(self.collator, AnswerCollator)
        chosen = [
            (number, example)
            for number, (item, place) in enumerate(zip(items, places, strict=True))
            for example in item.examples[: self._quotas[place]]
        ]
        if not chosen:
            return []
        tokenizer = self.collator.processor.tokenizer
        padding = tokenizer.eos_token_id or 0 if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        found = generate_batches(
            model,
            batch["pixel_values"],
            [self.collator.prompt_of(example) for _, example in chosen],
            [number for number, _ in chosen],
            [range(start, min(start + _TOGETHER, len(chosen))) for start in range(0, len(chosen), _TOGETHER)],
            pad_token_id=int(padding),
            max_new_tokens=self._most_tokens,
        )
        texts = [text.strip() for ids in found for text in tokenizer.batch_decode(ids, skip_special_tokens=True)]
        return [_sample(example, text) for (_, example), text in zip(chosen, texts, strict=True)]

    @cached_property
    def _most_tokens(self) -> int:
        """Most tokens of an answer: somewhat more than the longest expected one has."""
        rows = islice(chain.from_iterable(self.dataset.order.groups), _LOOKED_AT)
        longest = max((self.dataset.examples[row].answer for row in rows), key=len)
        tokens = self.collator.processor.prompt_ids(longest, add_special_tokens=False)
        return min(len(tokens) + _SPARE, MAX_NEW_TOKENS)


def _weighed(output: Any, batch: dict[str, Any]) -> tuple[float, dict[str, float]]:
    """How many trained tokens or panoramas a batch has, and its loss with its terms."""
    labels = batch.get("labels")
    weight = len(batch["pixel_values"]) if labels is None else int((labels[:, 1:] != IGNORE).sum())
    terms = {name: float(output[name]) for name in _TERMS if output.get(name) is not None}
    return float(weight), {"loss": float(output["loss"]), **terms}


def _figures(
    sums: Sequence[tuple[int, float, dict[str, float]]], answers: Sequence[tuple[int, Sample]]
) -> tuple[dict[str, float], list[Sample]]:
    """The figures of all processes together, and the answers in the order of the panoramas."""
    sums = sorted(sums, key=lambda one: one[0])
    total = math.fsum(weight for _, weight, _ in sums)
    figures = {
        name: math.fsum(weight * terms[name] for _, weight, terms in sums) / total
        if all(math.isfinite(terms[name]) for _, _, terms in sums)
        else math.nan
        for name in sums[0][2]
    }
    samples = [sample for _, sample in sorted(answers, key=lambda one: one[0])]
    if samples:
        figures["exact_match"] = sum(sample.exact_match for sample in samples) / len(samples)
        figures["token_f1"] = math.fsum(sample.token_f1 for sample in samples) / len(samples)
    return figures, samples


def _sample(example: Example, answer: str) -> Sample:
    image = example.image
    name = image.name if isinstance(image, Path) else source_name(image) if isinstance(image, str) else example.where
    expected = example.answer
    f1 = round(token_f1(answer, [expected]), 4)
    return Sample(name, example.question, expected, answer, is_match(answer, expected), f1)


@contextmanager
def unchanged_randomness() -> Iterator[None]:
    """Random numbers continue after a block as if it had not run: validation does not change what is trained."""
    python, numpy, torch_state = random.getstate(), np.random.get_state(), torch.get_rng_state()
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    device: Any = None if accelerator is None else getattr(torch, accelerator.type)
    device_state = None if device is None else device.get_rng_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(torch_state)
        if device is not None:
            device.set_rng_state(device_state)
