// The page of a case: shows the picture only while it is held, and holds the case while it is open.
"use strict";

(() => {
  const viewer = document.getElementById("viewer");
  if (!viewer) return;
  const get = (id) => document.getElementById(id);
  const canvas = get("canvas"), status = get("status"), hold = get("hold"), which = get("which");
  const csrf = viewer.dataset.csrf;
  const STRIP_SIDE = 96; // pixels across of a frame in a strip
  const NAMES = ["covered", "less blur", "sharp and gray", "in colour"];

  // --- The picture. `cover` is the covered one, and all that is kept while nothing is held.

  let cover = null; // ImageBitmap
  let held = false;
  let request = null; // AbortController of what is being fetched
  let turn = 0; // counts what was asked for, so that no late answer is drawn

  const chosen = () => Number(document.querySelector("input[name=step]:checked").value);
  const item = () => (which ? which.value : "0");

  // --- A video has a strip of frames, covered; the one that is chosen is shown as a picture is.

  const strip = () => viewer.querySelector(`.strip[data-item="${item()}"]`);
  const frame = () => {
    const radio = strip()?.querySelector("input:checked");
    return radio ? `&at=${radio.value}` : "";
  };
  const say = (text) => { if (status.textContent !== text) status.textContent = text; };

  const fetched = async (step, at = frame()) => {
    request?.abort();
    request = new AbortController();
    const mine = ++turn;
    const url = `${viewer.dataset.picture}?item=${item()}&step=${step}${at}`;
    try {
      const answer = await fetch(url, {
        headers: { "x-hashmatch": csrf }, cache: "no-store", signal: request.signal,
      });
      if (!answer.ok) {
        const text = answer.headers.get("content-type")?.startsWith("text/plain")
          ? await answer.text() : "The picture cannot be shown.";
        if (mine === turn) say(text.trim());
        return null;
      }
      const bitmap = await createImageBitmap(await answer.blob());
      if (mine === turn) return bitmap;
      bitmap.close();
    } catch (error) {
      if (mine === turn && error.name !== "AbortError") say("The server does not answer.");
    }
    return null;
  };

  const draw = (bitmap, step) => {
    canvas.width = bitmap.width; // also wipes what was there
    canvas.height = bitmap.height;
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    canvas.hidden = false;
    canvas.dataset.step = String(step);
    canvas.setAttribute("aria-label", `The picture, ${NAMES[step]}`);
  };

  const wipe = () => {
    canvas.width = canvas.height = 1;
    canvas.hidden = true;
    delete canvas.dataset.step;
  };

  const drawStrip = (bitmap) => {
    const places = [...strip().querySelectorAll("canvas")];
    const width = bitmap.width / Math.max(1, Math.round(bitmap.width / STRIP_SIDE));
    places.forEach((place, number) => {
      place.width = width;
      place.height = bitmap.height;
      place.getContext("2d").drawImage(
        bitmap, number * width, 0, width, bitmap.height, 0, 0, width, bitmap.height,
      );
    });
    strip().hidden = false;
  };

  const wipeStrips = () => {
    for (const place of viewer.querySelectorAll(".strip canvas")) place.width = place.height = 1;
    for (const each of viewer.querySelectorAll(".strip")) each.hidden = true;
  };

  const show = (asked) => {
    get("unasked").hidden = asked;
    get("asking").hidden = asked;
    get("uncovering").hidden = !asked;
  };

  const putAway = () => {
    release();
    turn += 1;
    request?.abort();
    cover?.close();
    cover = null;
    wipe();
    wipeStrips();
    get("exif").textContent = "";
    get("exif").hidden = true;
    show(false);
    say("");
  };

  const askExif = async () => {
    const exif = get("exif");
    exif.hidden = true;
    say("Reading it from its source.");
    try {
      const answer = await fetch(`${viewer.dataset.exif}?item=${item()}`, {
        headers: { "x-hashmatch": csrf }, cache: "no-store",
      });
      const text = answer.headers.get("content-type")?.startsWith("text/plain")
        ? (await answer.text()).trim() : "The EXIF data cannot be shown.";
      if (!answer.ok) return say(text);
      exif.textContent = text; // as text, whatever it says
      exif.hidden = false;
      say("EXIF data is shown. That is recorded.");
    } catch {
      say("The server does not answer.");
    }
  };

  const ask = async () => {
    if (cover) return;
    say("Fetching it from its source.");
    if (strip()?.hidden) {
      const frames = await fetched(0, "");
      if (!frames) return;
      drawStrip(frames);
      frames.close();
    }
    const bitmap = await fetched(0);
    if (!bitmap) return;
    cover = bitmap;
    draw(cover, 0);
    show(true);
    say("Covered: gray and strongly blurred.");
    hold.focus();
  };

  const uncover = async () => {
    const step = chosen();
    say(`Uncovering: ${NAMES[step]}.`);
    const bitmap = await fetched(step);
    if (!bitmap) return;
    if (held) {
      draw(bitmap, step);
      say(`Uncovered, ${NAMES[step]}, while you hold.`);
    }
    bitmap.close();
  };

  const press = () => {
    if (held || !cover || document.hidden) return;
    held = true;
    hold.classList.add("held");
    uncover();
  };

  const release = () => {
    if (!held) return;
    held = false;
    turn += 1;
    request?.abort();
    hold.classList.remove("held");
    if (cover) draw(cover, 0);
    say("Covered again.");
  };

  const choose = (step) => {
    const radio = document.querySelector(`input[name=step][value="${step}"]`);
    if (!radio || radio.checked) return;
    radio.checked = true;
    if (held) uncover();
  };

  get("asking").hidden = false;
  get("ask").addEventListener("click", ask);
  get("ask-exif").addEventListener("click", askExif);
  get("cover").addEventListener("click", () => { putAway(); get("ask").focus(); });
  which?.addEventListener("change", putAway);
  for (const place of [canvas, hold]) {
    place.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      place.setPointerCapture(event.pointerId);
      press();
    });
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
      place.addEventListener(end, release);
    }
    place.addEventListener("contextmenu", (event) => event.preventDefault());
  }
  for (const radio of document.querySelectorAll("input[name=step]")) {
    radio.addEventListener("change", () => { if (held) uncover(); });
  }
  for (const radio of viewer.querySelectorAll(".strip input")) {
    radio.addEventListener("change", () => {
      release();
      cover?.close();
      cover = null;
      wipe();
      ask();
    });
  }
  addEventListener("blur", release);
  document.addEventListener("visibilitychange", () => { if (document.hidden) release(); });

  // --- Keys. Single ones can be switched off, and never work where text is written.

  const letters = get("letters");
  if (letters) { // the page of a draft has none
    get("keys").hidden = false;
    letters.checked = localStorage.getItem("letters") !== "off";
    letters.addEventListener("change", () => {
      localStorage.setItem("letters", letters.checked ? "on" : "off");
    });
  }
  const ANSWERS = { c: "confirmed", n: "not_a_match", u: "unsure", e: "escalated" };
  const takesText = (at) => at.matches("input:not([type=radio], [type=checkbox]), textarea, select");
  const takesSpace = (at) => at !== hold && (takesText(at) || at.matches("input, button, a, summary"));

  document.addEventListener("keydown", (event) => {
    const at = event.target instanceof Element ? event.target : document.body;
    if (event.key === "Escape") { if (cover) { putAway(); get("ask").focus(); } return; }
    if (event.ctrlKey || event.altKey || event.metaKey) { release(); return; }
    if (event.key === " " && !takesSpace(at) && cover) {
      event.preventDefault();
      if (!event.repeat) press();
      return;
    }
    if (!letters?.checked || takesText(at)) return;
    const key = event.key.toLowerCase();
    if (key === "p") {
      if (cover) putAway(); else ask();
    } else if ("123".includes(key) && key.length === 1) {
      choose(Number(key));
    } else if ((key === "arrowleft" || key === "arrowright") && !at.matches("input, .scroll")) {
      choose(chosen() + (key === "arrowleft" ? -1 : 1));
    } else if (key in ANSWERS) {
      document.querySelector(`input[name=verdict][value=${ANSWERS[key]}]`).checked = true;
      get("reason").focus();
    } else {
      return;
    }
    event.preventDefault();
  });
  document.addEventListener("keyup", (event) => { if (event.key === " ") release(); });

  // --- The case: held while this page is open, given back when it is closed.

  const lease = get("lease");
  if (!lease) { // nobody holds the case of a draft
    addEventListener("pagehide", putAway);
    return;
  }
  let posting = false;
  const post = (url) => fetch(url, { method: "POST", body: new URLSearchParams({ csrf }) });

  const renew = async () => {
    try {
      const answer = await post(lease.dataset.renew);
      if (answer.ok) { lease.textContent = "It is yours while this page is open."; return; }
      if (answer.status >= 500) throw new Error(answer.statusText);
      putAway();
      get("asking").hidden = true;
      lease.textContent = `${(await answer.text()).trim()}`;
      lease.setAttribute("role", "alert");
      clearInterval(beat);
    } catch {
      lease.textContent = "The server does not answer; the case goes back if that lasts.";
    }
  };
  const beat = setInterval(renew, Math.max(1000, Number(lease.dataset.seconds) * 250));

  for (const form of document.forms) form.addEventListener("submit", () => { posting = true; });
  addEventListener("pagehide", () => {
    putAway();
    if (!posting) navigator.sendBeacon(lease.dataset.leave, new URLSearchParams({ csrf, page: lease.dataset.page }));
  });
  addEventListener("pageshow", (event) => {
    posting = false;
    if (event.persisted) location.reload(); // what it says may be old
  });
})();
