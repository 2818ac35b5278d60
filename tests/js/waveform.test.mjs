// Peaks of a decoded sound, their outline, and the names of files.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileOfWidget } from "../../js/files.mjs";
import { outline, partOf, peaksOf } from "../../js/waveform.mjs";

test("each part gives its loudest sample, channels averaged", () => {
  const left = new Float32Array(100);
  const right = new Float32Array(100);
  left[3] = 1;
  left[55] = right[55] = -0.75;
  right[99] = 5;
  assert.deepEqual(peaksOf([left, right], 10), [0.5, 0, 0, 0, 0, 0.75, 0, 0, 0, 1]);
  assert.deepEqual(peaksOf([left], 2, [50, 60]), [0, 0.75]);
});

test("fewer samples than parts give a peak each; none give none", () => {
  assert.deepEqual(peaksOf([new Float32Array([0.5, 0.25])], 10), [0.5, 0.25]);
  assert.deepEqual(peaksOf([new Float32Array(5)], 10, [5, 5]), []);
});

test("the used part follows start and duration, and ends with the sound", () => {
  assert.deepEqual(partOf(1000, 100, 0, 0), [0, 1000]);
  assert.deepEqual(partOf(1000, 100, 2.5, 3), [250, 550]);
  assert.deepEqual(partOf(1000, 100, 8, 30), [800, 1000]);
  assert.deepEqual(partOf(1000, 100, 30, 0), [1000, 1000]);
});

test("the outline fills its box with the loudest peak", () => {
  const box = { left: 0, top: 10, width: 100, height: 40 };
  assert.equal(outline([0.25, 0.5], box), "M25.0,20.0L75.0,10.0L75.0,50.0L25.0,40.0Z");
  assert.equal(outline([], { left: 0, top: 0, width: 1, height: 1 }), "");
});

test("core's names of files are taken apart", () => {
  assert.deepEqual(fileOfWidget("ada.png"), { filename: "ada.png", subfolder: "", type: "input" });
  assert.deepEqual(fileOfWidget("a/b/c d.png [output]"), { filename: "c d.png", subfolder: "a/b", type: "output" });
  assert.deepEqual(fileOfWidget("x [1].png"), { filename: "x [1].png", subfolder: "", type: "input" });
});
