import pytest
import torch
from panollava_hf.asking._prefix import Asker

QUESTIONS = [
    "Where is the red cube?",
    "What colour is the sphere that is to the left of the green cylinder?",
    "Describe.",
]


@pytest.fixture(scope="module")
def panoramas():
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(3, 3, 8, 16, generator=generator)
    return list((torch.nn.functional.interpolate(coarse, size=(128, 256), mode="bilinear") * 255).byte())


def ask(answerer, panoramas, *, share_prefix, pairs, max_new_tokens=12):
    asker = Asker(answerer, max_new_tokens=max_new_tokens, share_prefix=share_prefix)
    seen = asker.see(asker.look(panoramas), [question for _, question in pairs])
    assert (seen.cache is not None) == share_prefix
    return asker.answer(seen, [question for _, question in pairs], [place for place, _ in pairs])


PAIRS = [(place, question) for question in QUESTIONS for place in (2, 0, 1)]


def test_a_shared_beginning_changes_no_answer(answerer, panoramas):
    shared = ask(answerer, panoramas, share_prefix=True, pairs=PAIRS)
    assert shared == ask(answerer, panoramas, share_prefix=False, pairs=PAIRS)
    # ... nor does the batch: each alone, through the path of `panollava ask`
    assert shared == [answerer.answer(panoramas[p], q, max_new_tokens=12).text for p, q in PAIRS]


def test_logits_are_those_of_whole_prompts(answerer, panoramas, monkeypatch):
    answers = {}
    generate = type(answerer.model).generate
    for share in (True, False):
        kept = []

        def spy(self, *args, kept=kept, **kwargs):
            found = generate(self, *args, output_logits=True, return_dict_in_generate=True, **kwargs)
            kept.append(found.logits[0])
            return found.sequences

        monkeypatch.setattr(type(answerer.model), "generate", spy)
        ask(answerer, panoramas, share_prefix=share, pairs=PAIRS, max_new_tokens=1)
        answers[share] = torch.cat(kept)
    assert answers[True].std() > 0.1
    torch.testing.assert_close(answers[True], answers[False], rtol=1e-4, atol=1e-4)


def test_one_panorama_is_encoded_once_for_its_questions(answerer, panoramas, monkeypatch):
    seen = []
    encode = type(answerer.model.panollava).encode_views
    monkeypatch.setattr(
        type(answerer.model.panollava),
        "encode_views",
        lambda self, views, **options: seen.append(len(views)) or encode(self, views, **options),
    )
    ask(answerer, panoramas, share_prefix=True, pairs=PAIRS, max_new_tokens=2)
    assert seen == [3]


def test_a_sliding_window_is_asked_with_whole_prompts(tiny_config, processor, panoramas):
    from panollava_hf import PanoLLaVaForConditionalGeneration
    from panollava_hf.asking._answerer import Answerer

    settings = processor.image_processor
    config = tiny_config(image_token_id=processor.image_token_id)
    config.text_config.vocab_size = len(processor.tokenizer)
    config.text_config.layer_types = ["sliding_attention", "full_attention"]
    config.text_config.sliding_window = 16
    model = PanoLLaVaForConditionalGeneration(config).eval()
    own = type(processor).from_config(config, processor.tokenizer, settings.image_mean, settings.image_std)
    asker = Asker(Answerer(model, own, "sliding"), max_new_tokens=2)
    seen = asker.see(asker.look(panoramas), [question for _, question in PAIRS])
    assert seen.cache is None
    assert seen.shared == ()
    assert not asker.share_prefix  # and it is not tried again
