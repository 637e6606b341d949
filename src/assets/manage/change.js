"use strict";
// The requests that rename, delete and create, and what their failures mean.

/** The longest name that file systems take, in bytes. */
const NAME_BYTES_MAX = 255;

/** A tag is weak for two seconds after another program has changed the file. */
const SETTLE_ATTEMPTS_MAX = 5;
const SETTLE_WAIT_MS = 500;

/** The change was not made. The message says why, in words for the user. */
class NotChanged extends Error {
  /** `isFinal`: trying again cannot help. `status` is that of the response, 0 without one. */
  constructor(message, { isFinal = false, status = 0 } = {}) {
    super(message);
    Object.assign(this, { isFinal, status });
  }
}

/** A name as one segment of a path, encoded as the server encodes it in links. */
function segmentOf(name) {
  const encoded = encodeURIComponent(name.toWellFormed?.() ?? name);
  return encoded.replace(/[!'()*]/g, (each) => `%${each.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** The name that a link leads to. One that is not UTF-8 cannot be entered: the user begins with how it is `shown`. */
function nameOf(href, shown) {
  try {
    return decodeURIComponent(href.replace(/\/$/, ""));
  } catch {
    return shown;
  }
}

/** Why no file can get this name; empty if it can. */
function nameProblem(name, takesHidden) {
  if (name === "") return "Enter a name.";
  if (name === "." || name === "..") return "“.” and “..” are reserved. Choose another name.";
  if (name.includes("/")) return "A name cannot contain a slash.";
  if (name.startsWith(".") && !takesHidden) return "The server takes no names that begin with a dot.";
  const bytes = new TextEncoder().encode(name).length;
  return bytes <= NAME_BYTES_MAX ? "" : `The name is too long: it has ${bytes} bytes, and ${NAME_BYTES_MAX} are possible.`;
}

/** Sends a request. Its response is never one that the browser has stored. */
async function sendChange(method, url, fields = {}) {
  try {
    return await send(method, url, { fields: { "Cache-Control": "no-cache, no-store", ...fields } });
  } catch (error) {
    throw new NotChanged(error.message);
  }
}

/** Whether the response is that of another URL, to which the browser was redirected. */
function isRedirected(response, url) {
  return new URL(response.responseURL).pathname !== new URL(url, document.baseURI).pathname;
}

/** Makes a change. `words` are the messages for the statuses that mean something special for it. */
async function change(method, url, fields, words) {
  const response = await sendChange(method, url, fields);
  const { status } = response;
  // A proxy may redirect to a page of its own, for example one that asks for a password.
  if (isRedirected(response, url)) throw new NotChanged(REDIRECTED, { status });
  if (status >= 200 && status < 300) return;
  // Another 405 means that the name is taken.
  const isOff = status === 405 && !response.getResponseHeader("Allow")?.includes("DELETE");
  const message = isOff ? CHANGES_OFF : words[status] ?? wordsFor(status, reasonOf(response));
  throw new NotChanged(message, { isFinal: message === GONE || message === NOT_EMPTY, status });
}

function wordsFor(status, reason) {
  switch (status) {
    case 401: return "You are not signed in, or not any more. Reload the page to sign in.";
    case 403: return lacksRight(reason) ? "You may not change anything here any more." : `The server does not allow this. ${reason}`.trim();
    case 404: return GONE;
    case 405: return CHANGES_OFF;
    case 421: return "The server does not share the folder under this host name. Open the page at another of its addresses.";
    case 502: return "It is on another file system than this folder, so it cannot be renamed.";
    case 503: return `The server is busy. ${reason || "Try again."}`;
    case 507: return "The server’s disk is full.";
    default: return `The server refused this with status ${status}. ${reason}`.trim();
  }
}

const GONE = "It is not there any more. Somebody has deleted, renamed or moved it.";
const CHANGES_OFF = "The server does not allow changes any more.";
const NAME_EXISTS = "A file or folder of this name exists already. Choose another name.";
const NO_SUCH_NAME = "The server does not accept this name. Choose another one.";
const NOT_EMPTY = "This folder is not empty. It may contain hidden files or unfinished uploads. Delete what is in it first.";
const REDIRECTED = "Something in front of the server has redirected the request. Reload the page.";
const FOLDER_GONE = "The folder that this page shows is not there any more.";

/** `folder` is the path of the folder on the server, which may differ from that in the browser behind a proxy. */
function rename(entry, name, folder) {
  const destination = folder + segmentOf(name) + (entry.isFolder ? "/" : "");
  return change("MOVE", entry.url, { Destination: destination, Overwrite: "F" }, {
    400: NO_SUCH_NAME,
    409: FOLDER_GONE,
    412: NAME_EXISTS,
    501: "On this file system the server cannot rename it without the risk of replacing another file.",
  });
}

function createFolder(name) {
  return change("MKCOL", `${segmentOf(name)}/`, {}, {
    400: NO_SUCH_NAME,
    404: NO_SUCH_NAME,
    405: NAME_EXISTS,
    409: FOLDER_GONE,
  });
}

function deleteFolder(entry) {
  return change("DELETE", entry.url, {}, { 409: NOT_EMPTY });
}

/** Deletes a file if it is still the version with this tag; any version if the tag is null. */
function deleteFile(entry, tag) {
  return change("DELETE", entry.url, tag === null ? {} : { "If-Match": tag }, {});
}

/**
 * The present version of a file. A weak tag identifies it as well, but the server accepts no weak tag in If-Match. The tag is
 * null if the server does not tell.
 */
async function versionOf(entry) {
  const response = await sendChange("HEAD", entry.url);
  const { status } = response;
  const field = (name) => response.getResponseHeader(name);
  // The server may delete a file that it may not read.
  if (status === 403) return { tag: null, isWeak: false, size: entry.size, modified: NaN, date: NaN };
  // A folder has the name now.
  if (isRedirected(response, entry.url)) throw new NotChanged(GONE, { isFinal: true });
  if (status !== 200) throw new NotChanged(wordsFor(status, ""), { isFinal: status === 404, status });
  const tag = field("ETag") ?? "W/";
  return {
    tag: tag.replace(/^W\//, ""),
    isWeak: tag.startsWith("W/"),
    size: Number(field("Content-Length")),
    modified: Date.parse(field("Last-Modified")),
    date: Date.parse(field("Date")),
  };
}

/** The version of a file once its tag is strong. It stays weak while other programs keep changing the file. */
async function settledVersion(entry, version) {
  for (let attempt = 0; version.isWeak && attempt < SETTLE_ATTEMPTS_MAX; attempt += 1) {
    await new Promise((resolve) => { setTimeout(resolve, SETTLE_WAIT_MS); });
    version = await versionOf(entry);
  }
  return version;
}

/** Whether the version is another one than that in the row, as far as its size and its time in seconds show. */
function isOtherThanListed(entry, version) {
  if (version.size !== entry.size) return true;
  // The server states no time that is later than the date of the response.
  if (!(entry.modified <= version.date)) return false;
  return version.modified !== entry.modified && !Number.isNaN(version.modified);
}
