"""The phases of a build after ingest, as a plain list."""

from __future__ import annotations

import json
from collections.abc import Mapping

from emotion_llama.merr.recipe import Recipe
from emotion_llama.merr.stage import Stage

# In this order; "ingest" goes before all of them (`merr.ingest`).
STAGE_NAMES = (
    "evidence", "subtitle", "pseudo_label", "select", "peak", "visual_expression", "visual_objective", "audio_tone",
    "coarse_caption", "fine_caption", "consistency", "balance", "splits",
)  # fmt: skip


def build_stages(recipe: Recipe) -> tuple[Stage, ...]:
    """The stages of a recipe, in the order of `STAGE_NAMES`.

    Stages with equal annotators share one, and with it its budget; no model is loaded and no server asked yet.

    Raises:
        InputError: an annotator's configuration does not fit, or it cannot be asked what its stage asks; a table of
            units or of phrases cannot be used.
    """
    from emotion_llama.merr.annotators import Annotator, load_annotator
    from emotion_llama.merr.stages.captions import CoarseCaptionStage, FineCaptionStage
    from emotion_llama.merr.stages.consistency import ConsistencyStage
    from emotion_llama.merr.stages.descriptions import DescriptionStage
    from emotion_llama.merr.stages.evidence import EvidenceStage, SubtitleStage
    from emotion_llama.merr.stages.labels import PseudoLabelStage
    from emotion_llama.merr.stages.peak import PeakStage
    from emotion_llama.merr.stages.sets import set_stages

    loaded: dict[str, Annotator] = {}

    def annotator(config: Mapping[str, object]) -> Annotator:
        key = json.dumps(config, sort_keys=True, default=str)
        if key not in loaded:
            loaded[key] = load_annotator(config)
        return loaded[key]

    who, (select, balance, splits) = recipe.annotators, set_stages(recipe)
    return (
        EvidenceStage(recipe),
        SubtitleStage(),
        PseudoLabelStage(recipe),
        select,
        PeakStage(recipe),
        DescriptionStage("visual_expression", recipe, annotator(who.expression)),
        DescriptionStage("visual_objective", recipe, annotator(who.visual)),
        DescriptionStage("audio_tone", recipe, annotator(who.audio)),
        CoarseCaptionStage(recipe),
        FineCaptionStage(recipe, annotator(who.reason)),
        ConsistencyStage(recipe, None if who.check is None else annotator(who.check)),
        balance,
        splits,
    )
