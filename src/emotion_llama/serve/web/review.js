// The review page: one sample a screen, decided on with keys.

import { $, el, isTyping, say } from "./dom.js";
import { takeToken } from "./key.js";
import { decide, getCurves, getFigures, getSample, getSamples, getSet, onKeyNeeded } from "./review_api.js";
import { editField, readFixes, showField, showLabel } from "./review_fields.js";
import { showFigures } from "./review_figures.js";
import { releaseMedia, showPeak, showPlayer, showStrip } from "./review_media.js";

const FLAGS = {
  conflict: "face, voice and words contradict each other",
  description: "the fine description did not hold when it was checked",
  label: "the rules would have given another label",
  changed: "changed since your review",
  disputed: "reviewers disagree",
};
const DONE = { accept: "accepted", fix: "fixed", reject: "rejected", withdraw: "taken back" };
const FLAGGED = ["conflict", "description", "label"];

const state = { labels: [], rows: [], queue: [], at: 0, reviewer: null, sample: null, player: null, stars: null, editing: false, busy: false };

const remembered = (name) => {
  try {
    return localStorage.getItem(name);
  } catch {
    return null; // storage may be forbidden
  }
};
const remember = (name, value) => {
  try {
    localStorage.setItem(name, value);
  } catch {
    // Then it lasts as long as the page.
  }
};

// --- which samples

const FILTERS = {
  all: () => true,
  open: (row) => !row.mine || row.flags.includes("changed"),
  flagged: (row) => row.flags.some((flag) => FLAGGED.includes(flag)),
  reviewed: (row) => Boolean(row.mine),
  accept: (row) => row.mine === "accept",
  fix: (row) => row.mine === "fix",
  reject: (row) => row.mine === "reject",
  changed: (row) => row.flags.includes("changed"),
  disputed: (row) => row.flags.includes("disputed"),
};

function makeQueue() {
  const [show, label, order] = ["show", "label-filter", "order"].map((id) => $(`#${id}`).value);
  const chosen = state.rows.filter((row) => FILTERS[show](row) && (!label || row.label === label));
  if (order === "doubt") chosen.sort((one, other) => (one.confidence ?? 2) - (other.confidence ?? 2));
  state.queue = chosen.map((row) => row.clip_id);
  state.at = 0;
}

const rowOf = (clipId) => state.rows.find((row) => row.clip_id === clipId);

function showProgress() {
  const done = state.rows.filter((row) => row.mine && !row.flags.includes("changed")).length;
  $("#progress").max = Math.max(state.rows.length, 1);
  $("#progress").value = done;
  $("#progress-text").textContent = `${done} of ${state.rows.length} reviewed by you`;
  $("#place").textContent = state.queue.length ? `${Math.min(state.at + 1, state.queue.length)} of ${state.queue.length}` : "none";
  $("#previous").disabled = state.at <= 0;
  $("#next").disabled = state.at >= state.queue.length - 1;
}

function fillLabels() {
  const counts = new Map();
  for (const row of state.rows) if (row.label) counts.set(row.label, (counts.get(row.label) ?? 0) + 1);
  const options = [...counts].sort(([, a], [, b]) => b - a).map(([label, count]) => el("option", { value: label }, `${label} (${count})`));
  $("#label-filter").replaceChildren(el("option", { value: "" }, "any"), ...options);
}

// --- one sample

async function open(at) {
  state.at = Math.max(0, at);
  setEditing(false);
  showProgress();
  releaseMedia();
  const clipId = state.queue[state.at];
  const isNone = clipId === undefined;
  $("#nothing").hidden = !isNone;
  $("#sample").hidden = $("#decide").hidden = isNone;
  if (isNone) return showNothing();
  const sample = await getSample(clipId, state.reviewer);
  if (state.queue[state.at] !== clipId) return undefined; // somebody was quicker with the keys
  showSample(sample);
  scrollTo({ top: 0 });
  return undefined;
}

function showNothing() {
  state.sample = state.player = null;
  const left = state.rows.filter(FILTERS.open).length;
  const words = left ? "No sample is like that." : "You have reviewed every sample.";
  $("#nothing").replaceChildren(
    el("h2", {}, words),
    el("p", { class: "soft" }, left ? `${left} are not yet reviewed.` : "An export now honours your decisions. “Agreement” shows what the reviews come to."),
  );
}

function showSample(sample) {
  state.sample = sample;
  state.stars = sample.mine?.stars ?? null;
  $("#comment").value = sample.mine?.comment ?? "";
  showStars();
  showWords();
  showDecision();
  guarded(() => showMedia(sample)); // not waited for: words can be read before pictures are there
}

async function showMedia(sample) {
  state.player = null;
  $("#strip").replaceChildren();
  $("#peak").replaceChildren();
  const player = await showPlayer($("#player"), sample);
  if (state.sample !== sample) return;
  state.player = player;
  const [curves] = await Promise.all([getCurves(sample.clip_id), showPeak($("#peak"), sample, goToPeak)]);
  if (state.sample === sample) showStrip($("#strip"), curves, sample, player);
}

