"""Examples from the published files' layout, and from one's own tables."""

import json
from pathlib import Path

import pytest

from emotion_llama.errors import InputError
from emotion_llama.labels import DFEW7, MERR9
from emotion_llama.train.examples import read_examples

TASKS = ("emotion", "reason", "reason_v2")


@pytest.fixture
def merr(tmp_path: Path) -> Path:
    folder = tmp_path / "merr"
    folder.mkdir()
    (folder / "MERR_coarse_grained.txt").write_text("s1 35 angry -1.2\ns2 98 happy\n\ns3 sad\n")
    captions = {name: {"caption": f"coarse {name}"} for name in ("s1", "s2", "s3")}
    (folder / "MERR_coarse_grained.json").write_text(json.dumps(captions))
    (folder / "MERR_fine_grained.txt").write_text("s2 98 surprise -0.6\n")
    (folder / "MERR_fine_grained.json").write_text(json.dumps({"s2": {"smp_reason_caption": "fine s2"}}))
    (folder / "transcription_en_all.csv").write_text('name,sentence\ns1,"Well, no."\ns2,\n')
    return folder


def test_each_stage_reads_its_own_pair(merr: Path) -> None:
    coarse = read_examples([merr], {"emotion", "reason"}, MERR9)
    assert [(e.name, dict(e.answers), e.words) for e in coarse] == [
        ("s1", {"emotion": "angry", "reason": "coarse s1"}, "Well, no."),
        ("s2", {"emotion": "happy", "reason": "coarse s2"}, None),
        ("s3", {"emotion": "sad", "reason": "coarse s3"}, None),
    ]
    fine = read_examples([merr], {"reason_v2"}, MERR9)
    assert [(e.name, dict(e.answers)) for e in fine] == [("s2", {"reason_v2": "fine s2"})]


def test_both_pairs_make_one_example_with_the_fine_label(merr: Path) -> None:
    s2 = next(e for e in read_examples([merr], TASKS, MERR9) if e.name == "s2")
    assert dict(s2.answers) == {"emotion": "surprise", "reason": "coarse s2", "reason_v2": "fine s2"}
    assert s2.truths["label"] == "surprise"


def test_clips_are_found_in_the_folder_of_videos(merr: Path, tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "s1.AVI").touch()
    examples = read_examples([merr], {"emotion"}, MERR9, tmp_path / "clips")
    assert [e.media and e.media.name for e in examples] == ["s1.AVI", None, None]


def test_own_tables(tmp_path: Path) -> None:
    table = tmp_path / "own.csv"
    table.write_text(
        "video,label,description,subtitle,group\na/x.mp4,Happiness,Because.,Hi,anna\na/y.mp4,,Only text.,,\n"
    )
    x, y = read_examples([table], TASKS, MERR9)
    assert (x.name, x.media, x.words, x.group) == ("x", tmp_path / "a/x.mp4", "Hi", "anna")
    assert dict(x.answers) == {"emotion": "happy", "reason": "Because.", "reason_v2": "Because."}
    assert dict(y.answers) == {"reason": "Only text.", "reason_v2": "Only text."}
    lines = tmp_path / "own.jsonl"
    lines.write_text('{"name": "z", "label": "sad"}\n\n{"name": "w", "description": "text"}\n')
    assert [e.name for e in read_examples([lines], {"emotion"}, MERR9)] == ["z"]


def test_a_build_gives_the_clips_of_one_split(merr: Path, tmp_path: Path) -> None:
    """Only the list of all splits was read, so that a model learnt from the clips it was tested on."""
    for split, lines in (("train", "s1 35 angry -1.2\n"), ("validation", "s2 98 happy\n"), ("test", "s3 sad\n")):
        (merr / f"MERR_coarse_grained_{split}.txt").write_text(lines)
    build = tmp_path / "build"
    (build / "export").mkdir(parents=True)
    merr.rename(build / "export" / "merr")
    for folder in (build, build / "export" / "merr"):
        for split, names in (("train", ["s1"]), ("validation", ["s2"]), ("test", ["s3"]), (None, ["s1", "s2", "s3"])):
            found = read_examples([folder], {"emotion", "reason"}, MERR9, split=split)
            assert [e.name for e in found] == names
    (build / "export" / "merr" / "MERR_coarse_grained_validation.txt").unlink()
    with pytest.raises(InputError, match=r"no clips of split 'validation' \(its splits: train, test\)"):
        read_examples([build], {"emotion", "reason"}, MERR9, split="validation")


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.csv", "name,label\nx,cross-eyed\n", "line 2: 'cross-eyed' is no label of merr9"),
        ("a.csv", "name,label,mood\nx,sad,1\n", "unknown columns 'mood'"),
        ("a.csv", "label\nsad\n", "line 2: expected a name or a video"),
        ("a.csv", "name,label\nx,sad\nx,sad\n", "line 3: x stands there a second time"),
        ("a.csv", "name,label\nx,sad,1\n", "line 2: 3 cells came, 2"),
        ("a.jsonl", "{\n", "line 1: no JSON"),
        ("a.jsonl", "[1]\n", "line 1: expected a JSON object"),
        ("a.jsonl", '{"name": "x"}\n', "no examples in"),
        ("a.txt", "x", "expected a MERR folder, a .csv or a .jsonl file"),
    ],
)
def test_broken_tables_are_named(tmp_path: Path, name: str, text: str, problem: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=problem):
        read_examples([tmp_path / name], TASKS, MERR9)


def test_broken_merr_folders_are_named(merr: Path, tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("name,label\nx,worried\n")
    with pytest.raises(InputError, match="'worried' is no label of dfew7"):
        read_examples([tmp_path / "d.csv"], TASKS, DFEW7)
    (merr / "MERR_coarse_grained.json").write_text("{}")
    with pytest.raises(InputError, match="s1 has no caption"):
        read_examples([merr], TASKS, MERR9)
    (merr / "MERR_coarse_grained.json").write_text("[]")
    with pytest.raises(InputError, match="holds a list"):
        read_examples([merr], TASKS, MERR9)
    (merr / "MERR_coarse_grained.json").write_text("{")
    with pytest.raises(InputError, match="JSON"):
        read_examples([merr], TASKS, MERR9)
    (merr / "MERR_fine_grained.txt").write_text("s2\n")
    with pytest.raises(InputError, match=r"line 1: .*'s2'"):
        read_examples([merr], {"reason_v2"}, MERR9)
    (merr / "transcription_en_all.csv").write_text("a,b\nx,y\n")
    with pytest.raises(InputError, match="columns a, b"):
        read_examples([merr], TASKS, MERR9)
    with pytest.raises(InputError, match=r"expected MERR_coarse_grained\.txt or MERR_fine_grained\.txt"):
        read_examples([tmp_path], TASKS, MERR9)


def test_one_name_in_two_files_must_agree(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name,label\nx,sad\n")
    (tmp_path / "b.csv").write_text("name,description\nx,text\n")
    (tmp_path / "c.csv").write_text("name,label\nx,happy\n")
    joined = read_examples([tmp_path / "a.csv", tmp_path / "b.csv"], TASKS, MERR9)
    assert dict(joined[0].answers) == {"emotion": "sad", "reason": "text", "reason_v2": "text"}
    with pytest.raises(InputError, match=r"'happy' .*'sad'"):
        read_examples([tmp_path / "a.csv", tmp_path / "c.csv"], TASKS, MERR9)
