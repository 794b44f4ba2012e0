"""More tiny vision-language models with random weights; see `tiny_vlm`."""

import torch
import transformers

from .tiny_vlm import CHATML, IMAGES_FIRST, WITH_BOS, Tiny, finish, images, text_config, tokenizer, vision_config


def _idefics2():
    named = {"image_token": "<image>", "image_boundary_token": "<fake_token_around_image>"}
    tok = tokenizer(named, bos=True, old_class="LlamaTokenizerFast")
    processor = transformers.Idefics2Processor(
        image_processor=transformers.Idefics2ImageProcessor(size={"shortest_edge": 28, "longest_edge": 56}),
        tokenizer=tok,
        image_seq_len=4,
        chat_template=WITH_BOS.replace("IMAGE", "<image>"),
    )
    perceiver = {
        "hidden_size": 32,
        "initializer_range": 0.3,
        "resampler_n_latents": 4,
        "resampler_depth": 1,
        "resampler_n_heads": 4,
        "resampler_head_dim": 8,
        "num_key_value_heads": 2,
    }
    config = transformers.Idefics2Config(
        text_config={"model_type": "mistral", **text_config(len(tok), sliding_window=None)},
        vision_config=vision_config(),
        perceiver_config=perceiver,
        image_token_id=tok.convert_tokens_to_ids("<image>"),
    )
    return finish(transformers.Idefics2ForConditionalGeneration, config, processor)


def _cohere2_vision():
    named = {
        "image_token": "<|IMG_PATCH|>",
        "boi_token": "<|START_OF_IMG|>",
        "eoi_token": "<|END_OF_IMG|>",
        "img_line_break_token": "<|IMG_LINE_BREAK|>",
    }
    tok = tokenizer(named, bos=True, old_class="CohereTokenizerFast")
    processor = transformers.Cohere2VisionProcessor(
        image_processor=images("Cohere2VisionImageProcessor")(size={"height": 56, "width": 56}, patch_size=2),
        tokenizer=tok,
        chat_template=WITH_BOS.replace("IMAGE", "<|IMG_PATCH|>"),
    )
    config = transformers.Cohere2VisionConfig(
        text_config={"model_type": "cohere2", **text_config(len(tok), sliding_window=64)},
        vision_config={"model_type": "siglip_vision_model", **vision_config(), "vision_use_head": False},
        image_token_id=tok.convert_tokens_to_ids("<|IMG_PATCH|>"),
        alignment_intermediate_size=64,
    )
    return finish(transformers.Cohere2VisionForConditionalGeneration, config, processor)


def _perception_lm():
    tok = tokenizer({"image_token": "<|image|>", "video_token": "<|video|>"}, bos=True)
    processor = transformers.PerceptionLMProcessor(
        video_processor=transformers.PerceptionLMVideoProcessor(),
        image_processor=images("PerceptionLMImageProcessor")(tile_size=56, max_num_tiles=4),
        tokenizer=tok,
        patch_size=14,
        pooling_ratio=2,
        chat_template=WITH_BOS.replace("IMAGE", "<|image|>"),
    )
    arguments = {
        "embed_dim": 32,
        "depth": 1,
        "img_size": [56, 56],
        "num_heads": 4,
        "global_pool": "",
        "use_post_transformer_norm": False,
        "init_values": 0.1,
        "ref_feat_shape": [4, 4],
    }
    vision = {
        "model_type": "timm_wrapper",
        "architecture": "vit_pe_core_large_patch14_336",
        "do_pooling": True,
        "num_classes": 1,
        "global_pool": "map",
        "initializer_range": 0.3,
        "model_args": arguments,
    }
    config = transformers.PerceptionLMConfig(
        text_config={"model_type": "llama", **text_config(len(tok))},
        vision_config=vision,
        vision_use_cls_token=True,
        projector_pooling_ratio=2,
        image_token_id=tok.convert_tokens_to_ids("<|image|>"),
        video_token_id=tok.convert_tokens_to_ids("<|video|>"),
    )
    return finish(transformers.PerceptionLMForConditionalGeneration, config, processor)


