"use strict";
// The upload of one file: as one request if it is small, and otherwise as a resumable upload
// (draft-ietf-httpbis-resumable-upload), which survives lost connections, restarts of the server, and the tab's end.

/**
 * Up to this size a file is sent in one request. If its response is lost, the file is read to find out whether it is
 * stored. A drop box returns no file, so there every upload has a resource that says so.
 */
const WHOLE_BYTES_MAX = 1 << 20;

/** A piece takes about this long, so that a restart of the server costs no more than that. */
const PIECE_MS = 8_000;
const PIECE_BYTES_FIRST = 8 << 20;
const PIECE_BYTES_MAX = 64 << 20;
/** After a failure pieces are small: a browser shows why one was refused only if it could send all of it. */
const PIECE_BYTES_MIN = 256 << 10;

/** What another tab has begun is continued only if these samples of the file are the same. */
const SAMPLES = 64;
const SAMPLE_BYTES = 1024;

const RETRY_MS_FIRST = 500;
const RETRY_MS_MAX = 30_000;

/** Where the unfinished uploads are, in the browser's storage: the same file can be continued after its tab was closed. */
const unfinished = {
  PREFIX: "spindle-upload ",

  key(path, file) {
    return this.PREFIX + JSON.stringify([path, file.size, file.lastModified]);
  },

  /** What `save` has saved for this file, unless it has expired. */
  find(path, file) {
    return this.read(this.key(path, file));
  },

  read(key) {
    try {
      const saved = JSON.parse(localStorage.getItem(key));
      return saved !== null && saved.expires > Date.now() ? saved : null;
    } catch {
      return null;
    }
  },

  save(path, file, saved) {
    try {
      localStorage.setItem(this.key(path, file), JSON.stringify(saved));
    } catch {
      // The browser keeps nothing, or has no space left. The upload cannot be continued in another tab then.
    }
  },

  forget(path, file) {
    try {
      localStorage.removeItem(this.key(path, file));
    } catch {
      // As above.
    }
  },

  /** The unfinished uploads below `base`. Removes those that have expired. */
  all(base) {
    const found = [];
    try {
      for (const key of Object.keys(localStorage).filter((key) => key.startsWith(this.PREFIX))) {
        const saved = this.read(key);
        if (saved === null) localStorage.removeItem(key);
        const [path, size, lastModified] = JSON.parse(key.slice(this.PREFIX.length));
        if (saved !== null && path.startsWith(base)) found.push({ ...saved, path, size, lastModified });
      }
    } catch {
      // Storage that is off contains no uploads.
    }
    return found;
  },
};

/** The file is no longer the one that was chosen. */
class FileChanged extends Failed {
  constructor() {
    super("The file was changed or removed after you chose it. Nothing was stored.", { mayRetry: false });
  }
}

class Transfer {
  /**
   * `path` is that of the file's URL. `entry` is its FileSystemFileEntry, if it was dropped. `mayRead`: the server
   * returns files that it has stored. `onChange` is called whenever one of the public properties has changed.
   */
  constructor(file, entry, path, { mayRead = true, onChange = () => {} } = {}) {
    this.file = file;
    this.entry = entry;
    this.path = path;
    this.mayRead = mayRead;
    this.onChange = onChange;
    const saved = unfinished.find(path, file);
    /** The path of the upload resource, once the server has created it. */
    this.location = saved?.location ?? null;
    /** The path under which the file is stored. It differs from `path` if the user keeps both files. */
    this.target = saved?.target ?? path;
    this.mayReplace = false;
    /** How many bytes have been sent. */
    this.sent = saved?.sent ?? 0;
    /** Why and until when the transfer waits before it tries again. */
    this.waiting = null;
    /** A hash of samples of the file. If another tab began the upload, it saved that of the file which it sent. */
    this.fingerprint = saved?.fingerprint ?? null;
    this.mustCompare = saved !== null;
    this.pieceBytes = PIECE_BYTES_FIRST;
    this.mayBeStored = false;
  }

  /** Uploads the file. Tries again until it succeeds, fails, or `signal` aborts it. */
  async run(signal) {
    try {
      await this.runAttempts(signal);
    } catch (error) {
      if (error instanceof FileChanged) await this.discard();
      throw error;
    }
  }

