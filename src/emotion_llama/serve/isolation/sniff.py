"""What a file is by its first bytes, whatever it is called."""

from __future__ import annotations

SNIFF_BYTES = 4096  # how much of a file `sniff` wants to see; less will do for a small file
# What `sniff` can answer; each is a usual suffix, and FFmpeg's demuxer of that name reads it.
KINDS = ("mp4", "mov", "m4a", "webm", "mkv", "avi", "wav", "mp3", "flac", "ogg")

_EBML = b"\x1a\x45\xdf\xa3"
_EBML_DOC_TYPE = b"\x42\x82"
_STILL_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis", b"jxl ", b"jp2 ", b"crx "})
_SOUND_BRANDS = frozenset({b"M4A ", b"M4B ", b"M4P "})
# QuickTime files from before `ftyp` begin with one of these boxes.
_QUICKTIME_BOXES = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
_RIFF_KINDS = {b"AVI ": "avi", b"WAVE": "wav"}


def sniff(head: bytes) -> str | None:
    """The kind of media file that begins with `head` (its first `SNIFF_BYTES`), one of `KINDS`; None for all else.

    Signatures: ISO/IEC 14496-12 (`ftyp`), QuickTime File Format, RFC 8794 and the Matroska specification (EBML,
    DocType), RIFF and RF64 (EBU Tech 3306), RFC 3533 (Ogg), RFC 9639 (FLAC), ID3v2, ISO/IEC 11172-3 (frame header).
    Pictures in the same containers (HEIC, AVIF) are none.
    """
    if head[4:8] == b"ftyp":
        return _by_brand(head[8:12])
    if head[4:8] in _QUICKTIME_BOXES:
        return "mov"
    if head.startswith(_EBML):
        return _by_doc_type(head)
    if head[:4] in (b"RIFF", b"RF64"):
        return _RIFF_KINDS.get(head[8:12])
    if head.startswith(b"fLaC"):
        return "flac"
    if head.startswith(b"OggS"):
        return "ogg"
    return "mp3" if head.startswith(b"ID3") or _is_layer_3(head) else None


def _by_brand(brand: bytes) -> str | None:
    if brand in _STILL_BRANDS:
        return None
    if brand == b"qt  ":
        return "mov"
    return "m4a" if brand in _SOUND_BRANDS else "mp4"


def _by_doc_type(head: bytes) -> str | None:
    at = head.find(_EBML_DOC_TYPE, len(_EBML))
    size = head[at + 2] & 0x7F if 0 <= at < len(head) - 2 else 0
    return {b"webm": "webm", b"matroska": "mkv"}.get(head[at + 3 : at + 3 + size]) if size else None


def _is_layer_3(head: bytes) -> bool:
    """Whether an MPEG audio frame of layer III begins here: sync, a version, and rates that exist."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bit_rate, sample_rate = head[2] >> 4, head[2] >> 2 & 3
    return version != 1 and layer == 1 and bit_rate not in (0, 15) and sample_rate != 3
