// A finished analysis on the page: player, verdict, timeline, one segment in full, questions, downloads.

import { createChat } from "./chat.js";
import { $, el, isTyping } from "./dom.js";
import { t } from "./i18n.js";
import { moment } from "./moment.js";
import { createPlayer } from "./player.js";
import { portraitsOf } from "./portraits.js";
import { createTimeline } from "./timeline.js";
import { strip, verdict } from "./verdict.js";
import { clock, leadSegment, length, personHeadline, personName, segmentAt, sentence } from "./wording.js";

/**
 * Show `runs` (a result, or {model, error}, of each model) of a clip in `root`.
 * Gives {relabel, close, onKey}; onAgain() is called when the reader wants another clip.
 */
export function showResult(root, { clip, runs, hasWords, onAgain }) {
  const main = runs.find((run) => !run.error);
  const found = main.document;
  const portraits = portraitsOf(main.html);
  let personId = (found.people.find((p) => p.is_main) ?? found.people[0]).person_id;
  let index = leadSegment(personIn(main).segments);

  const player = createPlayer({ clip, document: found, onTime: passed, onPick: pickPerson });
  const timeline = createTimeline({ onSeek: seek });
  const words = found.people.flatMap((p) => p.segments).flatMap((s) => s.evidence.transcript?.lines ?? []);
  const spoken = [...new Set(words.map((line) => line.text))].join(" ");
  // Words that the server found by itself it finds again.
  const chat = createChat({ clip, runs, person: () => personIn(main), segment: segmentMeant, words: hasWords ? spoken : "", onSeek: seek });
  const parts = Object.fromEntries(["people", "why", "verdict", "warnings", "moment", "downloads", "facts"].map((name) => [name, el("div", { class: `part-${name}` })]));
  const fileLine = el("p", { class: "file-name" });
  const stripNode = $("#strip");

  root.replaceChildren(
    el("div", { class: "result-top" }, el("div", { class: "player-column" }, player.node, fileLine, parts.people, parts.why), parts.verdict),
    parts.warnings, timeline.node, parts.moment, chat.node, parts.downloads, parts.facts,
  );
  const watcher = new IntersectionObserver(([entry]) => {
    stripNode.hidden = entry.isIntersecting || entry.boundingClientRect.top > 0;
  });
  watcher.observe(parts.verdict);

  function personIn(run) {
    return run.error ? null : (run.document.people.find((p) => p.person_id === personId) ?? null);
  }
  const people = () => runs.map(personIn);

  function segmentMeant() {
    const { segments } = personIn(main);
    return segments.length > 1 ? segments[index] : null;
  }

  function passed(seconds, isPlaying) {
    timeline.setTime(seconds);
    const there = segmentAt(personIn(main).segments, seconds);
    if (isPlaying && there !== index && !parts.moment.contains(document.activeElement)) showSegment(there);
    else if (isPlaying) timeline.setCurrent(there);
  }

  function seek(seconds) {
    player.seek(seconds);
    const there = segmentAt(personIn(main).segments, seconds);
    if (there !== index) showSegment(there);
  }

  function showSegment(there) {
    index = there;
    timeline.setCurrent(index);
    drawMoment();
    chat.meantChanged();
  }

  function goToSegment(there) {
    const segment = personIn(main).segments[there];
    if (!segment) return;
    player.seek(segment.start_seconds);
    const hadFocus = parts.moment.contains(document.activeElement);
    showSegment(there);
    if (hadFocus) parts.moment.querySelector('.segments [aria-pressed="true"]')?.focus();
  }

  function goToPeak() {
    const peak = personIn(main).segments[index]?.evidence.peak_frame;
    if (peak) player.seek(peak.pts_seconds);
  }

  function pickPerson(id) {
    if (id === personId || !found.people.some((p) => p.person_id === id)) return;
    personId = id;
    index = leadSegment(personIn(main).segments);
    const hadFocus = parts.people.contains(document.activeElement);
    draw();
    if (hadFocus) parts.people.querySelector('[aria-pressed="true"]')?.focus();
    chat.meantChanged();
  }

  function drawPeople() {
    parts.people.replaceChildren();
    if (found.people.length < 2) return;
    parts.people.append(
      el("div", { class: "people", role: "group", "aria-label": t("person.pick") }, found.people.map((person) => {
        const about = personHeadline(person);
        const face = portraits(person.person_id, leadSegment(person.segments), "");
        return el("button", { type: "button", "aria-pressed": String(person.person_id === personId), onclick: () => pickPerson(person.person_id) },
          face ? face.querySelector("img") : el("span", { class: "no-face", "aria-hidden": "true" }),
          el("span", {}, el("b", {}, personName(person)), el("small", {}, about.title)));
      })));
  }

  function drawMoment() {
    parts.moment.replaceChildren(moment({ runs, people: people(), index, portraits, clip, player, onSeek: seek, onSegment: goToSegment }));
  }

  function drawFacts() {
    const { clip: about } = found;
    const took = runs.filter((run) => !run.error).map((run) => length(Object.values(run.document.seconds_by_stage).reduce((a, b) => a + b, 0)));
    const rows = [
      ["file", `${about.path} · sha256 ${about.sha256.slice(0, 12)}…`], ["length", clock(about.duration_seconds)],
      ["video", about.video ? `${about.video.width} × ${about.video.height}, ${Number(about.video.fps.toFixed(2))} fps, ${about.video.codec}` : t("facts.none")],
      ["audio", about.audio ? `${about.audio.sample_rate_hz} Hz, ${about.audio.channels} ch, ${about.audio.codec}` : t("facts.none")],
      ["model", runs.map((run) => run.model).join(", ")], ["time", took.join(", ")], ["by", found.generator],
    ];
    parts.facts.replaceChildren(el("details", { class: "measured" }, el("summary", {}, t("facts.title")),
      el("dl", { class: "facts" }, rows.map(([name, value]) => el("div", {}, el("dt", {}, t(`facts.${name}`)), el("dd", { dir: "auto" }, value))))));
  }

  function save(name, type, text) {
    const url = URL.createObjectURL(new Blob([text], { type }));
    el("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  }

  function drawDownloads() {
    const good = runs.filter((run) => !run.error);
    const base = clip.name.replace(/\.[^.]+$/, "");
    const name = (run, suffix) => `${base}${good.length > 1 ? `-${run.model}` : ""}.${suffix}`;
    parts.downloads.replaceChildren(el("section", { class: "downloads" }, el("h2", {}, t("download.title")),
      el("p", { class: "actions" }, good.map((run) => [
        el("button", { type: "button", onclick: () => save(name(run, "json"), "application/json", run.text) }, `${t("download.json")}${good.length > 1 ? ` · ${run.model}` : ""}`),
        run.html && el("button", { type: "button", onclick: () => save(name(run, "html"), "text/html", run.html) }, `${t("download.html")}${good.length > 1 ? ` · ${run.model}` : ""}`),
      ]), el("button", { type: "button", class: "link", onclick: onAgain }, t("result.again"))),
      el("p", { class: "hint" }, t("download.note"))));
  }

  function draw() {
    player.showPerson(personId);
    fileLine.replaceChildren(el("b", { dir: "auto" }, clip.name), ` ${clock(found.clip.duration_seconds)} `, el("button", { type: "button", class: "link", onclick: onAgain }, t("result.again")));
    drawPeople();
    parts.why.replaceChildren(el("p", { class: "hint why-person", lang: "en" }, sentence(personIn(main).why)));
    parts.verdict.replaceChildren(verdict(runs, people()));
    parts.warnings.replaceChildren(found.warnings.length ? el("div", { class: "warnings" }, el("h2", { class: "label" }, t("warnings.title")), el("ul", { lang: "en" }, found.warnings.map((w) => el("li", {}, w)))) : "");
    stripNode.replaceChildren(...strip(runs, people()));
    timeline.show({
      duration: found.clip.duration_seconds, voice: found.voice, current: index,
      readings: runs.flatMap((run, i) => (run.error || !people()[i] ? [] : [{ model: run.model, segments: people()[i].segments }])),
    });
    drawMoment();
    drawDownloads();
    drawFacts();
    document.title = `${personHeadline(personIn(main)).title} · ${clip.name}`;
  }

  const moves = {
    ArrowLeft: (event) => seek(player.time - (event.shiftKey ? 0.1 : 1)),
    ArrowRight: (event) => seek(player.time + (event.shiftKey ? 0.1 : 1)),
    Home: () => seek(0),
    End: () => seek(player.duration),
    "[": () => goToSegment(index - 1),
    "]": () => goToSegment(index + 1),
    p: goToPeak,
    "/": () => chat.focus(),
  };

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    const isButton = event.target.closest("button, summary, a, input");
    if (event.key === " " && !isButton) player.toggle();
    else if (/^[1-9]$/.test(event.key) && found.people.length > 1) pickPerson(Number(event.key));
    else if (moves[event.key] && !(isButton && event.target.type === "range")) moves[event.key](event);
    else return;
    // In the capture phase: the video's own keys would move it a second time.
    event.preventDefault();
    event.stopPropagation();
  }

  draw();
  const peak = personIn(main).segments[index]?.evidence.peak_frame;
  player.media.addEventListener("loadedmetadata", () => player.seek(peak?.pts_seconds ?? 0), { once: true });
  timeline.setTime(peak?.pts_seconds ?? 0);

  return {
    onKey,
    relabel() {
      player.relabel();
      chat.relabel();
      draw();
      timeline.setTime(player.time);
    },
    close() {
      watcher.disconnect();
      stripNode.hidden = true;
      chat.close();
      player.close();
      root.replaceChildren();
      document.title = "Emotion-LLaMA";
    },
  };
}
