"""Speed and memory of the whole evidence, stage by stage: `OMP_NUM_THREADS=1 python benchmarks/evidence_speed.py`.

The clip is rendered by the project: 1280x720, 25 frames a second, H.264, one moving face before a detailed background,
a synthetic voice. CPU seconds are user + system of the whole process, all threads, so that "times real time per core"
does not depend on the number of cores. Memory is the largest resident size of a fresh process for each length. Start-up
and output are the wall seconds of `emotion-llama analyze` less what its result says of its stages. Wall seconds of
eight clips with --jobs 2 stand beside those of two commands side by side with four clips each: what the cores give.

Options: --seconds N (length for the stage table, 20), --long N (length of the long clip, 600; 0 leaves it out).
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path

import cv2
import numpy as np

FPS = 25
SIZE = (1280, 720)
LOOP_SECONDS = 10


def loop_frames() -> list[np.ndarray]:
    """Ten seconds of pictures that join end to start: a face that sways, turns and opens its mouth."""
    from emotion_llama.face.geometry import canonical_mesh
    from merr_synth.render.face import ANNA, DrawnFace, Placement, render

    rng = np.random.default_rng(0)
    noise = rng.normal(128, 60, (SIZE[1] // 4, SIZE[0] // 4, 3)).clip(0, 255).astype(np.uint8)
    background = cv2.resize(noise, SIZE, interpolation=cv2.INTER_CUBIC)
    vertices = canonical_mesh()
    jaw = np.zeros_like(vertices)
    jaw[:, 1] = -0.8 / (1 + np.exp((vertices[:, 1] + 4.4) * 4))
    frames = []
    for i in range(FPS * LOOP_SECONDS):
        turn = 2 * np.pi * i / (FPS * LOOP_SECONDS)
        place = Placement(
            (640 + 120 * np.sin(turn), 330 + 20 * np.cos(2 * turn)),
            210,
            (4 * np.sin(3 * turn), 15 * np.sin(2 * turn), 0),
        )
        opening = max(0.0, float(np.sin(2 * np.pi * 4 * i / FPS)))
        frames.append(render(SIZE, [DrawnFace(ANNA, place, jaw * opening)], background).image)
    return frames


def make_clip(path: Path, seconds: int, frames: list[np.ndarray]) -> None:
    """Write a clip of `seconds`, the loop over and over."""
    from emotion_llama.media.writing import write_clip
    from merr_synth.render.voice import VoiceSpec, render_voice

    voice = render_voice(VoiceSpec(duration_seconds=float(LOOP_SECONDS), pauses=((3.0, 3.6), (7.0, 7.8)))).samples
    sound = np.tile(voice, -(-seconds // LOOP_SECONDS))[: seconds * 16_000]
    write_clip(path, islice(cycle(frames), seconds * FPS), fps=FPS, audio=sound, sample_rate_hz=16_000)


def cpu_seconds() -> float:
    """User and system time of this process so far, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def timed(work: Callable[[], object]) -> tuple[float, float, object]:
    """CPU seconds, wall seconds and result of `work`."""
    cpu, wall = cpu_seconds(), time.perf_counter()
    result = work()
    return cpu_seconds() - cpu, time.perf_counter() - wall, result


