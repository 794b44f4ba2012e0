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


@pytest.mark.parametrize("name", ["original", "panoshapes", "panoshapes-pairs", "tiny"])
def test_shipped_recipes_are_valid(name):
    recipe = load_recipe(name)
    assert list(recipe.stages) == (["finetune"] if name == "panoshapes-pairs" else ["vicreg", "resampler", "finetune"])
    assert shipped_recipes()[name].read_text().startswith("# "), "the first line is what --list shows"


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


def misspelt_curriculum_of_a_stage(values):
    values["stages"]["vicreg"]["data"] = {"curriculum": {"shar": 0.5}}


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
        (misspelt_curriculum_of_a_stage, "unknown key 'stages.vicreg.data.curriculum.shar'; did you mean 'share'"),
        (lambda v: v["data"].update(zzz=1), "unknown key 'data.zzz'; valid keys: source, split, "),
        (lambda v: v["stages"]["vicreg"].update(epochs=1), "stages.vicreg: give either steps or epochs"),
        (
            lambda v: v["stages"]["vicreg"].update(language_model="full"),
            "only the stage finetune trains the language model",
        ),
        (
            lambda v: v["stages"]["vicreg"].update(batch_size=0),
            "stages.vicreg.batch_size: .*greater than or equal to 1",
        ),
        (lambda v: v["stages"]["vicreg"].update(learning_rate="fast"), "stages.vicreg.learning_rate: .*valid number"),
        (lambda v: v["model"].update(path="x"), "model: give exactly one start"),
        (lambda v: v.update(stages={}), "stages: no stage"),
        (lambda v: v.pop("data"), "data: Field required"),
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
    with pytest.warns(DeprecationWarning, match=r"easy_first\.share is now stages\.finetune\.data\.curriculum\.share"):
        recipe = load_recipe("panoshapes-pairs", ["stages.finetune.data.easy_first.share=0.3"])
    curriculum = recipe.data_of("finetune").curriculum
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
        load_recipe("panoshapes-pairs").select(["vicreg"])
