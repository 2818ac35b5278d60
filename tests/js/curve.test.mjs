// The speed curve's points and the plot they are drawn in.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  MAX_SPEED, STEP_S, addPoint, axesOf, formatCurve, movePoint, parseCurve, pointNear, removePoint, speedAt, timeLabel,
  timeTicks, toCurve, toPlot, widestGap,
} from "../../js/curve.mjs";

const POINTS = [[1, 0.2], [2, 1], [4, 0]];
const BOX = { left: 20, top: 10, width: 400, height: 100 };

test("the curve survives its text; what is no curve has no points", () => {
  assert.deepEqual(parseCurve(formatCurve(POINTS)), POINTS);
  assert.equal(formatCurve([]), "");
  for (const text of ["", "{}", "3", "[1]", "[[0]]", '[[0,"1"]]', undefined]) assert.deepEqual(parseCurve(text), []);
  assert.deepEqual(parseCurve("[[2,1],[1,0]]"), [[1, 0], [2, 1]]);
});

test("speeds are straight between points and level outside", () => {
  const speeds = [0, 1, 1.5, 2, 3, 4, 9].map((time) => speedAt(POINTS, time));
  const expected = [0.2, 0.2, 0.6, 1, 0.5, 0, 0];
  speeds.forEach((speed, index) => assert.ok(Math.abs(speed - expected[index]) < 1e-12));
});

test("a point goes where its time says, on the editor's grid and in range", () => {
  assert.deepEqual(addPoint(POINTS, 3.001, 0.333), { points: [[1, 0.2], [2, 1], [3, 0.33], [4, 0]], index: 2 });
  assert.deepEqual(addPoint([], -1, 99), { points: [[0, MAX_SPEED]], index: 0 });
  assert.deepEqual(addPoint(POINTS, 2.001, 0.5), { points: [[1, 0.2], [2, 0.5], [4, 0]], index: 1 });
});

test("a moved point stays between its neighbours", () => {
  assert.deepEqual(movePoint(POINTS, 1, 2.5, 0.7), [[1, 0.2], [2.5, 0.7], [4, 0]]);
  assert.deepEqual(movePoint(POINTS, 1, 0, -3), [[1, 0.2], [1.01, 0], [4, 0]]);
  assert.deepEqual(movePoint(POINTS, 1, 9, 9), [[1, 0.2], [3.99, MAX_SPEED], [4, 0]]);
  assert.deepEqual(movePoint(POINTS, 2, 9, 0, 5), [[1, 0.2], [2, 1], [5, 0]]);
  assert.deepEqual(movePoint(POINTS, 0, -1, 0.2), [[0, 0.2], [2, 1], [4, 0]]);
});

test("whatever is added and moved, times rise and speeds stay in range", () => {
  let seed = 3;
  const random = (low, high) => {
    seed = (seed * 1103515245 + 12345) % 2 ** 31;
    return low + ((high - low) * seed) / 2 ** 31;
  };
  let points = [];
  for (let count = 0; count < 1500; count += 1) {
    const added = addPoint(points, random(-1, 11), random(-1, 6));
    points = movePoint(added.points, added.index, random(-1, 11), random(-1, 6), 10);
    if (points.length > 12) points = removePoint(points, count % points.length);
    points.forEach(([time, speed], at) => {
      assert.ok(time >= 0 && speed >= 0 && speed <= MAX_SPEED);
      assert.ok(at === 0 || time >= points[at - 1][0] + STEP_S - 1e-9, JSON.stringify(points));
    });
  }
});

test("removing takes one point", () => {
  assert.deepEqual(removePoint(POINTS, 1), [[1, 0.2], [4, 0]]);
});

test("a point by key goes into the widest gap", () => {
  assert.equal(widestGap([], 6), 3);
  assert.equal(widestGap(POINTS, 6), 3);
  assert.equal(widestGap(POINTS, 20), 12);
});

test("the axes hold the voice, all points, and room above them", () => {
  assert.deepEqual(axesOf([], undefined), { end: 5, top: 2 });
  assert.deepEqual(axesOf(POINTS, 3), { end: 4, top: 2 });
  assert.deepEqual(axesOf([[0, 1.95]], 3), { end: 3, top: 4 });
});

test("the way to the plot and back ends where it began", () => {
  const axes = axesOf(POINTS, 8);
  assert.deepEqual(toPlot([4, 1], BOX, axes), { x: 220, y: 60 });
  assert.deepEqual(toCurve({ x: 220, y: 60 }, BOX, axes), [4, 1]);
});

test("the nearest point within reach is taken", () => {
  const axes = axesOf(POINTS, 8);
  const at = toPlot(POINTS[1], BOX, axes);
  assert.equal(pointNear({ x: at.x + 5, y: at.y - 5 }, POINTS, BOX, axes, 9), 1);
  assert.equal(pointNear({ x: at.x + 12, y: at.y }, POINTS, BOX, axes, 9), -1);
  assert.equal(pointNear(at, [], BOX, axes, 9), -1);
});

test("time ticks are round and as many as fit", () => {
  assert.deepEqual(timeTicks(5, 5), [0, 1, 2, 3, 4, 5]);
  assert.deepEqual(timeTicks(0.7, 4), [0, 0.2, 0.4, 0.6]);
  assert.deepEqual(timeTicks(95, 4), [0, 30, 60, 90]);
  assert.equal(timeLabel(0.5), "0.5 s");
  assert.equal(timeLabel(90), "1:30");
});
