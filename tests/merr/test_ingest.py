"""Taking clips in: every file becomes a clip, a drop or a failure; names are unique and last; manifests are strict."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from emotion_llama.errors import InputError, MediaError
from emotion_llama.labels import MERR9
from emotion_llama.media.writing import write_clip
from emotion_llama.merr.ingest import Ingested, ingest
from emotion_llama.merr.inputs import fit, name_clips, read_manifest
from emotion_llama.merr.recipe import Recipe, load_recipe

TONE = (0.1 * np.sin(np.arange(8000) / 9)).astype(np.float32)


def video(path: Path, shade: int = 0, num_frames: int = 5, sound: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [np.full((48, 64, 3), 20 * i + shade, np.uint8) for i in range(num_frames)]
    return write_clip(path, images, 25.0, TONE if sound else None, sample_rate_hz=16_000)


def take(*inputs: Path, recipe: Recipe | None = None, **options: object) -> dict[str, Ingested]:
    found = ingest(inputs, recipe or Recipe(), **options)  # type: ignore[arg-type]
    assert [one.row.clip_id for one in found] == sorted(one.row.clip_id for one in found)
    return {one.row.clip_id: one for one in found}


def reasons(found: Mapping[str, Ingested]) -> dict[str, str]:
    return {name: one.drop for name, one in found.items() if one.drop is not None}


def test_a_clip_is_probed_counted_and_hashed(tmp_path: Path) -> None:
    import hashlib

    path = video(tmp_path / "my clip.mp4", num_frames=7)
    found = take(tmp_path)["my_clip"]
    row = found.row
    assert (found.drop, found.error, found.warnings) == (None, None, ())
    assert row.path == str(path)
    assert row.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (row.frame_count, row.fps, row.width, row.height, row.has_audio) == (7, 25.0, 64, 48, True)
    assert row.duration_seconds == pytest.approx(0.5, abs=0.05)  # the sound's half second
    assert (row.given_label, row.source, row.person, row.given_split, row.subtitle_source) == (None,) * 5


def test_suffixes_in_any_case_and_hidden_files_left_alone(tmp_path: Path) -> None:
    video(tmp_path / "a.mp4").rename(tmp_path / "a.MP4")
    video(tmp_path / "b.mp4", 3).rename(tmp_path / ".b.mp4")
    (tmp_path / "notes.txt").write_text("no clip")
    assert set(take(tmp_path)) == {"a"}


def test_unreadable_files_are_failures_with_the_media_error(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"not a video at all" * 50)
    (tmp_path / "empty.mp4").write_bytes(b"")
    video(tmp_path / "good.mp4")
    found = take(tmp_path, tmp_path / "gone.mp4")
    assert {name for name, one in found.items() if one.error is not None} == {"broken", "empty", "gone"}
    for name in ("broken", "empty", "gone"):
        assert isinstance(found[name].error, MediaError)
        assert found[name].row.sha256 is None
        assert found[name].drop is None


def test_a_name_that_is_no_text_is_a_failure_that_can_be_stored(tmp_path: Path) -> None:
    path = video(tmp_path / "a.mp4")
    path.rename(Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4")))
    found = take(tmp_path)["cafxe9"]
    assert isinstance(found.error, MediaError)
    assert "no UTF-8 text" in str(found.error)
    found.row.path.encode()  # type: ignore[union-attr]


def test_the_same_bytes_twice_are_dropped_naming_the_one_that_stays(tmp_path: Path) -> None:
    video(tmp_path / "b.mp4")
    for name in ("a.mp4", "c.mp4"):
        (tmp_path / name).write_bytes((tmp_path / "b.mp4").read_bytes())
    assert reasons(take(tmp_path)) == {
        "b": "same bytes as another clip: a",
        "c": "same bytes as another clip: a",
    }
    manifest = tmp_path / "m.csv"
    manifest.write_text("path,label\nc.mp4,sad\n")
    # The one that says more stays.
    assert set(reasons(take(tmp_path, manifest))) == {"a", "b"}


def test_two_unreadable_files_are_no_duplicates(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"not a video at all" * 50)
    assert reasons(take(tmp_path)) == {}


def test_sound_beside_its_video_is_counted_and_no_clip_of_its_own(tmp_path: Path) -> None:
    video(tmp_path / "a.mp4")
    write_clip(tmp_path / "a.wav", None, audio=TONE, sample_rate_hz=16_000)
    write_clip(tmp_path / "alone.wav", None, audio=TONE[:4000], sample_rate_hz=16_000)
    found = take(tmp_path)
    assert reasons(found) == {"a-wav": "sound beside a video of its name: a.mp4"}
    assert (found["alone"].row.frame_count, found["alone"].row.width, found["alone"].row.has_audio) == (
        None,
        None,
        True,
    )


def test_nothing_to_take_in_is_an_error() -> None:
    with pytest.raises(InputError, match="no clips given: expected files, folders or manifests"):
        ingest([], Recipe())


def test_a_folder_without_media_is_no_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, named or the current one, was taken for a clip without a name: a traceback."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no clips given \(.*empty: no media files\): expected files, folders"):
        take(tmp_path / "empty")
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(InputError, match=r"no clips given \(\.: no media files\)"):
        take(Path())
    video(tmp_path / "full" / "a.mp4")
    assert set(take(tmp_path / "empty", tmp_path / "full")) == {"a"}


def test_a_folder_that_is_nowhere_is_a_slip_and_a_file_is_a_clip_that_failed(tmp_path: Path) -> None:
    """A mistyped folder became a clip that failed, and a build's own clips were all set aside for it."""
    with pytest.raises(InputError, match="vidoes: no such file or folder; check the path"):
        take(tmp_path / "vidoes")
    video(tmp_path / "a.mp4")
    found = take(tmp_path / "a.mp4", tmp_path / "gone.mp4")
    assert isinstance(found["gone"].error, MediaError)
    assert found["a"].error is None


