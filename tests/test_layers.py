"""Who may import whom: the rooms of the house, downwards only."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "emotion_llama"

# Lowest floor first; a room may import from its own floor and from those above it in this list.
FLOORS = (
    {"errors", "labels", "records", "__init__"},
    {"media", "face", "speech", "prompts", "answers", "documents", "yaml_recipes"},
    {"models", "data", "annotators", "checkpoints"},
    {"pipeline"},
    {"merr", "train", "evaluation", "report", "synthetic", "doctor", "batch"},
    {"cli", "serve", "__main__"},
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def _room(parts: tuple[str, ...]) -> str:
    return parts[0].removesuffix(".py")


def _imports(path: Path) -> list[str]:
    """Full dotted names of everything of this package that a file imports, lazily or not."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import on line {node.lineno}"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and ":" in node.value:
            # A lazy table entry "emotion_llama.face.backends.x:Class" is an import as well.
            found.append(node.value.split(":")[0])
    return [name for name in found if name.startswith("emotion_llama.")]


FILES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_run_downwards(path: Path) -> None:
    room = _room(path.relative_to(SOURCE).parts)
    if room == "__init__":
        return  # the public names, resolved lazily, may point anywhere
    for name in _imports(path):
        other = name.split(".")[1]
        if other not in FLOOR_OF:
            other = "__init__"  # `from emotion_llama import __version__`
        assert FLOOR_OF[other] <= FLOOR_OF[room], f"{path.name} ({room}) imports {name}: upwards"


def test_every_room_has_a_floor() -> None:
    rooms = {_room(path.relative_to(SOURCE).parts) for path in FILES}
    assert rooms <= set(FLOOR_OF), f"say where they belong: {rooms - set(FLOOR_OF)}"
    assert len(FILES) > 5


def test_walk_finds_an_upward_import(tmp_path: Path) -> None:
    file = tmp_path / "x.py"
    file.write_text("def f():\n    from emotion_llama.cli import main\nT = {'a': 'emotion_llama.report.page:Page'}\n")
    assert set(_imports(file)) == {"emotion_llama.cli.main", "emotion_llama.report.page"}
