"""The table [retention]: when files and rows are removed, by age, by room on the disk, and by what became of them."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from node.settings.section import Section

Days = Annotated[float, Field(gt=0)]


class RetentionSettings(Section):
    """When files and rows are removed; nothing that is not delivered ever is, and no row of the ledger."""

    job_files_days: Annotated[float, Field(ge=0)] = 0.0
    """Days that intermediate files of an ended job stay; 0: until it ends. While they are here, the maps of the
    patient's next examination are laid over them."""
    originals_days: Days | None = None
    """Days after its last image that the images of a study stay, once its results are delivered; default: for ever."""
    unanalysed_days: Days | None = None
    """The same of studies that no rule took, that were set aside, or that are priors; default: as originals_days."""
    results_days: Days | None = None
    """Days after its job that the files of delivered results stay; default: for ever."""
    rows_days: Days | None = None
    """Days after its last image that the rows of a study stay in the store; default: for ever. At least the others."""
    quarantine_days: Days | None = None
    """Days that refused instances stay in the quarantine; default: until it is full."""
    most_mebibytes: Annotated[int, Field(ge=1)] | None = None
    """Room for inbox and outbox: beyond it what is delivered is removed, the oldest originals first, then results."""
    free_mebibytes: Annotated[int, Field(ge=1)] | None = None
    """Free space of the disk below which what is delivered is removed in the same order."""
    least_days: Annotated[float, Field(ge=0)] = 1.0
    """Days after its last image, or its job, within which nothing is removed for want of room."""
    check_minutes: Annotated[float, Field(gt=0)] = 60.0
    """Minutes between two looks at what is due."""

    @model_validator(mode="after")
    def _keeps_rows_longest(self) -> Self:
        files = (self.originals_days, self.results_days, self.unanalysed_days or self.originals_days)
        if self.rows_days is not None and any(days is None or days > self.rows_days for days in files):
            raise ValueError("rows_days: set originals_days and results_days too, none longer than rows_days")
        return self
