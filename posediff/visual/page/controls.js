// What a reader does: choose a frame, play, and choose what is shown.

import { Picture } from "picture";
import { Scene } from "scene";

const data = JSON.parse(document.getElementById("data").textContent);
const find = (id) => document.getElementById(id);
const show = { hidden: new Set(), hypotheses: true, spread: true, truth: true, overlay: true };
const picture = new Picture(find("picture"), data);
const scene = openScene();
const HINT = "drag turns, wheel zooms, right button moves";
let at = 0; // number of the frame that is shown
let timer = null;

// Without WebGL the picture alone is shown.
function openScene() {
  try {
    return new Scene(find("space"), data);
  } catch (error) {
    find("note").textContent = `no 3D: this browser has no WebGL (${error.message})`;
    return null;
  }
}

function draw() {
  const frame = data.frames[at];
  if (!frame) return;
  picture.draw(frame, show);
  if (!scene) return;
  scene.draw(frame, show);
  const solid = frame.people.some((person) => person.space);
  find("note").textContent = solid ? HINT : "nobody has 3D in this frame";
}

function go(number) {
  at = Math.min(Math.max(number, 0), data.frames.length - 1);
  const frame = data.frames[at];
  find("title").textContent = frame ? frame.name : "no frames";
  find("where").textContent = frame ? whereabouts(frame) : "";
  find("scrub").value = at;
  if (frame) listPeople(frame);
  draw();
}

function whereabouts(frame) {
  const parts = [`${at + 1} of ${data.frames.length}`];
  if (frame.time !== null) parts.push(`${frame.time.toFixed(2)} s`);
  parts.push(`${frame.size[0]} × ${frame.size[1]} px`);
  if (data.stride > 1) parts.push(`one of ${data.stride} frames is kept`);
  return parts.join(" · ");
}

function play(on) {
  clearInterval(timer);
  timer = on ? setInterval(() => go((at + 1) % data.frames.length), 1000 * data.interval) : null;
  find("play").textContent = on ? "❚❚" : "▶";
}

function listPeople(frame) {
  const lines = frame.people.map((person) => {
    const line = document.createElement("li");
    const label = document.createElement("label");
    const box = document.createElement("input");
    const name = document.createElement("span");
    const fact = document.createElement("small");
    box.type = "checkbox";
    box.checked = !show.hidden.has(person.label);
    box.addEventListener("change", () => {
      if (box.checked) show.hidden.delete(person.label);
      else show.hidden.add(person.label);
      find("everyone").checked = frame.people.every((one) => !show.hidden.has(one.label));
      draw();
    });
    name.textContent = person.label;
    fact.textContent = person.space ? `± ${person.space.spread} mm` : "no 3D";
    fact.title = person.space ? "mean spread of the joints" : "2D alone was estimated";
    label.append(box, name, fact);
    line.append(label);
    return line;
  });
  find("people").replaceChildren(...lines);
  find("everyone-line").hidden = frame.people.length < 2;
  find("everyone").checked = frame.people.every((person) => !show.hidden.has(person.label));
}

function legend() {
  const [left, right, middle] = data.colours;
  const line = (colour, width, opacity = 1) =>
    `<line x1="2" y1="8" x2="24" y2="8" stroke="${colour}" stroke-width="${width}"
      opacity="${opacity}" stroke-linecap="round"/>`;
  const circle = (look) => `<circle cx="13" cy="8" r="6" ${look}/>`;
  const rows = [
    [line(left, 4), "left"],
    [line(right, 4), "right"],
    [line(middle, 4), "neither"],
    [line(left, 1.5, 0.5), "a hypothesis"],
    [circle(`fill="${left}" fill-opacity="0.2" stroke="${left}" stroke-opacity="0.6"`),
      "spread: one deviation"],
    [circle(`fill="#fff" stroke="${left}"`), "score below 0.3"],
  ];
  if (data.has_truth) rows.push([line(data.truth_colour, 3), "true pose"]);
  for (const [drawing, words] of rows) {
    const item = document.createElement("li");
    item.innerHTML = `<svg width="26" height="16" aria-hidden="true">${drawing}</svg>`;
    item.append(words);
    find("legend").append(item);
  }
  find("units").textContent = data.units;
}

function listen() {
  for (const name of ["hypotheses", "spread", "truth", "overlay"]) {
    find(name).addEventListener("change", (event) => {
      show[name] = event.target.checked;
      draw();
    });
  }
  find("truth").disabled = !data.has_truth;
  find("truth").parentElement.classList.toggle("off", !data.has_truth);
  find("count").textContent = data.hypotheses;
  find("everyone").addEventListener("change", (event) => {
    for (const { label } of data.frames.flatMap((frame) => frame.people)) {
      if (event.target.checked) show.hidden.delete(label);
      else show.hidden.add(label);
    }
    go(at);
  });
  for (const button of document.querySelectorAll("[data-look]")) {
    button.addEventListener("click", () => scene && scene.look(button.dataset.look));
  }
  find("scrub").max = Math.max(data.frames.length - 1, 0);
  find("scrub").addEventListener("input", (event) => go(Number(event.target.value)));
  find("play").addEventListener("click", () => play(!timer));
  document.querySelector("footer").hidden = data.frames.length < 2;
  document.addEventListener("keydown", onKey);
}

function onKey(event) {
  const steps = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: data.frames.length - 1 };
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === " " && !event.target.matches("button, input[type=checkbox]")) play(!timer);
  else if (event.key in steps) go(steps[event.key]);
  else return;
  event.preventDefault();
}

legend();
listen();
go(0);
