// The head's speed over time, drawn over the waveform of the voice in its node.
import {
  addPoint, axesOf, formatCurve, movePoint, parseCurve, pointNear, removePoint, speedAt, timeLabel, timeTicks,
  toCurve, toPlot, widestGap,
} from "./curve.mjs";
import { fileOfWidget } from "./files.mjs";
import { pointInElement } from "./region.mjs";
import { outline, partOf, peaksOf } from "./waveform.mjs";
import {
  editorElements, fileAddress, hideWidget, lastOutput, mountEditor, originOf, setWidget, svg, takeDrags, takeKeys,
  widgetOf,
} from "./node_editor.js";

const BY_CURVE = "by curve";
const CURVE_COLOUR = "#ffb829";
const WAVE_COLOUR = "#5a9cf8";
const REACH_PX = 9;
const MARGIN = { left: 26, right: 10, top: 8, bottom: 18 };
const PEAKS = 600;
const LARGEST_FILE_BYTES = 16 * 2 ** 20;
const STEP_KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
const KEY_STEP_S = 0.05;
const KEY_STEP_SPEED = 0.05;
const LARGE_STEPS = 5;

/** The file of a voice that can be had before a run, and the part of it that is used. */
function soundOf(node) {
  let origin = originOf(node, "audio");
  let [start, duration] = [0, 0];
  if (origin?.type === "EMOEncodeAudio") {
    [start, duration] = ["start", "duration"].map((name) => widgetOf(origin, name).value);
    origin = originOf(origin, "audio");
  }
  const value = origin?.type === "LoadAudio" ? widgetOf(origin, "audio")?.value : null;
  return value ? { address: fileAddress(fileOfWidget(value)), start, duration } : null;
}

/** The peaks of a part of a sound file, decoded by the browser; null where it cannot. */
async function loadPeaks({ address, start, duration }) {
  const response = await fetch(address);
  const size = Number(response.headers.get("content-length"));
  if (!response.ok || size > LARGEST_FILE_BYTES) return null;
  const sound = await new OfflineAudioContext(1, 1, 44100).decodeAudioData(await response.arrayBuffer());
  const channels = Array.from({ length: sound.numberOfChannels }, (_, at) => sound.getChannelData(at));
  const part = partOf(sound.length, sound.sampleRate, start, duration);
  return { peaks: peaksOf(channels, PEAKS, part), duration_s: (part[1] - part[0]) / sound.sampleRate };
}

class SpeedEditor {
  constructor(node) {
    this.node = node;
    this.waveform = null; // { peaks, duration_s }
    this.source = ""; // what the waveform was made from
    this.selected = -1;
    this.preview = null; // { points, axes } while a point is dragged
    Object.assign(this, editorElements(
      "Head speed over time: click to add a point, drag to move it. Enter adds a point, page up and page down "
      + "choose one, arrows move it, shift makes larger steps, delete removes it.",
      "Take all points away",
    ));
    hideWidget(node, "curve");
    this.redraw = mountEditor(node, {
      name: "speed_editor", type: "EMO_SPEED_EDITOR", root: this.root, drawing: this.drawing, minHeight: 200,
      redraw: () => this.draw(),
    });
    this.clear.addEventListener("click", () => this.store([], -1));
    takeDrags(this.drawing, (event) => this.beginDrag(event));
    takeKeys(this.drawing, (event) => this.press(event));
    this.drawing.addEventListener("dblclick", (event) => this.removeAt(event));
  }

  linked() {
    return this.node.inputs.some((input) => input.name === "curve" && input.link != null);
  }

  points() {
    return this.preview?.points ?? parseCurve(widgetOf(this.node, "curve").value);
  }

  store(points, selected) {
    this.selected = selected;
    setWidget(this.node, "curve", formatCurve(points));
    if (points.length) setWidget(this.node, "style", BY_CURVE);
    this.redraw();
  }

  // --- mouse and keys ---

  size() {
    return [this.drawing.clientWidth || 1, this.drawing.clientHeight || 1];
  }

  box() {
    const [width, height] = this.size();
    return {
      left: MARGIN.left, top: MARGIN.top,
      width: Math.max(1, width - MARGIN.left - MARGIN.right), height: Math.max(1, height - MARGIN.top - MARGIN.bottom),
    };
  }

  axes() {
    return this.preview?.axes ?? axesOf(this.points(), this.waveform?.duration_s);
  }

  pointOf(event) {
    return pointInElement({ x: event.clientX, y: event.clientY }, this.drawing.getBoundingClientRect(), this.size());
  }

  beginDrag(event) {
    if (this.linked()) return null;
    const [axes, box, points, at] = [this.axes(), this.box(), this.points(), this.pointOf(event)];
    const near = pointNear(at, points, box, axes, REACH_PX);
    const start = near >= 0 ? { points, index: near } : addPoint(points, ...toCurve(at, box, axes));
    this.selected = start.index;
    this.preview = { points: start.points, axes };
    this.draw();
    return {
      move: (moving) => {
        const [time, speed] = toCurve(this.pointOf(moving), box, axes);
        this.preview = { points: movePoint(start.points, start.index, time, speed, axes.end), axes };
        this.draw();
      },
      end: () => {
        const drawn = this.preview.points;
        this.preview = null;
        this.store(drawn, start.index);
      },
      cancel: () => {
        this.preview = null;
        this.draw();
      },
    };
  }

