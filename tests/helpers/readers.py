"""Every reader of files, each with a small valid one: a function of a folder that writes the file
and returns its path, what reads it, and a structural mutation of it (None: bytes alone)."""

import json
import pickle
from functools import partial

import h5py
import numpy as np
import torch
from helpers import fuzz
from helpers.commands import script
from scipy.io import savemat

from posediff import checkpoint, run_folder, torch_files, training_state
from posediff.data import matlab
from posediff.data.lifting import h36m, mixtures, mocap, mpi_inf_3dhp, pickles, recording
from posediff.data.lifting.h36m_cameras import SIZES, cameras
from posediff.data.lifting.views import Clip
from posediff.data.pictures import annotations, coco_format, lsp, people_rows, picture_files
from posediff.data.video import footage, frames, jhmdb
from posediff.diffusion import Regression
from posediff.inference import keypoint_files, photo_input
from posediff.inference.tools import joint_names
from posediff.metrics import posetrack_files
from posediff.nn import weights
from posediff.outputs import frame_json
from posediff.pose.skeleton import skeleton
from posediff.prepare import motion, released
from posediff.tasks.lift3d import Encoder

RNG = np.random.default_rng(0)
COCO = skeleton("coco17")
TRIPLES = [*map(float, np.arange(51) % 40)]
TRIPLES[2::3] = [2] * 17


def as_json(name, content, read):
    """A source of a JSON file."""

    def source(folder):
        path = folder / f"{name}.json"
        path.write_text(json.dumps(content))
        return path, read, lambda p, rng: p.write_bytes(fuzz.of_json(content, rng))

    return source


def as_npz(name, arrays, read):
    def source(folder):
        path = folder / f"{name}.npz"
        np.savez_compressed(path, **arrays)

        def mutate(p, rng):
            with p.open("wb") as file:
                np.savez_compressed(file, **fuzz.of_arrays(arrays, rng))

        return path, read, mutate

    return source


def as_npy(folder):
    path = folder / "points.npy"
    np.save(path, np.ones((3, 17, 2)))

    def mutate(p, rng):
        np.save(p, fuzz.of_arrays({"keypoints": np.ones((3, 17, 2))}, rng).get("keypoints", 1))

    return path, keypoints, mutate


def as_hdf5(name, arrays, attributes, read, suffix=".h5"):
    """attributes: by the place of a group."""

    def write(path, arrays, attributes):
        with h5py.File(path, "w", track_order=True) as file:
            for at, array in arrays.items():
                file.create_dataset(at, data=array)
            for at, values in attributes.items():
                if at in file:
                    file[at].attrs.update(values)

    def source(folder):
        path = folder / f"{name}{suffix}"
        write(path, arrays, attributes)

        def mutate(p, rng):
            if rng.integers(3) or not attributes:
                write(p, fuzz.of_arrays(arrays, rng), attributes)
                return
            changed = {at: dict(values) for at, values in attributes.items()}
            group = changed[list(changed)[rng.integers(len(changed))]]
            key = list(group)[rng.integers(len(group))]
            group[key] = [5, "x", np.array([1.0, np.nan]), np.zeros((2, 2)), b"\xff"][
                rng.integers(5)
            ]
            if rng.integers(4) == 0:
                del group[key]
            write(p, arrays, changed)

        return path, read, mutate

    return source


def as_text(name, text, read, mark=" "):
    def source(folder):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

        def mutate(p, rng):
            words = text.split(mark)
            at = rng.integers(len(words))
            words[at] = str(fuzz.WORDS[rng.integers(len(fuzz.WORDS))])
            p.write_text(mark.join(words), encoding="utf-8", errors="replace")

        return path, read, mutate

    return source


def coco():
    person = {"id": 1, "image_id": 7, "category_id": 1, "keypoints": TRIPLES, "num_keypoints": 17}
    person |= {"bbox": [0.0, 0.0, 40.0, 40.0], "area": 800.5, "iscrowd": 0}
    return {
        "images": [{"id": 7, "file_name": "7.jpg", "width": 60, "height": 50}],
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO.joints)}],
        "annotations": [person, {**person, "id": 2}],
    }


def people_of(path):
    found = annotations.checked(path, annotations.load(path), COCO, path.parent)
    found.truth()
    return found


