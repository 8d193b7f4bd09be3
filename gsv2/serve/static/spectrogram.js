// Spectrogram of a wave: short-time Fourier transform, rows spread as mels, drawn on a canvas.

const SIZE = 1024; // samples of a frame
const FLOOR_DB = -70; // below the loudest point everything is dark
const COLOURS = [[8, 8, 32], [60, 20, 110], [160, 40, 110], [235, 110, 50], [250, 230, 130]];
const HANN = Float32Array.from({ length: SIZE }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / SIZE));

/** Transform SIZE complex numbers in place (Cooley and Tukey, 1965). */
export function fft(real, imaginary) {
  const size = real.length;
  for (let i = 1, j = 0; i < size; i++) {
    let bit = size >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      [real[i], real[j]] = [real[j], real[i]];
      [imaginary[i], imaginary[j]] = [imaginary[j], imaginary[i]];
    }
  }
  for (let length = 2; length <= size; length <<= 1) {
    for (let k = 0; k < length / 2; k++) {
      const angle = (-2 * Math.PI * k) / length;
      const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
      for (let low = k; low < size; low += length) {
        const high = low + length / 2;
        const re = real[high] * cos - imaginary[high] * sin;
        const im = real[high] * sin + imaginary[high] * cos;
        real[high] = real[low] - re;
        imaginary[high] = imaginary[low] - im;
        real[low] += re;
        imaginary[low] += im;
      }
    }
  }
}

/** Return the power in each bin from 0 Hz to half the rate, around a place of a wave. */
export function spectrum(samples, centre) {
  const real = new Float32Array(SIZE);
  const imaginary = new Float32Array(SIZE);
  const first = Math.round(centre - SIZE / 2);
  for (let i = 0; i < SIZE; i++) real[i] = (samples[first + i] ?? 0) * HANN[i];
  fft(real, imaginary);
  return Float32Array.from({ length: SIZE / 2 }, (_, i) => real[i] ** 2 + imaginary[i] ** 2);
}

const toMel = (hz) => 2595 * Math.log10(1 + hz / 700);
const fromMel = (mel) => 700 * (10 ** (mel / 2595) - 1);

/** Draw a wave over the width of a canvas, low tones at the bottom. */
export function draw(canvas, samples, rate) {
  const { width, height } = canvas;
  const bins = Array.from({ length: height }, (_, row) => {
    const hz = fromMel((toMel(rate / 2) * (height - 1 - row)) / (height - 1));
    return Math.min((hz / rate) * SIZE, SIZE / 2 - 1);
  });
  const decibels = new Float32Array(width * height);
  let loudest = -Infinity;
  for (let x = 0; x < width; x++) {
    const power = spectrum(samples, ((x + 0.5) / width) * samples.length);
    for (let y = 0; y < height; y++) {
      const low = Math.floor(bins[y]);
      const share = bins[y] - low;
      const value = power[low] * (1 - share) + (power[low + 1] ?? 0) * share;
      decibels[y * width + x] = 10 * Math.log10(value + 1e-12);
      loudest = Math.max(loudest, decibels[y * width + x]);
    }
  }
  const image = new ImageData(width, height);
  for (let i = 0; i < decibels.length; i++) {
    image.data.set(colour(1 - (decibels[i] - loudest) / FLOOR_DB), 4 * i);
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function colour(level) {
  const place = Math.min(Math.max(level, 0), 1) * (COLOURS.length - 1);
  const low = Math.min(Math.floor(place), COLOURS.length - 2);
  const mix = (i) => COLOURS[low][i] + (COLOURS[low + 1][i] - COLOURS[low][i]) * (place - low);
  return [mix(0), mix(1), mix(2), 255];
}
