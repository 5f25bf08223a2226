"""Every benchmark in its owners' file layout, with files of this test's own making."""

import csv
import inspect
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from emotion_llama.errors import InputError
from emotion_llama.evaluation.parsers import REASONS
from emotion_llama.evaluation.records import EvalResult, FileProblem, Metric, Output
from emotion_llama.evaluation.report import unibench_mean
from emotion_llama.evaluation.scoring import applicable_parsers, score_outputs
from emotion_llama.evaluation.tasks import BENCHMARKS, benchmark_options, load_benchmark
from emotion_llama.evaluation.tasks.base import Benchmark
from emotion_llama.evaluation.tasks.dfew import CLASS_SIZES, FOLD_SIZES
from emotion_llama.evaluation.tasks.emer import SAMPLES
from emotion_llama.evaluation.tasks.mer import MER2023_SIZES, NOISE_SIZES
from emotion_llama.evaluation.tasks.unibench import LAYOUTS, SETS
from emotion_llama.labels import DFEW7, MER6, MERR9
from emotion_llama.media.writing import write_clip


def table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def archive(path: Path, **tables: object) -> Path:
    """As `np.savez_compressed(path, train_corpus={...})` writes dictionaries: pickled, in arrays without axes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **{name: np.array(value, dtype=object) for name, value in tables.items()})
    return path


def touch(folder: Path, names: Iterable[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")


def what(problems: Sequence[FileProblem]) -> str:
    return "\n".join(f"{p.count} {p.is_fatal} {p.what}" for p in problems)


def score(benchmark: Benchmark, texts: Mapping[str, str], parser: str = "tolerant") -> EvalResult:
    replies = [Output(name, text=text) for name, text in texts.items()]
    return score_outputs(benchmark, benchmark.samples(), replies, parser, model="test", num_resamples=0)


def spread(sizes: Mapping[str, int]) -> list[str]:
    return [label for label, count in sizes.items() for _ in range(count)]


# --- all ---------------------------------------------------------------------------------------------------------


def test_every_benchmark_is_there_and_says_what_it_asks(tmp_path: Path) -> None:
    write_wheels(tmp_path / "emotion_wheel")
    table(tmp_path / "cases.csv", ["name", "label"], [["a", "sad"]])
    for name in BENCHMARKS:
        benchmark = load_benchmark(name, tmp_path)
        assert benchmark.name == name
        assert benchmark.full_name.startswith(f"{name} 1")
        assert benchmark.task.max_new_tokens == 500  # as published
        if name != "csv":
            (problem,) = benchmark.check()
            assert problem.is_fatal
            with pytest.raises(InputError):
                benchmark.samples()


def test_options_are_listed_and_checked(tmp_path: Path) -> None:
    assert benchmark_options("dfew") == {"fold": 1, "rule": "restrict", "transcript": None}
    with pytest.raises(InputError, match=r"dfew has no option 'folds' \(it has: fold, rule, transcript\)"):
        load_benchmark("dfew", tmp_path, folds=1)
    with pytest.raises(InputError, match="no benchmark 'fer2013'"):
        load_benchmark("fer2013", tmp_path)
    assert inspect.signature(load_benchmark).parameters["folder"].annotation == "str | Path"


# --- MER2023 and MER2024 -----------------------------------------------------------------------------------------


def nce(path: Path, rows: Iterable[tuple[str, int, str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name} {count} {label} -10\n" for name, count, label in rows))
    return path


def mer2023_rows() -> list[tuple[str, int, str]]:
    return [(f"samplenew_{i:08d}", 100 + i, label) for i, label in enumerate(spread(MER2023_SIZES))]


def test_mer2023_as_emotion_llama_has_it(tmp_path: Path) -> None:
    rows = mer2023_rows()
    nce(tmp_path / "relative_test3_NCEV.txt", rows)
    touch(tmp_path / "video", [f"{name}.avi" for name, _, _ in rows])
    table(tmp_path / "transcription_en_all.csv", ["name", "sentence"], [[n, f"line of {n}"] for n, _, _ in rows])
    benchmark = load_benchmark("mer2023-semi", tmp_path)
    # 834 clips: angry 183, happy 169, neutral 166, sad 257, surprise 14, worried 45 (row sums of the published matrix)
    cases = benchmark.samples()
    assert len(cases) == 834
    assert sum(case.truth.label == "sad" for case in cases) == 257
    assert cases[0].frame_count == 100
    assert cases[0].media == tmp_path / "video" / "samplenew_00000000.avi"
    assert cases[0].transcript == "line of samplenew_00000000"
    assert benchmark.task.labels == MER6.labels
    assert "worried, surprise, fear, contempt, doubt." in (benchmark.task.instruction or "")
    assert what(benchmark.check()) == "200 False clips that cannot be opened"  # the videos are empty files here
    answered = score(benchmark, {case.sample_id: "sad" for case in cases})
    assert answered.metric("accuracy").value == pytest.approx(257 / 834)


def test_all_parsers_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "relative_test3_NCEV.txt").write_text("a 10 sad -10\nb 10 happy -10\nc 10 sad -10\n")
    benchmark = load_benchmark("mer2023-semi", tmp_path)
    sure = {"sad": 0.9, "happy": 0.1}
    replies = [Output("a", "Sad.", sure), Output("b", "happy", sure), Output("c", problem="the clip is broken")]
    parsers = applicable_parsers(benchmark, replies)
    results = [
        score_outputs(benchmark, benchmark.samples(), replies, one, model="x", num_resamples=0) for one in parsers
    ]
    assert [r.parser for r in results] == ["upstream", "tolerant", "likelihood"]
    # published rule: neutral, happy, nothing; a reader: sad, happy, nothing; likelihood: sad, sad, nothing
    assert [r.metric("accuracy").value for r in results] == pytest.approx([1 / 3, 2 / 3, 1 / 3])
    assert all(r.counts["unanswered: failed"] == 1 and r.counts["cases"] == 3 for r in results)
    assert results[2].metric("ece").value == pytest.approx(0.4)  # 0.9 sure, half right
    assert results[0].benchmark == "mer2023-semi 1 (nine labels offered)"


def test_mer2023_that_is_not_complete(tmp_path: Path) -> None:
    rows = mer2023_rows()[1:]
    nce(tmp_path / "relative_test3_NCEV.txt", rows)
    touch(tmp_path / "test3", [f"{name}.mp4" for name, _, _ in rows[2:]])
    found = what(load_benchmark("mer2023-semi", tmp_path).check())
    assert "1 False 833 clips, 834 in the owners' release" in found
    assert "1 False clips labelled 'angry': 182, in the owners' release 183" in found
    assert "2 False no media file of samplenew_00000001, samplenew_00000002" in found
    assert "no table of sentences; expected one of transcription_en_all.csv" in found


def test_mer2023_as_mertools_has_it(tmp_path: Path) -> None:
    emos = spread(MER2023_SIZES)
    corpus = {f"sample_{i:08d}": {"emo": emo, "val": np.float64(-10)} for i, emo in enumerate(emos)}
    other = {"sample_1": {"emo": "happy", "val": ""}}
    archive(tmp_path / "label-6way.npz", train_corpus=other, test1_corpus=other, test2_corpus={}, test3_corpus=corpus)
    table(
        tmp_path / "transcription-engchi-polish.csv", ["name", "chinese", "english"], [["sample_00000000", "嗯", "Hm"]]
    )
    benchmark = load_benchmark("mer2023-semi", tmp_path, instruction="six")
    assert len(benchmark.samples()) == 834
    assert benchmark.samples()[0].transcript == "Hm"
    assert "six labels offered" in benchmark.version
    found = what(benchmark.check())
    assert "834 False no clip has a media file: only predictions can be scored" in found
    assert "833 False clips that the table of sentences does not name" in found


def test_placeholders_are_no_labels(tmp_path: Path) -> None:
    # MERTools' preparation for participants gives every clip of the test set the label "neutral".
    corpus = {f"sample_{i:08d}": {"emo": "neutral", "val": -10} for i in range(834)}
    archive(tmp_path / "label-6way.npz", test3_corpus=corpus)
    problems = load_benchmark("mer2023-semi", tmp_path).check()
    assert "834 True every label is 'neutral': these are placeholders" in what(problems)


def test_an_archive_that_would_run_something_is_not_read(tmp_path: Path) -> None:
    archive(tmp_path / "label-6way.npz", test3_corpus=Bomb())
    with pytest.raises(InputError, match=r"holds more than tables \(it asks for builtins.exec\), and was not read"):
        load_benchmark("mer2023-semi", tmp_path).samples()
    archive(tmp_path / "label-6way.npz", train_corpus={})
    with pytest.raises(InputError, match="test3_corpus"):
        load_benchmark("mer2023-semi", tmp_path).samples()
    archive(tmp_path / "label-6way.npz", test3_corpus={"a": "sad"})
    with pytest.raises(InputError, match="test3_corpus is no table of names and labels"):
        load_benchmark("mer2023-semi", tmp_path).samples()
    archive(tmp_path / "label-6way.npz", test3_corpus={"a": {"val": 1}})
    with pytest.raises(InputError, match="a has val, expected emo"):
        load_benchmark("mer2023-semi", tmp_path).samples()


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('this was run')",)


def write_counted(folder: Path, counts: Sequence[int]) -> None:
    folder.mkdir(parents=True)
    for i, count in enumerate(counts):
        write_clip(folder / f"sample_{i:08d}.mp4", [np.full((16, 16, 3), 9 * i, np.uint8)] * count, 25)


def test_labels_of_mer2023_on_videos_of_another_release_are_found(tmp_path: Path) -> None:
    # Ids of MER2025 name other clips than the same ids of MER2023: users got wrong labels without a word.
    stated = [10, 22, 34, 46, 58, 70, 82, 94]
    labels = [*MER6.labels, "sad", "sad"]
    for name, real in (("right", [n + n % 3 - 1 for n in stated]), ("wrong", stated[3:] + stated[:3])):
        folder = tmp_path / name
        write_counted(folder / "video", real)
        nce(folder / "relative_test3_NCEV.txt", [(f"sample_{i:08d}", n, labels[i]) for i, n in enumerate(stated)])
    right = what(load_benchmark("mer2023-semi", tmp_path / "right").check())
    wrong = what(load_benchmark("mer2023-semi", tmp_path / "wrong").check())
    assert "RELEASE" not in right
    assert "8 True frame counts: 0 of 8 clips fit" in wrong
    assert "likely of ANOTHER RELEASE than the videos" in wrong


def test_mer2024_noise_and_semi(tmp_path: Path) -> None:
    labels = spread(NOISE_SIZES)
    rows = [(f"samplenew3_{i:08d}", label) for i, label in enumerate(labels)]
    table(tmp_path / "reference-noise.csv", ["name", "discrete"], rows)
    touch(tmp_path / "MER2024_noise", [f"{name}.mp4" for name, _ in rows])
    table(tmp_path / "transcription_all_new.csv", ["name", "sentence_en"], [[name, "Yes"] for name, _ in rows])
    noise = load_benchmark("mer2024-noise", tmp_path)
    assert len(noise.samples()) == 1170
    assert noise.check() == []
    archive(tmp_path / "label-6way.npz", test1_corpus={f"s{i}": {"emo": "sad", "val": -10} for i in range(1169)})
    semi = load_benchmark("mer2024-semi", tmp_path)
    assert len(semi.samples()) == 1169
    assert "owners' release" not in what(semi.check())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a 12 bored -10\n", "a has the label 'bored', expected neutral, angry"),
        ("a 12 sad -10\na 12 sad -10\n", "a stands twice"),
        ("a twelve sad\n", "line 1: expected `name label` or `name frame_count label ...`"),
        ("a\n", "line 1: expected `name label`"),
    ],
)
def test_lists_that_are_malformed(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "relative_test3_NCEV.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        load_benchmark("mer2023-semi", tmp_path).samples()


def test_names_lose_a_media_suffix_and_keep_their_full_stops(tmp_path: Path) -> None:
    (tmp_path / "relative_test3_NCEV.txt").write_text("clip.v2.mp4 sad\nclip.v3 happy\n")
    touch(tmp_path / "video", ["clip.v2.mp4", "clip.v3.avi"])
    cases = load_benchmark("mer2023-semi", tmp_path).samples()
    assert [case.sample_id for case in cases] == ["clip.v2", "clip.v3"]
    assert all(case.media is not None for case in cases)


def test_lists_of_two_columns_and_without_counts(tmp_path: Path) -> None:
    (tmp_path / "relative_test3_NCEV.txt").write_text("a sad\n\nb -1 happy\n")
    assert [(c.sample_id, c.frame_count) for c in load_benchmark("mer2023-semi", tmp_path).samples()] == [
        ("a", None),
        ("b", None),
    ]


def test_open_vocabulary_with_stored_groups(tmp_path: Path) -> None:
    folder = tmp_path / "ov_store"
    table(folder / "check-openset.csv", ["name", "openset"], [["s1", "['Happy', 'calm']"], ["s2", "['sad']"]])
    (folder / "openset-synonym").mkdir()
    np.save(folder / "openset-synonym" / "s1.npy", "[['happy', 'joyful'], ['calm']]")
    np.save(folder / "openset-synonym" / "s2.npy", "[['sad', 'down'], ['angry']]")
    benchmark = load_benchmark("mer2024-ov", tmp_path)
    assert benchmark.samples()[0].truth.words == ("Happy", "calm")
    result = score(benchmark, {"s1": "['joyful', 'happy']", "s2": "['down', 'angry', 'tense']"}, "upstream")
    # s1: P {happy}, G {happy, calm}: 1, 1/2; s2: P {sad, angry, tense}: 1/3, 1
    assert result.metric("set_accuracy").value == pytest.approx(2 / 3)
    assert result.metric("set_recall").value == pytest.approx(0.75)
    assert result.metrics[0] == Metric("average", pytest.approx((2 / 3 + 0.75) / 2))
    assert "330 False 2 clips, 332 in the owners' release" in what(benchmark.check())
    judged = score_outputs(
        benchmark, benchmark.samples(), [Output("s1", text="[]")], "upstream", model="x", num_resamples=0,
        groups={"s1": [["calm"]]},
    )  # fmt: skip
    assert judged.counts["not grouped"] == 1


def test_stored_groups_that_cannot_be_read(tmp_path: Path) -> None:
    table(tmp_path / "check-openset.csv", ["name", "openset"], [["s1", "['sad']"]])
    assert load_benchmark("mer2024-ov", tmp_path).groups is None
    (tmp_path / "g").mkdir()
    with pytest.raises(InputError, match=r"g holds no groups of synonyms \(NAME.npy\)"):
        load_benchmark("mer2024-ov", tmp_path, groups=tmp_path / "g")
    np.save(tmp_path / "g" / "s1.npy", np.array({"a": 1}, dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"s1\.npy cannot be read as a stored answer"):
        load_benchmark("mer2024-ov", tmp_path, groups=tmp_path / "g")
    np.save(tmp_path / "g" / "s1.npy", np.zeros(3))
    with pytest.raises(InputError, match=r"holds float64 \[3\], expected one text"):
        load_benchmark("mer2024-ov", tmp_path, groups=tmp_path / "g")
    np.save(tmp_path / "g" / "s1.npy", "no list")
    with pytest.raises(InputError, match=r"s1\.npy: an answer with groups looks like"):
        load_benchmark("mer2024-ov", tmp_path, groups=tmp_path / "g")


# --- emotion wheels ----------------------------------------------------------------------------------------------

# Level-1 group of each label on wheels 1 to 5, version 2026, as the owners' files give them; "-": dropped.
GROUPS = {
    "happy": "happy happy joyful joy powerful", "joy": "happy happy joyful joy powerful",
    "sad": "sad sad sad sad sad", "sadness": "sad sad sad sad sad",
    "angry": "mad angry mad anger mad", "anger": "mad angry mad anger mad",
    "worried": "scared fearful scared fear scared",
    "surprise": "surprised surprised powerful fear -", "surprised": "surprised surprised powerful fear -",
    "fear": "scared fearful scared fear scared", "fearful": "scared fearful scared fear scared",
    "disgust": "disgusted disgusted - disgust -", "contempt": "- angry - - -",
    "doubt": "mad angry mad anger mad", "neutral": "- - - - -",
    "anxious": "scared fearful scared fear scared", "frustrated": "sad sad mad sad mad",
    "nervous": "scared fearful scared fear scared", "excited": "surprised happy joyful genius joyful",
    "calm": "happy happy peaceful joy peaceful",
}  # fmt: skip
FEAR_IN_2025 = "scared happy joyful genius joyful"
LEVEL1 = (
    "mad disgusted sad happy surprised scared", "fearful angry disgusted sad surprised happy bad",
    "mad scared joyful powerful peaceful sad", "joy genius anger sad fear disgust",
    "mad scared sad peaceful powerful joyful",
)  # fmt: skip


def write_wheels(folder: Path, version: str = "2026") -> Path:
    """`wheel_mapping.npz` of the owners' shape, with words of its own that lead to the groups of the table above.

    A label is a form of itself, and a synonym of one wheel word "a LABEL" of its own. In 2025 "fear" is also a form of
    "fearless", whose wheel word "a bold" comes first in the alphabet and stands on wheels 2 to 5.
    """
    folder.mkdir(parents=True, exist_ok=True)
    forms = {label: [label] for label in GROUPS} | {"fearless": ["fearless"]}
    raw = {label: [f"a {label}"] for label in GROUPS} | {"fearless": ["a bold"]}
    if version == "2025":
        forms["fear"] = ["fear", "fearless"]
    wheels = {}
    for k in range(5):
        level1 = {word: word for word in LEVEL1[k].split()}
        level1 |= {f"a {label}": groups.split()[k] for label, groups in GROUPS.items() if groups.split()[k] != "-"}
        if k:
            level1["a bold"] = FEAR_IN_2025.split()[k]
        wheels[f"wheel{k + 1}"] = {"level1": level1, "level2": {word: f"{word} (2)" for word in level1}}
    return archive(folder / "wheel_mapping.npz", format_mapping=forms, raw_mapping=raw, wheel_map_whole=wheels)


def test_labels_lead_to_their_groups_on_every_wheel(tmp_path: Path) -> None:
    from emotion_llama.evaluation.tasks.wheels import load_wheels

    write_wheels(tmp_path)
    groupings = load_wheels(tmp_path)[0][1]
    for label, groups in GROUPS.items():
        assert [grouping(label) or "-" for grouping in groupings] == groups.split(), label
    write_wheels(tmp_path, "2025")
    older = load_wheels(tmp_path)[0][1]
    assert [grouping("fear") for grouping in older] == FEAR_IN_2025.split()
    differing = [label for label in GROUPS if [g(label) for g in older] != [g(label) for g in groupings]]
    assert differing == ["fear"]


def test_fine_grained_tracks(tmp_path: Path) -> None:
    write_wheels(tmp_path / "emotion_wheel")
    table(tmp_path / "track2_test.csv", ["name", "openset"], [["a", "['happy']"], ["b", "['sad', 'angry']"]])
    table(tmp_path / "subtitle_chieng.csv", ["name", "chinese", "english"], [["a", "好", "Good"], ["b", "", "No"]])
    touch(tmp_path / "video", ["a.mp4", "b.mp4"])
    newer = load_benchmark("mer2026-fg", tmp_path, mapping="2026")
    assert "mapping 2026" in newer.version
    assert [case.transcript for case in newer.samples()] == ["Good", "No"]
    result = score(newer, {"a": "['calm']", "b": "['sadness', 'doubt']"})
    # b is right on all wheels; calm is happy's group on wheels 1, 2 and 4 (happy, happy, joy), not on 3 and 5
    assert result.metrics[0].value == pytest.approx((1 + 1 + 0.5 + 1 + 0.5) / 5)
    older = load_benchmark("mer2025-fg", tmp_path)
    both = score(older, {"a": "['calm']", "b": "['sadness', 'doubt']"})
    # level 2 here: every word is a group of its own ("a calm" is not "a happy"), but for none of b's: 0
    assert set(both.parts) >= {"level/1", "level/2", "level/2 wheel/5"}
    assert both.metrics[0].value == pytest.approx((0.8 + _f1(both, "level/2")) / 2)
    assert "1198 False 2 clips, 1200 in the owners' release" in what(older.check())
    assert newer.check() == []


def _f1(result: EvalResult, name: str) -> float:
    return result.parts[name][0].value


def test_wheels_of_another_version_are_refused(tmp_path: Path) -> None:
    write_wheels(tmp_path / "w")
    with pytest.raises(InputError, match=r"of 2026.* 2025"):
        load_benchmark("mer2025-fg", tmp_path, wheels=tmp_path / "w", mapping="2025")
    with pytest.raises(InputError, match="mapping is '2024'"):
        load_benchmark("mer2025-fg", tmp_path, wheels=tmp_path / "w", mapping="2024")
    with pytest.raises(InputError, match="holds no wheel files"):
        load_benchmark("mer2025-fg", tmp_path)


def test_wheel_tables_that_lack_a_wheel_are_refused(tmp_path: Path) -> None:
    wheels = {f"wheel{k}": {"level1": {}, "level2": {}} for k in range(1, 5)}
    archive(tmp_path / "wheel_mapping.npz", format_mapping={}, raw_mapping={}, wheel_map_whole=wheels)
    with pytest.raises(InputError, match=r"is not the wheel_mapping\.npz of MER2026 \(KeyError\('wheel5'\)\)"):
        load_benchmark("mer2026-fg", tmp_path, wheels=tmp_path)


def test_own_table_of_words_for_a_track(tmp_path: Path) -> None:
    write_wheels(tmp_path / "emotion_wheel")
    own = table(tmp_path / "elsewhere" / "mine.csv", ["name", "openset"], [["a", ""], ["b", "['sad']"]])
    benchmark = load_benchmark("mer2026-fg", tmp_path, labels=own)
    assert len(benchmark.samples()) == 2
    assert "1 False clips without a true word" in what(benchmark.check())
    table(own, ["name", "openset"], [["a", "['sad']"], ["a", "['sad']"]])
    with pytest.raises(InputError, match="a stands twice"):
        benchmark.samples()
    table(own, ["name", "labels"], [])
    with pytest.raises(InputError, match="name, labels"):
        benchmark.samples()
    table(own, ["name", "openset"], [["a", "x" * 140_000]])
    with pytest.raises(InputError, match="line 2: the table cannot be read"):
        benchmark.samples()
    own.write_text("name,openset\n\na\n")
    with pytest.raises(InputError, match="line 3: 1 cells came, 2 were expected"):
        benchmark.samples()


# --- DFEW --------------------------------------------------------------------------------------------------------


def test_dfew_sizes_add_up() -> None:
    assert sum(CLASS_SIZES.values()) == sum(FOLD_SIZES) == 11_697
    assert list(CLASS_SIZES.values()) == [2445, 1894, 2669, 2173, 1469, 145, 902]
    assert FOLD_SIZES == (2341, 2341, 2340, 2339, 2336)


def write_dfew(folder: Path, labels: Sequence[int], folds: int = 5) -> None:
    """The owners' lists: clips dealt out to the folds in order."""
    sizes, start = FOLD_SIZES[:folds], 0
    for fold, size in enumerate(sizes, 1):
        rows = [[i + 1, labels[i]] for i in range(start, start + size)]
        table(folder / "EmoLabel_DataSplit" / "test(single-labeled)" / f"set_{fold}.csv", ["video_name", "label"], rows)
        start += size


