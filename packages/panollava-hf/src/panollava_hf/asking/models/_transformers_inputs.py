"""Chat messages as the inputs of a model of transformers.

One call of `apply_chat_template` renders, tokenises and processes the images: in two steps many families get a second
beginning-of-sequence token. Every key that the processor returns is kept.
"""

import inspect
from collections.abc import Sequence
from typing import Any

from panollava_hf._compat import PROCESSOR_EXPANDS_PLACEHOLDERS
from panollava_hf._console import note
from panollava_hf._errors import ChatError, ModelError, boundary
from panollava_hf._loading import TEMPLATE_SECONDS
from panollava_hf._quiet import quiet
from panollava_hf.asking._chat import Message, parts_of
from panollava_hf.asking._data_url import from_data_url
from panollava_hf.asking._families import Family
from panollava_hf.asking.models._control_tokens import ControlTokens
from panollava_hf.outside._deadline import within

#: A template for checkpoints without one, in the style of the first LLaVA models.
ROLES = (
    "{% for message in messages %}{{ {'user': 'USER: ', 'assistant': 'ASSISTANT: '}[message.role] }}"
    "{% for part in message.content %}{% if part.type == 'image' %}IMAGE\n{% else %}{{ part.text }}\n{% endif %}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
#: A template for models that were not trained on chats: images, then the text alone.
PLAIN = (
    "{% for message in messages %}{% for part in message.content %}{% if part.type == 'image' %}IMAGE{% endif %}"
    "{% endfor %}{% endfor %}{% for message in messages %}{% for part in message.content %}"
    "{% if part.type == 'text' %}{{ part.text }}\n{% endif %}{% endfor %}{% endfor %}"
)
#: Tokens of an image of GOT-OCR2.
GOT_TOKENS = 256
_IMAGE_TYPES = ("image", "image_url")
#: Texts of a trial of a chat template.
_SYSTEM, _BEFORE, _AFTER = "Rules first.", "Text before.", "Text after."


class Inputs:
    """Writes the inputs of a model.

    Args:
        processor: The processor of the model. Its tokenizer is set to pad on the left, its image processor to the
            settings of the family.
        family: The family of the model.
        name: Name of the model in messages.
    """

    def __init__(self, processor: Any, family: Family, name: str) -> None:
        self.processor, self.family, self.name = processor, family, name
        tokenizer = processor.tokenizer
        tokenizer.padding_side = "left"
        if tokenizer.pad_token_id is None:
            # Any token does: the attention mask leaves it out.
            tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token or tokenizer.convert_ids_to_tokens(0)
        for key, value in family.settings.items():  # 4.57 ignores some of them as arguments of a call
            if hasattr(processor.image_processor, key):
                setattr(processor.image_processor, key, value)
        self._control = ControlTokens(processor)
        self.template = self._template()
        self.takes_system = self._takes_system()

    def __call__(self, conversations: Sequence[Sequence[Message]]) -> Any:
        """What the model reads for several conversations, padded on the left.

        Raises:
            ChatError: A prompt holds more images than the family takes, or the processor refuses it.
        """
        prepared = [self._prepared(messages) for messages in conversations]
        problem = f"{self.name}: its processor does not take the prompt"
        with boundary(ChatError, problem, "try --strategy describe or erp, or another --view-size"), quiet():
            return self._two_steps(prepared) if self.family.two_steps else self._one_step(prepared)

    def _one_step(self, conversations: list[list[Message]]) -> Any:
        apply = self.processor.apply_chat_template
        options = {"padding": True, **self.family.settings}
        # Since transformers 5 the arguments of the processor have a place of their own.
        nested = "processor_kwargs" in inspect.signature(apply).parameters
        return apply(
            conversations,
            chat_template=self.template,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            **({"processor_kwargs": options} if nested else options),
        )

    def _two_steps(self, conversations: list[list[Message]]) -> Any:
        """For GOT-OCR2, whose processor takes neither nested images nor, in 4.57, a placeholder that it expands."""
        texts = [
            self.processor.apply_chat_template(one, chat_template=self.template, add_generation_prompt=True)
            for one in conversations
        ]
        if not PROCESSOR_EXPANDS_PLACEHOLDERS:
            token = self.processor.img_pad_token
            texts = [text.replace(token, token * GOT_TOKENS) for text in texts]
        return self.processor(
            images=[part["image"] for one in conversations for part in _parts(one) if part["type"] == "image"],
            text=texts,
            padding=True,
            return_tensors="pt",
            **self.family.settings,
        )

    def _prepared(self, messages: Sequence[Message]) -> list[Message]:
        """Messages as `apply_chat_template` takes them, with Pillow images."""
        parts = _parts(messages)
        images = sum(part["type"] in _IMAGE_TYPES for part in parts)
        most = self.family.max_images
        if most is not None and images > most:
            raise ChatError(
                f"{self.name}: {self.family.name} models read {most} image per prompt, got {images}; "
                "use --strategy describe or erp"
            )
        if self.family.needs_image and not images:
            raise ChatError(f"{self.name}: {self.family.name} models need an image in each prompt, got none")
        found = with_images(messages if self.takes_system else without_system(messages))
        for part in _parts(found):
            if part["type"] == "text":
                part["text"] = self._control.as_text(part["text"])
        return found

    def _template(self) -> str | None:
        """None for the processor's own chat template, else ours."""
        try:
            text, bare = self._trial([]), self._trial([], images=0)
        except ModelError:
            raise
        except Exception:  # there is none, or it is for text alone: whatever it raises, ours is used and announced
            text = bare = ""
        if _BEFORE in text and _AFTER in text and "'type'" not in text and text != bare:
            return None
        note(
            f"{self.name} has no chat template: its prompts are images and text without roles."
            if self.family.plain
            else f"{self.name} has no chat template for images, so a plain one is used. If the model was trained with "
            "another, save that as chat_template.jinja in its folder."
        )
        return (PLAIN if self.family.plain else ROLES).replace("IMAGE", self._placeholder())

    def _takes_system(self) -> bool:
        """Whether the template writes a system prompt; some raise an error, some leave it out."""
        if self.template is not None:
            return False
        try:
            return _SYSTEM in self._trial([{"role": "system", "content": [{"type": "text", "text": _SYSTEM}]}])
        except Exception:  # the template refuses the role, in its own words
            return False

    def _trial(self, start: list[Message], *, images: int = 1) -> str:
        content = [{"type": "text", "text": _BEFORE}, *[{"type": "image"}] * images, {"type": "text", "text": _AFTER}]
        conversation = [*start, {"role": "user", "content": content}]
        apply = self.processor.apply_chat_template
        options = {"add_generation_prompt": True, "tokenize": False}
        try:
            return within(TEMPLATE_SECONDS, lambda: str(apply(conversation, **options)), computing=True)
        except TimeoutError as error:
            raise ModelError(
                f"{self.name}: its chat template does not end within {TEMPLATE_SECONDS:g} seconds; "
                "use the file that was saved with the model"
            ) from error

    def _placeholder(self) -> str:
        """What stands for an image in a text."""
        if self.family.placeholder is not None:
            return self.family.placeholder
        token = getattr(self.processor, "image_token", None)
        return token if isinstance(token, str) else getattr(token, "content", "<image>")


def with_images(messages: Sequence[Message]) -> list[Message]:
    """The messages with Pillow images in place of data URLs, and all contents as lists of parts."""
    return [{**message, "content": [_with_image(part) for part in parts_of(message)]} for message in messages]


def without_system(messages: Sequence[Message]) -> list[Message]:
    """The messages with system prompts at the start of the user's first one.

    Example:
        >>> without_system([{"role": "system", "content": "Be short."}, {"role": "user", "content": "Why?"}])
        [{'role': 'user', 'content': [{'type': 'text', 'text': 'Be short.'}, {'type': 'text', 'text': 'Why?'}]}]
    """
    rules = [part for message in messages if message["role"] == "system" for part in parts_of(message)]
    rest = [message for message in messages if message["role"] != "system"]
    if not rules or not rest:
        return rest
    return [{**rest[0], "content": [*rules, *parts_of(rest[0])]}, *rest[1:]]


def count_images(messages: Sequence[Message]) -> int:
    """The number of images in messages."""
    return sum(part["type"] in _IMAGE_TYPES for part in _parts(messages))


def _parts(messages: Sequence[Message]) -> list[dict[str, Any]]:
    return [part for message in messages for part in parts_of(message)]


def _with_image(part: dict[str, Any]) -> dict[str, Any]:
    if part["type"] != "image_url":
        return dict(part)
    return {"type": "image", "image": from_data_url(part["image_url"]["url"])}
