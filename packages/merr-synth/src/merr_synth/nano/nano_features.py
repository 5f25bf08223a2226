"""Features of decoded clips: what the encoders make of crops, frames and sound that are kept already.

The same vectors as `emotion-llama features` makes of the files, for faces and frames were kept at the encoders' sizes;
the sound was kept in half precision.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from emotion_llama.models.clips import ClipFeatures, ClipInputs
from emotion_llama.models.features.extractor import FeatureExtractor
from emotion_llama.records import AudioInfo, Clip
from emotion_llama.results import Missing
from merr_synth.nano.encoders.clips import ClipArrays, ClipCache

Say = Callable[[str], None]
NOT_SEEN = "nobody was seen when the clip was decoded"
NOT_HEARD = "the clip has no sound"
NO_FRAME = "the clip has no video"
_SAMPLE_RATE_HZ = 16_000
_FEW_CLIPS = 32  # below that, starting processes costs more than it spares


def store_features(
    model: Path, cache: ClipCache, names: Sequence[str], out: Path, *, workers: int = 1, say: Say = lambda line: None
) -> int:
    """Write a feature store of all clips that the cache holds; how many are new.

    Args:
        model: folder whose encoders are used.
        cache: decoded clips.
        names: of the clips.
        out: folder of the store; clips that are there are left alone.
        workers: processes that read and encode, one thread each; this one writes.
        say: told of progress.

    Raises:
        InputError: the store was made by other encoders, or a clip cannot be read.
    """
    from emotion_llama.models.features.feature_store import FeatureStore

    made = 0
    with FeatureStore(out, writable=True, recipe=_recipe(_extractor(model))) as store:
        wanted = [name for name in names if name not in store and name in cache]
        for name, clip, features in _encoded(model, cache, wanted, workers):
            store.add(name, clip.path, clip.sha256, features)
            made += 1
            if made % 500 == 0:
                say(f"features of {made} clips")
    return made


def _extractor(model: Path) -> FeatureExtractor:
    from emotion_llama.models.features.extractor import TorchEncoders
    from emotion_llama.models.inputs import sound_recipe

    encoders = TorchEncoders.load(model)
    return FeatureExtractor(encoders, sound=sound_recipe(encoders.audio_recipe))


def _recipe(extractor: FeatureExtractor) -> dict[str, object]:
    encoders: Any = extractor.encoders
    return {**extractor.recipe(), "encoders": encoders.fingerprint(), "of": "decoded clips"}


def _encoded(
    model: Path, cache: ClipCache, names: Sequence[str], workers: int
) -> Iterator[tuple[str, Clip, ClipFeatures]]:
    """Name, clip and features of each, in order."""
    if workers == 1 or len(names) < _FEW_CLIPS:
        worker = _Worker(model, cache)
        yield from map(worker, names)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _start_worker, (model, cache)) as pool:
        yield from pool.map(_work, names, chunksize=8)


class _Worker:
    """Reads and encodes clips, in this process or one of its own."""

    def __init__(self, model: Path, cache: ClipCache) -> None:
        self._extractor = _extractor(model)
        self._cache = cache

    def __call__(self, name: str) -> tuple[str, Clip, ClipFeatures]:
        inputs = inputs_of(self._cache.read(name), self._cache.path(name))
        assert inputs.clip is not None
        return name, inputs.clip, self._extractor.extract(inputs)


_worker: _Worker | None = None


def _start_worker(model: Path, cache: ClipCache) -> None:
    import torch

    global _worker
    torch.set_num_threads(1)
    _worker = _Worker(model, cache)


def _work(name: str) -> tuple[str, Clip, ClipFeatures]:
    assert _worker is not None
    return _worker(name)


def inputs_of(arrays: ClipArrays, path: Path) -> ClipInputs:
    """A decoded clip as the encoders take it; its first frame is the one of the frame policy "peak"."""
    missing = []
    faces, frames, samples = arrays.faces, arrays.frames, arrays.samples
    for name, value, why in (("faces", faces, NOT_SEEN), ("frame", frames, NO_FRAME), ("sound", samples, NOT_HEARD)):
        if value is None:
            missing.append(Missing(name, why))
    sound = None if samples is None else samples.astype(np.float32)
    seconds = 1.0 if sound is None else len(sound) / _SAMPLE_RATE_HZ
    # The file itself plays no part; the hash only tells clips of a store apart.
    clip = Clip(path, path.stem, max(seconds, 1e-3), None, AudioInfo(_SAMPLE_RATE_HZ, 1, "decoded"))
    frame = None if frames is None else frames[0]
    return ClipInputs(frame, faces, sound, tuple(missing), 0.0, "kept as the peak frame", clip)
