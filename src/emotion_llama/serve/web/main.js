// The page as a whole: which screen is shown, and the way of a clip through them.

import * as api from "./api.js";
import { $, el, say } from "./dom.js";
import { language, t, useLanguage } from "./i18n.js";
import { takeToken, useKey } from "./key.js";
import { showResult } from "./result.js";
import { createStages } from "./stages.js";
import { setUpOptions, setUpStart } from "./start.js";
import { bytes } from "./wording.js";

const SCREENS = ["start", "ready", "work", "result"];
let clip = null;
let result = null;
let stopper = null;

function show(screen) {
  for (const name of SCREENS) $(`#${name}`).hidden = name !== screen;
  window.scrollTo({ top: 0 });
}

function letGo() {
  result?.close();
  result = null;
  stopper?.abort();
  stopper = null;
  for (const id of ["#preview", "#work-preview"]) $(id).removeAttribute("src");
  if (clip) URL.revokeObjectURL(clip.url);
  api.letGoOf(clip);
  clip = null;
}

function startAgain() {
  letGo();
  options.clear();
  say($("#ready-error"), null);
  show("start");
}

/** The clip's length by the browser: Infinity where a recording has none written, null where it cannot be played. */
function playedLength(url) {
  return new Promise((resolve) => {
    const probe = document.createElement("video");
    const end = (seconds) => {
      resolve(seconds);
      probe.removeAttribute("src"); // or the browser holds a decoder for it
    };
    probe.preload = "metadata";
    probe.addEventListener("loadedmetadata", () => end(probe.duration));
    probe.addEventListener("error", () => end(null));
    setTimeout(() => end(null), 3000);
    probe.src = url;
  });
}

function chosen(next) {
  letGo();
  clip = next;
  options.clear();
  say($("#ready-error"), null);
  const preview = $("#preview");
  $("#preview-unplayable").hidden = true;
  preview.hidden = false;
  preview.src = clip.url;
  $("#ready-name").textContent = clip.name;
  $("#ready-size").textContent = bytes(clip.blob.size);
  show("ready");
  $("#words").focus({ preventScroll: true });
}

function previewFailed() {
  if (!clip) return;
  $("#preview").hidden = true;
  $("#preview-unplayable").hidden = false;
}

async function exampleChosen(next) {
  letGo();
  clip = next;
  options.clear();
  await analyze(options.read());
}

async function analyze(asked) {
  const mine = clip;
  stopper = new AbortController();
  const { signal } = stopper;
  $("#stages").replaceChildren();
  const stages = createStages($("#stages"), asked.models);
  $("#preview").pause();
  const preview = $("#work-preview");
  preview.closest(".preview").hidden = false;
  preview.src = mine.url;
  void preview.play().catch(() => {});
  say($("#writing"), null);
  $("#work h1").textContent = t("work.title");
  show("work");
  const seconds = await playedLength(mine.url);
  const isLong = seconds !== null && Number.isFinite(seconds) && seconds > settings.max_duration_seconds;
  if (isLong) $("#work h1").textContent = t("work.title-job");
  const runs = await Promise.all(asked.models.map((model, i) => run(mine, asked, model, i, stages, isLong, signal)));
  preview.pause();
  if (signal.aborted || mine !== clip) return;
  preview.removeAttribute("src");
  const problem = runs.every((one) => one.error) ? runs[0].error : null;
  if (problem) {
    $("#preview").src = mine.url;
    $("#ready-name").textContent = mine.name;
    $("#ready-size").textContent = bytes(mine.blob.size);
    show("ready");
    say($("#ready-error"), problem);
    return;
  }
  show("result");
  result = showResult($("#result"), { clip: mine, runs, hasWords: Boolean(mine.wordsFile || asked.words.trim()), onAgain: startAgain });
  $("#main").focus({ preventScroll: true });
}

/** One model's part: its result, or {model, error}. */
async function run(mine, asked, model, lane, stages, isLong, signal) {
  const { is_rules: isRules = false, tasks = [] } = settings.models.find(({ name }) => name === model) ?? {};
  const listen = (kind, told) => {
    if (kind === "progress") stages.progress(lane, told);
    else if (kind === "job") say($("#writing"), t("work.job-note", { id: told.id }));
    else if (kind === "answer" && told.reasoning) say($("#writing"), told.reasoning);
  };
  try {
    const found = await (isLong ? api.analyzeAsJob : api.analyze)(mine, asked, model, { signal, listen });
    stages.done(lane);
    return { ...found, isRules, tasks };
  } catch (error) {
    if (error.name === "AbortError") return { model, isRules, error: t("error.stopped") };
    stages.failed(lane, error.message);
    return { model, isRules, error: error.message };
  }
}

