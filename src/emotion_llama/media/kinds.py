"""Which files are media: the one list of containers, by first bytes, suffix and media type."""

from __future__ import annotations

import re

# Demuxers that read one self-contained file. Everything else is refused: playlists (hls, dash, concat, sdp) make
# FFmpeg open other files or the network, and the image demuxers take a name as a pattern.
FORMATS: tuple[str, ...] = (
    "mov", "mp4", "m4a", "3gp", "3g2", "mj2", "matroska", "webm", "avi", "mpegts", "mpeg", "mpegvideo", "flv", "asf",
    "ogg", "mxf", "nut", "rm", "gif", "apng", "ivf", "dv", "h264", "hevc", "m4v", "mjpeg", "yuv4mpegpipe", "obu",
    "wav", "w64", "aiff", "au", "caf", "flac", "mp3", "aac", "amr", "ac3", "eac3", "dts", "wv", "tta", "ape",
)  # fmt: skip

SNIFF_BYTES = 4096  # how much of a file `sniff` needs; less will do for a small file

# What `sniff` can return, each a usual suffix, with its media type.
MEDIA_TYPES: dict[str, str] = {
    "mp4": "video/mp4", "mov": "video/quicktime", "m4a": "audio/mp4", "webm": "video/webm", "mkv": "video/x-matroska",
    "avi": "video/x-msvideo", "wav": "audio/wav", "mp3": "audio/mpeg", "flac": "audio/flac", "ogg": "audio/ogg",
    "ts": "video/mp2t", "mpg": "video/mpeg", "flv": "video/x-flv", "wmv": "video/x-ms-wmv", "mxf": "application/mxf",
    "dv": "video/dv", "gif": "image/gif", "apng": "image/apng", "avifs": "image/avif", "heics": "image/heic-sequence",
    "rm": "application/vnd.rn-realmedia",
    "nut": "video/x-nut", "ivf": "video/x-ivf", "y4m": "video/x-yuv4mpeg2", "h264": "video/h264",
    "aiff": "audio/aiff", "au": "audio/basic", "caf": "audio/x-caf", "w64": "audio/x-w64", "aac": "audio/aac",
    "amr": "audio/amr", "ac3": "audio/ac3", "dts": "audio/vnd.dts", "wv": "audio/x-wavpack", "tta": "audio/x-tta",
    "ape": "audio/x-ape",
}  # fmt: skip
KINDS = tuple(MEDIA_TYPES)
# What folders are searched for. A file that is named by itself may have any suffix.
MEDIA_SUFFIXES = frozenset(f".{kind}" for kind in KINDS) | {
    ".m4v", ".m4b", ".mka", ".mpeg", ".m2v", ".mts", ".m2ts", ".vob", ".asf", ".3gp", ".3g2", ".ogv", ".oga", ".opus",
    ".wma", ".aif", ".eac3", ".qt", ".dif", ".hevc", ".264",
}  # fmt: skip

