// Poses in 3D. Data are millimetres of the camera (x right, y down, z away); the scene is in metres
// with y up, so a point (x, y, z) of the data is at (x, -y, -z) / 1000.

import * as THREE from "three";
import { OrbitControls } from "orbit";

const CELL = 0.5; // metres, of the grid
const BONE = 0.014; // metres, radii
const JOINT = 0.021;
const TRUE_BONE = 0.009;
const DOUBTFUL = 30; // hundredths; a joint lifted from a lower score is drawn small
const HEIGHT = 1.8; // of people, about
const UP = new THREE.Vector3(0, 1, 0);
const LOOKS = { front: [0.25, 0.22, 1], side: [1, 0.15, 0.02], above: [0, 1, 0.02] };

export class Scene {
  constructor(section, data) {
    this.section = section;
    this.skeletons = data.skeletons;
    this.renderer = new THREE.WebGLRenderer({ antialias: true });
    this.renderer.setPixelRatio(window.devicePixelRatio || 1);
    this.renderer.setClearColor(0xffffff);
    section.append(this.renderer.domElement);
    this.scene = new THREE.Scene();
    this.camera = new THREE.PerspectiveCamera(32, 1, 0.05, 200);
    this.camera.add(new THREE.DirectionalLight(0xffffff, 1.3));
    this.scene.add(this.camera, new THREE.AmbientLight(0xffffff, 2.2));
    this.controls = new OrbitControls(this.camera, this.renderer.domElement);
    this.controls.addEventListener("change", () => this.render());
    this.tags = [];
    this.sideways = false;
    this.addBodies(capacities(data), data.truth_colour);
    this.extent = null;
    new ResizeObserver(() => this.resize()).observe(section);
  }

  addBodies(most, truthColour) {
    const ball = new THREE.SphereGeometry(1, 20, 14);
    const rod = new THREE.CylinderGeometry(1, 1, 1, 12, 1, true);
    const solid = new THREE.MeshLambertMaterial();
    const truth = new THREE.MeshLambertMaterial({ color: truthColour });
    const glass = new THREE.MeshLambertMaterial({
      transparent: true, opacity: 0.3, depthWrite: false,
    });
    const instanced = (shape, material, number) => {
      const mesh = new THREE.InstancedMesh(shape, material, Math.max(number, 1));
      mesh.frustumCulled = false;
      mesh.count = 0;
      this.scene.add(mesh);
      return mesh;
    };
    this.joints = instanced(ball, solid, most.joints);
    this.bones = instanced(rod, solid, most.bones);
    this.truth = instanced(rod, truth, most.bones);
    this.spread = instanced(ball, glass, most.joints);
    const lines = new THREE.BufferGeometry();
    const room = () => new THREE.BufferAttribute(new Float32Array(6 * most.lines), 3);
    lines.setAttribute("position", room());
    lines.setAttribute("color", room());
    const thin = { vertexColors: true, transparent: true, opacity: 0.35, depthWrite: false };
    this.hypotheses = new THREE.LineSegments(lines, new THREE.LineBasicMaterial(thin));
    this.hypotheses.frustumCulled = false;
    this.scene.add(this.hypotheses);
  }

  // show: { hidden, hypotheses, spread, truth }
  draw(frame, show) {
    this.shown = [frame, show];
    const people = frame.people.filter((p) => p.space && !show.hidden.has(p.label));
    for (const mesh of [this.joints, this.bones, this.truth, this.spread]) mesh.count = 0;
    this.lines = 0;
    for (const tag of this.tags) tag.element.remove();
    this.tags = [];
    const extent = this.sideways ? [frame.extent[1], frame.extent[0]] : frame.extent;
    if (String(extent) !== String(this.extent)) this.furnish(extent);
    for (const person of people) this.person(person, show);
    for (const mesh of [this.joints, this.bones, this.truth, this.spread]) {
      mesh.instanceMatrix.needsUpdate = true;
      if (mesh.instanceColor) mesh.instanceColor.needsUpdate = true;
    }
    const { position, color } = this.hypotheses.geometry.attributes;
    position.needsUpdate = color.needsUpdate = true;
    this.hypotheses.geometry.setDrawRange(0, 2 * this.lines);
    this.tagAxes();
    this.render();
  }

