"""Panoramas and text → model inputs, with one placeholder per image token."""

from typing import Any, Self

from panollava_core import num_image_tokens
from transformers import AddedToken, BatchFeature, ProcessorMixin
from transformers.processing_utils import MultiModalData, ProcessingKwargs

from panollava_hf._chat_template import IMAGE_TOKEN, with_images
from panollava_hf._compat import PROCESSOR_EXPANDS_PLACEHOLDERS
from panollava_hf._pretrained import load_tokenizer, tower_normalisation
from panollava_hf.configuration_panollava import PanoLLaVaConfig, StitchingMode
from panollava_hf.image_processing_panollava import PanoLLaVaImageProcessor, flatten_images

__all__ = ["PanoLLaVaProcessor"]


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
    text_kwargs = {"padding": False, "padding_side": "left", "return_token_type_ids": False}  # noqa: RUF012 - merged as a plain dict

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
        self.image_token = image_token
        self.image_token_id = tokenizer.convert_tokens_to_ids(image_token)
        self.image_token_ids = [self.image_token_id]
        self.stitching_mode = stitching_mode
        self.stitch_target_to_view_width = stitch_target_to_view_width
        if chat_template is None:
            chat_template = with_images(tokenizer.chat_template, image_token)
        super().__init__(image_processor, tokenizer, chat_template=chat_template)

    @classmethod
    def from_config(cls, config: PanoLLaVaConfig, tokenizer: Any, image_mean: Any, image_std: Any) -> Self:
        """The processor for a model's config."""
        return cls(
            PanoLLaVaImageProcessor.from_config(config, image_mean, image_std),
            tokenizer,
            stitching_mode=config.stitching_mode,
            stitch_target_to_view_width=config.stitch_target_to_view_width,
        )

    @classmethod
    def from_towers(cls, vision: str, text: str, config: PanoLLaVaConfig) -> Self:
        """The processor for `PanoLLaVaForConditionalGeneration.from_towers(vision, text)` and its config.

        Raises:
            ValueError: The vision tower does not give its mean and standard deviation.
        """
        mean, std = tower_normalisation(vision)
        return cls.from_config(config, load_tokenizer(text), mean, std)

    def prompt(self, question: str, answer: str | None = None) -> str:
        """A question about one panorama as the text that the language model reads.

        Args:
            question: The question.
            answer: With it, the finished conversation is written; without it, the text ends where an answer begins.

        Returns:
            The text, with one placeholder for the panorama.
        """
        content = [{"type": "image"}, {"type": "text", "text": question}]
        messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
        if answer is not None:
            messages.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
        text: str = self.apply_chat_template(messages, add_generation_prompt=answer is None, tokenize=False)
        return text

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

    if not PROCESSOR_EXPANDS_PLACEHOLDERS:

        def __call__(
            self, images: Any = None, text: Any = None, videos: Any = None, audio: Any = None, **kwargs: Any
        ) -> BatchFeature:
            """As in newer releases: expand each placeholder, tokenise, and cut the panoramas."""
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
