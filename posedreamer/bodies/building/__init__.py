"""The builder of the open body: from CC0 MakeHuman data to the embedded files. Nothing here is imported at run time."""