def test_a_limit_takes_the_first_in_order(tmp_path: Path) -> None:
    for i, name in enumerate(("c", "a", "b")):
        video(tmp_path / f"{name}.mp4", i)
    assert set(take(tmp_path, limit=2)) == {"a", "b"}


def test_progress_counts_all_files_whatever_becomes_of_them(tmp_path: Path) -> None:
    video(tmp_path / "a.mp4")
    (tmp_path / "b.mp4").write_bytes(b"broken")
    told: list[tuple[int, int]] = []
    take(tmp_path, workers=2, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]


# --- words beside the clip --------------------------------------------------------------------------------------------


def test_a_subtitle_file_beside_the_clip_gives_its_words(tmp_path: Path) -> None:
    video(tmp_path / "a.mp4")
    (tmp_path / "a.zh.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\n你好\n", encoding="utf-8")
    row = take(tmp_path)["a"].row
    assert (row.given_subtitle, row.subtitle_source, row.subtitle_language) == ("你好", "a.zh.srt", "zh")
    assert take(tmp_path, recipe=load_recipe(None, ["ingest.sidecars=false"]))["a"].row.given_subtitle is None


def test_one_that_cannot_be_used_is_told_and_costs_the_clip_nothing(tmp_path: Path) -> None:
    video(tmp_path / "a.mp4")
    (tmp_path / "a.srt").write_text("no times here")
    found = take(tmp_path)["a"]
    assert found.error is None
    assert found.row.given_subtitle is None
    (warning,) = found.warnings
    assert warning.startswith("the file beside the clip cannot be used: ")


def test_a_blank_one_says_that_nothing_is_said(tmp_path: Path) -> None:
    video(tmp_path / "a.mp4")
    (tmp_path / "a.srt").write_text("")
    row = take(tmp_path)["a"].row
    assert (row.given_subtitle, row.subtitle_source) == ("", "a.srt")


# --- manifests --------------------------------------------------------------------------------------------------------


def test_a_manifest_says_what_is_known(tmp_path: Path) -> None:
    video(tmp_path / "clips" / "a.mp4")
    video(tmp_path / "clips" / "b.mp4", 3)
    manifest = tmp_path / "list.csv"
    manifest.write_text(
        "Path,name,label,subtitle,person,source,split\n"
        'clips/a.mp4,first,Anger,"Go  away,\nnow!",P1,film,dev\n'
        "\n"
        "clips/b.mp4,,,,,,\n",
        encoding="utf-8-sig",
    )
    found = take(manifest)
    row = found["first"].row
    assert (row.given_label, row.given_subtitle, row.subtitle_source) == ("angry", "Go away, now!", "given")
    assert (row.person, row.source, row.given_split) == ("P1", "film", "validation")
    assert found["b"].row.given_label is None
    # With the folder it lies in, each file is still one clip, and the manifest counts.
    assert set(take(tmp_path / "clips", manifest)) == {"first", "b"}


