"""What a stage is: one step of a build, over clips one by one, or over the whole set at once.

A stage's work for a clip is done when the ledger holds a run whose fingerprint is still that of its name, version,
settings and what the stages it needs have put out. Everything a stage's output depends on is therefore in `settings`
or comes from a stage in `needs`; nothing else may be read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from emotion_llama.errors import EmotionLlamaError
from emotion_llama.merr.records import StageInput, StageOutput

# process: CPU work on media, in worker processes; thread: waits for servers; main: a model that one thread holds;
# inline: too quick to hand over.
Pool = Literal["process", "thread", "main", "inline"]
Results: TypeAlias = list[StageOutput | EmotionLlamaError]

# What of a clip a stage may read beside the media. A stage that reads less names it in `reads_clip`.
GIVEN_FACTS: tuple[str, ...] = (
    "source", "person", "given_label", "given_subtitle", "subtitle_source", "subtitle_language", "given_split",
    "stated_frame_count",
)  # fmt: skip


class Stage:
    """A step of a build. Instances travel to worker processes: they are small and picklable.

    Attributes:
        name: in the ledger and in recipes.
        version: raised when the code gives other results for the same input and settings.
        needs: stages whose fields it reads; a clip that one of them failed or dropped (scope "all") never comes here.
        settings: what its output depends on beyond its input, as JSON values; no secrets.
        reads_clip: what of the clip itself it reads.
        reads_artifacts: names of the artifacts it wants as bytes.
        sees_all: it is given all clips at once, by id (sampling, balance, splits); deterministic, quick, run in the
            building process.
        pool: where it runs.
        batch_size: clips it is given at once; 1 unless a model is quicker with more.
    """

    name: str
    version: int = 1
    needs: tuple[str, ...] = ()
    settings: Mapping[str, object]
    reads_clip: tuple[str, ...] = GIVEN_FACTS
    reads_artifacts: tuple[str, ...] = ()
    sees_all: bool = False
    pool: Pool = "inline"
    batch_size: int = 1

    def run(self, items: Sequence[StageInput]) -> Results:
        """One output, or the error, for each clip in order. An error of one clip never costs another its output."""
        results: Results = []
        for item in items:
            try:
                results.append(self.one(item))
            except EmotionLlamaError as error:  # noqa: PERF203  (an error is one clip's alone)
                results.append(error)
        return results

    def one(self, item: StageInput) -> StageOutput:
        """The output for one clip; an error that the package raises on purpose is that clip's result."""
        raise NotImplementedError