def detected(path):
    return people_rows.detected(path, annotations.checked(path, coco(), COCO, path.parent), 0.5)


BOXES = [
    {"image_id": 7, "category_id": 1, "bbox": [0.0, 1, 20, 30], "score": s} for s in (0.9, 0.4)
]
AIC = [
    {
        "image_id": "a",
        "human_annotations": {"human1": [0, 0, 30, 40]},
        "keypoint_annotations": {"human1": [1 + n % 3 if n % 3 == 2 else n for n in range(42)]},
    }
]


def aic(path):
    import cv2

    cv2.imwrite(str(path.parent / "a.jpg"), np.zeros((50, 60, 3), np.uint8))
    layout = skeleton("aic14")
    data = coco_format.from_raw(path, annotations.load(path), layout.joints)
    return annotations.checked(path, data, layout, path.parent, "0.53*w*h")


POSETRACK = skeleton("posetrack15")


def posetrack(results=False):
    keypoints = [*map(float, np.arange(45) % 40)]
    keypoints[2::3] = [1] * 15
    person = {"image_id": 1, "track_id": 0, "category_id": 1, "keypoints": keypoints, "id": 1}
    person |= {"bbox": [0, 0, 40, 40], "bbox_head": [0, 0, 9, 9]}
    if results:
        person["scores"] = [0.5] * 15
    image = {"id": 1, "file_name": "v/000001.jpg", "vid_id": "v", "is_labeled": True}
    image |= {"nframes": 2, "ignore_regions_x": [[0, 1, 1]], "ignore_regions_y": [[0, 0, 1]]}
    second = image | {"id": 2, "file_name": "v/000002.jpg"}
    return {
        "images": [image, second],
        "categories": [{"id": 1, "name": "person", "keypoints": list(POSETRACK.joints)}],
        "annotations": [person, {**person, "image_id": 2, "id": 2}],
    }


def annolist():
    points = [{"id": [n], "x": [n + 1.0], "y": [2.0], "is_visible": [1]} for n in range(15)]
    person = {"x1": [1], "y1": [1], "x2": [9], "y2": [9], "track_id": [0]}
    person["annopoints"] = [{"point": points}]
    frame = {"image": [{"name": "images/v/00000001.jpg"}], "annorect": [person], "is_labeled": [1]}
    return {"annolist": [frame]}


def videos(path, origin=1):
    return footage.read(path, POSETRACK, path.parent, origin)


def pose_results(path):
    truth = posetrack_files.read_truth({path.name: posetrack()})
    return posetrack_files.read_results({path.name: path}, truth)


def keypoints(path):
    return keypoint_files.read_keypoints(path, 17, COCO, "pixels")


def named(path):
    found = joint_names.names_in(path)
    joint_names.belong(path, found, COCO)
    return keypoints(path)


def mocap_names(path):
    return script("prepare_mocap").read_joints(path)


def deeplabcut(folder):
    """As pandas writes a table, with the names of its columns pickled."""
    columns = [("net", part, axis) for part in COCO.joints for axis in ("x", "y", "likelihood")]
    values = RNG.uniform(1, 400, (3, len(columns)))
    kind = np.dtype([("index", "i8"), ("values_block_0", "f8", (len(columns),))])
    table = np.zeros(3, kind)
    table["index"], table["values_block_0"] = np.arange(3), values
    path = folder / "points.h5"

    def write(path, table, kinds):
        with h5py.File(path, "w") as file:
            made = file.create_dataset("df_with_missing/table", data=table)
            made.attrs["values_block_0_kind"] = np.void(kinds)

    write(path, table, pickle.dumps(columns, 0))

    def mutate(p, rng):
        changed = fuzz.of_arrays({"index": table["index"], "values_block_0": values}, rng)
        made = np.zeros(3, [(k, x.dtype, x.shape[1:]) for k, x in changed.items()] or kind)
        write(p, made, fuzz.of_bytes(pickle.dumps(columns, 0), rng))

    return path, keypoints, mutate


def picture(suffix):
    def source(folder):
        import cv2

        path = folder / f"photo{suffix}"
        cv2.imwrite(str(path), RNG.integers(0, 255, (12, 16, 3), np.uint8))

        def read(path):
            picture_files.size(path)
            picture_files.read(path)

        return path, read, None

    return source


