"""Still more tiny vision-language models with random weights; see `tiny_vlm`."""

import transformers

from .tiny_vlm import (
    CHATML,
    IMAGES_FIRST,
    PINPOINTS,
    WITH_BOS,
    Tiny,
    finish,
    images,
    text_config,
    tokenizer,
    vision_config,
)

_QWEN = {
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
    "vision_start_token": "<|vision_start|>",
    "vision_end_token": "<|vision_end|>",
}
_ROPE = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}


def _ids(tok, named):
    return {f"{name}_id": tok.convert_tokens_to_ids(token) for name, token in named.items()}


def _qwen3(kind, **text):
    tok = tokenizer(
        _QWEN, old_class="Qwen2TokenizerFast", new_class="Qwen3_5Tokenizer" if kind.startswith("Qwen3_5") else None
    )
    processor = transformers.Qwen3VLProcessor(
        image_processor=images("Qwen2VLImageProcessor")(
            size={"shortest_edge": 32 * 32, "longest_edge": 32 * 32 * 64}, patch_size=16
        ),
        tokenizer=tok,
        video_processor=transformers.Qwen3VLVideoProcessor(),
        chat_template=CHATML.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>"),
    )
    vision = {
        "hidden_size": 32,
        "out_hidden_size": 32,
        "intermediate_size": 48,
        "depth": 1,
        "num_heads": 4,
        "num_position_embeddings": 64,
    }
    if kind == "Qwen3VLMoe":
        vision["deepstack_visual_indexes"] = [0]
    config = getattr(transformers, f"{kind}Config")(
        text_config=text_config(len(tok), rope_scaling=_ROPE, rope_parameters=_ROPE, **text),
        vision_config=vision,
        **_ids(tok, _QWEN),
    )
    return finish(getattr(transformers, f"{kind}ForConditionalGeneration"), config, processor)


_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "decoder_sparse_step": 1}
_LINEAR = {
    "layer_types": ["linear_attention", "full_attention"],
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}


def _glm(kind, **text):
    named = {
        "image_token": "<|image|>",
        "video_token": "<|video|>",
        "a": "<|begin_of_image|>",
        "b": "<|end_of_image|>",
        "c": "<|begin_of_video|>",
        "d": "<|end_of_video|>",
    }
    tok = tokenizer(named)
    parts = "Glm4v" if kind == "Glm4vMoe" else kind
    processor = getattr(transformers, f"{parts}Processor")(
        image_processor=images(f"{parts}ImageProcessor")(size={"shortest_edge": 28 * 28, "longest_edge": 28 * 28 * 64}),
        tokenizer=tok,
        video_processor=getattr(transformers, f"{parts}VideoProcessor")(),
        chat_template=CHATML.replace("IMAGE", "<|begin_of_image|><|image|><|end_of_image|>"),
    )
    rope = {**_ROPE, "partial_rotary_factor": 1.0}
    config = getattr(transformers, f"{kind}Config")(
        text_config=text_config(len(tok), rope_scaling=rope, rope_parameters=rope, pad_token_id=0, **text),
        vision_config={
            "depth": 1,
            "hidden_size": 32,
            "num_heads": 4,
            "image_size": 56,
            "out_hidden_size": 32,
            "intermediate_size": 48,
            "initializer_range": 0.3,
        },
        **_ids(
            tok,
            {
                "image_token": "<|image|>",
                "video_token": "<|video|>",
                "image_start_token": "<|begin_of_image|>",
                "image_end_token": "<|end_of_image|>",
                "video_start_token": "<|begin_of_video|>",
                "video_end_token": "<|end_of_video|>",
            },
        ),
    )
    return finish(getattr(transformers, f"{kind}ForConditionalGeneration"), config, processor)


def _aria():
    tok = tokenizer({"image_token": "<|img|>"}, old_class="LlamaTokenizerFast")
    processor = transformers.AriaProcessor(
        image_processor=transformers.AriaImageProcessor(max_image_size=490, min_image_size=56),
        tokenizer=tok,
        chat_template=CHATML.replace("IMAGE", "<fim_prefix><|img|><fim_suffix>"),
        size_conversion={490: 4, 980: 8},
    )
    config = transformers.AriaConfig(
        text_config={"model_type": "aria_text", **text_config(len(tok)), "moe_num_experts": 4, "moe_topk": 2},
        vision_config={"model_type": "idefics3_vision", **vision_config(image_size=490, patch_size=70)},
        projector_patch_to_query_dict={49: 4, 196: 8},
        image_token_index=tok.convert_tokens_to_ids("<|img|>"),
    )
    return finish(transformers.AriaForConditionalGeneration, config, processor)


