"""Everything about an experiment on one page: claims, figures, accuracies, selection, provenance.

`page.write_report` writes what `contents.Contents` lists. No torch, no models; nothing is computed here.
"""
