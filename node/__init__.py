"""The DICOM node: receives studies, decides what happens to them, and proves that the results arrived."""