def test_json_lines_say_the_same(tmp_path: Path) -> None:
    video(tmp_path / "a.mp4")
    manifest = tmp_path / "list.jsonl"
    manifest.write_text('{"path": "a.mp4", "label": "happy", "split": "train", "person": null}\n\n')
    row = take(manifest)["a"].row
    assert (row.given_label, row.given_split, row.person) == ("happy", "train", None)


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        (
            "m.csv",
            "path,lable,mood\na.mp4,sad,1\n",
            "unknown columns 'lable', 'mood'; expected path and any of name, label",
        ),
        ("m.csv", "name,label\na,sad\n", "no column 'path'"),
        ("m.csv", "path,label,label\na.mp4,sad,sad\n", "the column 'label' is there twice"),
        ("m.csv", "path,label\na.mp4\n", "row 2: 1 cells came, 2 were expected"),
        ("m.csv", "path,label\na.mp4,furry\n", r"row 2, label: 'furry' is none of merr9 \(neutral, angry"),
        ("m.csv", "path,label\na.mp4,disgust\n", "row 2, label: 'disgust' is none of merr9"),
        (
            "m.csv",
            "path,split\na.mp4,tset\n",
            "row 2, split: Input should be 'train', 'validation' or 'test', got 'tset'",
        ),
        ("m.csv", "path,name\na.mp4,x\nb.mp4,x\n", "the name 'x' stands in 2 rows; names are unique"),
        ("m.csv", "path\n", "the manifest has no clip"),
        ("m.csv", "", "no column 'path'"),
        ("m.csv", "path,label\n,sad\n", "row 2, path: needed, and not given"),
        (
            "m.csv",
            "name;path\na;b.mp4\n",
            "m.csv: cells are divided by semicolons; divide them by commas; expected path",
        ),
        ("m.csv", "name\tpath\na\tb.mp4\n", "cells are divided by tabs; divide them by commas"),
        ("m.csv", 'path,label\na.mp4,"sad\nb.mp4,sad\n', "row 3: the table cannot be read"),
        ("m.jsonl", '{"path": "a.mp4", "labl": "sad"}\n', "row 1, labl: no such column"),
        ("m.jsonl", '{"path": 3}\n', "row 1, path: Input should be a valid string, got 3"),
        ("m.jsonl", '{"path": "a.mp4", "path": "b.mp4"}\n', "row 1: no JSON object .a key stands twice"),
        ("m.jsonl", "[1]\n", "row 1: expected a JSON object"),
        ("m.jsonl", "{\n", "row 1: no JSON object"),
    ],
)
def test_a_manifest_with_mistakes_is_refused_with_their_rows(tmp_path: Path, name: str, text: str, match: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError, match=match):
        read_manifest(path, MERR9)


def test_many_mistakes_are_named_together_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("path,label\n" + "".join(f"{i}.mp4,furry\n" for i in range(13)))
    with pytest.raises(InputError, match=r"row 2, label.*; row 3, label.*; and 3 more$"):
        read_manifest(path, MERR9)


def test_a_manifest_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_bytes(b"path\n\xff\xfe\n")
    with pytest.raises(InputError, match="the manifest cannot be read"):
        read_manifest(tmp_path / "m.csv", MERR9)
    with pytest.raises(InputError, match="the manifest cannot be read"):
        read_manifest(tmp_path / "gone.csv", MERR9)


def test_one_file_in_two_rows_is_refused(tmp_path: Path) -> None:
    video(tmp_path / "a.mp4")
    (tmp_path / "m.csv").write_text("path\na.mp4\n./a.mp4\n")
    with pytest.raises(InputError, match=r"m\.csv, row 3: .*a\.mp4 stands in m\.csv, row 2 already"):
        ingest([tmp_path / "m.csv"], Recipe())


def test_given_splits_that_divide_a_person_stop_the_build_at_once(tmp_path: Path) -> None:
    video(tmp_path / "a.mp4")
    video(tmp_path / "b.mp4", 3)
    (tmp_path / "m.csv").write_text("path,person,split\na.mp4,P,train\nb.mp4,P,test\n")
    with pytest.raises(InputError, match=r"person P: one group of clips was given the splits test \(b\), train \(a\)"):
        ingest([tmp_path / "m.csv"], Recipe())


# --- what names of files say ------------------------------------------------------------------------------------------


