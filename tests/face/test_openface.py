"""Units measured by other programs: OpenFace's table, OpenFace itself, py-feat's table."""

import os
import stat
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emotion_llama.analysis.measure import Measurements, read_units
from emotion_llama.errors import BackendError, InputError, MissingDependency
from emotion_llama.face.backends import load_unit_reader
from emotion_llama.face.backends.openface_csv import OpenFaceCsv
from emotion_llama.records import AU_NAMES, Clip, VideoInfo

PRESENCE = (*AU_NAMES[:-1], "AU28", "AU45")


def openface_csv(
    path: Path, rows: list[dict[str, float]], *, face_id: bool = True, without: tuple[str, ...] = ()
) -> Path:
    """A table as FeatureExtraction writes it: names with a leading space, also columns nobody asked for."""
    names = ["frame", *(["face_id"] if face_id else []), "timestamp", "confidence", "success", "pose_Rx", "x_0"]
    names += [f"{name}_r" for name in AU_NAMES] + [f"{name}_c" for name in PRESENCE]
    names = [name for name in names if name not in without]
    lines = [", ".join(names)]
    for number, row in enumerate(rows, 1):
        full = {
            "frame": number,
            "face_id": 0,
            "timestamp": 0.04 * (number - 1),
            "confidence": 0.98,
            "success": 1,
            **row,
        }
        lines.append(", ".join(f"{full.get(name, 0):g}" for name in names))
    path.write_text("\n".join(lines) + "\n")
    return path


# --- a table and its clip ---------------------------------------------------------------------------------------------


def _at(seconds: float = 3.0, fps: float = 25.0, *, variable: bool = False) -> Clip:
    video = VideoInfo(64, 64, fps, variable, 0, "h264", "yuv420p")
    return Clip(Path("talk.mp4"), "0" * 64, seconds, video, None)


def _checked(path: Path, rows: list[dict[str, float]], clip: Clip) -> tuple[Measurements, list[str]]:
    warnings: list[str] = []
    return read_units(clip, openface_csv(path, rows), "", warnings.append), warnings


def _rows(count: int, step: float) -> list[dict[str, float]]:
    return [{"timestamp": step * i, "AU12_r": i % 5} for i in range(count)]


def test_a_table_of_the_clip_is_taken_as_it_is(tmp_path: Path) -> None:
    found, warnings = _checked(tmp_path / "a.csv", _rows(75, 0.04), _at())
    assert warnings == []
    assert _seconds(found)[-1] == pytest.approx(2.96)


@pytest.mark.inputs("units", "times in milliseconds", "divided by 1000, and said")
def test_times_in_milliseconds(tmp_path: Path) -> None:
    for count in (75, 70):
        found, warnings = _checked(tmp_path / "a.csv", _rows(count, 40), _at())
        assert "milliseconds" in warnings[0]
        assert _seconds(found)[-1] == pytest.approx(0.04 * (count - 1))


@pytest.mark.inputs(
    "units", "one row a frame, at another rate than the clip's", "the clip's own rate is taken, and said"
)
def test_one_row_a_frame_at_another_rate(tmp_path: Path) -> None:
    for step in (1 / 60, 1 / 12):
        found, warnings = _checked(tmp_path / "a.csv", _rows(75, step), _at())
        assert "one row a frame" in warnings[0]
        assert _seconds(found)[-1] == pytest.approx(2.96)


@pytest.mark.inputs("units", "times beyond the clip's end, or before its beginning", "refused: it is another clip's")
def test_a_table_of_another_clip_is_refused(tmp_path: Path) -> None:
    for rows in (_rows(200, 0.04), [{"timestamp": 600 + 0.04 * i} for i in range(75)]):
        if rows[0]["timestamp"] > 0:
            rows = rows[:60]
        with pytest.raises(InputError, match="the table of this clip"):
            _checked(tmp_path / "a.csv", rows, _at())


@pytest.mark.inputs("units", "rows of less than 90 % of the pictures", "taken; the seconds that are covered are said")
def test_a_table_that_ends_early_or_begins_late_is_taken_and_said(tmp_path: Path) -> None:
    for rows in (_rows(19, 0.04), _rows(75, 0.04)[40:], _rows(75, 0.04)[:20] + _rows(75, 0.04)[50:]):
        _, warnings = _checked(tmp_path / "a.csv", rows, _at())
        assert f"cover {0.04 * len(rows):.2f} of 3.00 s" in warnings[0]


