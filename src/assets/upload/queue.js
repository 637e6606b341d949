"use strict";
// The files that are to be uploaded, several at a time.

const TRANSFERS_MAX = 3;

/** How fast bytes are sent, measured over the last seconds. */
class Meter {
  constructor() {
    this.total = 0;
    this.samples = [];
  }

  add(bytes) {
    this.total += bytes;
    const now = performance.now();
    if (now - (this.samples.at(-1)?.at ?? -Infinity) < 200) return;
    this.samples.push({ at: now, total: this.total });
    while (this.samples.length > 2 && now - this.samples[1].at > 8_000) this.samples.shift();
  }

  /** Bytes per second; null if it is not known yet. */
  rate() {
    const [first, last] = [this.samples[0], this.samples.at(-1)];
    if (first === undefined || last.at - first.at < 500) return null;
    const elapsed = Math.max(performance.now() - 1_000, last.at) - first.at;
    return (last.total - first.total) * 1000 / elapsed;
  }

  restart() {
    this.samples = [];
  }
}

/**
 * A file of the queue. `state` is one of:
 * `queued`, `sending`, `paused`, `asking` (whether to skip, rename or replace), `stored`, `skipped`, `failed`,
 * and `unfinished` (began in another tab: the user has to choose the file again).
 */
class Item {
  constructor(names, file) {
    this.names = names;
    this.file = file;
    this.size = file.size;
    this.state = "queued";
    this.reason = "";
    this.meter = new Meter();
    this.transfer = null;
    this.running = Promise.resolve();
    /** Whether the transfer has waited since the last progress. */
    this.hasWaited = false;
    /** How many other names have been tried because the first is taken. */
    this.renamed = 0;
    /** Whether the user wants to keep both files. */
    this.keepsBoth = false;
  }

  get sent() {
    return this.state === "stored" ? this.size : this.transfer.sent;
  }

  get isActive() {
    return this.state === "queued" || this.state === "sending" || this.state === "asking";
  }

  get isOver() {
    return this.state === "stored" || this.state === "skipped" || this.state === "failed";
  }
}

class Queue {
  /**
   * `base` is the path of the folder's URL. `mayRead`: the server returns files that it has stored. `onChange(item)` is
   * called when an item has changed.
   */
  constructor({ base, bytesMax, mayRead, onChange, onRemove }) {
    Object.assign(this, { base, bytesMax, mayRead, onChange, onRemove });
    this.items = [];
    this.pending = [];
    this.transfers = 0;
    this.meter = new Meter();
    /** What the user wants for all names that are taken: `skip`, `keep` or `replace`. */
    this.rule = null;
  }

  /** The path of the file's URL. */
  pathOf(names) {
    return this.base + names.map((name) => encodeURIComponent(name.toWellFormed?.() ?? name)).join("/");
  }

  /** Adds files: `names` are the folders that contain one, and its own name. */
  add(files) {
    if (!this.items.some((item) => item.isActive)) this.rule = null;
    const begun = this.items.filter((item) => item.state === "unfinished");
    for (const { names, file, entry } of files) {
      const path = this.pathOf(names);
      begun.filter((item) => isSame(item, path, file)).forEach((item) => this.remove([item]));
      const item = new Item(names, file);
      item.transfer = new Transfer(file, entry, path, { mayRead: this.mayRead, onChange: () => this.measure(item) });
      item.measured = item.transfer.sent;
      this.items.push(item);
      if (this.bytesMax !== null && file.size > this.bytesMax) this.fail(item, new Failed(tooLarge(this.bytesMax), { mayRetry: false }));
      else this.enqueue(item);
    }
    this.fill();
  }

  /** Adds a file that the browser cannot read. */
  addUnreadable(names) {
    const file = { size: 0, lastModified: 0 };
    const item = new Item(names, file);
    item.transfer = new Transfer(file, null, this.pathOf(names));
    this.items.push(item);
    this.fail(item, new Failed("The browser cannot read this file.", { mayRetry: false }));
  }

  /** Shows the uploads that another tab has not finished. */
  addUnfinished() {
    for (const saved of unfinished.all(this.base)) {
      const file = { size: saved.size, lastModified: saved.lastModified };
      const item = new Item(saved.path.slice(this.base.length).split("/").map(decodeURIComponent), file);
      item.transfer = new Transfer(file, null, saved.path);
      this.items.push(item);
      this.finish(item, "unfinished", "");
    }
  }

  enqueue(item, isFirst = false) {
    item.state = "queued";
    if (isFirst) this.pending.unshift(item);
    else this.pending.push(item);
    this.onChange(item);
  }

  /** Starts transfers while there are fewer than may run. */
  fill() {
    while (this.transfers < TRANSFERS_MAX && this.pending.length > 0) {
      const item = this.pending.shift();
      if (item.state === "queued") item.running = this.run(item, item.running);
    }
  }

