import pytest
import torch
from panollava_hf import PanoLLaVaForConditionalGeneration, PanoLLaVaForFeatureExtraction, PanoLLaVaForVICReg


def pixels(config, batch=2):
    return torch.randn(batch, len(config.view_plan()), 3, *config.image_size)


@pytest.mark.parametrize("mode", ["pairwise", "batchwise"])
@pytest.mark.parametrize("pairs", ["spherical", "columns"])
def test_every_weight_of_stage_one_gets_a_gradient(tiny_config, mode, pairs):
    config = tiny_config(vicreg_mode=mode, vicreg_pairs=pairs)
    model = PanoLLaVaForVICReg(config).train()
    output = model(pixel_values=pixels(config))
    output.loss.backward()
    assert torch.isfinite(output.loss)
    assert output.loss > 0
    silent = [n for n, p in model.named_parameters() if p.grad is None and ".head." not in n]
    assert not silent


def test_loss_is_the_weighted_sum_of_its_terms(tiny_config):
    config = tiny_config(vicreg_similarity_weight=2.0, vicreg_variance_weight=3.0, vicreg_covariance_weight=5.0)
    output = PanoLLaVaForVICReg(config).eval()(pixel_values=pixels(config))
    expected = 2 * output.invariance + 3 * output.variance + 5 * output.covariance
    torch.testing.assert_close(output.loss, expected)


def test_training_brings_the_overlaps_together(tiny_config):
    config = tiny_config()
    model = PanoLLaVaForVICReg(config).train()
    views = pixels(config)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(15):
        loss = model(pixel_values=views).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_views_that_do_not_overlap_name_the_fields_to_change(tiny_config):
    with pytest.warns(UserWarning, match="overlap by -100.0%"):
        config = tiny_config(crop_strategy="e2p", num_views=3, fov_deg=60.0)
    with pytest.raises(ValueError, match=r"(?s)overlap.*(fov_deg|num_views)"):
        PanoLLaVaForVICReg(config)


def test_tokens_without_a_place_cannot_be_paired_on_the_sphere(tiny_config):
    settings = {"resampler_type": "qformer", "num_latent_tokens": 4, "latent_dimension": 32}
    with pytest.raises(ValueError, match="vicreg_pairs='columns'"):
        PanoLLaVaForVICReg(tiny_config(**settings))
    PanoLLaVaForVICReg(tiny_config(vicreg_pairs="columns", **settings))


@pytest.mark.parametrize("pooling", ["mean", "max", "first"])
def test_pooling(tiny_config, pooling):
    config = tiny_config()
    model = PanoLLaVaForFeatureExtraction(config, pooling=pooling).eval()
    with torch.no_grad():
        output = model(pixel_values=pixels(config, 3))
    assert output.pooler_output.shape == (3, 24)
    tokens = output.last_hidden_state.numpy().reshape(3, -1, 24)
    expected = {"mean": tokens.mean(1), "max": tokens.max(1), "first": tokens[:, 0]}[pooling]
    torch.testing.assert_close(output.features, torch.from_numpy(expected))


def test_unknown_pooling_is_refused(tiny_config):
    with pytest.raises(ValueError, match="'mean', 'max' or 'first', got 'median'"):
        PanoLLaVaForFeatureExtraction(tiny_config(), pooling="median")


def test_feature_extractor_shares_the_weights_and_drops_the_projector(tiny_config, tmp_path):
    config = tiny_config()
    model = PanoLLaVaForVICReg(config).eval()
    extractor = model.to_feature_extractor(pooling="max")
    assert extractor.panollava is model.panollava
    assert not any("vicreg" in name for name, _ in extractor.named_parameters())
    views = pixels(config)
    extractor.save_pretrained(tmp_path)
    again = PanoLLaVaForFeatureExtraction.from_pretrained(tmp_path, pooling="max").eval()
    with torch.no_grad():
        assert torch.equal(again(pixel_values=views).features, extractor(pixel_values=views).features)


def test_stage_one_hands_its_weights_to_the_next_stages(tiny_config, tmp_path):
    config = tiny_config()
    first = PanoLLaVaForVICReg(config)
    first.save_pretrained(tmp_path)
    second, info = PanoLLaVaForConditionalGeneration.from_pretrained(tmp_path, output_loading_info=True)
    missing = {name.split(".")[1] if name.startswith("panollava.") else name for name in info["missing_keys"]}
    assert missing <= {"language_model", "projector", "lm_head.weight"}
    theirs = dict(first.panollava.named_parameters())
    ours = dict(second.panollava.named_parameters())
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())
