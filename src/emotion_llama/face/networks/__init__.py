"""The face networks that come with the package, as ONNX Runtime's sessions; made by scripts/convert-face-networks."""

from __future__ import annotations

from importlib import resources
from typing import Any

from emotion_llama.errors import InputError, MissingDependency


def open_network(name: str, provider: str = "cpu") -> Any:
    """An InferenceSession of `<name>.onnx` beside this file, on one thread.

    Args:
        name: of the network.
        provider: ONNX Runtime's execution provider by its short name: cpu, cuda, coreml, dml, openvino, ...

    Raises:
        MissingDependency: onnxruntime is not installed.
        InputError: this onnxruntime does not have the provider, or cannot start it.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependency("onnxruntime", "finding faces", "pip install onnxruntime") from error
    installed = {full.removesuffix(_SUFFIX).lower(): full for full in onnxruntime.get_available_providers()}
    if provider not in installed:
        raise InputError(
            f"this onnxruntime has no execution provider {provider!r}, only {', '.join(installed)}; "
            "install the onnxruntime of your accelerator (onnxruntime-gpu for cuda), or leave the option out"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # the networks are too small to share
    options.log_severity_level = 3
    model = resources.files(__package__).joinpath(f"{name}.onnx").read_bytes()
    wanted = list(dict.fromkeys([installed[provider], installed["cpu"]]))
    session = onnxruntime.InferenceSession(model, options, providers=wanted)
    if installed[provider] not in session.get_providers():
        raise InputError(f"the execution provider {provider!r} cannot be started here; are its drivers installed?")
    return session


_SUFFIX = "ExecutionProvider"
