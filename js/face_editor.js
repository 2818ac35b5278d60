// The face region, drawn on the picture in its node.
import { fileOfWidget } from "./files.mjs";
import {
  dragged, fitPicture, formatState, grabAt, handlesOf, middleRegion, moved, movementBox, parseState, pointInElement,
  regionInside, resized, toPicture, toView,
} from "./region.mjs";
import {
  editorElements, fileAddress, hideWidget, lastOutput, mountEditor, originOf, setWidget, svg, takeDrags, takeKeys,
  widgetOf,
} from "./node_editor.js";

const NUMBERS = ["x", "y", "width", "height"];
const PICTURE_LOADERS = new Set(["LoadImage", "LoadImageOutput"]);
const FACE_COLOUR = "#2ed673";
const MOVEMENT_COLOUR = "#ffb829";
const REACH_PX = 8;
const CURSORS = { n: "ns", s: "ns", w: "ew", e: "ew", nw: "nwse", se: "nwse", ne: "nesw", sw: "nesw" };
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const LARGE_STEP_PX = 10;

/** Where the node's picture can be had: its address, and its true size where that is not the file's. */
function pictureOf(node) {
  const origin = originOf(node, "image");
  const value = PICTURE_LOADERS.has(origin?.type) ? widgetOf(origin, "image")?.value : null;
  if (value) return { address: fileAddress(fileOfWidget(value)), size: null };
  const connected = node.inputs[node.findInputSlot("image")]?.link != null;
  const output = connected ? lastOutput(node) : null;
  if (!output?.emo_picture) return null;
  return { address: fileAddress(output.emo_picture[0]), size: output.emo_face[0].picture };
}

class FaceEditor {
  constructor(node) {
    this.node = node;
    this.picture = null; // { address, size }, once it has been loaded
    this.wanted = null; // the address that is being loaded
    this.preview = null; // the region while it is dragged
    this.writing = false;
    Object.assign(this, editorElements(
      "Face region: drag a box around the face. Enter places one, arrows move it, shift and arrows resize it, "
      + "control makes larger steps, delete clears.",
      "Take the drawn face away",
    ));
    hideWidget(node, "region");
    for (const name of NUMBERS) this.followNumber(name);
    this.image = svg("image");
    this.shapes = svg("g");
    this.drawing.append(this.image, this.shapes);
    this.redraw = mountEditor(node, {
      name: "face_editor", type: "EMO_FACE_EDITOR", root: this.root, drawing: this.drawing, minHeight: 280,
      redraw: () => this.draw(),
    });
    this.clear.addEventListener("click", () => this.store(null));
    takeDrags(this.drawing, (event) => this.beginDrag(event));
    takeKeys(this.drawing, (event) => this.press(event));
    this.drawing.addEventListener("pointermove", (event) => this.showCursor(event));
  }

  followNumber(name) {
    const widget = widgetOf(this.node, name);
    const before = widget.callback;
    widget.callback = (...given) => {
      before?.apply(widget, given);
      if (!this.writing) this.takeNumbers();
    };
  }

  numbers() {
    const [x, y, width, height] = NUMBERS.map((name) => widgetOf(this.node, name).value);
    return width > 0 && height > 0 ? { x, y, width, height } : null;
  }

  takeNumbers() {
    const region = this.numbers();
    setWidget(this.node, "region", region ? formatState(region, this.picture?.size) : "");
    this.redraw();
  }

  /** The region by hand, and the picture's size that it was drawn on. */
  state() {
    return parseState(widgetOf(this.node, "region").value) ?? { region: this.numbers(), picture: null };
  }

  store(region) {
    this.writing = true;
    setWidget(this.node, "region", region ? formatState(region, this.picture.size) : "");
    for (const name of NUMBERS) setWidget(this.node, name, region ? region[name] : 0);
    this.writing = false;
    this.redraw();
  }

  /** Whether the region comes from another node, and cannot be drawn here. */
  linked() {
    return this.node.inputs.some((input) => input.link != null && [...NUMBERS, "region"].includes(input.name));
  }

  editable() {
    return this.picture !== null && !this.linked();
  }

  // --- mouse and keys ---

  size() {
    return [this.drawing.clientWidth || 1, this.drawing.clientHeight || 1];
  }

  fit() {
    return fitPicture(this.picture.size, this.size());
  }

  pointOf(event) {
    return pointInElement({ x: event.clientX, y: event.clientY }, this.drawing.getBoundingClientRect(), this.size());
  }

  grab(event) {
    const { region } = this.state();
    return grabAt(this.pointOf(event), region && toView(region, this.fit()), REACH_PX);
  }

  beginDrag(event) {
    if (!this.editable()) return null;
    const { region } = this.state();
    const grab = this.grab(event);
    const start = this.pointOf(event);
    const from = toPicture(start, this.fit());
    return {
      move: (moving) => {
        const to = this.pointOf(moving);
        // A click is no box.
        if (grab === "draw" && !this.preview && Math.hypot(to.x - start.x, to.y - start.y) < REACH_PX / 2) return;
        this.preview = dragged(region, grab, from, toPicture(to, this.fit()), this.picture.size);
        this.draw();
      },
      end: () => {
        if (this.preview) this.store(this.preview);
        this.preview = null;
      },
      cancel: () => {
        this.preview = null;
        this.draw();
      },
    };
  }