def film(folder):
    import cv2

    path = folder / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (32, 24))
    for n in range(3):
        writer.write(np.full((24, 32, 3), 40 * n, np.uint8))
    writer.release()

    def read(path):
        video = frames.VideoFile(path)
        for number in video.numbers[:4]:
            video.read(number)

    return path, read, None


def arrays_of_recording():
    words = {word: np.array(["a"]) for word in recording.WORDS} | {"split": np.array(["train"])}
    return {
        "pos_delta": RNG.integers(-9, 9, (6, 17, 3)).astype(np.int16),
        "start": np.array([0], np.int32),
        "length": np.array([6], np.int32),
        "native_fps": np.array([120], np.float32),
        "joints": np.array(recording.JOINTS.split()),
        "fps": np.float32(50),
        "unit_mm": np.float32(0.25),
        **words,
    }


CAMERA = {"id": 0, "R": np.eye(3).tolist(), "t_world_mm": [0, 0, 5000], "focal": [1100, 1100]}
CAMERA |= {"center": [500, 500], "radial": [0, 0, 0], "tangential": [0, 0]}
CAMERA |= {"resolution": [1000, 1000]}


def human(path):
    for clip in h36m.read(path, ["S1"], "cpn"):
        assert np.isfinite(clip.world).all()


def test_views(path):
    list(mpi_inf_3dhp.read(path, ["TS1"], "annot3"))


def mixture_entries(frames=2):
    one = np.concatenate([np.ones((frames, 17, 1, 1)), np.full((frames, 17, 1, 4), 9.0)], -1)
    return {f"S9/Walking/{name}": one.astype(np.float32) for name in SIZES}


def mixed(path):
    world = np.zeros((2, 17, 3), np.float32)
    clip = Clip("Walking", "S9", "Walking", world, cameras("S9"), list(SIZES))
    mixtures.add_mixtures([clip], path, "h36m17")


def evidence(path):
    module = script("fit_mixture")
    module.run(path, path.parent / "out.h5", module.Settings(1, None, 0), None, None)


def mat(name, variables, read):
    def source(folder):
        path = folder / f"{name}.mat"
        savemat(path, variables, do_compression=True)

        def mutate(p, rng):
            savemat(p, fuzz.of_arrays(variables, rng), do_compression=True)

        return path, read, mutate

    return source


def jhmdb_lists(path):
    return list(jhmdb._listed(path.parent, 1))


def jhmdb_clip(path):
    root = path.parents[3]
    return jhmdb._document(root, "a", "b", "images", "joints")


def jhmdb_file(folder):
    at = folder / "joint_positions/a/b"
    at.mkdir(parents=True)
    return mat("joint_positions", {"pos_img": RNG.uniform(1, 200, (2, 15, 3))}, jhmdb_clip)(at)


def leeds(path):
    return lsp.read(path, path.parent, "im{:04d}.jpg", "occluded")[0]


def leeds_file(folder):
    import cv2

    for n in (1, 2, 3, 4):
        cv2.imwrite(str(folder / f"im{n:04d}.jpg"), np.zeros((20, 20, 3), np.uint8))
    joints = np.concatenate([RNG.uniform(0, 20, (2, 14, 3)), np.zeros((1, 14, 3))])
    return mat("joints", {"joints": joints}, leeds)(folder)


BVH = (
    "HIERARCHY\nROOT Hips\n{\n OFFSET 0 0 0\n CHANNELS 6 Xposition Yposition Zposition Zrotation "
    "Yrotation Xrotation\n JOINT Arm\n {\n OFFSET 2 0 0\n CHANNELS 3 Zrotation Yrotation Xrotation"
    "\n End Site\n {\n OFFSET 1 0 0\n }\n }\n}\nMOTION\nFrames: 2\nFrame Time: 0.02\n"
    "0 0 0 0 0 0 0 0 0\n1 1 1 0 9 0 0 5 0\n"
)
ASF = (
    ":units\n length 0.45\n angle deg\n:root\n order TX TY TZ RX RY RZ\n axis XYZ\n orientation 0 "
    "0 0\n:bonedata\n begin\n name upper\n direction 1 0 0\n length 2\n axis 0 0 90 XYZ\n dof rx\n "
    "end\n:hierarchy\n begin\n root upper\n end\n"
)
AMC = ":DEGREES\n1\nroot 1 2 3 0 0 0\nupper 0\n2\nroot 1 2 3 90 0 90\nupper 90\n"


