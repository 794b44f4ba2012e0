"""Tiny models of every resampler and stitching mode, as transformers' suites want them."""

import torch
from panollava_hf import PanoLLaVaConfig, PanoLLaVaForConditionalGeneration, PanoLLaVaModel
from transformers import Qwen2Config, SiglipVisionConfig

__all__ = ["VARIANTS", "Tester", "VisionTester"]

#: The settings of each variant. Together: all resamplers, stitching modes, encodings, and tied and untied heads.
VARIANTS = {
    "Mlp": {"resampler_type": "mlp"},
    "MlpTied": {"resampler_type": "mlp", "tie_word_embeddings": True},
    "Qformer": {"resampler_type": "qformer", "num_latent_tokens": 4},
    "Bimamba": {"resampler_type": "bimamba"},
    "Perceiver": {"resampler_type": "perceiver", "num_latent_tokens": 4},
    "CAbstractor": {"resampler_type": "c_abstractor", "num_latent_tokens": 4},
    "SpatialPool": {"resampler_type": "spatial_pool", "num_latent_tokens": 4},
    "StrideViews": {"resampler_type": "mlp", "stitching_mode": "stride_views", "overlap_ratio": 0.5},
    "DropOverlap": {"resampler_type": "mlp", "stitching_mode": "drop_overlap", "overlap_ratio": 0.5},
    "Resample": {"resampler_type": "mlp", "stitching_mode": "resample", "overlap_ratio": 0.5},
    "ResampleToView": {
        "resampler_type": "mlp",
        "stitching_mode": "resample",
        "stitch_target_to_view_width": True,
        "stitch_interp": "nearest",
    },
    "YawChunked": {"resampler_type": "mlp", "positional_encoding": "yaw", "view_chunk_size": 2},
    "NormErp": {"resampler_type": "mlp", "vision_output_norm": True, "crop_strategy": "resize"},
}


class Tester:
    """Makes configs and inputs; the names of its attributes are those that the suites read."""

    batch_size = 3
    is_training = True
    use_cache = True
    hidden_size = 32
    vocab_size = 99
    num_hidden_layers = 2
    num_attention_heads = 4
    image_size = 16
    patch_size = 8
    text_length = 7
    pad_token_id, bos_token_id, eos_token_id, image_token_id = 0, 1, 2, 3  # low: the suites cut the vocabulary

    base_model_class = PanoLLaVaModel
    causal_lm_class = PanoLLaVaForConditionalGeneration

    def __init__(self, parent, settings):
        self.parent, self.settings = parent, settings

    @property
    def seq_length(self):
        """Tokens of a prompt with its panorama."""
        return self.text_length + self.get_config().num_image_tokens()

    encoder_seq_length = seq_length

    def get_config(self):
        """The config of the variant."""
        vision = SiglipVisionConfig(
            hidden_size=32,
            intermediate_size=37,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=self.image_size,
            patch_size=self.patch_size,
            vision_use_head=False,  # nothing reads SigLIP's own pooling, so it would have no gradient
        )
        text = Qwen2Config(
            vocab_size=self.vocab_size,
            hidden_size=self.hidden_size,
            intermediate_size=37,
            num_hidden_layers=self.num_hidden_layers,
            num_attention_heads=self.num_attention_heads,
            num_key_value_heads=2,
            max_position_embeddings=512,
            tie_word_embeddings=False,
            bos_token_id=self.bos_token_id,
            eos_token_id=self.eos_token_id,
            pad_token_id=self.pad_token_id,
        )
        settings = {"latent_dimension": 32, "num_views": 4, "image_token_id": self.image_token_id, **self.settings}
        return PanoLLaVaConfig(vision, text, **settings)

    def pixel_values(self, config):
        """Random views of one panorama for each prompt."""
        return torch.rand(self.batch_size, len(config.view_plan()), 3, *config.image_size)

    def prepare_config_and_inputs_for_common(self):
        """A config, and prompts that begin with a panorama."""
        config = self.get_config()
        text = torch.randint(4, 80, (self.batch_size, self.text_length))
        image = torch.full((self.batch_size, config.num_image_tokens()), self.image_token_id)
        ids = torch.cat([image, text], 1)
        mask = torch.ones_like(ids)
        return config, {"input_ids": ids, "attention_mask": mask, "pixel_values": self.pixel_values(config)}

    prepare_config_and_inputs = prepare_config_and_inputs_for_common


class VisionTester(Tester):
    """For the classes that read no text."""

    is_training = False
    num_attention_heads = 2

    def __init__(self, parent, settings, patch_size=8):
        super().__init__(parent, settings)
        self.patch_size = patch_size

    @property
    def seq_length(self):
        """Tokens of a view in the vision tower."""
        return (self.image_size // self.patch_size) ** 2

    encoder_seq_length = seq_length

    def prepare_config_and_inputs_for_common(self):
        """A config and views."""
        config = self.get_config()
        return config, {"pixel_values": self.pixel_values(config)}

    prepare_config_and_inputs = prepare_config_and_inputs_for_common
