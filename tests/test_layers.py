"""Who may import whom: folders in one strict order, downwards only, and no circle of files or of folders anywhere."""

import ast
from collections.abc import Mapping
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "emotion_llama"

# Highest floor first: a folder imports only from floors below its own; folders that share a floor do not import each
# other, nor do files of the lowest floor in a circle.
FLOORS = (
    ("__main__",),
    ("cli",),
    ("serve",),
    ("report", "exports", "doctor"),
    ("train",),
    ("evaluation",),
    ("merr",),
    ("analysis",),
    ("predictors",),
    ("rules",),
    ("chat",),
    ("models",),
    ("prompts", "media", "face", "speech"),
    ("document",),
    ("schema", "config", "files", "tables", "peaks"),
    ("records", "results", "labels", "errors", "__init__"),
)
FLOOR_OF = {name: floor for floor, names in enumerate(reversed(FLOORS)) for name in names}


def module_of(path: Path, source: Path = SOURCE) -> str:
    parts = path.relative_to(source).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def imports_of(path: Path, modules: frozenset[str], package: str, *, tables: bool) -> set[str]:
    """Modules of the package that a file imports, lazily or not; with `tables` also those that an entry names.

    An entry "package.x:Class" of a table is imported when it is asked for, so that it makes no circle with the module
    that holds the table; upwards it may not lead all the same.
    """
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import on line {node.lineno}"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif tables and isinstance(node, ast.Constant) and isinstance(node.value, str) and ":" in node.value:
            found.add(node.value.split(":")[0])
    inside = {name.removeprefix(f"{package}.") for name in found if name.startswith(f"{package}.")}
    return {resolved for name in inside if (resolved := _resolve(name, modules))}


def _resolve(name: str, modules: frozenset[str]) -> str:
    """The longest beginning of a dotted name that is a module; "" for a name of the package itself."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name


def graph_of(source: Path, package: str, *, tables: bool = False) -> dict[str, set[str]]:
    paths = {module_of(path, source): path for path in sorted(source.rglob("*.py"))}
    modules = frozenset(paths)
    # The public names of the whole package, resolved lazily, may lead anywhere.
    return {
        name: imports_of(path, modules, package, tables=tables) - {name}
        for name, path in paths.items()
        if name != "__init__"
    }


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Strongly connected parts of more than one node (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph.get(node, ())):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            part = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(part) > 1:
                found.append(sorted(part))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def folder_graph(graph: Mapping[str, set[str]], depth: int) -> dict[str, set[str]]:
    """The same between folders `depth` levels deep; a file of a shallower folder stands for itself."""
    cut = lambda name: ".".join(name.split(".")[:depth])  # noqa: E731
    folders: dict[str, set[str]] = {}
    for name, others in graph.items():
        folders.setdefault(cut(name), set()).update(cut(other) for other in others if cut(other) != cut(name))
    return folders


GRAPH = graph_of(SOURCE, "emotion_llama")


def test_imports_run_downwards() -> None:
    upward = [
        f"{name} imports {other}"
        for name, others in graph_of(SOURCE, "emotion_llama", tables=True).items()
        for other in others
        if (a := name.split(".")[0]) != (b := other.split(".")[0])
        and FLOOR_OF[a] <= FLOOR_OF[b]
        and not (FLOOR_OF[a] == 0 == FLOOR_OF[b])
    ]
    assert not upward, "\n".join(upward)


def test_every_folder_has_a_floor() -> None:
    folders = {name.split(".")[0] for name in GRAPH}
    assert folders <= set(FLOOR_OF), f"say where they belong: {folders - set(FLOOR_OF)}"
    assert len(GRAPH) > 100


def test_no_circle_of_files() -> None:
    assert circles(GRAPH) == []


def test_no_circle_of_folders_at_any_depth() -> None:
    deepest = max(name.count(".") for name in GRAPH) + 1
    for depth in range(1, deepest + 1):
        assert circles(folder_graph(GRAPH, depth)) == [], f"folders at depth {depth}"


def test_the_walk_finds_what_it_is_for(tmp_path: Path) -> None:
    for name, text in {
        "a/x.py": "def f():\n    from p.b import y\n",
        "b/y.py": "import p.a.w\nT = {'a': 'p.a.z:Z'}\n",
        "a/z.py": "import p.a.w\n",
        "a/w.py": "from p.a.z import Z\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    graph = graph_of(tmp_path, "p")
    assert (graph["a.x"], graph["b.y"]) == ({"b.y"}, {"a.w"})
    assert graph_of(tmp_path, "p", tables=True)["b.y"] == {"a.w", "a.z"}
    assert circles(graph) == [["a.w", "a.z"]]
    assert circles(folder_graph(graph, 1)) == [["a", "b"]]
