import inspect
import itertools
import os

import pytest
import yaml
from panollava_hf._errors import RecipeError
from panollava_hf.training import load_recipe, shipped_recipes
from panollava_hf.training._recipe_file import read_written_recipe


def write(tmp_path, change):
    values = yaml.safe_load(shipped_recipes()["tiny"].read_text())
    change(values)
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


#: The stages of recipes that do not have all of them.
STAGES_OF = {
    "lora": ["finetune"],
    "panoshapes": ["vicreg", "resampler", "finetune", "refine", "polish"],
    "towers": ["resampler", "finetune"],
}


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_are_valid(name):
    recipe = load_recipe(name)
    assert list(recipe.stages) == STAGES_OF.get(name, ["vicreg", "resampler", "finetune"])
    assert shipped_recipes()[name].read_text().startswith("# "), "the first line is what --list shows"


def test_the_recipes_in_this_package():
    assert {"lora", "original", "panoshapes", "tiny", "towers"} <= shipped_recipes().keys()


def test_a_stage_that_is_null_is_left_out():
    assert list(load_recipe("tiny", ["stages.vicreg=null"]).stages) == ["resampler", "finetune"]
    with pytest.raises(RecipeError, match="no stage: give one or more"):
        load_recipe("tiny", ["stages={vicreg: null}"])


def test_the_originals_defaults():
    recipe = load_recipe("original")
    config = recipe.model.config
    weights = [config[f"vicreg_{term}_weight"] for term in ("similarity", "variance", "covariance")]
    assert weights == [25.0, 25.0, 1.0]
    assert (config["lora_r"], config["lora_alpha"], config["lora_dropout"]) == (16, 32, 0.1)
    assert recipe.stages["finetune"].language_model == "lora"


def misspelt_top(values):
    values["sead"] = 1


def misspelt_stage(values):
    values["stages"]["finetun"] = values["stages"].pop("finetune")


def misspelt_setting(values):
    values["stages"]["vicreg"]["learning_rat"] = 1


def misspelt_data(values):
    values["data"]["sorce"] = "x"


def misspelt_stage_data(values):
    values["stages"]["vicreg"]["data"] = {"worker": 3}


def misspelt_model(values):
    values["model"]["pth"] = "x"


def misspelt_tokenizer(values):
    values["model"]["tokenizer"]["vocab"] = 400


def misspelt_weights(values):
    values["data"]["sampling_weights"] = {"colum": "family", "weights": {"where": 2}}


def misspelt_second_weights(values):
    second = {"colum": "answer", "weights": {"3": 2}}
    values["data"]["sampling_weights"] = {"column": "family", "weights": {"count": 2}, "times": second}


def misspelt_curriculum_of_a_stage(values):
    values["stages"]["vicreg"]["data"] = {"curriculum": {"shar": 0.5}}


def falling_curriculum(values):
    values["stages"]["vicreg"]["data"] = {"curriculum": {"share": 0.5, "start": 3, "end": 2}}


def misspelt_required(values):
    values["stages"]["vicreg"]["lerning_rate"] = values["stages"]["vicreg"].pop("learning_rate")


