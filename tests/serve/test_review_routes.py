"""The review API: what it shows, what it takes, and what it never gives: other people's files and opinions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from review_build import CLIP, PNG, make_review_build, put_clip
from samples import MODEL, make_clip_row, make_field

from emotion_llama.errors import InputError
from emotion_llama.merr.io.export import export_build
from emotion_llama.merr.review.decisions import history, newest_reviews
from emotion_llama.merr.store import Store
from emotion_llama.serve.routes.review import build_router

KEY = "0123456789abcdef-key"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_review_build(tmp_path / "build")


@pytest.fixture
def client(live: Callable[..., Any], folder: Path) -> httpx2.Client:
    client: httpx2.Client = live(models={"rules": "rules"}, review_dir=folder).client
    return client


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    with Store.open(folder) as store:
        yield store


def shown(client: httpx2.Client, clip_id: str = "a", reviewer: str | None = "anna") -> dict[str, Any]:
    answer = client.get("/v1/review/sample", params={"clip_id": clip_id} | ({"reviewer": reviewer} if reviewer else {}))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def decide(client: httpx2.Client, clip_id: str = "a", **changes: Any) -> httpx2.Response:
    state = changes.pop("state", None) or shown(client, clip_id)["state"]
    form = {"clip_id": clip_id, "state": state, "reviewer": "anna", "decision": "accept", **changes}
    return client.post("/v1/review/decisions", json=form)


def test_the_set_and_its_rows(client: httpx2.Client) -> None:
    found = client.get("/v1/review").json()
    assert (found["name"], found["samples"], found["reviewers"]) == ("build", 4, [])
    assert found["labels"][:3] == ["neutral", "angry", "happy"]
    rows = client.get("/v1/review/samples", params={"reviewer": "anna"}).json()["samples"]
    assert [(r["clip_id"], r["label"], r["flags"], r["mine"]) for r in rows] == [
        ("a", "happy", [], None), ("b", "sad", ["conflict"], None), ("c", "angry", [], None),
        ("d", "neutral", [], None),
    ]  # fmt: skip
    assert rows[0]["confidence"] == 0.8


def test_a_sample_has_everything_that_a_reviewer_needs(client: httpx2.Client) -> None:
    found = shown(client)
    fields = {f["column"]: f for f in found["fields"]}
    assert (found["label"], found["media"], found["pictures"]) == ("happy", "video", ["peak_frame", "face_crop"])
    assert fields["label"] | {"lines": [], "maker": ""} == {
        "column": "label", "title": "label", "language": "", "kind": "label", "value": "happy", "lines": [],
        "why_missing": None, "maker": "",
    }  # fmt: skip
    assert fields["subtitle"]["value"] == "I did not think of that."
    assert fields["clues_en"]["value"] == {
        "supporting": ["corners of the mouth clearly pulled up"], "misleading": ["a moderate voice"],
    }  # fmt: skip
    assert (fields["tone"]["kind"], fields["tone"]["lines"][0]) == (None, "phrase: moderate voice")
    assert found["peak"]["units"][0] == {"name": "AU12", "words": "lip corner puller", "intensity": 3.0}
    assert (found["mine"], found["history"], found["others"]) == (None, [], [])
    assert (found["clip"]["file"], found["clip"]["person"]) == ("a.mp4", "anna")


def test_no_answer_names_a_folder_of_the_server(client: httpx2.Client, folder: Path) -> None:
    for path in ("", "/samples", "/sample?clip_id=a", "/sample?clip_id=zzz", "/media?clip_id=c", "/figures"):
        assert str(folder.parent) not in client.get(f"/v1/review{path}").text


def test_a_decision_is_recorded_with_who_and_when(client: httpx2.Client, store: Store) -> None:
    answer = decide(client, decision="accept", stars=4, comment="clear")
    assert answer.status_code == 201
    mine = answer.json()["mine"]
    assert (mine["reviewer"], mine["decision"], mine["stars"], mine["comment"], mine["holds"]) == (
        "anna", "accept", 4, "clear", True,
    )  # fmt: skip
    (review,) = history(store, "a")
    assert (review.reviewer, review.stars, review.reviewed_at) == ("anna", 4, mine["reviewed_at"])
    rows = client.get("/v1/review/samples", params={"reviewer": "  anna "}).json()["samples"]
    assert [(r["mine"], r["reviews"]) for r in rows] == [("accept", 1), (None, 0), (None, 0), (None, 0)]


def test_fixes_of_every_kind_come_into_the_store_and_the_export(client: httpx2.Client, store: Store) -> None:
    fixes = {
        "label": "surprise", "subtitle": None, "visual_expression_en": ["brows up", "mouth open"],
        "clues_en": {"supporting": ["brows up"], "misleading": []}, "fine_caption_en": "Brows up: this is surprise.",
    }  # fmt: skip
    assert decide(client, decision="fix", fixes=fixes).status_code == 201
    (review,) = newest_reviews(store)["a"]
    assert dict(review.fixes) == fixes
    assert store.sample("a").value("fine_caption", "en") != fixes["fine_caption_en"]
    found = json.loads((export_build(store, None, "merr").folder / "MERR_fine_grained.json").read_text())["a"]
    assert (found["pseu_emotion"], found["text"], found["visual_prior_list"], found["smp_reason_caption"]) == (
        "surprise", "", ["brows up", "mouth open"], "Brows up: this is surprise.",
    )  # fmt: skip


def test_a_decision_can_be_taken_back(client: httpx2.Client, store: Store) -> None:
    decide(client, decision="reject")
    answer = decide(client, decision="withdraw").json()
    assert (answer["mine"], [r["decision"] for r in answer["history"]]) == (None, ["reject", "withdraw"])
    assert newest_reviews(store) == {}


def test_another_opinion_is_shown_only_to_who_has_one(client: httpx2.Client) -> None:
    decide(client, reviewer="ben", decision="reject", comment="a secret")
    assert "a secret" not in client.get("/v1/review/sample", params={"clip_id": "a", "reviewer": "anna"}).text
    assert "a secret" not in client.get("/v1/review/sample", params={"clip_id": "a"}).text
    answer = decide(client).json()
    assert [(r["reviewer"], r["comment"]) for r in answer["others"]] == [("ben", "a secret")]
    assert answer["flags"] == ["disputed"]


def test_a_sample_that_changed_meanwhile_is_refused(client: httpx2.Client, store: Store) -> None:
    before = shown(client)["state"]
    decide(client, decision="accept")
    row = store.clip("a")
    put_clip(store, row, "happy", make_field("fine_caption", "Anew. This is happy.", MODEL, "en"))
    answer = decide(client, state=before)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "changed")
    assert "a has changed since it was shown" in answer.json()["error"]["message"]
    assert shown(client)["mine"]["holds"] is False
    assert shown(client)["flags"] == ["changed"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"decision": "maybe"}, "decision"),
        ({"stars": 7}, "stars"),
        ({"stars": "5"}, "stars"),
        ({"reviewer": " "}, "reviewer"),
        ({"comment": "x" * 4001}, "comment"),
        ({"decision": "fix", "fixes": {"label": "bliss"}}, "'bliss' is not a label of merr9"),
        ({"decision": "fix", "fixes": {"split": "test"}}, "no field 'split' that a reviewer can fix"),
        ({"decision": "fix", "fixes": {"clues_en": {"supporting": []}}}, "fixes.clues_en"),
        ({"decision": "fix", "fixes": {}}, "came without a changed field"),
        ({"decision": "accept", "fixes": {"label": "sad"}}, "fixed fields go with the decision 'fix'"),
        ({"file": "/etc/passwd"}, "file: Extra inputs"),
    ],
)
def test_a_form_that_is_none_is_refused(client: httpx2.Client, store: Store, changes: Any, told: str) -> None:
    answer = decide(client, **changes)
    assert answer.status_code == 422, answer.text
    assert told in answer.json()["error"]["message"]
    assert history(store, "a") == []


def test_only_json_is_taken(client: httpx2.Client) -> None:
    # A page elsewhere can send plain text to a server without keys, but no JSON, without being asked about it first.
    text = '{"clip_id":"a","state":"x","reviewer":"eve","decision":"reject"}'
    answer = client.post("/v1/review/decisions", content=text, headers={"Content-Type": "text/plain"})
    assert answer.status_code == 422
    answer = client.post("/v1/review/decisions", json={}, headers={"Origin": "https://elsewhere.example"})
    assert answer.status_code == 403


# --- media


def test_a_clip_is_sent_whole_and_in_ranges(client: httpx2.Client) -> None:
    whole = client.get("/v1/review/media", params={"clip_id": "a"})
    assert (whole.status_code, whole.headers["content-type"]) == (200, "video/mp4")
    assert whole.content == CLIP.read_bytes()
    part = client.get("/v1/review/media", params={"clip_id": "a"}, headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, CLIP.read_bytes()[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(CLIP.read_bytes())}"
    beyond = client.get("/v1/review/media", params={"clip_id": "a"}, headers={"Range": "bytes=99999999-"})
    assert beyond.status_code == 416


def test_a_file_is_sent_at_once(client: httpx2.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    # The guard of bodies and the answer, which listens for its client's leaving, once read the same empty body: one of
    # them waited for what the other had, until it was drained no longer. Here it would wait for ever.
    monkeypatch.setattr("emotion_llama.serve.middleware.DRAIN_SECONDS", 1e6)
    assert client.get("/v1/review/media", params={"clip_id": "a"}).status_code == 200


def test_pictures_are_sent(client: httpx2.Client) -> None:
    for name in ("peak_frame", "face_crop"):
        answer = client.get("/v1/review/picture", params={"clip_id": "a", "name": name})
        assert (answer.content, answer.headers["content-type"]) == (PNG, "image/png")
    assert client.get("/v1/review/picture", params={"clip_id": "a", "name": "evidence"}).status_code == 422
    assert client.get("/v1/review/sound", params={"clip_id": "a"}).status_code == 404


@pytest.mark.parametrize("clip_id", ["c", "d", "zzz", "../a", "/etc/passwd", "a/../../etc/passwd", "%2e%2e", "a\x00"])
def test_nothing_else_is_sent(client: httpx2.Client, clip_id: str) -> None:
    # c's file is gone; d's is text under a video's name; the others are no clips.
    answer = client.get("/v1/review/media", params={"clip_id": clip_id})
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


def test_what_is_no_media_is_not_offered(client: httpx2.Client) -> None:
    assert {clip_id: shown(client, clip_id)["media"] for clip_id in "abcd"} == {
        "a": "video", "b": "video", "c": None, "d": None,
    }  # fmt: skip


def test_without_measured_units_there_are_no_curves(client: httpx2.Client) -> None:
    assert client.get("/v1/review/curves", params={"clip_id": "a"}).json() == {"pts_seconds": [], "units": []}


def test_curves_are_the_strongest_units_over_time(client: httpx2.Client, store: Store) -> None:
    import numpy as np

    from emotion_llama.merr.measured import Measured, to_bytes
    from emotion_llama.merr.records import StageRun
    from emotion_llama.merr.stage import StageOutput
    from emotion_llama.records import ActionUnits
    from emotion_llama.results import Evidence

    nan = float("nan")
    units = ActionUnits(
        ("AU06", "AU12", "AU15", "AU45"), np.array([0.0, 0.5, 1.0]),
        np.array([[0.1, 1.0, 0.2, 5.0], [nan, nan, nan, nan], [2.0, 3.25, 0.3, 0.0]]), np.array([1.0, 0.0, 1.0]),
        np.zeros(3, bool), np.zeros(3, bool), "person", "toy",
    )  # fmt: skip
    measured = Measured(Evidence(action_units=units), (), {})
    store.record(
        StageRun("a", "evidence", "done", "g" * 64, "0" * 64), StageOutput((), {"evidence.npz": to_bytes(measured)})
    )
    # AU15 never rises to 0.5, and a blink says nothing.
    assert client.get("/v1/review/curves", params={"clip_id": "a"}).json() == {
        "pts_seconds": [0.0, 0.5, 1.0],
        "units": [
            {"name": "AU12", "words": "lip corner puller", "intensity": [1.0, None, 3.25]},
            {"name": "AU06", "words": "cheek raiser", "intensity": [0.1, None, 2.0]},
        ],
    }


# --- figures, keys, concurrency


def test_progress_and_agreement(client: httpx2.Client) -> None:
    for clip_id, anna, ben in (("a", "accept", "accept"), ("b", "accept", "reject"), ("c", "reject", "reject")):
        decide(client, clip_id, decision=anna)
        decide(client, clip_id, decision=ben, reviewer="ben", stars=3)
    found = client.get("/v1/review/figures").json()
    assert (found["samples"], found["reviewed"], found["left_out"], found["disputed"]) == (4, 3, 2, 1)
    assert found["outcomes"] == {"accepted": 1, "disputed": 1, "rejected": 1, "none": 1}
    assert [(r["reviewer"], r["accepted"], r["rejected"], r["mean_stars"]) for r in found["reviewers"]] == [
        ("anna", 2, 1, None), ("ben", 1, 2, 3.0),
    ]  # fmt: skip
    (pair,) = found["pairs"]
    # 2 of 3 equal; p_e = (2*1 + 1*2) / 9 = 4/9; kappa = (6/9 - 4/9) / (5/9) = 0.4.
    assert pair["decisions"] == {"compared": 3, "equal": pytest.approx(2 / 3), "kappa": pytest.approx(0.4)}


def test_with_keys_nothing_of_a_clip_is_given_without_one(live: Callable[..., Any], folder: Path) -> None:
    client = live(models={"rules": "rules"}, review_dir=folder, api_keys=(KEY,)).client
    for path in ("", "/samples", "/sample?clip_id=a", "/media?clip_id=a", "/picture?clip_id=a&name=peak_frame",
                 "/sound?clip_id=a", "/curves?clip_id=a", "/figures"):  # fmt: skip
        assert client.get(f"/v1/review{path}").status_code == 401, path
    assert client.post("/v1/review/decisions", json={}).status_code == 401
    assert client.get("/v1/review/media?clip_id=a", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200
    assert client.get("/review/").status_code == 200  # the page itself holds nothing of anybody


def test_many_reviewers_lose_nothing(client: httpx2.Client, store: Store) -> None:
    states = {clip_id: shown(client, clip_id)["state"] for clip_id in "abcd"}

    def work(number: int) -> int:
        clip_id = "abcd"[number % 4]
        return decide(client, clip_id, state=states[clip_id], reviewer=f"r{number}").status_code

    with ThreadPoolExecutor(8) as workers:
        assert set(workers.map(work, range(40))) == {201}
    assert sum(len(reviews) for reviews in newest_reviews(store).values()) == 40


def test_reviews_are_written_while_a_build_writes(client: httpx2.Client, store: Store) -> None:
    with ThreadPoolExecutor(1) as workers:
        done = workers.submit(lambda: [decide(client, "a", reviewer=f"r{i}").status_code for i in range(10)])
        for i in range(30):
            put_clip(store, make_clip_row(f"new{i}"))
        assert set(done.result()) == {201}
    assert len(store.clip_ids("fine")) == 34


# --- the page's files, and starting


def test_the_page_and_its_files_are_a_closed_list(client: httpx2.Client) -> None:
    page = client.get("/review/")
    assert "text/html" in page.headers["content-type"]
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert client.get("/review", follow_redirects=True).text == page.text
    for name in ("review.js", "review.css", "dom.js"):
        assert client.get(f"/review/{name}").status_code == 200
    for name in ("index.html", "app.py", "..%2fapp.py", "strings.en.json"):
        assert client.get(f"/review/{name}").status_code == 404


def test_without_a_build_there_is_no_review(live: Callable[..., Any], tmp_path: Path) -> None:
    client = live(models={"rules": "rules"}).client
    assert client.get("/review/").status_code == 404
    assert client.get("/v1/review").status_code == 404
    with pytest.raises(InputError, match=r"is no build: it holds no merr.sqlite"):
        build_router(tmp_path)


def test_a_clip_whose_name_is_strange_is_reviewed_like_any_other(client: httpx2.Client, store: Store) -> None:
    for clip_id in ("..", "=calc|A!Z", "100%?#&", "你好"):
        put_clip(store, make_clip_row(clip_id))
        assert decide(client, clip_id).status_code == 201
        assert client.get("/v1/review/picture", params={"clip_id": clip_id, "name": "peak_frame"}).content == PNG
