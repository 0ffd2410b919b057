"""Export a model: posediff export task=lift3d checkpoint=<model folder> output=exported"""

from typing import Any

from posediff import __version__, announce, config, tree
from posediff.command import command
from posediff.exporting.write import export
from posediff.trained_model import trained


@command("export")
def main(cfg: Any) -> None:
    example = cfg.task.example  # it is called, so it comes from the command, not the model folder
    cfg, model, folder = trained(cfg, "export")
    print(announce.model(folder), flush=True)
    if example is None:
        data = config.dataset(cfg, cfg.eval.split)
        sample = data.__getitems__([i * len(data) // cfg.rows for i in range(cfg.rows)])
    else:
        sample = tree.imported(example)(model.cpu(), cfg.rows)
    about = {
        "task": cfg.task.name,
        "method": cfg.task.method,
        "aggregate": cfg.task.aggregate,
        "model": folder.name,
        "posediff": __version__,
    }
    output, formats = cfg.output, config.plain(cfg.formats)
    written = export(model, output, sample, formats, cfg.tolerance, about)
    for kind, figures in written["differences"].items():
        print(f"{kind}: largest differences to the model")
        for name, off in figures.items():
            print(f"  {name:28} {off:.2g}")
    for graph in written["graphs"]:
        print("\n".join(f"{output}/{file}" for file in graph["files"].values()))
    print(f"{output}/export.json")


if __name__ == "__main__":
    main()
