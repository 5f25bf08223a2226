"""Features of decoded clips: what the encoders make of crops, frames and sound that are kept already.

The same vectors as `emotion-llama features` makes of the files, for faces and frames were kept at the encoders' sizes;
the sound was kept in half precision.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from emotion_llama.data.clip_inputs import ClipInputs, GlobalFrame
from emotion_llama.data.features import FeatureExtractor
from emotion_llama.records import AudioInfo, Clip, Missing, Waveform
from emotion_llama.train.encoders.clips import ClipArrays, ClipCache

Say = Callable[[str], None]
NOT_SEEN = "nobody was seen when the clip was decoded"
NOT_HEARD = "the clip has no sound"
NO_FRAME = "the clip has no video"
_SAMPLE_RATE_HZ = 16_000


def store_features(
    model: Path, cache: ClipCache, names: Sequence[str], out: Path, *, say: Say = lambda line: None
) -> int:
    """Write a feature store of all clips that the cache holds; how many are new.

    Args:
        model: folder whose encoders are used.
        cache: decoded clips.
        names: of the clips.
        out: folder of the store; clips that are there are left alone.
        say: told of progress.

    Raises:
        InputError: the store was made by other encoders, or a clip cannot be read.
    """
    from emotion_llama.data.encoders import TorchEncoders
    from emotion_llama.data.feature_store import FeatureStore
    from emotion_llama.models.inputs import sound_recipe

    encoders = TorchEncoders.load(model)
    extractor = FeatureExtractor(encoders, sound=sound_recipe(encoders.audio_recipe))
    recipe = {**extractor.recipe(), "encoders": encoders.fingerprint(), "of": "decoded clips"}
    made = 0
    with FeatureStore(out, writable=True, recipe=recipe) as store:
        for name in names:
            if name in store or name not in cache:
                continue
            inputs = inputs_of(cache.read(name), cache.path(name))
            store.add(name, inputs.clip.path, inputs.clip.sha256, extractor.extract(inputs))
            made += 1
            if made % 500 == 0:
                say(f"features of {made} clips")
    return made


def inputs_of(arrays: ClipArrays, path: Path) -> ClipInputs:
    """A decoded clip as the encoders take it; its first frame is the one of the frame policy "peak"."""
    missing = []
    faces, frames, samples = arrays.faces, arrays.frames, arrays.samples
    for name, value, why in (("faces", faces, NOT_SEEN), ("frame", frames, NO_FRAME), ("sound", samples, NOT_HEARD)):
        if value is None:
            missing.append(Missing(name, why))
    sound = None if samples is None else Waveform(samples.astype(np.float32))
    seconds = 1.0 if sound is None else sound.duration_seconds
    # The file itself plays no part; the hash only tells clips of a store apart.
    clip = Clip(path, path.stem, max(seconds, 1e-3), None, AudioInfo(_SAMPLE_RATE_HZ, 1, "decoded"))
    return ClipInputs(
        clip,
        None if frames is None else GlobalFrame(frames[0], 0.0, "peak", "kept as the peak frame"),
        0 if faces is None else len(faces),
        lambda: iter(() if faces is None else (faces,)),
        sound,
        tuple(missing),
    )
