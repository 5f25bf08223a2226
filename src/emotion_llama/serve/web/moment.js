// One segment in full: peak frame, reasons, cues, voice, words, and what could not be measured.

import { el } from "./dom.js";
import { t, tOr } from "./i18n.js";
import { faceFromVideo } from "./portraits.js";
import { PRESENT } from "./timeline.js";
import { clock, figure, headline, percent, sentence, span, weightsInWords } from "./wording.js";

const remembered = { mesh: true, units: true };

function overlayChoice(name, box) {
  const input = el("input", {
    type: "checkbox", checked: remembered[name],
    onchange: (event) => {
      remembered[name] = event.target.checked;
      box.classList.toggle(`without-${name}`, !remembered[name]);
    },
  });
  box.classList.toggle(`without-${name}`, !remembered[name]);
  return el("label", { class: "check" }, input, t(`peak.${name}`));
}

/** The units that are held in a segment, the strongest first, with how long each is at the most that a person can do. */
function levels(units) {
  const held = Object.entries(units?.held ?? {}).filter(([, value]) => value >= PRESENT).sort(([, a], [, b]) => b - a);
  const most = (name) => units.saturated[name] > 0 ? ` ${t("units.saturated", { share: percent(units.saturated[name]) })}` : "";
  return [el("p", { class: "hint" }, t(held.length ? "units.held" : "units.none")), el("ul", { class: "levels" }, held.map(([name, value]) => {
    const bar = el("span", { class: "level" });
    bar.style.width = `${(100 * value) / 5}%`;
    return el("li", {}, el("b", {}, figure(value)), ` ${name} `, el("span", { class: "soft" }, tOr(`unit.${name}`, ""), most(name)), bar);
  }))];
}

function peakFigure({ portraits, clip, player, person, index, onSeek }) {
  const segment = person.segments[index];
  const peak = segment.evidence.peak_frame;
  if (!peak) {
    const reason = segment.evidence.missing.find((m) => m.what === "peak_frame")?.reason ?? "";
    return el("div", { class: "no-picture" }, sentence(t("peak.none", { reason })));
  }
  const alt = t("peak.alt", { time: clock(peak.pts_seconds) });
  const box = portraits(person.person_id, index, alt);
  const go = el("button", { type: "button", class: "link", onclick: () => onSeek(peak.pts_seconds) }, t("peak.go", { time: clock(peak.pts_seconds) }));
  const place = el("div", { class: "portrait-place" });
  if (box) place.append(box, el("p", { class: "checks" }, overlayChoice("mesh", box), overlayChoice("units", box)));
  else {
    const words = el("p", { class: "hint" }, t("peak.no-picture"));
    place.append(words);
    if (player.isPlayable) {
      void faceFromVideo(clip.url, person.face, peak.pts_seconds).then((canvas) => {
        if (!canvas) return;
        canvas.setAttribute("role", "img");
        canvas.setAttribute("aria-label", alt);
        words.textContent = t("peak.from-video");
        place.prepend(el("div", { class: "portrait" }, canvas));
      });
    }
  }
  return el("figure", { class: "peak-figure" },
    el("figcaption", { class: "label" }, t("peak.title"), go), place, el("p", { class: "hint", lang: "en" }, sentence(peak.why)), levels(segment.evidence.action_units));
}

function reasons(run, segment, isAlone) {
  const { prediction } = segment;
  const about = headline(prediction);
  return el("div", { class: "reasons" },
    isAlone ? null : el("p", { class: "kicker model-name" }, run.model),
    isAlone ? null : el("p", { class: "small-verdict" }, about.title),
    prediction.problem !== null
      ? el("p", { class: "problem", lang: "en" }, sentence(prediction.problem))
      : el("p", { class: "reasoning", lang: "en", dir: "auto" }, prediction.reasoning || prediction.raw_text),
    prediction.raw_text && prediction.reasoning && prediction.raw_text !== prediction.reasoning
      ? el("details", {}, el("summary", {}, t("reasoning.raw")), el("p", { class: "raw", lang: "en", dir: "auto" }, prediction.raw_text)) : null);
}

