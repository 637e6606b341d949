"use strict";
// The part of the page that takes files and shows their progress.

(() => {
  /** So many rows are shown at most, besides those of files that are being sent or have failed. */
  const ROWS_MAX = 100;
  const RENDER_MS = 100;
  /** So many reasons of failures are announced at once. */
  const REASONS_MAX = 3;

  const find = (id) => document.getElementById(id);

  // The end of a link is shown in the user's time zone.
  const expiry = document.querySelector("#expiry time");
  if (expiry) {
    const exact = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "short" });
    expiry.textContent = exact.format(new Date(expiry.dateTime));
  }

  const section = find("uploads");
  const list = find("upload-items");
  const dialog = find("upload-clash");
  const { mayReplace, takesHidden, bytesMax, dropBox } = section.dataset;
  const rows = new Map();
  const changed = new Set();
  const title = document.title;
  let renderTimer = 0;
  let hiddenNames = 0;
  let wasActive = false;
  let endedBefore = 0;
  /** How many bytes had been sent when the connection was lost; null while there is a connection. */
  let sentWhenLost = null;

  const queue = new Queue({
    base: location.pathname,
    bytesMax: bytesMax === undefined ? null : Number(bytesMax),
    mayRead: dropBox === undefined,
    onChange(item) {
      changed.add(item);
      scheduleRender();
      if (item.state === "stored" && dropBox === undefined) listing.schedule();
    },
    onRemove(item) {
      rows.get(item)?.row.remove();
      rows.delete(item);
      changed.delete(item);
      scheduleRender();
    },
  });

  // Words for numbers and states.

  const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

  const duration = (seconds) => {
    if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
    if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
    return `${(seconds / 3600).toFixed(1)} h`;
  };

  /** `45 MB of 200 MB, 12 MB/s, 13 s left`. */
  const progressText = (sent, bytes, meter) => {
    const parts = [`${readableSize(sent)} of ${readableSize(bytes)}`];
    const rate = meter?.rate() ?? null;
    if (rate !== null) parts.push(`${readableSize(rate)}/s`);
    if (rate !== null && rate > 0 && sent < bytes) parts.push(`${duration((bytes - sent) / rate)} left`);
    return parts.join(", ");
  };

  const waitingText = ({ reason, until }) => {
    const seconds = Math.ceil((until - Date.now()) / 1000);
    return `${reason} ${seconds > 0 ? `Trying again in ${duration(seconds)}.` : "Trying again."}`;
  };

  const stateText = (item) => {
    switch (item.state) {
      case "queued": return `${readableSize(item.size)}, waiting`;
      case "asking": return "A file of this name exists";
      case "paused": return `Paused at ${progressText(item.sent, item.size)}`;
      case "stored": return `${readableSize(item.size)}, stored${item.storedName ? ` as ${item.storedName}` : ""}`;
      case "skipped": return "Skipped: a file of this name exists";
      case "failed": return item.reason;
      case "unfinished":
        return `${progressText(item.sent, item.size)} sent earlier. Choose the same file again to continue.`;
    }
    if (item.transfer.waiting !== null) return waitingText(item.transfer.waiting);
    return progressText(item.sent, item.size, item.meter);
  };

  const summaryText = (totals) => {
    const parts = [];
    if (totals.active > 0) parts.push(`Uploading ${count(totals.active, "file")}`);
    if (totals.paused > 0) parts.push(`${totals.paused} paused`);
    if (totals.stored > 0) parts.push(totals.active + totals.paused > 0 ? `${totals.stored} stored` : `${count(totals.stored, "file")} stored`);
    if (totals.skipped > 0) parts.push(`${totals.skipped} skipped`);
    if (totals.failed > 0) parts.push(`${totals.failed} failed`);
    return parts.join(", ") || "Unfinished uploads";
  };

  // Rows.

  /** Which buttons a file has. */
  const ACTIONS = {
    queued: ["pause", "cancel"],
    sending: ["pause", "cancel"],
    waiting: ["retry", "pause", "cancel"],
    paused: ["resume", "cancel"],
    asking: ["cancel"],
    failed: ["remove"],
    retriable: ["retry", "remove"],
    unfinished: ["discard"],
  };
  const LABELS = {
    pause: "Pause", resume: "Resume", retry: "Try again", cancel: "Cancel", remove: "Remove", discard: "Discard",
  };
  const actionsOf = (item) => {
    if (item.state === "sending" && item.transfer.waiting !== null) return "waiting";
    return item.state === "failed" && item.mayRetry ? "retriable" : item.state;
  };

  const act = (item, action) => {
    if (action === "pause") queue.pause(item);
    else if (action === "resume" || action === "retry") queue.resume(item);
    else queue.cancel([item]);
  };

  const element = (tag, properties, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };

  const makeRow = (item) => {
    const name = item.names.join("/");
    const parts = {
      state: element("span", { className: "state" }),
      progress: element("progress", { max: 1, value: 0, ariaLabel: name }),
      buttons: element("span", { className: "actions" }),
      actions: "",
    };
    parts.row = element("li", {}, element("bdi", { textContent: name, title: name }), parts.state, parts.buttons, parts.progress);
    list.append(parts.row);
    rows.set(item, parts);
    return parts;
  };

  const renderButtons = (item, parts, actions) => {
    if (parts.actions === actions.join()) return;
    parts.actions = actions.join();
    const hadFocus = parts.row.contains(document.activeElement);
    parts.buttons.replaceChildren(...actions.map((action) => element("button", {
      type: "button",
      className: `${action} icon`,
      title: LABELS[action],
      ariaLabel: `${LABELS[action]}: ${item.names.join("/")}`,
      onclick: () => act(item, action),
    })));
    if (hadFocus) (parts.buttons.firstChild ?? list).focus();
  };

  /** Failed files are first in the list, and stored ones last. */
  const placeRow = (parts, state) => {
    if (parts.row.className === state) return;
    parts.row.className = state;
    if (state !== "failed" && state !== "stored" && state !== "skipped") return;
    const focused = parts.row.contains(document.activeElement) ? document.activeElement : null;
    if (state === "failed") list.prepend(parts.row);
    else list.append(parts.row);
    focused?.focus();
  };

  const renderRow = (item) => {
    const needsRow = item.state === "sending" || item.state === "failed" || rows.size < ROWS_MAX;
    const parts = rows.get(item) ?? (needsRow ? makeRow(item) : null);
    if (parts === null) return;
    renderButtons(item, parts, ACTIONS[actionsOf(item)] ?? []);
    placeRow(parts, item.state);
    const text = stateText(item);
    if (parts.state.textContent !== text) parts.state.textContent = text;
    parts.progress.hidden = item.isOver || item.state === "asking";
    parts.progress.value = item.size === 0 ? 0 : item.sent / item.size;
  };

  const removeOldRows = () => {
    const stored = Array.from(rows.keys()).filter((item) => item.state === "stored" || item.state === "skipped");
    for (const item of stored.slice(0, Math.max(0, rows.size - ROWS_MAX))) {
      rows.get(item).row.remove();
      rows.delete(item);
    }
  };

  // All files.

  const scheduleRender = () => {
    if (renderTimer === 0) renderTimer = setTimeout(render, RENDER_MS);
  };

  const render = () => {
    renderTimer = 0;
    const hasFailed = (item) => item.state === "failed" && rows.get(item)?.row.className !== "failed";
    const news = Array.from(changed).filter(hasFailed).map((item) => `${item.names.at(-1)}: ${item.reason}`);
    changed.forEach(renderRow);
    changed.clear();
    removeOldRows();
    const totals = queue.totals();
    renderSummary(totals);
    renderNotes();
    // The number of failed files is in the summary, so a few reasons are enough.
    announce([...news.slice(0, REASONS_MAX), ...newsOf(totals)].join(" "));
    ask();
    // Remaining times and the seconds until the next attempt change by themselves.
    for (const item of rows.keys()) if (item.state === "sending") changed.add(item);
    if (changed.size > 0) renderTimer = setTimeout(render, 4 * RENDER_MS);
  };

  const renderSummary = (totals) => {
    const isActive = totals.active > 0;
    const share = totals.bytes === 0 ? 1 : totals.sent / totals.bytes;
    find("upload-queue").hidden = queue.items.length === 0;
    find("upload-summary").textContent = summaryText(totals);
    find("upload-rate").textContent =
      isActive || totals.paused > 0 ? progressText(totals.sent, totals.bytes, isActive ? queue.meter : null) : "";
    find("upload-progress").value = share;
    find("upload-progress").hidden = !isActive && totals.paused === 0;
    find("upload-pause").hidden = !isActive;
    find("upload-resume").hidden = totals.paused === 0;
    find("upload-retry").hidden = totals.retriable === 0;
    find("upload-cancel").hidden = !isActive && totals.paused === 0;
    find("upload-clear").hidden = isActive || totals.paused > 0 || totals.files === 0;
    document.title = isActive ? `${Math.floor(share * 100)} % – ${title}` : title;
  };

  /** What has happened to the uploads since the last call. */
  const newsOf = (totals) => {
    const news = [];
    const isActive = totals.active > 0;
    // An upload may begin and end between two renderings.
    const ended = totals.stored + totals.skipped + totals.failed;
    if (!isActive && (wasActive || ended > endedBefore)) news.push(summaryText(totals));
    const isLost = totals.waiting > 0 && totals.waiting === totals.sending;
    if (isLost && sentWhenLost === null) {
      sentWhenLost = totals.sent;
      news.push(`${queue.items.find((item) => item.transfer.waiting !== null).transfer.waiting.reason} Trying again.`);
    } else if (!isActive) {
      sentWhenLost = null;
    } else if (sentWhenLost !== null && totals.sent !== sentWhenLost) {
      // An attempt alone, which may fail as well, is no news.
      sentWhenLost = null;
      news.push(`The upload continues. ${summaryText(totals)}`);
    }
    wasActive = isActive;
    endedBefore = ended;
    return news;
  };

  const renderNotes = () => {
    const notes = [];
    const without = queue.items.filter((item) => item.state === "queued" && !rows.has(item)).length;
    if (without > 0) notes.push(`${count(without, "more file")} waiting.`);
    if (hiddenNames > 0) {
      notes.push(`${count(hiddenNames, "file")} left out: the server takes no names that begin with a dot.`);
    }
    find("upload-notes").textContent = notes.join(" ");
  };

  /** Tells users of a screen reader what they do not see. */
  const announce = (text) => {
    const status = find("upload-status");
    if (text !== "" && status.textContent !== text) status.textContent = text;
  };

  // The question what to do with a name that is taken.

  const ask = () => {
    const asking = queue.items.filter((item) => item.state === "asking");
    if (asking.length === 0) return dialog.close();
    find("upload-clash-name").textContent = asking[0].names.join("/");
    if (!dialog.open) dialog.showModal();
  };

  const answer = (choice) => {
    queue.decide(choice, find("upload-clash-all").checked);
    dialog.close();
  };

  // Files that are dropped or chosen.

  /** The files of a dropped file or folder. */
  const filesOf = async (entry, above) => {
    const names = [...above, entry.name];
    try {
      if (entry.isFile) return [{ names, file: await fileOf(entry), entry }];
      const files = [];
      for (const inner of await entriesOf(entry)) files.push(...await filesOf(inner, names));
      return files;
    } catch {
      queue.addUnreadable(names);
      return [];
    }
  };

  const entriesOf = async (folder) => {
    const reader = folder.createReader();
    const all = [];
    for (;;) {
      // A browser returns at most 100 entries at a time.
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (some.length === 0) return all;
      all.push(...some);
    }
  };

  const filesOfDrop = async (data) => {
    // The items are gone after the first await.
    const dropped = Array.from(data.items)
      .filter((item) => item.kind === "file")
      .map((item) => ({ entry: item.webkitGetAsEntry?.() ?? null, file: item.getAsFile() }));
    const files = [];
    for (const { entry, file } of dropped) {
      if (entry !== null) files.push(...await filesOf(entry, []));
      else if (file !== null) files.push({ names: [file.name], file, entry: null });
    }
    return files;
  };

  const filesOfInput = (input) => {
    const files = Array.from(input.files, (file) => {
      const names = file.webkitRelativePath === "" ? [file.name] : file.webkitRelativePath.split("/");
      return { names, file, entry: null };
    });
    // The same file can be chosen again.
    input.value = "";
    return files;
  };

  const add = (files) => {
    const isTaken = ({ names }) => takesHidden !== undefined || !names.some((name) => name.startsWith("."));
    const taken = files.filter(isTaken);
    hiddenNames = files.length - taken.length;
    queue.add(taken);
    scheduleRender();
    if (taken.length > 0) announce(`Uploading ${count(taken.length, "file")}`);
    section.scrollIntoView({ block: "nearest" });
  };

  // Events.

  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  const showDrop = (isShown) => document.body.classList.toggle("dropping", isShown);
  for (const type of ["dragenter", "dragover"]) {
    addEventListener(type, (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      event.dataTransfer.dropEffect = "copy";
      showDrop(true);
    });
  }
  addEventListener("dragleave", (event) => { if (event.relatedTarget === null) showDrop(false); });
  addEventListener("drop", async (event) => {
    showDrop(false);
    if (!hasFiles(event)) return;
    event.preventDefault();
    add(await filesOfDrop(event.dataTransfer));
  });
  addEventListener("beforeunload", (event) => { if (queue.totals().active > 0) event.preventDefault(); });
  addEventListener("pagehide", () => queue.items.forEach((item) => item.transfer.location !== null && item.transfer.save()));

  for (const [button, input] of [["upload-choose", "upload-files"], ["upload-choose-folder", "upload-folder"]]) {
    find(button).onclick = () => find(input).click();
    find(input).onchange = () => add(filesOfInput(find(input)));
  }
  find("upload-choose-folder").hidden = !("webkitdirectory" in find("upload-folder"));
  find("upload-pause").onclick = () => queue.items.forEach((item) => queue.pause(item));
  find("upload-resume").onclick = () => queue.items.filter((item) => item.state === "paused").forEach((item) => queue.resume(item));
  find("upload-retry").onclick = () => queue.items.filter((item) => item.state === "failed").forEach((item) => queue.resume(item));
  find("upload-cancel").onclick = () => queue.cancel(queue.items.filter((item) => item.isActive || item.state === "paused"));
  find("upload-clear").onclick = () => queue.cancel(queue.items.filter((item) => item.isOver));
  for (const choice of ["skip", "keep", "replace"]) find(`upload-${choice}`).onclick = () => answer(choice);
  find("upload-replace").hidden = mayReplace === undefined;
  dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    answer("skip");
  });

  queue.addUnfinished();
  find("address").textContent = `'${(location.origin + location.pathname).replaceAll("'", "%27")}'`;
  section.hidden = false;
})();