def amc(path):
    (path.parent / "s.asf").write_text(ASF)
    return motion.read_amc(path, path.parent / "s.asf")


def asf(path):
    (path.parent / "m.amc").write_text(AMC)
    return motion.read_amc(path.parent / "m.amc", path)


def model_config(folder):
    """A small model folder; its config.json is the file."""
    place = folder / "model"
    head = {"_target_": "posediff.tasks.lift3d.Encoder", "skeleton": "h36m17"}
    head |= {"width": 16, "depth": 1}
    torch.manual_seed(0)
    made = Regression(Encoder(**{k: x for k, x in head.items() if k != "_target_"}))
    config = {
        "task": "lift3d",
        "method": "encoder",
        "skeleton": "h36m17",
        "dataset": {"name": "synthetic", "keypoints": "noisy", "window": 1},
        "overrides": ["experiment=lift3d_encoder", "task.head.width=16"],
        "model": {"_target_": "posediff.diffusion.Regression", "head": head},
        "match_start": None,
    }
    checkpoint.save(place, made.state_dict(), config)
    content = json.loads((place / "config.json").read_text())

    def read(path):
        checkpoint.load(path.parent)

    path = place / "config.json"
    return path, read, lambda p, rng: p.write_bytes(fuzz.of_json(content, rng))


def model_sizes(folder):
    """Its config.json with one number of the network changed: another size than the weights'."""
    path, read, _ = model_config(folder)
    content = json.loads(path.read_text())

    def mutate(p, rng):
        changed = json.loads(json.dumps(content))
        head = changed["model"]["head"]
        head[["width", "depth"][rng.integers(2)]] = [0, -1, 3, 17, 32, 4096, 10**5, 2.5][
            rng.integers(8)
        ]
        p.write_text(json.dumps(changed))

    return path, read, mutate


def encoder_config(folder):
    """The config.json of the folder that a network in training has its encoder from."""
    path, _, _ = model_sizes(folder)

    def read(path):
        checkpoint.insert_encoders({"head": {"encoder": str(path.parent)}})

    return path, read, model_sizes(folder)[2]


def weight_header(folder):
    """The weight file with the header changed: shapes, types, places."""
    path, read, _ = model_weights(folder)
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header, rest = json.loads(data[8 : 8 + length]), data[8 + length :]

    def mutate(p, rng):
        changed = fuzz.of_json(header, rng)
        p.write_bytes(len(changed).to_bytes(8, "little") + changed + rest)

    return path, read, mutate


def model_weights(folder):
    path, read, _ = model_config(folder)
    return path.with_name("model.safetensors"), read, None


def tensors(folder):
    path = folder / "weights.pth"
    torch.save({"state_dict": {"a.weight": torch.ones(3, 2), "b": torch.zeros(4)}}, path)
    return path, torch_files.read_torch, None


def public(folder):
    path = folder / "public.pth"
    torch.save({"state_dict": {"a.weight": torch.ones(3, 2), "b": torch.zeros(4)}}, path)
    return path, weights.read, None


def released_file(folder):
    path = folder / "released.pth"
    torch.save([{"w": torch.ones(3, 2)}, {}, {}, 0], path)
    return path, released.read_released, None


def trainer(folder):
    place = folder / "last"
    checkpoint.save(place, {"w": torch.ones(2)}, {"task": "a"})
    torch.save({"epoch": 1, "w": torch.ones(9)}, place / "trainer.pt")
    return place / "trainer.pt", lambda path: training_state.read_trainer(path.parent), None


def frames_file(folder):
    person = {"keypoints_2d": [[1.0, 2.0]], "scores": [1.0], "box": [0, 0, 9, 9], "track": 1}
    content = {"format": frame_json.FORMAT, "version": 1, "frames": [], "skeletons": {}}
    content["x"] = person
    path = folder / "frames.json"
    path.write_text(json.dumps(content))
    return path, frame_json.read, lambda p, rng: p.write_bytes(fuzz.of_json(content, rng))


