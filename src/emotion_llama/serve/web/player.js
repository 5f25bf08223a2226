// The clip itself: picture or sound, faces to pick in it, subtitles, one clock for the whole page.

import { createControls } from "./controls.js";
import { indexAt } from "./curves.js";
import { el, svg } from "./dom.js";
import { t } from "./i18n.js";

/**
 * A player for a clip and its document. Where the browser cannot play the file, its clock still moves by `seek`, so
 * that the timeline keeps working.
 *
 * onTime(seconds, isPlaying) is called as time passes; onPick(person_id) when a face is clicked.
 */
export function createPlayer({ clip, document: found, onTime, onPick }) {
  const isVideo = found.clip.video !== null;
  const duration = found.clip.duration_seconds;
  const media = el(isVideo ? "video" : "audio", { playsinline: true, preload: "auto", src: clip.url });
  const faces = svg("svg", { class: "faces", "aria-hidden": "true" });
  const screen = el("div", { class: isVideo ? "screen" : "screen sound" }, media, isVideo ? faces : null);
  const trouble = el("p", { class: "unplayable", hidden: true });
  const controls = createControls({ media, screen: isVideo ? screen : null, duration, onSeek: (seconds) => seek(seconds) });
  const node = el("div", { class: "player" }, screen, trouble, controls.node);
  let isPlayable = true;
  let clock = 0;
  let current = null;

  if (isVideo) screen.style.setProperty("--ratio", String(found.clip.video.width / found.clip.video.height));

  function drawFaces(seconds) {
    const seen = found.people.filter((person) => person.face?.curves);
    if (!isVideo || !isPlayable || !seen.length) return;
    const [width, height] = seen[0].face.frame_size;
    faces.setAttribute("viewBox", `0 0 ${width} ${height}`);
    faces.replaceChildren(
      ...seen.flatMap((person) => {
        const { pts_seconds: times, boxes_xyxy: boxes } = person.face.curves;
        const box = boxes[indexAt(times, seconds)];
        if (!box) return [];
        const [x1, y1, x2, y2] = box;
        const isCurrent = person.person_id === current;
        const place = { x: x1, y: y1, width: x2 - x1, height: y2 - y1, rx: 6 };
        const pick = (event) => (event.preventDefault(), onPick(person.person_id));
        return [
          svg("g", { class: isCurrent ? "face-box current" : "face-box", onclick: pick },
            svg("rect", { ...place, class: "hit" }), svg("rect", { ...place, class: "frame" }),
            seen.length > 1 ? svg("text", { x: x1 + 6, y: y1 > 22 ? y1 - 7 : y2 + 18, "font-size": Math.max(13, height / 26) }, t("person.name", { id: person.person_id })) : null),
        ];
      }),
    );
  }

  function tell() {
    if (isPlayable) clock = media.currentTime;
    show(clock);
  }

  function show(seconds) {
    drawFaces(seconds);
    controls.setTime(seconds);
    onTime(seconds, isPlayable && !media.paused);
  }

  function seek(seconds) {
    clock = Math.min(Math.max(seconds, 0), duration);
    // The very end shows no picture in some browsers.
    if (isPlayable) media.currentTime = Math.min(clock, Math.max(duration - 0.001, 0));
    show(clock);
  }

  function toggle() {
    if (!isPlayable) return;
    if (media.paused) void media.play().catch(() => {});
    else media.pause();
  }

  let isTicking = false;
  function tick() {
    tell();
    isTicking = isPlayable && !media.paused && node.isConnected;
    if (isTicking) requestAnimationFrame(tick);
  }

  media.addEventListener("click", toggle);
  media.addEventListener("play", () => {
    if (!isTicking) tick();
  });
  for (const name of ["pause", "seeked", "loadeddata", "ended"]) media.addEventListener(name, tell);
  media.addEventListener("error", () => {
    isPlayable = false;
    screen.hidden = true;
    trouble.hidden = false;
    controls.unplayable();
    relabel();
    tell();
  });

  function subtitle(lines) {
    const timed = lines.filter((line) => line.start_seconds !== null && line.end_seconds !== null);
    if (!isVideo || !timed.length) return;
    const track = media.addTextTrack("captions", t("player.words"));
    for (const line of timed) track.addCue(new VTTCue(line.start_seconds, line.end_seconds, line.text));
    track.mode = "hidden";
    controls.offerSubtitles(track);
  }
  subtitle(found.people.flatMap((p) => p.segments.flatMap((s) => s.evidence.transcript?.lines ?? []))
    .filter((line, i, all) => all.findIndex((l) => l.start_seconds === line.start_seconds && l.text === line.text) === i));

  function relabel() {
    trouble.textContent = t("player.unplayable");
    controls.relabel();
    drawFaces(clock);
  }

  relabel();
  return {
    node,
    media,
    duration,
    relabel,
    get time() {
      return clock;
    },
    get isPlayable() {
      return isPlayable;
    },
    seek,
    toggle,
    showPerson(person) {
      current = person;
      drawFaces(clock);
    },
    close() {
      media.pause();
      media.removeAttribute("src");
      media.load();
    },
  };
}
