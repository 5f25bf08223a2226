"""Budget and pace: sums by hand, threads, restarts; a clock of our own."""

import threading
from pathlib import Path

import pytest

from emotion_llama.chat.budget import Budget, Pace, SpendingFile
from emotion_llama.errors import AnnotationError, InputError


def test_without_bounds_everything_is_counted() -> None:
    budget = Budget()
    budget.take(500)
    budget.take(300)
    budget.settle(500, 120)
    budget.settle(300, None)  # nobody said: what was set aside stays
    assert budget.spent == (2, 420)


def test_requests() -> None:
    budget = Budget(requests=3, spent=(1, 0))
    budget.take(1)
    budget.take(1)
    with pytest.raises(AnnotationError, match="budget: 3 of 3 requests are spent; raise the recipe's budget") as error:
        budget.take(1)
    assert (error.value.kind, error.value.attempts) == ("budget", 0)
    assert budget.spent[0] == 3
    with pytest.raises(AnnotationError, match="0 of 0 requests"):
        Budget(requests=0).take(1)


def test_tokens_are_never_exceeded() -> None:
    budget = Budget(tokens=1000, spent=(4, 500))
    budget.take(400)
    budget.settle(400, 100)  # 600 used
    budget.take(400)
    budget.settle(400, 400)  # 1000 used
    with pytest.raises(AnnotationError, match="a request may cost 1 tokens, and 0 of 1000 are left"):
        budget.take(1)
    assert budget.spent == (6, 1000)


def test_a_request_waits_for_what_others_set_aside() -> None:
    """1000 tokens, two requests of at most 600: the second fits only when the first turns out to be small."""
    for used, fits in ((100, True), (500, False)):
        budget = Budget(tokens=1000)
        budget.take(600)
        outcome: list[str] = []

        def second(budget: Budget = budget, outcome: list[str] = outcome) -> None:
            try:
                budget.take(600)
                outcome.append("sent")
            except AnnotationError as error:
                outcome.append(error.kind)

        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.1)
        assert thread.is_alive()
        assert outcome == []
        budget.settle(600, used)
        thread.join()
        assert outcome == ["sent" if fits else "budget"]


def test_threads_do_not_overspend() -> None:
    budget = Budget(requests=50, tokens=50 * 10)
    sent = []

    def work() -> None:
        for _ in range(20):
            try:
                budget.take(10)
            except AnnotationError:
                continue
            sent.append(1)
            budget.settle(10, 10)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sent) == 50
    assert budget.spent == (50, 500)


def test_negative_figures() -> None:
    for bad in ({"requests": -1}, {"tokens": -1}, {"spent": (-1, 0)}):
        with pytest.raises(InputError, match="a budget is 0 or more"):
            Budget(**bad)  # type: ignore[arg-type]


def test_spending_survives_a_restart(tmp_path: Path) -> None:
    file = SpendingFile(tmp_path / "spent.txt")
    assert file.read() == (0, 0)
    budget = Budget(requests=4, file=file)
    budget.take(500)
    budget.settle(500, 120)
    budget.take(300)  # killed before the reply: it may have been worked on
    assert file.read() == (2, 420)
    with (tmp_path / "spent.txt").open("a") as out:
        out.write("1 99")  # cut off
    again = Budget(requests=4, file=SpendingFile(tmp_path / "spent.txt"))
    assert again.spent == (2, 420)
    again.take(10)
    again.settle(10, None)
    again.take(10)
    with pytest.raises(AnnotationError, match="4 of 4 requests are spent"):
        again.take(10)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        SpendingFile(tmp_path).read()


class Clock:
    """Time passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def starts(pace: Pace, clock: Clock, tokens: list[int]) -> list[float]:
    found = []
    for count in tokens:
        pace.wait(count)
        found.append(clock.now - 100.0)
    return found


def test_pace_spaces_requests_and_tokens() -> None:
    clock = Clock()
    assert starts(Pace(120, clock=clock, sleep=clock.sleep), clock, [9, 9, 9]) == [0, 0.5, 1.0]
    clock = Clock()
    # 600 tokens a minute are ten a second: after a request of 30, three seconds.
    assert starts(Pace(None, 600, clock=clock, sleep=clock.sleep), clock, [30, 5, 20, 1]) == [0, 3.0, 3.5, 5.5]
    clock = Clock()
    assert starts(Pace(60, 600, clock=clock, sleep=clock.sleep), clock, [30, 5, 1]) == [0, 3.0, 4.0]
    clock = Clock()
    assert starts(Pace(clock=clock, sleep=clock.sleep), clock, [10**9, 1]) == [0, 0]


def test_a_rest_is_not_saved_up() -> None:
    clock = Clock()
    pace = Pace(60, clock=clock, sleep=clock.sleep)
    pace.wait(1)
    clock.now += 30
    assert starts(pace, clock, [1, 1, 1]) == [30, 31, 32]


def test_hold_is_for_all() -> None:
    clock = Clock()
    pace = Pace(clock=clock, sleep=clock.sleep)
    pace.hold(7)
    pace.hold(3)  # the longer wait counts
    assert starts(pace, clock, [1, 1]) == [7, 7]


def test_limits_above_zero() -> None:
    with pytest.raises(InputError, match="requests_per_minute is 0, expected a number above 0"):
        Pace(0)
    with pytest.raises(InputError, match="tokens_per_minute is -5"):
        Pace(1, -5)
