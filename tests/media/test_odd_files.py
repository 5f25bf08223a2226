"""Two hundred odd and damaged files: no crash, and read and unread seconds make up what is in the file."""

from odd import check


def test_nothing_is_lost_in_silence(tmp_path):
    assert check(range(200), tmp_path) == []
