// Speech as the server streams it: events, and a WAV file that grows.

/** Yield the events of a response whose body is a stream of server-sent events. */
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      yield JSON.parse(text.slice(0, end).replace(/^data: /, ""));
      text = text.slice(end + 2);
    }
  }
}

export function fromBase64(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/** A 16-bit mono WAV file that comes in pieces, with a header that does not know its length. */
export class GrowingWav {
  constructor() {
    this.bytes = new Uint8Array(0);
    this.start = 0; // of the samples; 0 = the header is not there yet
    this.rate = 0;
    this.read = 0; // bytes that `add` has returned as samples
  }

  /** Take bytes; return the samples that have become whole, as Float32Array. */
  add(piece) {
    const joined = new Uint8Array(this.bytes.length + piece.length);
    joined.set(this.bytes);
    joined.set(piece, this.bytes.length);
    this.bytes = joined;
    if (!this.start && !this.#readHeader()) return new Float32Array(0);
    const end = this.start + 2 * Math.floor((this.bytes.length - this.start) / 2);
    const samples = this.#samples(this.read, end);
    this.read = end;
    return samples;
  }

  /** Return all samples. */
  get samples() {
    return this.#samples(this.start, this.read);
  }

  /** Return the file, whose header now knows its length. */
  file() {
    const view = this.#view();
    view.setUint32(4, this.bytes.length - 8, true);
    view.setUint32(this.start - 4, this.bytes.length - this.start, true);
    return new Blob([this.bytes], { type: "audio/wav" });
  }

  #readHeader() {
    const view = this.#view();
    for (let place = 12; place + 8 <= this.bytes.length; ) {
      const name = String.fromCharCode(...this.bytes.slice(place, place + 4));
      if (name === "fmt " && place + 16 <= this.bytes.length) this.rate = view.getUint32(place + 12, true);
      if (name === "data") {
        this.start = this.read = place + 8;
        return true;
      }
      place += 8 + view.getUint32(place + 4, true);
    }
    return false;
  }

  #samples(from, to) {
    const view = this.#view();
    const samples = new Float32Array((to - from) / 2);
    for (let i = 0; i < samples.length; i++) samples[i] = view.getInt16(from + 2 * i, true) / 32768;
    return samples;
  }

  #view() {
    return new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength);
  }
}
