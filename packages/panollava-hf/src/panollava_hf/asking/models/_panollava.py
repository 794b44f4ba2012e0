"""A PanoLLaVA checkpoint as a `Chat`: it cuts the views of a panorama itself and answers one question at a time.

Each panorama is encoded once, and the language model reads it once for all questions about it: see
`_panollava_generation`.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Self

import torch
from torch import Tensor

from panollava_hf._errors import ChatError, ModelError
from panollava_hf._loading import load_model, load_processor
from panollava_hf.asking._chat import ChatDefaults, OnText, PromptTokens, Reply, Request, parts_of
from panollava_hf.asking._default_model import EMBEDDED, default_checkpoint
from panollava_hf.asking._families import FAMILIES, Family
from panollava_hf.asking._known_words import KnownWords
from panollava_hf.asking._panorama import Panorama
from panollava_hf.asking._unknown import Unknown
from panollava_hf.asking.models._fingerprint import fingerprint
from panollava_hf.asking.models._known_images import KnownImages
from panollava_hf.asking.models._lengths import answer_length, max_positions, new_tokens
from panollava_hf.asking.models._panollava_generation import generate_batches
from panollava_hf.modeling_panollava import PanoLLaVaForConditionalGeneration
from panollava_hf.processing_panollava import PanoLLaVaProcessor


class PanoLLaVaChat(ChatDefaults):
    """A PanoLLaVA checkpoint.

    Args:
        model: The model, on its device.
        processor: Its processor.
        name: Name of the checkpoint in reports.
        batch_size: Questions that are answered together.
    """

    family: Family = FAMILIES["panollava"]

    def __init__(
        self,
        model: PanoLLaVaForConditionalGeneration,
        processor: PanoLLaVaProcessor,
        name: str,
        *,
        batch_size: int = 64,
    ) -> None:
        self.model, self.processor, self.name, self.batch_size = model, processor, name, batch_size
        self.max_positions = max_positions(model.config)
        words, topics, images = model.config.known_words, model.config.known_topics, model.config.known_images
        self._known_words = None if words is None else KnownWords(words)
        self._known_topics = None if topics is None else KnownWords(topics, verbs=False)
        self._known_images = None if images is None else KnownImages(images, name)

    @classmethod
    def load(
        cls,
        name: str,
        *,
        device: str | torch.device = "cpu",
        dtype: str | torch.dtype | None = None,
        batch_size: int = 64,
    ) -> Self:
        """Load a checkpoint.

        Args:
            name: Checkpoint folder, Hub id, or "embedded".
            device: Device of the model.
            dtype: Floating-point type of the model, for example `"bfloat16"`; None keeps the stored type.
            batch_size: Questions that are answered together.

        Raises:
            ModelError: `name` is neither a checkpoint folder nor a Hub id that can be read, or its files are damaged,
                incomplete or of another kind of model. It is an OSError and a ValueError.
        """
        source = str(default_checkpoint()) if name == EMBEDDED else name
        processor = load_processor(source)
        model = load_model(PanoLLaVaForConditionalGeneration, source).eval().to(device)
        if model.config.image_token_id != processor.image_token_id:
            raise ModelError(
                f"{source}: image_token_id in its config.json is {model.config.image_token_id}, but that of its "
                f"tokenizer is {processor.image_token_id}; use the files that were saved together"
            )
        if dtype is not None:
            model = model.to(getattr(torch, dtype) if isinstance(dtype, str) else dtype)
        return cls(model, processor, name, batch_size=batch_size)

    @property
    def trained(self) -> bool:
        """Whether the connector between the towers has been trained."""
        return bool(self.model.config.connector_trained)

    @property
    def device(self) -> str:
        """Device of the model."""
        return str(self.model.device)

    @property
    def dtype(self) -> str:
        """Floating-point type of the model."""
        return str(self.model.dtype).removeprefix("torch.")

    def fingerprint(self) -> str | None:
        """Digest of the files of a checkpoint folder, or the commit of a Hub id; None if neither is known."""
        return fingerprint(self.name, self.model.config)

    def read(self, source: Any, *, max_width: int | None = None) -> Panorama:
        """Decode a panorama; an encoded one no finer than the views of this checkpoint need, whatever `max_width` is.

        Raises:
            PanoramaError: It cannot be read.
        """
        if isinstance(source, Panorama):
            return source
        return Panorama(self.processor.image_processor.fetch_images(source))

    def prepare(self, panorama: Panorama) -> None:
        """Cut and normalise the views of a panorama, if that has not been done. Safe in another thread."""
        if "pixel_values" not in panorama.memo:
            images = self.processor.image_processor
            values: Tensor = images([panorama.image])["pixel_values"]
            panorama.memo |= {"pixel_values": values, "plan": images.view_plan()}
            panorama.memo["views"] = images.denormalise(values[0])

    def reply(self, requests: Sequence[Request], *, on_text: OnText | None = None) -> list[Reply | ChatError]:
        """Reply to several requests about panoramas; see `Chat.reply`. A reply comes in one piece.

        A reply to what the checkpoint does not know is a guess, and is not given to `on_text`.

        Raises:
            TextError: A question is longer than the model reads, or not valid Unicode.
        """
        replies: list[Reply | ChatError] = []
        if any(request.generation for request in requests):
            replies += [self._generated(request) for request in requests]
        elif requests:
            replies += self._batched(requests)
        if on_text is not None:
            for reply in replies:
                if isinstance(reply, Reply) and not (
                    reply.unknown_words or reply.unknown_question or reply.unknown_image
                ):
                    on_text(reply.text)
        return replies

    def count(self, request: Request) -> PromptTokens:
        """The length of a prompt; see `Chat.count`."""
        _, question = _panorama_and_question(request)
        tokens = self.processor.num_image_tokens()
        return PromptTokens(len(self._prompt(question, tokens)), tokens)

    def _batched(self, requests: Sequence[Request]) -> list[Reply | ChatError]:
        """Greedy replies. The requests keep their order, and follow each other in batches."""
        replies: dict[int, Reply | ChatError] = {}
        for most in dict.fromkeys(request.max_new_tokens for request in requests):
            same = [index for index, request in enumerate(requests) if request.max_new_tokens == most]
            batches = [same[start : start + self.batch_size] for start in range(0, len(same), self.batch_size)]
            for batch, found in zip(batches, self.reply_batches(requests, batches), strict=True):
                replies.update(zip(batch, found, strict=True))
        return [replies[index] for index in range(len(requests))]

    def reply_batches(
        self, requests: Sequence[Request], batches: Sequence[Sequence[int]]
    ) -> Iterator[list[Reply | ChatError]]:
        """Reply greedily, batch by batch; see `Chat.reply_batches`.

        Args:
            requests: The requests. Their panoramas are encoded, and the start that all their prompts share is read,
                once; both do not depend on the batches.
            batches: Indices of the requests that are answered together, with the same largest number of new tokens.

        Raises:
            TextError: A question is longer than the model reads, or not valid Unicode.
        """
        asked = [_panorama_and_question(request) for request in requests]
        panoramas = {id(panorama): panorama for panorama, _ in asked}
        numbers = {key: number for number, key in enumerate(panoramas)}
        for panorama in panoramas.values():
            self.prepare(panorama)
        pixels = torch.cat([panorama.memo["pixel_values"] for panorama in panoramas.values()])
        strange = [self._unknown_image(panorama) for panorama in panoramas.values()]
        image_tokens = self.processor.num_image_tokens(pixels.shape[1])
        prompts = [self._prompt(question, image_tokens) for _, question in asked]
        found = generate_batches(
            self.model,
            pixels,
            prompts,
            [numbers[id(panorama)] for panorama, _ in asked],
            batches,
            max_new_tokens=max((requests[index].max_new_tokens for batch in batches for index in batch), default=1),
            pad_token_id=self._padding,
        )
        for batch, ids in zip(batches, found, strict=True):
            texts = self.processor.tokenizer.batch_decode(ids, skip_special_tokens=True)
            yield [
                Reply(
                    text.strip(),
                    len(prompts[index]),
                    image_tokens,
                    answer_length(row, self._ends),
                    unknown_words=self._unknown_words(asked[index][1]),
                    unknown_question=self._is_unknown(asked[index][1]),
                    unknown_image=strange[numbers[id(asked[index][0])]],
                )
                for index, text, row in zip(batch, texts, ids.tolist(), strict=True)
            ]

    @torch.no_grad()
    def _generated(self, request: Request) -> Reply:
        """A reply with arguments of `generate` of the caller's choice."""
        panorama, question = _panorama_and_question(request)
        self.prepare(panorama)
        image_tokens = self.processor.num_image_tokens()
        length = len(self._prompt(question, image_tokens))
        inputs = self.processor(
            images=[panorama.image],
            text=[self.processor.prompt(question)],
            text_kwargs={"verbose": False},
            return_tensors="pt",
        ).to(self.model.device)
        settings = {"do_sample": False, **request.generation}
        settings["max_new_tokens"] = new_tokens(self.model.config, length, request.max_new_tokens)
        new = self.model.generate(**inputs, **settings)[0, inputs["input_ids"].shape[1] :]
        text = self.processor.tokenizer.decode(new, skip_special_tokens=True).strip()
        return Reply(
            text,
            length,
            image_tokens,
            answer_length(new.tolist(), self._ends),
            unknown_words=self._unknown_words(question),
            unknown_question=self._is_unknown(question),
            unknown_image=self._unknown_image(panorama),
        )

    def _unknown_words(self, question: str) -> tuple[str, ...]:
        return () if self._known_words is None else self._known_words.unknown(question)

    def _is_unknown(self, question: str) -> bool:
        """Whether no word of a question says what it is about, as in "Where am I?"."""
        if self._known_topics is None:
            return False
        words = self._known_words
        return not self._known_topics.has_any(question, lambda word: words is not None and words.has(word))

    def _unknown_image(self, panorama: Panorama) -> str:
        """What the images of the training are if a panorama is unlike them, else an empty text."""
        known = self._known_images
        if known is None:
            return ""
        if "unknown_image" not in panorama.memo:
            panorama.memo["unknown_image"] = known.description if self._is_unlike(panorama.memo["pixel_values"]) else ""
        return str(panorama.memo["unknown_image"])

    def _is_unlike(self, pixel_values: Tensor) -> bool:
        """Whether one of these panoramas, `[panoramas, views, 3, h, w]`, is unlike the images of the training."""
        known = self._known_images
        if known is None:
            return False
        parts: Any = self.model.base_model
        views = pixel_values.to(self.model.device, self.model.dtype)
        return bool((known.distances(parts.vision_backbone, views) > known.threshold).any())

    def unknown(self, question: str, pixel_values: Tensor | None) -> Unknown:
        """Why a reply to a question would be a guess.

        Args:
            question: The question.
            pixel_values: Normalised views of its panoramas, `[panoramas, views, 3, h, w]`; None for none.
        """
        unlike = pixel_values is not None and self._is_unlike(pixel_values)
        description = "" if self._known_images is None or not unlike else self._known_images.description
        return Unknown(self._unknown_words(question), description, self._is_unknown(question))

    @property
    def _padding(self) -> int:
        tokenizer = self.processor.tokenizer
        return int(tokenizer.eos_token_id or 0 if tokenizer.pad_token_id is None else tokenizer.pad_token_id)

    @property
    def _ends(self) -> int | list[int] | None:
        found: int | list[int] | None = self.model.generation_config.eos_token_id
        return found

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


def _panorama_and_question(request: Request) -> tuple[Panorama, str]:
    """The panorama and the question of a request.

    Raises:
        ChatError: The messages are not those of the strategy `views` for PanoLLaVA.
    """
    parts = [part for message in request.messages if message["role"] == "user" for part in parts_of(message)]
    panoramas = [part["panorama"] for part in parts if part["type"] == "panorama"]
    if len(panoramas) != 1 or any(part["type"] == "image_url" for part in parts):
        raise ChatError("a PanoLLaVA checkpoint reads one panorama and one question; use --strategy views")
    return panoramas[0], next(part["text"] for part in parts if part["type"] == "text")
