"""The original's fixed columns: its formula written out, and the tensors that it left behind."""

import json
import struct

import pytest
import torch
from panollava_losses import OverlapVICRegLoss, column_correspondences


def original_loss(textbook, features, overlap_ratio, mode):
    """Last k columns of every view against the first k of the next, one pair at a time."""
    batch, views, _, width, size = features.shape
    k = max(1, int(width * overlap_ratio))
    pairs = [
        (features[b, v, :, width - k :].reshape(-1, size), features[b, (v + 1) % views, :, :k].reshape(-1, size))
        for b in range(batch)
        for v in range(views)
    ]
    x, y = (torch.stack(side) for side in zip(*pairs, strict=True))
    return textbook(x, y, mode)


@pytest.mark.parametrize("mode", ["pairwise", "batchwise"])
@pytest.mark.parametrize(
    ("views", "grid", "ratio"),
    [(2, (3, 4), 0.5), (4, (8, 8), 0.5), (5, (2, 10), 0.3), (3, (4, 5), 0.01), (8, (3, 100), 0.29), (3, (2, 3), 1.0)],
)
def test_equals_the_originals_formula(views, grid, ratio, mode, tolerances, textbook):
    features = torch.randn(2, views, *grid, 6, dtype=torch.float64, requires_grad=True)
    ours = OverlapVICRegLoss(mode=mode)(features, column_correspondences(views, grid, ratio))
    theirs = original_loss(textbook, features, ratio, mode)
    close = tolerances[torch.float64]
    torch.testing.assert_close(tuple(ours), theirs, **close)
    got, expected = (torch.autograd.grad(t[0], features)[0] for t in (ours, theirs))
    torch.testing.assert_close(got, expected, **close)


def read_safetensors(path):
    """A few tensors do not need the library: a length, a JSON header, and the bytes."""
    content = path.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + size])
    kinds = {"F32": torch.float32, "I64": torch.int64}
    return {
        name: torch.frombuffer(
            bytearray(content[8 + size :][slice(*entry["data_offsets"])]), dtype=kinds[entry["dtype"]]
        ).view(entry["shape"])
        for name, entry in header.items()
        if name != "__metadata__"
    }


@pytest.mark.parametrize("name", ["vision_mlp", "vision_mlp_batchwise"])
def test_reproduces_an_original_run(name, shared):
    folder = shared / "fixtures" / "lightning"
    config = json.loads((folder / f"{name}.model_config.json").read_text())
    reference = read_safetensors(folder / f"{name}.reference.safetensors")
    batch, views = reference["pixel_values"].shape[:2]
    features = reference["vicreg_features"].view(batch, views, 8, 8, -1)
    loss = OverlapVICRegLoss(
        config["vicreg_similarity_weight"],
        config["vicreg_variance_weight"],
        config["vicreg_covariance_weight"],
        mode=config["vicreg_mode"],
    )
    total = loss(features, column_correspondences(views, (8, 8), config["overlap_ratio"])).total
    torch.testing.assert_close(total, reference["vicreg_loss"][0], rtol=1e-5, atol=1e-5)


def test_the_ring_is_closed():
    pairs = column_correspondences(3, (2, 4), 0.5)
    assert sorted(set(zip(pairs.source_view.tolist(), pairs.target_view.tolist(), strict=True))) == [
        (0, 1),
        (1, 2),
        (2, 0),
    ]
    assert pairs.lengths == (4, 4, 4)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((4, (8, 8), 0.0), r"overlap_ratio is 0\.0"),
        ((4, (8, 8), 1.2), r"overlap_ratio is 1\.2"),
        ((4, (8, 8), float("nan")), "overlap_ratio is nan"),
        ((1, (8, 8), 0.5), "num_views is 1"),
        ((0, (8, 8), 0.5), "num_views is 0"),
        ((4, (1, 1), 0.5), "share 1 token.*grid"),
        ((4, (0, 8), 0.5), r"grid is \(0, 8\)"),
    ],
)
def test_errors_name_the_parameter(arguments, match):
    with pytest.raises(ValueError, match=match):
        column_correspondences(*arguments)