def test_dfew_as_its_owners_have_it(tmp_path: Path) -> None:
    numbers = [i for i, size in enumerate(CLASS_SIZES.values(), 1) for _ in range(size)]
    np.random.default_rng(0).shuffle(numbers)
    write_dfew(tmp_path, numbers)
    touch(tmp_path / "Clip" / "original", [f"{i + 1}.mp4" for i in range(3)])
    touch(tmp_path / "Clip" / "clip_224x224_avi", [f"{i + 1:05d}.avi" for i in range(11_697)])
    benchmark = load_benchmark("dfew", tmp_path, fold="all")
    cases = benchmark.samples()
    assert len(cases) == 11_697
    assert cases[0].sample_id == "00001"
    assert cases[0].media == tmp_path / "Clip" / "original" / "1.mp4"
    assert cases[3].media == tmp_path / "Clip" / "clip_224x224_avi" / "00004.avi"
    assert cases[0].truth.label == DFEW7.labels[numbers[0] - 1]
    assert cases[-1].fold == 5
    assert what(benchmark.check()).startswith("11697 False no table of sentences")
    result = score(benchmark, {case.sample_id: "neutral" for case in cases})
    assert result.metrics[0] == Metric("uar", pytest.approx(1 / 7))  # in each fold one class of seven is right
    shares = [sum(c.truth.label == "neutral" for c in cases if c.fold == k) / FOLD_SIZES[k - 1] for k in range(1, 6)]
    assert result.metric("accuracy").value == pytest.approx(sum(shares) / 5)
    one = load_benchmark("dfew", tmp_path)
    assert len(one.samples()) == 2341
    assert one.version == "1 (fold 1, restrict)"
    with (tmp_path / "EmoLabel_DataSplit" / "test(single-labeled)" / "set_2.csv").open("a") as file:
        file.write("1,1\n")
    with pytest.raises(InputError, match="00001 stands twice, in fold 1 and in fold 2"):
        benchmark.samples()


