"""The report has a row for every key, and missing or unexpected keys are errors."""

import pytest
import torch
from panollava_hf import PanoLLaVaForConditionalGeneration, conversion
from panollava_hf._errors import CheckpointError


def test_every_key_once(make_original, tmp_path):
    original = make_original()
    text = {"text_projection/weight": torch.zeros(2, 2)}
    done = original.convert(tmp_path / "out", path=original.save(state=original.changed(**text)), dry_run=True)
    keys = [row.key for row in done.report.rows]
    assert sorted(keys) == sorted([*original.state_dict(), "model.text_projection.weight"])
    rows = {row.key: row for row in done.report.rows}
    assert rows["model.resampler.mlp.0.weight"].reason == "alias of resampler_module.resampler.*, verified equal"
    assert "stage 2 only" in rows["model.text_projection.weight"].reason
    assert "tied" in rows["model.language_model.lm_head.weight"].reason
    assert rows["model.projector.linear.bias"].target == "panollava.projector.linear.bias"
    assert any("optimizer_states" in note for note in done.report.notes)
    assert not (tmp_path / "out").exists()


def test_buffers_of_older_releases(make_original, tmp_path):
    original = make_original()
    buffers = {
        "vision_backbone/encoder/embeddings/position_ids": torch.arange(16)[None],
        "language_model/model/layers/0/self_attn/rotary_emb/inv_freq": torch.ones(4),
    }
    done = original.convert(tmp_path / "out", path=original.save(state=original.changed(**buffers)), dry_run=True)
    dropped = [row.key for row in done.report.rows if row.reason == "a buffer that the model computes itself"]
    assert sorted(dropped) == sorted(f"model.{name.replace('/', '.')}" for name in buffers)


def test_missing_and_unexpected_are_listed(make_original, tmp_path):
    original = make_original()
    wrong = {
        "vision_backbone/encoder/post_layernorm/weight": None,
        "language_model/model/norm/weight": None,
        "language_model/model/layers/0/surprise": torch.zeros(1),
        "projector/gate": torch.zeros(1),
    }
    path = original.save(state=original.changed(**wrong))
    with pytest.raises(CheckpointError) as caught:
        original.convert(tmp_path / "out", path=path)
    message = str(caught.value)
    assert message.startswith("4 keys")
    for part in ("missing panollava.language_model.norm.weight", "post_layernorm.weight", "unexpected model.projector"):
        assert part in message
    assert "unexpected model.language_model.model.layers.0.surprise" in message
    assert not (tmp_path / "out").exists()
    with pytest.raises(CheckpointError, match=r"^1 keys.*post_layernorm"):
        original.convert(tmp_path / "out", path=path, allow_missing=["*surprise", "*gate", "*.norm.w*"])


def test_allowed_missing_starts_fresh_and_stays(make_original, tmp_path):
    original = make_original()
    path = original.save(
        state=original.changed(**{"projector/linear/weight": None, "vision_to_language_projection/weight": None})
    )
    done = original.convert(tmp_path / "out", path=path, allow_missing=["panollava.projector.*"])
    assert any("panollava.projector.linear.weight: missing and allowed" in note for note in done.report.notes)
    first, second = (PanoLLaVaForConditionalGeneration.from_pretrained(done.folder) for _ in range(2))
    assert torch.equal(first.projector.linear.weight, second.projector.linear.weight)
    assert float(first.projector.linear.weight.detach().std()) > 0


def test_aliases_alone_are_enough(make_original, tmp_path):
    """A file that kept only the second name of a part."""
    original = make_original()
    state = {k: v for k, v in original.state_dict().items() if not k.startswith("model.resampler_module.")}
    assert original.convert(tmp_path / "out", path=original.save(state=state), dry_run=True).report.of("mapped")


DIFFERENT = {
    "an alias": ({"resampler/mlp/0/bias": torch.ones(40)}, r"differ: model\.resampler\.mlp\.0\.bias and"),
    "the tied head": ({"language_model/lm_head/weight": torch.ones(272, 32)}, r"tie_word_embeddings.*lm_head"),
    "a shape": ({"language_model/model/norm/weight": torch.ones(9)}, r"\(9,\) in the checkpoint and \(32,\)"),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_changed_tensors(make_original, tmp_path, what):
    tensors, message = DIFFERENT[what]
    original = make_original()
    with pytest.raises(CheckpointError, match=message):
        original.convert(tmp_path / "out", path=original.save(state=original.changed(**tensors)))


def test_deprecated_names(make_original, tmp_path):
    with pytest.warns(DeprecationWarning, match="ConversionReport"):
        report_type = conversion.Account
    with pytest.warns(DeprecationWarning, match="KeyReport"):
        row_type = conversion.Row
    done = make_original().convert(tmp_path / "out", dry_run=True)
    with pytest.warns(DeprecationWarning, match=r"Conversion\.report"):
        report = done.account
    assert report is done.report
    assert type(report) is report_type
    row = report.of("dropped")[0]
    assert type(row) is row_type
    with pytest.warns(DeprecationWarning, match=r"KeyReport\.status"):
        assert row.fate == "dropped"
    with pytest.warns(DeprecationWarning, match=r"KeyReport\.reason"):
        assert row.why == row.reason
    with pytest.raises(AttributeError, match="Accounts"):
        _ = conversion.Accounts
