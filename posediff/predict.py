"""Use a model: python -m posediff.predict task=image2d input=photo.jpg"""

from pathlib import Path
from typing import Any

from posediff import announce, config, speed, tree
from posediff.command import command
from posediff.files import require_writable
from posediff.inference.request import OPTIONAL, Reader, Request
from posediff.trained_model import trained


@command("predict")
def main(cfg: Any) -> None:
    asked = config.plain(cfg)
    request = Request(**{key: asked[key] for key in Request._fields})
    require_writable(Path(request.output), "output=")
    kind = tree.imported(cfg.task.input)
    refuse_unread(kind, cfg.task.name)
    reader = kind(request)
    cfg, model, folder = trained(cfg, "predict")
    print(f"{announce.used(folder)}\n{announce.device(config.device(cfg.device))}", flush=True)
    if cfg.compile:
        print(speed.compiled_answers([model]), flush=True)
    for line in reader.predict(model, {"checkpoint": str(folder), "method": cfg.task.method}):
        print(line, flush=True)


def refuse_unread(kind: type[Reader], task: str) -> None:
    """Raise ValueError for an option of this command that another task's input would need."""
    given = dict.fromkeys(map(config.key_of, config.overrides_given()))
    unread = [key for key in given if key in OPTIONAL and key not in kind.reads]
    if unread:
        raise ValueError(f"{unread[0]}= is not read by task={task}: leave it out")


if __name__ == "__main__":
    main()