def llama4():
    named = {
        "image_token": "<|image|>",
        "a": "<|image_start|>",
        "b": "<|image_end|>",
        "c": "<|patch|>",
        "d": "<|tile_x_separator|>",
        "e": "<|tile_y_separator|>",
    }
    tok = tokenizer(named, bos=True)
    processor = transformers.Llama4Processor(
        image_processor=images("Llama4ImageProcessor")(size={"height": 56, "width": 56}, max_patches=4),
        tokenizer=tok,
        chat_template=WITH_BOS.replace("IMAGE", "<|image|>"),
    )
    config = transformers.Llama4Config(
        text_config=text_config(
            len(tok), intermediate_size_mlp=48, num_local_experts=2, pad_token_id=0, attention_chunk_size=8192
        ),
        vision_config=vision_config(
            vision_output_dim=32,
            projector_input_dim=32,
            projector_output_dim=32,
            intermediate_size=128,
            pixel_shuffle_ratio=0.5,
        ),
        image_token_index=tok.convert_tokens_to_ids("<|patch|>"),
    )
    return finish(transformers.Llama4ForConditionalGeneration, config, processor)


def _clip_llava(kind, **more):
    tok = tokenizer({"image_token": "<image>", "video_token": "<video>"}, bos=True, old_class="LlamaTokenizerFast")
    parts = {"VideoLlava": "VideoLlava", "LlavaNextVideo": "LlavaNext"}[kind]
    size = {"size": {"shortest_edge": 56}, "crop_size": {"height": 56, "width": 56}}
    processor = getattr(transformers, f"{kind}Processor")(
        image_processor=getattr(transformers, f"{parts}ImageProcessor")(**size, **more),
        video_processor=getattr(transformers, f"{kind}VideoProcessor")(**size),
        tokenizer=tok,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=IMAGES_FIRST.replace("IMAGE", "<image>"),
    )
    config = getattr(transformers, f"{kind}Config")(
        text_config={"model_type": "llama", **text_config(len(tok))},
        vision_config={"model_type": "clip_vision_model", **vision_config(num_hidden_layers=2)},
        image_token_index=tok.convert_tokens_to_ids("<image>"),
        video_token_index=tok.convert_tokens_to_ids("<video>"),
        vision_feature_layer=-2,
        **more,
    )
    return finish(getattr(transformers, f"{kind}ForConditionalGeneration"), config, processor)


def _pixtral_llava():
    named = {"image_token": "[IMG]", "image_break_token": "[IMG_BREAK]", "image_end_token": "[IMG_END]"}
    tok = tokenizer(named, bos=True, old_class="LlamaTokenizerFast")
    processor = transformers.PixtralProcessor(
        image_processor=images("PixtralImageProcessor")(size={"longest_edge": 112}, patch_size=14),
        tokenizer=tok,
        patch_size=14,
        chat_template=WITH_BOS.replace("IMAGE", "[IMG]"),
    )
    config = transformers.LlavaConfig(
        text_config={"model_type": "mistral", **text_config(len(tok), sliding_window=None)},
        vision_config={"model_type": "pixtral", **vision_config(image_size=112, head_dim=8)},
        image_token_index=tok.convert_tokens_to_ids("[IMG]"),
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    )
    return finish(transformers.LlavaForConditionalGeneration, config, processor)


def _chameleon():
    named = {"image_token": "<image>", "boi_token": "<racm3:break>", "eoi_token": "<eoss>", "sep": "<reserved08706>"}
    codes = {f"code{i}": f"IMGIMG{chr(65 + i // 10)}{chr(65 + i % 10)}Z" for i in range(16)}
    tok = tokenizer({**named, **codes}, bos=True, old_class="LlamaTokenizerFast")
    tok.sep_token = "<reserved08706>"
    processor = transformers.ChameleonProcessor(
        image_processor=transformers.ChameleonImageProcessor(
            size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56}
        ),
        tokenizer=tok,
        image_seq_length=49,
    )
    config = transformers.ChameleonConfig(
        **text_config(len(tok)),
        vq_config={
            "embed_dim": 16,
            "num_embeddings": 16,
            "latent_channels": 16,
            "resolution": 56,
            "base_channels": 32,
            "channel_multiplier": [1, 1, 1, 1],
            "num_res_blocks": 1,
        },
        vocabulary_map=tok.get_vocab(),
    )
    return finish(transformers.ChameleonForConditionalGeneration, config, processor)


