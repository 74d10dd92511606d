"""DICOM files to an Image: instance, decoding, pixels, geometry, outlines."""
