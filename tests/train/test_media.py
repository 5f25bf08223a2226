"""What is shown of an example: its stored features, without the encoders that a run hides."""

from pathlib import Path

import numpy as np
import pytest

from emotion_llama.errors import InputError
from emotion_llama.models.clips import ENCODERS, ClipFeatures
from emotion_llama.models.features.published_folders import open_features
from emotion_llama.train.dataset import stored_media
from emotion_llama.train.examples import Example
from emotion_llama.train.recipe import load_train_recipe
from emotion_llama.train.run import examples_of, with_features

ONES = np.ones(24, np.float32)
WHOLE = ClipFeatures(ONES, ONES, ONES, np.zeros((56, 56, 3), np.uint8))


@pytest.mark.parametrize("place", range(4))
def test_one_encoder_is_left_out_and_no_other(place: int) -> None:
    left = WHOLE.without({tuple(ENCODERS)[place]})
    assert left.present == tuple(i != place for i in range(4))


def test_nothing_to_leave_out_changes_nothing() -> None:
    assert WHOLE.without({"words", "cues"}) is WHOLE


def test_a_run_hides_an_encoder_in_training_and_validation(workshop: Path) -> None:
    recipe = load_train_recipe(workshop / "recipe.yaml", ["data.without=[face, audio]"])
    train, validation, media_of, _ = with_features(recipe, *examples_of(recipe), workshop / "features")
    for example in (train[0], validation[0]):
        media = media_of(example)
        assert media is not None
        assert media.present == (True, False, True, False)


def test_a_clip_that_is_not_stored_has_no_media(workshop: Path) -> None:
    features = open_features(workshop / "features")
    assert stored_media(features, frozenset(), Example("nobody", {"emotion": "sad"})) is None


def test_an_encoder_that_is_none_is_refused(workshop: Path) -> None:
    with pytest.raises(InputError, match=r"without: 'words' is not known \(there are: image, face, temporal, audio\)"):
        load_train_recipe(workshop / "recipe.yaml", ["data.without=[words]"])
