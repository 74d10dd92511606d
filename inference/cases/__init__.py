"""Annotated cases, from a folder with labels.csv or from DICOM with outlines."""
