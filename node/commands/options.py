"""Options that several commands have, each written once."""

from pathlib import Path
from typing import Annotated, Literal

import typer

CONFIG = Path("heatproof.toml")
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document for machines.")]
Config = Annotated[Path, typer.Option("--config", "-c", help="The settings file (TOML).", dir_okay=False)]

# of models and annotated cases
Data = Annotated[
    Path | None, typer.Option("--data", help="Annotated cases: a folder with labels.csv, or of DICOM files.")
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
Workers = Annotated[int, typer.Option("--workers", help="Processes that share the commissioning.", min=1)]
Nodes = Annotated[
    Path | None,
    typer.Option("--nodes", help="Settings of a node: all nodes of its store do the work.", dir_okay=False),
]
Threads = Annotated[
    int, typer.Option("--threads", help="Of each process; with 1 results repeat to the bit; 0: torch's default.", min=0)
]
Limit = Annotated[int | None, typer.Option("--limit", help="Maximum number of explained cases of a split.", min=1)]
Size = Annotated[
    list[str] | None, typer.Option("--size", help="Cases of a costly criterion, NAME=COUNT; see the passport.")
]

# of companions
Replicates = Annotated[int, typer.Option("--replicates", help="Networks of the same architecture.")]
Alternate = Annotated[
    str, typer.Option("--alternate", help="Another architecture: auto, none, or a name such as resnet18.")
]
Localiser = Annotated[str, typer.Option("--localiser", help="auto, none, unet or segresnet.")]
Start = Annotated[
    Literal["given", "scratch"],
    typer.Option("--from", help="Where replicates begin: the given weights, or at random."),
]
Hours = Annotated[float | None, typer.Option("--hours", help="Cut the epochs so that all trainings fit.")]
Epochs = Annotated[int | None, typer.Option("--epochs", help="Of every training.", min=1)]
Seed = Annotated[int, typer.Option("--seed", help="Of every draw.")]
Images = Annotated[int, typer.Option("--images", help="With --patients: images of each.", min=1)]
Annotators = Annotated[
    int | None, typer.Option("--patients", help="With --plan, without --data: annotated patients.", min=1)
]
