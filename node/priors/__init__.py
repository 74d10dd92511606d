"""Priors: earlier studies of the patient, found at a PACS and fetched on request; they are not analysed."""