def stages(path: Path) -> Iterator[tuple[str, float, float]]:
    """(stage, CPU seconds, wall seconds) of each part alone, then of the whole; models are started before."""
    from emotion_llama import Analyzer
    from emotion_llama.face.action_units import estimate
    from emotion_llama.face.backends import load_backend
    from emotion_llama.face.track import Tracker
    from emotion_llama.media.audio import iter_audio
    from emotion_llama.media.frames import iter_frames
    from emotion_llama.media.probe import probe
    from emotion_llama.speech.voice_track import measure_voice

    clip = probe(path)
    analyzer = Analyzer.load("rules")
    analyzer.mesh_backend()
    measure_voice(islice(iter_audio(clip, chunk_seconds=1.0), 1))  # imports
    chunks: list[object] = []
    cpu, wall, _ = timed(lambda: chunks.extend(iter_frames(clip, max_side=640)))
    yield "decode, scale to 640", cpu, wall
    observed = []
    with load_backend("onnx_mesh") as backend:
        cpu, wall, observed = timed(lambda: [backend.observe(chunk.images) for chunk in chunks])  # type: ignore[attr-defined, assignment]
        yield "find and mesh faces", cpu, wall
    tracker = Tracker(frame_size=(640, 360))
    cpu, wall, _ = timed(lambda: [tracker.update(c, o) for c, o in zip(chunks, observed, strict=True)])  # type: ignore[arg-type]
    yield "track and measure", cpu, wall
    cpu, wall, _ = timed(lambda: [estimate(track) for track in tracker.finish()])
    yield "action units", cpu, wall
    cpu, wall, _ = timed(lambda: measure_voice(iter_audio(clip)))
    yield "decode and measure voice", cpu, wall
    cpu, wall, _ = timed(lambda: analyzer.analyze(path))
    yield "whole analysis", cpu, wall


def peak_megabytes(path: Path) -> float:
    """Largest resident size of a fresh process that analyses `path`."""
    # VmHWM, not ru_maxrss: the latter still counts the memory of the process that started this one.
    code = (
        "import sys; from emotion_llama import Analyzer; Analyzer.load('rules').analyze(sys.argv[1]);"
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024


def analyze(*arguments: object) -> float:
    """Wall seconds of `emotion-llama analyze`."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-m", "emotion_llama", "analyze", "--quiet", *map(str, arguments)], check=True)
    return time.perf_counter() - begun


def beyond_measuring(path: Path, result: Path) -> float:
    """Seconds of a run that are no stage of its clip: starting Python, imports, writing the document."""
    whole = analyze(path, "--json", result)
    return whole - sum(json.loads(result.read_text())["seconds_by_stage"].values())


def shared_out(path: Path, folder: Path) -> tuple[float, float, float]:
    """Wall seconds of eight clips: by one process, with --jobs 2, and by two commands with four clips each."""
    clips = [folder / f"{i}.mp4" for i in range(8)]
    for clip in clips:
        clip.symlink_to(path)
    one, two = (analyze(*clips, "--out", folder / f"jobs{jobs}", "--jobs", jobs) for jobs in (1, 2))
    begun = time.perf_counter()
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda half: analyze(*half, "--out", folder / "halves", "--jobs", 1), (clips[:4], clips[4:])))
    return one, two, time.perf_counter() - begun


def main() -> None:
    """Print the table and the single figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--long", type=int, default=600)
    args = parser.parse_args()
    frames = loop_frames()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        make_clip(path, args.seconds, frames)
        count = args.seconds * FPS
        print(f"{args.seconds} s, {SIZE[0]}x{SIZE[1]}, {FPS} fps, {path.stat().st_size / 1e6:.1f} MB")
        print(f"{'stage':<28}{'CPU s':>8}{'ms/frame':>10}{'wall s':>8}{'x real time per core':>22}")
        for name, cpu, wall in stages(path):
            print(f"{name:<28}{cpu:8.2f}{1000 * cpu / count:10.2f}{wall:8.2f}{args.seconds / cpu:22.1f}")
        extra = min(beyond_measuring(path, Path(folder) / "result.json") for _ in range(5))
        print(f"start-up and output, beyond measuring, least of 5: {extra:.2f} s")
        one, two, halves = shared_out(path, Path(folder))
        print(f"eight clips: --jobs 1 {one:.1f} s, --jobs 2 {two:.1f} s, two commands side by side {halves:.1f} s")
        for seconds in (10, 60, args.long):
            if seconds:
                make_clip(path, seconds, frames)
                print(f"largest resident size, {seconds:>4} s of video: {peak_megabytes(path):7.0f} MB")


if __name__ == "__main__":
    main()
