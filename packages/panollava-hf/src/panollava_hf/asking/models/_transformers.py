"""Image-text-to-text models of transformers as a `Chat`."""

import inspect
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor

from panollava_hf._console import note
from panollava_hf._errors import ChatError
from panollava_hf._quiet import quiet
from panollava_hf.asking._chat import ChatDefaults, OnText, PromptTokens, Reply, Request
from panollava_hf.asking._families import Family, family_of
from panollava_hf.asking.models._fingerprint import fingerprint
from panollava_hf.asking.models._lengths import answer_length, max_positions
from panollava_hf.asking.models._reasoning import Visible, without_reasoning
from panollava_hf.asking.models._transformers_calls import (
    CallbackError,
    Streamer,
    hand_over,
    memory_boundary,
    without_frames,
)
from panollava_hf.asking.models._transformers_inputs import Inputs, count_images
from panollava_hf.asking.models._transformers_load import load_parts

#: What a checkpoint may store and a single answer of full length does not use: beams cannot be streamed, guidance is
#: for the images that some models make.
_PLAIN: dict[str, Any] = {
    "do_sample": False,
    "num_beams": 1,
    "num_return_sequences": 1,
    "return_dict_in_generate": False,
    "guidance_scale": None,
    "max_time": None,
}
#: Settings of sampling that a checkpoint may store, and that greedy decoding does not use.
_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff")
_OTHERWISE = (
    "try fewer or smaller views (--view-size, --strategy describe), another release of transformers, or serve the "
    "model and pass --base-url"
)


