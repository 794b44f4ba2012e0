"""Letters of all scripts: drawn with an installed font that has them, or replaced with a warning."""

import warnings

import numpy as np
import pytest
from panollava_geometry import PanoramaWarning
from panollava_geometry._drawing import _fonts
from panollava_geometry.drawing import INK, PAPER, font, text_line, text_lines
from PIL import Image, ImageDraw

CACHES = (_fonts.installed_fonts, _fonts._face, _fonts._open, _fonts._probe)
INSTALLED = _fonts.installed_fonts()


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Fonts are looked for anew, before and after each test."""
    monkeypatch.delenv("PANOLLAVA_FONT", raising=False)
    monkeypatch.setattr(_fonts, "_warned", set())
    for cached in CACHES:
        cached.cache_clear()
    yield
    for cached in CACHES:
        cached.cache_clear()


@pytest.fixture
def no_fonts(monkeypatch, tmp_path):
    monkeypatch.setattr(_fonts, "_folders", lambda: [tmp_path])
    return tmp_path


def drawn(text, size=24):
    image = Image.new("RGB", (400, 40))
    text_line(text, size).draw(ImageDraw.Draw(image), (0, 0), PAPER)
    return np.asarray(image)


def test_english_is_drawn_with_the_font_of_pillow(no_fonts):
    line = text_line("Where is the red door? 90°", 20)
    assert line.text == "Where is the red door? 90°"
    assert line.width == font(20).getlength(line.text)


def test_letters_that_no_font_has_become_question_marks_with_one_warning_per_script(no_fonts):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        lines = [text_line(text, 20).text for text in ("빨간 문은 어디에 있나요?", "문", "红门 문")]
    assert lines == ["?? ?? ??? ????", "?", "?? ?"]
    messages = [str(one.message) for one in caught]
    assert len(messages) == 2
    assert all(issubclass(one.category, PanoramaWarning) for one in caught)
    assert "no installed font has hangul characters such as U+" in messages[0]
    assert "PANOLLAVA_FONT" in messages[0]
    assert "cjk" in messages[1]


@pytest.mark.skipif(not any("DejaVuSans.ttf" in path for path in INSTALLED), reason="needs DejaVu Sans")
@pytest.mark.parametrize("text", ["Où est la porte ?", "Где красная дверь?", "أين الباب الأحمر؟", "Wo ist die Tür?"])
def test_an_installed_font_is_used_for_its_letters(text):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        line = text_line(text, 24)
    assert "?" not in line.text.rstrip("?")
    letter = max(text)
    boxes = {bytes(face.getmask("\U0010ffff")) for face, _ in _fonts.fonts_for(letter, 24)}
    assert all(bytes(face.getmask(part)) not in boxes for face, part in _fonts.fonts_for(letter, 24))
    assert drawn(text).any()


@pytest.mark.skipif(not any("DejaVuSans.ttf" in path for path in INSTALLED), reason="needs DejaVu Sans")
def test_a_font_named_in_the_environment_comes_first(no_fonts, monkeypatch):
    path = next(path for path in INSTALLED if "DejaVuSans.ttf" in path)
    monkeypatch.setenv("PANOLLAVA_FONT", path)
    assert text_line("дверь", 20).text == "дверь"


@pytest.mark.parametrize("name", ["missing.ttf", "broken.ttf"])
def test_a_named_font_that_cannot_be_read_is_reported(no_fonts, monkeypatch, name):
    (no_fonts / "broken.ttf").write_bytes(b"not a font")
    monkeypatch.setenv("PANOLLAVA_FONT", str(no_fonts / name))
    with pytest.warns(PanoramaWarning) as caught:
        assert text_line("дверь", 20).text == "?????"
    assert str(caught[0].message).startswith("PANOLLAVA_FONT: ")
    assert "cyrillic" in str(caught[1].message)


def test_damaged_font_files_are_passed_over(no_fonts):
    (no_fonts / "broken.ttf").write_bytes(b"not a font")
    with pytest.warns(PanoramaWarning, match="cyrillic"):
        assert text_line("дверь", 20).text == "?????"


def test_right_to_left_text_needs_the_library_that_orders_it(monkeypatch):
    monkeypatch.setattr(_fonts, "_shapes", lambda: False)
    with pytest.warns(PanoramaWarning, match="arabic"):
        assert text_line("الباب", 20).text == "?????"


def test_control_characters_and_line_breaks_are_not_drawn(no_fonts):
    assert text_line("first\nsecond\x1b[31m", 20).text == r"first second\x1b[31m"


def test_long_lines_are_cut():
    line = text_line("x" * 5000, 20, max_width=100)
    assert line.text.endswith("…")
    assert line.width <= 100
    assert text_line("anything", 20, max_width=1).text == ""


@pytest.mark.parametrize("text", ["one two three four five six seven eight", "x" * 100, "a " + "y" * 60 + " b"])
def test_lines_break_between_words_and_inside_of_long_ones(text):
    lines = text_lines(text, 20, max_width=120, max_lines=50)
    assert all(line.width <= 120 for line in lines)
    assert "".join(line.text for line in lines).replace(" ", "").replace("…", "") == text.replace(" ", "")
    assert len(text_lines(text, 20, 120, 2)) == 2
    assert text_lines(text, 20, 120, 2)[1].text.endswith("…")
    assert text_lines(" ", 20, 120, 2) == []


def test_a_halo_surrounds_the_letters():
    image = Image.new("RGB", (200, 60), (128, 128, 128))
    text_line("ahead", 30).draw(ImageDraw.Draw(image), (10, 10), PAPER, halo=INK)
    pixels = np.asarray(image)
    assert (pixels == INK).all(-1).sum() > 100
    assert (pixels == PAPER).all(-1).sum() > 100
