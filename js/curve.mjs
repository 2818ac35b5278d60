// Arithmetic of the speed curve: points [time in seconds, degrees per frame], and the plot they are drawn in.

export const MAX_SPEED = 4;
// Times closer than this would be one point: the editor's precision.
export const STEP_S = 0.01;
const STEP_SPEED = 0.01;
const LEAST_DURATION_S = 5;

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const rounded = (value, step) => Math.round(Math.round(value / step) * step * 1e6) / 1e6;

/** Read the state that Python reads too; no points where there is none. */
export function parseCurve(text) {
  try {
    const points = JSON.parse(text);
    const usable = points.every(([time, speed]) => Number.isFinite(time) && Number.isFinite(speed));
    return usable ? points.map(([time, speed]) => [time, speed]).sort((one, other) => one[0] - other[0]) : [];
  } catch {
    return [];
  }
}

/** The state as text; no points are no text. */
export function formatCurve(points) {
  return points.length ? JSON.stringify(points) : "";
}

/** The speed at a time: straight between points, level before the first and after the last. */
export function speedAt(points, time) {
  const next = points.findIndex(([at]) => at >= time);
  if (next === 0) return points[0][1];
  if (next === -1) return points[points.length - 1][1];
  const [[start, slow], [end, fast]] = [points[next - 1], points[next]];
  return slow + ((fast - slow) * (time - start)) / (end - start);
}

/** The points with one more, and its index; a point at the same time is replaced. */
export function addPoint(points, time, speed) {
  const point = [rounded(Math.max(0, time), STEP_S), rounded(clamp(speed, 0, MAX_SPEED), STEP_SPEED)];
  const others = points.filter(([at]) => Math.abs(at - point[0]) >= STEP_S / 2);
  const added = [...others, point].sort((one, other) => one[0] - other[0]);
  return { points: added, index: added.indexOf(point) };
}

/** The points with one of them moved: between its neighbours in time, and within the range of speeds. */
export function movePoint(points, index, time, speed, end = Infinity) {
  const low = index > 0 ? points[index - 1][0] + STEP_S : 0;
  const high = index < points.length - 1 ? points[index + 1][0] - STEP_S : Math.max(end, low);
  const moved = [rounded(clamp(time, low, high), STEP_S), rounded(clamp(speed, 0, MAX_SPEED), STEP_SPEED)];
  return points.map((point, at) => (at === index ? moved : point));
}

/** The points without one of them. */
export function removePoint(points, index) {
  return points.filter((_, at) => at !== index);
}

/** Where a new point has most room: in the middle of the widest gap of the curve's time line. */
export function widestGap(points, duration) {
  const times = [0, ...points.map(([time]) => time), Math.max(duration, points[points.length - 1]?.[0] ?? 0)];
  let best = 1;
  for (let at = 2; at < times.length; at += 1) {
    if (times[at] - times[at - 1] > times[best] - times[best - 1]) best = at;
  }
  return (times[best - 1] + times[best]) / 2;
}

/** The plot's axes: their ends in seconds and degrees per frame. Twice the speeds fit where they are wanted. */
export function axesOf(points, duration) {
  const last = points.length ? points[points.length - 1][0] : 0;
  const highest = Math.max(0, ...points.map(([, speed]) => speed));
  const top = highest > MAX_SPEED / 2 - 0.1 ? MAX_SPEED : MAX_SPEED / 2;
  return { end: Math.max(duration || LEAST_DURATION_S, last), top };
}

/** A point of the plot's box { left, top, width, height } as [time, speed], not limited to the axes. */
export function toCurve(point, box, axes) {
  return [
    ((point.x - box.left) / box.width) * axes.end,
    (1 - (point.y - box.top) / box.height) * axes.top,
  ];
}

/** A curve point in the plot's box. */
export function toPlot([time, speed], box, axes) {
  return {
    x: box.left + (time / axes.end) * box.width,
    y: box.top + (1 - speed / axes.top) * box.height,
  };
}

/** The index of the curve point nearest to a point of the plot, -1 if none is within reach. */
export function pointNear(point, points, box, axes, reach) {
  let found = -1;
  let nearest = reach;
  points.forEach((candidate, index) => {
    const at = toPlot(candidate, box, axes);
    const distance = Math.hypot(at.x - point.x, at.y - point.y);
    if (distance <= nearest) [found, nearest] = [index, distance];
  });
  return found;
}

/** Times for the axis: round steps, at most `count` of them above 0. */
export function timeTicks(end, count) {
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600];
  const step = steps.find((candidate) => end / candidate <= count) ?? end;
  return Array.from({ length: Math.floor(end / step + 1e-9) + 1 }, (_, index) => rounded(index * step, STEP_S));
}

/** A time as an axis shows it: 4 s, 0.5 s, 1:30. */
export function timeLabel(time) {
  if (time < 60) return `${time} s`;
  return `${Math.floor(time / 60)}:${String(Math.round(time % 60)).padStart(2, "0")}`;
}
