// Boxes in pictures and views: what a drag and a key do to a region.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  MIN_SIDE_PX, dragged, fitPicture, formatState, grabAt, handlesOf, middleRegion, moved, movementBox, parseState,
  pointInElement, regionInside, resized, toPicture, toView,
} from "../../js/region.mjs";

const PICTURE = [512, 640];
const REGION = { x: 100, y: 80, width: 200, height: 240 };

test("the state survives its text, with and without the picture's size", () => {
  assert.deepEqual(parseState(formatState(REGION, PICTURE)), { region: REGION, picture: PICTURE });
  assert.deepEqual(parseState(formatState(REGION, null)), { region: REGION, picture: null });
  assert.equal(formatState(REGION, PICTURE), '{"x":100,"y":80,"width":200,"height":240,"picture":[512,640]}');
});

test("text that is no region is none", () => {
  const texts = ["", "null", "[]", "{", '{"x":1,"y":2,"width":3}', '{"x":1,"y":2,"width":0,"height":4}', undefined];
  for (const text of texts) assert.equal(parseState(text), null);
});

test("a picture is shown whole, centred, in its own aspect", () => {
  assert.deepEqual(fitPicture([200, 100], [400, 400]), { scale: 2, left: 0, top: 100 });
  assert.deepEqual(fitPicture([100, 200], [400, 100]), { scale: 0.5, left: 175, top: 0 });
});

test("the way from the picture to the view and back ends where it began", () => {
  const fit = fitPicture(PICTURE, [333, 247]);
  const box = toView(REGION, fit);
  const corner = toPicture({ x: box.x + box.width, y: box.y + box.height }, fit);
  assert.ok(Math.abs(corner.x - 300) < 1e-9 && Math.abs(corner.y - 320) < 1e-9);
});

test("the graph's zoom does not move a point within its element", () => {
  for (const zoom of [0.3, 1, 2.5]) {
    const rect = { left: 40, top: 70, width: 300 * zoom, height: 200 * zoom };
    const point = pointInElement({ x: 40 + 120 * zoom, y: 70 + 50 * zoom }, rect, [300, 200]);
    assert.ok(Math.abs(point.x - 120) < 1e-9 && Math.abs(point.y - 50) < 1e-9);
  }
});

test("a press takes an edge, a corner, the inside, or begins a new box", () => {
  const names = handlesOf(REGION).map(({ name }) => name);
  assert.deepEqual(names.sort(), ["e", "n", "ne", "nw", "s", "se", "sw", "w"]);
  assert.equal(grabAt({ x: 103, y: 76 }, REGION, 8), "nw");
  assert.equal(grabAt({ x: 200, y: 322 }, REGION, 8), "s");
  assert.equal(grabAt({ x: 296, y: 111 }, REGION, 8), "e");
  assert.equal(grabAt({ x: 16, y: 16 }, { x: 10, y: 10, width: 12, height: 12 }, 8), "move");
  assert.equal(grabAt({ x: 200, y: 200 }, REGION, 8), "move");
  assert.equal(grabAt({ x: 90, y: 60 }, REGION, 8), "draw");
  assert.equal(grabAt({ x: 200, y: 200 }, null, 8), "draw");
});

test("drawing works in any direction and stays in the picture", () => {
  const box = { x: 50, y: 60, width: 100, height: 120 };
  assert.deepEqual(dragged(null, "draw", { x: 50.2, y: 59.8 }, { x: 149.9, y: 180.1 }, PICTURE), box);
  assert.deepEqual(dragged(null, "draw", { x: 150, y: 180 }, { x: 50, y: 60 }, PICTURE), box);
  const whole = dragged(null, "draw", { x: -50, y: -9 }, { x: 9999, y: 9999 }, PICTURE);
  assert.deepEqual(whole, { x: 0, y: 0, width: 512, height: 640 });
  const corner = dragged(null, "draw", { x: 512, y: 640 }, { x: 512, y: 640 }, PICTURE);
  assert.deepEqual(corner, { x: 512 - MIN_SIDE_PX, y: 640 - MIN_SIDE_PX, width: MIN_SIDE_PX, height: MIN_SIDE_PX });
});

