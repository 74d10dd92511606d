"""DICOM objects: one file an object, with the codes and UIDs they share."""
