"""What `probe.py` needs: `python material.py FOLDER SAMPLE`, with the installed package.

Writes the embedded checkpoint as it is and as an export, and what transformers makes of the questions: prompt ids and
greedy answer ids. OpenCV is hidden, because vLLM's environment does not have it, and it rounds pixels differently.
"""

import json
import shutil
import sys
from pathlib import Path

QUESTIONS = (
    "Where is the purple cone?",
    "Which object is to the left?",
    "What is below?",
    "How many objects are there?",
    "What is behind?",
    "What is ahead?",
)


def cases():
    """Each case: numbers of panoramas, and a text. One panorama and six questions, then two panoramas, then none."""
    return [*(([0], question) for question in QUESTIONS), ([0, 1], QUESTIONS[3]), ([], QUESTIONS[0])]


def answers(source, panoramas):
    """The ids of each prompt and of its greedy answer, from transformers."""
    import torch
    from panollava_hf import PanoLLaVaForConditionalGeneration, PanoLLaVaProcessor
    from PIL import Image

    processor = PanoLLaVaProcessor.from_pretrained(source)
    model = PanoLLaVaForConditionalGeneration.from_pretrained(source, dtype=torch.float32).eval()
    found = []
    for numbers, text in cases():
        content = [*({"type": "image"} for _ in numbers), {"type": "text", "text": text}]
        prompt = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        images = [Image.open(panoramas[number]).convert("RGB") for number in numbers]
        inputs = processor(images=images or None, text=[prompt], return_tensors="pt")
        with torch.no_grad():
            made = model.generate(**inputs, max_new_tokens=20, do_sample=False)
        ids = inputs["input_ids"][0].tolist()
        answer = made[0, len(ids) :].tolist()
        found.append(
            {
                "panoramas": numbers,
                "text": text,
                "prompt_ids": ids,
                "image_tokens": ids.count(processor.image_token_id),
                "answer_ids": answer,
                "answer": processor.tokenizer.decode(answer, skip_special_tokens=True),
            }
        )
    ends = model.generation_config.eos_token_id
    return {
        "image_token_id": processor.image_token_id,
        "end_ids": ends if isinstance(ends, list) else [ends],
        "cases": found,
    }


def write_all(folder, sample):
    from panollava_hf import default_checkpoint
    from panollava_hf.hub import export_checkpoint
    from PIL import Image, ImageOps

    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(default_checkpoint(), folder / "checkpoint")
    export_checkpoint(default_checkpoint(), folder / "export")
    image = Image.open(sample).convert("RGB")
    image.save(folder / "panorama-0.png")
    ImageOps.mirror(image).save(folder / "panorama-1.png")
    image.crop((0, 0, image.height, image.height)).save(folder / "square.png")
    found = answers(default_checkpoint(), [folder / "panorama-0.png", folder / "panorama-1.png"])
    (folder / "reference.json").write_text(json.dumps(found))


if __name__ == "__main__":
    sys.modules["cv2"] = None
    write_all(Path(sys.argv[1]), sys.argv[2])
