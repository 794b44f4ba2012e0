"""`data check --fix` never invents: an image's name is taken whole, or the row cannot be decided."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from panollava_hf.data import check_csv
from panollava_hf.data._repair import Shape, shapes_of_splits
from panollava_hf.data._tables import write_csv

MAPS = "https://example.com/maps/@49.789,10.660,3a,87.8y"

#: A broken row after two valid ones, and the image that was meant (None: cannot be decided).
IMAGES = {
    "commas in the path": (f"{MAPS}/pano.jpg,What is it?,A room", f"{MAPS}/pano.jpg"),
    "commas in the path and the answer": (f"{MAPS}/pano.jpg,What is it?,A room, big", f"{MAPS}/pano.jpg"),
    "a query": (f"{MAPS}/pano.jpg?w=1&h=2,What is it?,A room, big", f"{MAPS}/pano.jpg?w=1&h=2"),
    "upper case": ("HTTPS://EXAMPLE.COM/A,B.JPG,What is it?,A room", "HTTPS://EXAMPLE.COM/A,B.JPG"),
    "another scheme": ("s3://bucket/a,b.png,What is it?,A room", "s3://bucket/a,b.png"),
    "a suffix in a folder": ("https://x.org/a.jpg/w,100/b.png,What?,A room", "https://x.org/a.jpg/w,100/b.png"),
    "two suffixes": ("https://x.org/a.jpg,b.jpg,What is it?,A room", None),
    "a comma in the query": ("https://x.org/a.jpg?crop=1,2,What is it?,A room", None),
    "other suffixes": ("https://x.org/a,b.jfif,What is it?,A room, big", "https://x.org/a,b.jfif"),
    "a camera's suffix": ("https://x.org/1,2.insp,What is it?,A room", "https://x.org/1,2.insp"),
    "a path with another suffix": ("hall,1.mpo,What, and where?,A room", "hall,1.mpo"),
    "no suffix": (f"{MAPS}/data,What is it?,A room", None),
    "no suffix, one comma": ("https://x.org/a?at=1,door,A room, big", None),
    "coordinates": ("https://x.org/@49.7, 10.6,What is it?,A room", None),
    "a data URL": ("data:image/png;base64,AAAA,What is it?,A room", None),
    "a data URL, then a name": ("data:image/png;base64,AAAA,Is it a.jpg?,yes, a.jpg", None),
    "Windows": (r"C:\panos\a,b.jpg,What is it?,A room, big", r"C:\panos\a,b.jpg"),
    "Windows, no comma": (r"C:\panos\a.jpg,What is it?,A room, big", r"C:\panos\a.jpg"),
    "a sentence before a name": ("Look, this is a.jpg,What is it?,A room", None),
    "a name in the question": ("a.jpg,Is it b.jpg?,yes, it is", "a.jpg"),
    "two names": ("a.jpg,b.jpg,What is it?,A room", None),
    "a quoted image": ('"https://x.org/a,b.jpg",What is it?,A room, big', "https://x.org/a,b.jpg"),
}


@pytest.mark.parametrize("header", ["url,query,annotation", "image,question,answer"])
@pytest.mark.parametrize("name", IMAGES)
def test_the_image_is_whole_or_not_decided(tmp_path, name, header):
    row, image = IMAGES[name]
    path = tmp_path / "t.csv"
    path.write_text(f"{header}\nz.jpg,Who?,you\n{row}\nhttps://x.org/z.png,Is it day?,yes\n")
    found = check_csv(path)
    (fault,) = found.faults
    assert (fault.fields and fault.fields[0]) == image
    write_csv(found, tmp_path / "fixed.csv")
    again = check_csv(tmp_path / "fixed.csv")
    assert again.rows == found.rows
    assert again.faults == []


def test_the_case_is_not_cut(shared):
    found = check_csv(shared / "cases" / "table_url_with_commas.csv")
    assert found.rows[0] == (f"{MAPS}/pano.jpg", "What is it?", "A room")


def test_other_rows_show_what_urls_are_like(tmp_path):
    row = "https://x.org/pano?id=7,What is it?,A room, big"
    path = tmp_path / "t.csv"
    path.write_text(f"url,query,annotation\nz.jpg,Who?,you\n{row}\n")
    assert check_csv(path).undecided
    path.write_text(f"url,query,annotation\nhttps://x.org/pano?id=6,Who?,you\n{row}\n")
    assert check_csv(path).faults[0].fields == ("https://x.org/pano?id=7", "What is it?", "A room, big")
    path.write_text(f"url,query,annotation\nhttps://x.org/pano?id=6,Who?,you\n{MAPS}/pano.jpg,What is it?,A room\n")
    assert check_csv(path).undecided, "the URL may be one without a suffix"


def test_a_file_that_exists_decides(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("image,question,answer\nz.jpg,Who?,you\na.jpg,b.jpg,What is it?,A room\n")
    assert check_csv(path).undecided
    (tmp_path / "a.jpg,b.jpg").touch()
    assert check_csv(path).faults[0].fields == ("a.jpg,b.jpg", "What is it?", "A room")


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("question,answer,image", "What is it?,A room, big,a.jpg"),
        ("image,question,answer,family", "a.jpg,What is it?,A room, big,where"),
        ("image;question;answer", "a.jpg;What is it?;A room; big"),
        ("image,answer,question", "a.jpg,A room, big,What is it?"),
    ],
)
def test_an_unknown_order_is_not_decided(tmp_path, header, row):
    path = tmp_path / "t.csv"
    path.write_text(f"{header}\n{row}\n")
    found = check_csv(path)
    assert [fault.line for fault in found.undecided] == [2]
    assert found.rows == []


def test_inches_are_kept(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('url,query,annotation\na.jpg,How wide?,a 12" pipe, rusty\n')
    assert check_csv(path).faults[0].fields == ("a.jpg", "How wide?", 'a 12" pipe, rusty')


def shape_of(text):
    """The shape of a piece of text by its definition, in time that grows with its square."""
    if text == "" or not set(text) & set('",\n'):
        return Shape.VALID
    if len(text) > 1 and text[0] == text[-1] == '"' and '"' not in text[1:-1].replace('""', ""):
        return Shape.VALID
    if '"' not in text:
        return Shape.UNQUOTED_COMMA
    opens, closes = text.startswith('"'), len(text) > 1 and text.endswith('"')
    if opens and closes:
        return Shape.UNDOUBLED_QUOTE
    return Shape.UNBALANCED_QUOTE if opens or closes or text.count('"') % 2 else Shape.UNDOUBLED_QUOTE


@given(st.text('a," \n', max_size=16))
def test_shapes_are_found_in_one_pass(text):
    commas = [place for place, letter in enumerate(text) if letter == ","]
    wanted = [(shape_of(text[:place]), shape_of(text[place + 1 :])) for place in commas]
    assert shapes_of_splits(text, commas) == wanted