H36M = {
    "S1/Walking/world": RNG.normal(size=(3, 17, 3)).astype("f4"),
    "S1/Walking/cpn": RNG.uniform(0, 900, (4, 3, 17, 2)).astype("f4"),
}
AT = "TS1/Seq1/0"
MPI = {
    f"{AT}/keypoints_2d": RNG.uniform(0, 900, (3, 17, 2)).astype("f4"),
    f"{AT}/annot3": RNG.normal(size=(3, 17, 3)).astype("f4"),
    f"{AT}/valid": np.ones(3, np.uint8),
    f"{AT}/activity": np.array([1, 2, 7], np.uint8),
}
LENS = {"intrinsics": np.array([1500, 1500, 1024, 1024, 0, 0, 0, 0, 0.0]), "size": (2048, 2048)}
ABOUT = {"format": "posediff-mixture", "version": 1, "unit": "pixel", "scale": "std"}
PICKLED = np.array({"S1": {"Walking": [np.zeros((2, 17, 2))] * 4}}, dtype=object)
MMPOSE = [
    {"frame_id": 0, "instances": [{"keypoints": [[1.0, 2]] * 17, "keypoint_scores": [1] * 17}]}
]
RESULTS = [
    {"image_id": "f_1.jpg", "category_id": 1, "keypoints": TRIPLES, "score": 1, "track_id": 3}
]
ALPHA = [{"image_id": f"{n}.jpg", "category_id": 1, "keypoints": TRIPLES, "score": 2.5, "idx": [0]}
         for n in range(2)]  # fmt: skip
OPEN = {"version": "AlphaPose v0.3", "people": [{"pose_keypoints_2d": TRIPLES}]}
SPREADSHEET = "\n".join(";".join(f"{n},5" for n in range(34)) for _ in range(3))
HEADER = ",".join(f"{name}_{axis}" for name in COCO.joints for axis in "xy")
CSV = "\n".join(", ".join("0.5" if n % 3 == 2 else str(n) for n in range(51)) for _ in range(3))
ULTRALYTICS = [
    {
        "name": "person",
        "class": 0,
        "box": {"x1": 1.0, "y1": 2.0, "x2": 30.0, "y2": 40.0},
        "track_id": 3,
        "keypoints": {axis: [float(n) for n in range(17)] for axis in ("x", "y", "visible")},
    }
]
LABELS = " ".join("0.5" for _ in range(51))
DEEPLABCUT = "scorer,n,n,n\nbodyparts,nose,nose,nose\ncoords,x,y,likelihood\n0,10,20,1\n"


def logged(path):
    return run_folder.log(path.parent)


def options(path):
    return run_folder.overrides(path.parents[1])


def settings(path):
    return run_folder.resolved(run_folder.config(path.parents[1]), "c")


