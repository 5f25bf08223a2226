// Where a clip comes from: a file, a drop, the clipboard, the camera, an example; and what is asked about it.

import { $, el, say } from "./dom.js";
import { t, tOr } from "./i18n.js";
import { setUpRecorder } from "./recorder.js";
import { bytes, length } from "./wording.js";

const SUFFIXES = /\.(mp4|m4v|mov|webm|mkv|avi|wav|mp3|flac|ogg|oga|opus|m4a|aac)$/i;

/** Wire the first screen. onClip(clip) is called with a chosen clip, onExample(clip) with one to be read at once. */
export function setUpStart(settings, { onClip, onExample }) {
  const problem = $("#start-error");

  function take(file) {
    if (!SUFFIXES.test(file.name) && !/^(video|audio)\//.test(file.type)) return say(problem, t("start.wrong-type", { name: file.name }));
    if (file.size === 0) return say(problem, t("start.empty", { name: file.name }));
    if (file.size > settings.max_upload_bytes)
      return say(problem, t("start.too-large", { name: file.name, size: bytes(file.size), most: bytes(settings.max_upload_bytes) }));
    say(problem, null);
    return onClip({ blob: file, name: file.name, url: URL.createObjectURL(file), wordsFile: null });
  }

  function takeFirst(files) {
    if (!files?.length) return;
    take(files[0]);
    if (files.length > 1 && problem.hidden) say(problem, t("start.one-only", { count: files.length }));
  }

  // It has been read when something else is done.
  window.addEventListener("pointerdown", () => say(problem, null));
  window.addEventListener("keydown", () => say(problem, null));

  const file = $("#file");
  $("#choose").addEventListener("click", () => file.click());
  file.addEventListener("change", () => {
    takeFirst(file.files);
    file.value = ""; // the same file may be chosen again
  });

  // The whole window takes a drop, so that a missed one does not leave the page.
  const drop = $("#drop");
  let depth = 0;
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  window.addEventListener("dragenter", (event) => hasFiles(event) && ((depth += 1), drop.classList.add("over")));
  window.addEventListener("dragleave", (event) => hasFiles(event) && (depth -= 1) <= 0 && drop.classList.remove("over"));
  window.addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  window.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth = 0;
    drop.classList.remove("over");
    if ($("#work").hidden) takeFirst(event.dataTransfer.files);
  });
  window.addEventListener("paste", (event) => {
    if (!$("#start").hidden && event.clipboardData?.files.length) takeFirst(event.clipboardData.files);
  });

  const recorder = setUpRecorder(take);
  $("#record").addEventListener("click", () => void recorder.open());

  async function openExample(example) {
    say(problem, null);
    try {
      const part = async (name) => {
        const answer = await fetch(`page/examples/${encodeURIComponent(name)}`);
        if (!answer.ok) throw new Error(t("error.network"));
        return answer.blob();
      };
      const blob = await part(example.clip);
      const wordsFile = example.words ? new File([await part(example.words)], example.words, { type: "text/plain" }) : null;
      onExample({ blob, name: example.clip, url: URL.createObjectURL(blob), wordsFile });
    } catch (error) {
      say(problem, error.message);
    }
  }

  function relabel() {
    $("#limits-of-files").textContent = t("start.limits", {
      size: bytes(settings.max_upload_bytes), duration: length(settings.max_duration_seconds), job: length(settings.max_job_seconds),
    });
    $("#privacy").textContent = [
      t(settings.is_local ? "start.private.local" : "start.private.remote"),
      t(settings.keeps_uploads ? "start.kept.yes" : "start.kept.no", { minutes: settings.file_minutes }),
    ].join(" ");
    $("#examples-block").hidden = settings.examples.length === 0;
    $("#examples").replaceChildren(...settings.examples.map((example) =>
      el("li", {}, el("button", { type: "button", "data-example": example.name, onclick: () => void openExample(example) },
        example.poster ? el("img", { src: `page/examples/${example.poster}`, alt: "", height: "216" }) : el("span", { class: "no-poster", "aria-hidden": "true" }),
        el("b", {}, tOr(`example.${example.name}`, example.name)), el("small", {}, tOr(`example.${example.name}.note`, ""))))));
  }
  window.addEventListener("language", relabel);
  relabel();
}

/** Wire the choices about a clip; onGo(options) is called with them. */
export function setUpOptions(settings, { clip, onGo, onOther }) {
  const form = $("#options");
  const words = $("#words");
  const wordsFile = $("#words-file");

  const choices = () => settings.models.map(({ name }) => el("option", { value: name }, name));
  $("#model").replaceChildren(...choices());
  $("#model").value = settings.default_model;
  const none = el("option", { value: "" });
  $("#other-model").replaceChildren(none, ...choices());
  $("#other-model").closest(".field").hidden = settings.models.length < 2;

  function relabel() {
    none.textContent = t("options.compare.none");
  }
  window.addEventListener("language", relabel);
  relabel();

  $("#words-file-button").addEventListener("click", () => wordsFile.click());
  wordsFile.addEventListener("change", async () => {
    const file = wordsFile.files[0];
    wordsFile.value = "";
    if (file) await useWords(file);
  });
  // Typed words replace a file's.
  words.addEventListener("input", () => {
    if (clip()) clip().wordsFile = null;
  });

  async function useWords(file) {
    clip().wordsFile = file;
    words.value = await file.text();
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    onGo(read());
  });
  $("#other-clip").addEventListener("click", onOther);

  const read = () => ({
    models: [...new Set([$("#model").value, $("#other-model").value].filter(Boolean))],
    words: words.value, people: $("#people").value, segment: $("#segment").value, peak_rule: $("#peak_rule").value,
  });
  return { read, clear: () => (words.value = "") };
}
