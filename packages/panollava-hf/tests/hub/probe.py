"""Load an export without our packages, and print a report as JSON.

`python probe.py FOLDER_OR_HUB_ID REFERENCE.pt PANORAMA [SCRATCH | brief]`, where none of our packages is installed, or
through `hide.py`. It imports none of our packages and runs with every supported release of transformers.
"""

import importlib.util
import json
import os
import sys

import torch
import transformers
from PIL import Image
from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoModelForPreTraining, AutoProcessor, pipeline
from transformers.dynamic_module_utils import get_class_from_dynamic_module

TRUST = {"trust_remote_code": True}
#: Tolerances of outputs, and of pixels: OpenCV rounds differently by up to two levels of 255 (with a std of 0.5).
CLOSE, PIXELS = 1e-6, 2.01 / 255 / 0.5
#: Has no Auto class.
FEATURES = "modeling_panollava_vision.PanoLLaVaForFeatureExtraction"
OURS = ("panollava_geometry", "panollava_losses", "panollava_core", "panollava_hf", "jaxtyping")


def wrong_keys(info):
    """The keys that `from_pretrained` reported as missing, unexpected or mismatched."""
    return {kind: sorted(str(key) for key in keys) for kind, keys in info.items() if len(keys)}


def difference(given, wanted):
    return (given - wanted).abs().max().item() if given.shape == wanted.shape else float("inf")


def loss_difference(model, inputs, reference):
    """How far the loss is from that of the installed package, relative to it if it is above 1."""
    loss = model(**inputs, labels=inputs["input_ids"]).loss
    return difference(loss, reference["loss"]) / max(1, reference["loss"].item())


def place(kind):
    """Where a class comes from, written as in `auto_map`."""
    return f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}"


def auto_map(source):
    """The `auto_map` of a model's config, without the repository that some releases put before each entry."""
    found = transformers.PretrainedConfig.get_config_dict(source)[0]["auto_map"]
    return {name: entry.split("--")[-1] for name, entry in found.items()}


def files_of(folder):
    return sorted(name for name in os.listdir(folder) if not name.startswith("."))


def check_unhidden():
    for name in OURS:
        try:
            found = importlib.util.find_spec(name) is not None
        except ModuleNotFoundError:
            found = False
        if found:
            raise SystemExit(f"{name} can be imported here, so this test would prove nothing")


@torch.no_grad()
def generation(source, reference, image, brief):
    """The generation model under each of its Auto classes, the processor, batches, and the pipeline."""
    processor = AutoProcessor.from_pretrained(source, **TRUST)
    report = {"places": {"AutoProcessor": place(type(processor))}}
    inputs = processor(images=[image], text=[reference["prompt"]], return_tensors="pt")
    report["same_ids"] = inputs["input_ids"].equal(reference["input_ids"])
    report["pixels"] = difference(inputs["pixel_values"], reference["pixel_values"])
    inputs["pixel_values"] = reference["pixel_values"]
    names = ["AutoModelForImageTextToText", "AutoModelForVision2Seq", "AutoModelForMultimodalLM"]
    for name in [name for name in names if hasattr(transformers, name)]:
        model, info = getattr(transformers, name).from_pretrained(source, output_loading_info=True, **TRUST)
        model.eval()
        tokens = model.generate(**inputs, max_new_tokens=12, do_sample=False)
        report["places"][name] = place(type(model))
        report[name] = {
            "wrong_keys": wrong_keys(info),
            "logits": difference(model(**inputs).logits, reference["logits"]),
            "loss": loss_difference(model, inputs, reference),
            "same_tokens": tokens.equal(reference["tokens"]),
        }
        if brief:
            return report, model, processor
    report["batch"] = batch(model, processor, image)
    content = [{"type": "image", "image": image}, {"type": "text", "text": "What is ahead?"}]
    ask = pipeline("image-text-to-text", model=source, **TRUST)
    answers = ask(text=[{"role": "user", "content": content}], max_new_tokens=5, return_full_text=False)
    report["pipeline"] = answers[0]["generated_text"]
    return report, model, processor


def batch(model, processor, image):
    """Whether two prompts of different lengths give the same tokens in one batch as alone."""

    def tokens(*questions):
        prompts = [
            processor.apply_chat_template(
                [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}],
                add_generation_prompt=True,
            )
            for question in questions
        ]
        inputs = processor(images=[image] * len(prompts), text=prompts, return_tensors="pt", padding=True)
        made = model.generate(**inputs, max_new_tokens=6, do_sample=False)[:, inputs["input_ids"].shape[1] :]
        return [processor.decode(row, skip_special_tokens=True) for row in made]

    questions = ("What?", "Which way is the door, and is it open?")
    return tokens(*questions) == [tokens(question)[0] for question in questions]