def test_folds_of_several_models_are_joined_by_their_predictions(tmp_path: Path) -> None:
    # Fine-tuned: one model a fold; the joined predictions give the mean of the folds' own figures.
    folder = tmp_path / "EmoLabel_DataSplit" / "test(single-labeled)"
    texts = {}
    for fold in range(1, 6):
        rows = [[f"{10 * fold + i:05d}", label] for i, label in enumerate((1, 2, 2))]
        table(folder / f"set_{fold}.csv", ["video_name", "label"], rows)
        texts |= {rows[0][0]: "happy", rows[1][0]: "sad", rows[2][0]: "sad" if fold > 2 else "fear"}
    whole = score(load_benchmark("dfew", tmp_path, fold="all"), texts)
    each = [
        score(one, {name: text for name, text in texts.items() if name in {c.sample_id for c in one.samples()}})
        for one in (load_benchmark("dfew", tmp_path, fold=k) for k in range(1, 6))
    ]
    assert [one.metrics[0].value for one in each] == [0.75, 0.75, 1.0, 1.0, 1.0]
    assert whole.metrics[0].value == pytest.approx(0.9)
    assert whole.metric("accuracy").value == pytest.approx((2 / 3 + 2 / 3 + 3) / 5)
    assert {name for name in whole.parts if name.startswith("fold/")} == {f"fold/{k}" for k in range(1, 6)}