def _lfm2_vl():
    named = {
        "image_token": "<image>",
        "image_start_token": "<|image_start|>",
        "image_end_token": "<|image_end|>",
        "image_thumbnail": "<|img_thumbnail|>",
    }
    tok = tokenizer(named, bos=True)
    processor = transformers.Lfm2VlProcessor(
        image_processor=images("Lfm2VlImageProcessor")(
            tile_size=56,
            encoder_patch_size=14,
            min_image_tokens=4,
            max_image_tokens=16,
            max_num_patches=64,
            downsample_factor=2,
        ),
        tokenizer=tok,
        chat_template=WITH_BOS.replace("IMAGE", "<image>"),
    )
    vision = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "num_patches": 16,
        "patch_size": 14,
        "vision_use_head": False,
    }
    config = transformers.Lfm2VlConfig(
        text_config={
            "model_type": "lfm2",
            **text_config(len(tok), num_hidden_layers=3, initializer_range=0.6),
            "layer_types": ["conv", "full_attention", "full_attention"],
            "block_auto_adjust_ff_dim": False,
            "conv_L_cache": 3,
            "pad_token_id": 0,
        },
        vision_config={"model_type": "siglip2_vision_model", **vision},
        image_token_id=tok.convert_tokens_to_ids("<image>"),
        downsample_factor=2,
        projector_hidden_size=32,
    )
    model, processor = finish(transformers.Lfm2VlForConditionalGeneration, config, processor)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "q_layernorm" in name or "k_layernorm" in name:  # its attention would be an average of all tokens
                value.fill_(4.0)
    return model, processor


def _deepseek_vl():
    tok = tokenizer({"image_token": "<image_placeholder>"}, bos=True, old_class="LlamaTokenizerFast")
    processor = transformers.DeepseekVLProcessor(
        image_processor=images("DeepseekVLImageProcessor")(
            size={"height": 56, "width": 56}, image_mean=[0.5] * 3, image_std=[0.5] * 3
        ),
        tokenizer=tok,
        num_image_tokens=16,
        chat_template=WITH_BOS.replace("IMAGE", "<image_placeholder>"),
    )
    config = transformers.DeepseekVLConfig(
        text_config={"model_type": "llama", **text_config(len(tok))},
        vision_config={"model_type": "siglip_vision_model", **vision_config(), "vision_use_head": False},
        image_token_id=tok.convert_tokens_to_ids("<image_placeholder>"),
    )
    return finish(transformers.DeepseekVLForConditionalGeneration, config, processor)


def _ovis2():
    marks = ["<IMG_START>", "<IMG_GRID>", "<IMG_COL>", "<IMG_ROW>", "<IMG_END>"]
    tok = tokenizer(
        {"image": "<image>", "atom": "<IMG_ATOM>", **{mark: mark for mark in marks}}, old_class="Qwen2TokenizerFast"
    )
    processor = transformers.Ovis2Processor(
        image_processor=images("Ovis2ImageProcessor")(size={"height": 56, "width": 56}),
        tokenizer=tok,
        image_seq_length=4,
        chat_template=CHATML.replace("IMAGE", "<image>\n"),
    )
    config = transformers.Ovis2Config(
        text_config={"model_type": "qwen2", **text_config(len(tok))},
        vision_config={**vision_config(), "vocab_size": 16, "hidden_stride": 2, "num_visual_indicator_tokens": 5},
        image_token_id=tok.convert_tokens_to_ids("<IMG_ATOM>"),
        visual_indicator_token_ids=[tok.convert_tokens_to_ids(mark) for mark in marks],
        vocab_size=len(tok),
        hidden_size=32,
    )
    return finish(transformers.Ovis2ForConditionalGeneration, config, processor)


