"""A loaded model and its processor: ask a question about a panorama, get text and the views that were looked at."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

import torch
from panollava_geometry import ViewPlan
from torch import Tensor

from panollava_hf._lora import ADAPTER_FOLDER as ADAPTER_FOLDER
from panollava_hf.modeling_panollava import PanoLLaVaForConditionalGeneration
from panollava_hf.processing_panollava import PanoLLaVaProcessor

DEFAULT_NAME = "embedded default"


def default_checkpoint() -> Path:
    """Folder of the checkpoint that ships inside this package."""
    return Path(str(files("panollava_hf") / "default_checkpoint"))


@dataclass(frozen=True)
class Answer:
    """An answer and what it rests on.

    Attributes:
        text: What the model said.
        views: The views it looked at, `[V, 3, h, w]` uint8.
        plan: Where they look.
        image_tokens: Tokens the panorama became.
        new_tokens: Tokens the model wrote.
    """

    text: str
    views: Tensor
    plan: ViewPlan
    image_tokens: int
    new_tokens: int


class Answerer:
    """Model and processor, ready for questions.

    Args:
        model: The model, on its device.
        processor: Its processor.
        name: How the checkpoint is called in reports.
    """

    def __init__(self, model: PanoLLaVaForConditionalGeneration, processor: PanoLLaVaProcessor, name: str) -> None:
        self.model, self.processor, self.name = model, processor, name

    @classmethod
    def load(cls, name: str | None = None, *, device: str | torch.device = "cpu") -> Self:
        """Load a checkpoint folder or Hub id; None is the embedded default."""
        source = str(default_checkpoint()) if name is None else name
        processor = PanoLLaVaProcessor.from_pretrained(source)
        model = PanoLLaVaForConditionalGeneration.from_pretrained(source)
        model = model.eval().to(device)
        return cls(model, processor, DEFAULT_NAME if name is None else name)

    @property
    def trained(self) -> bool:
        """Whether the connector between the towers has been trained."""
        return bool(self.model.config.connector_trained)

    @torch.no_grad()
    def answer(self, panorama: Any, question: str, **generation: Any) -> Answer:
        """Answer one question about one panorama (path, URL, image or tensor), greedily unless told otherwise."""
        content = [{"type": "image"}, {"type": "text", "text": question}]
        prompt = self.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        inputs = self.processor(images=[panorama], text=[prompt], return_tensors="pt").to(self.model.device)
        settings = {"do_sample": False, **generation}
        tokens = self.model.generate(**inputs, **settings)[0, inputs["input_ids"].shape[1] :]
        text = self.processor.tokenizer.decode(tokens, skip_special_tokens=True).strip()
        image_processor = self.processor.image_processor
        return Answer(
            text=text,
            views=image_processor.denormalise(inputs["pixel_values"][0]),
            plan=image_processor.view_plan(),
            image_tokens=int((inputs["input_ids"] == self.processor.image_token_id).sum()),
            new_tokens=len(tokens),
        )
