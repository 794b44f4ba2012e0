"""Panoramas and text → model inputs, with one placeholder per image token."""

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self, SupportsIndex

from panollava_core import num_image_tokens
from transformers import AddedToken, BatchFeature, ProcessorMixin
from transformers.processing_utils import MultiModalData, ProcessingKwargs
from transformers.utils import logging

from panollava_hf._assistant_masks import with_assistant_masks
from panollava_hf._chat_template import IMAGE_TOKEN, marked_template, with_images
from panollava_hf._compat import PROCESSOR_EXPANDS_PLACEHOLDERS
from panollava_hf._marks import BREAK, TextTokenizer, control_tokens, escape_messages, spoken_tokens
from panollava_hf._pickling import by_name
from panollava_hf._pretrained import load_tokenizer
from panollava_hf._tower_pixels import tower_pixels
from panollava_hf.configuration_panollava import PanoLLaVaConfig, StitchingMode
from panollava_hf.image_processing_panollava import PanoLLaVaImageProcessor, flatten_images

__all__ = ["PanoLLaVaProcessor"]

logger = logging.get_logger(__name__)


class PanoLLaVaProcessor(ProcessorMixin):
    """An image processor and a tokenizer that use the model's number of tokens per panorama.

    Args:
        image_processor: A `PanoLLaVaImageProcessor` with a `token_grid`.
        tokenizer: The language model's tokenizer; the placeholder is added if it is missing.
        chat_template: Jinja template; default: the tokenizer's own, extended by images.
        image_token: The placeholder of a panorama.
        stitching_mode: As in the model's config.
        stitch_target_to_view_width: As in the model's config.
    """

    if not PROCESSOR_EXPANDS_PLACEHOLDERS:  # newer releases read the parts from the constructor
        attributes = ["image_processor", "tokenizer"]
        image_processor_class = "AutoImageProcessor"
        tokenizer_class = "AutoTokenizer"
    # Generation continues at the end of a prompt, so a batch is padded on the left.
    text_kwargs = {"padding_side": "left", "return_token_type_ids": False}  # noqa: RUF012 - merged as a plain dict

    def __init__(
        self,
        image_processor: PanoLLaVaImageProcessor | None = None,
        tokenizer: Any = None,
        chat_template: str | None = None,
        image_token: str = IMAGE_TOKEN,
        stitching_mode: StitchingMode = "concat",
        stitch_target_to_view_width: bool = False,
        **kwargs: Any,
    ) -> None:
        if tokenizer is None or image_processor is None:
            raise ValueError("PanoLLaVaProcessor needs an image_processor and a tokenizer")
        if image_token not in tokenizer.get_vocab():
            tokenizer.add_tokens([AddedToken(image_token, special=True, normalized=False)], special_tokens=True)
        _name_image_token(tokenizer, image_token)
        self.image_token = image_token
        self.image_token_id = tokenizer.convert_tokens_to_ids(image_token)
        self.image_token_ids = [self.image_token_id]
        self.stitching_mode = stitching_mode
        self.stitch_target_to_view_width = stitch_target_to_view_width
        if chat_template is None:
            chat_template = with_images(tokenizer.chat_template, image_token)
        super().__init__(image_processor, tokenizer, chat_template=chat_template)

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return by_name(super().__reduce_ex__(2))

    def __getstate__(self) -> dict[str, Any]:
        state = dict(vars(self))
        state.pop("_known_tokens", None)  # its key is an address, which would give another hash in each process
        return state

    @classmethod
    def from_config(cls, config: PanoLLaVaConfig, tokenizer: Any, image_mean: Any, image_std: Any) -> Self:
        """The processor for a model's config.

        The assistant's texts are marked with `{% generation %}` in the tokenizer's chat template, if this changes no
        rendered text; otherwise a warning gives the reason.
        """
        template, problem = marked_template(
            tokenizer.chat_template, IMAGE_TOKEN, control_tokens(tokenizer, IMAGE_TOKEN), tokenizer.special_tokens_map
        )
        if problem is not None:
            logger.warning(
                f"the chat template of the language model was not marked with {{% generation %}} ({problem}); "
                "return_assistant_tokens_mask and assistant_only_loss need a chat_template with these tags"
            )
        return cls(
            PanoLLaVaImageProcessor.from_config(config, image_mean, image_std),
            tokenizer,
            chat_template=template,
            stitching_mode=config.stitching_mode,
            stitch_target_to_view_width=config.stitch_target_to_view_width,
        )

    @classmethod
    def from_towers(cls, vision: str, text: str, config: PanoLLaVaConfig) -> Self:
        """The processor for `PanoLLaVaForConditionalGeneration.from_towers(vision, text)` and its config.

        Raises:
            ValueError: The vision tower does not give its mean and standard deviation.
        """
        pixels = tower_pixels(vision)
        return cls.from_config(config, load_tokenizer(text), pixels.mean, pixels.std)

    def prompt(self, question: str, answer: str | None = None) -> str:
        """A question about one panorama as the text that the language model reads.

        Args:
            question: The question.
            answer: With it, the finished conversation is written; without it, the text ends where an answer begins.

        Returns:
            The text, with one placeholder for the panorama. Control tokens in the question and answer are escaped with
            U+FDD0 characters: tokenise it with this processor or `prompt_ids`, which read them as ordinary text.

        Raises:
            TextError: The question or answer is not valid Unicode.
        """
        content = [{"type": "image"}, {"type": "text", "text": question}]
        messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
        if answer is not None:
            messages.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
        text: str = self.apply_chat_template(messages, add_generation_prompt=answer is None, tokenize=False)
        return text

    def prompt_ids(self, prompt: str, *, add_special_tokens: bool = True) -> list[int]:
        """The token ids of a text that `prompt` or `apply_chat_template` wrote, with its placeholders as they are.

        Args:
            prompt: The text.
            add_special_tokens: Whether the tokenizer adds its own first and last tokens.
        """
        return TextTokenizer(self.tokenizer, self._control_tokens()).ids(prompt, add_special_tokens=add_special_tokens)

    def apply_chat_template(self, conversation: Any, *args: Any, **kwargs: Any) -> Any:
        """As in transformers, but control tokens and placeholders in the texts of messages stay text.

        In messages of the assistant, pairs such as `<think>` and `</think>` stay tokens, which a model writes itself.
        Write an image as `{"type": "image"}`, not as the placeholder. Without `tokenize=True` the control tokens in
        texts are escaped, see `prompt`. `return_assistant_tokens_mask` also counts expanded placeholders.

        Raises:
            TextError: A text is not valid Unicode.
            ValueError: The assistant's tokens are asked for, and the template does not mark them.
        """
        tokens = self._control_tokens()
        conversation = escape_messages(conversation, tokens, spoken_tokens(self.tokenizer, tokens))
        if kwargs.get("tokenize") and not PROCESSOR_EXPANDS_PLACEHOLDERS and kwargs.get("chat_template") is None:
            conversation = _with_lists(conversation)  # older releases tokenise no contents that are strings
        if kwargs.get("return_assistant_tokens_mask") and kwargs.get("tokenize") and kwargs.get("return_dict"):
            options = {key: value for key, value in kwargs.items() if key != "return_assistant_tokens_mask"}
            template = options.pop("chat_template", None)
            if args:
                (template,) = args
            return with_assistant_masks(self, super().apply_chat_template, conversation, template, options)
        return super().apply_chat_template(conversation, *args, **kwargs)

    def __call__(
        self, images: Any = None, text: Any = None, videos: Any = None, audio: Any = None, **kwargs: Any
    ) -> BatchFeature:
        """Expand each placeholder, tokenise, and cut the panoramas.

        Args:
            images: One panorama, a list in the order of the placeholders, or a list with an entry for each prompt: a
                list, a batch of arrays, a single panorama, or None for a prompt without panoramas.
            text: One prompt or several.
            videos: Not supported.
            audio: Not supported.
            kwargs: Options of the tokenizer and of the image processor.

        Raises:
            ValueError: The numbers of panoramas and placeholders differ: of a prompt, if `images` has an entry for each
                prompt, otherwise of all prompts together.
        """
        if isinstance(text, Iterator):
            text = list(text)
        texts = [text] if isinstance(text, str) else text
        own = self
        images_as_asked = self.image_processor.changed_by({**kwargs, **(kwargs.get("images_kwargs") or {})})
        if images_as_asked is not self.image_processor:
            own = copy.copy(own)  # newer releases load images before they read the settings of the call
            own.image_processor = images_as_asked
        if isinstance(texts, Iterable) and all(isinstance(one, str) for one in texts):
            groups = _per_prompt(images)
            if groups is not None:
                self._check_counts(groups, texts)
                images = groups
            if isinstance(images, (list, tuple)):
                images = flatten_images(images) or None
            if any(BREAK in one for one in texts):
                own = copy.copy(own)
                own.tokenizer = TextTokenizer(self.tokenizer, self._control_tokens())
        return own._process(images, text, videos, audio, **kwargs)

    def _check_counts(self, groups: list[list[Any]], prompts: Any) -> None:
        """Check that each prompt has as many placeholders as panoramas."""
        given = [len(group) for group in groups]
        wanted = [prompt.count(self.image_token) for prompt in prompts]
        if given != wanted:
            raise ValueError(
                f"The number of {self.image_token} tokens in the prompts should be the same as the number of images "
                f"passed for each: the prompts have {_listed(wanted)}, but images holds {_listed(given)} panoramas; "
                "pass one list for each prompt, or a flat list"
            )

    def _control_tokens(self) -> tuple[str, ...]:
        key = (id(self.tokenizer), len(self.tokenizer))
        known: Any = getattr(self, "_known_tokens", (None, ()))
        if known[0] != key:
            known = self._known_tokens = (key, control_tokens(self.tokenizer, self.image_token))
        tokens: tuple[str, ...] = known[1]
        return tokens

    def num_image_tokens(self, num_views: int | None = None) -> int:
        """How many language-model tokens one panorama becomes; default: with the views of the image processor."""
        return self._tokens(len(self.image_processor.view_plan()) if num_views is None else num_views)

    def replace_image_token(self, image_inputs: dict[str, Any], image_idx: int, **kwargs: Any) -> str:
        """The expanded placeholder of one panorama."""
        return self.image_token * self._tokens(image_inputs["pixel_values"][image_idx].shape[0])

    def _tokens(self, views: int) -> int:
        grid = self.image_processor.token_grid
        if grid is None:
            raise ValueError("the image processor has no token_grid; use PanoLLaVaImageProcessor.from_config")
        return num_image_tokens(
            views,
            tuple(grid),
            self.stitching_mode,
            overlap_ratio=self.image_processor.overlap_ratio,
            stitch_target_to_view_width=self.stitch_target_to_view_width,
        )

    def _get_num_multimodal_tokens(self, image_sizes: Any = None, **kwargs: Any) -> MultiModalData:
        """Tokens and patches of panoramas of the given (height, width); every size gives the same views."""
        if image_sizes is None:
            return MultiModalData()
        tokens = self._tokens(len(self.image_processor.view_plan()))
        return MultiModalData(num_image_tokens=[tokens] * len(image_sizes), num_image_patches=[1] * len(image_sizes))

    if PROCESSOR_EXPANDS_PLACEHOLDERS:

        def _process(self, images: Any, text: Any, videos: Any, audio: Any, **kwargs: Any) -> BatchFeature:
            return super().__call__(images, text, videos, audio, **kwargs)
    else:

        def _process(self, images: Any, text: Any, videos: Any, audio: Any, **kwargs: Any) -> BatchFeature:
            """As in newer releases."""
            if images is None and text is None:
                raise ValueError(f"You need to provide at least one input to call {type(self).__name__}")
            defaults = type("Defaults", (ProcessingKwargs,), {"_defaults": {"text_kwargs": dict(self.text_kwargs)}})
            defaults.__annotations__ = dict(ProcessingKwargs.__annotations__)
            merged = self._merge_kwargs(defaults, tokenizer_init_kwargs=self.tokenizer.init_kwargs, **kwargs)
            data: dict[str, Any] = {}
            count = 0
            if images is not None:
                data.update(self.image_processor(images, **merged["images_kwargs"]))
                count = len(flatten_images(images))
            if text is not None:
                prompts = [text] if isinstance(text, str) else list(text)
                wanted = sum(prompt.count(self.image_token) for prompt in prompts)
                if wanted != count:
                    raise ValueError(
                        f"The total number of {self.image_token} tokens in the prompts should be the same as the "
                        f"number of images passed. Found total {wanted} {self.image_token} tokens and {count} images."
                    )
                expanded = iter([self.replace_image_token(data, index) for index in range(count)])
                prompts = [self._expand(prompt, expanded) for prompt in prompts]
                wants_types = merged["text_kwargs"].pop("return_mm_token_type_ids", False)
                data.update(self.tokenizer(prompts, **merged["text_kwargs"]))
                if wants_types:
                    data["mm_token_type_ids"] = [
                        [int(i == self.image_token_id) for i in ids] for ids in data["input_ids"]
                    ]
            return BatchFeature(data, tensor_type=merged["text_kwargs"].get("return_tensors"))

        def _expand(self, prompt: str, expanded: Any) -> str:
            first, *rest = prompt.split(self.image_token)
            return first + "".join(next(expanded) + part for part in rest)