  person(person, show) {
    const { pose, scores, ellipsoids, hypotheses, truth, skeleton } = person.space;
    const { bones, colours } = this.skeletons[skeleton];
    const [x, y, z] = person.place;
    const spot = this.sideways ? [-z, y, x] : [x, y, z];
    const at = points(pose, spot);
    for (const [j, place] of at.entries()) {
      if (!place) continue;
      const size = JOINT * (scores[j] < DOUBTFUL ? 0.6 : 1);
      put(this.joints, new THREE.Matrix4().makeScale(size, size, size).setPosition(place), colours[j]);
      if (show.spread) this.ellipsoid(place, ellipsoids.slice(6 * j, 6 * j + 6), colours[j]);
    }
    for (const [a, b, colour] of bones) if (at[a] && at[b]) {
      put(this.bones, between(at[a], at[b], BONE), colour);
    }
    if (show.hypotheses) for (const one of hypotheses) {
      this.segments(points(one, spot), bones);
    }
    if (show.truth && truth) {
      const real = points(truth, spot);
      for (const [a, b] of bones) if (real[a] && real[b]) {
        put(this.truth, between(real[a], real[b], TRUE_BONE));
      }
    }
    const high = at.filter(Boolean).reduce((top, p) => (top && top.y > p.y ? top : p), null);
    if (high) this.tag(person.label, high.clone().add(new THREE.Vector3(0, 0.14, 0)), "");
  }

  // The image of the unit ball under the symmetric matrix of standard deviations.
  ellipsoid(place, values, colour) {
    if (values.every((value) => !value)) return;
    const [xx, xy, xz, yy, yz, zz] = values.map((value) => value / 1000);
    const matrix = new THREE.Matrix4().set(
      xx, -xy, -xz, place.x,
      -xy, yy, yz, place.y,
      -xz, yz, zz, place.z,
      0, 0, 0, 1,
    );
    put(this.spread, matrix, colour);
  }

  segments(at, bones) {
    const { position, color } = this.hypotheses.geometry.attributes;
    for (const [a, b, colour] of bones) {
      if (!at[a] || !at[b]) continue;
      const ink = new THREE.Color(colour);
      for (const [end, place] of [at[a], at[b]].entries()) {
        position.setXYZ(2 * this.lines + end, place.x, place.y, place.z);
        color.setXYZ(2 * this.lines + end, ink.r, ink.g, ink.b);
      }
      this.lines += 1;
    }
  }

  // The grid and the axes around an extent [width, depth] in millimetres, and the view of them.
  furnish(extent) {
    this.extent = extent;
    const [width, depth] = extent.map((side) => Math.max(Math.ceil(side / 1000 / CELL), 2) * CELL);
    this.scene.remove(this.room);
    this.room = new THREE.Group();
    this.room.add(grid(width, depth));
    this.corner = new THREE.Vector3(-width / 2, 0.5, depth / 2);
    this.axes = { x: [1, 0, 0], y: [0, -1, 0], z: [0, 0, -1] };
    for (const direction of Object.values(this.axes)) {
      const way = new THREE.Vector3(...direction);
      this.room.add(new THREE.ArrowHelper(way, this.corner, 0.4, 0x8c8c8c, 0.09, 0.05));
    }
    this.scene.add(this.room);
    this.size = [width, depth];
    this.look(this.looked || "front");
  }

  // View from a side, as near as the whole floor and HEIGHT above it are seen. From the side people
  // stand in a row away from the camera of the picture, so that none hides another.
  look(name) {
    this.looked = name;
    if (this.sideways !== (name === "side")) {
      this.sideways = name === "side";
      this.draw(...this.shown);
    }
    const [width, depth] = this.size;
    const { target } = this.controls;
    target.set(0, HEIGHT / 2, 0);
    const way = new THREE.Vector3(...LOOKS[name]).normalize();
    const right = new THREE.Vector3().crossVectors(UP, way).normalize();
    const up = new THREE.Vector3().crossVectors(way, right);
    const slope = Math.tan((this.camera.fov * Math.PI) / 360);
    const sideways = slope * Math.max(this.camera.aspect, 0.1);
    let far = 0;
    for (const x of [-width / 2, width / 2]) for (const z of [-depth / 2, depth / 2]) {
      for (const y of [0, HEIGHT]) {
        const corner = new THREE.Vector3(x, y, z).sub(target);
        const span = Math.max(
          Math.abs(corner.dot(right)) / sideways, Math.abs(corner.dot(up)) / slope,
        );
        far = Math.max(far, corner.dot(way) + span);
      }
    }
    this.camera.position.copy(target).addScaledVector(way, far * 1.03);
    this.controls.update();
    this.render();
  }

