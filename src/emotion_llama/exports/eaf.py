"""ELAN's annotation format (EAF 3.0, http://www.mpi.nl/tools/elan/EAFv3.0.xsd): tiers, and the clip beside it."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from xml.etree import ElementTree

from emotion_llama.exports.tiers import tiers
from emotion_llama.schema import AnalysisDocument

_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"


def eaf(document: AnalysisDocument, clip: str) -> str:
    """XML; times in whole milliseconds, as ELAN has them. The clip is looked for beside the file."""
    # The schema wants a date; a fixed one keeps equal results equal files.
    root = ElementTree.Element("ANNOTATION_DOCUMENT", {
        "AUTHOR": document.generator, "DATE": "1970-01-01T00:00:00+00:00", "FORMAT": "3.0", "VERSION": "3.0",
        "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance", "xsi:noNamespaceSchemaLocation": _SCHEMA,
    })  # fmt: skip
    header = ElementTree.SubElement(root, "HEADER", {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"})
    name = Path(document.clip.path).name
    kind = mimetypes.guess_type(name)[0] or ("video/mp4" if document.clip.video else "audio/x-wav")
    ElementTree.SubElement(
        header, "MEDIA_DESCRIPTOR", {"MEDIA_URL": f"./{name}", "MIME_TYPE": kind, "RELATIVE_MEDIA_URL": f"./{name}"}
    )
    order = ElementTree.SubElement(root, "TIME_ORDER")
    slots = annotations = 0
    for tier in tiers(document):
        attributes = {"LINGUISTIC_TYPE_REF": "default-lt", "TIER_ID": tier.name}
        if tier.person_id is not None:
            attributes["PARTICIPANT"] = f"person {tier.person_id}"
        node = ElementTree.SubElement(root, "TIER", attributes)
        for one in tier.intervals:
            ids = []
            for seconds in (one.start_seconds, one.end_seconds):
                slots += 1
                ids.append(f"ts{slots}")  # without a blank, or readers in R fail
                value = {"TIME_SLOT_ID": ids[-1], "TIME_VALUE": str(round(1000 * seconds))}
                ElementTree.SubElement(order, "TIME_SLOT", value)
            annotations += 1
            holder = ElementTree.SubElement(node, "ANNOTATION")
            aligned = ElementTree.SubElement(holder, "ALIGNABLE_ANNOTATION", {
                "ANNOTATION_ID": f"a{annotations}", "TIME_SLOT_REF1": ids[0], "TIME_SLOT_REF2": ids[1],
            })  # fmt: skip
            ElementTree.SubElement(aligned, "ANNOTATION_VALUE").text = one.text
    ElementTree.SubElement(root, "LINGUISTIC_TYPE", {
        "GRAPHIC_REFERENCES": "false", "LINGUISTIC_TYPE_ID": "default-lt", "TIME_ALIGNABLE": "true",
    })  # fmt: skip
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"
