// Calls of the server: one way to ask, one way to fail. Addresses are relative, so that a proxy may put us anywhere.

import { t } from "./i18n.js";
import { storedKey, useKey } from "./key.js";

/** Why a call brought no answer: the server's own sentence where it sent one. */
export class Failure extends Error {
  constructor(message, { status = 0, code = null } = {}) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

let askForKey = async () => null;

/** `ask` opens the dialog for the API key and gives it, or null. */
export function onKeyNeeded(ask) {
  askForKey = ask;
}

const withKey = (headers) => (storedKey() ? { ...headers, Authorization: `Bearer ${storedKey()}` } : headers);

async function failureOf(answer) {
  let told = null;
  try {
    told = (await answer.json()).error;
  } catch {
    // Not our form: a proxy in between, say.
  }
  if (answer.status === 429) {
    const seconds = answer.headers.get("retry-after");
    if (seconds) return new Failure(t("error.busy", { seconds }), { status: 429, code: told?.code ?? null });
  }
  return new Failure(told?.message ?? `HTTP ${answer.status}`, { status: answer.status, code: told?.code ?? null });
}

async function request(path, options = {}) {
  const send = () => fetch(path, { ...options, headers: withKey(options.headers ?? {}) });
  let answer;
  try {
    answer = await send();
    while (answer.status === 401) {
      const given = await askForKey(storedKey() !== null);
      if (given === null) break;
      useKey(given);
      answer = await send();
    }
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure(t("error.network"));
  }
  if (!answer.ok) throw await failureOf(answer);
  return answer;
}

export const pageSettings = async () => (await request("page/settings.json")).json();

/** Server-sent events of an answer, as {event, data} with data as text. */
export async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value.replaceAll("\r", "")).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const lines = block.split("\n");
      const named = lines.find((line) => line.startsWith("event:"));
      const data = lines.filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart());
      if (data.length) yield { event: named ? named.slice(6).trim() : "message", data: data.join("\n") };
    }
  }
}

function analyzeForm(clip, options, model) {
  const form = new FormData();
  // Fields first: the server may refuse them before it has read the file.
  form.set("model", model);
  for (const name of ["people", "segment", "peak_rule"]) form.set(name, options[name]);
  if (clip.wordsFile) form.set("transcript", clip.wordsFile, clip.wordsFile.name);
  else if (options.words.trim()) form.set("subtitle", options.words);
  if (clip.fileId) form.set("file_id", clip.fileId);
  else form.set("file", clip.blob, clip.name);
  return form;
}

/** Put the clip on the server once, for all models and the questions after; where there is no room it goes with each analysis. */
async function stored(clip, signal) {
  clip.uploading ??= upload(clip, signal).then((id) => (clip.fileId = id));
  try {
    await clip.uploading;
  } catch (error) {
    clip.uploading = null;
    if (error.code !== "store_full") throw error;
  }
}

/** Ask the server to forget a clip, also while the page goes away. */
export function letGoOf(clip) {
  if (clip?.fileId) forget(clip.fileId);
  if (clip) clip.fileId = clip.uploading = null;
}

/**
 * Analyse a clip: {model, document, text (the document as it came), html}.
 * `listen` hears progress {stage, share} and answers as they come.
 */
export async function analyze(clip, options, model, { signal, listen }) {
  listen("progress", { stage: "upload", share: 0 });
  await stored(clip, signal);
  const ask = () => {
    const body = analyzeForm(clip, options, model);
    body.set("format", "html");
    return request("v1/analyze", { method: "POST", body, signal, headers: { Accept: "text/event-stream" } });
  };
  const answer = await ask().catch(async (error) => {
    if (error.code !== "file_not_found") throw error;
    clip.fileId = clip.uploading = null; // the server kept it for a while alone
    await stored(clip, signal);
    return ask();
  });
  let html = null;
  let result = null;
  try {
    for await (const { event, data } of events(answer)) {
      const told = JSON.parse(data);
      if (event === "result") result = { model, document: told, text: data, html };
      else if (event === "page") html = told.html;
      else if (event === "error") throw new Failure(told.error.message, { code: told.error.code });
      else listen(event, told);
    }
  } catch (error) {
    if (error instanceof Failure || error.name === "AbortError") throw error;
  }
  if (result === null) throw new Failure(t("error.cut"));
  return result;
}

const pause = (ms, signal) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => (clearTimeout(timer), reject(new DOMException("stopped", "AbortError"))));
  });

/** The same as a job, for long recordings; a stopped job is cancelled. */
export async function analyzeAsJob(clip, options, model, { signal, listen }) {
  listen("progress", { stage: "upload", share: 0 });
  const made = await request("v1/jobs", { method: "POST", body: analyzeForm(clip, options, model), signal });
  const { id } = await made.json();
  const place = `v1/jobs/${encodeURIComponent(id)}`;
  listen("job", { id });
  signal?.addEventListener("abort", () => void request(`${place}/cancel`, { method: "POST" }).catch(() => {}));
  for (;;) {
    const job = await (await request(place, { signal })).json();
    if (job.status === "failed") throw new Failure(job.error?.message ?? t("error.title"));
    if (job.status === "cancelled") throw new DOMException("stopped", "AbortError");
    if (job.status === "done") break;
    listen("progress", job.stage ? { stage: job.stage, share: job.share } : { stage: "queue", share: 0 });
    await pause(1000, signal);
  }
  const text = await (await request(`${place}/result?format=json`, { signal })).text();
  // Pictures and the report; the figures do without.
  const html = await request(`${place}/result?format=html`, { signal }).then((answer) => answer.text()).catch(() => null);
  return { model, document: JSON.parse(text), text, html };
}

/** Put the clip where questions can be asked about it; gives its id. */
export async function upload(clip, signal) {
  const form = new FormData();
  form.set("purpose", "user_data");
  form.set("file", clip.blob, clip.name);
  const answer = await request("v1/files", { method: "POST", body: form, signal });
  return (await answer.json()).id;
}

function forget(id) {
  void fetch(`v1/files/${encodeURIComponent(id)}`, { method: "DELETE", headers: withKey({}), keepalive: true }).catch(() => {});
}

/** Pieces of an answer as they are written: {text} or {chances}. */
export async function* chat({ model, messages, temperature, options, signal }) {
  const body = JSON.stringify({ model, messages, temperature, stream: true, emotion_llama: options });
  const answer = await request("v1/chat/completions", {
    method: "POST", body, signal, headers: { "Content-Type": "application/json" },
  });
  for await (const { data } of events(answer)) {
    if (data === "[DONE]") return;
    const piece = JSON.parse(data);
    if (piece.error) throw new Failure(piece.error.message, { code: piece.error.code });
    const text = piece.choices?.[0]?.delta?.content;
    if (text) yield { text };
    const chances = (piece.emotion_llama ?? piece.choices?.[0]?.emotion_llama)?.probabilities;
    if (chances) yield { chances };
  }
}