def _got_ocr2():
    named = {"image_token": "<imgpad>", "start": "<img>", "end": "</img>"}
    tok = tokenizer(named, old_class="Qwen2TokenizerFast")
    processor = transformers.GotOcr2Processor(
        image_processor=images("GotOcr2ImageProcessor")(size={"height": 1024, "width": 1024}),
        tokenizer=tok,
        chat_template=CHATML.replace("IMAGE", "<img><imgpad></img>\n"),
    )
    vision = {
        "hidden_size": 32,
        "output_channels": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "image_size": 1024,
        "patch_size": 16,
        "window_size": 2,
        "global_attn_indexes": [],
        "mlp_dim": 48,
        "initializer_range": 0.3,
    }
    config = transformers.GotOcr2Config(
        text_config={"model_type": "qwen2", **text_config(len(tok))},
        vision_config=vision,
        image_token_index=tok.convert_tokens_to_ids("<imgpad>"),
    )
    return finish(transformers.GotOcr2ForConditionalGeneration, config, processor)


def _glm4v():
    named = {
        "image_token": "<|image|>",
        "video_token": "<|video|>",
        "a": "<|begin_of_image|>",
        "b": "<|end_of_image|>",
        "c": "<|begin_of_video|>",
        "d": "<|end_of_video|>",
    }
    tok = tokenizer(named)
    processor = transformers.Glm4vProcessor(
        image_processor=images("Glm4vImageProcessor")(size={"shortest_edge": 28 * 28, "longest_edge": 28 * 28 * 64}),
        tokenizer=tok,
        video_processor=transformers.Glm4vVideoProcessor(),
        chat_template=CHATML.replace("IMAGE", "<|begin_of_image|><|image|><|end_of_image|>"),
    )
    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "partial_rotary_factor": 1.0, "rope_theta": 10000.0}
    config = transformers.Glm4vConfig(
        text_config=text_config(len(tok), rope_scaling=rope, rope_parameters=rope, pad_token_id=0),
        vision_config={
            "depth": 1,
            "hidden_size": 32,
            "num_heads": 4,
            "image_size": 56,
            "out_hidden_size": 32,
            "intermediate_size": 48,
            "initializer_range": 0.3,
        },
        **{
            f"{name}_id": tok.convert_tokens_to_ids(token)
            for name, token in {
                "image_token": "<|image|>",
                "video_token": "<|video|>",
                "image_start_token": "<|begin_of_image|>",
                "image_end_token": "<|end_of_image|>",
                "video_start_token": "<|begin_of_video|>",
                "video_end_token": "<|end_of_video|>",
            }.items()
        },
    )
    return finish(transformers.Glm4vForConditionalGeneration, config, processor)


def _vipllava():
    tok = tokenizer({"image_token": "<image>"}, bos=True, old_class="LlamaTokenizerFast")
    processor = transformers.LlavaProcessor(
        image_processor=images("CLIPImageProcessor")(size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56}),
        tokenizer=tok,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=IMAGES_FIRST.replace("IMAGE", "<image>"),
    )
    config = transformers.VipLlavaConfig(
        text_config={"model_type": "llama", **text_config(len(tok))},
        vision_config={"model_type": "clip_vision_model", **vision_config(num_hidden_layers=2)},
        image_token_index=tok.convert_tokens_to_ids("<image>"),
        vision_feature_layers=[-2, -1],
    )
    return finish(transformers.VipLlavaForConditionalGeneration, config, processor)


MORE = {
    tiny.name: tiny
    for tiny in (
        Tiny("idefics2", _idefics2, 4),
        Tiny("cohere2_vision", _cohere2_vision, 4),
        Tiny("perception_lm", _perception_lm, 4),
        Tiny("lfm2_vl", _lfm2_vl, 4),
        Tiny("deepseek_vl", _deepseek_vl, 16),
        Tiny("ovis2", _ovis2, 4),
        Tiny("got_ocr2", _got_ocr2, 256),
        Tiny("glm4v", _glm4v, 4),
        Tiny("vipllava", _vipllava, 16),
    )
}
