"""Damaged files through every reader -> a table of how each ended, in benchmarks/fuzz_readers.md.

    python benchmarks/fuzz_readers.py [--cases 240] [--seed 1] [--only "model config"]

Faults, which are neither read nor ended in one line that names the file, are printed; exit code 1.
"""

import argparse
import sys
import tempfile
import warnings
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from helpers import fuzz  # noqa: E402
from helpers.readers import READERS  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=240, help="mutations of each reader's file")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="one reader; writes no table")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    tallies = {}
    for name, source in READERS.items():
        if args.only in (None, name):
            with tempfile.TemporaryDirectory() as folder:
                tallies[name] = fuzz.fuzz(name, source, Path(folder), args.cases, args.seed)
            print(tallies[name].row(name), flush=True)
            for fault in tallies[name].faults:
                print(f"    {fault}", flush=True)
    if args.only is None:
        command = f"python benchmarks/fuzz_readers.py --cases {args.cases} --seed {args.seed}"
        text = TEXT.format(date=date.today().isoformat(), command=command)
        path = ROOT / "benchmarks/fuzz_readers.md"
        _, mark, after = path.read_text().partition("\n## ")  # what was measured otherwise stays
        path.write_text(text + fuzz.table(tallies) + mark + after)
    sys.exit(any(tally.faults for tally in tallies.values()))


TEXT = """# Damaged files through every reader

Made on {date} by `{command}`: half of the cases are changes of bytes, half of the content. Clean is
one line that names the file; well, the file was read; else, anything else. Memory is what a case
took beyond what the process had, time is that of computing; a case may take 600 MB and 10 s.

"""

if __name__ == "__main__":
    main()
