// Which view is shown stands in the address behind `#`, so that it can be kept, sent on, and gone back from.

const encode = encodeURIComponent;

/** `#/`, `#/device/ID?...`: the parts, and what stands behind the question mark. */
export function here() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [view = "", id = ""] = path.split("/");
  return { view: view || "overview", id: decode(id), query: Object.fromEntries(new URLSearchParams(query)) };
}

/** The address of a device's view. */
export function device(id, query = {}) {
  const kept = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const text = new URLSearchParams(kept).toString();
  return `#/device/${encode(id)}${text ? `?${text}` : ""}`;
}

/** Changes what stands behind the question mark, without a step to go back to. */
export function note(id, query) {
  history.replaceState(history.state, "", device(id, query));
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