  async runAttempts(signal) {
    const isWhole = this.mayRead && this.file.size <= WHOLE_BYTES_MAX;
    const attempt = isWhole ? this.sendWhole : this.sendInPieces;
    for (let failures = 0; ;) {
      const sentBefore = this.sent;
      try {
        return await attempt.call(this, signal);
      } catch (error) {
        if (!(error instanceof Unreachable)) throw error;
        // Chromium reports a file that cannot be read like a lost connection.
        await this.checkUnchanged();
        failures = this.sent > sentBefore ? 1 : failures + 1;
        this.pieceBytes = Math.max(PIECE_BYTES_MIN, this.pieceBytes / 8);
        await this.wait(failures, error.message, signal);
      }
    }
  }

  /** Waits before the next attempt: longer after each failure, but no longer once the network is back. */
  async wait(failures, reason, signal) {
    if (signal.aborted) throw new Aborted();
    const delay = Math.min(RETRY_MS_MAX, RETRY_MS_FIRST * 2 ** (failures - 1)) * (0.75 + Math.random() / 2);
    this.waiting = { reason, until: Date.now() + delay };
    this.onChange();
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, delay);
      this.retryNow = () => { clearTimeout(timer); resolve(); };
      addEventListener("online", this.retryNow, { once: true });
      signal.addEventListener("abort", this.retryNow, { once: true });
    });
    removeEventListener("online", this.retryNow);
    this.waiting = null;
    if (signal.aborted) throw new Aborted();
    this.onChange();
  }

  report(sent) {
    this.sent = sent;
    this.onChange();
  }

  /** The fields of a request that creates the file. */
  creationFields() {
    return this.mayReplace ? {} : { "If-None-Match": "*" };
  }

  /** Sends a small file. It is read first, so that a change cannot be half sent. */
  async sendWhole(signal) {
    const content = await this.read(0);
    await this.checkUnchanged();
    const fields = { "Content-Type": "application/octet-stream", ...this.creationFields() };
    const onProgress = (bytes) => {
      this.mayBeStored = true;
      this.report(bytes);
    };
    const response = await send("PUT", this.target, { fields, body: content, signal, onProgress });
    if (response.status === 201 || response.status === 204) return this.report(this.file.size);
    const error = errorOf(response);
    if (error instanceof NameTaken && this.mayBeStored && await this.isStored(content, signal)) {
      return this.report(this.file.size);
    }
    throw error;
  }

  /** Whether the file is stored already: an earlier request may have succeeded although its response was lost. */
  async isStored(content, signal) {
    const response = await send("GET", this.target, { responseType: "arraybuffer", signal });
    if (response.status !== 200 || response.response.byteLength !== content.byteLength) return false;
    const [ours, theirs] = [new Uint8Array(content), new Uint8Array(response.response)];
    return ours.every((byte, at) => byte === theirs[at]);
  }

  async sendInPieces(signal) {
    let offset = await this.findOffset(signal) ?? await this.create(signal);
    this.report(offset);
    while (offset < this.file.size) {
      offset = await this.sendPiece(offset, signal);
      this.report(offset);
      this.save();
    }
    // The file is published by a request of its own, after the last look at it.
    await this.checkUnchanged();
    await this.publish(signal);
  }

  /** The offset from which the upload is continued; null if there is nothing to continue. */
  async findOffset(signal) {
    if (this.location === null) return null;
    if (this.mustCompare && this.fingerprint !== await this.computeFingerprint()) {
      // The upload of another file of the same name, size and time.
      await this.discard();
      return null;
    }
    this.mustCompare = false;
    const response = await send("HEAD", this.location, { signal });
    const [offset, length] = ["Upload-Offset", "Upload-Length"].map((name) => response.getResponseHeader(name));
    if (response.status === 204 && offset !== null && Number(length ?? this.file.size) === this.file.size) {
      return Number(offset);
    }
    // The upload is still there for whoever may continue it.
    if (response.status >= 500 || response.status === 401 || response.status === 403) throw errorOf(response);
    this.forget();
    return null;
  }

  /** Creates the upload resource. */
  async create(signal) {
    const fields = { "Upload-Complete": "?0", "Upload-Length": String(this.file.size), ...this.creationFields() };
    // Not aborted: the page could not remove a resource whose location it does not know.
    const response = await send("PUT", this.target, { fields, body: "" });
    const location = response.getResponseHeader("Location");
    if (response.status === 201 && location !== null) {
      this.location = new URL(location, document.baseURI).pathname;
      this.fingerprint = await this.computeFingerprint();
      this.ageMax = limitOf(response, "max-age");
      this.save();
    }
    if (signal.aborted) throw new Aborted();
    if (this.location === null) throw errorOf(response);
    return 0;
  }

  /** Sends the piece of the file that begins at `offset`. Returns the offset of the next one. */
  async sendPiece(offset, signal) {
    const piece = this.file.slice(offset, offset + this.pieceBytes);
    const startedAt = performance.now();
    const response = await this.append(piece, offset, false, signal);
    if (response.status !== 204) throw this.errorOfAppend(response);
    const bytesPerMs = piece.size / Math.max(1, performance.now() - startedAt);
    const wanted = Math.min(bytesPerMs * PIECE_MS, this.pieceBytes * 8);
    this.pieceBytes = Math.round(Math.min(PIECE_BYTES_MAX, Math.max(PIECE_BYTES_MIN, wanted)));
    return Number(response.getResponseHeader("Upload-Offset") ?? offset + piece.size);
  }

  async publish(signal) {
    const response = await this.append("", this.file.size, true, signal);
    if (response.status !== 201 && response.status !== 204) throw this.errorOfAppend(response);
    // The server keeps this response for clients that have not received it.
    this.discard();
  }

  append(body, offset, isComplete, signal) {
    const fields = {
      "Content-Type": "application/partial-upload",
      "Upload-Complete": isComplete ? "?1" : "?0",
      "Upload-Offset": String(offset),
    };
    const onProgress = (bytes) => this.report(offset + bytes);
    return send("PATCH", this.location, { fields, body, signal, onProgress });
  }

  /** The error of a PATCH that was refused. */
  errorOfAppend(response) {
    const [offset, isComplete] = ["Upload-Offset", "Upload-Complete"].map((name) => response.getResponseHeader(name));
    // The next attempt asks for the right offset, or creates the upload again.
    if (response.status === 409 && offset !== null) return new Unreachable("The server has lost a part of the file.");
    if (response.status === 404) return new Unreachable("The server has lost the upload.");
    if (response.status === 409 && isComplete === null) return new Failed("Another tab sends this file too.");
    // No request can continue an upload that is too long or has ended.
    if (response.status === 413 || isComplete === "?1") this.forget();
    return errorOf(response);
  }

  save() {
    const expires = Date.now() + (this.ageMax ?? 86_400) * 1000;
    const { location, target, sent, fingerprint } = this;
    unfinished.save(this.path, this.file, { location, target, sent, fingerprint, expires });
  }

  forget() {
    this.location = null;
    this.sent = 0;
    unfinished.forget(this.path, this.file);
  }

  /** Lets the server delete the upload resource, with its content if it is not complete. */
  async discard() {
    const { location } = this;
    if (location === null) return;
    this.forget();
    // If this fails, the server deletes it when it expires.
    await send("DELETE", location).catch(() => {});
  }

  /** Fails if the file is no longer the one that was chosen. */
  async checkUnchanged() {
    const { file, entry } = this;
    const current = entry === null ? file : await fileOf(entry).catch(() => null);
    if (current === null || current.size !== file.size || current.lastModified !== file.lastModified) {
      throw new FileChanged();
    }
    // Chromium refuses to read a file whose modification time has changed.
    await this.read(Math.max(0, file.size - 1));
  }

  /** The 32-bit FNV-1a hash of samples that are spread over the file. Files with the same size and time may differ. */
  async computeFingerprint() {
    let hash = 0x811c9dc5;
    for (let sample = 0; sample < SAMPLES; sample += 1) {
      const from = Math.floor((this.file.size - SAMPLE_BYTES) * sample / (SAMPLES - 1));
      for (const byte of new Uint8Array(await this.read(from, from + SAMPLE_BYTES))) hash = Math.imul(hash ^ byte, 0x01000193);
    }
    return hash;
  }

  async read(from, to) {
    try {
      return await this.file.slice(from, to).arrayBuffer();
    } catch {
      throw new FileChanged();
    }
  }

}

/** The file of a FileSystemFileEntry, as it is now. */
function fileOf(entry) {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}