def test_dfew_as_emotion_llama_lists_it(tmp_path: Path) -> None:
    nce(tmp_path / "reltive_DFEW_set_1_test.txt", [("00012", 50, "happiness"), ("00013.mp4", 60, "angry")])
    table(tmp_path / "transcription_en_all.csv", ["name", "sentence"], [["12", "Ha"]])
    cases = load_benchmark("dfew", tmp_path).samples()
    assert [(c.sample_id, c.truth.label, c.frame_count, c.transcript) for c in cases] == [
        ("00012", "happy", 50, "Ha"),
        ("00013", "angry", 60, None),
    ]
    (tmp_path / "reltive_DFEW_set_1_test.txt").write_text("00012 50 worried\n")
    with pytest.raises(InputError, match="has the label 'worried', expected happy, sad"):
        load_benchmark("dfew", tmp_path).samples()


def test_labels_outside_the_seven_by_either_rule(tmp_path: Path) -> None:
    folder = tmp_path / "EmoLabel_DataSplit" / "test(single-labeled)"
    table(folder / "set_1.csv", ["video_name", "label"], [["00001", 7], ["00002", 1], ["00003", 2]])
    texts = {"00001": "worried", "00002": "happy", "00003": "sad"}
    restrict, mapped = load_benchmark("dfew", tmp_path), load_benchmark("dfew", tmp_path, rule="map")
    assert restrict.task.labels == DFEW7.labels
    assert "disgust" in (restrict.task.instruction or "")
    assert mapped.task.labels == MERR9.labels
    assert "disgust" not in (mapped.task.instruction or "")
    for benchmark in (restrict, mapped):
        result = score(benchmark, texts)
        assert result.metrics[0].value == pytest.approx(2 / 3)
        assert result.counts["unanswered: other label"] == 1  # "worried" is not folded into "fear"
    upstream = score(mapped, texts, "upstream")
    assert upstream.counts["neutral by the published rule"] == 1