def misspelt_config(values):
    values["model"]["config"]["resampler_typ"] = "mlp"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (misspelt_top, "unknown key 'sead'; did you mean 'seed'"),
        (misspelt_stage, "unknown stage 'finetun'; did you mean 'finetune'"),
        (misspelt_setting, "unknown key 'stages.vicreg.learning_rat'; did you mean 'learning_rate'"),
        (misspelt_data, "unknown key 'data.sorce'; did you mean 'source'"),
        (misspelt_stage_data, "unknown key 'stages.vicreg.data.worker'; did you mean 'workers'"),
        (misspelt_model, "unknown key 'model.pth'; did you mean 'path'"),
        (misspelt_tokenizer, "unknown key 'model.tokenizer.vocab'; did you mean 'vocab_size'"),
        (misspelt_weights, "unknown key 'data.sampling_weights.colum'; did you mean 'column'"),
        (misspelt_second_weights, "unknown key 'data.sampling_weights.times.colum'; did you mean 'column'"),
        (misspelt_curriculum_of_a_stage, "unknown key 'stages.vicreg.data.curriculum.shar'; did you mean 'share'"),
        (falling_curriculum, r"data\.curriculum: start is 3\.0 and end 2\.0; the largest allowed value cannot fall"),
        (lambda v: v["data"].update(zzz=1), "unknown key 'data.zzz'; valid: source, split, "),
        (lambda v: v["stages"]["vicreg"].update(epochs=1), "stages.vicreg: give either steps or epochs"),
        (
            lambda v: v["stages"]["vicreg"].update(language_model="full"),
            "only the stages finetune, refine and polish train the language model",
        ),
        (
            lambda v: v["stages"]["vicreg"].update(batch_size=0),
            "stages.vicreg.batch_size: .*greater than or equal to 1",
        ),
        (lambda v: v["stages"]["vicreg"].update(learning_rate="fast"), "stages.vicreg.learning_rate: .*valid number"),
        (lambda v: v["model"].update(path="x"), "model: give exactly one start"),
        (lambda v: v.update(stages={}), "stages: no stage"),
        (lambda v: v.pop("data"), "the key 'data' is missing"),
        (misspelt_required, "unknown key 'stages.vicreg.lerning_rate'; did you mean 'learning_rate'"),
        (misspelt_config, "unknown key 'model.config.resampler_typ'; did you mean 'resampler_type'"),
        (lambda v: v.update(dta=v.pop("data")), "unknown key 'dta'; did you mean 'data'"),
        (lambda v: v.update(source="x.csv"), "unknown key 'source'; this key belongs to data: 'data.source'"),
        (lambda v: v["model"].update(view_size=64), "this key belongs to model.config: 'model.config.view_size'"),
        (lambda v: v["stages"].update(learning_rate=1), "this key belongs to stages.<stage>"),
        (lambda v: v["stages"]["vicreg"].update(lr=1), "'stages.vicreg.lr'; did you mean 'learning_rate'"),
        (
            lambda v: v["stages"]["vicreg"].update(optimizer="adam"),
            "stages.vicreg.optimizer: 'adamw' or 'muon' expected, got 'adam'; did you mean 'adamw'",
        ),
    ],
)
def test_an_error_names_the_key(tmp_path, change, message):
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe(write(tmp_path, change))
    assert "\n" not in str(caught.value)


def test_set_overrides(tmp_path):
    recipe = load_recipe("tiny", ["stages.vicreg.steps=3", "stages.vicreg.learning_rate=2e-4", "data.cache=null"])
    assert recipe.stages["vicreg"].steps == 3
    assert recipe.stages["vicreg"].learning_rate == pytest.approx(2e-4)
    assert recipe.data.cache is None
    assert recipe.data_of("vicreg").questions_per_panorama == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("seed", "expected key=value"),
        ("stages.vicreg.step=3", "did you mean 'steps'"),
        ("output.folder=3", "output is a value"),
        ("seed=[1", "not valid YAML"),
        (
            "stages.vicreg={steps: 2, lerning_rate: 1}",
            "unknown key 'stages.vicreg.lerning_rate'; did you mean 'learning",
        ),
        ("stages.vicrg.steps=2", "unknown stage 'vicrg'; did you mean 'vicreg'"),
        ("model.config.fov=90", "--set 'model.config.fov=90': unknown key 'model.config.fov'; did you mean 'fov_deg'"),
        ("stages.vicreg.stps=2", "--set 'stages.vicreg.stps=2': unknown key"),
        (
            "stages.finetune.language_model=lorra",
            "'frozen', 'lora' or 'full' expected, got 'lorra'; did you mean 'lora'",
        ),
    ],
)
def test_errors_in_set(change, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe("tiny", [change])


@pytest.mark.parametrize(
    ("text", "message"), [("a: [", "not valid YAML"), ("- a", "is not a recipe"), ("", "is not a recipe")]
)
def test_files_that_are_not_recipes(tmp_path, text, message):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(RecipeError, match=message):
        load_recipe(tmp_path / "x.yaml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("model.config.resampler_config={hiden_dim: 3}", "unknown option 'hiden_dim' .*did you mean 'hidden_dim'"),
        ("model.config.vicreg_mode=pairwis", "did you mean 'pairwise'"),
        ("model.config.crop_strategy=cubmap", "did you mean 'cubemap'"),
        ("model.config.resampler_type=qfromer", "did you mean 'qformer'"),
    ],
)
def test_values_of_the_config_are_checked_without_weights(change, message):
    from panollava_hf.training import TrainingError
    from panollava_hf.training._preflight import check_start

    with pytest.raises(TrainingError, match=message):
        check_start(load_recipe("tiny", [change]).model, ["vicreg"])


