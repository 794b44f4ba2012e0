"""Tiny vision-language models with random weights: real model and processor classes, tokenizers made here."""

import importlib.util
import json
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from panollava_hf.asking import strategies
from panollava_hf.asking._frame import LOOK_AROUND, frame_sentence
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

TEXTS = [frame_sentence(LOOK_AROUND), *(text for text in vars(strategies).values() if isinstance(text, str))]
#: Whether this is transformers 4, whose processors ask for tokenizers of their own classes.
OLD = transformers.__version__.startswith("4.")
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{% for part in message.content %}"
    "{% if part.type == 'image' %}IMAGE{% else %}{{ part.text }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
#: As LLaVA's: all images of a message before its text.
IMAGES_FIRST = (
    "{% for message in messages %}{{ message.role.upper() }}: {% for part in message.content %}"
    "{% if part.type == 'image' %}IMAGE\n{% endif %}{% endfor %}{% for part in message.content %}"
    "{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %} {% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
#: As Gemma's: system prompts are refused.
NO_SYSTEM = (
    "{{ bos_token }}{% for message in messages %}{% if message.role == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}<start_of_turn>{{ message.role }}\n"
    "{% for part in message.content %}{% if part.type == 'image' %}IMAGE{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
#: With the beginning-of-sequence token that the tokenizer writes, too.
WITH_BOS = "{{ bos_token }}" + CHATML


@dataclass(frozen=True)
class Tiny:
    """A family: how its model and processor are built."""

    name: str
    build: Any
    #: Image tokens of one view of 56 pixels, from the geometry of its config; None where the model has no such tokens.
    tokens: int | None
    prefix: str = ""


def text_config(size, **more):
    return {
        "vocab_size": size,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 8192,
        "initializer_range": 0.3,
        **more,
    }


def vision_config(**more):
    return {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "image_size": 56,
        "patch_size": 14,
        "initializer_range": 0.3,
        **more,
    }


def tokenizer(named, *, bos=False, padding="right", old_class=None, new_class=None):
    """A byte-level tokenizer with special tokens; `named` ones are its attributes.

    `new_class` is for a family whose saved folders transformers 5 reads with a class that splits texts its own way,
    whatever tokenizer.json says: made so from the start, texts have the same ids before and after.
    """
    core = Tokenizer(models.BPE())
    core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    special = ["<pad>", "<bos>", "<eos>", "<|im_start|>", "<|im_end|>", *named.values()]
    core.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(
            vocab_size=500,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    if bos:
        core.post_processor = processors.TemplateProcessing(
            single="<bos> $A", pair="<bos> $A $B", special_tokens=[("<bos>", core.token_to_id("<bos>"))]
        )
    kind, parts = transformers.PreTrainedTokenizerFast, {"tokenizer_object": core}
    if OLD and old_class:
        kind = getattr(transformers, old_class)
    elif not OLD and new_class:
        model = json.loads(core.to_str())["model"]
        kind = getattr(transformers, new_class)
        parts = {"vocab": model["vocab"], "merges": [tuple(pair) for pair in model["merges"]]}
    return kind(
        **parts,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        padding_side=padding,
        extra_special_tokens={
            name: token for name, token in named.items() if name.startswith("image_") or name.endswith("_token")
        },
    )


def finish(model_class, config, processor):
    torch.manual_seed(0)
    config.tie_word_embeddings = config.get_text_config().tie_word_embeddings = False
    model = model_class(config).eval()
    with torch.no_grad():
        for value in model.parameters():  # gates and projections that start at zero: the text would not read images
            if value.ndim == 2 and not value.any():
                value.normal_()
            elif value.numel() == 1 and not value.any():
                value.fill_(1.0)
    ids = processor.tokenizer
    model.generation_config.eos_token_id = [ids.eos_token_id, ids.convert_tokens_to_ids("<|im_end|>")]
    model.generation_config.pad_token_id = ids.pad_token_id
    return model, processor


def images(name):
    """The image processor on torch tensors; since transformers 5 its name has no suffix."""
    return getattr(transformers, f"{name}Fast" if OLD else name)


def _qwen(version):
    named = {
        "image_token": "<|image_pad|>",
        "video_token": "<|video_pad|>",
        "vision_start_token": "<|vision_start|>",
        "vision_end_token": "<|vision_end|>",
    }
    tok = tokenizer(named, old_class="Qwen2TokenizerFast")
    size = {"size": {"shortest_edge": 28 * 28, "longest_edge": 28 * 28 * 64}}
    if version == "Qwen3VL":
        size = {"size": {"shortest_edge": 32 * 32, "longest_edge": 32 * 32 * 64}, "patch_size": 16}
    image_processor = images("Qwen2VLImageProcessor")(**size)
    video = getattr(transformers, "Qwen3VLVideoProcessor" if version == "Qwen3VL" else "Qwen2VLVideoProcessor")()
    kind = {"Qwen2VL": "Qwen2VL", "Qwen2_5_VL": "Qwen2_5_VL", "Qwen3VL": "Qwen3VL"}[version]
    template = CHATML.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>")
    processor = getattr(transformers, f"{kind}Processor")(
        image_processor=image_processor, tokenizer=tok, video_processor=video, chat_template=template
    )
    rope = {"rope_type": "default", "type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}
    text = text_config(len(tok), rope_scaling=rope, rope_parameters=rope)
    vision: dict[str, Any] = {
        "Qwen2VL": {"embed_dim": 32, "hidden_size": 32, "depth": 1, "num_heads": 4, "mlp_ratio": 2},
        "Qwen2_5_VL": {
            "hidden_size": 32,
            "out_hidden_size": 32,
            "intermediate_size": 48,
            "depth": 1,
            "num_heads": 4,
            "fullatt_block_indexes": [0],
        },
        "Qwen3VL": {
            "hidden_size": 32,
            "out_hidden_size": 32,
            "intermediate_size": 48,
            "depth": 1,
            "num_heads": 4,
            "deepstack_visual_indexes": [0],
            "num_position_embeddings": 64,
        },
    }[version]
    ids = {f"{name}_id": tok.convert_tokens_to_ids(token) for name, token in named.items()}
    config = getattr(transformers, f"{kind}Config")(text_config=text, vision_config=vision, **ids)
    return finish(getattr(transformers, f"{kind}ForConditionalGeneration"), config, processor)


def _internvl():
    named = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    tok = tokenizer(named, old_class="Qwen2TokenizerFast")
    processor = transformers.InternVLProcessor(
        image_processor=images("GotOcr2ImageProcessor")(size={"height": 56, "width": 56}),
        tokenizer=tok,
        video_processor=transformers.InternVLVideoProcessor(size={"height": 56, "width": 56}),
        image_seq_length=4,
        chat_template=CHATML.replace("IMAGE", "<IMG_CONTEXT>\n"),
    )
    config = transformers.InternVLConfig(
        text_config={"model_type": "qwen2", **text_config(len(tok))},
        vision_config=vision_config(image_size=[56, 56], patch_size=[14, 14]),
        image_token_id=tok.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
    )
    return finish(transformers.InternVLForConditionalGeneration, config, processor)


def _gemma3():
    named = {
        "image_token": "<image_soft_token>",
        "boi_token": "<start_of_image>",
        "eoi_token": "<end_of_image>",
        "start": "<start_of_turn>",
        "end": "<end_of_turn>",
    }
    tok = tokenizer(named, bos=True, old_class="GemmaTokenizerFast")
    processor = transformers.Gemma3Processor(
        image_processor=images("Gemma3ImageProcessor")(size={"height": 56, "width": 56}),
        tokenizer=tok,
        chat_template=NO_SYSTEM.replace("IMAGE", "<start_of_image>"),
        image_seq_length=4,
    )
    config = transformers.Gemma3Config(
        text_config=text_config(len(tok), sliding_window=64),
        vision_config=vision_config(),
        mm_tokens_per_image=4,
        boi_token_index=tok.convert_tokens_to_ids("<start_of_image>"),
        eoi_token_index=tok.convert_tokens_to_ids("<end_of_image>"),
        image_token_index=tok.convert_tokens_to_ids("<image_soft_token>"),
    )
    return finish(transformers.Gemma3ForConditionalGeneration, config, processor)


def _llava_onevision():
    tok = tokenizer({"image_token": "<image>", "video_token": "<video>"}, old_class="Qwen2TokenizerFast")
    pinpoints = [[56, 56], [56, 112], [112, 56], [112, 112]]
    processor = transformers.LlavaOnevisionProcessor(
        image_processor=images("LlavaOnevisionImageProcessor")(
            size={"height": 56, "width": 56}, image_grid_pinpoints=pinpoints
        ),
        tokenizer=tok,
        video_processor=transformers.LlavaOnevisionVideoProcessor(),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=IMAGES_FIRST.replace("IMAGE", "<image>"),
    )
    config = transformers.LlavaOnevisionConfig(
        text_config={"model_type": "qwen2", **text_config(len(tok))},
        vision_config={"model_type": "siglip_vision_model", **vision_config(), "vision_use_head": False},
        image_token_index=tok.convert_tokens_to_ids("<image>"),
        video_token_index=tok.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=pinpoints,
        vision_feature_layer=-1,
    )
    return finish(transformers.LlavaOnevisionForConditionalGeneration, config, processor)


def _llava(kind, **more):
    tok = tokenizer({"image_token": "<image>"}, bos=True, old_class="LlamaTokenizerFast")
    fast = images(f"{kind}ImageProcessor")
    processor = getattr(transformers, f"{kind}Processor")(
        image_processor=fast(size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56}, **more),
        tokenizer=tok,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template="<bos>" * (kind == "LlavaNext") + IMAGES_FIRST.replace("IMAGE", "<image>"),
    )
    config = getattr(transformers, f"{kind}Config")(
        text_config={"model_type": "llama", **text_config(len(tok))},
        vision_config={"model_type": "clip_vision_model", **vision_config(num_hidden_layers=2)},
        image_token_index=tok.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-2,
        **more,
    )
    return finish(getattr(transformers, f"{kind}ForConditionalGeneration"), config, processor)


def _idefics3(kind):
    if kind == "SmolVLM":
        _stand_in_for_num2words()
    rows = {f"row_{row}_{column}": f"<row_{row + 1}_col_{column + 1}>" for row in range(6) for column in range(6)}
    named = {
        "fake_image_token": "<fake_token_around_image>",
        "image_token": "<image>",
        "end_of_utterance_token": "<end_of_utterance>",
        "global_image_token": "<global-img>",
        **rows,
    }
    tok = tokenizer(named, bos=True, old_class="LlamaTokenizerFast")
    size = {"size": {"longest_edge": 112}, "max_image_size": {"longest_edge": 56}}
    # 4.57 loads the class that is written in the slow one's name.
    parts = {"image_processor": getattr(transformers, f"{kind}ImageProcessor")(**size), "tokenizer": tok}
    if kind == "SmolVLM":
        parts["video_processor"] = transformers.SmolVLMVideoProcessor(
            size={"longest_edge": 56}, video_sampling={"fps": 1, "max_frames": 4, "video_size": {"longest_edge": 56}}
        )
    processor = getattr(transformers, f"{kind}Processor")(
        **parts, image_seq_len=4, chat_template=WITH_BOS.replace("IMAGE", "<image>")
    )
    config = getattr(transformers, f"{kind}Config")(
        text_config={"model_type": "llama", **text_config(len(tok), pad_token_id=tok.pad_token_id)},
        vision_config=vision_config(),
        image_token_id=tok.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=tok.pad_token_id,
    )
    return finish(getattr(transformers, f"{kind}ForConditionalGeneration"), config, processor)


def _mistral3():
    named = {"image_token": "[IMG]", "image_break_token": "[IMG_BREAK]", "image_end_token": "[IMG_END]"}
    tok = tokenizer(named, bos=True, old_class="LlamaTokenizerFast")
    processor = transformers.PixtralProcessor(
        image_processor=images("PixtralImageProcessor")(size={"longest_edge": 112}, patch_size=14),
        tokenizer=tok,
        patch_size=14,
        spatial_merge_size=2,
        chat_template=WITH_BOS.replace("IMAGE", "[IMG]"),
    )
    config = transformers.Mistral3Config(
        text_config={"model_type": "mistral", **text_config(len(tok), sliding_window=None)},
        vision_config={"model_type": "pixtral", **vision_config(image_size=112, head_dim=8)},
        image_token_index=tok.convert_tokens_to_ids("[IMG]"),
        spatial_merge_size=2,
        vision_feature_layer=-1,
    )
    return finish(transformers.Mistral3ForConditionalGeneration, config, processor)


def _aya_vision():
    named = {
        "image_token": "<image>",
        "start_of_img_token": "<|START_OF_IMG|>",
        "end_of_img_token": "<|END_OF_IMG|>",
        "img_patch_token": "<|IMG_PATCH|>",
        "img_line_break_token": "<|IMG_LINE_BREAK|>",
        "tile_token": "TILE",
        "tile_global_token": "TILE_GLOBAL",
    }
    tok = tokenizer(named, bos=True, padding="left", old_class="CohereTokenizerFast")
    processor = transformers.AyaVisionProcessor(
        image_processor=images("GotOcr2ImageProcessor")(size={"height": 56, "width": 56}),
        tokenizer=tok,
        patch_size=14,
        img_size=56,
        downsample_factor=2,
        chat_template=WITH_BOS.replace("IMAGE", "<image>"),
    )
    config = transformers.AyaVisionConfig(
        text_config={"model_type": "cohere2", **text_config(len(tok), sliding_window=64)},
        vision_config={"model_type": "siglip_vision_model", **vision_config(), "vision_use_head": False},
        image_token_index=tok.convert_tokens_to_ids("<|IMG_PATCH|>"),
        downsample_factor=2,
        vision_feature_layer=-1,
        adapter_layer_norm_eps=1e-6,
    )
    return finish(transformers.AyaVisionForConditionalGeneration, config, processor)


def _mllama():
    tok = tokenizer({"image_token": "<|image|>", "python": "<|python_tag|>"}, bos=True)
    processor = transformers.MllamaProcessor(
        image_processor=transformers.MllamaImageProcessor(size={"height": 56, "width": 56}, max_image_tiles=4),
        tokenizer=tok,
        chat_template=WITH_BOS.replace("IMAGE", "<|image|>"),
    )
    vision = vision_config(
        attention_heads=4, num_global_layers=1, vision_output_dim=64, intermediate_layers_indices=[0]
    )
    config = transformers.MllamaConfig(
        text_config=text_config(
            len(tok),
            num_hidden_layers=3,
            cross_attention_layers=[1],
            pad_token_id=tok.pad_token_id,
            rope_scaling={"rope_type": "default"},
            bos_token_id=tok.bos_token_id,
            eos_token_id=tok.eos_token_id,
        ),
        vision_config={
            **vision,
            "supported_aspect_ratios": [[1, 1], [1, 2], [1, 3], [1, 4], [2, 1], [2, 2], [3, 1], [4, 1]],
        },
        image_token_index=tok.convert_tokens_to_ids("<|image|>"),
    )
    return finish(transformers.MllamaForConditionalGeneration, config, processor)


def _paligemma():
    tok = tokenizer({"image_token": "<image>"}, bos=False, old_class="GemmaTokenizerFast")
    image_processor = images("SiglipImageProcessor")(size={"height": 56, "width": 56})
    image_processor.image_seq_length = 16
    processor = transformers.PaliGemmaProcessor(image_processor=image_processor, tokenizer=tok)
    config = transformers.PaliGemmaConfig(
        text_config={"model_type": "gemma", **text_config(len(tok), num_image_tokens=16)},
        vision_config={
            "model_type": "siglip_vision_model",
            **vision_config(projection_dim=32),
            "vision_use_head": False,
        },
        image_token_index=tok.convert_tokens_to_ids("<image>"),
        projection_dim=32,
        hidden_size=32,
    )
    return finish(transformers.PaliGemmaForConditionalGeneration, config, processor)


def _stand_in_for_num2words():
    """SmolVLM's processor needs num2words for the lengths of videos alone."""
    if importlib.util.find_spec("num2words") is None:
        from transformers.models.smolvlm import processing_smolvlm

        processing_smolvlm.num2words = str


PINPOINTS = [[56, 112], [112, 56], [112, 112]]
TINY = {
    tiny.name: tiny
    for tiny in (
        Tiny("qwen2_vl", lambda: _qwen("Qwen2VL"), 4),
        Tiny("qwen2_5_vl", lambda: _qwen("Qwen2_5_VL"), 4),
        Tiny("qwen3_vl", lambda: _qwen("Qwen3VL"), 4),
        Tiny("internvl", _internvl, 4),
        Tiny("gemma3", _gemma3, 4),
        Tiny("llava", lambda: _llava("Llava"), 16),
        Tiny("llava_next", lambda: _llava("LlavaNext", image_grid_pinpoints=PINPOINTS), None),
        Tiny("llava_onevision", _llava_onevision, 17),
        Tiny("smolvlm", lambda: _idefics3("SmolVLM"), 4),
        Tiny("idefics3", lambda: _idefics3("Idefics3"), 4),
        Tiny("mistral3", _mistral3, 4),
        Tiny("aya_vision", _aya_vision, 4),
        Tiny("mllama", _mllama, None),
        Tiny("paligemma", _paligemma, 16),
    )
}


#: What 4.57 has, but not so that these tests can be run: aria's processor ignores the size of images and uses 980
#: pixels, janus's features do not follow a small image size, and video_llava is not an image-text-to-text model.
NOT_IN_4_57 = ("aria", "janus", "video_llava")


def is_missing(name):
    """Whether the installed release does not have a family."""
    return name not in CONFIG_MAPPING or (OLD and name in NOT_IN_4_57)