def test_dfew_refusals(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="rule is 'fold'"):
        load_benchmark("dfew", tmp_path, rule="fold")
    with pytest.raises(InputError, match="fold is 6, expected 1 to 5 or 'all'"):
        load_benchmark("dfew", tmp_path, fold=6)
    with pytest.raises(InputError, match=r"set_2\.csv"):
        load_benchmark("dfew", tmp_path, fold="2").samples()
    folder = tmp_path / "EmoLabel_DataSplit" / "test(single-labeled)"
    table(folder / "set_2.csv", ["video_name", "label"], [["00001", 8]])
    with pytest.raises(InputError, match=r"00001 .*'8'"):
        load_benchmark("dfew", tmp_path, fold=2).samples()


# --- EMER --------------------------------------------------------------------------------------------------------


def test_emer_both_versions(tmp_path: Path) -> None:
    rows = [[f"sample_{i:08d}", "angry", f"words {i}", "Her brows are furrowed; she is angry."] for i in range(100)]
    table(tmp_path / "dataset-v1" / "gt-eng.csv", ["names", "emotions", "subtitles", "reasons"], rows)
    newer = [[f"sample_{i:08d}", "她很生气", "She is angry."] for i in range(332)]
    table(tmp_path / "dataset-v2" / "final-EMER-reason.csv", ["name", "chinese", "english"], newer)
    touch(tmp_path / "clips", [f"sample_{i:08d}.mp4" for i in range(332)])
    first = load_benchmark("emer", tmp_path, videos=tmp_path / "clips")
    assert len(first.samples()) == SAMPLES["v1"] == 100
    assert first.samples()[3].transcript == "words 3"
    assert first.check() == []
    result = score(first, {case.sample_id: "She frowns and is angry." for case in first.samples()[:50]}, "offline")
    assert result.metric("named_label_overlap").value == 1.0
    assert result.counts["unanswered: no reply"] == 50
    second = load_benchmark("emer", tmp_path, samples="v2", language="zh")
    assert len(second.samples()) == SAMPLES["v2"] == 332
    assert second.samples()[0].truth.description == "她很生气"
    replies = [Output("sample_00000000", text="x")]
    assert applicable_parsers(first, replies) == ("offline",)
    judged = {"sample_00000000": {"clue_overlap": 7.0, "label_overlap": 6.0}}
    assert applicable_parsers(first, replies, judged=judged) == ("judge", "offline")
    angry = [Output("sample_00000000", text="angry")]
    by_judge = score_outputs(first, first.samples(), angry, "judge", model="x", num_resamples=0, judged=judged)
    assert by_judge.metrics[0].value == 7.0


