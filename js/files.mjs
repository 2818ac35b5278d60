// Names of the host's files.

/** A file as core's loaders name it in their widgets, "folder/name.png [output]", for the host's /view. */
export function fileOfWidget(value) {
  const [, path, type = "input"] = /^(.*?)(?: \[(input|output|temp)\])?$/.exec(value);
  const cut = path.lastIndexOf("/");
  return { filename: path.slice(cut + 1), subfolder: path.slice(0, Math.max(0, cut)), type };
}
