// What was read and measured over time, drawn once for a person; a playhead moves over it.

import { areaPath, indexAt, linePath, percentile, spans, thinned, ticks } from "./curves.js";
import { el, svg } from "./dom.js";
import { t, tOr } from "./i18n.js";
import { clock, figure, headline, labelName, percent } from "./wording.js";

const READING = 46; // height of a row of answers
const UNIT = 26;
const VOICE = 62;
const WORDS = 30;
const RULER = 26;
const SPACE = 14; // between groups
const STRONGEST = 6; // units shown unless all are asked for
const MOST_POINTS = 900; // of one curve
const QUIETEST_DB = -60;
export const PRESENT = 0.8; // a unit that is held so far stands out
const LEAST_SCALE = 2; // a row never shows less than 0..2 of 5, so that a resting face looks at rest
const CHARACTER = 7.2; // width of a letter in the blocks, pixels, about

/** All segments' units in one, where they have the same names; null where there are none. */
function joinedUnits(segments) {
  const parts = segments.map((s) => s.evidence.action_units).filter((u) => u?.curves);
  if (!parts.length || parts.some((u) => u.names.join() !== parts[0].names.join())) return null;
  const all = (name) => parts.flatMap((u) => u.curves[name]);
  return {
    names: parts[0].names, source: parts[0].source, neutral: parts[0].neutral, times: all("pts_seconds"),
    intensity: all("intensity"), blink: all("is_blink"), speech: all("is_speech"),
  };
}

const maximum = (units, j) => units.intensity.reduce((most, row) => (row[j] !== null && row[j] > most ? row[j] : most), 0);
/** What a tenth of the time has or exceeds, blinks aside: frames are about equally long. */
function held(units, j) {
  const seen = units.intensity.filter((row, i) => row[j] !== null && !units.blink[i]).map((row) => row[j]);
  return seen.length ? percentile(seen, 0.9) : 0;
}

const reasonFor = (segments, what) => segments.flatMap((s) => s.evidence.missing).find((m) => m.what === what)?.reason ?? "";