def test_emer_refusals(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="samples are v1 or v2"):
        load_benchmark("emer", tmp_path, samples="v3")
    table(tmp_path / "gt-eng.csv", ["names", "reasons"], [["a", ""]])
    with pytest.raises(InputError, match="a has no description"):
        load_benchmark("emer", tmp_path).samples()


# --- MER-UniBench ------------------------------------------------------------------------------------------------


def test_unibench_sizes() -> None:
    assert {name: layout[-1] for name, layout in LAYOUTS.items()} == {
        "mer2023": 411, "mer2024": 1169, "meld": 2610, "iemocap": 1241,
        "mosi": 686, "mosei": 4659, "sims": 457, "simsv2": 1034, "ovmerd": 532,
    }  # fmt: skip


def test_unibench_hit_sets(tmp_path: Path) -> None:
    wheels = write_wheels(tmp_path / "emotion_wheel").parent
    meld = {"dia0_utt0": {"emo": "anger", "val": -10}, "dia0_utt1": {"emo": "neutral", "val": -10}}
    archive(tmp_path / "meld-process" / "label.npz", train_corpus={}, val_corpus={}, test_corpus=meld)
    touch(tmp_path / "meld-process" / "subvideo", ["dia0_utt0.mp4", "dia0_utt1.mp4"])
    benchmark = load_benchmark("unibench-meld", tmp_path)
    assert benchmark.samples()[0].media == tmp_path / "meld-process" / "subvideo" / "dia0_utt0.mp4"
    result = score(benchmark, {"dia0_utt0": "angry, sad", "dia0_utt1": "happy"})
    assert (result.metric("hit").value, result.metric("hit_precision").value) == (1.0, 0.5)
    assert result.counts["skipped: truth in no group of wheel 1"] == 1
    assert "2608 False 2 clips, 2610" in what(benchmark.check())
    corpus = {"Ses05F_impro01_F000": {"emo": 3, "val": -10}, "Ses01F_impro01_F000": {"emo": 0, "val": -10}}
    archive(tmp_path / "iemocap" / "label_4way.npz", whole_corpus=corpus)
    (case,) = load_benchmark("unibench-iemocap", tmp_path / "iemocap", wheels=wheels).samples()
    assert case.truth.label == "anger"
    archive(tmp_path / "iemocap" / "label_4way.npz", whole_corpus={"Ses05F": {"emo": 4}})
    with pytest.raises(InputError, match="Ses05F has the label 4, expected 0, 1, 2, 3"):
        load_benchmark("unibench-iemocap", tmp_path / "iemocap", wheels=wheels).samples()


