"""Rows and images are checked before they are used: repeated headers, spellings of file names, missing files."""

import os
import unicodedata

import pytest
from panollava_hf._errors import TableError
from panollava_hf.data import read_examples


@pytest.fixture
def table(tmp_path):
    def write(*images, name="t.csv"):
        path = tmp_path / name
        path.write_text("\n".join(["image,question,answer", *(f"{image},Q?,A" for image in images)]), encoding="utf-8")
        return path

    return write


def test_a_repeated_header_is_named(shared, tmp_path):
    with pytest.raises(TableError, match=r"1 rows cannot be used: line 3: the header is repeated"):
        read_examples(shared / "cases" / "table_header_repeated.csv")
    kept = read_examples(shared / "cases" / "table_header_repeated.csv", skip_bad=True)
    assert [example.answer for example in kept] == ["A room", "Left"]


@pytest.mark.parametrize("again", ["image,question,answer", "\ufeffImage, Question ,Answer", "url,query,annotation"])
def test_so_is_another_spelling_of_it(tmp_path, again):
    path = tmp_path / "t.csv"
    path.write_text(f"image,question,answer\na.jpg,Q?,A\n{again}\nb.jpg,Q?,A\n", encoding="utf-8")
    with pytest.raises(TableError, match="line 3: the header is repeated"):
        read_examples(path)


def test_words_of_a_header_in_a_row_are_no_header(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("image,question,answer\nimage.jpg,question,answer\nimage,What is it?,answer\n")
    assert len(read_examples(path)) == 2


def test_the_first_ten_rows_are_listed(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("image,question,answer\n" + "a.jpg,Q?,A\n" + "a.jpg,Q?,\n" * 5000)
    with pytest.raises(TableError, match=r"5000 rows cannot be used: line 3: .*line 12: .*; and 4990 more") as error:
        read_examples(path)
    assert "line 13" not in str(error.value)
    assert read_examples(path, skip_bad=True).unusable.count == 5000
    with pytest.raises(TableError, match=r"4 rows"):
        read_examples(path, limit=5)


SPELLINGS = {
    "blanks": ("a b.jpg", " a b.jpg "),
    "no-break space": ("a.jpg", "a.jpg\u00a0"),
    "composed": (unicodedata.normalize("NFD", "Café 방.jpg"), unicodedata.normalize("NFC", "Café 방.jpg")),
    "decomposed": (unicodedata.normalize("NFC", "Café 방.jpg"), unicodedata.normalize("NFD", "Café 방.jpg")),
    "case": ("Pano.JPG", "pano.jpg"),
    "backslash": ("images/a.jpg", "images\\a.jpg"),
    "backslash and case": ("images/A.JPG", "images\\a.jpg"),
    "a blank that belongs to it": (" a.jpg", " a.jpg"),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_files_are_found_under_the_spellings_of_people(table, tmp_path, name):
    stored, written = SPELLINGS[name]
    (tmp_path / stored).parent.mkdir(exist_ok=True)
    (tmp_path / stored).touch()
    examples = read_examples(table(written))
    assert os.path.samefile(examples[0].image, tmp_path / stored)
    assert examples.unusable_images().count == 0


def test_the_exact_name_comes_first(table, tmp_path):
    for name in ("Pano.jpg", "pano.jpg"):
        (tmp_path / name).touch()
    assert read_examples(table("pano.jpg"))[0].image.name == "pano.jpg"
    assert read_examples(table("PANO.jpg")).unusable_images().count == 1, "two files could be meant"


def test_images_that_are_not_there_are_listed_once(table, tmp_path):
    (tmp_path / "a.jpg").touch()
    (tmp_path / "folder.jpg").mkdir()
    link = tmp_path / "loop.jpg"
    link.symlink_to(link)
    long = "x" * 5000 + ".jpg"
    rows = [
        "a.jpg",
        "b.jpg",
        "b.jpg",
        "folder.jpg",
        "../c.jpg",
        "loop.jpg",
        long,
        "https://x.org/d.jpg",
        "HTTP://x.org/e",
    ]
    found = read_examples(table(*rows)).unusable_images()
    assert [reason.partition(":")[0] for reason in found.reasons] == [f"line {n}" for n in (3, 5, 6, 7, 8)]
    assert "no such image" in found.reasons[0]
    assert "leads out of the table's folder" in found.reasons[2]


def test_addresses_as_people_write_them(table):
    rows = ["<https://x.org/a b.jpg>", " HTTPS://x.org/a.jpg", "ftp://x.org/a.jpg", "s3://bucket/a.jpg?token=secret"]
    examples = read_examples(table(*rows))
    assert [example.image for example in examples] == [row.strip() for row in rows]
    found = examples.unusable_images()
    assert [reason.partition(":")[0] for reason in found.reasons] == ["line 4", "line 5"]
    assert "not an http or https URL" in found.reasons[0]
    assert "secret" not in found.listed()


def test_a_link_out_of_the_folder_is_refused(table, tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "secret.jpg").touch()
    (inner / "a.jpg").symlink_to(tmp_path / "secret.jpg")
    (inner / "t.csv").write_text("image,question,answer\na.jpg,Q?,A\n")
    with pytest.raises(TableError, match=r"t\.csv, row 1: the path 'a\.jpg' leads out of the table's folder"):
        read_examples(inner / "t.csv")[0]


def test_scenes_group_rows_only_where_they_have_one_image_each(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("image,scene,question,answer\na,kitchen,Q,A\nb,kitchen,Q,A\na,hall,Q,A\n")
    assert read_examples(path).groups() == [[0, 2], [1]]
    path.write_text("image,scene,question,answer\na,s1,Q,A\nb,s2,Q,A\na,s1,Q,A\n")
    assert read_examples(path).groups() == [[0, 2], [1]]