/** The timeline. onSeek(seconds) is called when the reader points at a time. */
export function createTimeline({ onSeek }) {
  const plot = el("div", { class: "plot", role: "slider", tabindex: "0", "aria-valuemin": "0" });
  const readout = el("p", { class: "readout" });
  const keys = el("span");
  const note = el("p", { class: "hint" });
  const more = el("button", { type: "button", class: "link", onclick: () => ((showsAll = !showsAll), draw()) });
  const title = el("figcaption", { class: "label" });
  const hint = el("span", { class: "hint" });
  const node = el("figure", { class: "timeline" }, el("div", { class: "timeline-head" }, title, hint), plot, readout, el("p", { class: "hint keys-line" }, keys, more), note);
  let shown = null; // what is drawn
  let showsAll = false;
  let scaleX = { left: 0, width: 1 };
  let playhead = null;
  let now = 0;

  const x = (seconds) => scaleX.left + (scaleX.width * seconds) / (shown.duration || 1);
  const secondsAt = (event) => {
    const box = plot.getBoundingClientRect();
    return Math.min(Math.max(((event.clientX - box.left - scaleX.left) / scaleX.width) * shown.duration, 0), shown.duration);
  };

  plot.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !shown) return;
    event.preventDefault();
    plot.focus({ preventScroll: true });
    plot.setPointerCapture(event.pointerId);
    onSeek(secondsAt(event));
  });
  plot.addEventListener("pointermove", (event) => {
    if (!shown) return;
    if (plot.hasPointerCapture(event.pointerId)) onSeek(secondsAt(event));
    else if (event.pointerType === "mouse") read(secondsAt(event), true);
  });
  plot.addEventListener("pointerleave", () => shown && read(now, false));
  new ResizeObserver(() => shown && Math.abs(plot.clientWidth - drawnWidth) > 1 && draw()).observe(plot);
  let drawnWidth = 0;

  function draw() {
    const width = plot.clientWidth;
    if (!shown || !width) return;
    drawnWidth = width;
    const isNarrow = width < 620;
    scaleX = { left: isNarrow ? 74 : 178, width: Math.max(40, width - (isNarrow ? 74 + 32 : 178 + 50)) };
    const rows = [];
    const shades = [];
    let y = RULER;
    for (const run of shown.readings) {
      rows.push(...readingRow(run, y, isNarrow));
      y += READING + 8;
    }
    y += SPACE - 8;
    const unitsTop = y;
    y = unitRows(rows, shades, y, isNarrow);
    const peaks = peakMarks(unitsTop - 4, y, isNarrow);
    y += SPACE;
    y = voiceRows(rows, shades, y, isNarrow);
    y = wordRows(rows, y, isNarrow);
    playhead = svg("g", { class: "playhead" }, svg("line", { y1: RULER - 8, y2: y }), svg("path", { d: `M-6 ${RULER - 14}h12l-6 8z` }));
    const hover = svg("line", { class: "hover", y1: RULER - 4, y2: y, visibility: "hidden" });
    plot.replaceChildren(
      svg("svg", { width, height: y + 2, viewBox: `0 0 ${width} ${y + 2}`, "aria-hidden": "true" },
        ...shades, ...ruler(y), ...segmentEdges(y), ...rows, ...peaks, hover, playhead),
    );
    plot.hoverLine = hover;
    labels();
    setTime(now);
  }

  function ruler(bottom) {
    const parts = [];
    for (const seconds of ticks(shown.duration, Math.max(2, scaleX.width / 70))) {
      const text = seconds < 60 && shown.duration < 60 ? `${Number(seconds.toFixed(1))} s` : clock(seconds).replace(/\.0$/, "");
      parts.push(svg("line", { class: "grid", x1: x(seconds), x2: x(seconds), y1: RULER - 4, y2: bottom }));
      parts.push(svg("text", { class: "tick", x: x(seconds), y: 12, "text-anchor": "middle" }, text));
    }
    return parts;
  }

  function segmentEdges(bottom) {
    const segments = shown.readings[0].segments;
    return segments.slice(1).map((s) => svg("line", { class: "edge", x1: x(s.start_seconds), x2: x(s.start_seconds), y1: RULER, y2: bottom }));
  }

  const rowName = (name, y, long) => svg("text", { class: "name", x: scaleX.left - 10, y, "text-anchor": "end" }, name, long ? svg("tspan", { class: "long" }, ` ${long}`) : "");

  function readingRow({ model, segments }, y, isNarrow) {
    const parts = [svg("line", { class: "base", x1: x(0), x2: x(shown.duration), y1: y + READING, y2: y + READING })];
    const name = shown.readings.length > 1 ? model : t("timeline.reading");
    parts.push(rowName(shortened(name, isNarrow ? 8 : 22), y + READING - 6));
    segments.forEach((segment, index) => {
      const { label, probabilities } = segment.prediction;
      const [left, right] = [x(segment.start_seconds) + 1, x(segment.end_seconds) - 1];
      const wide = Math.max(1, right - left);
      const share = label === null ? 1 : (probabilities?.[label] ?? 1);
      const high = label === null ? READING - 20 : Math.max(3, (READING - 18) * share);
      const words = label === null ? t(segment.prediction.is_uncertain ? "result.uncertain" : "result.no-answer") : [labelName(label), probabilities?.[label] === undefined ? "" : percent(probabilities[label])].join(" ").trim();
      parts.push(
        svg("g", { class: index === shown.current ? "answer current" : "answer" },
          svg("title", {}, `${headline(segment.prediction).title}. ${headline(segment.prediction).detail}`),
          svg("rect", { class: "band", x: left, y: y - 2, width: wide, height: READING + 2, rx: 4 }),
          svg("rect", { class: label === null ? "block unanswered" : `block e-${label}`, x: left, y: y + READING - high, width: wide, height: high, rx: 3 }),
          svg("text", { class: "block-text", x: left + 5, y: y + 13 }, fitted(words, label === null ? "" : labelName(label), wide - 8))),
      );
    });
    return parts;
  }

  function unitRows(rows, shades, y, isNarrow) {
    const { units } = shown;
    if (!units) return reasonRow(rows, y, t("timeline.no-units", { reason: reasonFor(shown.segments, "action_units") }));
    const strength = units.names.map((name, j) => ({ name, j, most: maximum(units, j), held: held(units, j) }));
    const fired = new Set(strength.filter((unit) => unit.held >= PRESENT).map((unit) => unit.name));
    const chosen = showsAll ? strength : [...strength].sort((a, b) => b.held - a.held).slice(0, STRONGEST).sort((a, b) => a.j - b.j);
    const scale = Math.max(LEAST_SCALE, Math.ceil(Math.max(...strength.map((s) => s.most))));
    const height = UNIT * chosen.length;
    const shade = (list, kind) => list.forEach(([from, to]) => shades.push(svg("rect", { class: kind, x: x(from), y, width: Math.max(0.5, x(to) - x(from)), height })));
    if (shown.duration <= 60) {
      shade(spans(units.times, units.speech), "talk");
      shade(spans(units.times, units.blink), "blink");
    }
    shade(spans(units.times, units.intensity.map((row) => row.every((v) => v === null))), "gap");
    for (const { name, j, held: level } of chosen) {
      const [times, values] = thinned(units.times, units.intensity.map((row) => row[j]), MOST_POINTS);
      const bottom = y + UNIT - 2;
      rows.push(
        svg("line", { class: "base", x1: x(0), x2: x(shown.duration), y1: bottom, y2: bottom }),
        svg("path", { class: fired.has(name) ? "area fired" : "area", d: areaPath(times, values, x, (v) => bottom - (UNIT - 5) * Math.min(v / scale, 1), bottom) }),
        rowName(name, bottom - 6, isNarrow ? null : tOr(`unit.${name}`, "")),
        svg("text", { class: fired.has(name) ? "value fired" : "value", x: x(shown.duration) + 7, y: bottom - 6 }, figure(level)),
      );
      y += UNIT;
    }
    shown.scale = scale;
    return y;
  }

  function peakMarks(top, bottom, isNarrow) {
    const peaks = shown.segments.map((s) => s.evidence.peak_frame).filter(Boolean);
    let free = -Infinity; // labels do not run into each other
    return peaks.map((peak) => {
      const at = x(peak.pts_seconds);
      const words = `${t("timeline.peak")} ${clock(peak.pts_seconds)}`;
      const room = words.length * 6.2;
      const isLeft = at + room > x(shown.duration);
      const [from, to] = isLeft ? [at - room, at] : [at, at + room];
      const fits = from > free && !(isNarrow && peaks.length > 3);
      if (fits) free = to;
      return svg("g", { class: "peak" }, svg("line", { x1: at, x2: at, y1: top, y2: bottom }),
        fits ? svg("text", { x: at + (isLeft ? -4 : 4), y: top + 3, "text-anchor": isLeft ? "end" : "start" }, words) : null);
    });
  }

  function voiceRows(rows, shades, y, isNarrow) {
    const { voice } = shown;
    const hasVoice = voice && shown.segments.some((s) => s.evidence.prosody !== null || s.evidence.transcript !== null);
    if (!hasVoice) return reasonRow(rows, y, t("timeline.no-voice", { reason: reasonFor(shown.segments, "prosody") }));
    const bottom = y + VOICE;
    const loud = voice.loudness_db.map((v) => (v === null || v < QUIETEST_DB ? 0 : 1 - v / QUIETEST_DB));
    const [loudTimes, louds] = thinned(voice.times_seconds, loud, MOST_POINTS);
    rows.push(svg("path", { class: "wave", d: areaPath(loudTimes, louds, x, (v) => bottom - (VOICE - 4) * v, bottom) }));
    rows.push(svg("line", { class: "base", x1: x(0), x2: x(shown.duration), y1: bottom, y2: bottom }));
    const heard = voice.f0_hz.filter((v) => v !== null);
    if (heard.length) {
      // An octave at least, so that a flat voice looks flat; pitch is heard in ratios.
      const middle = Math.log2(percentile(heard, 0.5));
      const reach = Math.max(0.6, Math.log2(percentile(heard, 0.98)) - middle, middle - Math.log2(percentile(heard, 0.02)));
      const [times, values] = thinned(voice.times_seconds, voice.f0_hz, 2 * MOST_POINTS);
      const height = (v) => y + VOICE / 2 - (VOICE / 2 - 5) * Math.max(-1, Math.min(1, (Math.log2(v) - middle) / reach));
      rows.push(svg("path", { class: "pitch", d: linePath(times, values, x, height, 0.05) }));
      rows.push(svg("text", { class: "value", x: x(shown.duration) + 7, y: y + VOICE / 2 + 4 }, `${Math.round(2 ** middle)}`, isNarrow ? "" : svg("tspan", { class: "unit-name" }, " Hz")));
    }
    rows.push(rowName(t("timeline.pitch"), y + VOICE / 2 - 3), rowName(t("timeline.loudness"), y + VOICE / 2 + 15));
    return bottom + SPACE;
  }

  function wordRows(rows, y, isNarrow) {
    const lines = shown.lines;
    const timed = lines.filter((line) => line.start_seconds !== null && line.end_seconds !== null);
    if (!lines.length) return reasonRow(rows, y, t("timeline.no-words", { reason: reasonFor(shown.segments, "transcript") }));
    rows.push(rowName(t("timeline.words"), y + WORDS / 2 + 4));
    const whole = timed.length ? timed : [{ text: lines.map((line) => line.text).join(" "), start_seconds: 0, end_seconds: shown.duration, untimed: true }];
    for (const line of whole) {
      const [left, right] = [x(line.start_seconds), Math.min(x(line.end_seconds), x(shown.duration))];
      rows.push(svg("g", { class: line.untimed ? "words untimed" : "words" }, svg("title", {}, line.text),
        svg("rect", { x: left, y: y + 2, width: Math.max(1, right - left - 1), height: WORDS - 6, rx: 3 }),
        svg("text", { x: left + 7, y: y + WORDS / 2 + 3 }, shortened(line.text, Math.floor((right - left - 12) / CHARACTER)))));
    }
    return y + WORDS;
  }

  function reasonRow(rows, y, words) {
    rows.push(svg("text", { class: "reason", x: x(0), y: y + 16 }, shortened(words, Math.floor(scaleX.width / 6.2)), svg("title", {}, words)));
    return y + 28;
  }

  function labels() {
    title.textContent = t("timeline.title");
    hint.textContent = t("timeline.hint");
    plot.setAttribute("aria-label", t("timeline.slider"));
    plot.setAttribute("aria-valuemax", shown.duration.toFixed(2));
    const { units } = shown;
    more.hidden = !units || units.names.length <= STRONGEST;
    more.textContent = showsAll ? t("timeline.few-units") : t("timeline.all-units", { count: units?.names.length ?? 0 });
    more.setAttribute("aria-expanded", String(showsAll));
    note.textContent = units ? t("timeline.scale", { scale: shown.scale, neutral: t(`neutral.${units.neutral}`), source: units.source }) : "";
    const isShaded = units && shown.duration <= 60;
    keys.replaceChildren(
      ...[["peak", shown.segments.some((s) => s.evidence.peak_frame)], ["talking", isShaded && units.speech.some(Boolean)],
        ["blink", isShaded && units.blink.some(Boolean)], ["no-face", units?.intensity.some((row) => row.every((v) => v === null))]]
        .filter(([, is]) => is)
        .map(([kind]) => el("span", { class: `key ${kind}-key` }, t(`timeline.${kind}`))),
    );
  }

  /** What is known of one moment, in one line. */
  function read(seconds, isHover) {
    if (plot.hoverLine) {
      plot.hoverLine.setAttribute("visibility", isHover ? "visible" : "hidden");
      plot.hoverLine.setAttribute("x1", x(seconds));
      plot.hoverLine.setAttribute("x2", x(seconds));
    }
    const parts = [el("b", {}, clock(seconds))];
    const { units, voice } = shown;
    const i = units ? indexAt(units.times, seconds) : -1;
    if (i >= 0) {
      const row = units.intensity[i];
      const strong = units.names.map((name, j) => [name, row[j]]).filter(([, v]) => v !== null && v >= 0.5).sort((a, b) => b[1] - a[1]).slice(0, 4);
      parts.push(...strong.map(([name, v]) => el("span", { title: tOr(`unit.${name}`, name) }, `${name} ${figure(v)}`)));
      if (row.every((v) => v === null)) parts.push(el("span", {}, t("timeline.no-face")));
    }
    const k = voice ? indexAt(voice.times_seconds, seconds) : -1;
    if (k >= 0 && voice.f0_hz[k] !== null) parts.push(el("span", {}, `${Math.round(voice.f0_hz[k])} Hz`));
    const line = shown.lines.find((l) => l.start_seconds !== null && l.start_seconds <= seconds && seconds <= (l.end_seconds ?? l.start_seconds));
    if (line) parts.push(el("q", { dir: "auto" }, line.text));
    readout.replaceChildren(...parts);
  }

  function setTime(seconds) {
    now = seconds;
    if (!shown || !playhead) return;
    playhead.setAttribute("transform", `translate(${x(seconds)} 0)`);
    plot.setAttribute("aria-valuenow", seconds.toFixed(2));
    plot.setAttribute("aria-valuetext", clock(seconds));
    read(seconds, false);
  }

  return {
    node,
    setTime,
    /** Draw a person: readings [{model, segments}], voice of the clip, index of the current segment. */
    show({ duration, readings, voice, current }) {
      const segments = readings[0].segments;
      const lines = segments.flatMap((s) => s.evidence.transcript?.lines ?? []);
      const distinct = lines.filter((a, i) => lines.findIndex((b) => b.text === a.text && b.start_seconds === a.start_seconds) === i);
      shown = { duration, readings, voice, current, segments, lines: distinct, units: joinedUnits(segments), scale: LEAST_SCALE };
      draw();
    },
    setCurrent(index) {
      shown.current = index;
      for (const row of plot.querySelectorAll("g.answer")) row.classList.remove("current");
      const count = shown.readings[0].segments.length;
      plot.querySelectorAll("g.answer").forEach((row, i) => row.classList.toggle("current", i % count === index));
    },
  };
}

function shortened(text, most) {
  const letters = [...text];
  if (letters.length <= most) return text;
  return most >= 3 ? `${letters.slice(0, most - 1).join("").trimEnd()}…` : "";
}

/** `words` where they fit, else `short` where that fits, else nothing: the block's title holds all. */
function fitted(words, short, width) {
  const wide = (text) => [...text].reduce((sum, c) => sum + (c > "\u2e7f" ? 13 : CHARACTER), 0);
  return [words, short].find((text) => text && wide(text) <= width) ?? "";
}