  tag(words, place, kind) {
    const element = document.createElement("div");
    element.className = `tag ${kind}`;
    element.textContent = words;
    this.section.append(element);
    this.tags.push({ element, place });
  }

  tagAxes() {
    for (const [name, direction] of Object.entries(this.axes)) {
      const tip = this.corner.clone().addScaledVector(new THREE.Vector3(...direction), 0.47);
      this.tag(name, tip, "axis");
    }
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.section;
    if (!width || !height) return;
    this.renderer.setSize(width, height, false);
    this.camera.aspect = width / height;
    this.camera.updateProjectionMatrix();
    if (this.looked && !this.fitted) this.look(this.looked); // the first size is known only now
    this.fitted = true;
    this.render();
  }

  render() {
    this.renderer.render(this.scene, this.camera);
    const { clientWidth: width, clientHeight: height } = this.section;
    for (const { element, place } of this.tags) {
      const { x, y, z } = place.clone().project(this.camera);
      const [left, top] = [((x + 1) / 2) * width, ((1 - y) / 2) * height];
      element.style.transform = `translate(${left}px, ${top}px) translate(-50%, -50%)`;
      element.style.visibility = Math.abs(z) <= 1 ? "visible" : "hidden";
    }
  }
}

// The largest numbers of joints, bones and lines of hypotheses that a frame has.
function capacities(data) {
  const most = { joints: 0, bones: 0, lines: 0 };
  for (const frame of data.frames) {
    const own = { joints: 0, bones: 0, lines: 0 };
    for (const { space } of frame.people) if (space) {
      const { joints, bones } = data.skeletons[space.skeleton];
      own.joints += joints.length;
      own.bones += bones.length;
      own.lines += bones.length * space.hypotheses.length;
    }
    for (const key of Object.keys(most)) most[key] = Math.max(most[key], own[key]);
  }
  return most;
}

// A vector of every joint, null where it is missing, moved to the place of its person.
function points(values, place) {
  const found = [];
  for (let i = 0; i < values.length; i += 3) {
    const [x, y, z] = values.slice(i, i + 3);
    const missing = x === null || y === null || z === null;
    found.push(missing ? null : new THREE.Vector3(x + place[0], -y - place[1], -z - place[2])
      .divideScalar(1000));
  }
  return found;
}

function put(mesh, matrix, colour) {
  mesh.setMatrixAt(mesh.count, matrix);
  if (colour) mesh.setColorAt(mesh.count, new THREE.Color(colour));
  mesh.count += 1;
}

// The matrix that takes the unit cylinder to the one from a to b.
function between(a, b, radius) {
  const way = b.clone().sub(a);
  const long = way.length() || 1e-6;
  const turn = new THREE.Quaternion().setFromUnitVectors(UP, way.divideScalar(long));
  const middle = a.clone().add(b).divideScalar(2);
  return new THREE.Matrix4().compose(middle, turn, new THREE.Vector3(radius, long, radius));
}

function grid(width, depth) {
  const ends = [];
  for (let x = -width / 2; x <= width / 2 + 1e-6; x += CELL) {
    ends.push(x, 0, -depth / 2, x, 0, depth / 2);
  }
  for (let z = -depth / 2; z <= depth / 2 + 1e-6; z += CELL) {
    ends.push(-width / 2, 0, z, width / 2, 0, z);
  }
  const lines = new THREE.BufferGeometry();
  lines.setAttribute("position", new THREE.Float32BufferAttribute(ends, 3));
  return new THREE.LineSegments(lines, new THREE.LineBasicMaterial({ color: 0xd6d6d6 }));
}