class TransformersChat(ChatDefaults):
    """A model of transformers that reads images and text.

    Args:
        model: The model, on its device.
        processor: Its processor.
        name: Its name in reports.
        batch_size: Requests that are answered together.
    """

    trained = True

    def __init__(self, model: Any, processor: Any, name: str, *, batch_size: int = 4) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self.model, self.processor, self.name, self.batch_size = model, processor, name, batch_size
        self.family: Family = family_of(model.config.model_type)
        if not self.family.known:
            note(
                f"no settings for {self.family.name} models: views of {self.family.view_size} pixels with their "
                "directions in text and image. Choose others with --view-size and --strategy."
            )
        self.inputs = Inputs(processor, self.family, name)
        self.max_positions = max_positions(model.config)

    @classmethod
    def load(
        cls,
        name: str,
        *,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
        device_map: Any = None,
        batch_size: int = 4,
        weights: bool = True,
    ) -> Self:
        """Load a model and its processor.

        Args:
            name: Folder or Hub id.
            device: Device of the model; None is the accelerator of this machine, else the CPU.
            dtype: Floating-point type, for example `"bfloat16"`; None keeps the stored type.
            device_map: As in `from_pretrained`, for example `"auto"`; it places the model instead of `device`.
            batch_size: Requests that are answered together.
            weights: False reads the settings alone: then `count` works, for estimates of the cost, but not `reply`.

        Raises:
            ModelError: It is missing, damaged, incomplete, or not an image-text-to-text model of transformers.
            ValueError: `device` and `device_map` are both given, or `batch_size` is not positive.
        """
        model, processor = load_parts(name, device=device, dtype=dtype, device_map=device_map, weights=weights)
        return cls(model, processor, name, batch_size=batch_size)

    @property
    def device(self) -> str:
        """Where the model is; several devices are listed."""
        placed = getattr(self.model, "hf_device_map", None)
        return str(self.model.device) if not placed else ", ".join(sorted({str(place) for place in placed.values()}))

    @property
    def dtype(self) -> str:
        """Floating-point type of the model."""
        return str(self.model.dtype).removeprefix("torch.")

    def fingerprint(self) -> str | None:
        """Digest of the files of a checkpoint folder, or the commit of a Hub id; None if neither is known."""
        return fingerprint(self.name, self.model.config)

    def reply(self, requests: Sequence[Request], *, on_text: OnText | None = None) -> list[Reply | ChatError]:
        """Reply to several requests, in order; see `Chat.reply`.

        Raises:
            ValueError: Several requests are to be streamed, or the model was loaded without its weights.
        """
        if all(parameter.is_meta for parameter in self.model.parameters()):
            raise ValueError(f"{self.name} was loaded without its weights; it can only count tokens")
        if on_text is not None and len(requests) != 1:
            raise ValueError(f"one request can be streamed at a time, got {len(requests)}")
        # Rows of a batch share their settings. Prompts of equal numbers of images have about the same length.
        groups: dict[Any, list[int]] = {}
        for index, request in enumerate(requests):
            key = (request.max_new_tokens, repr(sorted(request.generation.items())), count_images(request.messages))
            groups.setdefault(key, []).append(index)
        replies: dict[int, Reply | ChatError] = {}
        # A second tokenizer, as InstructBLIP has for its connector, pads on a side where it changes the answer.
        size = 1 if hasattr(self.processor, "qformer_tokenizer") else self.batch_size
        for group in groups.values():
            for start in range(0, len(group), size):
                batch = group[start : start + size]
                found = self._batch([requests[index] for index in batch], on_text)
                replies.update(zip(batch, found, strict=True))
        return [replies[index] for index in range(len(requests))]

    def count(self, request: Request) -> PromptTokens:
        """The length of a prompt; see `Chat.count`.

        Raises:
            ChatError: The processor does not take the prompt.
        """
        inputs = self.inputs([request.messages])
        return PromptTokens(self._lengths(inputs)[0], self._image_tokens(inputs)[0])

    def _batch(self, requests: list[Request], on_text: OnText | None) -> list[Reply | ChatError]:
        """Replies of one batch. If it fails, each request is sent by itself, so that one does not take the others.

        That is also how families are served that cannot stack images of different tilings, such as perception_lm.
        """
        try:
            return list(self._answered(requests, on_text))
        except ChatError as error:
            if len(requests) == 1:
                return [without_frames(error)]
        # Here the error is gone, and with it the tensors of the batch, which its frames held.
        return [reply for request in requests for reply in self._batch([request], None)]

    @torch.inference_mode()
    def _answered(self, requests: list[Request], on_text: OnText | None) -> list[Reply]:
        inputs = self.inputs([request.messages for request in requests])
        lengths, images = self._lengths(inputs), self._image_tokens(inputs)
        most = self._room(max(lengths), requests[0].max_new_tokens, alone=len(requests) == 1)
        self._check_ids(inputs)
        self.drop_unread(inputs)
        settings: dict[str, Any] = {**self._plain(), **requests[0].generation, "max_new_tokens": most}
        if not settings["do_sample"]:
            settings = {**dict.fromkeys(_SAMPLING), **settings}
        settings.setdefault("pad_token_id", self.processor.tokenizer.pad_token_id)
        streams = on_text is not None and settings.get("num_beams", 1) == 1
        visible = Visible(self.name)
        streamer = None
        if on_text is not None and streams:
            streamer = Streamer(self.processor.tokenizer, lambda piece: hand_over(visible.add(piece), on_text))
        try:
            with self._foreign("no answer", _OTHERWISE), quiet():
                ids = self.model.generate(
                    **inputs.to(self._input_device(), self.model.dtype),
                    **settings,
                    streamer=streamer,
                    tokenizer=self.processor.tokenizer,  # for texts that end a reply
                )
        except CallbackError as error:
            raise error.cause from None
        prompt = inputs["input_ids"].to(ids.device)
        if ids.shape[1] >= prompt.shape[1] and torch.equal(ids[:, : prompt.shape[1]], prompt):
            ids = ids[:, prompt.shape[1] :]  # most models return the prompt, too
        ends = settings.get("eos_token_id")
        ends = self.model.generation_config.eos_token_id if ends is None else ends
        replies = []
        for row, length, image in zip(ids.tolist(), lengths, images, strict=True):
            count = answer_length(row, ends)
            with self._foreign("its reply cannot be decoded", "use the tokenizer that was saved with the model"):
                whole = self.processor.tokenizer.decode(row[:count], skip_special_tokens=True)
            text, reasoning = without_reasoning(whole)
            replies.append(Reply(text, length, image, count, reasoning))
        if on_text is not None:
            hand_over(visible.end(replies[0].text), on_text)
        return replies

    def _plain(self) -> dict[str, Any]:
        """Settings of one greedy answer, without those that the checkpoint has anyway: janus of 4.57 passes its own."""
        stored = self.model.generation_config
        return {name: value for name, value in _PLAIN.items() if getattr(stored, name, value) != value} | {
            "do_sample": False
        }

    def drop_unread(self, inputs: Any) -> None:
        """Remove the two keys that some processors add and the model does not take."""
        inputs.pop("labels", None)  # of paligemma, for training
        taken = {
            *inspect.signature(self.model.forward).parameters,
            *inspect.signature(self.model.prepare_inputs_for_generation).parameters,
        }
        if "token_type_ids" not in taken:  # of a general tokenizer in 4.57; all zero
            inputs.pop("token_type_ids", None)

    def _room(self, prompt: int, wanted: int, *, alone: bool) -> int:
        """How many tokens can be generated.

        Raises:
            ChatError: The positions of the model leave no room; in a batch, not as much as is wanted.
        """
        if self.max_positions is None or prompt + wanted <= self.max_positions:
            return wanted
        if not alone or prompt >= self.max_positions:
            raise ChatError(
                f"{self.name}: the prompt is too long: {prompt} tokens with its images, this model reads "
                f"{self.max_positions}; use a smaller --view-size, or --strategy describe or erp"
            )
        return self.max_positions - prompt

    def _check_ids(self, inputs: Any) -> None:
        """Check that the model has all tokens; on an accelerator it would end the process's use of it."""
        known = self.model.get_input_embeddings().weight.shape[0]
        ids: Tensor = inputs["input_ids"]
        highest = int(ids[ids != self._image_token].max()) if self._image_token is not None else int(ids.max())
        if highest >= known:
            raise ChatError(
                f"{self.name}: its tokenizer gives the token {highest}, but the model has {known} tokens; "
                "use the tokenizer that was saved with the model"
            )

    @property
    def _image_token(self) -> int | None:
        """The token that is repeated for each feature of an image. The processor's `image_token` may be another."""
        token = getattr(self.model.config, "image_token_id", None)
        return token if isinstance(token, int) else getattr(self.model.config, "image_token_index", None)

    def _image_tokens(self, inputs: Any) -> list[int | None]:
        """Image tokens of each prompt; None for families that read images by cross-attention."""
        token = self._image_token
        if token is None or not self.family.expands:
            return [None] * len(inputs["input_ids"])
        return [int(count) for count in (inputs["input_ids"] == token).sum(1)]

    @staticmethod
    def _lengths(inputs: Any) -> list[int]:
        mask = inputs.get("attention_mask")
        return [inputs["input_ids"].shape[1]] * len(inputs["input_ids"]) if mask is None else mask.sum(1).tolist()

    def _input_device(self) -> torch.device:
        """Where the model expects token ids; with weights on disk, its hooks move them."""
        found: torch.device = self.model.get_input_embeddings().weight.device
        return torch.device("cpu") if found.type == "meta" else found

    def _foreign(self, problem: str, remedy: str) -> Any:
        """The boundary of a call of another library."""
        return memory_boundary(self.name, self.device, problem, remedy)