def _with_lists(conversation: Any) -> Any:
    """Messages whose contents are lists, which our templates render like strings."""
    if not isinstance(conversation, (list, tuple)):
        return conversation
    return [
        {**one, "content": [{"type": "text", "text": one["content"]}]}
        if isinstance(one, Mapping) and isinstance(one.get("content"), str)
        else one
        if isinstance(one, Mapping)
        else _with_lists(one)
        for one in conversation
    ]


def _name_image_token(tokenizer: Any, image_token: str) -> None:
    """Give a tokenizer the attributes `image_token` and `image_token_id`, which it saves with its special tokens."""
    if getattr(tokenizer, "image_token", None) == image_token:
        arguments = getattr(tokenizer, "init_kwargs", {})  # a tokenizer that was loaded would save the name twice
        if arguments.get("model_specific_special_tokens") == {"image_token": image_token}:
            del arguments["model_specific_special_tokens"]
        return
    if not hasattr(tokenizer, "_set_model_specific_special_tokens"):
        tokenizer.image_token = image_token
        tokenizer.image_token_id = tokenizer.convert_tokens_to_ids(image_token)
        return
    tokenizer._set_model_specific_special_tokens({"image_token": image_token})
    named = getattr(tokenizer, "extra_special_tokens", None)
    if isinstance(named, dict):  # until 5.0, only these are saved
        tokenizer.extra_special_tokens = {**named, "image_token": image_token}


def _per_prompt(images: Any) -> list[list[Any]] | None:
    """The panoramas of each prompt, if an entry of `images` says so: a list, a batch `[n, …]`, or None for none."""
    if not isinstance(images, (list, tuple)):
        return None
    if not any(one is None or isinstance(one, (list, tuple)) or getattr(one, "ndim", 0) == 4 for one in images):
        return None
    return [[image for image in flatten_images(one) if image is not None] for one in images]


def _listed(counts: list[int]) -> str:
    shown = ", ".join(map(str, counts[:8]))
    return f"{shown}, …" if len(counts) > 8 else shown or "no"
