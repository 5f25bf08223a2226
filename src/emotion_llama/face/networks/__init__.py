"""The face networks that come with the package, as ONNX Runtime's sessions; made by scripts/convert-face-networks."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import Any

from emotion_llama.errors import InputError, MissingDependency


def open_network(name: str, providers: Sequence[str] = ("CPUExecutionProvider",)) -> Any:
    """An InferenceSession of `<name>.onnx` beside this file, on one thread.

    Args:
        name: of the network.
        providers: ONNX Runtime's execution providers, in the order of preference.

    Raises:
        MissingDependency: onnxruntime is not installed.
        InputError: this onnxruntime does not have one of the providers.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependency("onnxruntime", "finding faces", "pip install onnxruntime") from error
    if missing := sorted(set(providers) - set(onnxruntime.get_available_providers())):
        known = ", ".join(onnxruntime.get_available_providers())
        raise InputError(f"onnxruntime has no execution provider {missing[0]}; choose among: {known}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # the networks are too small to share
    options.log_severity_level = 3
    model = resources.files(__package__).joinpath(f"{name}.onnx").read_bytes()
    return onnxruntime.InferenceSession(model, options, providers=list(providers))