  showCursor(event) {
    if (!this.editable() || this.preview) return;
    const grab = this.grab(event);
    this.drawing.style.cursor = grab === "draw" ? "crosshair" : grab === "move" ? "move" : `${CURSORS[grab]}-resize`;
  }

  press(event) {
    if (!this.editable()) return false;
    const { region } = this.state();
    if (event.key === "Delete" || event.key === "Backspace") {
      this.store(null);
      return true;
    }
    if (event.key === "Enter" && !region) {
      this.store(middleRegion(this.picture.size));
      return true;
    }
    const arrow = ARROWS[event.key];
    if (!arrow || !region) return false;
    const [dx, dy] = arrow.map((step) => step * (event.ctrlKey ? LARGE_STEP_PX : 1));
    const { size } = this.picture;
    this.store(event.shiftKey ? resized(region, "se", dx, dy, size) : moved(region, dx, dy, size));
    return true;
  }

  // --- drawing ---

  loadPicture() {
    const source = pictureOf(this.node);
    if (source?.address === this.wanted) return;
    this.wanted = source?.address ?? null;
    this.picture = null;
    if (!source) return;
    const image = new Image();
    image.onload = () => {
      if (this.wanted !== source.address) return;
      this.picture = { address: source.address, size: source.size ?? [image.naturalWidth, image.naturalHeight] };
      this.redraw();
    };
    image.src = source.address;
  }

  draw() {
    this.loadPicture();
    const { picture } = this.state();
    const region = this.preview ?? this.state().region;
    this.clear.disabled = !region || this.linked();
    this.drawing.setAttribute("viewBox", `0 0 ${this.size().join(" ")}`);
    this.image.style.display = this.picture ? "" : "none";
    this.shapes.replaceChildren();
    if (this.picture) this.drawPicture(region);
    this.say(region, picture);
  }

  drawPicture(region) {
    const { size, address } = this.picture;
    // A node that is as tall as what it holds gets as tall as the picture; any other keeps its height.
    this.drawing.style.setProperty("--emo-aspect", Math.max(0.75, size[0] / size[1]));
    const fit = this.fit();
    const whole = toView({ x: 0, y: 0, width: size[0], height: size[1] }, fit);
    for (const [key, value] of Object.entries(whole)) this.image.setAttribute(key, value);
    if (this.image.getAttribute("href") !== address) this.image.setAttribute("href", address);
    const shown = region ? regionInside(region, size) : null;
    if (shown) this.drawBoxes(shown, toView(shown, fit), fit);
    else this.drawFound(fit);
  }

  drawBoxes(region, box, fit) {
    const [marginX, marginY] = ["margin_x", "margin_y"].map((name) => widgetOf(this.node, name).value);
    const room = toView(movementBox(region, marginX, marginY, this.picture.size), fit);
    const dashes = marginX < 0 || marginY < 0 ? "5 4" : "none";
    const line = { fill: "none", "stroke-width": 2 };
    this.shapes.append(
      svg("rect", { ...room, ...line, stroke: MOVEMENT_COLOUR, "stroke-dasharray": dashes, class: "movement" }),
      svg("rect", { ...box, ...line, stroke: FACE_COLOUR, class: "face" }),
      ...(this.linked() ? [] : handlesOf(box)).map(({ x, y }) => svg("rect", {
        x: x - 3.5, y: y - 3.5, width: 7, height: 7, fill: FACE_COLOUR, stroke: "#000", "stroke-width": 1,
      })),
    );
  }

  /** What the last run found, where nothing is drawn by hand. */
  drawFound(fit) {
    const found = lastOutput(this.node)?.emo_face?.[0];
    if (!found || found.picture.join() !== this.picture.size.join()) return;
    const [x, y, width, height] = found.region;
    const stroke = found.assumed ? MOVEMENT_COLOUR : FACE_COLOUR;
    this.shapes.append(svg("rect", {
      ...toView({ x, y, width, height }, fit), fill: "none", stroke, "stroke-width": 1.5, "stroke-dasharray": "2 3",
      class: "found",
    }));
  }

  say(region, drawnOn) {
    const [text, warns] = this.words(region, drawnOn);
    this.message.textContent = text;
    this.message.classList.toggle("warning", warns);
  }

  words(region, drawnOn) {
    if (this.linked()) return ["The face comes from connected numbers.", false];
    if (!this.picture) return ["Connect a Load Image, or run once, to draw on the picture.", false];
    const size = this.picture.size;
    if (region && drawnOn && !this.preview && drawnOn.join() !== size.join()) {
      return [`Drawn on a picture of ${drawnOn.join("×")} pixels, this one has ${size.join("×")}: draw again.`, true];
    }
    if (region) {
      return [`Face ${region.width}×${region.height} at ${region.x}, ${region.y}; amber: its room to move.`, false];
    }
    const output = lastOutput(this.node);
    if (output?.emo_face) return [`Last run: ${output.text[0]}`, output.emo_face[0].assumed];
    return ["Drag a box around the face; without one the mask or the detector decides.", false];
  }
}

/** Give a face region node its editor. */
export function addFaceEditor(node) {
  return new FaceEditor(node);
}