def test_source_and_person_out_of_the_name(tmp_path: Path) -> None:
    video(tmp_path / "in" / "anna" / "film_01.mp4")
    video(tmp_path / "in" / "anna" / "film_02.mp4", 3)
    video(tmp_path / "in" / "other.mp4", 5)
    recipe = load_recipe(None, ["ingest.name_pattern='(?P<person>[^/]+)/(?P<source>.+)_[0-9]+$'"])
    found = take(tmp_path / "in", recipe=recipe)
    assert (found["film_01"].row.person, found["film_01"].row.source) == ("anna", "film")
    assert found["other"].row.person is None
    (tmp_path / "m.csv").write_text("path,person\nin/anna/film_01.mp4,Anna K.\n")
    assert take(tmp_path / "m.csv", recipe=recipe)["film_01"].row.person == "Anna K."


@pytest.mark.parametrize(
    ("pattern", "match"), [("(", "is no regular expression"), (".*", "got none"), ("(?P<film>.*)", "got film")]
)
def test_patterns_that_cannot_be_used_are_refused(tmp_path: Path, pattern: str, match: str) -> None:
    with pytest.raises(InputError, match=match):
        ingest([tmp_path], load_recipe(None, [f"ingest.name_pattern='{pattern}'"]))


# --- names (pure) -----------------------------------------------------------------------------------------------------


def named(
    *paths: str, stated: Mapping[str, str] | None = None, known: Mapping[str, str] | None = None
) -> dict[str, str]:
    found = name_clips(
        [Path(p) for p in paths],
        {Path(p): name for p, name in (stated or {}).items()},
        {Path(p): name for p, name in (known or {}).items()},
    )
    return {str(path): name for path, name in found.items() if str(path) in paths}


def test_names_are_stems_with_as_many_folders_as_it_takes() -> None:
    assert named("/v/a/x.mp4", "/v/b/x.mp4", "/v/b/y z.mp4") == {
        "/v/a/x.mp4": "a-x", "/v/b/x.mp4": "b-x", "/v/b/y z.mp4": "y_z",
    }  # fmt: skip
    assert named("/v/a/c/x.mp4", "/v/b/c/x.mp4")["/v/a/c/x.mp4"] == "a-c-x"
    assert named("/v/a/x.mp4")["/v/a/x.mp4"] == "x"


def test_files_that_differ_in_their_suffix_alone() -> None:
    assert named("/v/x.mp4", "/v/x.MOV") == {"/v/x.mp4": "x-mp4", "/v/x.MOV": "x-mov"}
    assert named("/v/x.mp4", "/v/x.wav") == {"/v/x.mp4": "x", "/v/x.wav": "x-wav"}
    assert named("/v/x.wav") == {"/v/x.wav": "x"}


def test_names_do_not_depend_on_the_order_of_files() -> None:
    paths = [
        "/v/a/x.mp4",
        "/v/b/x.mp4",
        "/v/x.mp4",
        "/v/a-x.mp4",
        "/v/q.mp4",
        "/v/q.mov",
        "/w/q.mp4",
        "/v/a b.mp4",
        "/v/a_b.mp4",
    ]
    expected = named(*paths)
    assert len(set(expected.values())) == len(paths)
    for shift in range(1, len(paths)):
        assert named(*paths[shift:], *paths[:shift]) == expected
    assert named(*reversed(paths)) == expected


def test_in_a_build_that_goes_on_clips_keep_their_names() -> None:
    before = named("/v/a/x.mp4")
    after = named("/v/a/x.mp4", "/v/b/x.mp4", known=before)
    assert after == {"/v/a/x.mp4": "x", "/v/b/x.mp4": "b-x"}
    # Also where the clip of that name is not among the inputs this time.
    assert named("/v/b/x.mp4", known=before) == {"/v/b/x.mp4": "b-x"}


def test_stated_names_count_and_have_to_be_free() -> None:
    assert named("/v/x.mp4", "/w/x.mp4", stated={"/v/x.mp4": "first"}) == {"/v/x.mp4": "first", "/w/x.mp4": "x"}
    assert named("/v/x.mp4", "/w/y.mp4", stated={"/v/x.mp4": "y"})["/w/y.mp4"] == "w-y"
    with pytest.raises(InputError, match=r"the name 'y' of /v/x\.mp4 is that of /w/y\.mp4 already; names are unique"):
        named("/v/x.mp4", stated={"/v/x.mp4": "y"}, known={"/w/y.mp4": "y"})
    with pytest.raises(InputError, match=r"'my clip' of .* has blanks or slashes; such as 'my_clip' will do"):
        named("/v/x.mp4", stated={"/v/x.mp4": "my clip"})


def test_fit_leaves_letters_of_all_languages() -> None:
    assert fit("片段 一/二") == "片段_一_二"
    assert fit("  ") == "clip"
