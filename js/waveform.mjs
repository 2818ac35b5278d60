// A decoded sound as peaks, and peaks as an outline to draw.

/** The part of a sound from `start` on, `duration` long (0: to the end), as sample indices [first, last). */
export function partOf(length, rate, start, duration) {
  const first = Math.min(length, Math.round(start * rate));
  return [first, duration ? Math.min(length, first + Math.round(duration * rate)) : length];
}

/** The loudest sample of each of at most `count` equal parts of channels that are averaged, 0 to 1. */
export function peaksOf(channels, count, [first, last] = [0, channels[0].length]) {
  const perPart = Math.max(1, Math.ceil((last - first) / count));
  const peaks = [];
  for (let start = first; start < last; start += perPart) {
    let peak = 0;
    for (let at = start; at < Math.min(last, start + perPart); at += 1) {
      let sum = 0;
      for (const channel of channels) sum += channel[at];
      peak = Math.max(peak, Math.abs(sum / channels.length));
    }
    peaks.push(Math.min(1, peak));
  }
  return peaks;
}

/** The path of an SVG outline: peaks mirrored about the middle of a box, the loudest filling it. */
export function outline(peaks, box) {
  if (!peaks.length) return "";
  const loudest = Math.max(...peaks, 1e-6);
  const middle = box.top + box.height / 2;
  const x = (index) => (box.left + ((index + 0.5) / peaks.length) * box.width).toFixed(1);
  const y = (peak, side) => (middle + (side * 0.5 * box.height * peak) / loudest).toFixed(1);
  const upper = peaks.map((peak, index) => `${x(index)},${y(peak, -1)}`);
  const lower = peaks.map((peak, index) => `${x(index)},${y(peak, 1)}`).reverse();
  return `M${[...upper, ...lower].join("L")}Z`;
}
