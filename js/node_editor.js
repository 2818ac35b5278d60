// What both editors share: their place in a node, its widgets, where its inputs come from, and their life.
import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";

const SVG = "http://www.w3.org/2000/svg";

const STYLE = `
.emo-editor { display: flex; flex-direction: column; gap: 4px; width: 100%; height: 100%; box-sizing: border-box;
  font: 11px/1.3 sans-serif; color: var(--descrip-text, #999); }
.emo-editor svg { flex: 1 1 auto; min-height: 0; max-height: 100%; width: 100%; display: block;
  aspect-ratio: var(--emo-aspect, 2); touch-action: none; user-select: none;
  background: var(--comfy-input-bg, #222); border-radius: 4px; outline: none; }
.emo-editor svg:focus { box-shadow: inset 0 0 0 1px var(--p-primary-color, #5a9cf8); }
.emo-editor svg * { pointer-events: none; }
.emo-editor text { font: 10px sans-serif; fill: var(--descrip-text, #999); }
.emo-editor footer { display: flex; gap: 6px; align-items: flex-start; min-height: 28px; }
.emo-editor output { flex: 1; overflow: hidden; display: -webkit-box; -webkit-box-orient: vertical;
  -webkit-line-clamp: 2; }
.emo-editor output.warning { color: #ffb829; }
.emo-editor button { border: 1px solid var(--border-color, #444); border-radius: 4px; padding: 2px 8px; cursor: pointer;
  background: var(--comfy-input-bg, #222); color: var(--input-text, #ddd); font: inherit; }
.emo-editor button:disabled { opacity: 0.4; cursor: default; }`;

/** Bring the editors' style sheet into the page. */
export function addStyle() {
  const style = document.createElement("style");
  style.textContent = STYLE;
  document.head.append(style);
}

/** An SVG element with attributes. */
export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** An editor's elements: a drawing that takes the focus, and below it a message and a button that clears. */
export function editorElements(label, clearTip) {
  const drawing = svg("svg", { tabindex: "0", role: "application", "aria-label": label });
  const message = document.createElement("output");
  const clear = document.createElement("button");
  Object.assign(clear, { textContent: "Clear", title: clearTip, type: "button" });
  const footer = document.createElement("footer");
  footer.append(message, clear);
  const root = document.createElement("div");
  root.className = "emo-editor";
  root.append(drawing, footer);
  return { root, drawing, message, clear };
}

/** Call `then` after a method that the host calls on this very node. */
export function follow(node, method, then) {
  const before = node[method];
  node[method] = function (...given) {
    const result = before?.apply(this, given);
    then.apply(this, given);
    return result;
  };
}

/** A widget of a node by its name. */
export function widgetOf(node, name) {
  return node.widgets.find((widget) => widget.name === name);
}

/** Set a widget as if the user had done so, in both renderers; a value it has already is left alone. */
export function setWidget(node, name, value) {
  const widget = widgetOf(node, name);
  if (widget.value === value) return;
  widget.value = value;
  widget.callback?.(value);
}

/** Keep a widget's value, and show neither it nor its socket. */
export function hideWidget(node, name) {
  const widget = widgetOf(node, name);
  widget.hidden = true;
  widget.options.hidden = true;
}

/** One step for undo, after a change that no press of the mouse ended. */
export function markChange() {
  app.canvas.emitBeforeChange();
  app.canvas.emitAfterChange();
}

/** The node that an input comes from, past reroutes; null if none is known. */
export function originOf(node, inputName) {
  let origin = node.getInputNode(node.findInputSlot(inputName));
  while (origin?.type === "Reroute") origin = origin.getInputNode(0);
  return origin;
}

/** What a node told the page when it last ran. */
export function lastOutput(node) {
  return app.nodeOutputs?.[node.id];
}

/** The address of a file { filename, subfolder, type } of the host. */
export function fileAddress(file) {
  return api.apiURL(`/view?${new URLSearchParams(file)}`);
}

/** Give what is no business of an editor back to the graph: the wheel zooms, the middle button pans. */
function passToGraph(root) {
  root.addEventListener("wheel", (event) => {
    event.preventDefault();
    event.stopPropagation();
    app.canvas.canvas.dispatchEvent(new WheelEvent("wheel", event));
  });
  root.addEventListener("pointerdown", (event) => {
    if (event.button === 1) app.canvas.processMouseDown(event);
  });
}

/**
 * Put an editor into a node.
 *
 * `redraw` is called when its size, its inputs, a value or the graph may have changed. All that is listened to
 * outside of the editor's own element starts when the node joins a graph and ends when it leaves.
 */
export function mountEditor(node, { name, type, root, drawing, minHeight, redraw }) {
  root.style.minHeight = `${minHeight - 20}px`;
  const options = { serialize: false, hideOnZoom: false, getMinHeight: () => minHeight };
  const widget = node.addDOMWidget(name, type, root, options);
  widget.serialize = false;
  passToGraph(root);
  let frame = 0;
  const soon = () => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(redraw);
  };
  const resizes = new ResizeObserver(soon);
  follow(node, "onAdded", () => {
    api.addEventListener("graphChanged", soon);
    resizes.observe(drawing);
    soon();
  });
  follow(node, "onRemoved", () => {
    api.removeEventListener("graphChanged", soon);
    resizes.disconnect();
    cancelAnimationFrame(frame);
  });
  for (const method of ["onConfigure", "onConnectionsChange", "onExecuted"]) follow(node, method, soon);
  for (const other of node.widgets) if (other !== widget) follow(other, "callback", soon);
  return soon;
}

/** Take a press of the main button in a drawing: `begin` gives what to do while it moves and at its end. */
export function takeDrags(drawing, begin) {
  let drag = null;
  drawing.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.stopPropagation();
    drawing.focus({ preventScroll: true });
    drag = begin(event);
    if (drag) drawing.setPointerCapture(event.pointerId);
  });
  drawing.addEventListener("pointermove", (event) => {
    if (!drag) return;
    event.stopPropagation();
    drag.move(event);
  });
  drawing.addEventListener("pointerup", () => {
    drag?.end();
    drag = null;
  });
  const cancel = () => {
    drag?.cancel();
    drag = null;
  };
  drawing.addEventListener("pointercancel", cancel);
  drawing.addEventListener("keydown", (event) => {
    if (drag && event.key === "Escape") cancel();
  });
}

/** Take keys in a drawing: `press` says whether a key was its own; a held key is one step for undo. */
export function takeKeys(drawing, press) {
  let changed = false;
  drawing.addEventListener("keydown", (event) => {
    if (event.metaKey || event.altKey || !press(event)) return;
    event.preventDefault();
    event.stopPropagation();
    changed = true;
  });
  drawing.addEventListener("keyup", () => {
    if (changed) markChange();
    changed = false;
  });
}
