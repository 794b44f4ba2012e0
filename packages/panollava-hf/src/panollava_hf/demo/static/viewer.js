/* The 360° viewer of `panollava demo`: pannellum, with outlines of views, hot spots and buttons that turn it.

   Python writes what is shown as JSON into the attribute `data-state` of `#viewer-state`:
   {"image": address, "name": text, "spots": [{"label", "yaw", "pitch", "kind"}], "outlines": [[[x, y, z], …], …],
   "colours": [one for each outline]}.
   Rays are x right, y up, z ahead; yaw grows to the right and pitch upwards, as everywhere in the library. */
(() => {
  "use strict";
  const SECTORS = ["Ahead", "Ahead to the right", "Right", "Behind to the right", "Behind", "Behind to the left", "Left",
    "Ahead to the left"];
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
  let viewer = null, overlay = null, last = "", state = { image: "", name: "", spots: [], outlines: [], colours: [] };
  let showOutlines = true, loaded = false, problem = "", drawn = "", ringed = null;

  const wrapped = (yaw) => 180 - ((((180 - yaw) % 360) + 360) % 360);
  const box = () => document.getElementById("panorama-viewer");
  const turn = (yaw, pitch, hfov, animated) => {
    if (!viewer) return;
    const time = animated === false || calm.matches ? false : 700;
    viewer.lookAt(pitch, yaw, hfov === undefined ? viewer.getHfov() : hfov, time);
  };

  window.panollavaViewer = {
    ready: () => loaded,
    problem: () => problem,
    yaw: () => (viewer ? wrapped(viewer.getYaw()) : null),
    pitch: () => (viewer ? viewer.getPitch() : null),
    hfov: () => (viewer ? viewer.getHfov() : null),
    image: () => state.image,
    name: () => state.name,
    spots: () => state.spots.map((spot) => ({ ...spot })),
    outlines: () => (showOutlines ? state.outlines.length : 0),
    lookAt: turn,
    snapshot: () => {
      if (!viewer || !loaded) return null;
      const rad = Math.PI / 180;
      return viewer.getRenderer().render(viewer.getPitch() * rad, viewer.getYaw() * rad, viewer.getHfov() * rad,
        { returnImage: true });
    },
  };

  function open(image, name) {
    close();
    const place = box();
    if (!place || !image) return;
    const wide = place.clientWidth < 600;
    const stage = document.createElement("div");
    stage.className = "panorama-stage";
    place.replaceChildren(stage);
    viewer = pannellum.viewer(stage, {
      type: "equirectangular", panorama: image, autoLoad: true, yaw: 0, pitch: 0, hfov: wide ? 80 : 100,
      minHfov: 30, maxHfov: 120, showControls: true, showFullscreenCtrl: true, compass: false, doubleClickZoom: true,
      escapeHTML: true, keyboardZoom: true, mouseZoom: "fullscreenonly", disableKeyboardCtrl: false,
      strings: {
        loadingLabel: "Loading the panorama …",
        fileAccessError: "The panorama could not be loaded. Choose it again.",
        noPanoramaError: "No panorama is open.",
        malformedURLError: "The panorama could not be loaded.",
        genericWebGLError: "This browser has no WebGL, which the viewer needs. Use another browser, or turn it on.",
        textureSizeError: "This panorama is too large for this device.",
        unknownError: "The panorama could not be shown.",
      },
    });
    stage.setAttribute("role", "application");
    stage.setAttribute("aria-label",
      `360° view of ${name}. Drag, or use the arrow keys to look around, plus and minus to zoom.`);
    overlay = document.createElement("canvas");
    overlay.className = "panorama-outlines";
    overlay.setAttribute("aria-hidden", "true");
    stage.appendChild(overlay);
    for (const [selector, label] of [[".pnlm-zoom-in", "Zoom in"], [".pnlm-zoom-out", "Zoom out"],
      [".pnlm-fullscreen-toggle-button", "Full screen"]]) {
      for (const control of stage.querySelectorAll(selector)) {
        control.setAttribute("role", "button");
        control.setAttribute("aria-label", label);
        control.title = label;
        control.tabIndex = 0;
        control.addEventListener("keydown", (event) => {
          if (event.key !== "Enter" && event.key !== " ") return;
          event.preventDefault();
          if (selector === ".pnlm-zoom-in") viewer.setHfov(viewer.getHfov() - 10);
          else if (selector === ".pnlm-zoom-out") viewer.setHfov(viewer.getHfov() + 10);
          else viewer.toggleFullscreen();
        });
      }
    }
    viewer.on("load", () => { loaded = true; addSpots(); });
    viewer.on("error", (text) => { problem = String(text); });
  }

  function close() {
    if (viewer) viewer.destroy();
    viewer = overlay = null;
    loaded = false;
    problem = drawn = "";
    ringed = null;
  }

  function addSpots() {
    if (!viewer || !loaded) return;
    for (const spot of [...(viewer.getConfig().hotSpots || [])]) viewer.removeHotSpot(spot.id);
    state.spots.forEach((spot, index) => {
      viewer.addHotSpot({
        id: `spot-${index}`, yaw: spot.yaw, pitch: spot.pitch, type: "custom", cssClass: `hot-spot hot-spot-${spot.kind}`,
        createTooltipFunc: (element) => {
          element.setAttribute("role", "button");
          element.tabIndex = 0;
          element.setAttribute("aria-label", `${spot.label}: turn to it`);
          const label = document.createElement("span");
          label.textContent = spot.label;
          element.appendChild(label);
          const go = (event) => { event.stopPropagation(); turn(spot.yaw, spot.pitch); };
          element.addEventListener("click", go);
          element.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") go(event); });
        },
      });
    });
  }

  function show(text) {
    const next = JSON.parse(text);
    const changed = next.image !== state.image;
    state = next;
    drawn = "";
    const place = box();
    if (place) place.classList.toggle("is-empty", !state.image);
    if (changed || (state.image && !viewer)) open(state.image, state.name);
    else addSpots();
  }

  function draw() {
    requestAnimationFrame(draw);
    if (!viewer || !overlay || !loaded) return;
    const yaw = viewer.getYaw() * Math.PI / 180, pitch = viewer.getPitch() * Math.PI / 180, hfov = viewer.getHfov();
    const ratio = window.devicePixelRatio || 1, width = overlay.clientWidth, height = overlay.clientHeight;
    heading();
    const key = [yaw, pitch, hfov, width, height, ratio, showOutlines, ringed].join();
    if (key === drawn) return;
    drawn = key;
    if (overlay.width !== Math.round(width * ratio)) overlay.width = Math.round(width * ratio);
    if (overlay.height !== Math.round(height * ratio)) overlay.height = Math.round(height * ratio);
    const pen = overlay.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    if (!showOutlines) return;
    const scale = width / 2 / Math.tan(hfov * Math.PI / 360);
    const ahead = [Math.sin(yaw) * Math.cos(pitch), Math.sin(pitch), Math.cos(yaw) * Math.cos(pitch)];
    const right = [Math.cos(yaw), 0, -Math.sin(yaw)];
    const up = [-Math.sin(yaw) * Math.sin(pitch), Math.cos(pitch), -Math.cos(yaw) * Math.sin(pitch)];
    const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    state.outlines.forEach((line, index) => {
      for (const [colour, thickness] of [["rgba(0, 0, 0, 0.55)", 4], [state.colours[index], index === ringed ? 4 : 2]]) {
        pen.strokeStyle = colour;
        pen.lineWidth = thickness;
        pen.setLineDash([]);
        pen.beginPath();
        let before = false;
        for (const ray of line) {
          const depth = dot(ray, ahead);
          if (depth < 0.05) { before = false; continue; }
          const x = width / 2 + scale * dot(ray, right) / depth, y = height / 2 - scale * dot(ray, up) / depth;
          if (before) pen.lineTo(x, y); else pen.moveTo(x, y);
          before = true;
        }
        pen.stroke();
      }
    });
  }

  function heading() {
    const place = document.getElementById("heading");
    if (!place) return;
    const yaw = Math.round(wrapped(viewer.getYaw())), pitch = Math.round(viewer.getPitch());
    const words = Math.abs(pitch) >= 67.5 ? (pitch > 0 ? "Up" : "Down") : SECTORS[(Math.round(yaw / 45) + 8) % 8];
    const text = `${words} · ${String(yaw).replace("-", "−")}°${pitch ? `, ${Math.abs(pitch)}° ${pitch > 0 ? "up" : "down"}` : ""}`;
    if (place.textContent !== text) place.textContent = text;
  }

  function look() {
    const source = document.querySelector("#viewer-state [data-state]");
    if (!source || !box()) return;
    const text = source.getAttribute("data-state");
    if (text === last && (viewer || !state.image)) return;
    last = text;
    show(text);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest ? event.target.closest("button[data-yaw]") : null;
    if (!button) return;
    const view = button.dataset.view;
    ringed = view === undefined ? null : Number(view);
    turn(Number(button.dataset.yaw), Number(button.dataset.pitch), button.dataset.hfov ? Number(button.dataset.hfov) : undefined);
    const place = document.getElementById("viewer-box");
    if (place && place.getBoundingClientRect().top < 0) place.scrollIntoView({ behavior: calm.matches ? "auto" : "smooth", block: "start" });
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest ? event.target.closest("button[data-question]") : null;
    const field = document.querySelector("#question textarea, #question input");
    if (!button || !field) return;
    field.value = button.dataset.question;
    field.dispatchEvent(new Event("input", { bubbles: true }));
    field.focus();
  });
  document.addEventListener("change", (event) => {
    if (event.target.closest && event.target.closest("#show-outlines")) showOutlines = event.target.checked;
  });
  const start = () => {
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true, attributeFilter: ["data-state"] });
    look();
    draw();
  };
  if (document.body) start(); else document.addEventListener("DOMContentLoaded", start);
})();
