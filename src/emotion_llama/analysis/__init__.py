"""From a file to its analysis: the one raw-video path of command line, Python, server and dataset builder."""

from emotion_llama.analysis.analyzer import Analyzer
from emotion_llama.analysis.features import ClipEmbedding, Embedder

__all__ = ["Analyzer", "ClipEmbedding", "Embedder"]
