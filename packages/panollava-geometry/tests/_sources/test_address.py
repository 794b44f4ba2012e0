"""URLs as people write them, and what messages show of them."""

import traceback
from pathlib import Path

import pytest
from panollava_geometry import PanoramaError, load_equirectangular
from panollava_geometry._commands._crop_sources import output_folders
from panollava_geometry._sources._address import (
    Address,
    follow_redirect,
    is_address,
    is_private,
    read_address,
    shown_address,
)
from panollava_geometry._sources._source import source_name


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("http://h/my pano.jpg", "http://h/my%20pano.jpg"),
        ("  HTTP://Example.COM/a b?c d#e f\n", "http://example.com/a%20b?c%20d"),
        ("<http://h/x.jpg>", "http://h/x.jpg"),
        ('"http://h/x.jpg"', "http://h/x.jpg"),
        ("http:\\\\h\\a\\b.jpg?c\\d", "http://h/a/b.jpg?c%5Cd"),
        ("https://h/풍경/été.jpg?q=日本", "https://h/%ED%92%8D%EA%B2%BD/%C3%A9t%C3%A9.jpg?q=%E6%97%A5%E6%9C%AC"),
        ("http://h/a%20b%2Fc d.jpg", "http://h/a%20b%2Fc%20d.jpg"),  # never encoded twice
        ("http://h/100%.jpg", "http://h/100%.jpg"),
        ("http://bücher.example/x", "http://xn--bcher-kva.example/x"),
        ("http://BÜCHER。example/x", "http://xn--bcher-kva.example/x"),
        ("http://faß.de/", "http://xn--fa-hia.de/"),  # as in browsers, not fass.de
        ("http://☃.net/x", "http://xn--n3h.net/x"),
        ("http://한국.kr:8080/", "http://xn--3e0b707e.kr:8080/"),
        ("http://[::1]:8765/img@2x.jpg", "http://[::1]:8765/img@2x.jpg"),
        ("https://h:443/@someone/x.jpg", "https://h/@someone/x.jpg"),
        ("http://h?x=1", "http://h/?x=1"),
    ],
)
def test_an_address_is_encoded_as_browsers_do(text, sent):
    assert is_address(text)
    assert read_address(text, "n").url == sent


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("http:/h/x.jpg", "two slashes must follow 'http:'"),
        ("ftp://h/x", "only http:// and https:// URLs are supported, got ftp:"),
        ("see http://h/x", "only http:// and https://"),
        ("http:///x.jpg", "host name"),
        ("http://a..b/x", "host name"),
        ("http://ho st/x", "host name"),
        (f"http://{'a' * 64}.de/x", "host name"),
        ("http://[::1/x", "host name"),
        ("http://[12345::1]/x", "host name"),
        ("http://a\u200b\u202eb/x", "host name"),
        ("http://h:x/y", "port"),
        ("http://h:65536/y", "port"),
        ("http://h/a\tb?token=PW", "control character"),
        ("http://h/a?token=PW\r\nX: y", "control character"),
        ("http://h/\udcff", "not valid Unicode"),
    ],
)
def test_what_is_no_address_is_one_line(text, message):
    with pytest.raises(PanoramaError, match=message) as caught:
        load_equirectangular(text)
    assert "PW" not in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "http://user:PW@host/x.jpg",
        "http://user:PW@host:80/x.jpg",
        "http://PW@host/x.jpg",
        "http://user:@PW@host/x.jpg",
        "http://user:PW/w@host/x.jpg",
        "http://user:PW?w@host/x.jpg",
        "http://user:PW#w@host/x.jpg",
        "http://user:PW%40host/x.jpg",
        "http://user%3APW%40host/x.jpg",
        "http://user:PW\uff20host/x.jpg",
        "http:\\\\user:PW@host\\x.jpg",
        "//user:PW@http://host:PW@host/x.jpg",
        "ftp://user:PW@host/x.jpg",
        Path("http://user:PW@host/x.jpg"),
    ],
)
def test_credentials_are_refused_and_never_shown(text):
    with pytest.raises(PanoramaError) as caught:
        load_equirectangular(text)
    assert "PW" not in "".join(traceback.format_exception(caught.value)).replace(str(text), "")
    assert "PW" not in source_name(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://h/a b.jpg?token=PW#PW", "http://h/a b.jpg"),
        ("https://h:8080/x", "https://h:8080/x"),
        ("http://h#PW", "http://h"),
        ("http://user:80/PW@host/x", "http://…@host/x"),  # a password with a slash, or the path of host `user`
        ("http://web.example/http://u:PW@h/x", "http://…@h/x"),
        ("http://a@b:PW?w@host/", "http://…@b"),
        ("https://h/@someone/x.jpg", "https://h/@someone/x.jpg"),
        ("http://h/a\nb\x1b[31m", "http://h/a\ufffdb\ufffd[31m"),
    ],
)
def test_an_address_is_shown_without_secrets(text, shown):
    assert shown_address(text) == source_name(text) == shown


def test_a_shown_address_is_short():
    assert len(shown_address("http://h/" + "a" * 100_000)) <= 160
    whole = "http://h/" + "a" * 1000
    assert source_name(f"{whole}?token=PW", shorten=False) == whole


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("http://h/a/my pano.jpg?x=/y", "my pano"),
        ("http://h/%ED%92%8D.jpg", "풍"),
        ("http://h", "panorama"),
        ("http://h/a/..", "panorama"),
        ("http://h/%2e%2e", "panorama"),
        ("http://h/a%00%2Fb:c.jpg", "b_c"),
    ],
)
def test_the_folder_of_an_address_stays_in_the_output_folder(url, folder, tmp_path):
    assert output_folders([url], tmp_path) == {url: tmp_path / folder}


def test_the_folder_of_an_invalid_address():
    with pytest.raises(PanoramaError, match="host name"):
        output_folders(["http://[broken/a.jpg"], Path())


@pytest.mark.parametrize("path", ["C:/x.jpg", "a/b.jpg", "http", "https", "x:y.jpg", "data:image/png;base64,AAAA"])
def test_paths_are_not_addresses(path):
    assert not is_address(path)
    assert source_name(path) == path


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/x y.jpg", "https://h/x%20y.jpg"),
        ("x.jpg?a=b#c", "https://h/a/x.jpg?a=b"),
        ("//other/x", "https://other/x"),
        ("\\\\other\\x", "https://other/x"),
        ("http://other:81/x", "http://other:81/x"),
        ("/été".encode().decode("latin-1"), "https://h/%C3%A9t%C3%A9"),
        ("?q=1", "https://h/a/b?q=1"),
    ],
)
def test_locations_are_relative_to_the_address(location, url):
    assert follow_redirect(Address("https", "h", 443, "/a/b"), location, "n").url == url


@pytest.mark.parametrize(
    "location", ["http://u:PW@h/", "//u:PW@h/", "file:///PW", "javascript:PW", "http:PW", "/\x01PW", "\0//PW\uff20h"]
)
def test_locations_that_are_refused_are_not_shown(location):
    with pytest.raises(PanoramaError, match="redirects to an address that cannot be used") as caught:
        follow_redirect(Address("http", "h", 80, "/"), location, "n")
    assert "PW" not in str(caught.value)


def test_private_addresses():
    private = "127.0.0.1 10.1.2.3 169.254.169.254 100.64.0.1 0.0.0.0 240.0.0.1 224.0.0.1 ::1 fe80::1%1 fc00::1 "
    private += "::ffff:10.0.0.1 64:ff9b::a00:1 2002:a00:1::"
    assert all(is_private(ip) for ip in private.split())
    assert not any(is_private(ip) for ip in ("1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"))
