// The page: voices as sliders, a text, and what the server speaks of it, by the API that all use.

import { GrowingWav, events, fromBase64 } from "./speech.js";
import { draw } from "./spectrogram.js";

const get = (id) => document.getElementById(id);
const player = get("player");
const weights = new Map(); // id of a voice -> its slider
let answer = null; // AbortController of the speech that comes

function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

/** Ask the server; throw what it says of a request that it refuses. */
async function ask(path, options = {}) {
  const token = get("token").value;
  const headers = { ...options.headers, ...(token && { Authorization: `Bearer ${token}` }) };
  const response = await fetch(path, { ...options, headers });
  if (response.ok) return response;
  const said = await response.json().catch(() => ({}));
  if (response.status === 401) get("key").open = true;
  throw new Error(said.error?.message ?? `the server answers with ${response.status}`);
}

/** Run what may fail, and show why it did. */
async function shown(action) {
  get("error").textContent = "";
  try {
    await action();
  } catch (error) {
    if (error.name !== "AbortError") get("error").textContent = error.message;
  }
}

async function listVoices(chosen) {
  const { data } = await (await ask("v1/audio/voices")).json();
  const before = new Map([...weights].map(([id, slider]) => [id, slider.value]));
  weights.clear();
  get("voices").replaceChildren(
    ...data.map((voice, place) => {
      const first = before.size ? before.get(voice.id) : place === 0 ? 1 : 0;
      return voiceRow(voice, voice.id === chosen ? 1 : (first ?? 0));
    }),
  );
  if (!data.length) get("adding").open = true;
}

function voiceRow(voice, weight) {
  const slider = make("input", { type: "range", min: 0, max: 1, step: 0.05, value: weight });
  const value = make("output", { textContent: slider.value });
  slider.id = `weight-${voice.id}`;
  slider.addEventListener("input", () => (value.textContent = slider.value));
  weights.set(voice.id, slider);
  const label = make("label", { htmlFor: slider.id, textContent: voice.name, title: voice.name });
  const row = make("li", {}, label, slider, value);
  if (voice.uploaded) {
    const remove = make("button", { className: "remove", textContent: "×" });
    remove.ariaLabel = `remove ${voice.name}`;
    remove.addEventListener("click", () => shown(() => removeVoice(voice.id)));
    row.append(remove);
  }
  return row;
}

async function removeVoice(id) {
  await ask(`v1/audio/voices/${encodeURIComponent(id)}`, { method: "DELETE" });
  await listVoices();
}

async function addVoice(form) {
  get("status").textContent = "listening to the recording";
  try {
    const response = await ask("v1/audio/voices", { method: "POST", body: new FormData(form) });
    form.reset();
    await listVoices((await response.json()).id);
  } finally {
    get("status").textContent = "";
  }
}

/** Return the voice of the sliders: an id, or a mixture such as `anna(0.7)+ben(0.3)`. */
function askedVoice() {
  const parts = [...weights].filter(([, slider]) => slider.valueAsNumber > 0);
  if (!parts.length) throw new Error("no voice is chosen: move a slider above 0");
  if (parts.length === 1) return parts[0][0];
  return parts.map(([id, slider]) => `${id}(${slider.value})`).join("+");
}

/** Plays pieces of a wave one after the other, while more of them come. */
class Playing {
  constructor() {
    this.context = new AudioContext();
    this.next = 0;
  }

  add(samples, rate) {
    if (!samples.length) return;
    const buffer = this.context.createBuffer(1, samples.length, rate);
    buffer.copyToChannel(samples, 0);
    const source = this.context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.context.destination);
    this.next = Math.max(this.next, this.context.currentTime + 0.05);
    source.start(this.next);
    this.next += buffer.duration;
  }

  close() {
    this.context.close();
  }
}

async function speak() {
  const asked = {
    model: "gsv2",
    voice: askedVoice(),
    input: get("text").value,
    speed: get("speed").valueAsNumber,
    seed: get("seed").valueAsNumber || 0,
    response_format: "wav",
    stream_format: "sse",
    word_times: true,
  };
  const playing = new Playing();
  const began = performance.now();
  answer = new AbortController();
  get("stop").disabled = false;
  get("speak").disabled = true;
  get("status").textContent = "speaking";
  answer.signal.addEventListener("abort", () => playing.close());
  try {
    const response = await ask("v1/audio/speech", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(asked),
      signal: answer.signal,
    });
    const found = await listen(response, playing, began);
    if (!found.isWhole) throw new Error("the server broke off");
    show(found);
  } finally {
    get("stop").disabled = true;
    get("speak").disabled = false;
    if (get("status").textContent === "speaking") get("status").textContent = "";
  }
}

/** Play a speech as it comes; return its file, words and warnings. */
async function listen(response, playing, began) {
  const found = { wav: new GrowingWav(), words: [], warnings: [], isWhole: false };
  for await (const event of events(response)) {
    if (event.type === "speech.audio.delta") {
      const samples = found.wav.add(fromBase64(event.audio));
      found.firstSec ??= (performance.now() - began) / 1000;
      playing.add(samples, found.wav.rate);
    } else if (event.type === "speech.audio.words") {
      found.words.push(...event.words);
      found.warnings.push(...event.warnings);
    } else if (event.type === "speech.audio.done") {
      found.isWhole = true;
    }
  }
  found.allSec = (performance.now() - began) / 1000;
  return found;
}

function show({ wav, words, warnings, firstSec, allSec }) {
  const samples = wav.samples;
  const seconds = samples.length / wav.rate;
  URL.revokeObjectURL(player.src);
  player.src = get("download").href = URL.createObjectURL(wav.file());
  get("words").replaceChildren(...words.map(wordButton));
  get("warnings").replaceChildren(...warnings.map((text) => make("li", { textContent: text })));
  get("result").hidden = false;
  draw(get("spectrogram"), samples, wav.rate);
  const times = `first sound after ${firstSec.toFixed(2)} s, all after ${allSec.toFixed(2)} s`;
  get("status").textContent = `${seconds.toFixed(2)} s of speech; ${times}`;
}

function wordButton(word) {
  const time = make("small", { textContent: word.start.toFixed(2) });
  const button = make("button", { type: "button" }, word.word, time);
  button.dataset.start = word.start;
  button.dataset.end = word.end;
  button.addEventListener("click", () => playFrom(word.start));
  return button;
}

function playFrom(seconds) {
  player.currentTime = seconds;
  player.play();
}

player.addEventListener("timeupdate", () => {
  const now = player.currentTime;
  for (const { dataset, classList } of get("words").children) {
    classList.toggle("now", now >= Number(dataset.start) && now < Number(dataset.end));
  }
});
get("spectrogram").addEventListener("click", (event) => {
  if (player.duration) playFrom((event.offsetX / event.target.clientWidth) * player.duration);
});
get("speed").addEventListener("input", () => (get("speed-value").textContent = get("speed").value));
get("stop").addEventListener("click", () => answer?.abort());
get("token").addEventListener("change", () => shown(() => listVoices()));
get("upload").addEventListener("submit", (event) => {
  event.preventDefault();
  shown(() => addVoice(event.target));
});
get("speech").addEventListener("submit", (event) => {
  event.preventDefault();
  shown(speak);
});
shown(() => listVoices());