function cancel() {
  const kept = clip;
  stopper?.abort();
  if (!kept) return startAgain();
  clip = null; // kept through letGo
  chosen(kept);
}

function setUpKeyDialog() {
  const dialog = $("#key-dialog");
  const ask = (wasWrong) =>
    new Promise((resolve) => {
      say($("#key-error"), wasWrong ? t("key.wrong") : null);
      dialog.returnValue = "";
      $("#key").value = "";
      dialog.showModal();
      $("#key").focus();
      dialog.addEventListener("close", () => resolve(dialog.returnValue === "ok" && $("#key").value ? $("#key").value.trim() : null), { once: true });
    });
  let asking = null; // two calls at once share one question
  api.onKeyNeeded((wasWrong) => (asking ??= ask(wasWrong).finally(() => (asking = null))));
  $("#key-button").hidden = !settings.needs_key;
  $("#key-button").addEventListener("click", async () => {
    const given = await ask(false);
    if (given) useKey(given);
  });
}

function setUpTheme() {
  const root = document.documentElement;
  const isDark = () => (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const label = () => $("#theme-button").setAttribute("aria-label", t(isDark() ? "nav.theme.light" : "nav.theme.dark"));
  $("#theme-button").addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try {
      localStorage.setItem("theme", root.dataset.theme);
    } catch {
      // The choice then lasts as long as the page.
    }
    label();
  });
  window.addEventListener("language", label);
  label();
}

function setUpHelp() {
  const keys = [["Space", "space"], ["← →", "arrows"], ["Shift ← →", "shift-arrows"], ["Home End", "home-end"], ["[ ]", "brackets"], ["P", "p"], ["1 2 …", "digits"], ["/", "slash"], ["?", "question"]];
  const label = () => $("#help-keys").replaceChildren(...keys.flatMap(([name, words]) => [el("dt", {}, name.split(" ").map((k) => el("kbd", {}, k))), el("dd", {}, t(`help.${words}`))]));
  $("#help-button").addEventListener("click", () => $("#help").showModal());
  window.addEventListener("language", label);
  label();
}

function setUpLanguage() {
  const button = $("#language-button");
  const label = () => {
    const other = language() === "en" ? "zh" : "en";
    button.lang = other;
    button.textContent = other === "zh" ? "中文" : "English";
    button.setAttribute("aria-label", other === "zh" ? "切换到中文" : "Switch to English");
  };
  button.addEventListener("click", () => void useLanguage(language() === "en" ? "zh" : "en"));
  window.addEventListener("language", label);
  label();
}

function labelPage() {
  for (const name of ["can", "cannot"]) $(`#limits-${name}`).replaceChildren(...t(`limits.${name}.list`).map((words) => el("li", {}, words)));
  $("#version").textContent = t("foot.version", { version: settings.version });
  result?.relabel();
}

function onKey(event) {
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "?" && !event.target.closest?.("input, textarea, select")) $("#help").showModal();
  else result?.onKey(event);
}

let settings;
let options;

async function boot() {
  takeToken();
  [settings] = await Promise.all([api.pageSettings(), useLanguage(language())]);
  setUpLanguage();
  setUpTheme();
  setUpHelp();
  setUpKeyDialog();
  options = setUpOptions(settings, { clip: () => clip, onGo: (asked) => void analyze(asked), onOther: startAgain });
  setUpStart(settings, { onClip: chosen, onExample: (next) => void exampleChosen(next) });
  labelPage();
  window.addEventListener("language", labelPage);
  window.addEventListener("keydown", onKey, { capture: true });
  window.addEventListener("pagehide", () => api.letGoOf(clip));
  $("#cancel").addEventListener("click", cancel);
  $("#preview").addEventListener("error", previewFailed);
  $("#work-preview").addEventListener("error", () => ($("#work-preview").closest(".preview").hidden = true));
  $("#home").addEventListener("click", (event) => {
    event.preventDefault();
    startAgain();
  });
  document.documentElement.dataset.ready = "";
}

boot().catch((error) => {
  $("#start-error").hidden = false;
  $("#start-error").textContent = error.message;
});
