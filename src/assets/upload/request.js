"use strict";
// One HTTP request, and what its failure means.

/** A request that makes no progress for so long has lost its connection, although nobody has said so. */
const STALL_MS = 60_000;

/** The user has paused or cancelled the upload. */
class Aborted extends Error {}
/** The connection or the server has gone away, or is busy. The same may succeed later. */
class Unreachable extends Error {}
/** A file of this name exists, and may not be replaced without asking. */
class NameTaken extends Error {}
/** The upload has failed. The message says why, in words for the user. */
class Failed extends Error {
  constructor(message, { mayRetry = true } = {}) {
    super(message);
    this.mayRetry = mayRetry;
  }
}

/** Sends a request. `onProgress` gets the number of bytes of `body` that have been sent. */
function send(method, url, { fields = {}, body = null, responseType = "text", signal, onProgress } = {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    let stallTimer = 0;
    const restartStallTimer = () => {
      clearTimeout(stallTimer);
      stallTimer = setTimeout(abort, STALL_MS);
    };
    request.open(method, url);
    request.responseType = responseType;
    for (const [name, value] of Object.entries(fields)) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => {
      restartStallTimer();
      onProgress?.(event.loaded);
    };
    request.onprogress = restartStallTimer;
    request.onloadend = () => {
      clearTimeout(stallTimer);
      signal?.removeEventListener("abort", abort);
      if (signal?.aborted) reject(new Aborted());
      else if (request.status === 0) reject(new Unreachable("No connection to the server."));
      else resolve(request);
    };
    if (signal?.aborted) return reject(new Aborted());
    signal?.addEventListener("abort", abort);
    restartStallTimer();
    request.send(body);
  });
}

/** The value of a key of the Upload-Limit field, if the response has it. */
function limitOf(response, key) {
  const value = response.getResponseHeader("Upload-Limit")?.match(new RegExp(`(?:^|[ ,])${key}=(\\d+)`))?.[1];
  return value === undefined ? null : Number(value);
}

/** The server's own words. A proxy in front of it may respond with a whole page, which is not shown. */
function reasonOf(response) {
  const isText = response.responseType === "text" && response.getResponseHeader("Content-Type")?.startsWith("text/plain");
  return isText ? response.responseText.trim() : "";
}

/** Whether the server itself could do what was asked for, but this user may not. */
function lacksRight(reason) {
  return reason.startsWith("You have no right");
}

/** The error that a response other than success stands for. */
function errorOf(response) {
  const reason = reasonOf(response);
  switch (response.status) {
    case 408: case 429: case 502: case 503: case 504:
      return new Unreachable(reason === "" ? "The server is busy." : reason);
    case 409: case 412:
      return new NameTaken(reason);
    case 401:
      return new Failed("You are not signed in, or not any more. Reload the page to sign in; then choose the file again to continue.");
    case 403:
      // A link has expired, or its key was replaced, while the page was open.
      if (reason.startsWith("This link ")) return new Failed(reason);
      return new Failed(lacksRight(reason) ? "You may not add files here any more." : "The server has no permission to write there.");
    case 404:
      return new Failed("There is no folder for this file on the server, and none could be made.");
    case 405:
      return new Failed("The server takes no uploads here.");
    case 413:
      return new Failed(tooLarge(limitOf(response, "max-size")), { mayRetry: false });
    case 507:
      return new Failed("The server’s disk is full.");
    default:
      return new Failed(`The server refused the file with status ${response.status}. ${reason}`.trim());
  }
}

function tooLarge(bytesMax) {
  return `The file is too large: the server takes ${bytesMax === null ? "no more" : `at most ${readableSize(bytesMax, Math.floor)}`}.`;
}

/** A size such as `1.4 MB`, rounded as in the listing. A limit is rounded down, so that it promises no more than it is. */
function readableSize(bytes, round = Math.round) {
  let value = bytes;
  let unit = "B";
  for (const larger of ["kB", "MB", "GB", "TB", "PB"]) {
    if (round(value) < 1000) break;
    value /= 1000;
    unit = larger;
  }
  const tenths = round(value * 10);
  return `${unit !== "B" && tenths < 100 ? (tenths / 10).toFixed(1) : round(value)} ${unit}`;
}
