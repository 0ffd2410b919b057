"""Damaged files: mutations of a valid one, and what a reader makes of each.

A case ends well (the reader returns), clean (one line that names the file, of type ValueError or
OSError), or otherwise: another exception, a long or nameless message, too much memory, too long.
"""

import copy
import json
import signal
import time
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

MEMORY = 600e6  # bytes that a case may take
SECONDS = 10.0  # of computing that a case may take
LONGEST = 2000  # letters of a message

WORDS = [
    None, True, False, 0, -1, 1, 3, 0.5, 1e39, -1e300, float("nan"), float("inf"), 2**31, 2**53 + 1,
    2**63, 2**70, -(2**70), 10**400, "", "0", "false", "12", "NaN", "../../x", "/etc/passwd",
    "\u00e9" * 300, "\ud800", [], [[]], [1], [None], ["a"], [[1, 2], [3]], {}, {"a": 1},
    {"_target_": "os.system"},
]  # fmt: skip
BYTES = [
    b"\0",
    b"\xff",
    b"[",
    b"{",
    b'"',
    b"\x80\x04",
    b"9" * 25,
    b"-",
    b"\n",
    b",",
    b"nan",
    b"1e999",
]


@dataclass
class Tally:
    """The cases of a reader."""

    cases: int = 0
    clean: int = 0
    well: int = 0
    memory: float = 0.0
    seconds: float = 0.0
    faults: list = field(default_factory=list)

    def row(self, name):
        return (
            f"| {name} | {self.cases} | {self.clean} | {self.well} | {len(self.faults)} | "
            f"{self.memory / 1e6:.0f} | {self.seconds:.2f} |"
        )


def of_bytes(data, rng):
    """A damaged copy of a file's bytes."""
    data, kind = bytearray(data), rng.integers(7)
    at = int(rng.integers(max(len(data), 1)))
    width = int(rng.integers(1, 9))
    if kind == 0:
        del data[at:]
    elif kind == 1 and data:
        data[at] ^= 1 << int(rng.integers(8))
    elif kind == 2:
        data[at : at + width] = rng.bytes(width)
    elif kind == 3:
        del data[at : at + width]
    elif kind == 4:
        data[at:at] = BYTES[rng.integers(len(BYTES))]
    elif kind == 5:
        end = int(rng.integers(at, len(data) + 1))
        data[at:at] = data[at : min(end, at + 400)]
    else:
        data[at : at + width] = [b"\0" * width, b"\xff" * width, b"\x7f" * width][rng.integers(3)]
    return bytes(data)


def places(node, at=()):
    """All places of a nest of lists and objects."""
    yield at
    pairs = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in pairs:
        if isinstance(value, dict | list):
            yield from places(value, (*at, key))
        else:
            yield (*at, key)


def of_json(content, rng):
    """A damaged copy of a nest, as JSON."""
    content = copy.deepcopy(content)
    every = [*places(content)]
    for _ in range(int(rng.integers(1, 3))):
        every = [*places(content)] if isinstance(content, dict | list) else [()]
        *above, last = every[rng.integers(len(every))] or (None,)
        if last is None:
            content = WORDS[rng.integers(len(WORDS))]
            continue
        node = content
        for key in above:
            node = node[key]
        change(node, last, rng)
    text = json.dumps(content)
    return (text if rng.integers(12) else nested(text, rng)).encode()


def change(node, last, rng):
    kind = rng.integers(5)
    if kind == 0:
        del node[last]
    elif kind == 1:
        node[last] = [node[last]]
    elif kind == 2 and isinstance(node, dict):
        node[f"{last}x"] = node.pop(last)
    elif kind == 3 and isinstance(node, list):
        node.insert(last, copy.deepcopy(node[last]))
    else:
        node[last] = WORDS[rng.integers(len(WORDS))]


def nested(text, rng):
    """Far too deep, a key twice, or NaN."""
    depth = int(rng.choice([70, 900, 3000]))
    return [
        "[" * depth + "]" * depth,
        '{"a":' * depth + "1" + "}" * depth,
        text.replace("{", '{"id": 1, "id": 2, ', 1),
    ][rng.integers(3)]


