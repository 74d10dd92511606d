"""Work that other processes and machines do, in pieces known by a digest: figures of commissioning, and trainings."""