def _video_llama_3():
    tok = tokenizer({"image_token": "<image>", "video_token": "<video>"}, old_class="Qwen2TokenizerFast")
    processor = transformers.VideoLlama3Processor(
        image_processor=images("VideoLlama3ImageProcessor")(
            size={"shortest_edge": 28 * 28, "longest_edge": 28 * 28 * 64}, merge_size=2
        ),
        tokenizer=tok,
        video_processor=transformers.VideoLlama3VideoProcessor(),
        chat_template=CHATML.replace("IMAGE", "<image>\n"),
    )
    config = transformers.VideoLlama3Config(
        text_config={"model_type": "qwen2", **text_config(len(tok))},
        vision_config={"model_type": "video_llama_3_vision", **vision_config()},
        image_token_id=tok.convert_tokens_to_ids("<image>"),
        video_token_id=tok.convert_tokens_to_ids("<video>"),
    )
    return finish(transformers.VideoLlama3ForConditionalGeneration, config, processor)


def _janus():
    named = {"image_token": "<image_placeholder>", "boi_token": "<begin_of_image>", "eoi_token": "<end_of_image>"}
    tok = tokenizer(named, bos=True, old_class="LlamaTokenizerFast")
    processor = transformers.JanusProcessor(
        image_processor=transformers.JanusImageProcessor(
            size={"height": 56, "width": 56}, min_size=14, image_mean=[0.5] * 3, image_std=[0.5] * 3
        ),
        tokenizer=tok,
        num_image_tokens=16,
        chat_template=WITH_BOS.replace("IMAGE", "<image_placeholder>\n"),
    )
    config = transformers.JanusConfig(
        text_config={"model_type": "llama", **text_config(len(tok))},
        vision_config={"model_type": "janus_vision_model", **vision_config(projection_dim=32, mlp_ratio=2)},
        vq_config={
            "embed_dim": 8,
            "num_embeddings": 16,
            "latent_channels": 16,
            "base_channels": 32,
            "channel_multiplier": [1, 1],
            "num_res_blocks": 1,
            "num_patches": 4,
            "projection_dim": 32,
            "image_token_embed_dim": 32,
        },
        image_token_id=tok.convert_tokens_to_ids("<image_placeholder>"),
    )
    return finish(transformers.JanusForConditionalGeneration, config, processor)


def _blip(kind):
    tok = tokenizer({}, old_class="GPT2TokenizerFast")
    image_processor = images("BlipImageProcessor")(size={"height": 56, "width": 56})
    parts = {"image_processor": image_processor, "tokenizer": tok, "num_query_tokens": 4}
    if kind == "InstructBlip":
        parts["qformer_tokenizer"] = tokenizer({})
    processor = getattr(transformers, f"{kind}Processor")(**parts)
    qformer = {
        "vocab_size": 500,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "encoder_hidden_size": 32,
        "cross_attention_frequency": 1,
        "max_position_embeddings": 4096,
    }
    config = getattr(transformers, f"{kind}Config")(
        text_config={
            "model_type": "opt",
            "vocab_size": len(tok),
            "hidden_size": 32,
            "word_embed_proj_dim": 32,
            "ffn_dim": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": 8192,
            "init_std": 0.3,
            "pad_token_id": tok.pad_token_id,
            "bos_token_id": tok.bos_token_id,
            "eos_token_id": tok.eos_token_id,
        },
        vision_config=vision_config(),
        qformer_config=qformer,
        num_query_tokens=4,
        image_token_index=tok.convert_tokens_to_ids("<image>"),
        image_text_hidden_size=32,
    )
    return finish(getattr(transformers, f"{kind}ForConditionalGeneration"), config, processor)


OTHERS = {
    tiny.name: tiny
    for tiny in (
        Tiny("qwen3_vl_moe", lambda: _qwen3("Qwen3VLMoe", **_EXPERTS), 4),
        Tiny("qwen3_5", lambda: _qwen3("Qwen3_5", **_LINEAR), 4),
        Tiny("qwen3_5_moe", lambda: _qwen3("Qwen3_5Moe", **_LINEAR, **_EXPERTS), 4),
        Tiny("glm46v", lambda: _glm("Glm46V"), 4),
        Tiny("aria", _aria, 4),
        Tiny("video_llava", lambda: _clip_llava("VideoLlava"), 16),
        Tiny("llava_next_video", lambda: _clip_llava("LlavaNextVideo", image_grid_pinpoints=PINPOINTS), None),
        Tiny("pixtral", _pixtral_llava, 16),
        Tiny("chameleon", _chameleon, 49),
        Tiny("video_llama_3", _video_llama_3, 4),
        Tiny("janus", _janus, 16),
        Tiny("blip-2", lambda: _blip("Blip2"), 4),
        Tiny("instructblip", lambda: _blip("InstructBlip"), 4),
    )
}