  async run(item, before) {
    if (this.transfers === 0) this.meter.restart();
    this.transfers += 1;
    item.state = "sending";
    item.aborter = new AbortController();
    item.meter.restart();
    this.onChange(item);
    try {
      // An aborted run of the same item may still be ending.
      await before;
      await item.transfer.run(item.aborter.signal);
      this.finish(item, "stored", "");
    } catch (error) {
      this.handle(item, error);
    } finally {
      this.transfers -= 1;
      this.fill();
    }
  }

  handle(item, error) {
    if (error instanceof Aborted) return;
    if (error instanceof NameTaken && !item.transfer.mayReplace) {
      item.transfer.sent = 0;
      this.resolveName(item, item.keepsBoth ? "keep" : this.rule);
    } else {
      this.fail(item, error);
    }
  }

  fail(item, error) {
    item.mayRetry = error.mayRetry ?? true;
    this.finish(item, "failed", error.message || "The upload failed.");
  }

  finish(item, state, reason) {
    item.state = state;
    item.reason = reason;
    this.onChange(item);
  }

  measure(item) {
    const bytes = Math.max(0, item.transfer.sent - item.measured);
    item.measured = item.transfer.sent;
    if (item.transfer.waiting === null) {
      item.meter.add(bytes);
      this.meter.add(bytes);
      if (item.hasWaited && bytes > 0) this.wakeOthers(item);
    } else {
      item.hasWaited = true;
      // A rate that included the interruption would be too low, and the remaining time too long, for seconds after it.
      item.meter.restart();
      if (this.items.every(({ state, transfer }) => state !== "sending" || transfer.waiting !== null)) this.meter.restart();
    }
    this.onChange(item);
  }

  /** The connection of this item is back, so the other items need not wait any longer. */
  wakeOthers(item) {
    item.hasWaited = false;
    for (const { transfer } of this.items) if (transfer.waiting !== null) transfer.retryNow();
  }

  /** What to do with a file whose name is taken; `choice` is null if the user has to be asked. */
  resolveName(item, choice) {
    if (choice === null) return this.finish(item, "asking", "");
    if (choice === "skip") return this.finish(item, "skipped", "");
    if (choice === "replace") item.transfer.mayReplace = true;
    else this.rename(item);
    this.enqueue(item, true);
    this.fill();
  }

  /** Answers the first question, or all. */
  decide(choice, isForAll) {
    const asking = this.items.filter((item) => item.state === "asking");
    if (isForAll) this.rule = choice;
    for (const item of isForAll ? asking : asking.slice(0, 1)) this.resolveName(item, choice);
  }

  /** Gives the file another name: `a (2).txt` after `a.txt`. */
  rename(item) {
    item.keepsBoth = true;
    item.renamed += 1;
    const name = item.names.at(-1);
    const dot = name.lastIndexOf(".") > 0 ? name.lastIndexOf(".") : name.length;
    item.storedName = `${name.slice(0, dot)} (${item.renamed + 1})${name.slice(dot)}`;
    item.transfer.target = this.pathOf([...item.names.slice(0, -1), item.storedName]);
  }

  pause(item) {
    if (item.state !== "sending" && item.state !== "queued") return;
    const wasSending = item.state === "sending";
    this.finish(item, "paused", "");
    if (wasSending) item.aborter.abort();
  }

  /** Continues a paused item, or tries a failed one again. */
  resume(item) {
    if (item.state === "sending") return item.transfer.retryNow?.();
    if (item.state !== "paused" && !(item.state === "failed" && item.mayRetry)) return;
    this.enqueue(item);
    this.fill();
  }

  /** Removes items, and what the server has of them. */
  cancel(items) {
    this.remove(items);
    for (const item of items) {
      item.state = "cancelled";
      item.aborter?.abort();
      item.running.then(() => item.transfer.discard());
    }
  }

  remove(items) {
    const removed = new Set(items);
    this.items = this.items.filter((item) => !removed.has(item));
    items.forEach(this.onRemove);
  }

  /** Numbers for the summary. */
  totals() {
    const totals = { files: 0, stored: 0, failed: 0, retriable: 0, skipped: 0, paused: 0, active: 0, sending: 0, waiting: 0, bytes: 0, sent: 0 };
    for (const item of this.items) {
      if (item.state === "unfinished") continue;
      totals.files += 1;
      if (item.state in totals) totals[item.state] += 1;
      if (item.state === "failed" && item.mayRetry) totals.retriable += 1;
      if (item.isActive) totals.active += 1;
      if (item.transfer.waiting !== null) totals.waiting += 1;
      if (item.state === "failed" || item.state === "skipped") continue;
      totals.bytes += item.size;
      totals.sent += item.sent;
    }
    return totals;
  }
}

function isSame(item, path, file) {
  return item.transfer.path === path && item.size === file.size && item.file.lastModified === file.lastModified;
}
