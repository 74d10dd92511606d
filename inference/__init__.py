"""What a model says of an image, why, and how far the why can be trusted.

Knows no network, no database and no DICOM writing.
"""