test("moving keeps the size and stops at the picture's edges", () => {
  assert.deepEqual(moved(REGION, 10.4, -5.4, PICTURE), { ...REGION, x: 110, y: 75 });
  assert.deepEqual(moved(REGION, 1e4, -1e4, PICTURE), { ...REGION, x: 312, y: 0 });
  assert.deepEqual(dragged(REGION, "move", { x: 5, y: 5 }, { x: 6, y: 3 }, PICTURE), { ...REGION, x: 101, y: 78 });
});

test("a handle moves its own edges only, never past the other ones", () => {
  assert.deepEqual(resized(REGION, "e", 20, 99, PICTURE), { ...REGION, width: 220 });
  assert.deepEqual(resized(REGION, "nw", 10, 20, PICTURE), { x: 110, y: 100, width: 190, height: 220 });
  assert.deepEqual(resized(REGION, "se", 1e4, 1e4, PICTURE), { x: 100, y: 80, width: 412, height: 560 });
  assert.deepEqual(resized(REGION, "w", 1e4, 0, PICTURE), { ...REGION, x: 300 - MIN_SIDE_PX, width: MIN_SIDE_PX });
  assert.deepEqual(resized(REGION, "s", 0, -1e4, PICTURE), { ...REGION, height: MIN_SIDE_PX });
});

test("whatever is dragged, the region stays whole pixels inside the picture", () => {
  let seed = 7;
  const random = (low, high) => {
    seed = (seed * 1103515245 + 12345) % 2 ** 31;
    return low + ((high - low) * seed) / 2 ** 31;
  };
  const grabs = ["draw", "move", "n", "s", "e", "w", "nw", "ne", "sw", "se"];
  for (let count = 0; count < 2000; count += 1) {
    const [from, to] = [0, 1].map(() => ({ x: random(-200, 800), y: random(-200, 900) }));
    const region = dragged(REGION, grabs[count % grabs.length], from, to, PICTURE);
    assert.ok(Object.values(region).every(Number.isInteger), JSON.stringify(region));
    assert.ok(region.x >= 0 && region.y >= 0 && region.width >= MIN_SIDE_PX && region.height >= MIN_SIDE_PX);
    assert.ok(region.x + region.width <= 512 && region.y + region.height <= 640, JSON.stringify(region));
  }
});

test("without a mouse a region starts in the middle", () => {
  assert.deepEqual(middleRegion([512, 512]), { x: 133, y: 102, width: 246, height: 307 });
  assert.deepEqual(middleRegion([100, 1000]), { x: 0, y: 437, width: 100, height: 125 });
});

test("a region of another picture is cut to this one, or is not there", () => {
  const across = { x: 400, y: -10, width: 200, height: 50 };
  assert.deepEqual(regionInside(across, PICTURE), { x: 400, y: 0, width: 112, height: 40 });
  assert.equal(regionInside({ x: 600, y: 0, width: 50, height: 50 }, PICTURE), null);
});

test("the movement box is wider for swings, taller for nods, and ends with the picture", () => {
  const face = { x: 100, y: 100, width: 40, height: 50 };
  assert.deepEqual(movementBox(face, 0.5, 0, PICTURE), { x: 80, y: 100, width: 80, height: 50 });
  assert.deepEqual(movementBox(face, 0, 0.2, PICTURE), { x: 100, y: 90, width: 40, height: 70 });
  assert.deepEqual(movementBox(face, 99, 99, PICTURE), { x: 0, y: 0, width: 512, height: 640 });
  assert.deepEqual(movementBox({ ...face, height: 100 }, 0, -1, PICTURE), { x: 100, y: 91, width: 40, height: 118 });
});
