// The pack's front end: editors for the face region and the head's speed, and videos that play in their nodes.
import { app } from "../../scripts/app.js";
import { addFaceEditor } from "./face_editor.js";
import { addSpeedEditor } from "./speed_editor.js";
import { addStyle } from "./node_editor.js";

const VIDEO_BLOCKS = new Set(["EMOTalk", "EMOCombineVideo"]);
const EDITORS = { EMOFaceRegion: addFaceEditor, EMOHeadMotion: addSpeedEditor };

app.registerExtension({
  name: "EMO.Editors",
  setup: addStyle,
  nodeCreated(node) {
    if (VIDEO_BLOCKS.has(node.comfyClass)) node.previewMediaType = "video";
    EDITORS[node.comfyClass]?.(node);
  },
});
