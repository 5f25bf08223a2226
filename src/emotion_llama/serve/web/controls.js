// The player's own buttons: quieter than a browser's, in the page's language, and never over the face.

import { el, svg } from "./dom.js";
import { t } from "./i18n.js";
import { clock } from "./wording.js";

const SHAPES = {
  play: "M6 4l11 6-11 6z",
  pause: "M5 4h3.5v12H5zM11.5 4H15v12h-3.5z",
  sound: "M3 8h3l4-3.5v11L6 12H3zM12.5 7a4 4 0 0 1 0 6M14.5 5a7 7 0 0 1 0 10",
  mute: "M3 8h3l4-3.5v11L6 12H3zM13 8l4 4M17 8l-4 4",
  words: "M2.5 4.5h15v11h-15zM5 12h6M13 12h2M5 9h2M9 9h6",
  full: "M3 7V3h4M13 3h4v4M17 13v4h-4M7 17H3v-4",
};

function button(name, onclick) {
  const shape = svg("path", { d: SHAPES[name] });
  const node = el("button", { type: "button", class: "quiet icon", onclick }, svg("svg", { viewBox: "0 0 20 20", "aria-hidden": "true", class: name === "play" ? "solid" : null }, shape));
  return {
    node,
    shape: (other) => shape.setAttribute("d", SHAPES[other]),
    label: (words) => (node.setAttribute("aria-label", words), (node.title = words)),
  };
}

/** Buttons and a scale under the player; `screen` is null for sound alone. */
export function createControls({ media, screen, duration, onSeek }) {
  const play = button("play", () => (media.paused ? void media.play().catch(() => {}) : media.pause()));
  const sound = button("sound", () => (media.muted = !media.muted));
  const words = button("words", () => subtitle());
  const full = button("full", () => (document.fullscreenElement ? document.exitFullscreen() : screen.requestFullscreen()));
  const scale = el("input", { type: "range", min: "0", max: String(duration), step: "0.01", value: "0", tabindex: "-1", oninput: () => onSeek(Number(scale.value)) });
  const now = el("output", { class: "time" });
  const node = el("div", { class: "controls" }, play.node, now, scale, sound.node, words.node, full.node);
  let track = null;
  words.node.hidden = true;
  full.node.hidden = !screen || !document.fullscreenEnabled;

  function subtitle() {
    track.mode = track.mode === "showing" ? "hidden" : "showing";
    relabel();
  }

  function relabel() {
    play.shape(media.paused ? "play" : "pause");
    play.label(t(media.paused ? "player.play" : "player.pause"));
    sound.shape(media.muted ? "mute" : "sound");
    sound.label(t(media.muted ? "player.unmute" : "player.mute"));
    words.label(t("player.words"));
    words.node.setAttribute("aria-pressed", String(track?.mode === "showing"));
    full.label(t("player.full"));
    scale.setAttribute("aria-label", t("timeline.slider"));
  }
  for (const name of ["play", "pause", "volumechange", "ended"]) media.addEventListener(name, relabel);

  return {
    node,
    relabel,
    setTime(seconds) {
      scale.value = String(seconds);
      scale.style.setProperty("--done", `${(100 * seconds) / duration}%`);
      now.textContent = clock(seconds);
    },
    offerSubtitles(made) {
      track = made;
      words.node.hidden = false;
      relabel();
    },
    /** No file that plays: the scale still moves the page's clock. */
    unplayable() {
      for (const one of [play, sound, words, full]) one.node.hidden = true;
    },
  };
}
