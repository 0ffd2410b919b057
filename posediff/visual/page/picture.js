// The picture with its 2D poses, on a canvas. Coordinates of poses are tenths of a pixel.

const TENTHS = 10;
const HOLLOW = 30; // hundredths; a joint with a lower score is drawn hollow

export class Picture {
  constructor(section, data) {
    this.canvas = section.querySelector("canvas");
    this.skeletons = data.skeletons;
    this.images = new Map(); // loaded pictures by their data URI
    this.last = null;
    new ResizeObserver(() => this.redraw()).observe(section);
  }

  // show: { hidden, hypotheses, spread, overlay }
  draw(frame, show) {
    this.last = [frame, show];
    this.redraw();
  }

  redraw() {
    if (!this.last) return;
    const [frame, show] = this.last;
    const image = this.loaded(frame);
    if (frame.image && !image) return; // drawn again when it is loaded
    const pen = this.cleared(frame);
    if (image) pen.drawImage(image, 0, 0, ...frame.size);
    else strokeFrame(pen, frame.size);
    const people = frame.people.filter((person) => !show.hidden.has(person.label));
    if (show.overlay) for (const person of people) this.person(pen, person, show);
  }

  // The picture of a frame, or null until it is loaded.
  loaded(frame) {
    if (!frame.image) return null;
    let image = this.images.get(frame.image);
    if (!image) {
      image = new Image();
      this.images.set(frame.image, image);
      image.onload = () => this.redraw();
      image.src = frame.image;
    }
    return image.complete && image.naturalWidth ? image : null;
  }

  // A context whose unit is a pixel of the picture, which fills the canvas but for a margin.
  cleared(frame) {
    const { canvas } = this;
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth * ratio, canvas.clientHeight * ratio];
    if (canvas.width !== Math.round(width)) canvas.width = Math.round(width);
    if (canvas.height !== Math.round(height)) canvas.height = Math.round(height);
    const pen = canvas.getContext("2d");
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    const [w, h] = frame.size;
    const scale = Math.max(Math.min((width - 24 * ratio) / w, (height - 24 * ratio) / h), 1e-3);
    pen.setTransform(scale, 0, 0, scale, (width - scale * w) / 2, (height - scale * h) / 2);
    this.unit = ratio / scale; // pixels of the picture in a pixel of the page
    return pen;
  }

  person(pen, person, show) {
    const { pose, scores, ellipses, hypotheses, skeleton } = person.flat;
    const { bones, colours } = this.skeletons[skeleton];
    const at = points(pose);
    if (show.spread) for (const [j, place] of at.entries()) {
      if (place) ellipse(pen, place, ellipses.slice(3 * j, 3 * j + 3), colours[j], this.unit);
    }
    pen.lineCap = "round";
    if (show.hypotheses) {
      pen.globalAlpha = Math.min(Math.max(3 / hypotheses.length, 0.15), 0.5);
      for (const one of hypotheses) strokeBones(pen, points(one), bones, 1.2 * this.unit);
      pen.globalAlpha = 1;
    }
    const sizes = at.filter(Boolean);
    const tall = extent(sizes);
    const width = Math.min(Math.max(tall / this.unit / 90, 1.5), 4) * this.unit;
    strokeBones(pen, at, bones, width + 1.5 * this.unit, "#fff");
    strokeBones(pen, at, bones, width);
    for (const [j, place] of at.entries()) {
      if (place) joint(pen, place, width, colours[j], scores[j] < HOLLOW, this.unit);
    }
    this.box(pen, person);
  }

  box(pen, person) {
    const [x1, y1, x2, y2] = person.box.map((value) => value / TENTHS);
    if ([x1, y1, x2, y2].some((value) => !Number.isFinite(value))) return;
    pen.lineWidth = this.unit;
    pen.strokeStyle = "rgba(255, 255, 255, 0.85)";
    pen.strokeRect(x1, y1, x2 - x1, y2 - y1);
    pen.font = `600 ${12 * this.unit}px system-ui, sans-serif`;
    const width = pen.measureText(person.number).width + 8 * this.unit;
    const top = Math.max(y1 - 17 * this.unit, 0);
    pen.fillStyle = "rgba(255, 255, 255, 0.85)";
    pen.fillRect(x1, top, width, 17 * this.unit);
    pen.fillStyle = "#282828";
    pen.fillText(person.number, x1 + 4 * this.unit, top + 13 * this.unit);
  }
}

// [x, y] of every joint, null where it is missing; the first pixel's centre is at a half.
function points(values) {
  const found = [];
  for (let i = 0; i < values.length; i += 2) {
    const missing = values[i] === null || values[i + 1] === null;
    found.push(missing ? null : [values[i] / TENTHS + 0.5, values[i + 1] / TENTHS + 0.5]);
  }
  return found;
}

function extent(places) {
  if (!places.length) return 0;
  const [xs, ys] = [places.map((p) => p[0]), places.map((p) => p[1])];
  return Math.max(Math.max(...xs) - Math.min(...xs), Math.max(...ys) - Math.min(...ys));
}

function strokeFrame(pen, [width, height]) {
  pen.fillStyle = "#f7f8fa";
  pen.fillRect(0, 0, width, height);
}

function strokeBones(pen, at, bones, width, colour) {
  pen.lineWidth = width;
  for (const [a, b, own] of bones) {
    if (!at[a] || !at[b]) continue;
    pen.strokeStyle = colour || own;
    pen.beginPath();
    pen.moveTo(...at[a]);
    pen.lineTo(...at[b]);
    pen.stroke();
  }
}

function joint(pen, [x, y], width, colour, hollow, unit) {
  pen.beginPath();
  pen.arc(x, y, width, 0, 2 * Math.PI);
  pen.fillStyle = hollow ? "#fff" : colour;
  pen.strokeStyle = hollow ? colour : "#fff";
  pen.lineWidth = unit;
  pen.fill();
  pen.stroke();
}

// The image of the unit circle under the symmetric matrix (xx, xy, yy) of standard deviations.
function ellipse(pen, [x, y], matrix, colour, unit) {
  const [xx, xy, yy] = matrix.map((value) => value / TENTHS);
  if (!xx && !yy) return;
  pen.save();
  pen.transform(xx, xy, xy, yy, x, y);
  pen.beginPath();
  pen.arc(0, 0, 1, 0, 2 * Math.PI);
  pen.restore();
  pen.fillStyle = pen.strokeStyle = colour;
  pen.lineWidth = unit;
  pen.globalAlpha = 0.15;
  pen.fill();
  pen.globalAlpha = 0.6;
  pen.stroke();
  pen.globalAlpha = 1;
}
