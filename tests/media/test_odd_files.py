"""Two hundred odd and damaged files: no crash, and read and unread seconds make up what is in the file."""

from odd import Bases, check_one


def test_nothing_is_lost_in_silence(tmp_path):
    bases = Bases(tmp_path / "bases")
    assert [line for number in range(200) for line in check_one(number, tmp_path, bases)] == []