def test_the_fields_of_the_config_are_those_of_the_class():
    """They are read from its source without importing it."""
    from panollava_hf import PanoLLaVaConfig
    from panollava_hf.training._spelling import config_fields

    names = [name for name in inspect.signature(PanoLLaVaConfig.__init__).parameters if name not in ("self", "kwargs")]
    assert list(config_fields()) == names


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(RecipeError, match="did you mean 'panoshapes'"):
        load_recipe("panoshape")


OLD = {
    "roll": True,
    "easy_first": {"column": "aside", "share": 0.6, "start": 20},
    "favour": {"weights": {"relative": 4}},
}
NAMES = {"roll": "yaw_augmentation", "easy_first": "curriculum", "favour": "sampling_weights"}


def with_data(place, key, value):
    """A change that sets a key in `data` or in the data of a stage."""

    def change(values):
        inner = values["data"] if place == "data" else values["stages"]["finetune"].setdefault("data", {})
        inner[key] = value

    return change


@pytest.mark.parametrize("old", OLD)
@pytest.mark.parametrize("place", ["data", "stages.finetune.data"])
@pytest.mark.parametrize("how", ["in the file", "by --set", "in a mapping of --set"])
def test_old_keys_work_with_a_warning_that_names_the_new_one(tmp_path, old, place, how):
    new, value = NAMES[old], OLD[old]
    expected = load_recipe(write(tmp_path, with_data(place, new, value)))
    assert getattr(expected.data_of("finetune"), new), "the key must have an effect"
    rest = f"source: {expected.data.source}, questions_per_panorama: 4, workers: 0, " if place == "data" else ""
    changes = {
        "in the file": [],
        "by --set": [f"{place}.{old}={value}"],
        "in a mapping of --set": [f"{place}={{{rest}{old}: {value}}}"],
    }
    path = write(tmp_path, with_data(place, old, value) if how == "in the file" else lambda values: None)
    message = rf"recipe\.yaml: the key {place}\.{old} is now {place}\.{new}; rename it"
    with pytest.warns(DeprecationWarning, match=message) as found:
        recipe = load_recipe(path, changes[how])
    assert len(found) == 1
    assert found[0].filename == __file__, "the warning is attributed to the caller"
    assert recipe == expected


def test_set_reaches_inside_an_old_key_and_replaces_the_new_one():
    with pytest.warns(DeprecationWarning, match=r"data\.roll is now data\.yaw_augmentation"):
        assert load_recipe("panoshapes", ["data.roll=false"]).data.yaw_augmentation is False
    with pytest.warns(DeprecationWarning, match=r"easy_first\.share is now stages\.polish\.data\.curriculum\.share"):
        recipe = load_recipe("panoshapes", ["stages.polish.data.easy_first.share=0.3"])
    curriculum = recipe.data_of("polish").curriculum
    assert (curriculum.column, curriculum.share, curriculum.start) == ("aside", 0.3, 20)


@pytest.mark.parametrize("old", OLD)
def test_old_and_new_key_together_are_refused(tmp_path, old):
    new = NAMES[old]
    path = write(tmp_path, lambda values: values["data"].update({old: OLD[old], new: OLD[old]}))
    with pytest.raises(RecipeError, match=rf"data\.{old} is the old name of data\.{new}: remove data\.{old}"):
        load_recipe(path)


def test_a_recipe_that_a_run_wrote_before_the_keys_were_renamed(tmp_path):
    def change(values):
        values["data"].update(OLD)
        values["stages"]["finetune"]["data"] = {"easy_first": None}

    path = write(tmp_path, change)
    recipe = read_written_recipe(path, "runs/tiny")
    assert recipe.data_of("vicreg").curriculum.start == 20
    assert recipe.data_of("finetune").curriculum is None
    with pytest.warns(DeprecationWarning, match="rename it"):
        assert load_recipe(path) == recipe


def test_the_old_name_of_shipped_recipes():
    import panollava_hf.training as training

    with pytest.warns(
        DeprecationWarning, match=r"training\.shipped is deprecated .*; use panollava_hf\.training\.shipped_recipes"
    ):
        assert training.shipped is shipped_recipes


