"""A resampler from outside of PanoLLaVA, in a model: one class, registered with one line."""

import pytest
import torch
from panollava_core import RESAMPLERS, Resampler, register_resampler
from panollava_hf import PanoLLaVaConfig, PanoLLaVaForConditionalGeneration, PanoLLaVaModel
from panollava_hf._errors import ExportError
from panollava_hf.hub import export_checkpoint


class WeightedAverage(Resampler):
    """Each latent is an average of the view's tokens with trained weights. It has a parameter next to its layers."""

    is_spatial = False
    no_split_modules = ("WeightedAverage",)

    def __init__(self, **options):
        super().__init__(**options)
        count, width = self.options.num_latent_tokens, self.options.input_dim
        self.queries = torch.nn.Parameter(torch.empty(count, width))
        self.proj = torch.nn.Linear(width, self.options.latent_dimension)
        self.init_parameters()

    @torch.no_grad()
    def init_parameters(self):
        self.queries.normal_(std=0.5)

    def forward(self, tokens, *, grid=None):
        weights = (tokens @ self.queries.T).softmax(dim=1)
        return self.proj(weights.mT @ tokens)


@pytest.fixture
def config(tiny_config):
    register_resampler("weighted_average")(WeightedAverage)
    yield tiny_config(resampler_type="weighted_average", num_latent_tokens=4, latent_dimension=32)
    del RESAMPLERS["weighted_average"]


def test_it_is_part_of_the_model(config, tiny_inputs):
    model = PanoLLaVaForConditionalGeneration(config)
    assert type(model.resampler) is WeightedAverage
    assert config.token_grid() == (2, 2)
    assert config.num_image_tokens() == 4 * len(config.view_plan())
    output = model(**tiny_inputs(config), labels=tiny_inputs(config)["input_ids"])
    output.loss.backward()
    assert model.resampler.queries.grad.abs().sum() > 0


def test_it_is_saved_and_loaded(config, tiny_inputs, tmp_path):
    model, inputs = PanoLLaVaForConditionalGeneration(config).eval(), tiny_inputs(config)
    model.save_pretrained(tmp_path)
    assert PanoLLaVaConfig.from_pretrained(tmp_path).resampler_type == "weighted_average"
    again = PanoLLaVaForConditionalGeneration.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        assert torch.equal(again(**inputs).logits, model(**inputs).logits)


def test_its_parameters_are_initialised_when_a_checkpoint_lacks_them(config, tmp_path):
    bare = PanoLLaVaModel(config)
    del bare.resampler
    bare.save_pretrained(tmp_path)
    loaded = PanoLLaVaModel.from_pretrained(tmp_path)
    assert 0.3 < loaded.resampler.queries.std() < 0.7


def test_it_stays_on_one_device(config):
    model = PanoLLaVaForConditionalGeneration(config)
    older = getattr(model, "_get_no_split_modules", None)  # transformers 4.57 collects them when it loads
    assert "WeightedAverage" in (model._no_split_modules if older is None else older("auto"))


def test_without_its_module_a_checkpoint_names_the_type(config):
    del RESAMPLERS["weighted_average"]
    with pytest.raises(ValueError, match="unknown resampler type 'weighted_average'; expected one of bimamba, c_abst"):
        PanoLLaVaForConditionalGeneration(config)
    register_resampler("weighted_average")(WeightedAverage)


def test_it_is_not_exported_without_its_code(config, tmp_path):
    PanoLLaVaForConditionalGeneration(config).save_pretrained(tmp_path / "model")
    with pytest.raises(ExportError, match="uses the resampler 'weighted_average'"):
        export_checkpoint(tmp_path / "model", tmp_path / "export")
    assert not (tmp_path / "export").exists()