const fixesOf = (sample) => (sample.mine?.decision === "fix" && sample.mine.holds ? sample.mine.fixes : {});
const fixable = (sample) => sample.fields.filter((field) => field.kind !== null);

function showWords() {
  const { sample, editing } = state;
  const fixes = fixesOf(sample);
  const labelField = sample.fields.find((field) => field.column === "label");
  const file = sample.clip.file?.startsWith(sample.clip_id) ? null : sample.clip.file; // its name tells nothing new
  const facts = [file, sample.clip.duration_seconds && `${sample.clip.duration_seconds.toFixed(1)} s`, sample.clip.person, sample.clip.source];
  $("#head").replaceChildren(
    el("p", { class: "clip" }, el("b", {}, sample.clip_id), el("span", { class: "soft" }, facts.filter(Boolean).join(" · "))),
    el("ul", { class: "flags" }, sample.flags.map((flag) => el("li", {}, FLAGS[flag])), sample.left_fine && el("li", {}, `not in the fine set: ${sample.left_fine}`)),
    labelField && !editing ? showLabel(labelField, fixes) : "",
  );
  const draw = editing ? (field) => editField(field, fixes, state.labels) : (field) => showField(field, fixes);
  $("#fields").replaceChildren(...readingOrder(sample).filter((field) => editing || field.column !== "label").map(draw));
  $("#evidence-fields").replaceChildren(...sample.fields.filter((field) => field.kind === null).map((field) => showField(field)));
  showOthers();
}

/** Fields that people fix: the label, what is said, the descriptions language by language, the whole before its parts. */
function readingOrder(sample) {
  const names = ["label", "subtitle", "fine caption", "clues", "coarse caption", "visual expression", "visual objective", "audio tone"];
  const place = (field) => names.indexOf(field.title);
  return fixable(sample).sort((one, other) => one.language.localeCompare(other.language) || place(one) - place(other));
}

function showOthers() {
  const { others, history } = state.sample;
  const line = (review) =>
    el(
      "li",
      {},
      el("b", {}, review.reviewer), ` ${DONE[review.decision]} it on ${day(review.reviewed_at)}`,
      review.stars && ` ${"★".repeat(review.stars)}`,
      Object.keys(review.fixes).length > 0 && ` (${Object.entries(review.fixes).map(([name, value]) => (name === "label" ? `label ${value}` : name.replaceAll("_", " "))).join(", ")})`,
      review.comment && el("q", {}, review.comment),
      !review.holds && " · an earlier state of the sample",
    );
  $("#others").replaceChildren(
    ...(others.length ? [el("h3", {}, "Other reviewers"), el("ul", {}, others.map(line))] : []),
    ...(history.length > 1 ? [el("h3", {}, "Your earlier decisions"), el("ul", {}, history.slice(0, -1).reverse().map(line))] : []),
  );
}

const day = (at) => new Date(at).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" });

function showDecision() {
  const mine = state.sample?.mine;
  for (const name of ["accept", "fix", "reject"]) $(`#${name}`).setAttribute("aria-pressed", String(mine?.decision === name));
  $("#said").textContent = mine ? `You ${DONE[mine.decision]} it on ${day(mine.reviewed_at)}${mine.holds ? "" : ", before it changed"}.` : "";
  $("#undo").hidden = !mine;
}

function goToPeak() {
  if (!state.player || !state.sample.peak) return;
  state.player.pause();
  state.player.currentTime = state.sample.peak.pts_seconds;
}

// --- deciding

function setEditing(editing) {
  state.editing = editing;
  document.body.classList.toggle("fixing", editing);
  for (const name of ["accept", "fix", "reject"]) $(`#${name}`).hidden = editing;
  $("#save").hidden = $("#cancel").hidden = !editing;
}

function edit() {
  setEditing(true);
  showWords();
  const first = $("#fields select, #fields textarea");
  first?.focus();
  first?.closest(".field").scrollIntoView({ block: "nearest" });
}

function leaveEditing() {
  setEditing(false);
  showWords();
  $("#sample").focus({ preventScroll: true });
}

async function send(decision, fixes = {}) {
  const { sample, reviewer, stars, busy } = state;
  if (busy || !sample) return;
  state.busy = true;
  say($("#error"), null);
  const comment = $("#comment").value.trim();
  try {
    const form = { clip_id: sample.clip_id, state: sample.state, reviewer, decision, stars, comment, fixes };
    const answer = await decide(form);
    const row = rowOf(sample.clip_id);
    row.mine = decision === "withdraw" ? null : decision;
    row.flags = answer.flags;
    setEditing(false);
    if (decision === "withdraw") showSample(answer);
    else await goOn(decision);
  } catch (error) {
    if (error.status === 409) showSample(await getSample(sample.clip_id, reviewer));
    say($("#error"), error.message);
  } finally {
    state.busy = false;
    showProgress();
  }
}