  removeAt(event) {
    event.stopPropagation();
    const points = this.points();
    const index = pointNear(this.pointOf(event), points, this.box(), this.axes(), REACH_PX);
    if (index >= 0 && !this.linked()) this.store(removePoint(points, index), -1);
  }

  press(event) {
    if (this.linked()) return false;
    const points = this.points();
    if (event.key === "Enter") {
      const time = widestGap(points, this.axes().end);
      const speed = points.length ? speedAt(points, time) : widgetOf(this.node, "speed").value;
      const added = addPoint(points, time, speed);
      this.store(added.points, added.index);
      return true;
    }
    if (event.key === "PageUp" || event.key === "PageDown") {
      this.choose(event.key === "PageUp" ? -1 : 1, points.length);
      return true;
    }
    if (event.key === "Delete" || event.key === "Backspace") {
      const left = removePoint(points, this.selected);
      if (left.length < points.length) this.store(left, Math.min(this.selected, left.length - 1));
      return true;
    }
    return this.step(event, points);
  }

  choose(by, count) {
    if (count) this.selected = (Math.max(this.selected, by < 0 ? 0 : -1) + by + count) % count;
    this.redraw();
  }

  step(event, points) {
    const arrow = STEP_KEYS[event.key];
    const point = points[this.selected];
    if (!arrow || !point) return false;
    const times = event.shiftKey ? LARGE_STEPS : 1;
    const [time, speed] = [point[0] + arrow[0] * times * KEY_STEP_S, point[1] + arrow[1] * times * KEY_STEP_SPEED];
    this.store(movePoint(points, this.selected, time, speed), this.selected);
    return true;
  }

  // --- the voice ---

  loadWaveform() {
    const ran = lastOutput(this.node)?.emo_waveform?.[0];
    const connected = this.node.inputs[this.node.findInputSlot("audio")]?.link != null;
    const sound = connected ? soundOf(this.node) : null;
    const source = JSON.stringify([connected, sound]);
    if (source !== this.source) {
      this.source = source;
      this.waveform = null;
      if (sound) {
        loadPeaks(sound).catch(() => null).then((waveform) => {
          if (source === this.source) this.waveform = waveform;
          this.redraw();
        });
      }
    }
    if (connected && !sound && ran) this.waveform = ran;
  }

  // --- drawing ---

  draw() {
    this.loadWaveform();
    const points = this.points();
    if (this.selected >= points.length) this.selected = -1;
    this.clear.disabled = !points.length || this.linked();
    this.drawing.setAttribute("viewBox", `0 0 ${this.size().join(" ")}`);
    const used = widgetOf(this.node, "style").value === BY_CURVE;
    this.drawing.replaceChildren(...this.grid(), ...this.wave(), ...this.curve(points, used));
    this.message.textContent = this.words(points, used);
  }

  grid() {
    const [box, axes] = [this.box(), this.axes()];
    const parts = [];
    for (const speed of [0, axes.top / 4, axes.top / 2, (3 * axes.top) / 4, axes.top]) {
      const { y } = toPlot([0, speed], box, axes);
      parts.push(
        svg("line", { x1: box.left, x2: box.left + box.width, y1: y, y2: y, stroke: "#8884", "stroke-width": 1 }),
        svg("text", { x: box.left - 4, y: y + 3, "text-anchor": "end" }, String(speed)),
      );
    }
    for (const time of timeTicks(axes.end, Math.max(2, Math.floor(box.width / 48)))) {
      const { x } = toPlot([time, 0], box, axes);
      parts.push(svg("text", { x, y: box.top + box.height + 13, "text-anchor": "middle" }, timeLabel(time)));
    }
    return parts;
  }

  wave() {
    if (!this.waveform?.peaks.length) return [];
    const box = this.box();
    const width = (box.width * this.waveform.duration_s) / this.axes().end;
    const d = outline(this.waveform.peaks, { ...box, width });
    return [svg("path", { d, fill: WAVE_COLOUR, opacity: 0.4, class: "waveform" })];
  }

  curve(points, used) {
    if (!points.length) return [];
    const [box, axes] = [this.box(), this.axes()];
    const ends = [[0, points[0][1]], ...points, [axes.end, points[points.length - 1][1]]];
    const path = ends.map((point) => toPlot(point, box, axes)).map(({ x, y }) => `${x},${y}`).join(" ");
    const opacity = used ? 1 : 0.4;
    const stroke = { stroke: CURVE_COLOUR, "stroke-width": 2, opacity };
    const line = svg("polyline", { points: path, fill: "none", ...stroke, class: "curve" });
    return [line, ...points.map((point, index) => {
      const { x, y } = toPlot(point, box, axes);
      const look = index === this.selected ? { r: 6, fill: "#fff" } : { r: 4.5, fill: CURVE_COLOUR };
      return svg("circle", { cx: x, cy: y, ...look, stroke: "#000", "stroke-width": 1, opacity });
    })];
  }

  words(points, used) {
    if (this.linked()) return "The curve comes from another node.";
    const point = points[this.selected];
    if (point) return `${point[0].toFixed(2)} s: ${point[1].toFixed(2)} degrees per frame. Delete removes the point.`;
    if (points.length && !used) return `Not used: the style is "${widgetOf(this.node, "style").value}".`;
    return "Head speed in degrees per frame: click to add a point, drag to move it, double-click to remove it.";
  }
}

/** Give a head motion node its editor. */
export function addSpeedEditor(node) {
  return new SpeedEditor(node);
}
