"""The audit: ledger, observations, control charts, repeatability, monthly report.

Rooms from top to bottom, each importing only what stands further down: groups; month; repeatability and charts;
content, observations, ledger_page and retention; observation, export and ledger.
"""