@torch.no_grad()
def features(source, reference):
    """The other classes on the same weights: headless, VICReg, feature extraction."""
    report, places = {}, {}
    pixels = reference["pixel_values"]
    model, info = AutoModel.from_pretrained(source, output_loading_info=True, **TRUST)
    places["AutoModel"] = place(type(model))
    found = model.eval().get_image_features(pixels).pooler_output
    report["AutoModel"] = {
        "wrong_keys": wrong_keys(info),
        "features": difference(torch.stack(list(found)), reference["image_features"]),
    }
    model, info = AutoModelForPreTraining.from_pretrained(source, output_loading_info=True, **TRUST)
    places["AutoModelForPreTraining"] = place(type(model))
    output = model.eval()(pixel_values=pixels)
    report["AutoModelForPreTraining"] = {
        "wrong_keys": wrong_keys(info),
        "latents": difference(output.last_hidden_state, reference["latents"]),
        "finite": bool(output.loss.isfinite()),
    }
    kind = get_class_from_dynamic_module(FEATURES, source)
    places["feature extraction"] = place(kind)
    vector = kind.from_pretrained(source).eval()(pixel_values=pixels).pooler_output
    report["feature_extraction"] = difference(vector, reference["vector"])
    processor = AutoImageProcessor.from_pretrained(source, **TRUST)
    report["image_processor"] = type(processor).__name__
    places["AutoImageProcessor"] = place(type(processor))
    config = AutoConfig.from_pretrained(source, **TRUST)
    places["AutoConfig"] = place(type(config))
    report["resamplers"] = sorted(_resamplers(model))
    report["config"] = [config.model_type, config.vision_config.model_type, config.text_config.model_type]
    return report, places


def _resamplers(model):
    package = sys.modules[type(model).__module__].__package__
    return sys.modules[f"{package}.panollava_core"].RESAMPLERS


@torch.no_grad()
def saved_again(model, processor, scratch, reference, image):
    """Save the loaded model, load it again, and list the files of the new folder."""
    model.save_pretrained(scratch)
    processor.save_pretrained(scratch)
    processor = AutoProcessor.from_pretrained(scratch, **TRUST)
    name = "AutoModelForImageTextToText"
    model, info = getattr(transformers, name).from_pretrained(scratch, output_loading_info=True, **TRUST)
    inputs = processor(images=[image], text=[reference["prompt"]], return_tensors="pt")
    inputs["pixel_values"] = reference["pixel_values"]
    other = AutoModelForPreTraining.from_pretrained(scratch, **TRUST)
    return {
        "wrong_keys": wrong_keys(info),
        "logits": difference(model.eval()(**inputs).logits, reference["logits"]),
        "loss": loss_difference(model, inputs, reference),
        "files": files_of(scratch),
        "auto_map": auto_map(scratch),
        "places": {name: place(type(model)), "AutoModelForPreTraining": place(type(other))},
    }


def misplaced(places, wanted):
    """The classes that do not come from the file that `auto_map` names, in words."""
    wanted = {**wanted, "feature extraction": FEATURES}
    return [f"{name} is {found}, not {wanted[name]}" for name, found in places.items() if found != wanted[name]]


def complaints(report):
    """The differences from the installed package, in words; empty if there are none."""
    names = ("AutoModelForImageTextToText", "AutoModelForVision2Seq", "AutoModelForMultimodalLM")
    found = [] if names[0] in report and report["same_ids"] else ["other ids, or no model for image-text-to-text"]
    found += misplaced(report["places"], report["auto_map"])
    if report["pixels"] > PIXELS:
        found.append(f"pixel values differ by {report['pixels']}")
    for name in names:
        made = report.get(name, {"wrong_keys": {}, "logits": 0, "loss": 0, "same_tokens": True})
        if made["wrong_keys"] or max(made["logits"], made["loss"]) > CLOSE or not made["same_tokens"]:
            found.append(f"{name}: {made}")
    if "AutoModel" not in report:  # a brief report
        return found
    if not report["batch"] or not isinstance(report["pipeline"], str):
        found.append("a padded batch, or the pipeline")
    if report["AutoModel"]["wrong_keys"] or report["AutoModel"]["features"] > CLOSE:
        found.append(f"AutoModel: {report['AutoModel']}")
    made = report["AutoModelForPreTraining"]
    missing = made["wrong_keys"].pop("missing_keys", [])
    fresh = all(key.startswith("vicreg_projector.") for key in missing)  # only stage one has one
    if made["wrong_keys"] or not fresh or made["latents"] > CLOSE or not made["finite"]:
        found.append(f"AutoModelForPreTraining: {made}, missing {missing}")
    if report["feature_extraction"] > CLOSE or report["image_processor"] != "PanoLLaVaImageProcessor":
        found.append("feature extraction, or the image processor")
    again = report.get("saved_again", {"wrong_keys": {}, "logits": 0, "loss": 0, "places": {}, "auto_map": {}})
    if (
        again["wrong_keys"]
        or max(again["logits"], again["loss"]) > CLOSE
        or misplaced(again["places"], again["auto_map"])
    ):
        found.append(f"saved again: {again}")
    return found


def main(source, reference_file, panorama, scratch=None):
    check_unhidden()
    reference = torch.load(reference_file, weights_only=True)
    image = Image.open(panorama)
    report = {"transformers": transformers.__version__, "absent": list(OURS), "auto_map": auto_map(source)}
    made, model, processor = generation(source, reference, image, scratch == "brief")
    report.update(made)
    if scratch != "brief":
        made, places = features(source, reference)
        report.update(made)
        report["places"].update(places)
    if scratch not in (None, "brief"):
        report["saved_again"] = saved_again(model, processor, scratch, reference, image)
    report["complaints"] = complaints(report)
    sys.stdout.write("\n" + json.dumps(report) + "\n")
    return 1 if report["complaints"] else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
