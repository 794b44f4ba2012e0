"""A loaded model and its processor: questions about panoramas in, text out, one by one or in batches.

This file turns panoramas and questions into views and token ids, and new token ids into text. How a PanoLLaVA
checkpoint generates in batches is in `_generation`; another kind of model gets its own file next to it.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

import torch
from panollava_geometry import ViewPlan
from torch import Tensor

from panollava_hf._errors import ModelError
from panollava_hf._loading import load_model, load_processor
from panollava_hf.asking._generation import generate_batches, new_tokens
from panollava_hf.modeling_panollava import PanoLLaVaForConditionalGeneration
from panollava_hf.processing_panollava import PanoLLaVaProcessor

DEFAULT_NAME = "embedded default"
#: Files of a checkpoint folder that determine its answers.
CHECKPOINT_FILES = (".json", ".safetensors", ".bin", ".jinja", ".model", ".txt")


def default_checkpoint() -> Path:
    """Folder of the checkpoint that ships inside this package."""
    return Path(str(files("panollava_hf") / "default_checkpoint"))


@dataclass(frozen=True)
class Answer:
    """An answer and the views it is based on.

    Attributes:
        text: The generated text.
        views: The views that the model received, `[V, 3, h, w]` uint8.
        plan: Directions and fields of view of these views.
        image_tokens: Number of tokens that the panorama became.
        new_tokens: Number of generated tokens.
    """

    text: str
    views: Tensor
    plan: ViewPlan
    image_tokens: int
    new_tokens: int


class Answerer:
    """Answers questions about panoramas.

    Args:
        model: The model, on its device.
        processor: Its processor.
        name: Name of the checkpoint in reports.

    Example:
        >>> import numpy as np
        >>> answerer = Answerer.load()
        >>> panorama = np.full((64, 128, 3), 127, dtype=np.uint8)
        >>> answerer.answer(panorama, "How many objects are there?", max_new_tokens=1).new_tokens
        1
    """

    def __init__(self, model: PanoLLaVaForConditionalGeneration, processor: PanoLLaVaProcessor, name: str) -> None:
        self.model, self.processor, self.name = model, processor, name

    @classmethod
    def load(
        cls,
        name: str | None = None,
        *,
        device: str | torch.device = "cpu",
        dtype: str | torch.dtype | None = None,
    ) -> Self:
        """Load a checkpoint.

        Args:
            name: Checkpoint folder or Hub id; None is the embedded checkpoint.
            device: Device of the model.
            dtype: Floating-point type of the model, for example `"bfloat16"`; None keeps the stored type.

        Raises:
            ModelError: `name` is neither a checkpoint folder nor a Hub id that can be read, or its files are damaged,
                incomplete or of another kind of model. It is an OSError and a ValueError.
        """
        source = str(default_checkpoint()) if name is None else name
        processor = load_processor(source)
        model = load_model(PanoLLaVaForConditionalGeneration, source).eval().to(device)
        if model.config.image_token_id != processor.image_token_id:
            raise ModelError(
                f"{source}: image_token_id in its config.json is {model.config.image_token_id}, but that of its "
                f"tokenizer is {processor.image_token_id}; use the files that were saved together"
            )
        if dtype is not None:
            model = model.to(getattr(torch, dtype) if isinstance(dtype, str) else dtype)
        return cls(model, processor, DEFAULT_NAME if name is None else name)

    @property
    def trained(self) -> bool:
        """Whether the connector between the towers has been trained."""
        return bool(self.model.config.connector_trained)

    @property
    def device(self) -> torch.device:
        """Device of the model."""
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the model."""
        return self.model.dtype

    def fingerprint(self) -> str | None:
        """Digest of the files of a checkpoint folder, or the commit of a Hub id; None if neither is known."""
        folder = default_checkpoint() if self.name == DEFAULT_NAME else Path(self.name)
        if not folder.is_dir():
            commit: str | None = getattr(self.model.config, "_commit_hash", None)
            return commit
        digest = hashlib.sha256()
        for path in sorted(folder.rglob("*")):
            if path.suffix in CHECKPOINT_FILES:
                digest.update(str(path.relative_to(folder)).encode())
                with path.open("rb") as stream:
                    digest.update(hashlib.file_digest(stream, "sha256").digest())
        return digest.hexdigest()

    @torch.no_grad()
    def answer(self, panorama: Any, question: str, **generation: Any) -> Answer:
        """Answer one question about one panorama.

        Args:
            panorama: Path, URL, bytes, PIL image, `[H, W, 3]` array or `[3, H, W]` tensor.
            question: The question.
            generation: Arguments of `generate`; decoding is greedy unless they say otherwise.

        Raises:
            PanoramaError: The panorama cannot be read.
            TextError: The question is longer than the model reads, or not valid Unicode.
        """
        length = self.prompt_length(question)
        wanted = generation.get("max_new_tokens", self.model.generation_config.max_new_tokens)
        left = new_tokens(self.model.config, length, 1 if wanted is None else wanted)
        if wanted is not None:
            generation["max_new_tokens"] = left
        prompt = self.processor.prompt(question)
        inputs = self.processor(
            images=[panorama], text=[prompt], text_kwargs={"verbose": False}, return_tensors="pt"
        ).to(self.model.device)
        ids = inputs["input_ids"]
        new = self.model.generate(**inputs, **{"do_sample": False, **generation})[0, ids.shape[1] :]
        image_processor = self.processor.image_processor
        return Answer(
            text=self.processor.tokenizer.decode(new, skip_special_tokens=True).strip(),
            views=image_processor.denormalise(inputs["pixel_values"][0]),
            plan=image_processor.view_plan(),
            image_tokens=int((ids == self.processor.image_token_id).sum()),
            new_tokens=len(new),
        )

    def prompt_length(self, question: str) -> int:
        """Number of tokens of the prompt of a question, with those of the panorama.

        Raises:
            TextError: The question is not valid Unicode.
        """
        return len(self._prompt(question, self.processor.num_image_tokens()))

    def _prompt(self, question: str, image_tokens: int) -> list[int]:
        """Token ids of a question about one panorama."""
        ids = self.processor.prompt_ids(self.processor.prompt(question))
        embedding: Any = self.model.get_input_embeddings()
        known = len(embedding.weight)
        if max(ids) >= known:
            raise ModelError(
                f"the tokenizer of {self.name} gives the token {max(ids)}, but its language model has {known} tokens; "
                "use the tokenizer.json that was saved with the model"
            )
        place = ids.index(self.processor.image_token_id)
        return [*ids[:place], *[self.processor.image_token_id] * image_tokens, *ids[place + 1 :]]

    def views(self, panorama: Any) -> Tensor:
        """Cut and normalise one panorama for `answer_all`: `[1, V, 3, h, w]` float32. Safe in another thread.

        Raises:
            PanoramaError: The panorama cannot be read.
        """
        views: Tensor = self.processor.image_processor([panorama])["pixel_values"]
        return views

    def answer_all(
        self,
        views: Tensor,
        questions: Sequence[str],
        which: Sequence[int],
        *,
        batches: Iterable[Sequence[int]] | None = None,
        max_new_tokens: int = 64,
    ) -> Iterator[list[str]]:
        """Answer many questions about a few panoramas, greedily and in batches.

        Each panorama is encoded once, and the language model reads it once for all of its questions.

        Args:
            views: The panoramas, `[P, V, 3, h, w]`: what `views` returns, concatenated.
            questions: The questions.
            which: For each question, the index of its panorama in `views`.
            batches: Indices of the questions that are answered together; default: all in one batch. Questions in no
                batch are not answered.
            max_new_tokens: Maximum length of an answer, in tokens.

        Yields:
            The answers of each batch, as soon as they are there.

        Raises:
            TextError: A question is longer than the model reads, or not valid Unicode.

        Example:
            >>> import torch
            >>> answerer = Answerer.load()
            >>> views = answerer.views(torch.zeros(3, 64, 128, dtype=torch.uint8))
            >>> questions = ["How many cubes are there?", "Where is the red cube?", "Is there a blue cone?"]
            >>> answers = answerer.answer_all(views, questions, [0, 0, 0], batches=[[0, 1], [2]], max_new_tokens=2)
            >>> [len(batch) for batch in answers]
            [2, 1]
        """
        tokenizer = self.processor.tokenizer
        padding = tokenizer.eos_token_id or 0 if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        image_tokens = self.processor.num_image_tokens(views.shape[1])
        prompts = [self._prompt(question, image_tokens) for question in questions]
        batches = [range(len(questions))] if batches is None else batches
        for new in generate_batches(
            self.model, views, prompts, which, batches, max_new_tokens=max_new_tokens, pad_token_id=int(padding)
        ):
            yield [text.strip() for text in tokenizer.batch_decode(new, skip_special_tokens=True)]
