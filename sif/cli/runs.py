"""`sif train`, `sif evaluate`: train and judge the model of a run again."""

from pathlib import Path
from typing import Annotated

import typer

from sif.api import load, rank_run, retrain, score
from sif.cli.app import JsonOption, console, data_root, emit, guarded, remark
from sif.cli.progress import TerminalProgress
from sif.cli.ranking import note_two, print_ranking
from sif.cli.tables import print_table
from sif.errors import RunError
from sif.run_directory import RunDirectory
from sif.runs.published import judge_run, published_remarks, published_table
from sif.sheet import Line, Table

__all__ = ["evaluate", "train"]

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu or cuda.")]


@guarded
def train(
    run: RunArgument,
    epochs: Annotated[int | None, typer.Option(help="Epochs at most (default: the recipe's).")] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed for the weights.")] = None,
    all_data: Annotated[
        bool, typer.Option("--all-data", help="Train on every rating, for serving: no honest test remains.")
    ] = False,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change the training: train.KEY=VALUE.")
    ] = None,
    budget: Annotated[
        str, typer.Option(help="Runs of cells: the schedule to follow (default: full, that of the paper).")
    ] = "",
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Train what a run found again, and put the new model in its place."""
    with TerminalProgress() as progress:
        done = retrain(
            run,
            budget=budget,
            epochs=epochs,
            seed=seed,
            all_data=all_data,
            changes=changes or (),
            device=device,
            root=data_root(),
            progress=progress,
        )
    note_two(run, "what predicts ratings was trained; what orders the lists is as it was: sif train {lists}")
    if as_json:
        emit(done)
        return
    metric = load(run).result["metric"]
    valid = "no validation part" if done["valid"] is None else f"validation {metric} {done['valid'][metric]:.4f}"
    trained = "all data" if all_data else valid
    schedule = f" (budget {done['budget']})" if done["budget"] else ""
    epochs_told = "" if done["epochs"] is None else f" {done['epochs']} epochs"
    console.print(
        f"trained{epochs_told}{schedule} in {done['seconds']:.1f} s: {trained}\n"
        f"model   {run}/model.safetensors" + ("" if all_data else f"\nnext    sif evaluate {run}"),
    )


@guarded
def evaluate(
    run: RunArgument,
    ranking: Annotated[
        bool, typer.Option("--ranking", help="Runs of tables: rank the whole catalogue, beside popularity.")
    ] = False,
    k: Annotated[
        list[int] | None, typer.Option("-k", help="With --ranking: how many items (default: 10; may be repeated).")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="With --ranking: only ratings from here on are relevant (default: all are).")
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="Judge as a published protocol says, beside its figures (sif protocols ls).")
    ] = "",
    epoch_on_test: Annotated[
        bool,
        typer.Option("--epoch-on-test", help="With --protocol: train once more, and pick the epoch on the test part."),
    ] = False,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Evaluate the model of a run on its validation and test parts."""
    if protocol or epoch_on_test:
        if ranking or k or threshold is not None:
            raise RunError(
                "a protocol says what is ranked and on how many places; leave out --ranking, -k, --threshold"
            )
        with TerminalProgress() as progress:
            told = judge_run(
                run, protocol, epoch_on_test=epoch_on_test, device=device, root=data_root(), progress=progress
            )
        if as_json:
            emit(told)
            return
        print_table(published_table(told))
        for sentence in published_remarks(told):
            remark(sentence)
        return
    if not ranking and (k or threshold is not None):
        raise RunError(f"{'-k' if k else '--threshold'} is of rankings; add --ranking, or leave it out")
    if ranking:
        ranked = rank_run(run, k=tuple(k or ()), threshold=threshold, device=device, root=data_root())
        note_two(run, "judged is what orders the lists, {lists}")
        if as_json:
            emit(ranked)
        else:
            print_ranking(ranked)
        return
    scored = score(run, device=device, root=data_root())
    note_two(run, "judged is what predicts ratings; what orders the lists: sif evaluate {run} --ranking")
    if as_json:
        emit(scored)
        return
    parts = {part: scored[part] for part in ("valid", "test") if scored[part] is not None}
    names = list(next(iter(parts.values()), {}))
    popularity = RunDirectory.open(run).result()["rows"].get("popularity", {})  # beside every ranking
    lines = {part: (values, bool(popularity)) for part, values in parts.items()}
    lines |= {f"{part}, popularity": (popularity[part], False) for part in parts if popularity}
    rows = (Line((part, *(f"{values[name]:.4f}" for name in names)), best) for part, (values, best) in lines.items())
    print_table(Table(("part", *names), tuple(rows)))
    costs = (f"{key.replace('multiply_adds', 'multiply-adds')} {scored[key]:,}" for key in list(scored)[3:])
    console.print("   ".join(costs))