/** On to the next one; the queue keeps its order, so that one can go back. */
async function goOn(decision) {
  const told = `${state.sample.clip_id} ${DONE[decision]}.`;
  if (state.at + 1 < state.queue.length) await open(state.at + 1);
  else {
    makeQueue();
    await open(0);
  }
  $("#said").textContent = [told, $("#said").textContent].filter(Boolean).join(" ");
  $("#sample").focus({ preventScroll: true });
}

async function saveFixes() {
  const fixes = readFixes($("#fields"), fixable(state.sample));
  if (!Object.keys(fixes).length) return say($("#error"), "Nothing was changed. Accept the sample with A, or leave with Escape.");
  return send("fix", fixes);
}

function showStars() {
  const buttons = [1, 2, 3, 4, 5].map((count) =>
    el("button", { type: "button", "aria-label": `${count} of 5 stars`, "aria-pressed": String(state.stars === count), class: count <= (state.stars ?? 0) ? "lit" : null, onclick: () => setStars(count) }, "★"),
  );
  $("#stars").replaceChildren($("#stars legend"), ...buttons);
}

/** Stars go with the next decision; the same number again takes them away. */
function setStars(count) {
  state.stars = count === state.stars ? null : count || null;
  showStars();
}

// --- keys, buttons, dialogs

const KEYS = {
  a: () => send("accept"),
  f: edit,
  r: () => send("reject"),
  u: () => state.sample?.mine && send("withdraw"),
  c: () => $("#comment").focus(),
  n: () => move(1),
  p: () => move(-1),
  ArrowRight: () => move(1),
  ArrowLeft: () => move(-1),
  g: goToPeak,
  " ": () => state.player && (state.player.paused ? state.player.play() : state.player.pause()),
  "?": () => $("#keys").showModal(),
};
for (const count of [0, 1, 2, 3, 4, 5]) KEYS[count] = () => setStars(count);

function move(step) {
  const to = state.at + step;
  if (to >= 0 && to < state.queue.length) return guarded(() => open(to));
  return undefined;
}

async function guarded(work) {
  say($("#error"), null);
  try {
    await work();
  } catch (error) {
    say($("#error"), error.message);
  }
}

function onKey(event) {
  if (document.querySelector("dialog[open]")) return;
  if (state.editing && event.key === "Escape") return leaveEditing();
  if (state.editing && event.key === "Enter" && (event.ctrlKey || event.metaKey)) return void guarded(saveFixes);
  if (isTyping(event.target)) {
    if (event.target.id === "comment" && ["Enter", "Escape"].includes(event.key)) event.target.blur();
    return;
  }
  // A key that is held down decides on one sample, not on all that follow.
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || state.editing || !state.sample) return;
  if ((event.key === " " && event.target.closest("button, summary, a")) || event.target.closest("audio, video")?.matches(":focus-visible")) return;
  const action = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action) return;
  event.preventDefault();
  guarded(async () => action());
}

function ask(dialog, input) {
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "ok" ? input.value : null), { once: true });
    dialog.returnValue = "";
    dialog.showModal();
    input.select();
  });
}

async function askWho() {
  const given = (await ask($("#who"), $("#who-name"))) ?? "";
  const name = given.split(/\s+/).filter(Boolean).join(" ").normalize("NFC");
  if (name) await become(name);
  else if (!state.reviewer) await askWho();
}

async function become(name) {
  state.reviewer = name;
  remember("reviewer", name);
  $("#who-button").textContent = name;
  $("#who-name").value = name;
  state.rows = await getSamples(name);
  fillLabels();
  makeQueue();
  await open(0);
}

function wire() {
  document.addEventListener("keydown", onKey);
  for (const [id, action] of Object.entries({ accept: KEYS.a, fix: edit, reject: KEYS.r, save: saveFixes, cancel: leaveEditing, undo: KEYS.u, next: KEYS.n, previous: KEYS.p })) {
    $(`#${id}`).addEventListener("click", () => guarded(async () => action()));
  }
  $("#filters").addEventListener("change", () => guarded(async () => {
    makeQueue();
    await open(0);
  }));
  $("#filters").addEventListener("submit", (event) => event.preventDefault());
  $("#who-button").addEventListener("click", () => guarded(askWho));
  $("#keys-button").addEventListener("click", () => $("#keys").showModal());
  $("#figures-button").addEventListener("click", () => guarded(async () => {
    showFigures($("#figures-content"), await getFigures());
    $("#figures").showModal();
  }));
  $("#theme-button").addEventListener("click", () => {
    const { dataset } = document.documentElement;
    const now = dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    dataset.theme = now === "dark" ? "light" : "dark";
    remember("theme", dataset.theme);
  });
  onKeyNeeded(() => ask($("#key"), $("#key-value")));
}

async function begin() {
  takeToken();
  const theme = remembered("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  wire();
  document.documentElement.dataset.ready = "";
  const set = await getSet();
  state.labels = set.labels;
  $("#build").textContent = set.name;
  document.title = `Review of ${set.name} · Emotion-LLaMA`;
  $("#who-list").replaceChildren(...set.reviewers.map((name) => el("option", { value: name })));
  const name = remembered("reviewer");
  await (name ? become(name) : askWho());
}

guarded(begin);
