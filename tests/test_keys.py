"""Keys: what is put in is read again."""

import pytest

from posedreamer.sample import make_key, place_of, split_key


@pytest.mark.parametrize("candidate", [None, 3, 12])
def test_a_key_says_where_its_sample_stands(candidate):
    key = make_key("3f9c2a17d0", 2, 12, 7, candidate)
    assert split_key(key) == ("3f9c2a17-r02-000012-0007", candidate or 0)
    assert place_of(key) == (12, 7)


def test_a_key_of_another_form_is_refused():
    with pytest.raises(ValueError, match=r"key 'picture-7': expected \.\.\.-<shard>-<place>"):
        place_of("picture-7")
