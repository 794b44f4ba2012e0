import numpy as np
import pytest
import torch


def striped(width, seed):
    """A panorama with its own stripes and tint."""
    generator = np.random.default_rng(seed)
    columns = generator.uniform(0, 255, (8, 3)).repeat(width // 8, 0)
    return np.broadcast_to(columns, (width // 2, width, 3)).astype(np.uint8)


SHORT, LONG = "What is ahead?", "How many red cubes are there behind the camera? Is there a green sphere?"


def test_left_padded_batch_of_different_sizes_equals_one_by_one(model, processor, prompt):
    images = [striped(256, 1), striped(640, 2)]
    prompts = [prompt(SHORT), prompt(LONG)]
    settings = {"do_sample": False, "max_new_tokens": 12, "min_new_tokens": 12}
    batch = processor(images=images, text=prompts, padding=True, return_tensors="pt")
    assert batch["attention_mask"][0, 0] == 0  # the shorter prompt is padded, on the left
    assert batch["attention_mask"][:, -1].all()
    together = model.generate(**batch, **settings)[:, batch["input_ids"].shape[1] :]
    for index, (image, text) in enumerate(zip(images, prompts, strict=True)):
        alone = processor(images=[image], text=[text], return_tensors="pt")
        tokens = model.generate(**alone, **settings)[:, alone["input_ids"].shape[1] :]
        assert tokens[0].tolist() == together[index].tolist()


def test_cache_changes_nothing(model, processor, prompt):
    inputs = processor(images=[striped(256, 3)], text=[prompt(SHORT)], return_tensors="pt")
    settings = {"do_sample": False, "max_new_tokens": 8, "min_new_tokens": 8}
    with_cache = model.generate(**inputs, **settings)
    assert torch.equal(with_cache, model.generate(**inputs, use_cache=False, **settings))


def test_greedy_equals_a_loop_of_forward_passes(model, processor, prompt):
    inputs = processor(images=[striped(256, 4)], text=[prompt(SHORT)], return_tensors="pt")
    generated = model.generate(**inputs, do_sample=False, max_new_tokens=5, min_new_tokens=5)
    ids, end = inputs["input_ids"], model.generation_config.eos_token_id
    with torch.no_grad():
        for _ in range(5):
            images = {key: inputs[key] for key in ("pixel_values", "view_rays")}
            logits = model(input_ids=ids, **images).logits[:, -1]
            logits[:, [*model.generation_config.suppress_tokens, end]] = -torch.inf
            ids = torch.cat([ids, logits.argmax(-1, keepdim=True)], 1)
    assert torch.equal(generated, ids)


def test_several_panoramas_in_one_prompt_keep_their_order(model, processor, prompt):
    first, second = striped(256, 5), striped(256, 6)
    forward = processor(images=[[first, second]], text=[prompt(SHORT, images=2)], return_tensors="pt")
    backward = processor(images=[[second, first]], text=[prompt(SHORT, images=2)], return_tensors="pt")
    assert forward["pixel_values"].shape[0] == 2
    assert torch.equal(forward["pixel_values"].flip(0), backward["pixel_values"])
    with torch.no_grad():
        assert not torch.allclose(model(**forward).logits, model(**backward).logits)


def test_text_only_prompts_generate(model, processor, prompt):
    inputs = processor(text=[prompt(SHORT, images=0)], return_tensors="pt")
    assert model.generate(**inputs, max_new_tokens=3, min_new_tokens=3).shape[1] == inputs["input_ids"].shape[1] + 3


@pytest.mark.parametrize("settings", [{"num_beams": 3}, {"do_sample": True, "num_return_sequences": 2}])
def test_beams_and_samples(model, processor, prompt, settings):
    images = [striped(256, 7), striped(256, 8)]
    inputs = processor(images=images, text=[prompt(SHORT), prompt(LONG)], padding=True, return_tensors="pt")
    tokens = model.generate(**inputs, max_new_tokens=4, min_new_tokens=4, **settings)
    assert tokens.shape == (2 * settings.get("num_return_sequences", 1), inputs["input_ids"].shape[1] + 4)
    assert not (tokens[:, -4:] == model.config.image_token_id).any()


def one(processor, prompt, seed=11):
    return processor(images=[striped(256, seed)], text=[prompt(SHORT)], return_tensors="pt")


GREEDY = {"do_sample": False, "max_new_tokens": 6, "min_new_tokens": 6}


def test_four_prompts_left_padded_equal_one_by_one(model, processor, prompt):
    images = [striped(256, seed) for seed in range(4)]
    texts = [prompt(" ".join([SHORT] * count)) for count in (1, 4, 2, 3)]
    batch = processor(images=images, text=texts, padding=True, return_tensors="pt")
    together = model.generate(**batch, **GREEDY)[:, batch["input_ids"].shape[1] :]
    for index in range(4):
        alone = processor(images=[images[index]], text=[texts[index]], return_tensors="pt")
        tokens = model.generate(**alone, **GREEDY)[0, alone["input_ids"].shape[1] :]
        assert tokens.tolist() == together[index].tolist()


def test_static_cache_gives_the_same_tokens(model, processor, prompt):
    inputs = one(processor, prompt)
    expected = model.generate(**inputs, **GREEDY)
    # compiling is another matter, and takes minutes
    static = model.generate(**inputs, **GREEDY, cache_implementation="static", disable_compile=True)
    assert torch.equal(static, expected)


def test_assisted_decoding_gives_the_same_tokens(model, processor, prompt):
    inputs = one(processor, prompt)
    settings = {"do_sample": False, "max_new_tokens": 6}
    expected = model.generate(**inputs, **settings)
    assert torch.equal(model.generate(**inputs, **settings, assistant_model=model), expected)


def test_streaming_hands_out_every_token(model, processor, prompt):
    from transformers.generation.streamers import BaseStreamer

    class Collect(BaseStreamer):
        def __init__(self):
            self.tokens = []

        def put(self, value):
            self.tokens += value.flatten().tolist()

        def end(self):
            self.ended = True

    streamer = Collect()
    tokens = model.generate(**one(processor, prompt), **GREEDY, streamer=streamer)
    assert streamer.tokens == tokens[0].tolist()
    assert streamer.ended


def test_beams_see_each_samples_own_panoramas(model, processor, prompt):
    # two prompts, two panoramas each: beam search must not mix them up
    images = [[striped(256, 1), striped(256, 2)], [striped(256, 3), striped(256, 4)]]
    texts = [prompt(SHORT, images=2), prompt(LONG, images=2)]
    settings = {**GREEDY, "num_beams": 2}
    batch = processor(images=images, text=texts, padding=True, return_tensors="pt")
    together = model.generate(**batch, **settings)[:, batch["input_ids"].shape[1] :]
    for index in range(2):
        alone = processor(images=[images[index]], text=[texts[index]], return_tensors="pt")
        tokens = model.generate(**alone, **settings)[0, alone["input_ids"].shape[1] :]
        assert tokens.tolist() == together[index].tolist()


def test_a_conversation_goes_on_from_its_cache(model, processor, prompt):
    inputs = one(processor, prompt)
    first = model.generate(**inputs, **GREEDY, return_dict_in_generate=True)
    cache = first["cache"] if "cache" in first else first["past_key_values"]
    more = torch.cat([first.sequences, torch.full((1, 3), 40)], 1)
    name = "cache" if "cache" in first else "past_key_values"
    continued = model.generate(input_ids=more, attention_mask=torch.ones_like(more), **{name: cache}, **GREEDY)
    images = {key: inputs[key] for key in ("pixel_values", "view_rays")}
    afresh = model.generate(input_ids=more, attention_mask=torch.ones_like(more), **images, **GREEDY)
    assert torch.equal(continued, afresh)


def test_generation_from_embeddings(model, processor, prompt):
    inputs = one(processor, prompt)
    expected = model.generate(**inputs, **GREEDY)[:, inputs["input_ids"].shape[1] :]
    embedded = {**inputs, "inputs_embeds": model.get_input_embeddings()(inputs["input_ids"]).detach()}
    del embedded["input_ids"]
    assert torch.equal(model.generate(**embedded, **GREEDY), expected)


def test_pipeline(model, processor, checkpoint):
    from PIL import Image
    from transformers import pipeline

    pipe = pipeline("image-text-to-text", model=model, processor=processor)
    image = Image.fromarray(striped(256, 12))
    content = [{"type": "image", "image": image}, {"type": "text", "text": SHORT}]
    (answer,) = pipe(text=[{"role": "user", "content": content}], max_new_tokens=5, return_full_text=False)
    assert isinstance(answer["generated_text"], str)