@given(st.integers(20, 200), st.sampled_from([10.0, 25.0, 29.97, 60.0]), st.sampled_from([1, 1000]))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_times_come_back_in_seconds_at_any_length_and_rate(tmp_path: Path, count: int, fps: float, unit: int) -> None:
    found, _ = _checked(tmp_path / "a.csv", _rows(count, unit / fps), _at(count / fps, fps))
    np.testing.assert_allclose(_seconds(found), np.arange(count) / fps, atol=1e-3)


@pytest.mark.inputs("units", "`nan`, `-nan(ind)`, `1.#QNAN` in a unit", "the face was not seen there")
@pytest.mark.parametrize("cell", ["nan", "-nan(ind)", "NaN", "-1.#IND", "1.#QNAN", "nan(ind)"])
def test_a_unit_that_is_no_number_is_not_seen(tmp_path: Path, cell: str) -> None:
    path = openface_csv(tmp_path / "a.csv", _rows(10, 0.04))
    lines = path.read_text().split("\n")
    cells = lines[4].split(", ")
    cells[lines[0].split(", ").index("AU12_r")] = cell
    path.write_text("\n".join([*lines[:4], ", ".join(cells), *lines[5:]]))
    (person,) = OpenFaceCsv().read(path)
    assert np.flatnonzero(~person.units.valid).tolist() == [3]
    assert person.units.confidence[3] == 0


def _seconds(found: Measurements) -> Any:
    units = found.people[0].units
    assert units is not None
    return units.pts_seconds


# --- table ------------------------------------------------------------------------------------------------------------


def test_table_of_one_person(tmp_path: Path) -> None:
    table = openface_csv(
        tmp_path / "a.csv",
        [{"AU12_r": 1.5, "AU12_c": 1}, {"AU06_r": 0.25, "AU28_c": 1, "confidence": 0.75}, {"AU45_r": 5.0}],
    )
    (person,) = load_unit_reader("openface_csv").read(table)
    units = person.units
    assert (person.person_id, units.source, units.neutral) == (0, "openface-csv", "backend")
    assert units.names == AU_NAMES
    assert units.pts_seconds == pytest.approx([0.0, 0.04, 0.08])
    assert units.column("AU12").tolist() == [1.5, 0.0, 0.0]
    assert units.column("AU06").tolist() == [0.0, 0.25, 0.0]
    assert units.column("AU45").tolist() == [0.0, 0.0, 5.0]
    assert units.confidence.tolist() == [0.98, 0.75, 0.98]
    # AU28 has a presence and no intensity.
    assert person.presence_names == PRESENCE
    assert person.present("AU28").tolist() == [0, 1, 0]
    assert person.present("AU12").tolist() == [1, 0, 0]
    assert not units.is_blink.any()
    assert not units.is_speech.any()


@pytest.mark.inputs("units", "`success` 0; confidence 0", "the face was not seen there")
def test_frames_without_success_are_not_seen(tmp_path: Path) -> None:
    """OpenFace leaves numbers in rows of a lost face; such a row once won the peak of the published tool."""
    table = openface_csv(
        tmp_path / "a.csv",
        [{"AU12_r": 1.0}, {"AU12_r": 5.0, "success": 0, "confidence": 0.02}, {"AU12_r": 4.0, "confidence": 0.0}],
    )
    (person,) = OpenFaceCsv().read(table)
    assert person.units.valid.tolist() == [True, False, False]
    assert np.isnan(person.units.intensity[1:]).all()
    assert np.isnan(person.presence[1:]).all()
    assert person.units.confidence.tolist() == [0.98, 0.0, 0.0]


def test_several_faces_are_several_people(tmp_path: Path) -> None:
    """FaceLandmarkVidMulti writes the faces of a frame one below the other."""
    rows = [
        {"face_id": 3, "timestamp": 0.0, "AU12_r": 1.0},
        {"face_id": 1, "timestamp": 0.0, "AU12_r": 2.0},
        {"face_id": 3, "timestamp": 0.04, "AU12_r": 1.5},
    ]
    people = OpenFaceCsv().read(openface_csv(tmp_path / "a.csv", rows))
    assert [p.person_id for p in people] == [1, 3]
    assert people[0].units.column("AU12").tolist() == [2.0]
    assert people[1].units.column("AU12").tolist() == [1.0, 1.5]
    assert people[1].units.pts_seconds.tolist() == [0.0, 0.04]


def test_old_table_without_face_id(tmp_path: Path) -> None:
    (person,) = OpenFaceCsv().read(openface_csv(tmp_path / "a.csv", [{}, {}], face_id=False))
    assert (person.person_id, len(person.units.pts_seconds)) == (0, 2)


