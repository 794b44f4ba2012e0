"""Overfit eight questions about photographs with two real towers, through SFTTrainer or the Trainer of transformers.

    python -m tools.overfit_trl TOWERS PANORAMAS [--trainer trainer|messages|completion]

joins the towers that `tools/real_towers.py` wrote, trains on eight rows until the loss is far below 0.1, and checks
that greedy decoding returns every answer verbatim. Exits with status 1 if it does not.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

#: The rows: file name and answer. One question for all, so the answer depends on the panorama alone.
ROWS = {
    "braunschweig-church.jpg": "A church in Braunschweig.",
    "chichen-itza.jpg": "The pyramid of Chichen Itza.",
    "hotel-bathroom.jpg": "A bathroom in a hotel.",
    "jordan-pond.jpg": "Jordan Pond and its hills.",
    "louvre-night.jpg": "The Louvre at night.",
    "petra.jpg": "The rock city of Petra.",
    "ph-circus-arena.jpg": "The arena of a circus.",
    "veste-oberhaus.jpg": "The fortress Veste Oberhaus.",
}
QUESTION = "Which place is this?"


def joined(towers: Path) -> tuple[Any, Any]:
    """The model and its processor, with views of 56 x 56 pixels."""
    import torch
    from panollava_hf import PanoLLaVaForConditionalGeneration, PanoLLaVaProcessor

    torch.manual_seed(0)
    vision, text = str(towers / "dinov2-small"), str(towers / "smollm2-135m-instruct")
    model = PanoLLaVaForConditionalGeneration.from_towers(vision, text, view_size=56)
    return model, PanoLLaVaProcessor.from_towers(vision, text, model.config)


def rows(panoramas: Path) -> list[dict[str, Any]]:
    """Eight rows with `images`, `question` and `answer`, each photograph scaled to 512 x 256 pixels."""
    from PIL import Image

    found = []
    for name, answer in ROWS.items():
        with Image.open(panoramas / name) as image:
            small = image.convert("RGB").resize((512, 256))
        found.append({"images": [small], "question": QUESTION, "answer": answer})
    return found


def trainer_for(kind: str, model: Any, processor: Any, table: list[dict[str, Any]], output: str, steps: int) -> Any:
    """The trainer: of transformers, or of TRL with messages (assistant turns alone) or prompt and completion."""
    from panollava_hf.training import PanoLLaVaDataCollator

    settings: dict[str, Any] = {
        "output_dir": output,
        "per_device_train_batch_size": 4,
        "max_steps": steps,
        "learning_rate": 3e-4,
        "warmup_steps": 4,
        "logging_steps": 5,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "gradient_checkpointing": False,
    }
    if kind == "trainer":
        from transformers import Trainer, TrainingArguments

        arguments = TrainingArguments(remove_unused_columns=False, **settings)
        collator = PanoLLaVaDataCollator(processor)
        return Trainer(model, arguments, train_dataset=table, data_collator=collator)
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    columns: list[dict[str, Any]] = []
    for row in table:
        asked = [{"role": "user", "content": row["question"]}]
        answered = [{"role": "assistant", "content": row["answer"]}]
        texts = {"messages": asked + answered} if kind == "messages" else {"prompt": asked, "completion": answered}
        columns.append({"images": row["images"], **texts})
    arguments = SFTConfig(max_length=None, bf16=False, assistant_only_loss=kind == "messages", **settings)
    return SFTTrainer(model, arguments, train_dataset=Dataset.from_list(columns), processing_class=processor)


def answer(model: Any, processor: Any, row: dict[str, Any]) -> str:
    """The greedy answer to a row's question."""
    content = [{"type": "image"}, {"type": "text", "text": row["question"]}]
    prompt = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    inputs = processor(images=row["images"], text=prompt, return_tensors="pt")
    written = model.generate(**inputs, max_new_tokens=24, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    text: str = processor.tokenizer.decode(written, skip_special_tokens=True)
    return text.strip()


def main(arguments: list[str] | None = None) -> None:
    """Train, ask, and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("towers", type=Path, help="folder with dinov2-small and smollm2-135m-instruct")
    parser.add_argument("panoramas", type=Path, help="folder with the photographs")
    parser.add_argument("--trainer", choices=("trainer", "messages", "completion"), default="messages")
    parser.add_argument("--steps", type=int, default=60)
    given = parser.parse_args(arguments)
    model, processor = joined(given.towers)
    table = rows(given.panoramas)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as output:
        trainer = trainer_for(given.trainer, model, processor, table, output, given.steps)
        trainer.train()
    seconds = time.perf_counter() - start
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    model.eval()
    answers = [answer(model, processor, row) for row in table]
    right = sum(one == row["answer"] for one, row in zip(answers, table, strict=True))
    figures = {"trainer": given.trainer, "losses": losses, "right": right, "rows": len(table), "seconds": seconds}
    print(json.dumps({**figures, "answers": answers}, indent=2))
    if losses[-1] >= 0.1 or right != len(table):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
