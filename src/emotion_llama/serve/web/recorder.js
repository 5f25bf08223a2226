// A clip from the camera. Nothing is sent from here: the recording is a file like any other afterwards.

import { $, say } from "./dom.js";
import { t } from "./i18n.js";

const LONGEST_SECONDS = 60;
// What browsers record and the server decodes; the first that the browser knows.
const KINDS = ["video/webm;codecs=vp9,opus", "video/webm;codecs=vp8,opus", "video/webm", "video/mp4"];

/** Wire the dialog; onClip(File) is called with a finished recording. */
export function setUpRecorder(onClip) {
  const dialog = $("#recorder");
  const camera = $("#camera");
  const go = $("#recorder-go");
  let stream = null;
  let recorder = null;
  let timer = null;

  async function open() {
    say($("#recorder-error"), null);
    relabel();
    dialog.showModal();
    go.disabled = true;
    if (!navigator.mediaDevices?.getUserMedia || !window.MediaRecorder) {
      say($("#recorder-error"), t("recorder.unsupported"));
      return;
    }
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, height: { ideal: 720 }, facingMode: "user" }, audio: true });
    } catch (error) {
      say($("#recorder-error"), t("recorder.denied", { reason: error.message.replace(/\.?$/, ".") }));
      return;
    }
    if (!dialog.open) return release(); // closed while the browser asked
    camera.srcObject = stream;
    go.disabled = false;
    go.focus();
  }

  function release() {
    clearInterval(timer);
    for (const track of stream?.getTracks() ?? []) track.stop();
    stream = null;
    recorder = null;
    camera.srcObject = null;
    $("#recording").hidden = true;
  }

  function start() {
    const kind = KINDS.find((name) => MediaRecorder.isTypeSupported(name));
    recorder = new MediaRecorder(stream, kind ? { mimeType: kind } : {});
    const pieces = [];
    recorder.addEventListener("dataavailable", (event) => event.data.size && pieces.push(event.data));
    recorder.addEventListener("stop", () => finish(pieces));
    recorder.start(500);
    const began = performance.now();
    $("#recording").hidden = false;
    const show = () => {
      const seconds = Math.floor((performance.now() - began) / 1000);
      $("#recorded").textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
      if (seconds >= LONGEST_SECONDS) recorder?.stop();
    };
    show();
    timer = setInterval(show, 250);
    relabel();
  }

  function finish(pieces) {
    const type = (recorder?.mimeType ?? pieces[0]?.type ?? "video/webm").split(";")[0];
    const wanted = dialog.open && pieces.length > 0;
    release();
    if (dialog.open) dialog.close();
    if (wanted) onClip(new File(pieces, `${t("recorder.name")}.${type === "video/mp4" ? "mp4" : "webm"}`, { type }));
  }

  function relabel() {
    go.textContent = t(recorder ? "recorder.stop" : "recorder.start");
    $("#recorder-note").textContent = t("recorder.note", { seconds: LONGEST_SECONDS });
  }

  go.addEventListener("click", () => (recorder ? recorder.stop() : start()));
  $("#recorder-close").addEventListener("click", () => dialog.close());
  // Also by Escape: the camera's light goes off with the dialog.
  dialog.addEventListener("close", () => {
    if (recorder && recorder.state !== "inactive") recorder.stop();
    release();
  });
  window.addEventListener("language", relabel);
  return { open };
}