def test_stages_are_selected_in_order():
    from panollava_hf.training import TrainingError

    recipe = load_recipe("tiny")
    assert recipe.select() == ["vicreg", "resampler", "finetune"]
    assert recipe.select(["finetune", "vicreg"]) == ["vicreg", "finetune"]
    with pytest.raises(TrainingError, match="the recipe has no stage 'vicreg'; its stages are finetune"):
        load_recipe("lora").select(["vicreg"])


def test_later_stages_are_finetunes_with_data_of_their_own():
    recipe = load_recipe("panoshapes")
    assert recipe.select(["polish", "refine", "finetune"]) == ["finetune", "refine", "polish"]
    assert (recipe.data_of("finetune").source, recipe.data_of("polish").source) == ("data/panoshapes", "data/pairs")
    assert recipe.data_of("polish").questions_per_panorama != recipe.data.questions_per_panorama
    assert recipe.data_of("polish").yaw_augmentation, "what it does not name is that of the run"
    assert recipe.stages["polish"].language_model == "full"


BOMB = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 8)}]\n" for before, name in itertools.pairwise("abcdefghij")
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (BOMB, "more than 100,000 values"),
        ("[" * 20_000, "not valid YAML"),
        ("output: x\nmodel: {path: m}\noutput: y", "line 3: the key 'output' is given twice"),
        ("output: x\n\tmodel: y", "line 2: not valid YAML.*tabs"),
        (b"output: \xe9t\xe9", "line 1: this is not UTF-8 text; save a recipe as UTF-8"),
        ("a" * (2**20 + 1), "this file has 1,048,577 bytes, .*give a recipe"),
        ("output: !!python/name:os.system", "the tag .* is not supported"),
        ("null", "is not a recipe"),
        ("3", "is not a recipe"),
        ("? [1]\n: 2", "a key is a list or mapping"),
        ("1: 2\n" + "y: [1]\n", "should be strings|unknown key"),
    ],
)
def test_recipes_of_others_are_one_line(tmp_path, content, message):
    path = tmp_path / "mine.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("stages.vicreg.learning_rate", ".nan", "learning_rate: .*finite number|greater than 0"),
        ("stages.vicreg.learning_rate", ".inf", "learning_rate: .*finite number"),
        ("stages.vicreg.steps", "1" + "0" * 30, "steps: .*less than or equal to 1000000000"),
        ("stages.vicreg.steps", "9" * 5000, "cannot be read as YAML"),
        ("stages.vicreg.batch_size", "-1", "batch_size"),
        ("data.workers", "1000000", "workers: .*less than or equal to 1024"),
        ("seed", "4294967296", "seed: .*less than 4294967296"),
        ("output", "''", "output: .*at least 1 character"),
        ("output", '"a\\0b"', "output contains a NUL character; remove it"),
        ("data.columns", '{image: "a\\0"}', "data.columns.image contains a NUL character"),
        ("output", "[1]", "output: .*valid string"),
        ("output", "2026-11-28", None),  # a date is the text that was written
        ("data", "null", "data: "),
        ("x" * 10_000, "1", "unknown key"),
        (".".join("a" * 100), "1", "the key has 100 parts; expected at most 32"),
        ("seed", "&a [*a]", "no finished anchor"),
        ("seed", "1\n---\n2", "not valid YAML"),
    ],
)
def test_odd_values_are_one_line(key, value, message):
    if message is None:
        assert load_recipe("tiny", [f"{key}={value}"]).output == value
        return
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe("tiny", [f"{key}={value}"])
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_anchors_and_merge_keys_still_work(tmp_path):
    text = shipped_recipes()["tiny"].read_text()
    text = text.replace("  vicreg:\n", "  vicreg: &first\n").replace(
        "  resampler:\n", "  resampler:\n    <<: *first\n", 1
    )
    (tmp_path / "mine.yaml").write_text(text)
    recipe = load_recipe(tmp_path / "mine.yaml")
    assert recipe.stages["resampler"].trainable_vision_blocks == 1
    assert recipe.stages["resampler"].learning_rate == pytest.approx(2e-2)


def test_what_is_not_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(RecipeError, match="this is not a regular file; give a recipe"):
            load_recipe(path)
    for name in ("x" * 5000, "a\0b"):
        with pytest.raises(RecipeError, match="is neither a file nor a recipe in this package") as caught:
            load_recipe(name)
        assert len(str(caught.value)) < 400