_HEADS: tuple[tuple[bytes, str], ...] = (
    (b"fLaC", "flac"), (b"OggS", "ogg"), (b"ID3", "mp3"), (b"FLV\x01", "flv"), (b"GIF87a", "gif"), (b"GIF89a", "gif"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "wmv"), (b"\x06\x0e\x2b\x34\x02\x05\x01\x01", "mxf"), (b".RMF", "rm"),
    (b"nut/multimedia container\0", "nut"), (b"DKIF", "ivf"), (b"YUV4MPEG2 ", "y4m"), (b".snd", "au"),
    (b"caff", "caf"), (b"riff\x2e\x91\xcf\x11", "w64"), (b"#!AMR", "amr"), (b"\x0b\x77", "ac3"), (b"wvpk", "wv"),
    (b"\x7f\xfe\x80\x01", "dts"), (b"TTA1", "tta"), (b"MAC ", "ape"), (b"\0\0\x01\xba", "mpg"),
    (b"\0\0\x01\xb3", "mpg"),
    (b"\0\0\0\x01\x67", "h264"), (b"\0\0\x01\x67", "h264"), (b"\0\0\0\x01\x09", "h264"),
    (b"\x1f\x07\0\x3f", "dv"), (b"\x1f\x07\0\xbf", "dv"),
)  # fmt: skip
_EBML, _EBML_DOC_TYPE = b"\x1a\x45\xdf\xa3", b"\x42\x82"
_PNG = b"\x89PNG\r\n\x1a\n"
# Brands (`ftyp`) of files that hold pictures; those of `_SEQUENCES` may hold moving ones.
PICTURE_BRANDS = {
    b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"heim": "HEIC", b"heis": "HEIC",
    b"hevc": "HEIC", b"hevx": "HEIC", b"mif1": "HEIF", b"msf1": "HEIF", b"crx ": "CR3", b"jp2 ": "JPEG 2000",
    b"jxl ": "JPEG XL",
}  # fmt: skip
_SEQUENCES = {b"avis": "avifs", b"hevc": "heics", b"hevx": "heics", b"msf1": "heics"}
_SOUND_BRANDS = frozenset({b"M4A ", b"M4B ", b"M4P "})
# QuickTime files from before `ftyp` begin with one of these boxes.
_QUICKTIME_BOXES = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
_FORM_KINDS = {b"AVI ": "avi", b"WAVE": "wav", b"AIFF": "aiff", b"AIFC": "aiff"}
_TS_PACKETS = ((188, 0), (192, 4), (204, 0))  # length, and where the sync byte lies: plain, with times, with parity
# A file of its own within another: where one of these begins, another recording was joined to the first.
SECOND_HEAD = re.compile(
    rb"(?s)\x1a\x45\xdf\xa3.{1,12}\x42\x86|.{4}ftyp[\w ]{4}|RIFF.{4}(?:WAVEfmt |AVI LIST)|"
    rb"FLV\x01[\x01\x04\x05]\0\0\0\x09"
)


def sniff(head: bytes) -> str | None:
    """The kind of media file that begins with `head` (its first `SNIFF_BYTES`), one of `KINDS`; None for all else.

    Signatures: ISO/IEC 14496-12 (`ftyp`), QuickTime File Format, RFC 8794 and the Matroska specification (EBML,
    DocType), RIFF and RF64 (EBU Tech 3306), RFC 3533 (Ogg), RFC 9639 (FLAC), ID3v2, ISO/IEC 11172-3 and 13818-7 (frame
    headers), ISO/IEC 13818-1 (sync bytes), APNG 1.0 (acTL), ISO/IEC 23008-12 (brands of HEIF). Still pictures are none.
    """
    if head[4:8] == b"ftyp":
        return _by_brand(head[8:12])
    if head[4:8] in _QUICKTIME_BOXES:
        return "mov"
    if head.startswith(_EBML):
        return _by_doc_type(head)
    if head[:4] in (b"RIFF", b"RF64", b"FORM"):
        return _FORM_KINDS.get(head[8:12])
    if head.startswith(_PNG):
        return "apng" if b"acTL" in head else None
    for magic, kind in _HEADS:
        if head.startswith(magic):
            return kind
    for size, at in _TS_PACKETS:
        if len(head) > size and all(head[place] == 0x47 for place in range(at, len(head), size)):
            return "ts"
    return _frame_kind(head)


def _by_brand(brand: bytes) -> str | None:
    if brand in PICTURE_BRANDS:
        return _SEQUENCES.get(brand)
    if brand == b"qt  ":
        return "mov"
    return "m4a" if brand in _SOUND_BRANDS else "mp4"


def _by_doc_type(head: bytes) -> str | None:
    at = head.find(_EBML_DOC_TYPE, len(_EBML))
    size = head[at + 2] & 0x7F if 0 <= at < len(head) - 2 else 0
    return {b"webm": "webm", b"matroska": "mkv"}.get(head[at + 3 : at + 3 + size]) if size else None


def _frame_kind(head: bytes) -> str | None:
    """Whether an MPEG audio frame begins here, of layer III or of AAC: sync, a version, and rates that exist."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    if head[1] & 0xF6 == 0xF0:
        return "aac" if head[2] >> 2 & 15 < 13 else None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bit_rate, sample_rate = head[2] >> 4, head[2] >> 2 & 3
    return "mp3" if version != 1 and layer == 1 and bit_rate not in (0, 15) and sample_rate != 3 else None
