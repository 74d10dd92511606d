"""What a worker says that cannot do a piece."""

from pathlib import Path

from inference.errors import Refused


def differs() -> Refused:
    """Return the refusal of a worker that would compute something else."""
    return Refused(
        "This worker would compute something else: its bundle, data, device or libraries differ from those it was "
        "asked with.",
        cure="Install the same version with the same constraints on every worker, and let all see the same files.",
    )


def no_job(folder: Path) -> Refused:
    """Return the refusal of a folder without a job."""
    return Refused(f"There is no work to share in the folder {folder.name}.")
