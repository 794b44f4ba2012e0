"""Pickle parts of an export without our packages: `python hide.py pickling_probe.py TASK FOLDER …`. Prints JSON.

Tasks: `sizes`, `datasets_cache`, `workers`, and `write FILE` and `read FILE` for two processes.
"""

import copy
import functools
import json
import multiprocessing
import pickle
import sys
import warnings
from pathlib import Path

TRUST = {"trust_remote_code": True}


def parts(folder):
    """Configuration, image processor and processor of an export; an embedding export has no processor."""
    from transformers import AutoConfig, AutoImageProcessor, AutoProcessor

    found = [AutoConfig.from_pretrained(folder, **TRUST), AutoImageProcessor.from_pretrained(folder, **TRUST)]
    if (Path(folder) / "tokenizer.json").exists():
        found.append(AutoProcessor.from_pretrained(folder, **TRUST))
    assert all(type(part).__module__.startswith("transformers_modules.") for part in found)
    return found


def equal(first, second):
    return (
        type(first) is type(second)
        and first.to_dict() == second.to_dict()
        and vars(first).keys() == vars(second).keys()
    )


def images(number):
    import numpy as np

    return [np.random.default_rng(seed).integers(0, 256, (64, 128, 3), dtype=np.uint8) for seed in range(number)]


def pickled(part):
    """Sizes of pickles of each pickler, after checking that they give an equal object."""
    import cloudpickle
    import dill
    import transformers_modules

    assert equal(copy.deepcopy(part), part)
    assert equal(copy.copy(part), part)
    texts = {f"pickle {protocol}": pickle.dumps(part, protocol) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)}
    texts |= {"dill": dill.dumps(part), "dill, recursive": dill.dumps(part, recurse=True)}
    texts |= {"dill, by value": dill.dumps(part, byref=False), "cloudpickle": cloudpickle.dumps(part)}
    cloudpickle.register_pickle_by_value(transformers_modules)
    texts["cloudpickle, by value"] = cloudpickle.dumps(part)
    cloudpickle.unregister_pickle_by_value(transformers_modules)
    assert all(equal(pickle.loads(text), part) for text in texts.values())
    return {name: len(text) for name, text in texts.items()}


def sizes(folder):
    return {type(part).__name__: pickled(part) for part in parts(folder)}


def datasets_cache(folder):
    """Hashes of the parts, the same after a call, and the fingerprint and values of `Dataset.map` in two processes."""
    import datasets
    import numpy as np
    from datasets.fingerprint import Hasher

    datasets.disable_progress_bars()
    found = parts(folder)
    before = [Hasher.hash(part) for part in found]
    wanted = found[1](images(4))["pixel_values"].numpy()
    if len(found) == 3:
        prompts = ["<|vision|> What?", "<|vision|> Where is it \ufdd0 now?"]
        found[2](images=images(2), text=prompts, padding=True, return_tensors="pt")
    assert [Hasher.hash(part) for part in found] == before
    rows = datasets.Dataset.from_dict({"image": images(4)}, datasets.Features(image=datasets.Image()))
    function = functools.partial(numbers, processor=found[1])
    differences, fingerprints = [], []
    for workers in (None, 2):
        made = rows.map(function, batched=True, batch_size=2, num_proc=workers, remove_columns="image")
        differences.append(float(abs(np.asarray(made["pixel_values"]) - wanted).max()))
        fingerprints.append(made._fingerprint)
    return {"hashes": before, "differences": differences, "fingerprints": fingerprints}


def write(folder, file):
    """Two pickles: by the name of the function that makes the objects, and with that function itself."""
    import cloudpickle

    found = parts(folder)
    import transformers_modules

    texts = [pickle.dumps(found)]
    cloudpickle.register_pickle_by_value(transformers_modules)
    texts.append(cloudpickle.dumps(found))
    Path(file).write_bytes(pickle.dumps(texts))
    return [part.to_dict() for part in found[:2]]


def read(folder, file):
    """What the two pickles hold, or the error and whether code was loaded."""
    answers = []
    for text in pickle.loads(Path(file).read_bytes()):
        assert not any(path.endswith("modules") for path in sys.path) or answers
        try:
            answers.append([part.to_dict() for part in pickle.loads(text)[:2]])
        except (pickle.UnpicklingError, ModuleNotFoundError) as error:
            answers.append([str(error), any(name.startswith("transformers_modules.") for name in sys.modules)])
    return answers


def child(queue, found, wanted):
    queue.put([float(abs(found[1](images(1))["pixel_values"] - wanted).max()), found[0].latent_dimension])


def cut(batch, processor):
    return {"pixel_values": processor(batch["image"])["pixel_values"]}


def numbers(batch, processor):
    return {"pixel_values": processor(batch["image"])["pixel_values"].numpy()}


def workers(folder):
    """A spawned process, and `with_transform` under DataLoader workers of both kinds."""
    context, found = multiprocessing.get_context("spawn"), parts(folder)
    queue = context.SimpleQueue()
    process = context.Process(target=child, args=(queue, found, found[1](images(1))["pixel_values"]))
    process.start()
    report = {"spawned": queue.get(), "width": found[0].latent_dimension}
    process.join()
    try:
        report["loader"] = [loader(found[1], kind) for kind in ("fork", "spawn")]
    except ImportError as error:
        report["skipped"] = str(error)
    return report


def loader(processor, kind):
    import datasets
    import torch
    from torch.utils.data import DataLoader

    wanted = processor(images(4))["pixel_values"]
    rows = datasets.Dataset.from_dict({"image": images(4)}, datasets.Features(image=datasets.Image()))
    rows = rows.with_transform(functools.partial(cut, processor=processor))
    batches = DataLoader(rows, batch_size=2, num_workers=2, multiprocessing_context=kind)
    return float((torch.cat([batch["pixel_values"] for batch in batches]) - wanted).abs().max())


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))
