"""Load an embedding export without our packages, and compare its vectors with those of the installed package.

`python embedding_probe.py FOLDER VECTORS.json [TASK…]`; tasks: `transformers`, `sentence_transformers`, `datasets`,
`ray`; default: all. Prints the largest differences as JSON; exit code 1 if one is above 1e-6.
"""

import functools
import importlib.util
import json
import os
import shutil
import sys
import tempfile

TRUST = {"trust_remote_code": True}
CLOSE = 1e-6
OURS = ("panollava_geometry", "panollava_losses", "panollava_core", "panollava_hf", "jaxtyping")


def require_absent(names=OURS):
    """Check that packages that an export must do without cannot be imported."""
    for name in names:
        try:
            found = importlib.util.find_spec(name) is not None
        except (ModuleNotFoundError, ValueError):  # hidden by `hide.py`, or by None in sys.modules
            found = False
        if found:
            raise SystemExit(f"{name} can be imported here, so this test would prove nothing")


def difference(given, wanted):
    import numpy as np

    given, wanted = np.asarray(given, dtype=float), np.asarray(wanted)
    return float(abs(given - wanted).max()) if given.shape == wanted.shape else float("inf")


def decoded(paths):
    from PIL import Image

    return [Image.open(path).convert("RGB") for path in paths]


def load(folder):
    from transformers import AutoImageProcessor, AutoModel

    return AutoModel.from_pretrained(folder, **TRUST).eval(), AutoImageProcessor.from_pretrained(folder, **TRUST)


loaded = functools.cache(load)


def unit(model, processor, images):
    """Vectors by CLIP's contract, with length 1."""
    import torch

    with torch.no_grad():
        pixels = processor(images, return_tensors="pt")["pixel_values"]
        output = model.get_image_features(pixel_values=pixels).pooler_output
    assert output.shape == (len(images), model.config.projection_dim)
    return torch.nn.functional.normalize(output, dim=-1).numpy()


def transformers(folder, wanted):
    from transformers import AutoModel, AutoProcessor

    model, processor = loaded(folder)
    _, info = AutoModel.from_pretrained(folder, output_loading_info=True, **TRUST)
    assert not any(info.values()), info
    assert type(AutoProcessor.from_pretrained(folder, **TRUST)).__name__ == type(processor).__name__
    paths = wanted["panoramas"]
    with tempfile.TemporaryDirectory() as again:
        model.save_pretrained(again)
        processor.save_pretrained(again)
        saved = difference(unit(*loaded(again), paths), wanted["files"])
    return {
        "files": difference(unit(model, processor, paths), wanted["files"]),
        "images": difference(unit(model, processor, decoded(paths)), wanted["images"]),
        "saved and loaded": saved,
    }


def sentence_transformers(folder, wanted):
    from sentence_transformers import SentenceTransformer

    model, paths = SentenceTransformer(folder, **TRUST), wanted["panoramas"]
    assert model.get_embedding_dimension() == len(wanted["files"][0])
    images = decoded(paths)
    mixed = [*paths[:2], *images[2:]]
    report = {
        "files": difference(model.encode(paths), wanted["files"]),
        "images": difference(model.encode(images), wanted["images"]),
        "files and images": difference(model.encode(mixed), [*wanted["files"][:2], *wanted["images"][2:]]),
        "one": difference(model.encode(paths[0]), wanted["files"][0]),
    }
    with tempfile.TemporaryDirectory() as again:
        model.save(again)
        report["saved and loaded"] = difference(SentenceTransformer(again, **TRUST).encode(paths), wanted["files"])
    assert model.modalities == ["image"]
    return report


def row_vectors(batch, folder, processor):
    """A function for `Dataset.map` that takes the image processor along and loads the model where it runs."""
    return {"vector": unit(loaded(folder)[0], processor, batch["image"]), "worker": [os.getpid()] * len(batch["image"])}


def datasets(folder, wanted):
    import datasets as library

    library.disable_progress_bars()
    with tempfile.TemporaryDirectory() as cache:
        library.Dataset.from_dict({"image": wanted["panoramas"]}).to_parquet(f"{cache}/rows.parquet")
        rows = library.Dataset.from_parquet(f"{cache}/rows.parquet", cache_dir=cache)
        rows = rows.cast_column("image", library.Image())
        function = functools.partial(row_vectors, folder=folder, processor=loaded(folder)[1])
        made = rows.map(function, batched=True, batch_size=2, num_proc=2, remove_columns="image")
        again = rows.map(function, batched=True, batch_size=2, num_proc=2, remove_columns="image")
        found, workers = [list(made["vector"]), list(again["vector"])], [list(made["worker"]), list(again["worker"])]
    assert len({*workers[0]} - {os.getpid()}) == 2
    assert workers[0] == workers[1], "the second map did not use the cache of the first"
    return {"images, num_proc=2": difference(found[0], wanted["images"])}


class Embedder:
    """An actor of Ray Data that gets the image processor from the driver and loads the model itself."""

    def __init__(self, folder, processor):
        from sentence_transformers import SentenceTransformer

        require_absent()
        self.model, self.processor = SentenceTransformer(folder, **TRUST), processor
        self.bare = load(folder)[0]  # a cached function cannot be pickled

    def __call__(self, batch):
        paths = list(batch["path"])
        batch["vector"] = self.model.encode(paths)
        batch["bare"] = unit(self.bare, self.processor, paths)
        batch["worker"] = [os.getpid()] * len(paths)
        return batch


def ray(folder, wanted):
    import ray as library

    # The default folder is shared by all clusters of a machine, and that of a nox session is refused by Ray.
    scratch = tempfile.mkdtemp(dir="/tmp" if os.path.isdir("/tmp") else None)
    memory = 200 * 2**20
    library.init(num_cpus=3, include_dashboard=False, object_store_memory=memory, _temp_dir=scratch)
    try:
        library.data.DataContext.get_current().enable_progress_bars = False
        rows = library.data.from_items([{"id": i, "path": path} for i, path in enumerate(wanted["panoramas"])])
        pool = library.data.ActorPoolStrategy(size=2)
        options = {"fn_constructor_args": (folder, loaded(folder)[1]), "compute": pool, "batch_size": 2}
        found = sorted(rows.map_batches(Embedder, num_cpus=0.5, **options).take_all(), key=lambda row: row["id"])
    finally:
        library.shutdown()
        shutil.rmtree(scratch, ignore_errors=True)
    assert os.getpid() not in {row["worker"] for row in found}
    return {
        "sentence-transformers in actors": difference([row["vector"] for row in found], wanted["files"]),
        "transformers in actors": difference([row["bare"] for row in found], wanted["files"]),
    }


TASKS = {task.__name__: task for task in (transformers, sentence_transformers, datasets, ray)}


def main(folder, vectors, *tasks):
    require_absent()
    with open(vectors) as stream:
        wanted = json.load(stream)
    if not wanted["opencv"]:
        require_absent(["cv2"])  # pixels are rounded differently with it
    report = {name: TASKS[name](folder, wanted) for name in tasks or TASKS}
    print(json.dumps(report))
    return int(not all(value <= CLOSE for found in report.values() for value in found.values()))


if __name__ == "__main__":
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    sys.exit(main(*sys.argv[1:]))
