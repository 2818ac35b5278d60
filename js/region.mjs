// Arithmetic of the face region: boxes in pixels of a picture, and how the picture lies in its view.
// A region is { x, y, width, height } in whole pixels of the picture; sizes are [width, height].

export const MIN_SIDE_PX = 8;

const NUMBERS = ["x", "y", "width", "height"];

/** Read the state that Python reads too: { region, picture } with picture null if unknown; null if it is none. */
export function parseState(text) {
  try {
    const state = JSON.parse(text);
    if (!NUMBERS.every((name) => Number.isFinite(state?.[name])) || state.width <= 0 || state.height <= 0) return null;
    const { x, y, width, height, picture = null } = state;
    return { region: { x, y, width, height }, picture };
  } catch {
    return null;
  }
}

/** The state as text; picture is left out where it is null. */
export function formatState(region, picture) {
  const { x, y, width, height } = region;
  return JSON.stringify(picture ? { x, y, width, height, picture } : { x, y, width, height });
}

/** Where a picture lies when it is shown whole and centred in a view: its scale and its top left corner. */
export function fitPicture(picture, view) {
  const scale = Math.min(view[0] / picture[0], view[1] / picture[1]);
  return { scale, left: (view[0] - picture[0] * scale) / 2, top: (view[1] - picture[1] * scale) / 2 };
}

/** A point of the view in pixels of the picture, not rounded. */
export function toPicture(point, fit) {
  return { x: (point.x - fit.left) / fit.scale, y: (point.y - fit.top) / fit.scale };
}

/** A region of the picture in the view. */
export function toView(region, fit) {
  return {
    x: fit.left + region.x * fit.scale,
    y: fit.top + region.y * fit.scale,
    width: region.width * fit.scale,
    height: region.height * fit.scale,
  };
}

/** The point of an element under the pointer, in the element's own units whatever the graph's zoom. */
export function pointInElement(client, rect, size) {
  return {
    x: ((client.x - rect.left) / rect.width) * size[0],
    y: ((client.y - rect.top) / rect.height) * size[1],
  };
}

/** The eight handles of a box as { name, x, y }; a name is made of n, s, w, e. */
export function handlesOf(box) {
  const columns = { w: box.x, "": box.x + box.width / 2, e: box.x + box.width };
  const rows = { n: box.y, "": box.y + box.height / 2, s: box.y + box.height };
  const handles = [];
  for (const [row, y] of Object.entries(rows)) {
    for (const [column, x] of Object.entries(columns)) {
      if (row || column) handles.push({ name: row + column, x, y });
    }
  }
  return handles;
}

/** What a press at a point of the view begins: the edges it takes ("n", "sw", ...), "move", or "draw". */
export function grabAt(point, box, reach) {
  if (!box) return "draw";
  const column = edgeAt(point.x, box.x, box.width, reach, ["w", "e"]);
  const row = edgeAt(point.y, box.y, box.height, reach, ["n", "s"]);
  if (column === null || row === null) return "draw";
  return row + column || "move";
}

// The edge near a place, "" for between the edges, null for beyond them. Of a small box half is left to move it.
function edgeAt(at, start, length, reach, names) {
  const near = Math.min(reach, length / 4);
  if (at < start - near || at > start + length + near) return null;
  if (at <= start + near) return names[0];
  return at >= start + length - near ? names[1] : "";
}

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** The region after dragging from one point of the picture to another. */
export function dragged(region, grab, from, to, picture) {
  if (grab === "draw") return between(from, to, picture);
  const dx = to.x - from.x;
  const dy = to.y - from.y;
  return grab === "move" ? moved(region, dx, dy, picture) : resized(region, grab, dx, dy, picture);
}

/** The region moved, no further than the picture's edges. */
export function moved(region, dx, dy, picture) {
  return {
    ...region,
    x: clamp(Math.round(region.x + dx), 0, picture[0] - region.width),
    y: clamp(Math.round(region.y + dy), 0, picture[1] - region.height),
  };
}

/** The region with the edges of a handle moved: within the picture, and never smaller than MIN_SIDE_PX. */
export function resized(region, handle, dx, dy, picture) {
  const [x, width] = movedEdges(region.x, region.width, handle.includes("w"), handle.includes("e"), dx, picture[0]);
  const [y, height] = movedEdges(region.y, region.height, handle.includes("n"), handle.includes("s"), dy, picture[1]);
  return { x, y, width, height };
}

function movedEdges(start, length, first, last, by, limit) {
  const end = start + length;
  if (first) {
    const edge = clamp(Math.round(start + by), 0, Math.max(0, end - MIN_SIDE_PX));
    return [edge, end - edge];
  }
  if (last) return [start, clamp(Math.round(end + by), Math.min(limit, start + MIN_SIDE_PX), limit) - start];
  return [start, length];
}

function between(from, to, picture) {
  const x = clamp(Math.round(Math.min(from.x, to.x)), 0, picture[0] - MIN_SIDE_PX);
  const y = clamp(Math.round(Math.min(from.y, to.y)), 0, picture[1] - MIN_SIDE_PX);
  const right = clamp(Math.round(Math.max(from.x, to.x)), x + MIN_SIDE_PX, picture[0]);
  const bottom = clamp(Math.round(Math.max(from.y, to.y)), y + MIN_SIDE_PX, picture[1]);
  return { x, y, width: right - x, height: bottom - y };
}

/** A region to start from without a mouse: the middle of the picture, as the nodes assume a face there. */
export function middleRegion(picture) {
  const height = Math.round(Math.min(0.6 * picture[1], picture[0] / 0.8));
  const width = Math.round(0.8 * height);
  return { x: Math.floor((picture[0] - width) / 2), y: Math.floor((picture[1] - height) / 2), width, height };
}

/** The region with its numbers in whole pixels inside a picture; null where they do not overlap. */
export function regionInside(region, picture) {
  const x = clamp(Math.round(region.x), 0, picture[0]);
  const y = clamp(Math.round(region.y), 0, picture[1]);
  const width = clamp(Math.round(region.x + region.width), 0, picture[0]) - x;
  const height = clamp(Math.round(region.y + region.height), 0, picture[1]) - y;
  return width > 0 && height > 0 ? { x, y, width, height } : null;
}

/** The movement margin that goes with the head's usual speed, where none is given. */
export const USUAL_MARGIN = 0.09;

/** The box the face may move in. A margin is a share of the face's size; below 0: what is usual. */
export function movementBox(region, marginX, marginY, picture) {
  const wide = (marginX < 0 ? USUAL_MARGIN : marginX) * region.width;
  const tall = (marginY < 0 ? USUAL_MARGIN : marginY) * region.height;
  const x = Math.max(0, region.x - wide);
  const y = Math.max(0, region.y - tall);
  const right = Math.min(picture[0], region.x + region.width + wide);
  const bottom = Math.min(picture[1], region.y + region.height + tall);
  return { x, y, width: right - x, height: bottom - y };
}
