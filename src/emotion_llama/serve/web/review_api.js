// Calls of the review API; relative, so that a proxy may put the page anywhere.

import { storedKey, useKey } from "./key.js";

const ROOT = "../v1/review";

/** Why a call brought no answer: the server's own sentence where it sent one. */
export class Failure extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

let askForKey = async () => null;

/** `ask` opens the dialog for the API key and gives it, or null. */
export function onKeyNeeded(ask) {
  askForKey = ask;
}

async function request(path, options = {}) {
  const send = () =>
    fetch(ROOT + path, { ...options, headers: { ...options.headers, ...(storedKey() ? { Authorization: `Bearer ${storedKey()}` } : {}) } });
  let answer;
  try {
    answer = await send();
    while (answer.status === 401) {
      const given = await askForKey();
      if (!given) break;
      useKey(given);
      answer = await send();
    }
  } catch {
    throw new Failure("The server does not answer. Is it still running?");
  }
  if (answer.ok) return answer;
  let told = null;
  try {
    told = (await answer.json()).error.message;
  } catch {
    // Not our form: a proxy in between, say.
  }
  throw new Failure(told ?? `The server answered ${answer.status}.`, answer.status);
}

const query = (values) => {
  const given = Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return given.length ? `?${new URLSearchParams(given)}` : "";
};
const read = async (path, values = {}) => (await request(path + query(values))).json();

export const getSet = () => read("");
export const getSamples = async (reviewer) => (await read("/samples", { reviewer })).samples;
export const getSample = (clipId, reviewer) => read("/sample", { clip_id: clipId, reviewer });
export const getCurves = (clipId) => read("/curves", { clip_id: clipId });
export const getFigures = () => read("/figures");

export async function decide(form) {
  const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(form) };
  return (await request("/decisions", options)).json();
}

/**
 * An address for a video, sound or picture. Elements send no key, so with one the file is fetched whole; without, the
 * element asks for the ranges that it needs.
 */
export async function fileAddress(kind, values) {
  const path = `/${kind}${query(values)}`;
  return storedKey() ? URL.createObjectURL(await (await request(path)).blob()) : ROOT + path;
}