function cues(prediction) {
  if (!prediction.cues.length) return null;
  const head = ["source", "text", "weights", "origin"].map((name) => el("th", { scope: "col" }, t(`cues.${name}`)));
  const cell = (name, text, lang) => el("td", { "data-label": t(`cues.${name}`), lang }, text);
  return el("table", { class: "cues" },
    el("thead", {}, el("tr", {}, head)),
    el("tbody", {}, prediction.cues.map((cue) => el("tr", {},
      el("th", { scope: "row" }, t(`source.${cue.source}`)), cell("text", sentence(cue.text), "en"),
      cell("weights", weightsInWords(cue.weights) || t("cues.zero")), cell("origin", cue.origin, "en")))));
}

function voiceAndWords(evidence) {
  const parts = [];
  if (evidence.tone) {
    parts.push(el("div", {}, el("h3", { class: "label" }, t("voice.title")), el("p", { class: "tone" }, t("voice.tone", { phrase: evidence.tone.phrase })),
      el("dl", { class: "facts" }, Object.entries(evidence.tone.words).map(([word, figures]) => el("div", {}, el("dt", { lang: "en" }, word), el("dd", { lang: "en" }, figures))))));
  }
  const words = evidence.transcript;
  if (words) {
    parts.push(el("figure", { class: "said" }, el("figcaption", { class: "label" }, t("words.title")),
      el("blockquote", {}, words.lines.map((line) => el("p", { dir: "auto" }, line.speaker ? `${line.speaker}: ` : "", `“${line.text}”`))),
      el("p", { class: "hint" }, t("words.source", { source: words.source + (words.language ? ` (${words.language})` : "") }))));
  }
  return parts.length ? el("div", { class: "pair wide" }, parts) : null;
}

function missing(evidence) {
  return el("div", { class: "missing" },
    el("h3", { class: "label" }, t("missing.title")),
    evidence.missing.length
      ? el("ul", {}, evidence.missing.map((m) => el("li", {}, el("b", {}, tOr(`missing.${m.what}`, m.what)), ": ", el("span", { lang: "en" }, m.reason))))
      : el("p", { class: "hint" }, t("missing.none")));
}

/** The section about segment `index` of `people` (one of each run); `onSegment(index)` asks for another. */
export function moment({ runs, people, index, portraits, clip, player, onSeek, onSegment }) {
  const first = people.findIndex(Boolean);
  const person = people[first];
  const segment = person.segments[index];
  if (!segment) return el("section", { class: "moment" });
  const several = person.segments.length > 1;
  const alone = runs.length === 1;
  const about = headline(segment.prediction);
  const tabs = el("div", { class: "segments", role: "group", "aria-label": t("segment.title") },
    person.segments.map((s, i) => el("button", { type: "button", "aria-pressed": String(i === index), onclick: () => onSegment(i) },
      el("span", { class: "when" }, span(s.start_seconds, s.end_seconds)), el("i", { class: `dot e-${s.prediction.label}` }), el("span", {}, headline(s.prediction).title))));
  return el("section", { class: "moment", "aria-live": "off" },
    several ? tabs : null,
    el("h2", {}, several ? span(segment.start_seconds, segment.end_seconds) : t("reasoning.title")),
    several && alone ? el("p", { class: "detail" }, el("b", {}, about.title), " ", about.detail) : null,
    el("div", { class: "moment-grid" },
      peakFigure({ portraits, clip, player, person, index, onSeek }),
      el("div", { class: alone ? "why" : "why compared" }, runs.map((run, i) => (run.error || !people[i]?.segments[index] ? null : reasons(run, people[i].segments[index], alone))))),
    runs.map((run, i) => {
      const table = run.error || !people[i]?.segments[index] ? null : cues(people[i].segments[index].prediction);
      return table ? el("div", { class: "scroll" }, el("h3", { class: "label" }, t("cues.title"), alone ? null : ` · ${run.model}`), table) : null;
    }),
    voiceAndWords(segment.evidence),
    missing(segment.evidence));
}