def test_unibench_sentiment_and_words(tmp_path: Path) -> None:
    corpus = {"a": {"val": 1.4}, "b": {"val": np.float32(-0.2)}, "c": {"val": 0.0}}
    archive(tmp_path / "label.npz", test_corpus=corpus)
    result = score(load_benchmark("unibench-mosi", tmp_path), {"a": "positive", "b": "neutral", "c": "positive"})
    assert (result.metrics[0].value, result.counts["skipped: sentiment 0"]) == (1.0, 1)
    write_wheels(tmp_path / "emotion_wheel")
    table(tmp_path / "ovmerdplus-process" / "ovlabel.csv", ["name", "openset"], [["a", "['sad']"]])
    table(tmp_path / "ovmerdplus-process" / "subtitle_eng.csv", ["name", "sentence"], [["a", "Oh"]])
    words = load_benchmark("unibench-ovmerd", tmp_path)
    assert words.samples()[0].transcript == "Oh"
    assert score(words, {"a": "sadness"}).metrics[0].value == 1.0


def test_the_mean_of_nine() -> None:
    results = {n: EvalResult(n, "x", "tolerant", (Metric("f", i / 10),), {}) for i, n in enumerate(SETS)}
    assert unibench_mean(results) == pytest.approx(0.4)
    with pytest.raises(InputError, match="missing: meld"):
        unibench_mean({name: result for name, result in results.items() if name != "meld"})
    with pytest.raises(InputError, match="one model and one parser"):
        unibench_mean(results | {"meld": EvalResult("m", "y", "tolerant", (Metric("f", 0.1),), {})})


# --- MERR-Synth and own data -------------------------------------------------------------------------------------


def test_merr_synth(tmp_path: Path) -> None:
    from merr_synth.render.plan import draw_plans
    from merr_synth.render.plan_file import plans_text

    plans = draw_plans(120, seed=2)
    (tmp_path / "plans.jsonl").write_text(plans_text(plans))
    touch(tmp_path / "clips", [f"{plan.id}.mp4" for plan in plans])
    benchmark = load_benchmark("merr-synth", tmp_path)
    chosen = {plan.id: plan for plan in plans if plan.split == "test"}
    cases = benchmark.samples()
    assert [case.sample_id for case in cases] == list(chosen)
    assert all(case.group == chosen[case.sample_id].person for case in cases)
    assert [case.transcript is None for case in cases] == ["no_words" in p.missing for p in chosen.values()]
    told = {case.sample_id: chosen[case.sample_id].face_label or "neutral" for case in cases}  # reads the face alone
    result = score(benchmark, told)
    conflicting = [plan for plan in chosen.values() if plan.conflict]
    assert conflicting
    follows = {figure.name: figure.value for figure in result.parts["follows"]}
    assert follows["face"] == 1.0
    with_words = [p for p in conflicting if p.words_label is not None]
    assert follows["words"] == pytest.approx(np.mean([p.words_label == p.face_label for p in with_words]))
    accuracy = {figure.name: figure.value for figure in result.parts["conflict/all"]}["accuracy"]
    assert accuracy == pytest.approx(np.mean([p.face_label == p.label for p in conflicting]))
    notes = {f"note/conflict: {p.conflict}" for p in conflicting} | {"note/plain"}
    assert notes <= set(result.parts)
    assert len(load_benchmark("merr-synth", tmp_path, split=None).samples()) == 120
    with pytest.raises(InputError, match=r"no clip of split 'dev' \(splits: test, train, validation\)"):
        load_benchmark("merr-synth", tmp_path, split="dev").samples()
    (tmp_path / "clips" / f"{cases[0].sample_id}.mp4").unlink()
    assert f"1 False no media file of {cases[0].sample_id}" in what(benchmark.check())


def test_own_labels(tmp_path: Path) -> None:
    write_clip(tmp_path / "clips.mp4", [np.zeros((16, 16, 3), np.uint8)] * 5, 25)
    rows = [
        ["clips.mp4", "bored", "Hm", "anna", "1", "5", "first"],
        ["gone.mp4", "keen", "", "anna", "2", "", ""],
    ]
    path = table(tmp_path / "cases.csv", ["video", "label", "subtitle", "group", "fold", "frame_count", "note"], rows)
    benchmark = load_benchmark("csv", tmp_path)
    assert benchmark.task.labels == ("bored", "keen")
    assert "represents: bored, keen." in (benchmark.task.instruction or "")
    first, second = benchmark.samples()
    assert (first.sample_id, first.transcript, first.group, first.fold, first.frame_count, first.note) == (
        "clips", "Hm", "anna", 1, 5, "first",
    )  # fmt: skip
    assert second.transcript is None
    assert "1 False no media file of gone" in what(benchmark.check())
    assert score(load_benchmark("csv", path), {"clips": "keen", "gone": "keen"}).metric("accuracy").value == 0.5
    assert load_benchmark("csv", path, labels="bored, keen, calm").task.labels == ("bored", "keen", "calm")
    with pytest.raises(InputError, match="'bored'"):
        load_benchmark("csv", path, labels="mer6")


