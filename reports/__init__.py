"""Results as DICOM, and the audit of everything that happened. Knows no network."""