READERS = {
    "coco": as_json("people", coco(), people_of),
    "detections": as_json("boxes", BOXES, detected),
    "aic": as_json("aic", AIC, aic),
    "posetrack18": as_json("v", posetrack(), videos),
    "posetrack18 origin 0": as_json("v", posetrack(), partial(videos, origin=0)),
    "posetrack17": as_json("w", annolist(), videos),
    "posetrack results": as_json("v", posetrack(True), pose_results),
    "jhmdb clip": jhmdb_file,
    "jhmdb list": as_text("a_test_split1.txt", "b.avi 1\nc.avi 2\n", jhmdb_lists),
    "lsp": leeds_file,
    "keypoints json": as_json("points", coco(), keypoints),
    "keypoints results": as_json("points", RESULTS, keypoints),
    "keypoints mmpose": as_json("points", MMPOSE, keypoints),
    "keypoints csv": as_text("points.csv", CSV, keypoints),
    "keypoints openpose": as_json(
        "f_1_keypoints", {"people": [{"person_id": [-1], "pose_keypoints_2d": TRIPLES}]}, keypoints
    ),
    "keypoints mediapipe": as_json(
        "points", [[{"x": n * 9.0, "y": n * 5.0, "visibility": 0.5} for n in range(17)]], keypoints
    ),
    "keypoints ultralytics": as_json("points", ULTRALYTICS, keypoints),
    "keypoints detectron2": as_json(
        "points", [{"pred_keypoints": [np.reshape(TRIPLES, (17, 3)).tolist()]}], keypoints
    ),
    "keypoints text": as_text("f_1.txt", f"0 0.5 0.5 0.1 0.1 {LABELS} 0.9 3\n", keypoints),
    "keypoints alphapose": as_json("points", ALPHA, keypoints),
    "keypoints alphapose open": as_json("f_1", OPEN, keypoints),
    "keypoints spreadsheet": as_text("points.csv", SPREADSHEET, keypoints, ";"),
    "keypoints by name": as_text(
        "points.csv", HEADER + "\n" + ",".join(map(str, range(34))), named, ","
    ),
    "keypoints by name json": as_json(
        "points", {"joints": list(COCO.joints), "keypoints": [[[1.0, 2.0, 1.0]] * 17]}, named
    ),
    "keypoints by name npz": as_npz(
        "points",
        {"joints": np.array(COCO.joints), "keypoints": np.ones((3, 17, 2)) * 9},
        named,
    ),
    "keypoints deeplabcut h5": deeplabcut,
    "joints of mocap": as_json("joints", {"RightHip": "thigh_r"}, mocap_names),
    "keypoints deeplabcut": as_text("points.csv", DEEPLABCUT, keypoints, ","),
    "boxes coco": as_json(
        "boxes",
        {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [BOXES[0] | {"image_id": 1}]},
        photo_input.read_boxes,
    ),
    "boxes results": as_json("boxes", BOXES, photo_input.read_boxes),
    "boxes ultralytics": as_json("boxes", ULTRALYTICS, photo_input.read_boxes),
    "boxes mot": as_text(
        "gt.txt", "1, 2, 3, 4, 50, 60, 1\n2, 2, 3, 4, 50, 60, 1\n", photo_input.read_boxes
    ),
    "boxes text": as_text("a.txt", "0 0.5 0.5 0.1 0.1 0.9 3\n", photo_input.read_boxes),
    "keypoints npz": as_npz("points", {"keypoints": np.ones((3, 17, 2))}, keypoints),
    "keypoints npy": as_npy,
    "boxes": as_json("boxes", {"a.jpg": [[0, 0, 9, 9]]}, photo_input.read_boxes),
    "png": picture(".png"),
    "jpeg": picture(".jpg"),
    "bmp": picture(".bmp"),
    "webp": picture(".webp"),
    "tiff": picture(".tiff"),
    "video": film,
    "mocap npz": as_npz("own", arrays_of_recording(), recording.read),
    "mocap cameras": as_json("cameras", {"cameras": [CAMERA]}, mocap.read_cameras),
    "h36m": as_hdf5("h36m", H36M, {"/": h36m.FORMAT}, human),
    "3dhp": as_hdf5("mpi", MPI, {"/": mpi_inf_3dhp.FORMAT, AT: LENS}, test_views),
    "mixture h5": as_hdf5(
        "mixture", mixture_entries(), {"/": ABOUT | {"skeleton": "h36m17"}}, mixed
    ),
    "evidence": as_hdf5(
        "evidence",
        {"S1/W/c/keypoints": RNG.uniform(0, 900, (2, 17, 2))},
        {"/": {"skeleton": "h36m17", "image_size": (800, 600)}},
        evidence,
    ),
    "pickled npz": as_npz("positions", {"positions_2d": PICKLED}, pickles.read_npz),
    "matlab 5": mat(
        "five", {"x": np.ones((3, 2))}, lambda path: matlab.read_array(path, "x", "tests")
    ),
    "matlab 7.3": as_hdf5(
        "seven", {"x": np.ones((3, 2))}, {}, lambda p: matlab.read_array(p, "x", "tests"), ".mat"
    ),
    "bvh": as_text("a.bvh", BVH, motion.read_bvh),
    "amc": as_text("m.amc", AMC, amc),
    "asf": as_text("s.asf", ASF, asf),
    "model config": model_config,
    "model sizes": model_sizes,
    "encoder of a training": encoder_config,
    "model weights": model_weights,
    "header of weights": weight_header,
    "trainer": trainer,
    "torch file": tensors,
    "public weights": public,
    "released weights": released_file,
    "frames": frames_file,
    "metrics": as_json("metrics", {"metrics": {"a": 1.0}}, run_folder.read_object),
    "log": as_text("log.jsonl", '{"step": 1, "loss": 2.0}\n' * 3, logged),
    "options of a run": as_text(".hydra/overrides.yaml", "- task=lift3d\n- seed=1\n", options),
    "configuration of a run": as_text(".hydra/config.yaml", "a: {b: 1}\nc: ${a.b}\n", settings),
}