def of_arrays(arrays, rng):
    """A damaged copy of arrays by name, for .npz, .h5 and .mat."""
    arrays = dict(arrays)
    name = list(arrays)[rng.integers(len(arrays))]
    array, kind = np.array(arrays[name]), rng.integers(8)
    if kind == 0:
        del arrays[name]
    elif kind == 1 and array.dtype.kind == "f" and array.size:
        array.flat[rng.integers(array.size)] = [np.nan, np.inf, -np.inf, 1e30][rng.integers(4)]
        arrays[name] = array
    elif kind == 2:
        arrays[name] = array[None]
    elif kind == 3 and array.ndim:
        arrays[name] = array[..., :-1]
    elif kind == 4:
        arrays[name] = np.array(array, "S8") if array.dtype.kind in "iuf" else np.arange(3)
    elif kind == 5:
        arrays[name] = np.array(5.0)
    elif kind == 6 and array.ndim:
        arrays[name] = array[:0]
    else:
        arrays[name] = array * -200 if array.dtype.kind in "if" else array
    return arrays


@contextmanager
def limited(seconds):
    """Ends the block after that much computing by `Slow`."""

    def stop(*_):
        raise Slow

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


class Slow(BaseException):
    """A case took too long."""


def status(key):
    """A number of /proc/self/status in bytes, 0 where there is none."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(key):
                return 1024 * int(line.split()[1])
    return 0


def reset_peak():
    """Let the peak of memory, VmHWM, count from here."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def attempt(read, path, tally, note=""):
    """Read a file and count how that ends."""
    reset_peak()
    memory, clock = status("VmRSS"), time.process_time()
    fault = None
    try:
        with limited(SECONDS):
            read(path)
        tally.well += 1
    except (ValueError, OSError) as error:
        line = str(error)
        named = any(x in line for x in (path.name, path.stem, str(path.parent)))
        if not named or "\n" in line or len(line) > LONGEST:
            fault = f"{type(error).__name__} without the file, or long: {line[:200]!r}"
        else:
            tally.clean += 1
    except Slow:
        fault = "too long"
    except Exception as error:
        fault = f"{type(error).__name__}: {str(error)[:200]}{where(error)}"
    taken, seconds = status("VmHWM") - memory, time.process_time() - clock
    tally.memory, tally.seconds = max(tally.memory, taken), max(tally.seconds, seconds)
    tally.cases += 1
    if fault is None and taken > MEMORY:
        fault = f"{taken / 1e6:.0f} MB"
    if fault:
        tally.faults.append(f"{note}: {fault}")


def where(error):
    """The last place in the library."""
    found, trace = "", error.__traceback__
    while trace:
        name = trace.tb_frame.f_code.co_filename
        if "posediff" in name or "scripts" in name:
            found = f" ({Path(name).name}:{trace.tb_lineno})"
        trace = trace.tb_next
    return found


def fuzz(name, source, folder, cases, seed=0):
    """The tally of a reader of tests/doors/readers.py on `cases` mutations."""
    rng, tally = np.random.default_rng([seed, *name.encode()]), Tally()
    path, read, mutate = source(folder)
    whole = path.read_bytes()
    attempt(read, path, tally, "as it is")
    if tally.well != 1:
        tally.faults.append(f"the valid file is not read: {tally.faults}")
    for n in range(cases):
        if mutate is None or rng.integers(2):
            path.write_bytes(of_bytes(whole, rng))
        else:
            mutate(path, rng)
        attempt(read, path, tally, f"case {n}")
        path.unlink(missing_ok=True)
        path.write_bytes(whole)
    return tally


def table(tallies):
    """Markdown: a line per reader."""
    head = "| reader | cases | clean | well | else | most MB | longest s |\n|" + "---|" * 7
    total = Counter()
    for tally in tallies.values():
        total.update({k: getattr(tally, k) for k in ("cases", "clean", "well")})
    every = Tally(**total)
    every.memory = max(t.memory for t in tallies.values())
    every.seconds = max(t.seconds for t in tallies.values())
    every.faults = [f for t in tallies.values() for f in t.faults]
    rows = [t.row(name) for name, t in tallies.items()] + [every.row("**all**")]
    return "\n".join([head, *rows]) + "\n"
