"""Elements of a header: numbers and text, macros, anatomy, patient, kind of object, window."""
