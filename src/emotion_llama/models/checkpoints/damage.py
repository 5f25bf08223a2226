"""Say why a weight file cannot be read, by its own bytes: never in torch's words, which advise to run what is in it."""

from __future__ import annotations

import pickle
import pickletools
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import IO

_HEAD_BYTES = 1024
_MOST_BYTES = 64 * 2**20  # of a pickle; those of 7B models, values aside, have less than one MiB
_ZIP_START = b"PK\x03\x04"
# What zipfile raises at damaged or unusual archives (NotImplementedError and encryption are RuntimeErrors).
_BAD_ZIP = (zipfile.BadZipFile, RuntimeError, ValueError, EOFError, OSError, struct.error, zlib.error)
# The number that torch before 1.6 began its files with, pickled.
_OLD_START = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
_BROKEN_OFF = "it breaks off before its end: the download was not whole; fetch it again"
_NO_SAFETENSORS = "no whole safetensors file: the download was cut, or it is something else; fetch it again"
# What tensors, and the command lines and numbers that training code keeps beside them, are made of.
_HARMLESS = (
    "collections.OrderedDict", "argparse.Namespace", "torch._utils._rebuild_", "numpy.core.multiarray.",
    "numpy._core.multiarray.", "numpy.dtype", "numpy.ndarray", "__builtin__.set",
    "builtins.set",
)  # fmt: skip
_TYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")
_NEW_PROTOCOLS = (b"\x03", b"\x04", b"\x05")
_OPCODES_OF_TEXT = ("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8")


def why_unreadable(file: Path) -> str:
    """What is wrong with a file that the readers refused, and what to do: a web page, a break, code, or unknown.

    Nothing in the file is run or unpacked: a pickle's instructions are listed, not followed.
    """
    try:
        with file.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
        is_zip = head.startswith(_ZIP_START)
        if file.suffix == ".safetensors":
            return "a torch file under another name; call it .pth" if is_zip else _head_problem(head) or _NO_SAFETENSORS
        if problem := _zip_problem(file) if is_zip else _head_problem(head):
            return problem
    except OSError as error:
        return f"it cannot be read ({error.strerror or error})"
    content = _pickled(file, is_zip=is_zip)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pickletools at strings with odd escapes
        called = [name for name in dict.fromkeys(_called(content)) if not _is_harmless(name)]
    if called:
        return _refusal(", ".join(called[:3]), is_model=all(name.startswith("torch.nn.") for name in called))
    if content[:1] == pickle.PROTO and content[1:2] in _NEW_PROTOCOLS:
        return f"of pickle protocol {content[1]}, which the safe reader does not know; save it again with protocol 2"
    if head.startswith(_OLD_START):
        return _BROKEN_OFF
    if _is_text(head):
        return f"a text file, not weights; it begins with {_first_words(head)!r}"
    return "neither a torch file nor safetensors, or damaged; expected .pth, .bin, .pt or .safetensors; fetch it again"


def _refusal(called: str, *, is_model: bool) -> str:
    if is_model:
        return f"it holds a whole pickled model ({called}); expected its tensors alone, as state_dict() gives them"
    return (
        f"refused, because loading it would call {called}; tensors need no such thing. "
        "Do not load it with other tools either; get the file from its publisher"
    )


def _head_problem(head: bytes) -> str:
    """What the first bytes tell of a file that is no zip archive; "" when they tell nothing."""
    if not head:
        return "the file is empty; fetch it again"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        return (
            "a web page, not weights: the download was refused or wants a confirmation (a login, a quota, a large-file "
            "warning); open the link in a browser and fetch the file itself"
        )
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not weights; run 'git lfs pull' where it came from"
    if head[257:262] == b"ustar":
        return "a tar archive; unpack it, and give the weight file that is in it"
    return ""


def _zip_problem(file: Path) -> str:
    try:
        with zipfile.ZipFile(file) as archive:
            if _pickle_in(archive) is None:
                return (
                    "a zip archive without a torch file's data.pkl; unpack it, and give the weight file that is in it"
                )
    except _BAD_ZIP:
        return _BROKEN_OFF
    return ""


def _pickle_in(archive: zipfile.ZipFile) -> str | None:
    return next((name for name in archive.namelist() if name.endswith("/data.pkl")), None)


def _pickled(file: Path, *, is_zip: bool) -> bytes:
    """The pickle of a torch zip; the whole of another file; b"" where an archive is damaged within or encrypted."""
    try:
        if is_zip:
            with zipfile.ZipFile(file) as archive, archive.open(_pickle_in(archive) or "") as stream:
                return stream.read(_MOST_BYTES)
        with file.open("rb") as plain:
            return plain.read(_MOST_BYTES)
    except _BAD_ZIP:
        return b""


def _called(content: bytes) -> Iterator[str]:
    """Dotted names of everything that pickles, one after the other as torch before 1.6 wrote them, look up and call."""
    pickles = BytesIO(content)
    while pickles.tell() < len(content):
        yield from _globals(pickles)
        if content[pickles.tell() - 1 : pickles.tell()] != pickle.STOP:
            return


def _globals(stream: IO[bytes]) -> Iterator[str]:
    """Names in one pickle, up to its end or to where it makes no sense."""
    texts: list[str] = []  # strings as they are pushed: STACK_GLOBAL takes the last two
    memo: dict[int, str] = {}
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name in ("GLOBAL", "INST"):
                yield str(argument).replace(" ", ".", 1)
            elif opcode.name == "STACK_GLOBAL":
                yield ".".join(texts[-2:]) or "a hidden function"
            elif opcode.name in _OPCODES_OF_TEXT:
                texts.append(str(argument))
            elif opcode.name == "MEMOIZE":
                memo[len(memo)] = texts[-1] if texts else ""
            elif opcode.name in ("PUT", "BINPUT", "LONG_BINPUT"):
                memo[int(argument or 0)] = texts[-1] if texts else ""
            elif opcode.name in ("GET", "BINGET", "LONG_BINGET"):
                texts.append(memo.get(int(argument or 0), ""))
    except (ValueError, IndexError, OverflowError):
        return


def _is_harmless(name: str) -> bool:
    kind = name.removeprefix("torch.")
    is_torch = kind != name and (kind.endswith(("Storage", "Tensor", "Size", "device")) or kind in _TYPES)
    return is_torch or name.startswith(_HARMLESS)


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if len(head) < _HEAD_BYTES or error.start < len(head) - 3:  # the last letter may be cut by the end of the head
            return False
        text = head[: error.start].decode("utf-8")
    return all(letter.isprintable() or letter in "\r\n\t" for letter in text)


def _first_words(head: bytes) -> str:
    return " ".join(head[:60].decode("utf-8", errors="ignore").split())
