"use strict";
// The menu of each entry, and the dialogs that rename, delete and create.

(() => {
  // The menu is a popover. Older browsers show the page without it.
  if (!("popover" in HTMLElement.prototype)) return;

  const STATUS_MS = 8_000;
  /** A change that takes longer is shown to be in progress. */
  const WAITING_MS = 400;

  const find = (id) => document.getElementById(id);
  const { path, takesHidden } = find("manage").dataset;
  const table = find("list");
  const menu = find("entry-menu");
  const newFolder = find("new-folder");
  const time = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

  /** Isolated, so that right-to-left letters in a name do not affect the text around it. */
  const bdi = (text) => Object.assign(document.createElement("bdi"), { textContent: text });

  // Entries, each with its row.

  const entryOf = (row) => {
    const link = row.querySelector("a");
    return {
      row,
      href: hrefOf(row),
      url: link.href,
      /** As it is shown, with visible characters in the place of control characters. */
      name: link.textContent,
      isFolder: link.classList.contains("d"),
      size: Number(row.querySelector("data")?.value),
      modified: Date.parse(row.querySelector("time")?.dateTime),
      neighbours: neighboursOf(row),
    };
  };

  const isShown = (row) => row !== undefined && !row.hidden && row.id !== "empty";

  /** The links of the rows beside this one: the focus moves there when it is gone. */
  const neighboursOf = (row) => {
    const rows = Array.from(row.parentElement.rows).filter(isShown);
    const at = rows.indexOf(row);
    return [rows[at + 1], rows[at - 1]].filter(isShown).map(hrefOf);
  };

  /** Focuses the first of these entries that is shown. */
  const focusEntry = (hrefs) => {
    const row = hrefs.map(rowOf).find(isShown);
    if (row !== undefined) row.querySelector("a").focus();
    else if (hrefs.some((href) => rowOf(href) !== undefined)) find("filter").focus();
    else newFolder.focus();
  };

  /** Nothing has the focus, or only what was just closed: a browser leaves it there until the next frame. */
  const hasLostFocus = () => {
    const at = document.activeElement;
    return at === null || at === document.body || at.closest("dialog:not([open])") !== null;
  };

  const addButtons = () => {
    for (const row of table.tBodies[0].rows) {
      const cell = row.querySelector(".g");
      if (row.id !== "" || cell.childElementCount > 1) continue;
      const button = document.createElement("button");
      Object.assign(button, { type: "button", className: "more icon", title: "Rename or delete" });
      button.setAttribute("aria-haspopup", "menu");
      button.setAttribute("aria-label", `Rename or delete ${row.querySelector("a").textContent}`);
      cell.append(button);
    }
  };

  // What has been done.

  let statusTimer = 0;
  const announce = (...parts) => {
    const status = find("manage-status");
    status.replaceChildren(...parts);
    clearTimeout(statusTimer);
    statusTimer = setTimeout(() => status.replaceChildren(), STATUS_MS);
  };

  // The menu.

  let opener = null;
  let isPressToClose = false;

  const openMenu = (button) => {
    opener = button;
    button.setAttribute("aria-expanded", "true");
    menu.setAttribute("aria-label", button.getAttribute("aria-label"));
    menu.showPopover();
    const box = button.getBoundingClientRect();
    const fitsBelow = box.bottom + menu.offsetHeight <= document.documentElement.clientHeight;
    // It scrolls with its row.
    menu.style.top = `${scrollY + (fitsBelow ? box.bottom : Math.max(0, box.top - menu.offsetHeight))}px`;
    menu.style.left = `${scrollX + Math.max(0, box.right - menu.offsetWidth)}px`;
    menu.firstElementChild.focus();
  };

  const closeMenu = () => { if (menu.matches(":popover-open")) menu.hidePopover(); };

  const moveInMenu = (key) => {
    const items = Array.from(menu.children);
    const at = items.indexOf(document.activeElement);
    const targets = { ArrowDown: (at + 1) % items.length, ArrowUp: at <= 0 ? items.length - 1 : at - 1, Home: 0, End: items.length - 1 };
    items[targets[key]]?.focus();
    return key in targets;
  };

  menu.addEventListener("keydown", (event) => {
    // The keys of the page do nothing here.
    event.stopPropagation();
    const shortcut = Array.from(menu.children).find((item) => item.getAttribute("aria-keyshortcuts") === event.key);
    // The focus goes back to the button, and from there to the next element.
    if (event.key === "Tab") closeMenu();
    else if (shortcut !== undefined) shortcut.click();
    else if (moveInMenu(event.key)) event.preventDefault();
  });
  // Unlike "toggle" it comes before the menu opens for another entry.
  menu.addEventListener("beforetoggle", (event) => {
    if (event.newState === "closed") opener.removeAttribute("aria-expanded");
  });
  // It would stay where it is while its row moves.
  addEventListener("resize", closeMenu);

  // Pressing the button of the open menu closes the menu before the click.
  table.addEventListener("pointerdown", (event) => {
    isPressToClose = menu.matches(":popover-open") && event.target.closest(".more") === opener;
  });
  table.addEventListener("click", (event) => {
    const button = event.target.closest(".more");
    if (button !== null && !isPressToClose) openMenu(button);
    isPressToClose = false;
  });

  // The dialogs.

  /** A dialog that asks for a change, and stays open until it is made or given up. */
  class Question {
    constructor(dialog) {
      this.dialog = dialog;
      this.problem = dialog.querySelector(".problem");
      this.confirmButton = dialog.querySelector(".confirm");
      this.cancelButton = dialog.querySelector(".cancel");
      this.change = null;
      this.isBusy = false;
      dialog.querySelector("form").onsubmit = (event) => {
        event.preventDefault();
        this.confirm(this.change);
      };
      this.cancelButton.onclick = () => dialog.close();
      dialog.addEventListener("keydown", (event) => {
        // The key that opened the dialog may still be held down. It must not confirm.
        if (event.repeat && event.key === "Enter") event.preventDefault();
      });
      dialog.addEventListener("close", () => {
        // The event comes late, and the dialog may have been opened again.
        if (dialog.open) return;
        const givenUp = this.change;
        this.change = null;
        if (givenUp?.entry !== undefined && hasLostFocus()) focusEntry([givenUp.entry.href, ...givenUp.entry.neighbours]);
      });
    }

    /**
     * `change.run()` makes the change, and `change.done()` shows what it has changed. `change.entry` is what it changes,
     * undefined for something new.
     */
    ask(change) {
      this.change = change;
      this.isBusy = false;
      this.confirmButton.hidden = false;
      this.cancelButton.textContent = "Cancel";
      this.explain("");
      this.dialog.showModal();
    }

    explain(text) {
      this.problem.classList.remove("waiting");
      this.problem.textContent = text;
    }

    wait(text) {
      this.explain(text);
      this.problem.classList.add("waiting");
    }

    async confirm(change) {
      if (this.isBusy) return;
      this.isBusy = true;
      this.explain("");
      const timer = setTimeout(() => { if (this.change === change) this.wait(change.waiting ?? "Waiting for the server…"); }, WAITING_MS);
      try {
        await change.run();
        clearTimeout(timer);
      } catch (error) {
        clearTimeout(timer);
        return this.fail(change, error);
      }
      if (this.change === change) {
        this.change = null;
        this.dialog.close();
      }
      change.done();
    }

    /** The user may have closed the dialog meanwhile, or opened it for another change. */
    fail(change, error) {
      if (this.change !== change) return announce("“", bdi(change.entry?.name ?? change.name), `”: ${error.message}`);
      this.isBusy = false;
      this.explain(error.message);
      if (!error.isFinal) return this.dialog.querySelector("input")?.focus();
      this.confirmButton.hidden = true;
      this.cancelButton.textContent = "Close";
      this.cancelButton.focus();
      listing.refresh();
    }
  }

  const naming = new Question(find("name-dialog"));
  const deleting = new Question(find("delete-dialog"));
  const input = find("name-new");

  /** The name that the user has entered. Spaces at its ends are not meant: they cannot be seen. */
  const enteredName = () => {
    const name = input.value.trim();
    const problem = nameProblem(name, takesHidden !== undefined);
    if (problem !== "") throw new NotChanged(problem);
    return name;
  };

  const askForName = (title, label, confirmation, value, change) => {
    find("name-title").replaceChildren(...title);
    find("name-label").textContent = label;
    find("name-confirm").textContent = confirmation;
    input.value = value;
    naming.ask(change);
    input.focus();
  };

  /** Shows the entry with its new name, and the focus on it. */
  const showNamed = async (href, ...message) => {
    const isListed = await listing.refresh();
    // The user may have gone on meanwhile.
    const isIdle = hasLostFocus() || table.contains(document.activeElement) || document.activeElement === newFolder;
    if (isListed && isIdle) focusEntry([href]);
    const row = rowOf(href);
    if (!isListed) message.push(" The list could not be updated: reload the page.");
    else if (row?.hidden) message.push(" The filter hides it.");
    announce(...message);
  };

  const askToCreate = () => {
    const change = {
      async run() {
        this.name = enteredName();
        await createFolder(this.name);
      },
      done() { return showNamed(`${segmentOf(this.name)}/`, "Created the folder “", bdi(this.name), "”."); },
    };
    askForName(["New folder"], "Name", "Create", "", change);
  };

  const askToRename = (entry) => {
    const old = nameOf(entry.href, entry.name);
    const change = {
      entry,
      isSame: false,
      async run() {
        this.isSame = input.value === shown;
        if (this.isSame) return;
        this.name = enteredName();
        this.isSame = this.name === old;
        if (!this.isSame) await rename(entry, this.name, path);
      },
      async done() {
        if (this.isSame) return;
        const href = segmentOf(this.name) + (entry.isFolder ? "/" : "");
        await showNamed(href, "Renamed “", bdi(entry.name), "” to “", bdi(this.name), "”.");
      },
    };
    askForName(["Rename “", bdi(entry.name), "”"], "New name", "Rename", old, change);
    // The browser may have left out characters that an input cannot have.
    const shown = input.value;
    const dot = shown.lastIndexOf(".");
    input.setSelectionRange(0, entry.isFolder || dot <= 0 ? shown.length : dot);
  };

  /** A file is deleted only in the version that the user has been told about. */
  class FileDeletion {
    constructor(entry) {
      this.entry = entry;
      this.waiting = "Making sure that nobody is changing the file…";
      /** What the user has been told last; null for nothing but the row. */
      this.told = null;
      this.version = this.look();
      // After a failure the version is requested again when the user confirms.
      this.version.catch(() => { this.version = null; });
    }

    async look() {
      const version = await versionOf(this.entry);
      if (isOtherThanListed(this.entry, version)) this.tell(version);
      return version;
    }

    async run() {
      const toldBefore = this.told;
      const seen = await (this.version ?? this.look());
      if (this.told !== toldBefore) throw this.told;
      const version = await settledVersion(this.entry, seen);
      // A file that changes all the time is deleted once the user has been told that it changes.
      const mayDiffer = this.told !== null && version.isWeak;
      if (version.tag !== seen.tag && !mayDiffer) throw this.tell(version);
      try {
        await deleteFile(this.entry, version.isWeak ? null : version.tag);
      } catch (error) {
        if (error.status !== 412) throw error;
        throw this.tell(await versionOf(this.entry));
      }
    }

    /** Tells the user about a version. Returns the reason why it is not deleted yet. */
    tell(version) {
      const size = readableSize(version.size);
      const modified = Number.isNaN(version.modified) ? "" : `, modified ${time.format(version.modified)}`;
      this.version = Promise.resolve(version);
      this.told = new NotChanged(`Somebody else has changed this file meanwhile. It now has ${size}${modified}.`);
      if (deleting.change === this) {
        find("delete-confirm").textContent = "Delete anyway";
        deleting.explain(this.told.message);
      }
      listing.refresh();
      return this.told;
    }

    done() { return showDeleted(this.entry); }
  }

  const showDeleted = async (entry) => {
    const row = rowOf(entry.href);
    const hadFocus = hasLostFocus() || row?.contains(document.activeElement);
    row?.remove();
    table.dispatchEvent(new Event("rowschange"));
    if (hadFocus) focusEntry(entry.neighbours);
    await listing.refresh();
    announce("Deleted “", bdi(entry.name), "”.");
  };

  const askToDelete = (entry) => {
    find("delete-title").replaceChildren("Delete “", bdi(entry.name), "”?");
    find("delete-detail").textContent = entry.isFolder
      ? "Only an empty folder can be deleted. This cannot be undone."
      : "The file is deleted for everybody. This cannot be undone.";
    find("delete-confirm").textContent = "Delete";
    deleting.ask(entry.isFolder
      ? { entry, run: () => deleteFolder(entry), done: () => showDeleted(entry) }
      : new FileDeletion(entry));
  };

  // Events.

  const chosen = (ask) => {
    closeMenu();
    // Some browsers do not focus a button that is clicked. The dialog returns the focus to it.
    opener.focus();
    ask(entryOf(opener.closest("tr")));
  };
  find("entry-rename").onclick = () => chosen(askToRename);
  find("entry-delete").onclick = () => chosen(askToDelete);
  newFolder.onclick = askToCreate;
  table.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || event.repeat) return;
    const ask = { F2: askToRename, Delete: askToDelete }[event.key];
    const row = event.target.closest("tbody tr");
    if (ask === undefined || row === null || row.id !== "") return;
    event.preventDefault();
    ask(entryOf(row));
  });
  table.addEventListener("rowschange", () => {
    addButtons();
    if (opener !== null && !opener.isConnected) closeMenu();
  });

  addButtons();
  table.classList.add("managed");
  table.querySelector("thead .g span").textContent = "Actions";
  menu.hidden = false;
  newFolder.hidden = false;
})();