def test_forms_of_one_label_are_one_class(tmp_path: Path) -> None:
    """Truths "anger" and answers "angry" were two classes, and what was right counted as wrong."""
    rows = [["a", "anger"], ["b", "Angry"], ["c", "happiness"], ["d", "sad"]]
    benchmark = load_benchmark("csv", table(tmp_path / "t.csv", ["name", "label"], rows))
    assert benchmark.task.labels == MERR9.labels
    assert score(benchmark, {"a": "angry", "b": "anger", "c": "happy", "d": "sad"}).metric("accuracy").value == 1.0
    shares = [Output(name, None, {"anger": 0.4, "angry": 0.2, "sadness": 0.4}) for name in "abcd"]
    likely = score_outputs(benchmark, benchmark.samples(), shares, "likelihood", model="x", num_resamples=0)
    assert likely.metric("accuracy").value == 0.5
    assert likely.metric("ece").value == pytest.approx(0.1)  # 0.4 + 0.2 sure, half right
    # Other synonyms stay classes of their own: RAVDESS has both calm and neutral.
    both = table(tmp_path / "u.csv", ["name", "label"], [["a", "calm"], ["b", "neutral"], ["c", "anger"]])
    assert load_benchmark("csv", both).task.labels == ("angry", "calm", "neutral")
    assert load_benchmark("csv", both, labels="anger,calm,neutral").task.labels == ("angry", "calm", "neutral")


def test_own_words_sentiment_and_descriptions(tmp_path: Path) -> None:
    words = table(tmp_path / "w.csv", ["name", "words"], [["a", "sad, tense"], ["b", "['happy']"]])
    write_wheels(tmp_path / "wheels")
    wheel = load_benchmark("csv", words, wheels=tmp_path / "wheels")
    assert score(wheel, {"a": "sadness", "b": "joy"}).metrics[0] == Metric("ew", 1.0)
    grouped = load_benchmark("csv", words)
    with pytest.raises(InputError, match="needs groups of synonyms"):
        score(grouped, {"a": "sad", "b": "happy"})
    feeling = table(tmp_path / "s.csv", ["name", "sentiment"], [["a", "0.5"], ["b", "-1"]])
    assert score(load_benchmark("csv", feeling), {"a": "positive", "b": "negative"}).metrics[0].value == 1.0
    texts = table(tmp_path / "d.csv", ["name", "description"], [["a", "She smiles, so she is happy."]])
    told = score(load_benchmark("csv", texts), {"a": "He is happy and smiles."}, "offline")
    assert [figure.value for figure in told.metrics] == [1.0, 1.0]
    assert "only predictions can be scored" in what(load_benchmark("csv", texts).check())
    with pytest.raises(InputError, match="has no labels but words"):
        load_benchmark("csv", words, labels="mer6")


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        (["name"], [["a"]], "has the columns name; expected name or video, one of label"),
        (["name", "label", "words"], [["a", "sad", "sad"]], "expected name or video, one of label"),
        (["name", "label", "age"], [["a", "sad", "3"]], "expected name or video, one of label"),
        (["name", "label"], [], "has no rows"),
        (["name", "label"], [["a", "sad", "x"]], "line 2: 3 cells came, 2 were expected"),
        (["name", "label"], [["a", "sad"], ["a", "sad"]], "a stands twice"),
        (["name", "label"], [["", "sad"]], "line 2: neither name nor video is given"),
        (["name", "description"], [["a", ""]], "line 2: the description is empty"),
        (["name", "sentiment"], [["a", "good"]], "a has the sentiment 'good', expected a number"),
        (["name", "sentiment"], [["a", "nan"]], "a has the sentiment 'nan', expected a number"),
        (["name", "label"], [["a", "x" * 140_000]], "line 2: the table cannot be read"),
        (["name", "label", "fold"], [["a", "sad", "one"]], "fold is 'one', expected a whole number"),
    ],
)
def test_own_tables_that_are_malformed(tmp_path: Path, header: list[str], rows: list[list[str]], message: str) -> None:
    path = table(tmp_path / "t.csv", header, rows)
    with pytest.raises(InputError, match=message):
        load_benchmark("csv", path).samples()


def test_options_as_a_command_line_gives_them(tmp_path: Path) -> None:
    # The command line reads values as YAML: 2026 is a number, [a, b] a list.
    wheels = write_wheels(tmp_path / "w").parent
    assert "mapping 2026" in load_benchmark("mer2026-fg", tmp_path, wheels=str(wheels), mapping=2026).version
    path = table(tmp_path / "t.csv", ["name", "label"], [["a", "x"]])
    assert load_benchmark("csv", path, labels=["x", "y"]).task.labels == ("x", "y")
    with pytest.raises(InputError, match="transcript is 5, expected a path"):
        load_benchmark("dfew", tmp_path, transcript=5)


def test_instructions_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="instruction is 'seven'"):
        load_benchmark("mer2023-semi", tmp_path, instruction="seven")


def test_the_page_names_every_benchmark_and_option() -> None:
    page = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    for name in BENCHMARKS:
        options = rows[name].rsplit("|", 2)[1]
        assert [part for part in options.split("`") if part.strip(" ,")] == list(benchmark_options(name)), name
    assert all(f"`{reason}`" in page for reason in REASONS)
    for size in (*FOLD_SIZES, *CLASS_SIZES.values(), *(layout[-1] for layout in LAYOUTS.values())):
        assert f"{size:,}" in page
