"""Example 1: ask about a panorama.

    python docs/examples/generate.py [PANORAMA] [QUESTION]

Runs offline with the embedded checkpoint, which was trained on PanoShapes only. Set `CHECKPOINT` to a folder or a Hub
id for another model.
"""

import sys
from pathlib import Path

from panollava_hf import PanoLLaVaForConditionalGeneration, PanoLLaVaProcessor, default_checkpoint

CHECKPOINT = default_checkpoint()
SAMPLE = Path(__file__).resolve().parents[1] / "assets" / "panoshapes-example.jpg"


def main(panorama: str = str(SAMPLE), question: str = "Where is the purple cone?") -> None:
    """Print the answer."""
    processor = PanoLLaVaProcessor.from_pretrained(CHECKPOINT)
    model = PanoLLaVaForConditionalGeneration.from_pretrained(CHECKPOINT).eval()

    conversation = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}]
    prompt = processor.apply_chat_template(conversation, add_generation_prompt=True)
    inputs = processor(images=[panorama], text=[prompt], return_tensors="pt")

    output = model.generate(**inputs, max_new_tokens=20, do_sample=False)
    answer = output[0, inputs["input_ids"].shape[1] :]
    print(processor.tokenizer.decode(answer, skip_special_tokens=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
