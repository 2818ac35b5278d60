// Lets the pack's videos play in the blocks that make them.
import { app } from "../../scripts/app.js";

const VIDEO_BLOCKS = new Set(["EMOTalk", "EMOCombineVideo"]);

app.registerExtension({
  name: "EMO.Video",
  nodeCreated(node) {
    if (VIDEO_BLOCKS.has(node.comfyClass)) {
      node.previewMediaType = "video";
    }
  },
});
