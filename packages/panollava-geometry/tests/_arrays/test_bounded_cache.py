from types import SimpleNamespace

from panollava_geometry._arrays._bounded_cache import BoundedCache, RecentKeys


def value(nbytes):
    return SimpleNamespace(nbytes=nbytes)


def test_a_value_is_made_once():
    cache, made = BoundedCache(max_bytes=10), []
    for _ in range(2):
        cache.get("a", lambda: made.append(1) or value(1))
    assert made == [1]
    cache.clear()
    assert len(cache) == 0


def test_the_least_recently_used_value_is_dropped_first():
    cache = BoundedCache(max_bytes=10)
    a, b = (cache.get(key, lambda: value(5)) for key in "ab")
    assert cache.get("a", lambda: value(5)) is a  # now b is the oldest
    cache.get("c", lambda: value(5))
    assert cache.get("a", lambda: value(5)) is a
    assert cache.get("b", lambda: value(5)) is not b


def test_the_newest_value_is_kept_even_if_it_is_too_large():
    cache = BoundedCache(max_bytes=10)
    cache.get("a", lambda: value(5))
    large = cache.get("b", lambda: value(50))
    assert len(cache) == 1
    assert cache.get("b", lambda: value(1)) is large


def test_recent_keys_are_new_once_and_are_limited():
    keys = RecentKeys(most=2)
    assert [keys.add(key) for key in "abab"] == [True, True, False, False]
    assert [keys.add(key) for key in "cba"] == [True, False, True]  # "c" replaced "a", then "a" replaced "c"
    keys.clear()
    assert keys.add("a")