def test_every_missing_column_is_named(tmp_path: Path) -> None:
    table = openface_csv(tmp_path / "a.csv", [{}], without=("confidence", "AU07_r", "AU45_r"))
    with pytest.raises(InputError, match="AU45_r"):
        OpenFaceCsv().read(table)


def test_cell_that_is_no_number_is_named(tmp_path: Path) -> None:
    table = openface_csv(tmp_path / "a.csv", [{}, {"AU01_r": 1.25}])
    table.write_text(table.read_text().replace("1.25", "high"))
    with pytest.raises(InputError, match="AU01_r"):
        OpenFaceCsv().read(table)


def test_cut_off_line_is_named(tmp_path: Path) -> None:
    """A run that was stopped while writing."""
    table = openface_csv(tmp_path / "a.csv", [{}, {}])
    table.write_text(table.read_text().rsplit(",", 30)[0])
    with pytest.raises(InputError, match=r"line 3, column AU\d\d_.: a number was expected, found no cell"):
        OpenFaceCsv().read(table)


def test_intensities_out_of_range(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"0\.\.7\.5"):
        OpenFaceCsv().read(openface_csv(tmp_path / "a.csv", [{"AU02_r": 7.5}]))


def test_no_table(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.csv"):
        OpenFaceCsv().read(tmp_path / "absent.csv")
    (tmp_path / "header.csv").write_text("frame, timestamp\n")
    with pytest.raises(InputError, match="a header and at least one row was expected, found 1 lines"):
        OpenFaceCsv().read(tmp_path / "header.csv")
    (tmp_path / "video.csv").write_bytes(b"\x00\xff\xfe\x80" * 10)
    with pytest.raises(InputError, match=r"video\.csv"):
        OpenFaceCsv().read(tmp_path / "video.csv")


# --- the program ------------------------------------------------------------------------------------------------------


def fake_program(path: Path, body: str) -> Path:
    """A FeatureExtraction that is a Python script."""
    path.write_text(f"#!{sys.executable}\nimport sys, os, time, shutil\nargs = sys.argv[1:]\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "my clip; rm -rf.mp4"
    path.write_bytes(b"not looked at")
    return path


def test_program_is_run_and_its_table_read(tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = openface_csv(tmp_path / "made.csv", [{"AU04_r": 2.5}])
    program = fake_program(
        tmp_path / "FeatureExtraction",
        f"open({str(tmp_path / 'args')!r}, 'w').write(chr(10).join(args))\n"
        "out = os.path.join(args[args.index('-out_dir') + 1], args[args.index('-of') + 1])\n"
        f"shutil.copy({str(table)!r}, out)",
    )
    monkeypatch.setenv("OPENFACE_EXECUTABLE", str(program))
    (person,) = load_unit_reader("openface_binary").read(video)
    assert person.units.column("AU04").tolist() == [2.5]
    assert person.units.source == "openface"
    args = (tmp_path / "args").read_text().split("\n")
    assert args[:2] == ["-f", str(video)]  # one argument, whatever is in the name
    assert args[-1] == "-aus"
    assert not Path(args[3]).exists()  # the private folder is gone


def test_program_on_path_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_program(tmp_path / "FeatureExtraction", "pass")
    monkeypatch.delenv("OPENFACE_EXECUTABLE", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert load_unit_reader("openface_binary")._executable == str(tmp_path / "FeatureExtraction")


def test_missing_program_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENFACE_EXECUTABLE", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependency, match="FeatureExtraction"):
        load_unit_reader("openface_binary")
    with pytest.raises(MissingDependency, match=r"the program /nowhere/FE"):
        load_unit_reader("openface_binary", executable="/nowhere/FE")


def test_failures_of_the_program(tmp_path: Path, video: Path) -> None:
    def reader(body: str, **options: float):
        return load_unit_reader("openface_binary", executable=str(fake_program(tmp_path / "FE", body)), **options)

    with pytest.raises(BackendError, match=r"FE ended with code 3: could not open model"):
        reader("sys.stderr.write('loading\\ncould not open model\\n'); sys.exit(3)").read(video)
    with pytest.raises(BackendError, match=r"ended with code 1: it said nothing"):
        reader("sys.exit(1)").read(video)
    with pytest.raises(BackendError, match=r"-rf\.mp4"):
        reader("pass").read(video)
    with pytest.raises(BackendError, match=r"did not end within 0\.2 s"):
        reader("time.sleep(20)", timeout_seconds=0.2).read(video)
    with pytest.raises(InputError, match=r"absent\.mp4"):
        reader("pass").read(tmp_path / "absent.mp4")
    (tmp_path / "FE").write_text("neither a program nor a script")
    with pytest.raises(BackendError, match="could not be started"):
        load_unit_reader("openface_binary", executable=str(tmp_path / "FE")).read(video)


# --- py-feat ----------------------------------------------------------------------------------------------------------

FEAT_UNITS = ("AU01", "AU02", "AU04", "AU05", "AU06", "AU07", "AU09", "AU10", "AU11", "AU12", "AU14", "AU15", "AU17",
              "AU20", "AU23", "AU24", "AU25", "AU26", "AU28", "AU43")  # fmt: skip


def feat_csv(path: Path, rows: list[dict[str, object]], *, identity: bool = False) -> Path:
    names = ["frame", "FaceRectX", "FaceScore", *FEAT_UNITS, "anger", *(["Identity"] if identity else [])]
    lines = [",".join(names)]
    for row in rows:
        full = {"FaceScore": 0.99, **row}
        lines.append(",".join(str(full.get(name, 0.0)) for name in names))
    path.write_text("\n".join(lines))
    return path


def test_pyfeat_probabilities_times_five(tmp_path: Path) -> None:
    table = feat_csv(tmp_path / "f.csv", [{"frame": 0, "AU12": 0.5, "AU43": 1.0}, {"frame": 5, "AU24": 0.75}])
    (person,) = load_unit_reader("pyfeat", fps=25.0).read(table)
    assert person.units.source == "py-feat (probability x 5)"
    assert person.units.pts_seconds.tolist() == [0.0, 0.2]
    assert person.units.column("AU12").tolist() == [2.5, 0.0]
    assert person.units.column("AU45").tolist() == [5.0, 0.0]  # AU43, closed eyes
    assert person.present("AU24").tolist() == [0, 1]
    assert person.units.confidence.tolist() == [0.99, 0.99]


def test_pyfeat_frames_without_a_face(tmp_path: Path) -> None:
    nothing = dict.fromkeys(("FaceScore", *FEAT_UNITS), "")
    table = feat_csv(tmp_path / "f.csv", [{"frame": 0}, {"frame": 1, **nothing}, {"frame": 2, "FaceScore": 0.3}])
    (person,) = load_unit_reader("pyfeat", fps=25.0).read(table)
    assert person.units.valid.tolist() == [True, False, False]
    assert np.isnan(person.presence[1:]).all()


def test_pyfeat_people_by_identity(tmp_path: Path) -> None:
    rows = [{"frame": 0, "Identity": "Person_1", "AU01": 1.0}, {"frame": 0, "Identity": "Person_0", "AU01": 0.2}]
    people = load_unit_reader("pyfeat", fps=25.0).read(feat_csv(tmp_path / "f.csv", rows, identity=True))
    assert [p.units.column("AU01").tolist() for p in people] == [[5.0], [1.0]]
    with pytest.raises(InputError, match="Identity"):
        load_unit_reader("pyfeat", fps=25.0).read(feat_csv(tmp_path / "g.csv", rows))


def test_pyfeat_wrong_tables_and_options(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fps must be positive, got 0"):
        load_unit_reader("pyfeat", fps=0)
    with pytest.raises(InputError, match=r"0\.\.2"):
        load_unit_reader("pyfeat", fps=25).read(feat_csv(tmp_path / "f.csv", [{"frame": 0, "AU01": 2.0}]))
    with pytest.raises(InputError, match="py-feat"):
        load_unit_reader("pyfeat").read(tmp_path / "f.csv")
    other = tmp_path / "g.csv"
    other.write_text("frame,AU01\n0,0.5\n")
    with pytest.raises(InputError, match="AU02"):
        load_unit_reader("pyfeat", fps=25).read(other)


def test_pyfeat_runs_only_where_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = load_unit_reader("pyfeat", fps=10.0)
    monkeypatch.setitem(sys.modules, "feat", None)
    with pytest.raises(MissingDependency, match="py-feat"):
        reader.read(tmp_path / "talk.mp4")

    class Table:
        columns = ("frame", "FaceScore", *FEAT_UNITS)

        def itertuples(self, index: bool):
            assert index is False
            return iter([(0, 0.9, *[0.25] * 20), (1, None, *[None] * 20)])

    def detect(path: str, data_type: str) -> Table:
        assert (path, data_type) == (str(tmp_path / "talk.mp4"), "video")
        return Table()

    monkeypatch.setitem(sys.modules, "feat", SimpleNamespace(Detector=lambda: SimpleNamespace(detect=detect)))
    (person,) = reader.read(tmp_path / "talk.mp4")
    assert person.units.column("AU09")[0] == 1.25
    assert person.units.valid.tolist() == [True, False]
    assert person.units.pts_seconds.tolist() == [0.0, 0.1]
