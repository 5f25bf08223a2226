// Questions about the clip, which the server has from its analysis; it is sent again where the server has it no more.

import * as api from "./api.js";
import { el, say } from "./dom.js";
import { t } from "./i18n.js";
import { labelName, percent, personName, ranked, span } from "./wording.js";

const QUESTIONS = ["said", "against", "sure", "when"]; // of the many that what was measured answers
const TIME = /(\d+\.\d\d)( s)(?![a-z])/;

/** runs: the models that answer, in columns; `person()` gives who is meant, `segment()` which of several segments (or null), `words` what is said (or ""). */
export function createChat({ clip, runs, person, segment, words, onSeek }) {
  const models = runs.filter((run) => !run.error);
  const isRulesOnly = models.every((run) => run.isRules);
  const log = el("div", { class: "chat-log", role: "log", "aria-live": "polite" });
  const title = el("h2", {});
  const note = el("p", { class: "hint" });
  const about = el("p", { class: "hint" });
  const shortcuts = el("div", { class: "shortcuts", role: "group" });
  const input = el("textarea", { id: "question", rows: "1", dir: "auto", maxlength: "4000" });
  const send = el("button", { type: "submit", class: "primary" });
  const clear = el("button", { type: "button", class: "link", hidden: true, onclick: startOver });
  const heat = el("input", { type: "range", id: "temperature", min: "0", max: "1.5", step: "0.1", value: "0", oninput: heatWords });
  const heatLabel = el("label", { for: "temperature" });
  const heatValue = el("output", { for: "temperature" });
  const problem = el("p", { class: "error", role: "alert", hidden: true });
  const form = el("form", { class: "chat-form", onsubmit: submit }, input, send);
  const warmth = el("span", { class: "heat" }, heatLabel, heat, heatValue);
  const node = el("section", { class: "chat" }, title, note, about, log, problem, shortcuts, form, el("p", { class: "chat-foot" }, warmth, clear));
  warmth.hidden = isRulesOnly;
  const tasks = ["emotion", "reason", "visual", "audio"].filter((task) => models.some((run) => run.tasks.includes(task)));
  const histories = models.map(() => []); // messages as sent, a list for each model
  let isRenewed = false; // whether the clip was sent again for this question
  let aboutWhom = null; // whom and which segment the conversation is about
  let stopper = null;

  function heatWords() {
    heatValue.textContent = `${Number(heat.value).toFixed(1)} · ${t(Number(heat.value) === 0 ? "chat.temperature.zero" : "chat.temperature.some")}`;
  }

  function relabel() {
    title.textContent = t("chat.title");
    note.textContent = t(isRulesOnly ? "chat.rules" : "chat.note", { model: models[0].model });
    aboutWords();
    shortcuts.setAttribute("aria-label", t("chat.shortcuts"));
    const chip = (question, shown, ...words) => el("button", { type: "button", class: "chip", disabled: stopper !== null, onclick: () => ask(question, shown) }, words);
    shortcuts.replaceChildren(
      ...tasks.map((task) => chip(`[${task}]`, t(`chat.task.${task}`), el("code", {}, `[${task}]`), ` ${t(`chat.task.${task}`)}`)),
      ...QUESTIONS.map((name) => chip(t(`chat.question.${name}`), null, t(`chat.question.${name}`))));
    input.placeholder = t("chat.placeholder");
    input.setAttribute("aria-label", t("chat.placeholder"));
    send.textContent = t(stopper ? "chat.stop" : "chat.send");
    clear.textContent = t("chat.clear");
    heatLabel.textContent = t("chat.temperature");
    heatWords();
  }

  function aboutWords() {
    const part = segment();
    about.textContent = t(part ? "chat.about-part" : "chat.about", { person: personName(person()), span: part ? span(part.start_seconds, part.end_seconds) : "" });
  }

  function startOver() {
    stopper?.abort();
    for (const history of histories) history.length = 0;
    log.replaceChildren();
    clear.hidden = true;
    say(problem, null);
  }

  function submit(event) {
    event.preventDefault();
    if (stopper) return stopper.abort();
    const question = input.value.trim();
    if (question) void ask(question, null);
  }

  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  input.addEventListener("input", () => {
    input.style.height = "auto";
    input.style.height = `${Math.min(input.scrollHeight + 2, 180)}px`;
  });

  async function ask(question, shown) {
    if (stopper) return;
    const meant = { person_id: person().person_id, at_seconds: segment()?.start_seconds };
    if (aboutWhom?.person_id !== meant.person_id || aboutWhom.at_seconds !== meant.at_seconds) startOverFor(meant);
    stopper = new AbortController();
    input.value = "";
    input.style.height = "auto";
    relabel();
    clear.hidden = false;
    say(problem, null);
    const columns = models.map((run) => el("div", { class: "bubble answer waiting" }, models.length > 1 ? el("p", { class: "kicker model-name" }, run.model) : null, el("p", { class: "text", dir: "auto", lang: "en" })));
    log.append(el("div", { class: "bubble question" }, el("p", { dir: "auto" }, shown ? [el("code", {}, question), ` ${shown}`] : question)),
      el("div", { class: "replies" }, columns));
    log.lastChild.scrollIntoView({ block: "nearest", behavior: "smooth" });
    try {
      clip.fileId ??= await api.upload(clip, stopper.signal);
      const replies = (lanes) => Promise.all(lanes.map((i) => reply(models[i], histories[i], question, columns[i])));
      isRenewed = false;
      const told = await replies([...models.keys()]);
      if (told.includes("gone")) {
        isRenewed = true;
        clip.fileId = await api.upload(clip, stopper.signal); // the server keeps it for a while alone
        for (const [first] of histories) if (first) first.content[0].file.file_id = clip.fileId;
        await replies([...models.keys()].filter((i) => told[i] === "gone"));
      }
    } catch (error) {
      if (error.name !== "AbortError") say(problem, error.message);
      for (const column of columns) if (column.classList.contains("waiting")) column.remove();
    } finally {
      stopper = null;
      relabel();
    }
  }

  function startOverFor(meant) {
    for (const history of histories) history.length = 0;
    // A playing clip goes through its segments: what was said of another one stays to be read.
    if (aboutWhom?.person_id !== meant.person_id) log.replaceChildren();
    aboutWhom = meant;
  }

  async function reply({ model, tasks: known }, history, question, column) {
    const text = column.querySelector(".text");
    if (tasks.some((task) => question === `[${task}]` && !known.includes(task))) {
      column.classList.remove("waiting");
      column.append(el("p", { class: "hint" }, t("chat.untrained", { model })));
      return;
    }
    const parts = history.length ? [] : [{ type: "file", file: { file_id: clip.fileId } }];
    const asked = { role: "user", content: [...parts, { type: "text", text: question }] };
    const options = { ...aboutWhom, ...(words ? { subtitle: words } : {}) }; // as it was when the question was asked
    let written = "";
    try {
      const pieces = api.chat({ model, messages: [...history, asked], temperature: Number(heat.value), options, signal: stopper.signal });
      for await (const piece of pieces) {
        column.classList.remove("waiting");
        if (piece.text) text.textContent = written += piece.text;
        if (piece.chances) column.append(chances(piece.chances));
      }
      if (written) text.replaceChildren(...withTimes(written));
      else text.textContent = t("chat.nothing");
    } catch (error) {
      if (error.name !== "AbortError") {
        if (error.code === "file_not_found" && !isRenewed) return "gone";
        text.textContent = error.message;
        column.classList.add("failed");
        return;
      }
    } finally {
      column.classList.remove("waiting");
    }
    // What was stopped in the middle stays in the conversation as far as it got.
    if (written) history.push(asked, { role: "assistant", content: written });
  }

  /** A text whose times lead there in the clip. */
  function withTimes(written) {
    const pieces = written.split(TIME);
    const parts = [pieces[0]];
    for (let i = 1; i < pieces.length; i += 3) {
      const seconds = Number(pieces[i]);
      parts.push(el("button", { type: "button", class: "link time", onclick: () => onSeek(seconds) }, pieces[i] + pieces[i + 1]), pieces[i + 2]);
    }
    return parts;
  }

  function chances(probabilities) {
    const list = ranked(probabilities).slice(0, 4).map(([label, share]) => `${labelName(label)} ${percent(share)}`).join(", ");
    return el("p", { class: "hint" }, t("chat.probabilities", { list }));
  }

  relabel();
  return {
    node,
    relabel,
    focus: () => input.focus(),
    meantChanged: aboutWords,
    close() {
      stopper?.abort();
    },
  };
}
